"""A parameter as a layer writes it, planned once for each copy of the layer, at little cost a copy.

Copies of a layer differ in their names, and rarely in more. So what shape and initializer depend on is found
once, and what they come to is kept for each combination of just those indices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from initcfg import initializers
from initcfg.errors import Code
from initcfg.plan.instantiate import Site, names_in
from initcfg.plan.names import name_problem
from initcfg.plan.parameters import PlannedParameter
from initcfg.plan.problems import BrokenError
from initcfg.plan.resolve import Form, Law, form_of, law_of
from initcfg.spec import Expression, Template
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.errors import Location
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Param, Spec

__all__ = ["ParameterTemplate", "Tie"]

#: What the copies with the same relevant indices share; None where that has a problem.
Resolved = tuple[Form, Law | None] | None


@dataclass(frozen=True, slots=True)
class Tie:
    """A parameter that shares another one's array, before that one is looked up."""

    name: str
    form: Form
    target: str
    path: Path
    where: Location


@dataclass
class ParameterTemplate:
    """One entry of a layer's ``params``.

    Args:
        spec: the document.
        broken: named initializers that must not be followed.
        prefix: the layer's name with its dot, or nothing for a top-level parameter.
        key: the entry's name.
        param: the entry.
        path: where it stands.
        is_usable: whether the initializer may be built; its problem has been reported if not.
    """

    spec: Spec
    broken: frozenset[str]
    prefix: str
    key: str
    param: Param
    path: Path
    is_usable: bool = True
    _resolved: dict[tuple[object, ...], Resolved] = field(default_factory=dict, init=False)

    def plan(self, scope: Scope) -> PlannedParameter | Tie:
        """The parameter of one copy.

        Raises:
            SpecError: with what is wrong with it.
        """
        name = self._full_name(scope)
        form, law = self._form_and_law(scope)
        if law is None:
            return Tie(name, form, self._other_name("tied_to", name, scope), self.path, self._where)
        stream_name = self._other_name("stream", name, scope)
        stream = Stream.of_parameter(self.spec.seed, stream_name)
        return PlannedParameter(
            name=name,
            shape=form.shape,
            dtype=form.dtype,
            layout=form.layout,
            fans=form.fans,
            initializer=law.initializer,
            distribution=law.distribution,
            stream=initializers.stream_of(law.initializer, form.shape, stream),
            stream_name=stream_name,
            where=self._where,
        )

    def _full_name(self, scope: Scope) -> str:
        layer = scope.text(self._layer_template, self.path[:2], key=True) if self.prefix else ""
        name = layer + scope.text(self._key_template, self.path, key=True)
        problem = name_problem(name)
        if problem is not None:
            raise scope.problems.error(*problem, self.path, key=True)
        return name

    def _other_name(self, field: Literal["stream", "tied_to"], default: str, scope: Scope) -> str:
        """The full name that a field of the entry gives."""
        written = getattr(self.param, field)
        return default if written is None else scope.text(Template.parse(written), (*self.path, field))

    def _form_and_law(self, scope: Scope) -> tuple[Form, Law | None]:
        if not self.is_usable:
            raise BrokenError
        key = tuple(scope.values.get(name) for name in self._relevant)
        if key not in self._resolved:
            self._resolved[key] = None
            self._resolved[key] = self._resolve(scope)
        resolved = self._resolved[key]
        if resolved is None:
            raise BrokenError
        return resolved

    def _resolve(self, scope: Scope) -> tuple[Form, Law | None]:
        form = form_of(self.spec, self.param, self.path, scope)
        if self.param.tied_to is None:
            return form, law_of(self._site(form, scope), self.param, self.path, form.dtype)
        for other in ("initializer", "stream", "layout"):
            if getattr(self.param, other) is not None:
                message = f"a tied parameter is what its target is, so it has no {other!r} of its own"
                hint = f"remove {other!r} or 'tied_to'"
                raise scope.problems.error(Code.TIED, message, (*self.path, other), key=True, hint=hint)
        return form, None

    def _site(self, form: Form, scope: Scope) -> Site:
        return Site(self.spec, scope, form.shape, form.layout, self.broken)

    @cached_property
    def _layer_template(self) -> Template:
        return Template.parse(self.prefix)

    @cached_property
    def _key_template(self) -> Template:
        return Template.parse(self.key)

    @cached_property
    def _where(self) -> Location:
        return self.spec.locate(self.path, key=True)

    @cached_property
    def _relevant(self) -> tuple[str, ...]:
        """The names that shape and initializer depend on."""
        used: set[str] = set()
        for dim in self.param.shape:
            if isinstance(dim, str):
                used |= Expression.parse(dim).names
        if self.param.initializer is not None:
            used |= names_in(self.param.initializer, self.spec, self.broken)
        return tuple(sorted(used))
