"""What a report looks like as a JSON document, as pydantic models, and the JSON Schema of that."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_ID = "urn:initcfg:schema:report:v1"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileDocument(_Model):
    """One file that was checked; what it holds is told where it could be planned."""

    file: str = Field(description="The name as it was given; - is standard input.")
    valid: bool = Field(description="Whether it has no errors.")
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    parameters: int = Field(default=0, ge=0, description="Parameters that it plans.")
    elements: int = Field(default=0, ge=0, description="Their elements; tied ones are counted once.")
    bytes: int = Field(default=0, ge=0, description="Their bytes; tied ones are counted once.")


class DiagnosticDocument(_Model):
    """One problem: what it is, where, and the way out."""

    code: str = Field(description="The kind of problem, a word that stays; initcfg explain CODE says more.")
    severity: Literal["error", "warning", "note"]
    message: str
    hint: str | None = Field(description="The way out.")
    file: str | None = Field(description="Null for what no file has.")
    line: int | None = Field(description="Counted from 1.")
    column: int | None = Field(description="Counted in characters from 1.")
    end_column: int | None = Field(description="The column after the last character.")
    path: list[str | int] = Field(description="Keys and indices from the root of the file's document.")


class ReportDocument(_Model):
    """What checking some files has found."""

    report: Literal[1] = Field(description="The version of this format.")
    valid: bool = Field(description="Whether there are no errors.")
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    notes: int = Field(ge=0)
    files: list[FileDocument] = Field(description="The files in the order given, each once.")
    diagnostics: list[DiagnosticDocument] = Field(description="What was found, file by file.")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report."""
    schema = ReportDocument.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}
