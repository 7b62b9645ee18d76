"""What a report shows, as values without rendering; sections that it may lack are null."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from initcfg.explanations import published
from initcfg.probe import Probe  # noqa: TC001  pydantic reads it


class _Value(BaseModel):
    """A frozen value that knows no other keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Value):
    """Parameters that begin alike: one, or the copies of one in repeated layers."""

    name: str = Field(description="the name, with numbers that differ as spans: h.{0..11}.w")
    copies: int = Field(ge=1)
    shape: tuple[int, ...]
    dtype: str
    initializer: str
    law: str = Field(description="the distribution, or those of the parts")
    tied_to: str | None = None
    kind: Literal["matrix", "vector", "table"] = Field(
        description="a table has fixed values of several kinds"
    )
    fan_in: float | None = None
    fan_out: float | None = None
    mean: float | None = Field(None, description="of the law; none where it is not known")
    std: float | None = Field(None, description="of the law; none where it is not known")
    elements: int = Field(description="of all copies; 0 for a tied parameter")
    nbytes: int = Field(description="of all copies; 0 for a tied parameter")
    rule: str | None = None
    place: str | None = Field(None, description="where the spec says so: file, line and column")


class Point(_Value):
    """One block of a series."""

    block: int
    gain: float = Field(description="std * sqrt(fan_in): 1 keeps the variance of a signal")


class Series(_Value):
    """The gain of one matrix through the blocks that repeat it."""

    name: str
    points: tuple[Point, ...]


class Warned(_Value):
    """A warning of the plan, or what was found of weights."""

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    hint: str | None
    place: str | None
    line: str | None = Field(None, description="the line of the spec")
    marked: tuple[int, int] | None = Field(None, description="from which character of it to which, from 0")


class Total(_Value):
    """What the parameters of one initializer come to."""

    initializer: str
    parameters: int
    elements: int
    nbytes: int


class Summary(_Value):
    """What values come to; a bound that is not there is null."""

    mean: float | None
    std: float | None
    low: float | None
    high: float | None


class Bins(_Value):
    """Bins of equal width without those at the ends that are empty."""

    low: float = Field(description="where the first begins")
    width: float


class Counts(Bins):
    """How many values lie in each bin."""

    counts: tuple[int, ...]
    outside: int = Field(description="values too far out for any bin")


class Shares(Bins):
    """The probability of each bin by the law."""

    shares: tuple[float, ...]


class Errors(_Value):
    """How many standard errors what was found is from the law, for draws that are independent."""

    mean: float
    std: float


class HeldLaw(_Value):
    """Values of a parameter and its copies, or of one part of them, beside the law that they should have."""

    row: int = Field(description="the rank of the parameter's row")
    name: str
    part: str | None = Field(description="the positions of the part; null for the whole")
    copies: int
    law: str
    elements: int
    meant: Summary | None = Field(description="null where the law fixes every value")
    found: Summary
    z: Errors | None = Field(None, description="null where the law fixes every value, or nothing is finite")
    counts: Counts | None = Field(
        None, description="of some parameters only: those that differ, and the largest"
    )
    shares: Shares | None = Field(None, description="of the same parameters, by the law")
    problem: str | None = Field(description="what differs, of the copy that is the farthest off")


class Weights(_Value):
    """Weights held against the laws of a plan."""

    file: str
    fingerprint: str | None = Field(description="that the file carries")
    tensors: int
    elements: int
    nbytes: int
    tests: int
    false_alarms: float = Field(description="the probability that true weights fail any test, at most")
    laws: tuple[HeldLaw, ...]
    problems: tuple[Warned, ...] = Field(description="what was found beside the laws, the first ones")
    others: int = Field(description="how many more of these there are")


class Spectrum(_Value):
    """The singular values of a matrix, and where independent elements of its spread have theirs."""

    name: str
    rows: int
    columns: int
    std: float = Field(description="of the elements")
    values: tuple[float, ...] = Field(description="the largest first")
    edges: tuple[float, float] = Field(
        description="std * (sqrt(rows) -+ sqrt(columns)), by Marchenko and Pastur"
    )
    orthogonal: float = Field(description="all singular values of an orthogonal matrix of this std")
    row: int | None = Field(default=None, description="in a model, the rank of the parameter's row")


class Model(_Value):
    """One spec or plan."""

    file: str
    name: str | None
    seed: int
    fingerprint: str | None = Field(description="none where the plan holds code")
    parameters: int
    elements: int
    nbytes: int
    totals: tuple[Total, ...]
    rows: tuple[Row, ...]
    depth: tuple[Series, ...]
    spectra: tuple[Spectrum, ...] = Field(
        (), description="of small matrices as the plan makes them, the largest; of copies of the first"
    )
    warnings: tuple[Warned, ...]
    weights: Weights | None = None


class Difference(_Value):
    """Parameters of one name, and their copies, that do not begin alike in all models."""

    name: str
    copies: int
    begins: tuple[str | None, ...] = Field(description="how, in each model; null where it has none")


class Comparison(_Value):
    """What several models do differently."""

    alike: int = Field(description="the parameters that begin alike in all, but for the random numbers")
    differences: tuple[Difference, ...] = Field(description="of names that two models have at least")
    alone: tuple[int, ...] = Field(description="of each model, the parameters that no other has")


class Made(_Value):
    """How figures came about."""

    initcfg: str
    python: str
    numpy: str
    command: str | None = None


class Figures(_Value):
    """What a report shows."""

    figures: Literal[1] = 1
    made: Made
    models: tuple[Model, ...]
    comparison: Comparison | None = Field(None, description="of several models")
    probe: Probe | None = Field(None, description="what initcfg probe has measured")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of figures."""
    return published("figures", Figures.model_json_schema(mode="serialization"))
