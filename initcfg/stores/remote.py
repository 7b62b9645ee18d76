"""A folder behind fsspec: an object store, another machine, memory.

Nothing there has locks. The claim is a file that only one of two sets can make first, where the store can
write a file on the condition that there is none; it is read again before each file is begun and before it is
completed. So two sets never mix, but whether another run is alive nobody can tell: a run that is told to
force its way takes the folder over, and the other one learns it at its next file.

Object stores keep what has been sent apart until the upload is completed. Drivers of plain file systems, such
as sftp's, write in place: there a file is begun under another name, and renamed when it is whole. Drivers
raise what their libraries do; of each error only the kind and the first line is told, and no credentials
stand in either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, InitcfgError, OutputError
from initcfg.formats.base import little_endian
from initcfg.formats.index import CLAIM_NAME
from initcfg.process import LOADING
from initcfg.stores import Admit, Claim, Store, other_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from fsspec import AbstractFileSystem

    from initcfg.formats import Elements
    from initcfg.formats.safetensors import FileLayout

_MAX_CLAIM_BYTES = 1 << 16
# What stores answer that cannot write on a condition; S3's own refusal may come as EINVAL from old drivers.
_NO_CONDITION = {errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}
_USERS = re.compile(r"://([^/@]*(?:@[^/@]*)*)@")
_INSTALL = re.compile(r"[Ii]nstall '?([a-z0-9_-]+)'? (?:to|for) access")
# Stores take 5 MiB and more at a time, multiples of 256 KiB, and 10,000 parts of a file at most.
_BLOCK_BYTES = 1 << 24
_BLOCK_UNIT = 1 << 18
_PARTS = 9_000
_PART = ".part"
_LONGEST = 200
_NOT_FOUND = "the bucket or folder above must exist: create it first"
_NOT_ALLOWED = (
    "the driver takes credentials from the environment and from its own files; "
    "they must allow to list, read, write and delete here"
)
_ELSE = "see what the driver needs, and try again; what is finished is kept"
_OF_CREDENTIALS = ("credential", "permission", "forbidden", "accessdenied", "unauthorized", "authentication")


class RemoteStore(Store):
    """A folder by its URL, in which no credentials stand; see `Store`.

    Nothing is swept: what a dead run has begun is not seen, or stands under its own name. Nothing is staged:
    stores of objects copy what they are to move. No driver tells what is free.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._fs, self._root = connect(url)
        self._held: str | None = None

    @property
    def place(self) -> str:
        """The URL, without a slash at its end."""
        return self._url

    def path(self, name: str) -> str:
        """The URL of a file."""
        return f"{self._url}/{name}"

    def sizes(self) -> dict[str, int]:
        """Files, and anything else with a size of -1."""
        self._fs.invalidate_cache()
        with reporting_driver(self._url, "list"):
            try:
                entries = self._fs.ls(self._root, detail=True)
            except FileNotFoundError:
                return {}
        found = {}
        for entry in entries:
            parent, _, name = entry["name"].rstrip("/").rpartition("/")
            # A store may list the folder itself, or the one file of that name.
            if parent.strip("/") == self._root.strip("/") and name:
                found[name] = entry["size"] if entry["type"] == "file" else -1
        return found

    def size(self, name: str) -> int | None:
        """See `Store`."""
        with reporting_driver(self.path(name), "look at"):
            self._fs.invalidate_cache()
            try:
                entry = self._fs.info(self._at(name))
            except FileNotFoundError:
                return None
            return int(entry["size"]) if entry["type"] == "file" else -1

    def read(self, name: str, start: int, stop: int) -> bytes:
        """See `Store`."""
        with reporting_driver(self.path(name), "read"):
            self._fs.invalidate_cache()
            # Stores refuse a range that begins behind the end.
            stop = min(stop, self._fs.info(self._at(name))["size"])
            return bytes(self._fs.cat_file(self._at(name), start=start, end=stop)) if start < stop else b""

    def write(self, name: str, layout: FileLayout, elements: Elements) -> None:
        """Sends it in order, in the memory of a few blocks."""
        self._check_claim()
        url = self.path(name)
        with uploading(self._fs, self._at(name), url, layout.nbytes, self._check_claim) as write:
            write(layout.header)
            for chunk in elements.in_order(layout.tensors):
                write(little_endian(chunk))

    def write_text(self, name: str, text: str) -> None:
        """See `Store`."""
        self._check_claim()
        self._put(name, text)

    def remove(self, name: str) -> None:
        """See `Store`."""
        with reporting_driver(self.path(name), "remove"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def claimed(self) -> str | None:
        """See `Store`."""
        with reporting_driver(self.path(CLAIM_NAME), "read"):
            self._fs.invalidate_cache()
            try:
                content = self._fs.cat_file(self._at(CLAIM_NAME))
            except FileNotFoundError:
                return None
        text = bytes(content[:_MAX_CLAIM_BYTES]).decode(errors="replace")
        return text if text.endswith("\n") else None

    @contextlib.contextmanager
    def claiming(self, text: str, admit: Admit) -> Iterator[Claim]:
        """See `Store`; a set that another one has forced out learns it at its next file."""
        is_new = self._create_claim(text)
        found = None if is_new else self.claimed()
        try:
            admit(found)
        except BaseException:
            if is_new:
                self.remove(CLAIM_NAME)
            raise
        if not is_new and found != text:
            self._put(CLAIM_NAME, text)
        with self._held_for(text, Claim(is_new=found != text)) as claim:
            yield claim

    def joining(self, text: str) -> AbstractContextManager[Claim]:
        """See `Store`."""
        return self._held_for(text, Claim())

    @contextlib.contextmanager
    def _held_for(self, text: str, claim: Claim) -> Iterator[Claim]:
        self._held = text
        try:
            self._check_claim()
            yield claim
        finally:
            self._held = None
            # Where it cannot be removed, the next run of any set finds a set that is complete.
            with contextlib.suppress(OutputError):
                if claim.is_released and self.claimed() == text:
                    self.remove(CLAIM_NAME)

    def _check_claim(self) -> None:
        if self._held is not None and (found := self.claimed()) != self._held:
            raise other_claim(self._url, found, is_at_work=False)

    def _create_claim(self, text: str) -> bool:
        """Whether there was none, and now there is this one."""
        with reporting_driver(self.path(CLAIM_NAME)):
            try:
                return self._create(text)
            except FileNotFoundError:
                # Where there are folders. A bucket is never made: who pays for it is not ours to say.
                top = re.match("/*[^/]*", self._root)[0]  # type: ignore[index]
                if top != self._root and self._fs.exists(top):
                    self._fs.makedirs(self._root, exist_ok=True)
                return self._create(text)

    def _create(self, text: str) -> bool:
        path, content = self._at(CLAIM_NAME), text.encode()
        try:
            self._fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_CONDITION:
                raise
            # The look and the write are two steps; the claim is read again before each file.
            if self.claimed() is not None:
                return False
            self._fs.pipe_file(path, content)
        return True

    def _put(self, name: str, text: str) -> None:
        with reporting_driver(self.path(name)):
            self._fs.pipe_file(self._at(name), text.encode())

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"


def connect(url: str) -> tuple[AbstractFileSystem, str]:
    """A file system, and the path on it; credentials come from where the driver looks for them."""
    # A URL is shown in messages and kept in receipts and logs; one that is chained has several hosts.
    if any(":" in user for user in _USERS.findall(url)):
        hint = "leave it out: fsspec reads it from its configuration, such as FSSPEC_FTP_PASSWORD"
        raise _cannot(_USERS.sub("://...@", url), "a password in a URL ends up in logs", hint)
    try:
        with LOADING:
            from fsspec.core import url_to_fs  # noqa: PLC0415  an extra
    except ImportError:
        raise _cannot(url, "fsspec is not installed", "pip install 'initcfg[remote]'") from None
    with reporting_driver(url, "open"):
        try:
            fs, path = url_to_fs(url)
        except ImportError as error:
            # fsspec says "Install s3fs to access S3", in one way or another.
            found = _INSTALL.search(str(error))
            hint = f"{url.partition(':')[0]} needs a package of its own: {error}"
            hint = f"{found[1]} is needed: pip install {found[1]}" if found else hint
            raise _cannot(url, "its driver is not installed", hint) from error
        except ValueError as error:
            known = "python -c 'import fsspec; print(fsspec.available_protocols())' lists the protocols"
            raise _cannot(url, str(error), known) from error
    return fs, path.rstrip("/")


def _cannot(url: str, reason: str, hint: str) -> OutputError:
    return OutputError.of(Code.OUTPUT, f"cannot open {url!r}: {reason}", hint=hint)


@contextlib.contextmanager
def uploading(
    fs: AbstractFileSystem, path: str, url: str, nbytes: int, check: Callable[[], None]
) -> Iterator[Callable[[bytes | memoryview], None]]:
    """What writes to a file that is completed when the block ends without error, and `check` raises none."""
    with reporting_driver(url):
        begun, file = _opened(fs, path, nbytes)

    def write(data: bytes | memoryview) -> None:
        with reporting_driver(url):
            file.write(data)

    try:
        yield write
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
    """The name under which a file is begun, its own if a driver writes in place; and the file."""
    with LOADING:
        from fsspec.spec import AbstractBufferedFile  # noqa: PLC0415  an extra

    # A run of the same set may come by, and whoever fails may remove only what is its own.
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
    raise OutputError.of(Code.OUTPUT, message, hint="run again; what is finished is kept")


@contextlib.contextmanager
def reporting_driver(place: str, action: str = "write") -> Iterator[None]:
    """Turns whatever a driver raises in the block into an `OutputError`."""
    try:
        yield
    except InitcfgError:
        raise
    except Exception as error:
        kind, first = type(error).__name__, str(error).strip().partition("\n")[0][:_LONGEST]
        is_refusal = any(word in kind.lower() for word in _OF_CREDENTIALS)
        hint = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_ALLOWED if is_refusal else _ELSE
        message = f"cannot {action} {place!r}: {kind}" + (f": {first}" if first else "")
        raise OutputError.of(Code.OUTPUT, message, hint=hint) from error
