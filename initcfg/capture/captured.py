"""A spec made of what was recorded: complete alone, written as a person writes, saved with its tables."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initcfg.capture.document import Document, Entry, stack_layout, warnings_of
from initcfg.capture.grouping import decisions, starred
from initcfg.capture.layers import Group, Index, is_number, numbers_apart, numbers_by_place
from initcfg.capture.numbers import Source, Study
from initcfg.capture.phrasing import Phrases
from initcfg.capture.values import Table, Unsaid
from initcfg.dtypes import DTYPES
from initcfg.errors import Code, SpecError
from initcfg.formats.atomic import replacing
from initcfg.generate.files import write
from initcfg.layout import Layout
from initcfg.plan import plan_of
from initcfg.process import cached_property
from initcfg.spec import Param, Spec, load

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np

    from initcfg.capture.audit import Audit
    from initcfg.capture.document import Commented
    from initcfg.capture.phrasing import Phrase
    from initcfg.capture.values import Recorded
    from initcfg.errors import Diagnostic

_TABLES = "{}.tables.safetensors"
_TOP = """\
The initialization of {name}, recorded while its code ran{source}.
"initcfg plan" shows the distributions."""
_REASONS = {
    Code.RANDOM_BIAS: "the model's own code draws them",
    Code.UNUSUAL_VARIANCE: "the model's own, whatever the width",
    Code.IDLE_TRUNCATION: "torch's own bounds of -2 and 2, which the model's code leaves as they are",
}
_REASON = "so the model's own code has it"
_PLAIN = ('{"initializer": "zeros"}', '{"initializer": "ones"}', '{"skip": true}')


@dataclass(frozen=True)
class Captured:
    """A live model's own initialization.

    Args:
        name: what the model is called.
        recorded: what was recorded of its parameters and buffers, in its order.
        source: its config, and a way to make it again with another.
        examine: audits its code; None where none does.
        layout: how all its weights are read; None as torch does, by their modules.

    Example:
        >>> from initcfg.capture.values import Recorded
        >>> from initcfg.initializers import RandomNormal
        >>> law = RandomNormal(0, 0.02)
        >>> weights = [Recorded(f"h.{i}.w", (8, 8), "float32", law, "Linear") for i in range(4)]
        >>> print(Captured("tiny", weights).text.partition("layers")[2])
        :
          h.{i}:
            repeat: {i: n_h}
            params:
              w: {shape: [8, 8]}
        <BLANKLINE>
        rules:
          - {match: "**", initializer: {random_normal: {stddev: 0.02}}}
        <BLANKLINE>
        allow:
          - {code: unusual-variance, match: "**", reason: "the model's own, whatever the width"}
        <BLANKLINE>
    """

    name: str
    recorded: Sequence[Recorded]
    source: Source = field(default_factory=Source)
    examine: Callable[[], Audit] | None = None
    layout: str | None = None

    @cached_property
    def spec(self) -> Spec:
        """The spec: shapes, laws, ties. Tables are in it, so that it can be planned at once.

        Raises:
            SpecError: no spec can hold a name, or say a tie to a name with braces.
        """
        return load(self._document.tree)

    @property
    def text(self) -> str:
        """The spec as YAML with comments; its tables are in a file beside it, as `save` writes them."""
        return self._document.text(_TABLES.format(re.sub(r"[^\w.-]", "_", self.name)))

    @property
    def unsaid(self) -> dict[str, Unsaid]:
        """The parameters without a law that a spec can say, by name; rules of the spec skip them."""
        return {
            each.name: each.law for each in self.recorded if isinstance(each.law, Unsaid) and each.persistent
        }

    @cached_property
    def audit(self) -> Audit:
        """What the model's code leaves out, does twice or undoes: it runs again when this is first read.

        Raises:
            TypeError: nothing audits models of the framework that it is of.
        """
        if self.examine is None:
            raise TypeError(f"{self.name} is of a framework whose models are not audited")
        return self.examine()

    def _repr_html_(self) -> str:
        """For a notebook: the plan of the spec as a table."""
        return plan_of(self.spec)._repr_html_()

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """Fixed values that no formula gives and that are too many to write out, by parameters' names."""
        return self._document.tables

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the spec, and beside it the tables where there are some.

        Args:
            path: of the spec, ``NAME.yaml``; the tables become ``NAME.tables.safetensors``.

        Raises:
            OutputError: a file cannot be written.
            SpecError: no spec can hold a name, or say a tie to a name with braces.
        """
        target = Path(path)
        beside = target.with_name(_TABLES.format(target.stem))
        if self.tables:
            dtypes = {each.name: each.dtype for each in self.recorded}
            params = {
                name: Param(shape=table.shape, initializer=table, dtype=dtypes[name])
                for name, table in self.tables.items()
            }
            write(plan_of(Spec(params=params)), beside)
        data = self._document.text(beside.name).encode()
        with replacing(target, len(data)) as file:
            file.write(data)

    @cached_property
    def _document(self) -> _Document:
        recorded = [_apart(each) for each in self.recorded if each.persistent]
        return _Document(self.name, recorded, self.source, self.layout)


def _apart(recorded: Recorded) -> Recorded:
    """What is tied to a parameter that is skipped is skipped itself."""
    return replace(recorded, tied_to=None) if isinstance(recorded.law, Unsaid) else recorded


class _Document(Document):
    """The document of one model that was recorded."""

    def __init__(self, name: str, recorded: Sequence[Recorded], source: Source, layout: str | None) -> None:
        self._stated = layout
        self._recorded = {each.name: each for each in recorded}
        self._shapes = {each.name: each.shape for each in recorded}
        self._source = source
        self._study = Study(recorded, source)
        self._modules = _by_module(recorded)
        self._most = layout or _common_layout(recorded)
        entries = {each.name: self._entry(each) for each in recorded}
        # Flax and Keras number layers inside of their names: block_1.
        super().__init__(name, entries, self._most, numbers_apart if layout else str)
        self._examples = dict(self._looked_at())

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """The values that do not stand in the document."""
        laws = ((name, self._recorded[name].law) for name, each in self.phrases.items() if each.is_stored)
        return {name: law.values for name, law in laws if isinstance(law, Table)}

    def _entry(self, recorded: Recorded) -> Entry:
        if recorded.tied_to and re.search("[{}]", recorded.tied_to):
            message = f"{recorded.name!r} is tied to {recorded.tied_to!r}, and no spec can say so"
            hint = "braces in tied_to hold expressions: give the parameter a name without them"
            raise SpecError.of(Code.INPUT, message, hint)
        tied = recorded.tied_to and numbers_by_place(recorded.name, recorded.tied_to)
        return Entry(
            recorded.shape,
            recorded.dtype if recorded.dtype in DTYPES else None,
            tied_to=tied,
            layout=None if tied else self._letters(recorded),
            table=recorded.law.values.tobytes() if isinstance(recorded.law, Table) else b"",
            beside=self._modules[recorded.name.rpartition(".")[0]],
        )

    def _letters(self, recorded: Recorded) -> str | None:
        """The layout of a stack of matrices, which would else be read as a convolution."""
        if recorded.layout or "Conv" in recorded.module:
            return recorded.layout
        return stack_layout(recorded.name, self._shapes, self._most)

    def layout_of(self, recorded: Recorded) -> Layout:
        """How the fans of a parameter are read: torch reads (out, in, ...), but for transformers' Conv1D."""
        if stated := recorded.layout or self._stated:
            return Layout(stated)
        return Layout("in_out" if recorded.module == "Conv1D" else "out_in")

    def _looked_at(self) -> Iterator[tuple[str, str]]:
        """The example of each group, and the name to see where its numbers come from.

        The models that are made again have few layers. A layer that they lack says its numbers as the first
        layer does that holds the same.
        """
        layers: dict[str, dict[str, Group]] = {}
        for place, group in self._placed:
            layers.setdefault(place.layer or "", {})[place.key] = group
        first: dict[tuple[str, str], dict[str, Group]] = {}
        base = next((build.of for build in self._study.builds if build.of), self._study.model)
        for layer, groups in layers.items():
            held = repr([(key, group.entry) for key, group in groups.items()])
            same = first.setdefault((starred(layer), held), groups)
            for key, group in groups.items():
                yield group.example, (group if group.example in base.tensors else same[key]).example

    @cached_property
    def phrases(self) -> dict[str, Phrase]:
        """The phrase of each parameter that has a law of its own; members of a group share the first's."""
        members: dict[tuple[str, str, bool], list[str]] = {}
        phrases = Phrases(self._study, self.layout_of)
        group_of = {name: self._examples[group.example] for group in self._groups for name in group.names}
        for name, recorded in self._recorded.items():
            if recorded.tied_to is None:
                law = recorded.law
                key = name if isinstance(law, Table) else repr(law)
                lent = phrases.weight_of(recorded) is not None
                members.setdefault((group_of[name], key, lent), []).append(name)
        examples = [self._recorded[names[0]] for names in members.values()]
        said = phrases.all(examples)
        return {name: said[names[0]] for names in members.values() for name in names}

    def _repeat(self, group: Group, repeat: dict[str, Any]) -> dict[str, Any]:
        """The repeat of a layer, each count by what it comes from: two counts may be equal by chance."""
        indices = [at for at, each in enumerate(group.segments) if isinstance(each, Index)]
        return {
            index: self._range(group.example.split(".")[:at], value)
            for at, (index, value) in zip(indices, repeat.items(), strict=False)
        }

    def _range(self, before: Sequence[str], value: Any) -> Any:
        if isinstance(value, dict):
            return {**value, "to": self._range(before, value["to"])}
        found = None
        if isinstance(value, str) and self._source.rebuild is not None:
            found = self._study.explain(lambda build: _copies_at(build.tensors, before))
        return found.text if found else value

    def _axis(self, group: Group, axis: int, size: int) -> int | str:
        name = self._examples[group.example]

        def quantity(build: Any) -> int | None:
            found = build.tensors.get(name)
            return found.shape[axis] if found and len(found.shape) > axis else None

        found = self._study.explain(quantity)
        return found.text if found else size

    def _vars(self, words: set[str]) -> dict[str, Any]:
        """The values that expressions name, in the order of the config, and counts of no other name."""
        values: dict[str, Any] = {}
        for name, value in self._source.values.items():
            var, listed, _ = name.partition("(")
            if var in words and listed:
                values.setdefault(var, []).append(value)
            elif var in words:
                values[name] = value
        return values | super()._vars(words)

    # Rules.

    @cached_property
    def _decided(self) -> list[tuple[str, Phrase]]:
        """The patterns of the rules, and what they say."""
        first: dict[str, Phrase] = {}
        for phrase in self.phrases.values():
            first.setdefault(phrase.meaning, phrase)
        decided = decisions({name: phrase.meaning for name, phrase in self.phrases.items()}, _PLAIN)
        return [(match, first[meaning]) for match, meaning in decided]

    @property
    def rules(self) -> list[Commented]:
        """The rules, each with its comment."""
        return [({"match": match} | phrase.keys, phrase.comment) for match, phrase in self._decided]

    @property
    def tree(self) -> dict[str, Any]:
        """The document with the tables in it."""
        return self._with_tables(self.body(self.allow))

    def _with_tables(self, body: dict[str, Any]) -> dict[str, Any]:
        tables = self.tables
        for place, group in self._placed:
            if group.example in tables:
                here = body if place.layer is None else body["layers"][place.layer]
                here["params"][place.key]["initializer"] = tables[group.example]
        rules = [{"match": match} | phrase.keys for match, phrase in self._decided if not phrase.is_stored]
        return body | {"rules": rules}

    @cached_property
    def allow(self) -> list[dict[str, str]]:
        """A reason for each warning of what the model itself does, and for nothing else."""
        tree = self._with_tables(self.body(()))
        warned: dict[Code, set[str]] = {}
        for each in warnings_of(tree):
            warned.setdefault(each.code, set()).update(self._told(each))
        allow = [
            {"code": str(code), "match": decision.match, "reason": _REASONS.get(code, _REASON)}
            for code, names in warned.items()
            for decision in decisions({name: str(name in names) for name in self.phrases}, [str(True)])
            if decision.meaning == str(True)
        ]
        left = warnings_of(tree | {"allow": allow})
        idle = {each.where.path[1] for each in left if each.code == Code.UNUSED_ALLOW and each.where}
        allow = [each for at, each in enumerate(allow) if at not in idle]
        whole = {each.code for each in left if each.code != Code.UNUSED_ALLOW}
        return [
            *(each for each in allow if each["code"] not in whole),
            *({"code": str(code), "reason": _REASONS.get(code, _REASON)} for code in sorted(whole)),
        ]

    def _told(self, warning: Diagnostic) -> set[str]:
        """The parameters that a warning is about: those under its place, with the same phrase."""
        match = re.search(r"'([^']+)'", warning.message)
        name = match[1] if match else ""
        if name not in self.phrases:
            return set(self.phrases)
        said, ndim = self.phrases[name].said, len(self._entries[name].shape)
        return {
            other
            for other, phrase in self.phrases.items()
            if phrase.said == said and len(self._entries[other].shape) == ndim
        }

    def text(self, tables: str) -> str:
        """The document as YAML with comments; `tables` is the file that holds what does not stand in it."""
        source = ", and again with other values of its config" if self._source.rebuild else ""
        stored = {"initializer": {"pretrained": {"file": tables}}}
        rules = (
            ({"match": match} | (stored if phrase.is_stored else phrase.keys), phrase.comment)
            for match, phrase in self._decided
        )
        return "".join(self.lines({"initcfg": _TOP.format(name=self._name, source=source)}, rules))


def _common_layout(recorded: Sequence[Recorded]) -> str:
    """Transformers' Conv1D keeps (in, out), all else of torch (out, in)."""
    matrices = Counter(each.module == "Conv1D" for each in recorded if len(each.shape) == 2)
    return "in_out" if matrices[True] > matrices[False] else "out_in"


def _by_module(recorded: Sequence[Recorded]) -> dict[str, tuple[tuple[str, tuple[int, ...]], ...]]:
    """What each module holds itself: its parts stay together, a count of batches beside the norm's scale."""
    modules: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for each in recorded:
        head, _, leaf = each.name.rpartition(".")
        modules.setdefault(head, []).append((leaf, each.shape))
    return {head: tuple(held) for head, held in modules.items()}


def _copies_at(tensors: Mapping[str, Recorded], before: Sequence[str]) -> int | None:
    """One more than the largest number that stands after some segments in any name."""
    found = [
        int(segments[len(before)])
        for segments in (name.split(".") for name in tensors)
        if segments[: len(before)] == list(before) and is_number(segments[len(before)])
    ]
    return max(found) + 1 if found else None
