"""Which file a path to weights means: itself, or the one that a folder holds."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from initcfg.errors import Code, FormatError, Location
from initcfg.formats.index import INDEX_ENDINGS, INDEX_NAME

if TYPE_CHECKING:
    from os import PathLike

#: How the names of files end that ``torch.save`` writes.
TORCH_ENDINGS = (".pt", ".pth", ".bin", ".ckpt")
_ENDING = ".safetensors"
_WHOLE = "model.safetensors"
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.safetensors$", re.IGNORECASE)
CLAIM_NAME = ".initcfg-run.json"
"""The file that says, while a set is unfinished, which set the folder is for."""


def is_index(path: str | PathLike[str]) -> bool:
    """Whether the name is that of an index of shards."""
    return os.fspath(path).lower().endswith(INDEX_ENDINGS)


def is_torch_file(path: str | PathLike[str]) -> bool:
    """Whether the name is that of a file that ``torch.save`` writes, or of an index of such files."""
    return os.fspath(path).lower().removesuffix(".index.json").endswith(TORCH_ENDINGS)


def find_weights(path: str | PathLike[str]) -> Path:
    """The file to read: in a folder its index of shards, else its only safetensors file.

    A FormatError tells what keeps a folder from being one thing to read.
    """
    if not isinstance(path, str | os.PathLike):
        way = "give the path of a file or a folder; a live module is held by initcfg.adapters.torch.verify"
        raise TypeError(f"weights are read from a path, not from {type(path).__name__}: {way}")
    given = Path(path)
    if "://" in os.fspath(path):
        message = "weights are read from local files, and this is a URL"
        raise _refused(Code.INPUT, message, path, "fetch the file or the folder first")
    # Path.is_dir raises or not, by the version of Python; what cannot be looked at cannot be opened either.
    if not os.path.isdir(given):  # noqa: PTH112
        return given
    try:
        names = sorted(entry.name for entry in given.iterdir() if entry.name.lower().endswith(_ENDING))
    except OSError as error:
        message = f"cannot read the folder: {(error.strerror or str(error)).lower()}"
        raise _refused(Code.INPUT, message, given, None) from None
    return _in_folder(given, names)


def _in_folder(folder: Path, names: list[str]) -> Path:
    index = folder / INDEX_NAME
    if os.path.lexists(index):
        if _WHOLE in names:
            # Loaders take the file, and leave a set that is newer unread.
            message = f"the folder has both {_WHOLE!r} and {INDEX_NAME!r}"
            raise _refused(Code.FORMAT, message, folder, "name the one that is meant, or delete the other")
        return index
    shards = [name for name in names if _SHARD.search(name)]
    if shards or os.path.lexists(folder / CLAIM_NAME):
        message = f"the folder holds an unfinished set: there is no {INDEX_NAME!r}"
        hint = f"run initcfg finalize {os.fspath(folder)!r}, or fetch the index if the shards were copied"
        raise _refused(Code.FORMAT, message, folder, hint)
    if len(names) == 1:
        return folder / names[0]
    if names:
        shown = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
        message = f"the folder has {len(names)} safetensors files and no index: {shown}"
        raise _refused(Code.FORMAT, message, folder, "name the one that is meant")
    message = f"the folder has no weights: neither {INDEX_NAME!r} nor a {_ENDING} file"
    raise _refused(Code.INPUT, message, folder, "name the file of the weights")


def _refused(code: Code, message: str, folder: str | PathLike[str], hint: str | None) -> FormatError:
    return FormatError.of(code, message, hint=hint, where=Location(os.fspath(folder)))
