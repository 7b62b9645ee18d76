"""What is written about a parameter, resolved once for all parameters that it comes to the same for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.plan.effort import PART
from initcfg.plan.instantiate import Site, names_in
from initcfg.plan.problems import BrokenError
from initcfg.plan.references import extent_of
from initcfg.plan.resolve import form_of, kind_of, law_of

if TYPE_CHECKING:
    from initcfg.dtypes import DType
    from initcfg.layout import Layout
    from initcfg.plan.definitions import Definitions
    from initcfg.plan.resolve import Form, Law
    from initcfg.plan.scope import Scope
    from initcfg.plan.terms import Terms
    from initcfg.spec import Spec


class Resolver:
    """Terms, resolved once for each shape and each combination of the numbers that they depend on.

    Args:
        terms: what is written.
        spec: the document.
        definitions: what is known of its named initializers.
        constant: names whose values are the same for all parameters.
    """

    def __init__(self, terms: Terms, spec: Spec, definitions: Definitions, constant: frozenset[str]) -> None:
        self.terms = terms
        self._spec = spec
        self._broken = definitions.broken
        self._resolved: dict[tuple[object, ...], tuple[Form, Law] | None] = {}
        self._varying: tuple[str, ...] = ()
        self._parts = 1
        self._kind: tuple[DType, Layout | None] | None = None
        if terms.initializer is not None:
            self._varying = tuple(names_in(terms.initializer, spec, definitions.broken) - constant)
            self._parts = extent_of(terms.initializer, definitions.extents).parts

    def uses(self, names: tuple[str, ...]) -> bool:
        """Whether the initializer depends on one of `names`."""
        return any(name in self._varying for name in names)

    def resolve(self, shape: tuple[int, ...], scope: Scope) -> tuple[Form, Law]:
        """Form and law of a parameter.

        Raises:
            SpecError: what is written is wrong for this shape.
            BrokenError: that has been reported already.
        """
        key = (shape, *[scope.values.get(name) for name in self._varying])
        try:
            resolved = self._resolved[key]
        except KeyError:
            self._resolved[key] = None
            resolved = self._resolved[key] = self._resolve(shape, scope)
        if resolved is None:
            raise BrokenError
        return resolved

    def form(self, shape: tuple[int, ...], scope: Scope) -> Form:
        """What a parameter of that shape looks like.

        Raises:
            SpecError: there can be no such array, or the layout does not suit it.
        """
        if self._kind is None:
            self._kind = kind_of(self.terms, scope)
        return form_of(shape, self._kind, self.terms, scope)

    def _resolve(self, shape: tuple[int, ...], scope: Scope) -> tuple[Form, Law]:
        scope.pay(PART * self._parts, self.terms.initializer_path)
        form = self.form(shape, scope)
        site = Site(self._spec, scope, shape, form.layout, self._broken)
        return form, law_of(self.terms, form.dtype, site)
