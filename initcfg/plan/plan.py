"""The plan: a frozen list of planned parameters, the same as plain data, and its fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import operator
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from initcfg import initializers
from initcfg.dtypes import is_bool
from initcfg.engines.recipe import Constant, prepare
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError, UnknownParameterError
from initcfg.globs import Glob, glob_hint
from initcfg.initializers.components import weights_of
from initcfg.initializers.configs import serialize_by_content
from initcfg.initializers.registry import snake_case
from initcfg.names import did_you_mean
from initcfg.process import cached_property, load
from initcfg.spec import dump_tree
from initcfg.stream import STREAM_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initcfg.distributions import Distribution
    from initcfg.plan.parameters import PlannedParameter, SkippedParameter
    from initcfg.spec import Spec

#: The way out wherever a plan file says what no plan would.
EDITED_HINT = "change the spec and write the plan again: initcfg plan SPEC -o PLAN"


def parameter_data(parameter: PlannedParameter) -> dict[str, Any]:
    """One parameter of a plan document; `initcfg.plan.document.ParameterDocument` says what is in it."""
    fans = parameter.fans
    return {
        "name": parameter.name,
        "shape": list(parameter.shape),
        "dtype": parameter.dtype.name,
        "layout": parameter.layout.name if parameter.layout else None,
        "fan_in": fans.fan_in if fans else None,
        "fan_out": fans.fan_out if fans else None,
        "initializer": _initializer(parameter),
        "distribution": law_data(parameter.distribution),
        "stream": parameter.stream.digest.hex(),
        "stream_name": parameter.stream_name,
        "tied_to": parameter.tied_to,
        "nbytes": parameter.nbytes,
        **({} if parameter.fans_of is None else {"fans_of": parameter.fans_of}),
        **({} if parameter.rule is None else {"rule": parameter.rule}),
        **_components(parameter),
        **_place(parameter.where),
    }


def skipped_data(skipped: Iterable[SkippedParameter]) -> dict[str, Any]:
    """The entry of a plan document for what rules leave out; none where there is nothing."""
    rows = [
        {"name": each.name, **({} if each.rule is None else {"rule": each.rule}), **_place(each.where)}
        for each in skipped
    ]
    return {"skipped": rows} if rows else {}


def fingerprint_of(parameters: Iterable[PlannedParameter], stream_version: int) -> str:
    """SHA-256, in hexadecimal, over what decides the values of parameters, whatever their order."""
    facts = sorted(map(deciding_facts, parameters), key=lambda fact: str(fact["name"]))
    content = {"stream_version": stream_version, "parameters": facts}
    text = _json(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_text(document: Mapping[str, Any]) -> str:
    """A plan document as JSON, one line for each parameter: quick to write, and to compare line by line."""
    *facts, (last, parameters) = document.items()
    lines = ["{", *(f"  {_json(key)}: {_json(value)}," for key, value in facts)]
    if not parameters:
        return "\n".join([*lines, f"  {_json(last)}: []", "}", ""])
    rows = ",\n".join(f"    {_json(parameter)}" for parameter in parameters)
    return "\n".join([*lines, f"  {_json(last)}: [", rows, "  ]", "}", ""])


def _json(value: object, **style: Any) -> str:
    text: str = load("json").dumps(value, allow_nan=False, **style)
    return text


def deciding_facts(parameter: PlannedParameter) -> dict[str, Any]:
    """What decides a parameter's values: its law if it has one, else its initializer and layout."""
    facts = {
        "name": parameter.name,
        "shape": parameter.shape,
        "dtype": parameter.dtype.name,
        "tied_to": parameter.tied_to,
    }
    stream = parameter.stream.digest.hex()
    if parameter.distribution is None:
        layout = parameter.layout.name if parameter.layout else None
        made = _initializer(parameter, by_content=True)
        lent = parameter.layout.given if parameter.layout else None
        fans = {} if lent is None else {"fans": lent}
        return {**facts, "stream": stream, "layout": layout, **fans, "initializer": made}
    recipe = prepare(parameter.distribution, parameter.dtype)
    if isinstance(recipe, Constant):
        # One value in that dtype, whatever scheme and numbers it came from; no random number enters.
        return {**facts, "value": recipe.value}
    return {**facts, "stream": stream, "distribution": law_data(parameter.distribution)}


def _initializer(parameter: PlannedParameter, *, by_content: bool = False) -> dict[str, Any]:
    serialize = serialize_by_content if by_content else initializers.serialize
    try:
        written = serialize(parameter.initializer)
        _json(written["config"])
    except InitializerError as error:
        raise _unwritable(parameter, *error.diagnostics) from None
    except (TypeError, ValueError, RecursionError) as error:
        name = type(parameter.initializer).__name__
        hint = f"let {name}.get_config return finite numbers, strings, lists and dicts only"
        message = f"the config of {name} does not fit into JSON: {error}"
        raise _unwritable(parameter, Diagnostic(Code.NOT_SERIALIZABLE, message, hint=hint)) from None
    named = {"registered_name": written["registered_name"]} if written["registered_name"] else {}
    return {"class_name": written["class_name"], "config": written["config"], **named}


def _unwritable(parameter: PlannedParameter, *faults: Diagnostic) -> SpecError:
    message = f"parameter {parameter.name!r} is made by code that a plan cannot hold"
    where = parameter.where or Location()
    return SpecError(
        *(dataclasses.replace(fault, message=f"{message}: {fault.message}", where=where) for fault in faults)
    )


def _components(parameter: PlannedParameter) -> dict[str, Any]:
    """The entry for the parts of a law that is not one distribution; none where nothing is known of them."""
    if parameter.distribution is not None or parameter.tied_to is not None or not parameter.numel:
        return {}
    parts = parameter.components
    boxes = [each.box(parameter.shape) for each in parts]
    rows, is_known = [], False
    for each, box, weight in zip(parts, boxes, weights_of(boxes, parameter.numel), strict=True):
        facts: dict[str, Any] = dict.fromkeys(("mean", "std", "low", "high"))
        with suppress(InitializerError):  # a fault that planning did not see; making the array tells it
            summary = each.summary()
            if summary is not None:
                is_known = True
                numbers = summary._asdict()
                facts = {key: number if math.isfinite(number := numbers[key]) else None for key in facts}
                facts |= {"atoms": [list(atom) for atom in summary.atoms], "exact": summary.is_exact}
        region = [[taken.start, taken.stop] for taken in box]
        rows.append({"region": region, "weight": weight, "law": law_data(each.distribution), **facts})
    return {"components": rows} if is_known else {}


def law_data(distribution: Distribution | None) -> dict[str, Any] | None:
    """A distribution as plain data; None where there is none."""
    if distribution is None:
        return None
    data: dict[str, Any] = {"kind": snake_case(type(distribution).__name__)}
    for name in type(distribution).__match_args__:  # `dataclasses.asdict` takes ten times as long
        number = getattr(distribution, name)
        data[name] = None if number == math.inf else number  # the radius of a complex normal without a cut
    return data


def _place(where: Location | None) -> dict[str, Any]:
    if where is None or where.file is None:
        return {}
    return {"where": {"file": where.file, "line": where.line, "column": where.column}}


_SAYS_SO = rb'"format"\s*:\s*"initcfg\.plan"'
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Plan:
    """Every parameter of a model and how it begins, in the spec's order.

    Iterating gives `PlannedParameter` values; ``plan["h.0.weight"]`` is one of them.

    Args:
        name: the spec's name, or None.
        seed: the seed that parameter streams were derived from.
        parameters: with unique names.
        stream_version: the version of the contract of the bits.
        skipped: the parameters that rules leave out on purpose; they are no part of the plan's value.
        notes: what is worth knowing and is no fault, such as an inherited rule that has no effect.
        spec: what the plan was made from, with what it extends and what was set; no part of the plan's value.
    """

    name: str | None
    seed: int
    parameters: tuple[PlannedParameter, ...]
    stream_version: int = STREAM_VERSION
    skipped: tuple[SkippedParameter, ...] = field(default=(), compare=False)
    notes: tuple[Diagnostic, ...] = field(default=(), compare=False)
    spec: Spec | None = field(default=None, compare=False, repr=False)

    @cached_property
    def _by_name(self) -> dict[str, PlannedParameter]:
        return {parameter.name: parameter for parameter in self.parameters}

    @overload
    def __getitem__(self, name: str) -> PlannedParameter: ...
    @overload
    def __getitem__(self, name: SupportsIndex) -> PlannedParameter: ...
    def __getitem__(self, name: str | SupportsIndex) -> PlannedParameter:
        """One parameter, by its full name or its position.

        Raises:
            UnknownParameterError: no parameter has that name (code ``unknown-parameter``).
            IndexError: the plan has no such position.
            TypeError: neither a name nor a position.
        """
        if not isinstance(name, str):
            if is_bool(name) or not isinstance(name, SupportsIndex):
                raise TypeError(f"a plan is indexed by a name or a position, not by {name!r}")
            return self.parameters[operator.index(name)]
        if name in self._by_name:
            return self._by_name[name]
        hint = did_you_mean(name, self._by_name) or "iterating over the plan lists its parameters"
        raise UnknownParameterError.of(Code.UNKNOWN_PARAMETER, f"no parameter is named {name!r}", hint=hint)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over what decides the values: names, shapes, dtypes, streams and laws.

        Neither the order of parameters nor the way a spec writes a law down enters, so equal fingerprints
        mean equal weights under equal names.

        Raises:
            SpecError: an initializer cannot be written down (code ``not-serializable``).
        """
        return fingerprint_of(self.parameters, self.stream_version)

    @cached_property
    def spec_text(self) -> str | None:
        """The spec as JSON on one line, equal for all ways to write one document down.

        None where the plan knows no spec, or one that holds code.
        """
        if self.spec is None:
            return None
        try:
            tree = dump_tree(self.spec)
        except SpecError:
            return None
        return _json(tree, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def numel(self) -> int:
        """Elements of all parameters; a tied one adds none."""
        return sum(parameter.numel for parameter in self if parameter.tied_to is None)

    @cached_property
    def nbytes(self) -> int:
        """Bytes of all parameters; a tied one adds none."""
        return sum(parameter.nbytes for parameter in self if parameter.tied_to is None)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data; `initcfg.plan.document.PlanDocument` says what is in it.

        Raises:
            SpecError: an initializer cannot be written down (code ``not-serializable``).
        """
        return {
            "format": "initcfg.plan",
            "version": 1,
            "stream_version": self.stream_version,
            "name": self.name,
            "seed": self.seed,
            "fingerprint": self.fingerprint,
            "numel": self.numel,
            "nbytes": self.nbytes,
            **skipped_data(self.skipped),
            **({} if self.spec_text is None else {"spec": load("json").loads(self.spec_text)}),
            "parameters": [parameter_data(parameter) for parameter in self],
        }

    def to_json(self) -> str:
        """The plan as JSON text, a line for each parameter; `initcfg.read_plan` reads it back.

        Raises:
            SpecError: an initializer cannot be written down (code ``not-serializable``).
        """
        return plan_text(self.to_dict())

    def records(self, *, fold: bool = False) -> list[dict[str, Any]]:
        """What there is to say of each parameter as a plain dict, as ``pandas.DataFrame`` takes.

        Args:
            fold: whether the copies of a layer that begin alike are one record, named ``h.{0..11}.w``.

        Returns:
            In the plan's order ``name``, ``copies``, ``shape``, ``dtype``, ``initializer``, ``kind`` (random,
            constant, table, code or tied), ``law`` in words, ``mean`` and ``std`` of the law, ``fan_in``,
            ``fan_out``, ``elements`` and ``nbytes`` (0 for a tied parameter), ``tied_to``, ``rule`` and
            ``place``, as file, line and column.

        Example:
            >>> import initcfg
            >>> spec = {"initcfg": 1, "params": {"w": {"shape": [2, 3], "initializer": "ones"}}}
            >>> [(each["name"], each["kind"], each["mean"]) for each in initcfg.make_plan(spec).records()]
            [('w', 'constant', 1.0)]
        """
        listing = load("initcfg.plan.listing")
        return [each.record() for each in listing.listed(self.parameters, full=not fold)]

    def __contains__(self, item: object) -> bool:
        """Whether it has a parameter of that name, or that very parameter."""
        name = item if isinstance(item, str) else getattr(item, "name", None)
        found = self._by_name.get(name) if isinstance(name, str) else None
        return found is not None and item in (name, found)

    def __iter__(self) -> Iterator[PlannedParameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return f"<Plan {name}parameters={len(self):,}, elements={self.numel:,}, seed={self.seed}>"

    def __str__(self) -> str:
        """The table that ``initcfg plan`` prints, as wide as the terminal."""
        listing = load("initcfg.plan.listing")
        text: str = listing.table_of(self, listing.listed(self.parameters), brief=True).text(
            shutil.get_terminal_size().columns
        )
        return text

    def _repr_html_(self) -> str:
        """For a notebook: the table, with a picture of each law."""
        listing = load("initcfg.plan.listing")
        html: str = listing.table_of(self, listing.listed(self.parameters), curves=True).html()
        return html


def is_plan(beginning: bytes) -> bool:
    """Whether the first bytes of a file say that it is a plan, by what they hold and not by its name."""
    return beginning.removeprefix(_BOM).lstrip().startswith(b"{") and bool(re.search(_SAYS_SO, beginning))


def require_plan(plan: object, taker: str, way: str) -> None:
    """Raises a TypeError for what is no plan, such as the path of a spec; `way` is a call that makes one."""
    if not isinstance(plan, Plan):
        raise TypeError(f"{taker} takes a plan, not {type(plan).__name__}: {way} makes one")


def selected(plan: Plan, select: str | None) -> list[PlannedParameter]:
    """The parameters whose names match a glob, in the plan's order; all of them for None.

    A SpecError where it is malformed, an UnknownParameterError where it matches nothing.
    """
    if select is None:
        return list(plan)
    if not isinstance(select, str):
        raise TypeError(f"select is a glob, such as 'h.*.weight', not {select!r}")
    glob = Glob(select)
    found = [parameter for parameter in plan if glob.matches(parameter.name)]
    if found:
        return found
    names = [parameter.name for parameter in plan]
    shown = f"the plan has {len(names):,} parameters, such as {', '.join(map(repr, names[:3]))}"
    hint = glob_hint(select, names) or (shown if names else "the plan has no parameters")
    message = f"{select!r} matches no parameter"
    raise UnknownParameterError.of(Code.UNKNOWN_PARAMETER, message, hint=hint)


def owner(plan: Plan, parameter: PlannedParameter) -> PlannedParameter:
    """The parameter whose array this one is: itself, or the one that it is tied to."""
    return parameter if parameter.tied_to is None else plan[parameter.tied_to]
