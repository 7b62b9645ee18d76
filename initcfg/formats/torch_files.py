"""Files of ``torch.save``, or an index of several: state dicts mapped into memory; no code in them is run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, FormatError, InitcfgError, capped
from initcfg.formats.base import LoadedTensor, refused
from initcfg.formats.index import is_index, read_index
from initcfg.process import LOADING, lazy
from initcfg.text.inputs import open_input

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch

    from initcfg.formats import Array
else:
    np = lazy("numpy")

_SHOWN, _SHOWN_CHARACTERS = 3, 40
# Bytes that a tensor may have beyond those of the file: a view that repeats a number costs nothing to store.
_MAX_REPEATED = 2**30


def torch_tensors(path: Path) -> dict[str, LoadedTensor]:
    """The tensors of a state dict, of a checkpoint that holds one, or of an index; else a FormatError."""
    if not is_index(path):
        return {name: loaded_tensor(name, each, path) for name, each in _state(_read(path), path).items()}
    index = read_index(path)
    shards = {shard: torch_tensors(path.parent / shard) for shard in dict.fromkeys(index.weight_map.values())}
    missing = [
        Diagnostic(Code.FORMAT, f"the shard {shard!r} has no tensor {name!r}", index.where[name])
        for name, shard in index.weight_map.items()
        if name not in shards[shard]
    ]
    if missing:
        raise FormatError(*capped(missing))
    return {name: shards[shard][name] for name, shard in index.weight_map.items()}


def _torch(path: Path) -> Any:
    try:
        with LOADING:
            import torch  # noqa: PLC0415  only for its own files
    except ImportError as error:
        message = f"only torch reads this file, and it cannot be loaded here ({type(error).__name__})"
        hint = "pip install 'initcfg[torch]', or convert the file to safetensors"
        raise refused(path, message, hint, Code.INPUT) from None
    return torch


def _read(path: Path) -> object:
    torch = _torch(path)
    with open_input(path, FormatError) as file:
        # The handle that was checked; torch maps a file by its name only.
        handle = f"/proc/self/fd/{file.fileno()}"
        name = handle if os.path.exists(handle) else os.fspath(path)  # noqa: PTH110
        try:
            try:
                return torch.load(name, map_location="cpu", weights_only=True, mmap=True)
            except Exception as error:
                if "mmap" not in str(error):
                    raise
                # The format of before torch 1.6.
                return torch.load(name, map_location="cpu", weights_only=True)
        except OSError as error:
            code, message = Code.INPUT, f"cannot read the file: {error.strerror or error}"
        except Exception as error:  # whatever a foreign file makes of it
            # Torch's first line speaks of its own arguments; below it stands what the file holds.
            held = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
            reason = f"it holds a {held[1]}" if held else str(error).partition("\n")[0].replace(name, "it")
            code, message = Code.FORMAT, f"torch.load(weights_only=True) refuses the file: {reason}"
    hint = "save module.state_dict() alone, or convert it to safetensors where you trust it"
    raise refused(path, message, hint, code)


def _state(content: object, path: Path) -> Mapping[str, torch.Tensor]:
    """The state dict that a file is, or the only one in it."""
    if _is_state(content):
        return content  # type: ignore[return-value]
    entries: dict[Any, Any] = dict(content) if isinstance(content, Mapping) else {}
    found = {key: value for key, value in entries.items() if _is_state(value)}
    if len(found) == 1:
        return next(iter(found.values()))
    named = ", ".join(repr(key)[:_SHOWN_CHARACTERS] for key in islice(found, _SHOWN))
    message = f"the file holds {len(found):,} of them: {named}" if found else "the file holds no state dict"
    raise refused(path, message, "save module.state_dict() alone: names with tensors")


def _is_state(content: object) -> bool:
    with LOADING:
        import torch  # noqa: PLC0415  it has read the file

    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) and isinstance(each, torch.Tensor) for key, each in content.items())
    )


def loaded_tensor(name: str, tensor: torch.Tensor, place: Path) -> LoadedTensor:
    """A tensor as a source of elements; a FormatError where it has none here, or of a foreign dtype."""
    with LOADING:
        import torch  # noqa: PLC0415  the tensor is one of its own

    what = None
    if tensor.is_nested:
        what, hint = "is a nested tensor", "save the tensors in it one by one"
    elif tensor.is_meta:
        what, hint = "is on the meta device and has no values", "initialise the module first"
    elif hasattr(tensor, "full_tensor"):
        what, hint = "is spread over processes", "verify a checkpoint of all, or module.full_tensor() of each"
    elif tensor.layout is not torch.strided:
        what, hint = f"is {tensor.layout}", "make it dense (to_dense)"
    elif _is_inflated(tensor):
        claim = f"{tensor.numel():,} elements"
        what, hint = f"repeats what is stored: it claims {claim}", "clone the tensor first"
    if what is not None:
        raise refused(place, f"{name!r} {what}", hint)
    try:
        dtype = as_dtype(str(tensor.dtype).removeprefix("torch."))
    except InitcfgError:
        raise refused(place, f"{name!r} is of {tensor.dtype}, which initcfg does not make") from None
    plain = tensor.detach()

    def read(start: int, stop: int) -> Array:
        if start == stop:
            return np.empty(0, dtype.numpy)
        return array_of(_elements(plain, start, stop).resolve_conj().resolve_neg().cpu()).view(dtype.numpy)

    return LoadedTensor(dtype, tuple(tensor.shape), read)


def _is_inflated(tensor: torch.Tensor) -> bool:
    """Whether a tensor has far more elements than its memory holds, so that reading it might never end."""
    nbytes: int = tensor.numel() * tensor.element_size()
    return nbytes > max(_MAX_REPEATED, int(tensor.untyped_storage().nbytes()))


def _elements(tensor: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Some elements in their order, at least one; where strides are out of order, no others are copied."""
    with LOADING:
        import torch  # noqa: PLC0415  the tensor is one of its own

    if tensor.dim() < 2 or tensor.is_contiguous():
        return tensor.reshape(-1)[start:stop]
    row = tensor.numel() // tensor.shape[0]
    (first, skipped), (last, rest) = divmod(start, row), divmod(stop, row)
    if first == last:
        return _elements(tensor[first], skipped, rest)
    parts = [tensor[first + bool(skipped) : last].reshape(-1)]
    if skipped:
        parts.insert(0, _elements(tensor[first], skipped, row))
    if rest:
        parts.append(_elements(tensor[last], 0, rest))
    return torch.cat(parts)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Memory as numpy takes it from others. It keeps the tensor for as long as an array needs it."""

    memory: torch.Tensor
    address: int

    @property
    def __array_interface__(self) -> dict[str, Any]:
        size = self.memory.element_size()
        return {
            "version": 3,
            "shape": tuple(self.memory.shape),
            "strides": tuple(stride * size for stride in self.memory.stride()),
            "typestr": f"|V{size}",
            "data": (self.address, False),
        }


def array_of(memory: torch.Tensor, address: int | None = None) -> Array:
    """A tensor's own memory as an array of elements of no type, for ``view`` to give it one.

    `address` is where its first element is to be taken to stand, if not where it is. ``Tensor.numpy`` would
    mark the storage for ever as one that cannot be resized, as FSDP and others do it; what
    ``np.from_dlpack`` gives can be written to with recent releases of both only.
    """
    return np.asarray(_Seen(memory, memory.data_ptr() if address is None else address))
