"""All that a probe has measured, as one value with a schema and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.explanations import published
from initcfg.probe.telling import said_of, table_of, text_of
from initcfg.probe.values import Run, Value, middle
from initcfg.process import LOADING
from initcfg.text.inputs import decoded, read_content

if TYPE_CHECKING:
    from os import PathLike

# Of the largest models a probe with many seeds is a tenth of it.
_LARGEST = 256 * 2**20


class Depth(NamedTuple):
    """Of one plan the mean square after each block, where it is a number: which one, its name, the value."""

    plan: str
    measured: list[tuple[int, str, float]]
    expected: list[tuple[int, str, float]]


class Probe(Value):
    """What was measured: a run for each plan, on the same batch with the same random numbers.

    As text it is tables of 80 columns, and in a notebook a table that folds. `initcfg.plot.signal` draws it.

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

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Probe:
        """Reads what ``initcfg probe --format json`` has written.

        Raises:
            SpecError: there is no such file, it is too large or no UTF-8 (codes ``input``, ``too-large``,
                ``encoding``), or it is no probe (code ``format``).
        """
        file = str(path)
        too_large = Diagnostic(Code.TOO_LARGE, "a probe has at most 256 MiB", Location(file))
        text = decoded(read_content(path, _LARGEST, too_large), file)
        try:
            with LOADING:
                return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = ".".join(map(str, first["loc"]))
            message = f"this is no probe: {f'{at}: ' if at else ''}{first['msg']}"
            hint = "write one with: initcfg probe MODULE:CALLABLE --spec FILE --format json > probe.json"
            raise SpecError.of(Code.FORMAT, message, hint, Location(file)) from None

    def through_depth(self, *, backward: bool = False) -> list[Depth]:
        """What is drawn of it: geometric means over the seeds, of plans of which anything is known."""
        found = []
        for run in self.runs:
            depth = Depth(run.name, [], [])
            for at, block in enumerate(run.blocks):
                signal = block.backward if backward else block.forward
                for points, numbers in ((depth.measured, signal.square), (depth.expected, signal.expected)):
                    value = middle(numbers)
                    if value:  # no place on a scale of factors is that of 0
                        points.append((at, block.name, value))
            found.append(depth)
        return found

    def told(self) -> list[str]:
        """Sentences of what stands out, each with its numbers; lines of a spec are indented."""
        return said_of(self.runs, self.chance)

    def _repr_html_(self) -> str:
        """For a notebook: the mean squares by block, the first loss, and what stands out."""
        return table_of(f"{self.model}, {self.batch}", self.runs, self.loss, self.chance).html()

    def __str__(self) -> str:
        return "\n".join([f"{self.model}, {self.batch}", "", text_of(self.runs, self.loss, self.chance)])


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a probe."""
    return published("probe", Probe.model_json_schema(mode="serialization"))
