"""Manifests: the names and shapes of a model, from a document, from weights, or from an index of shards.

    .json .yaml .yml           {"params": {"h.0.w": {"shape": [768, 3072], "dtype": "float32"}}}
    .safetensors .npz          the header of the file
    .safetensors.index.json    the headers of the shards beside it
    .pt .pth .bin .ckpt        what torch reads of it; a .bin.index.json names several
    a folder                   its index, else its only .safetensors file

The order is that of who wrote it. Where it is only that of the alphabet, as in a .safetensors file and most
indexes, the numbers in names count by their size: ``h.2`` before ``h.10``. No element of an array is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.formats.documents import from_json, from_yaml
from initcfg.formats.finding import TORCH_ENDINGS, find_weights, is_index, is_torch_file
from initcfg.formats.handles import Handles
from initcfg.formats.header import natural_key, read_header
from initcfg.formats.index import INDEX_ENDING
from initcfg.formats.sharded import read_set
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.process import gc_paused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from initcfg.formats.header import StoredTensor


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    r"""The manifest that a file holds; the end of its name says what the file is.

    Args:
        path: ends in ``.json``, ``.yaml``, ``.yml``, ``.safetensors``, ``.npz`` or
            ``.safetensors.index.json``; or is a folder with weights. With torch installed it may end in
            ``.pt``, ``.pth``, ``.bin``, ``.ckpt`` or ``.bin.index.json`` as well.

    Raises:
        SpecError: the document cannot be read, or is no manifest; every problem has its place.
        FormatError: the weights cannot be read, or are malformed, or the index and its shards do not say the
            same.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "shapes.yaml")
        ...     _ = path.write_text("params:\n  fc.weight: {shape: [256, 784]}\n")
        ...     read_manifest(path).entries["fc.weight"].shape
        (256, 784)
    """
    file = os.fspath(find_weights(path))
    reader = (
        _from_torch
        if is_torch_file(file)
        else _from_index
        if is_index(file)
        else _READERS.get(Path(file).suffix.lower())
    )
    if reader is None:
        hint = f"a manifest ends in {', '.join((*_READERS, *TORCH_ENDINGS))} or {INDEX_ENDING}"
        message = f"the name ends in {Path(file).suffix!r}, and so does no manifest"
        raise SpecError(Diagnostic(Code.INPUT, message, Location(file), hint))
    with gc_paused():
        return reader(file)


def _from_safetensors(file: str) -> Manifest:
    return _from_header(file, _in_order(read_header(file).tensors))


def _from_npz(file: str) -> Manifest:
    # It needs numpy, which a spec and its manifest do not.
    from initcfg.formats.npz_header import read_npz_header  # noqa: PLC0415

    return _from_header(file, read_npz_header(file).tensors.values())


def _from_torch(file: str) -> Manifest:
    from initcfg.formats.torch_files import torch_tensors  # noqa: PLC0415  as above

    tensors = torch_tensors(Path(file)).items()
    return Manifest(
        {
            name: ManifestEntry(each.shape, each.dtype.name, Location(file, path=(name,)))
            for name, each in tensors
        },
        file,
    )


def _from_header(file: str, tensors: Iterable[StoredTensor]) -> Manifest:
    return Manifest({each.name: _entry(each, Location(file, path=(each.name,))) for each in tensors}, file)


def _from_index(file: str) -> Manifest:
    with Handles() as handles:
        header, index = read_set(Path(file), handles)
    names = list(header.tensors)
    ordered = _in_order(header.tensors) if names == sorted(names) else header.tensors.values()
    return Manifest({each.name: _entry(each, index.where[each.name]) for each in ordered}, file)


def _in_order(tensors: Mapping[str, StoredTensor]) -> list[StoredTensor]:
    return [tensors[name] for name in sorted(tensors, key=natural_key)]


def _entry(tensor: StoredTensor, where: Location) -> ManifestEntry:
    return ManifestEntry(tensor.shape, tensor.dtype.name, where)


_READERS: dict[str, Callable[[str], Manifest]] = {
    ".json": from_json,
    ".yaml": from_yaml,
    ".yml": from_yaml,
    ".safetensors": _from_safetensors,
    ".npz": _from_npz,
}
