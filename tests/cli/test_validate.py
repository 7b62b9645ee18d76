"""``initcfg validate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


def test_a_valid_file_is_exit_0_and_says_what_it_holds(run: Run, folder: Path) -> None:
    result = run("validate", "good.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    # 2 * (8 * 16 + 16) + 32 * 8 elements; the tied head is the embedding.
    assert result.stderr == "good.yaml: valid, 6 parameters, 544 elements, 2.1 KiB\n"


def test_every_problem_is_shown_with_its_place_and_the_way_out(run: Run, folder: Path) -> None:
    result = run("validate", "bad.yaml")
    assert result.exit_code == 1
    assert result.stdout == (
        "bad.yaml:3:40: error[unknown-initializer]: no initializer is named 'glorot_unifrom'\n"
        "     3 |   kernel: {shape: [4, 2], initializer: glorot_unifrom}\n"
        "       |                                        ^^^^^^^^^^^^^^\n"
        "  help: did you mean 'glorot_uniform'?\n"
        "bad.yaml:4:22: error[unknown-key]: unknown key 'initialiser'\n"
        "     4 |   bias: {shape: [2], initialiser: zeros}\n"
        "       |                      ^^^^^^^^^^^\n"
        "  help: did you mean 'initializer'?\n"
    )
    assert result.stderr == "bad.yaml: 2 errors\nFor more about a code: initcfg explain unknown-initializer\n"


def test_the_example_of_the_design_reads_as_it_does_there(run: Run, folder: Path) -> None:
    result = run("validate", "typo.yaml")
    assert result.exit_code == 1
    assert result.stdout == (
        "typo.yaml:10:48: error[unknown-initializer]: no initializer is named 'glorot_unifrom'\n"
        "    10 |       kernel: {shape: [d, 2 * d], initializer: glorot_unifrom}\n"
        "       |                                                ^^^^^^^^^^^^^^\n"
        "  help: did you mean 'glorot_uniform'?\n"
    )


def test_all_files_are_checked_whatever_the_first_one_has(run: Run, folder: Path) -> None:
    result = run("validate", "bad.yaml", "missing.yaml", "typo.yaml", "good.yaml")
    assert result.exit_code == 2  # one could not be read
    for name in ("bad.yaml", "missing.yaml", "typo.yaml"):
        assert name in result.stdout
    assert result.stderr.startswith("1 file valid, 3 with 4 errors\n")


def test_json_is_one_document_on_stdout_and_nothing_beside_it(run: Run, folder: Path) -> None:
    result = run("validate", "--format", "json", "good.yaml", "bad.yaml")
    assert (result.exit_code, result.stderr) == (1, "")
    document = json.loads(result.stdout)
    assert document["files"] == [
        {"file": "good.yaml", "valid": True, "parameters": 6, "elements": 544, "bytes": 2176},
        {"file": "bad.yaml", "valid": False},
    ]
    assert [
        (each["code"], each["file"], each["line"], each["column"]) for each in document["diagnostics"]
    ] == [
        ("unknown-initializer", "bad.yaml", 3, 40),
        ("unknown-key", "bad.yaml", 4, 22),
    ]


def test_a_dash_reads_standard_input(run: Run, folder: Path) -> None:
    result = run("validate", "-", input=(folder / "bad.yaml").read_text(encoding="utf-8"))
    assert result.exit_code == 1
    assert result.stdout.startswith("<stdin>:3:40: error[unknown-initializer]")


@pytest.mark.parametrize("name", ["\x1b[31mred.yaml", "line\n::error::break.yaml", "\u202eevil.yaml"])
def test_a_files_name_cannot_steer_the_terminal(name: str, run: Run, folder: Path) -> None:
    (folder / name).write_text((folder / "bad.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    for args in (
        ("validate", name),
        ("validate", "good.yaml", name),
        ("plan", name),
        ("validate", f"no {name}"),
    ):
        output = run(*args).output
        assert not set(output) & {"\x1b", "\u202e"}
        assert not any(line.startswith("::error::") for line in output.splitlines())


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("nothing.yaml", None, 2),
        ("folder", "", 2),
        ("latin.yaml", "initcfg: 1\nname: café\n".encode("latin-1"), 1),
        ("empty.yaml", b"", 1),
        ("list.yaml", b"[1, 2]", 1),
        ("nul.yaml", b"initcfg: 1\nname: a\0b\n", 1),
        ("garbage.json", b"\x00\xff" * 5000, 1),
    ],
)
def test_what_is_no_spec_is_told_without_a_traceback(
    name: str, content: bytes | str | None, code: int, run: Run, folder: Path
) -> None:
    path = folder / name
    if content == "":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    result = run("validate", name)
    assert result.exit_code == code
    assert "error[" in result.stdout
    assert "Traceback" not in result.output
