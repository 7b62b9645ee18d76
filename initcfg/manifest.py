"""Names and shapes of a model's parameters, as a value; no arrays, and no word of how they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.layout import shape_problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from initcfg.errors import Location


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One parameter of a model, or one of its buffers: what it saves beside its parameters.

    Args:
        shape: the size of each axis.
        dtype: the name of its element type, or None where the manifest says none.
        where: where the manifest says so; not compared.
        buffer: whether it is a buffer, such as a running mean. No rule need match it.
        zero_row: the index of a row that the model keeps at zero, as ``padding_idx`` of an embedding is; None
            where there is none. Only live models tell it.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    where: Location | None = field(default=None, compare=False)
    buffer: bool = field(default=False, kw_only=True)
    zero_row: int | None = field(default=None, kw_only=True)


class PlacedEntries(Mapping[str, ManifestEntry]):
    """The checked entries of a file, each made with its place when it is asked for."""

    def __init__(self, entries: Mapping[str, ManifestEntry], places: Mapping[str, Location]) -> None:
        self._entries, self._places = entries, places

    def __getitem__(self, name: str) -> ManifestEntry:
        entry = self._entries[name]
        return ManifestEntry(entry.shape, entry.dtype, self._places[name], buffer=entry.buffer)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parameters and buffers of a model by their full names, in the model's order.

    Args:
        entries: copied; a shape in the place of an entry is one without a dtype.
        file: the name that the user gave; not compared.

    Raises:
        SpecError: a name is no text, or a shape is none (code ``manifest``).

    Example:
        >>> manifest = Manifest({"fc.weight": (256, 784), "fc.bias": ManifestEntry((256,), "float32")})
        >>> manifest.entries["fc.weight"]
        ManifestEntry(shape=(256, 784), dtype=None, where=None, buffer=False, zero_row=None)
    """

    entries: Mapping[str, ManifestEntry]
    file: str | None = field(default=None, compare=False)

    if TYPE_CHECKING:  # what the entries may be, which is more than they then are

        def __init__(
            self, entries: Mapping[str, ManifestEntry | Sequence[int]], file: str | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        if isinstance(self.entries, PlacedEntries):
            return
        entries = {name: _checked(name, given) for name, given in self.entries.items()}
        object.__setattr__(self, "entries", MappingProxyType(entries))

    def __reduce__(self) -> tuple[type[Manifest], tuple[dict[str, ManifestEntry], str | None]]:
        return type(self), (dict(self.entries), self.file)

    def __hash__(self) -> int:
        return hash(tuple(self.entries.items()))


# What frameworks save beside parameters, where only the last segment of a name tells it: statistics, counts,
# positions and tables, as torch's norms, averaged models, observers and transformers' models call them.
_BUFFER_NAMES = frozenset(
    {
        "fake_quant_enabled",
        "inv_freq",
        "masked_bias",
        "moving_mean",
        "moving_variance",
        "n_averaged",
        "num_batches_tracked",
        "observer_enabled",
        "position_ids",
        "relative_coords_table",
        "relative_position_index",
        "running_mean",
        "running_var",
        "token_type_ids",
    }
)
# Of torch's parametrizations, which stand at ``parametrizations.weight.0``: spectral norm's vectors, and the
# matrix beside orthogonal's.
_PARAMETRIZATION_BUFFERS = frozenset({"_u", "_v", "base"})
# Beside a parameter ``weight_orig``: the vectors of the older spectral norm, and the mask of pruning.
_SUFFIXES = ("_u", "_v", "_mask")


def buffers_among(names: Collection[str]) -> set[str]:
    """Those names, of all tensors that were saved together, that frameworks give to buffers."""
    return {name for name in names if _is_buffer(name, names)}


def _is_buffer(name: str, names: Collection[str]) -> bool:
    *parents, last = name.split(".")
    if last in _BUFFER_NAMES:
        return True
    if last in _PARAMETRIZATION_BUFFERS and parents[-3:-2] == ["parametrizations"]:
        return True
    return any(f"{name.removesuffix(end)}_orig" in names for end in _SUFFIXES if name.endswith(end))


def _checked(name: object, given: object) -> ManifestEntry:
    if isinstance(given, ManifestEntry):
        entry = given
    else:
        # numpy's integers are no ints, and torch.Size is a tuple.
        entry = ManifestEntry(tuple(map(_plain, given)) if isinstance(given, list | tuple) else given)  # type: ignore[arg-type]
    if not isinstance(name, str) or not name:
        raise _refused(f"{name!r} is no name of a parameter", "names are texts")
    problem = shape_problem(entry.shape)
    if problem is not None:
        hint = "give its .shape" if hasattr(given, "shape") else 'write {"fc.weight": (256, 784)}'
        if isinstance(given, Mapping):
            hint = "initcfg.adapters.jax.manifest reads a tree of parameters"
        raise _refused(f"the shape of {name!r} {problem}", hint)
    return entry


def _plain(size: object) -> object:
    return size if isinstance(size, bool) or not hasattr(size, "__index__") else size.__index__()


def _refused(message: str, hint: str) -> SpecError:
    return SpecError(Diagnostic(Code.MANIFEST, message, hint=hint))
