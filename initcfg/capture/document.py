"""A spec in the making: parameters taken together, what rules say of them, and the warnings it excuses."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from initcfg.capture.grouping import staged
from initcfg.capture.layers import Places, grouped, with_numbers
from initcfg.checks import check_plan
from initcfg.dtypes import DEFAULT_DTYPE
from initcfg.errors import Code
from initcfg.manifest import ManifestEntry
from initcfg.plan import plan_of
from initcfg.process import cached_property
from initcfg.spec import load
from initcfg.text.yaml_writer import write_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np

    from initcfg.capture.layers import Group, Place
    from initcfg.errors import Diagnostic

_SECTIONS = ("vars", "params", "layers", "rules", "allow")
# Under layouts without letters so many positions are no receptive field.
_MOST_POSITIONS = 1024
_EXPERTS = ("gate_up_proj", "down_proj")


#: A rule, and the comment above it.
Commented: TypeAlias = "tuple[dict[str, Any], str]"


@dataclass(frozen=True)
class Entry(ManifestEntry):
    """A parameter as layers are grouped by it: what stands beside its shape belongs to it."""

    tied_to: str | None = None
    layout: str | None = None
    table: bytes = b""
    beside: tuple[tuple[str, tuple[int, ...]], ...] = ()


class Document(ABC):
    """The document of one model.

    Args:
        name: what the model is called, if it has a name.
        entries: its parameters by name, in its order.
        layout: how most of them are read.
        spelled: gives names in which all numbers that count are segments.
    """

    def __init__(
        self,
        name: str | None,
        entries: Mapping[str, Entry],
        layout: str,
        spelled: Callable[[str], str] = str,
    ) -> None:
        self._name, self._entries, self._layout = name, entries, layout
        self._groups = grouped({spelled(key): entry for key, entry in entries.items()})
        self._places = Places()
        self._placed = [(self._places.of(group), group) for group in self._groups]

    @property
    def tables(self) -> Mapping[str, np.ndarray]:
        """The values that do not stand in the document, by the names of their parameters."""
        return {}

    @property
    @abstractmethod
    def rules(self) -> Sequence[Commented]:
        """The rules, each with its comment."""

    @property
    @abstractmethod
    def allow(self) -> list[dict[str, str]]:
        """The warnings that the document excuses."""

    def _repeat(self, group: Group, repeat: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The repeat of the layer that a group is in."""
        return repeat

    def _axis(self, group: Group, axis: int, size: int) -> int | str:  # noqa: ARG002
        """An axis of a group's shape."""
        return size

    def _beside(self, group: Group) -> Any:  # noqa: ARG002
        """The initializer that stands beside a group's shape; None where a rule decides."""
        return None

    def _parameter(self, place: Place, group: Group) -> dict[str, Any]:
        entry = group.entry
        assert isinstance(entry, Entry)  # noqa: S101
        said = {
            "initializer": self._beside(group),
            "dtype": None if entry.dtype == self._dtype else entry.dtype,
            "layout": entry.layout,
            "tied_to": entry.tied_to and with_numbers(entry.tied_to, group, place),
        }
        shape = [self._axis(group, at, size) for at, size in enumerate(entry.shape)]
        return {"shape": shape} | {key: value for key, value in said.items() if value is not None}

    @cached_property
    def _dtype(self) -> str:
        found = Counter(each.dtype or DEFAULT_DTYPE for each in self._entries.values())
        return next((dtype for dtype, _ in found.most_common(1)), DEFAULT_DTYPE)

    def body(self, allow: Sequence[dict[str, str]]) -> dict[str, Any]:
        """The document, with the warnings that it excuses."""
        laid = self._places.lay_out((place, self._parameter(place, group)) for place, group in self._placed)
        firsts = {place.layer: group for place, group in reversed(self._placed)}
        for key, layer in laid["layers"].items():
            # A name with braces is spelled out by a repeat of its own.
            if "repeat" in layer and firsts[key].is_plain:
                layer["repeat"] = self._repeat(firsts[key], layer["repeat"])
        stored = {place.layer or "" for place, group in self._placed if group.example in self.tables}
        laid["layers"] = staged(laid["layers"], stored)
        rules = [rule for rule, _ in self.rules]
        words = set(re.findall(r"[A-Za-z_]\w*", repr((laid, rules))))
        head = {"initcfg": 1, "name": self._name, "dtype": self._dtype, "layout": self._layout}
        body = head | {"vars": self._vars(words), **laid, "rules": rules, "allow": list(allow)}
        return {key: value for key, value in body.items() if value not in (None, {}, [])}

    def _vars(self, words: set[str]) -> dict[str, Any]:
        """The counts of layers that expressions name."""
        return {name: count for name, count in self._places.vars.items() if name in words}

    def lines(self, comments: Mapping[str, str], rules: Iterable[Commented]) -> Iterator[str]:
        """The document as YAML, with comments above some of its keys and above its rules."""
        for key, value in self.body(self.allow).items():
            if key in _SECTIONS:
                yield "\n"
            yield _comment(comments.get(key, ""))
            if key != "rules":
                yield write_yaml({key: value})
                continue
            yield "rules:\n"
            for rule, comment in rules:
                yield _comment(comment, "  ")
                yield write_yaml({"rules": [rule]}).removeprefix("rules:\n")


def warnings_of(tree: dict[str, Any]) -> list[Diagnostic]:
    """What the checks say of a document, but for what no entry excuses: that it makes no weights."""
    spec = load(tree)
    found = check_plan(plan_of(spec), spec.allow, spec)
    return [each for each in found if each.code is not Code.NO_ELEMENTS]


def _comment(text: str, indent: str = "") -> str:
    return "".join(f"{indent}# {line}\n" for line in text.splitlines())


def stack_layout(name: str, shapes: Mapping[str, tuple[int, ...]], layout: str) -> str | None:
    """The letters of a stack of matrices, which would else be read as a convolution; None of what is none.

    Stacked experts are read by the shapes of both of their matrices, where these tell which axis is which.

    Example:
        >>> experts = {"m.gate_up_proj": (8, 64, 192), "m.down_proj": (8, 96, 64)}
        >>> stack_layout("m.down_proj", experts, "out_in")
        'BIO'
        >>> stack_layout("experts.weight", {"experts.weight": (8, 768, 2048)}, "out_in")
        'BOI'
    """
    shape = shapes[name]
    if len(shape) not in (3, 4):
        return None
    matrix, positions = ("OI", shape[2]) if layout == "out_in" else ("IO", shape[0])
    stack = f"{'B' * (len(shape) - 2)}{matrix}"
    return _expert_layout(name, shapes) or (stack if positions > _MOST_POSITIONS else None)


def _expert_layout(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    head, dot, leaf = name.rpartition(".")
    gate_up, down = (shapes.get(f"{head}{dot}{each}", ()) for each in _EXPERTS)
    if leaf not in _EXPERTS or len(gate_up) != 3 or len(down) != 3:
        return None
    (_, first, second), (_, third, fourth) = gate_up, down
    if first == fourth and second != third and second in (third, 2 * third):
        return "BIO"
    if second == third and first in (fourth, 2 * fourth):
        return "BOI"
    return "BIO" if first == fourth and second == 2 * third else None
