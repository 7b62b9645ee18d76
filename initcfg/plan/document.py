"""What a plan looks like as a JSON document, as pydantic models, and the JSON Schema of that."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from initcfg.explanations import published

FORMAT = "initcfg.plan"

Size = Annotated[int, Field(ge=0, lt=2**63)]


class _Model(BaseModel):
    # Strict, so that what a text or a bool stands for is never guessed.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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


class DiskDocument(_Model):
    """Complex numbers, uniform on the disk of a radius about 0."""

    kind: Literal["disk"]
    radius: float


class SquareDocument(_Model):
    """Complex numbers whose real and imaginary parts are each uniform between two bounds."""

    kind: Literal["square"]
    low: float
    high: float


class ComplexNormalDocument(_Model):
    """Complex normal: std is the root of the mean square of the modulus, before a cut at the radius."""

    kind: Literal["complex_normal"]
    std: float
    radius: float | None = Field(description="Null where nothing is cut.")


LawDocument = Annotated[
    FillDocument
    | UniformDocument
    | NormalDocument
    | TruncatedNormalDocument
    | DiskDocument
    | SquareDocument
    | ComplexNormalDocument,
    Field(discriminator="kind"),
]


# Said by pydantic from 2.11 on; the schema is the same with any.
_ANY_KEYS = WithJsonSchema({"additionalProperties": True, "type": "object"})


class InitializerDocument(_Model):
    """An initializer in Keras's vocabulary, every argument with the value it has for this parameter."""

    class_name: str
    config: Annotated[dict[str, Any], _ANY_KEYS]
    registered_name: str | None = Field(None, description="Set for a class that is not built in.")


class PlaceDocument(_Model):
    """Where the spec defines the parameter."""

    file: str
    line: int | None = Field(description="Counted from 1; null for a file that is no text.")
    column: int | None


class ComponentDocument(_Model):
    """A part of a law: some elements, and what they come to. For readers only: no value depends on it."""

    region: list[list[Size]] = Field(
        description="First position and the one after the last, an axis; later parts lie over earlier ones."
    )
    weight: float = Field(description="The share of the parameter's elements.", ge=0, le=1)
    law: LawDocument | None = Field(description="Null where its elements do not share one distribution.")
    mean: float | None = Field(
        description="Null where nothing is known of the elements; so are the next three."
    )
    std: float | None
    low: float | None = Field(description="The least value; null too where there is no bound, as high.")
    high: float | None
    atoms: list[list[float]] = Field(
        default=[], description="Values that single elements have, with the probability above 0, if few."
    )
    exact: bool = Field(default=False, description="False where a sample or a similar law was looked at.")


class ParameterDocument(_Model):
    """One planned parameter."""

    name: str = Field(description="The full, dotted name.")
    shape: list[Size]
    dtype: str
    layout: str | None
    fan_in: int | None = Field(description="Null without a layout for two or more axes; so is fan_out.")
    fan_out: int | None
    initializer: InitializerDocument
    distribution: LawDocument | None = Field(
        description="The law of every element, its numbers resolved; null for a structured initializer."
    )
    stream: str = Field(description="The 128-bit stream, in hexadecimal.", pattern="^[0-9a-f]{32}$")
    stream_name: str
    tied_to: str | None
    nbytes: int
    fans_of: str | None = Field(
        None,
        description="The parameter whose fan_in and fan_out this one has; missing where they are its own.",
    )
    rule: str | None = Field(
        None,
        description="The pattern of the rule that won; missing where the parameter names its initializer.",
    )
    components: list[ComponentDocument] | None = Field(
        None, description="The parts of a law that is not one distribution; missing where nothing is known."
    )
    where: PlaceDocument | None = None


class SkippedDocument(_Model):
    """A parameter that a rule leaves out on purpose, or a buffer that no rule reaches."""

    name: str
    rule: str | None = Field(
        default=None, description="The pattern of the rule; missing for a buffer that no rule reaches."
    )
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
    skipped: list[SkippedDocument] = Field(
        default=[], description="What rules leave out on purpose; missing where that is nothing."
    )
    spec: Annotated[dict[str, Any], _ANY_KEYS] | None = Field(
        default=None,
        description="The spec that the plan was made from, with what it extends and what was set; it decides "
        "nothing here. Missing where it holds code.",
    )
    parameters: list[ParameterDocument]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a plan document."""
    return published("plan", PlanDocument.model_json_schema(mode="serialization"))
