"""A folder behind fsspec: an object store, another machine, memory.

Nothing there has locks. The claim is a file that only one of two sets can make first, where the store can
write a file on the condition that there is none; it is read again before each file is begun and before it is
completed. So two sets never mix, but whether another run is alive nobody can tell: a run that is told to
force its way takes the folder over, and the other one learns it at its next file.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from initcfg.errors import OutputError
from initcfg.formats.base import little_endian
from initcfg.stores.base import CLAIM_NAME, Claim, other_claim
from initcfg.stores.connecting import connect
from initcfg.stores.driver_errors import reporting_driver
from initcfg.stores.uploads import uploading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.formats import Elements
    from initcfg.formats.safetensors import FileLayout
    from initcfg.stores.base import Admit

_MAX_CLAIM_BYTES = 1 << 16
# What stores answer that cannot write on a condition; S3's own refusal may come as EINVAL from old drivers.
_NO_CONDITION = {errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}


class RemoteStore:
    """A folder by its URL; see `Store`.

    Args:
        url: ``protocol://...``; credentials do not stand in it.

    Raises:
        OutputError: the driver is missing, or refuses the URL.
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
        with uploading(self._fs, self._at(name), url, layout.nbytes, self._check_claim) as upload:
            upload.write(layout.header)
            for chunk in elements.in_order(layout.tensors):
                upload.write(little_endian(chunk))

    def write_text(self, name: str, text: str) -> None:
        """See `Store`."""
        self._check_claim()
        self._put(name, text)

    def remove(self, name: str) -> None:
        """See `Store`."""
        with reporting_driver(self.path(name), "remove"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def sweep(self) -> None:
        """Nothing: what a dead run has begun is not seen, or stands under its own name."""

    def free(self) -> int | None:
        """None: no driver tells."""
        return None

    @property
    def staged(self) -> None:
        """None: stores of objects copy what they are to move."""
        return None

    def adopt(self, name: str) -> None:
        """Refuse: there is nothing staged to move."""
        raise AssertionError(f"{name!r} cannot be moved here, because nothing is staged")

    def unstage(self, text: str) -> None:
        """Nothing: nothing is staged."""

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

    @contextlib.contextmanager
    def joining(self, text: str) -> Iterator[Claim]:
        """See `Store`."""
        with self._held_for(text, Claim()) as claim:
            yield claim

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
                if claim.is_fulfilled and self.claimed() == text:
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
                self._make_folder()
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

    def _make_folder(self) -> None:
        """Where there are folders. A bucket is never made: who pays for it is not ours to say."""
        top = self._root[: len(self._root) - len(self._root.lstrip("/"))]
        top += self._root.lstrip("/").partition("/")[0]
        if top != self._root and self._fs.exists(top):
            self._fs.makedirs(self._root, exist_ok=True)

    def _put(self, name: str, text: str) -> None:
        with reporting_driver(self.path(name)):
            self._fs.pipe_file(self._at(name), text.encode())

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"
