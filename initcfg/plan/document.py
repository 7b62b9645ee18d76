"""What a plan looks like as a JSON document, its schema, and the fingerprint of what it makes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from initcfg import distributions, initializers
from initcfg.errors import InitializerError, Location, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.distributions import Distribution
    from initcfg.plan.parameters import PlannedParameter

__all__ = ["PlanDocument", "fingerprint_of", "json_schema", "parameter_document"]

SCHEMA_ID = "urn:initcfg:schema:plan:v1"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FillDocument(_Model):
    """One value everywhere."""

    kind: Literal["fill"]
    value: bool | int | float


class UniformDocument(_Model):
    """Uniform on the open interval (low, high)."""

    kind: Literal["uniform"]
    low: float
    high: float


class NormalDocument(_Model):
    """Normal with the given mean and standard deviation."""

    kind: Literal["normal"]
    mean: float
    std: float


class TruncatedNormalDocument(_Model):
    """A normal, its mean and std before truncation, restricted to [low, high]."""

    kind: Literal["truncated_normal"]
    mean: float
    std: float
    low: float
    high: float


DistributionDocument = Annotated[
    FillDocument | UniformDocument | NormalDocument | TruncatedNormalDocument, Field(discriminator="kind")
]


class InitializerDocument(_Model):
    """An initializer in Keras's vocabulary, every argument with the value it has for this parameter."""

    class_name: str
    config: dict[str, Any]
    registered_name: str | None = Field(None, description="Set for a class that is not built in.")


class PlaceDocument(_Model):
    """Where the spec defines the parameter."""

    file: str
    line: int
    column: int


class ParameterDocument(_Model):
    """One planned parameter."""

    name: str = Field(description="The full, dotted name.")
    shape: list[int]
    dtype: str
    layout: str | None
    fan_in: int | None
    fan_out: int | None
    initializer: InitializerDocument
    distribution: DistributionDocument | None = Field(
        description="The law of every element, its numbers resolved; null for a structured initializer."
    )
    stream: str = Field(description="The 128-bit stream, in hexadecimal.", pattern="^[0-9a-f]{32}$")
    stream_name: str
    tied_to: str | None
    nbytes: int
    where: PlaceDocument | None = None


class PlanDocument(_Model):
    """Everything that decides the values of every parameter of a model; no values."""

    format: Literal["initcfg.plan"]
    version: Literal[1]
    stream_version: Literal[1]
    name: str | None
    seed: int = Field(ge=0, lt=2**64)
    fingerprint: str = Field(
        description="Equal for plans that make the same weights under the same names, whatever the order.",
        pattern="^[0-9a-f]{64}$",
    )
    numel: int = Field(description="Elements of all parameters; tied ones are counted once.")
    nbytes: int = Field(description="Bytes of all parameters; tied ones are counted once.")
    parameters: list[ParameterDocument]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a plan document."""
    schema = PlanDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}


def fingerprint_of(parameters: Iterable[PlannedParameter], stream_version: int) -> str:
    """SHA-256, in hexadecimal, over what decides the values of parameters, whatever their order.

    Raises:
        SpecError: an initializer cannot be written down (code ``not-serializable``).
    """
    facts = sorted((_facts(parameter) for parameter in parameters), key=lambda fact: str(fact["name"]))
    content = {"stream_version": stream_version, "parameters": facts}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _facts(parameter: PlannedParameter) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": parameter.name,
        "shape": parameter.shape,
        "dtype": parameter.dtype.name,
        "stream": parameter.stream.digest.hex(),
        "tied_to": parameter.tied_to,
    }
    if parameter.distribution is not None:
        return {**facts, "distribution": _distribution(parameter.distribution).model_dump()}
    layout = parameter.layout.name if parameter.layout else None
    return {**facts, "layout": layout, "initializer": _initializer(parameter).model_dump()}


def parameter_document(parameter: PlannedParameter) -> ParameterDocument:
    """One parameter of a plan document.

    Raises:
        SpecError: its initializer cannot be written down (code ``not-serializable``).
    """
    fans = parameter.fans
    optional = {} if (where := _place(parameter.where)) is None else {"where": where}
    return ParameterDocument(
        name=parameter.name,
        shape=list(parameter.shape),
        dtype=parameter.dtype.name,
        layout=parameter.layout.name if parameter.layout else None,
        fan_in=fans.fan_in if fans else None,
        fan_out=fans.fan_out if fans else None,
        initializer=_initializer(parameter),
        distribution=_distribution(parameter.distribution) if parameter.distribution else None,
        stream=parameter.stream.digest.hex(),
        stream_name=parameter.stream_name,
        tied_to=parameter.tied_to,
        nbytes=parameter.nbytes,
        **optional,
    )


def _place(where: Location | None) -> PlaceDocument | None:
    if where is None or where.file is None or where.line is None or where.column is None:
        return None
    return PlaceDocument(file=where.file, line=where.line, column=where.column)


def _initializer(parameter: PlannedParameter) -> InitializerDocument:
    try:
        written = initializers.serialize(parameter.initializer)
    except InitializerError as error:
        message = f"parameter {parameter.name!r} is made by code that a plan cannot hold"
        faults = (replace(fault, message=f"{message}: {fault.message}") for fault in error.diagnostics)
        raise SpecError(*(fault.at(parameter.where or Location()) for fault in faults)) from None
    named = {"registered_name": written["registered_name"]} if written["registered_name"] else {}
    return InitializerDocument(class_name=written["class_name"], config=written["config"], **named)


def _distribution(
    distribution: Distribution,
) -> FillDocument | UniformDocument | NormalDocument | TruncatedNormalDocument:
    match distribution:
        case distributions.Fill(value):
            return FillDocument(kind="fill", value=value)
        case distributions.Uniform(low, high):
            return UniformDocument(kind="uniform", low=low, high=high)
        case distributions.Normal(mean, std):
            return NormalDocument(kind="normal", mean=mean, std=std)
        case distributions.TruncatedNormal(mean, std, low, high):
            return TruncatedNormalDocument(kind="truncated_normal", mean=mean, std=std, low=low, high=high)
