"""The plan as a value: an ordered, frozen list of planned parameters."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from initcfg.dtypes import is_bool
from initcfg.errors import Code, Diagnostic, SpecError, UnknownParameterError, did_you_mean
from initcfg.plan.data import fingerprint_of, parameter_data, plan_text, skipped_data
from initcfg.spec.dump import dump_tree
from initcfg.stream import STREAM_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.plan.parameters import PlannedParameter, SkippedParameter
    from initcfg.spec import Spec


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
        notes: what is worth knowing and is no fault, such as an inherited rule that wins nothing.
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
        raise UnknownParameterError(
            Diagnostic(Code.UNKNOWN_PARAMETER, f"no parameter is named {name!r}", hint=hint)
        )

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
        return json.dumps(tree, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

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
            **({} if self.spec_text is None else {"spec": json.loads(self.spec_text)}),
            "parameters": [parameter_data(parameter) for parameter in self],
        }

    def to_json(self) -> str:
        """The plan as JSON text, a line for each parameter; `initcfg.plan.read_plan` reads it back.

        Raises:
            SpecError: an initializer cannot be written down (code ``not-serializable``).
        """
        return plan_text(self.to_dict())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._by_name

    def __iter__(self) -> Iterator[PlannedParameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)
