"""One file sent to where fsspec's driver puts it, which appears at its end or not at all.

Object stores keep what has been sent apart until the upload is completed. Drivers of plain file systems, such
as sftp's, write in place: there a file that was cut short is told by its size, and removed if we still can.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, OutputError
from initcfg.stores.driver_errors import reporting_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec import AbstractFileSystem

__all__ = ["Upload", "uploading"]

# Stores take 5 MiB and more at a time, multiples of 256 KiB, and 10,000 parts of a file at most.
_BLOCK_BYTES = 1 << 24
_BLOCK_UNIT = 1 << 18
_PARTS = 9_000


class Upload:
    """A file that is being sent, from its beginning to its end.

    Args:
        file: of the driver.
        url: for errors.
    """

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self._url = url

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes; all of them.

        Raises:
            OutputError: the driver refuses it.
        """
        with reporting_driver(self._url):
            self._file.write(data)


@contextlib.contextmanager
def uploading(
    fs: AbstractFileSystem, path: str, url: str, nbytes: int, check: Callable[[], None]
) -> Iterator[Upload]:
    """A file of `nbytes` bytes that is completed when the block ends, and given up when it raises.

    Args:
        fs: the driver.
        path: of the file, on it.
        url: of the file, for errors.
        nbytes: how large it will be.
        check: called before the file is completed; what it raises gives the file up.

    Raises:
        OutputError: the driver refuses it, or the file is not of its size afterwards.
    """
    with reporting_driver(url):
        file = fs.open(path, "wb", block_size=_block(nbytes))
    try:
        yield Upload(file, url)
        check()
        with reporting_driver(url):
            # Never as a context: its exit would complete half a file after a failure.
            file.close()
    except BaseException:
        _give_up(fs, path, file)
        raise
    _check_size(fs, path, url, nbytes)


def _block(nbytes: int) -> int:
    return max(_BLOCK_BYTES, -(-nbytes // _PARTS // _BLOCK_UNIT) * _BLOCK_UNIT)


def _give_up(fs: AbstractFileSystem, path: str, file: Any) -> None:
    from fsspec.spec import AbstractBufferedFile  # noqa: PLC0415  an extra

    # What is told is why it failed; what fails here comes of that.
    with contextlib.suppress(Exception):
        if isinstance(file, AbstractBufferedFile):
            file.discard()
        else:
            file.close()
            fs.rm_file(path)
    if isinstance(file, AbstractBufferedFile):
        # Otherwise the end of the object would complete the upload.
        file.closed = True


def _check_size(fs: AbstractFileSystem, path: str, url: str, nbytes: int) -> None:
    with reporting_driver(url):
        fs.invalidate_cache()
        found = fs.info(path)["size"]
        if found == nbytes:
            return
        fs.rm_file(path)
    message = f"cannot write {url!r}: {found:,} of {nbytes:,} bytes have arrived; it is removed again"
    raise OutputError(Diagnostic(Code.OUTPUT, message, hint="run again; what is finished is kept"))
