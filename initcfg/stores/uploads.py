"""One file sent to where fsspec's driver puts it, which appears at its end or not at all.

Object stores keep what has been sent apart until the upload is completed. Drivers of plain file systems, such
as sftp's, write in place: there a file is begun under another name, and renamed when it is whole.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, OutputError
from initcfg.stores.driver_errors import reporting_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fsspec import AbstractFileSystem

# Stores take 5 MiB and more at a time, multiples of 256 KiB, and 10,000 parts of a file at most.
_BLOCK_BYTES = 1 << 24
_BLOCK_UNIT = 1 << 18
_PARTS = 9_000
_PART = ".part"


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
        begun, file = _opened(fs, path, nbytes)
    try:
        yield Upload(file, url)
        check()
        with reporting_driver(url):
            # Never as a context: its exit would complete half a file after a failure.
            file.close()
        _check_size(fs, begun, url, nbytes)
        if begun != path:
            check()
            with reporting_driver(url):
                fs.mv(begun, path)
    except BaseException:
        _give_up(fs, begun, file)
        raise


def _opened(fs: AbstractFileSystem, path: str, nbytes: int) -> tuple[str, Any]:
    """The name under which a file is begun, and the file; its own name where nobody sees it till its end.

    Where a driver writes in place, a run of the same set may come by, and whoever fails may only remove what
    is its own.
    """
    from fsspec.spec import AbstractBufferedFile  # noqa: PLC0415  an extra

    begun = f"{path}.{os.urandom(8).hex()}{_PART}"
    file = fs.open(begun, "wb", block_size=_block(nbytes))
    if not isinstance(file, AbstractBufferedFile):
        return begun, file
    # Nothing has been sent yet, and nothing will be.
    file.closed = True
    return path, fs.open(path, "wb", block_size=_block(nbytes))


def _block(nbytes: int) -> int:
    return max(_BLOCK_BYTES, -(-nbytes // _PARTS // _BLOCK_UNIT) * _BLOCK_UNIT)


def _give_up(fs: AbstractFileSystem, begun: str, file: Any) -> None:
    # What is told is why it failed; what fails here comes of that.
    with contextlib.suppress(Exception):
        if hasattr(file, "discard") and not begun.endswith(_PART):
            file.discard()
        else:
            file.close()
            fs.rm_file(begun)
    if not begun.endswith(_PART):
        # Otherwise the end of the object would complete the upload.
        file.closed = True


def _check_size(fs: AbstractFileSystem, begun: str, url: str, nbytes: int) -> None:
    with reporting_driver(url):
        fs.invalidate_cache()
        found = fs.info(begun)["size"]
        if found == nbytes:
            return
        fs.rm_file(begun)
    message = f"cannot write {url!r}: {found:,} of {nbytes:,} bytes have arrived; it is removed again"
    raise OutputError(Diagnostic(Code.OUTPUT, message, hint="run again; what is finished is kept"))
