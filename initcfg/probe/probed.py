"""All that a probe has measured, as one value with a schema and as text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from initcfg.explanations import published
from initcfg.probe.telling import text_of
from initcfg.probe.values import Run, Value


class Probe(Value):
    """What was measured: a run for each plan, on the same batch with the same random numbers.

    As text it is tables of 80 columns.

    Example:
        >>> nothing = Probe(version="1", model="Net", batch="8 rows", loss="mean square", chance=1.0, runs=())
        >>> nothing.to_dict()["chance"]
        1.0
    """

    probe: Literal[1] = 1
    version: str = Field(description="of initcfg")
    model: str
    batch: str = Field(description="what was fed to the model")
    loss: str = Field(description="which loss it was")
    chance: float | None = Field(description="the loss of a model that knows nothing; none where not known")
    runs: tuple[Run, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, which the JSON Schema describes."""
        return self.model_dump(mode="json")

    def __str__(self) -> str:
        return "\n".join([f"{self.model}, {self.batch}", "", text_of(self.runs, self.loss, self.chance)])


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a probe."""
    return published("probe", Probe.model_json_schema(mode="serialization"))
