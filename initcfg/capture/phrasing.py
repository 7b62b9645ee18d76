"""How a spec says the law of a parameter: by names of torch's schemes, by fans, by values of the config."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initcfg.capture.values import Table, Unsaid
from initcfg.layout import Layout, resolved_fans
from initcfg.spec.models import read_initializer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from initcfg.capture.numbers import Build, Explained, Study
    from initcfg.capture.values import Recorded, Write

Path_ = tuple[str | int, ...]

# Arrays of so few elements are written out.
_FEW = 16
# The name of the file is put in when the spec is written.
_STORED = {"pretrained": {"file": "tables"}}
# What has a name of its own.
_PLAIN = {"constant": "zeros", "{'constant': {'value': 0}}": "zeros", "{'constant': {'value': 1}}": "ones"}
# The argument that alone says how wide a law is.
_WIDTHS = {
    "random_normal": "stddev",
    "random_uniform": "maxval",
    "trunc_normal": "std",
    "truncated_normal": "stddev",
}
_TORCH = "torch/nn/modules"
_FANS = ("fan_in", "fan_out", "fan_avg")
# What torch.nn.init calls them.
_NAMED: dict[tuple[str, str], Any] = {
    ("random_uniform", "1 / sqrt(fan_in)"): {"kaiming_uniform": {"a": "sqrt(5)"}},
    ("random_uniform", "sqrt(6 / fan_in)"): "kaiming_uniform",
    ("random_uniform", "sqrt(6 / fan_out)"): {"kaiming_uniform": {"mode": "fan_out"}},
    ("random_uniform", "sqrt(3 / fan_in)"): "lecun_uniform",
    ("random_uniform", "sqrt(3 / fan_avg)"): "xavier_uniform",
    ("random_normal", "sqrt(2 / fan_in)"): "kaiming_normal",
    ("random_normal", "sqrt(2 / fan_out)"): {"kaiming_normal": {"mode": "fan_out"}},
    ("random_normal", "1 / sqrt(fan_avg)"): "xavier_normal",
}


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a rule says beside its pattern, as JSON, so that equal ones are one; and where it comes from."""

    said: str
    comment: str = ""
    is_stored: bool = False

    @property
    def meaning(self) -> str:
        """What makes two phrases one rule: what they say and, of what has no law, why."""
        return self.said + self.comment if "skip" in self.keys else self.said

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of a rule."""
        keys: dict[str, Any] = json.loads(self.said)
        return keys


class Phrases:
    """The phrases of the parameters of one model."""

    def __init__(self, study: Study, layouts: Callable[[Recorded], Layout]) -> None:
        self._study, self._layouts = study, layouts
        self._trees: dict[tuple[int, str], Any] = {}

    def all(self, examples: Iterable[Recorded]) -> dict[str, Phrase]:
        """A phrase for each, by name; what one line of code wrote is looked at together."""
        phrases: dict[str, Phrase] = {}
        together: dict[object, list[Recorded]] = {}
        for each in examples:
            inner = each.writes[-1].inner if each.writes else None
            key = inner, type(each.law).__name__, len(each.shape) > 1, self.weight_of(each) is None
            together.setdefault(key, []).append(each)
        for group in together.values():
            fan = self._fan(group)
            for each in group:
                phrases[each.name] = self._phrase(each, fan)
        return phrases

    def _phrase(self, recorded: Recorded, by_fan: str | None) -> Phrase:
        law, where = recorded.law, _where(recorded.writes)
        if isinstance(law, Unsaid):
            site = f", {Path(law.site.file).name}:{law.site.line}" if law.site else ""
            return Phrase(json.dumps({"skip": True}), f"Left out: {law.reason}{site}")
        if isinstance(law, Table):
            small = law.values.size <= _FEW
            said = {"constant": {"value": law.values.tolist()}} if small else _STORED
            return Phrase(json.dumps({"initializer": said}), where, is_stored=not small)
        tree = self._tree(self._study.model, recorded.name)
        if str(tree).replace(".0", "") in _PLAIN:
            return Phrase(json.dumps({"initializer": _PLAIN[str(tree).replace(".0", "")]}))
        if by_fan is not None:
            return Phrase(json.dumps(_said_by_fan(recorded, tree, by_fan)))
        said = self._explained(recorded.name, tree, ())
        return Phrase(json.dumps({"initializer": said}), where if _is_literal(said) else "")

    def _tree(self, build: Build, name: str) -> Any:
        """The law as a spec writes it, with its numbers; None where a build has none."""
        key = id(build), name
        if key not in self._trees:
            found = build.tensors.get(name)
            bare = found is None or isinstance(found.law, Table | Unsaid)
            self._trees[key] = None if bare else _opened(read_initializer(found.law).tree())  # type: ignore[union-attr]
        return self._trees[key]

    def _explained(self, name: str, tree: Any, path: Path_) -> Any:
        """A tree with expressions in the place of the numbers that have one."""
        if isinstance(tree, dict):
            return {key: self._explained(name, item, (*path, key)) for key, item in tree.items()}
        if isinstance(tree, _Text):
            return "".join(map(str, (self._within(name, tree, at, path) for at in range(len(tree)))))
        if isinstance(tree, list):
            return [self._explained(name, item, (*path, at)) for at, item in enumerate(tree)]
        if isinstance(tree, bool) or not isinstance(tree, int | float) or not tree:
            return tree
        sign = 1 if tree > 0 else -1
        found = self._study.explain(lambda build: _number(self._tree(build, name), path, sign))
        if found is None:
            return tree
        return found.text if sign > 0 else f"-({found.text})" if " + " in found.text else f"-{found.text}"

    def _within(self, name: str, text: _Text, at: int, path: Path_) -> Any:
        """A piece of an expression, in the place of a number what that comes from."""
        if isinstance(text[at], str):
            return text[at]

        def number(build: Build) -> float | None:
            other = _at(self._tree(build, name), path)
            alike = isinstance(other, _Text) and other[::2] == text[::2]
            return _number(other, (at,), 1) if alike else None

        found = self._study.explain(number)
        if found is None:
            return text[at]
        return f"({found.text})" if " " in found.text else found.text

    def _fan(self, group: list[Recorded]) -> str | None:
        """How laws of one line of code go by a fan; None without good reason to say so.

        The expression must be the same for all of them, hold for two sizes of the fan at least unless it is
        that of torch's own layers, and leave fewer values of the config to be named than there are without.
        """
        trees = [self._tree(self._study.model, each.name) for each in group]
        if not all(map(_is_centred, trees)):
            return None
        plain = [self._width(each) for each in group]
        for fan in _FANS:
            found = [self._width(each, fan) for each in group]
            told = [each for each in found if each is not None]
            if len(told) < len(found) or len({each.text for each in told}) > 1:
                continue
            sizes = {size for each in told for size in each.fans}
            files = {write.inner.file for each in group for write in each.writes[-1:]}
            own = fan == "fan_in" and bool(files) and all(_TORCH in file for file in files)
            simpler = all(
                one is None or len(one.names) > len(other.names)
                for one, other in zip(plain, told, strict=True)
            )
            if simpler and (own or len(sizes) > 1):
                return told[0].text
        return None

    def _width(self, recorded: Recorded, fan: str = "") -> Explained | None:
        """What the number that says how wide a centred law is comes from, given a fan or none."""
        (kind,) = self._tree(self._study.model, recorded.name)
        path: Path_ = (kind, _WIDTHS[kind])

        def width(build: Build) -> float | None:
            return _number(self._tree(build, recorded.name), path, 1)

        def size(build: Build) -> float | None:
            return self._fan_of(build, recorded, fan)

        return self._study.explain(width, fan, size if fan else None)

    def _fan_of(self, build: Build, recorded: Recorded, fan: str) -> float | None:
        shape, layout = recorded.shape, self._layouts(recorded)
        name = recorded.name if len(shape) > 1 else self.weight_of(recorded)
        owner = build.tensors.get(name or "")
        if owner is None or len(owner.shape) < 2:
            return None
        fans = resolved_fans(owner.shape, layout)
        return float(getattr(fans, fan))

    def weight_of(self, recorded: Recorded) -> str | None:
        """The weight beside a bias, whose fans it may have: not one that a rule skips."""
        head, dot, _ = recorded.name.rpartition(".")
        weight = self._study.model.tensors.get(f"{head}{dot}weight")
        if weight is None or weight.name == recorded.name or isinstance(weight.law, Unsaid):
            return None
        return weight.name


def _said_by_fan(recorded: Recorded, tree: Any, text: str) -> dict[str, Any]:
    (kind,) = tree
    if len(recorded.shape) > 1:
        named = _NAMED.get((kind, text))
        if named is not None:
            return {"initializer": named}
    arguments = {**tree[kind], _WIDTHS[kind]: text}
    if kind == "random_uniform":
        arguments["minval"] = f"-{text}"
    keys: dict[str, Any] = {"initializer": {kind: arguments}}
    return keys if len(recorded.shape) > 1 else {**keys, "fans_of": "weight"}


class _Text(tuple[Any, ...]):
    """An expression in pieces: text and numbers by turns."""

    __slots__ = ()


_NUMBER = re.compile(r"((?<![\w.])\d+(?:\.\d*)?(?:e[+-]?\d+)?(?![\w.]))")


def _opened(tree: Any) -> Any:
    """A tree with the numbers in its formulas apart from the text around them."""
    if isinstance(tree, list):
        return list(map(_opened, tree))
    if not isinstance(tree, dict):
        return tree
    if isinstance(tree.get("formula"), dict) and isinstance(value := tree["formula"].get("value"), str):
        pieces = _NUMBER.split(value)
        text = _Text(json.loads(each) if at % 2 else each for at, each in enumerate(pieces))
        return {"formula": {**_opened(tree["formula"]), "value": text}}
    return {key: _opened(each) for key, each in tree.items()}


def _at(tree: Any, path: Path_) -> Any:
    for step in path:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _number(tree: Any, path: Path_, sign: int) -> float | None:
    found = _at(tree, path)
    return found * sign if isinstance(found, int | float) and not isinstance(found, bool) else None


def _is_centred(tree: Any) -> bool:
    """Whether one number says how wide a law about 0 is."""
    if not isinstance(tree, dict):
        return False
    (kind,) = tree
    if kind == "random_uniform":
        arguments = tree[kind]
        return bool(arguments) and "maxval" in arguments and arguments.get("minval") == -arguments["maxval"]
    return kind in _WIDTHS and _WIDTHS[kind] in tree[kind] and "mean" not in tree[kind]


def _is_literal(said: Any) -> bool:
    """Whether numbers stand in an initializer that nobody can tell the origin of."""
    if isinstance(said, dict):
        return any(map(_is_literal, said.values()))
    if isinstance(said, list):
        return any(map(_is_literal, said))
    return isinstance(said, float)


def _where(writes: tuple[Write, ...]) -> str:
    if not writes:
        return ""
    write = writes[-1]
    return f"{write.call}, {Path(write.site.file).name}:{write.site.line}"
