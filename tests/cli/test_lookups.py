"""``initcfg schema``, ``initcfg initializers`` and ``initcfg explain``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import jsonschema
import pytest
from click.testing import Result

from initcfg.errors import Code
from initcfg.explanations import DOCUMENTATION
from initcfg.initializers import BUILTINS
from initcfg.initializers.registry import FAMILIES, aliases_of, canonical_name

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("args", "same"), [((), ("spec",)), (("plan",), ("plan",)), (("report",), ("report",))]
)
def test_a_schema_is_a_json_schema_on_stdout(args: tuple[str, ...], same: tuple[str, ...], run: Run) -> None:
    result = run("schema", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{DOCUMENTATION}schemas/{same[0]}.v1.schema.json"
    assert run("schema", *same).stdout == result.stdout


@pytest.mark.parametrize("document", ["spec", "plan", "report"])
def test_a_schema_says_where_it_is_served(document: str, run: Run) -> None:
    served, plain = (
        json.loads(run("schema", document, *more).stdout)
        for more in (("--id", "https://a.example/s.json"), ())
    )
    assert served.pop("$id") == "https://a.example/s.json"
    assert plain.pop("$id").startswith(DOCUMENTATION)
    assert served == plain


def test_only_the_schema_of_a_spec_takes_plugins_and_only_installed_ones(run: Run) -> None:
    refused = run("schema", "plan", "--plugin", "lab")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "lists none" in refused.stderr
    missing = run("schema", "--plugin", "not-installed")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "no plugin is named 'not-installed'" in missing.stderr


def listed(text: str) -> list[str]:
    """The names in a list by family; what a line has no room for goes on further in."""
    return re.findall(r"^  (\w+)", text, re.MULTILINE)


def test_the_list_has_a_line_for_every_initializer_under_its_family(run: Run) -> None:
    text = run("initializers").stdout
    assert listed(text) == [canonical_name(cls) for cls in BUILTINS]
    assert [line for line in text.splitlines() if line[:1].strip()] == list(FAMILIES)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("siren", ["siren_first", "siren"]),
        ("nn.init.xavier_uniform_(w, gain=2)", ["xavier_uniform"]),
        ("jax.nn.initializers.he_normal", ["he_normal"]),
        ("keras.initializers.GlorotUniform", ["glorot_uniform"]),
        ("IdentityInitializer", ["identity"]),
        ("T-Fixup", ["t_fixup", "t_fixup_embedding"]),
        ("DeepNorm", ["deep_norm"]),
        ("LoRA", ["lora_a"]),
        ("Magneto", ["sub_ln"]),
        ("GPT-2", ["depth_scaled_normal"]),
        ("torchscale", ["deep_norm", "sub_ln"]),
        ("Kaiming uniform", ["he_uniform", "kaiming_uniform"]),
        ("Saxe", ["orthogonal"]),
        ("Nguyen Salazar", ["small_init"]),
    ],
)
def test_a_scheme_is_found_by_whatever_it_is_known_by(words: str, names: list[str], run: Run) -> None:
    assert listed(run("initializers", "--search", words).stdout) == names
    rows = json.loads(run("initializers", "--search", words, "--format", "json").stdout)
    assert [row["name"] for row in rows] == names


def test_a_search_that_finds_nothing_says_so(run: Run) -> None:
    result = run("initializers", "--search", "wavelet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no initializer is about 'wavelet'" in result.stderr
    both = run("initializers", "zeros", "--search", "ones")
    assert (both.exit_code, both.stdout) == (2, "")
    assert "give one of the two" in both.stderr


@pytest.mark.parametrize("cls", BUILTINS, ids=lambda cls: cls.__name__)
def test_every_name_of_an_initializer_shows_the_same_page(cls: type, run: Run) -> None:
    page = run("initializers", canonical_name(cls)).stdout
    assert page.startswith(f"{cls.__name__}(")
    assert "Formula:" in page
    assert "Example:" in page
    for alias in aliases_of(cls):
        assert run("initializers", alias).stdout == page


def test_a_page_gives_signature_formula_arguments_and_reference(run: Run) -> None:
    page = run("initializers", "glorot_uniform").stdout
    for part in (
        "GlorotUniform(seed=None",
        "In a spec: glorot_uniform, GlorotUniform",
        "Args:",
        "Glorot, Bengio",
    ):
        assert part in page


def test_the_registry_can_be_read_by_a_program(run: Run) -> None:
    rows = json.loads(run("initializers", "--format", "json").stdout)
    assert [row["class"] for row in rows] == [cls.__name__ for cls in BUILTINS]
    assert json.loads(run("initializers", "Zeros", "--format", "json").stdout) == rows[0]


def test_the_codes_are_listed_with_their_titles(run: Run) -> None:
    lines = run("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [code.value for code in Code]


@pytest.mark.parametrize("code", Code)
def test_every_code_is_explained(code: Code, run: Run) -> None:
    page = run("explain", code.value).stdout
    assert page.startswith(f"{code}: ")
    assert "Wrong:\n" in page
    assert "Right:\n" in page
    assert json.loads(run("explain", code.value, "--format", "json").stdout)[0]["code"] == code


def test_a_schema_goes_to_a_file_and_replaces_one_that_is_there_and_nothing_else(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "spec.schema.json"
    for document in ("spec", "plan", "report"):
        assert run("schema", document, "-o", str(path)).output == ""
        assert path.read_text(encoding="utf-8") == run("schema", document).stdout
    path.write_text("{}", encoding="utf-8")
    assert run("schema", "-o", str(path)).exit_code == 2
    assert path.read_text(encoding="utf-8") == "{}"


def test_only_installed_plugins_are_listed(run: Run) -> None:
    missing = run("initializers", "--plugin", "not-installed")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "no plugin is named 'not-installed'" in missing.stderr
