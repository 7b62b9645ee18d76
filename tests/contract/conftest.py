"""What tests of the spec's promises share: the judgement of a document by the models and by the schema."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.spec import load
from initcfg.spec.schema import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

BEYOND_STRUCTURE = {
    Code.EXPRESSION_SYNTAX,
    Code.TEMPLATE,
    Code.INITIALIZER_CONFIG,
    Code.NOT_FINITE,
    Code.ENCODING,
    Code.TOO_DEEP,
    Code.PATTERN,
    Code.INPUT,
    Code.OUTSIDE_ROOT,
}


@dataclass(frozen=True)
class Agreement:
    """Holds what the models say of the structure of a document against what a schema says.

    Structure is keys, kinds and literal bounds. What only the models see is left out by code: the syntax of
    expressions and templates, rows of unequal length, numbers beyond float64, files that a document names.
    """

    schema: dict[str, Any] = field(default_factory=json_schema)
    validator: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "validator", jsonschema.Draft202012Validator(self.schema))

    def check(self, document: Any) -> None:
        """Both accept the document, or both refuse it."""
        problems, schema = problems_of(document), self.refused_by_schema(document)
        models = structural(problems)
        shown = json.dumps(document, ensure_ascii=False)[:2000]
        # The keys of a rule are held against each other once each is right, also beyond its structure; and so
        # are the axes of a shape counted.
        beyond = [each.where.path for each in problems if each.code in BEYOND_STRUCTURE]
        is_partly_judged = any(path[:1] == ("rules",) or "shape" in path for path in beyond)
        assert bool(models or (is_partly_judged and schema)) == bool(schema), (
            f"models: {models}\nschema: {schema}\n{shown}"
        )

    def refused_by_schema(self, document: Any) -> list[str]:
        """What the schema finds wrong."""
        errors = self.validator.iter_errors(document)
        return [f"{error.json_path}: {error.message[:200]}" for error in errors]

    @staticmethod
    def refused_by_models(document: Any) -> list[str]:
        """What the models find wrong with the structure, whatever a file that it names holds."""
        return structural(problems_of(document))


def structural(problems: tuple[Diagnostic, ...]) -> list[str]:
    return [str(each) for each in problems if each.code not in BEYOND_STRUCTURE]


def problems_of(document: Any) -> tuple[Diagnostic, ...]:
    try:
        load(document)
    except SpecError as error:
        return error.diagnostics
    return ()


@pytest.fixture(scope="module")
def agreement(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agreement]:
    """The judge of the published schema, in a folder where nothing that a document names is found."""
    with contextlib.chdir(tmp_path_factory.mktemp("empty")):
        yield Agreement()
