"""Names with braces: of layers, parameters, streams, ties."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from initcfg.expressions import Template
from initcfg.expressions.grammar import Name
from initcfg.plan.scope import LONG_NAME, cost_of

if TYPE_CHECKING:
    from collections.abc import Container

    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope


_MAX_TEXTS = 4096


class NameText:
    """A layer's name, a parameter's, or that of its stream or of what it is tied to.

    What a pair of braces comes to is kept for each value of the indices in it; the names in `constant` have
    the same value for all copies.
    """

    def __init__(self, text: str, path: Path, constant: Container[str], *, key: bool = False) -> None:
        self._parts: list[str | _Braces] = [
            part
            if isinstance(part, str)
            else _Braces(
                Template(text, (part,)),
                path,
                key,
                part.expression.tree.name if isinstance(part.expression.tree, Name) else None,
                tuple(
                    sorted(
                        name
                        for name in part.expression.names | part.expression.hideable
                        if name not in constant
                    )
                ),
                cost_of(part.expression.tree),
            )
            for part in Template.parse(text).parts
        ]
        self._path = path
        self._plain = None if "{" in text else text

    def fill(self, scope: Scope) -> str:
        """The name, for what the indices are now."""
        if self._plain is not None:
            return self._plain
        text = "".join([part if isinstance(part, str) else part.fill(scope) for part in self._parts])
        if len(text) > LONG_NAME:
            scope.pay(len(text) >> 4, self._path)
        return text


@dataclass(slots=True)
class _Braces:
    """One pair of braces; `index` is the name that stands there alone, `varying` what may change in it."""

    template: Template
    path: Path
    key: bool
    index: str | None
    varying: tuple[str, ...]
    cost: int
    known: dict[tuple[object, ...], str] = field(default_factory=dict)

    def fill(self, scope: Scope) -> str:
        if self.index is not None:
            value = scope.values.get(self.index)
            # An index counts or runs over texts; a var may be a fraction, and is looked at below.
            if type(value) is int:
                return str(value)
        values = tuple([scope.values.get(name) for name in self.varying])
        text = self.known.get(values)
        if text is None:
            text = scope.text(self.template, self.path, key=self.key, cost=self.cost)
            if len(self.known) >= _MAX_TEXTS:
                self.known.clear()
            self.known[values] = text
        return text
