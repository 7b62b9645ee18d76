"""``initcfg validate``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result

from initcfg.cli.renderers import FOR_PEOPLE, FORMATS

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
        {"file": "good.yaml", "valid": True, "errors": 0, "warnings": 0, "base": False}
        | {"parameters": 6, "elements": 544, "bytes": 2176},
        {"file": "bad.yaml", "valid": False, "errors": 2, "warnings": 0, "base": False},
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
    name: str, content: Any, code: int, run: Run, folder: Path
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


WARNED = """\
initcfg: 1
layout: in_out
params:
  kernel: {shape: [8, 4], initializer: lecun_normal}
  bias: {shape: [4], initializer: {random_normal: {stddev: 0.5}}}
"""


def test_a_file_with_warnings_is_valid_and_still_shows_what_it_holds(run: Run, folder: Path) -> None:
    (folder / "warned.yaml").write_text(WARNED, encoding="utf-8")
    result = run("validate", "warned.yaml")
    assert result.exit_code == 0
    assert result.stdout.startswith("warned.yaml:5:3: warning[random-bias]: 'bias'")
    assert result.stderr == "warned.yaml: valid, 1 warning, 2 parameters, 36 elements, 144 bytes\n"


def test_strict_takes_warnings_for_errors(run: Run, folder: Path) -> None:
    (folder / "warned.yaml").write_text(WARNED, encoding="utf-8")
    result = run("validate", "--strict", "warned.yaml", "good.yaml", "--format", "json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["valid"], document["errors"], document["warnings"]) == (False, 1, 0)
    assert [file["valid"] for file in document["files"]] == [False, True]
    assert document["diagnostics"][0]["severity"] == "error"


def test_a_warning_that_a_spec_allows_is_not_told(run: Run, folder: Path) -> None:
    allowed = WARNED + "allow:\n- {code: random-bias, match: bias, reason: a test of biases}\n"
    (folder / "allowed.yaml").write_text(allowed, encoding="utf-8")
    result = run("validate", "--strict", "allowed.yaml")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_folder_is_told_with_the_way_out(run: Run, folder: Path) -> None:
    (folder / "specs.yaml").mkdir()
    result = run("validate", "specs.yaml", "good.yaml")
    assert result.exit_code == 2
    assert result.stdout == (
        "specs.yaml: error[input]: it is a folder\n"
        "  help: name the specs in it, as in 'specs.yaml/**/*.yaml'\n"
    )
    assert result.stderr.startswith("1 file valid, 1 with 1 error\n")


def test_patterns_are_expanded_and_a_file_given_twice_is_checked_once(run: Run, folder: Path) -> None:
    document = json.loads(run("validate", "--format", "json", "typo.yaml", "*.yaml", "./bad.yaml").stdout)
    assert [file["file"] for file in document["files"]] == ["typo.yaml", "bad.yaml", "good.yaml"]


def test_a_pattern_without_a_match_is_a_wrong_command_line(run: Run, folder: Path) -> None:
    result = run("validate", "good.yaml", "specs/*.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no file matches the pattern 'specs/*.yaml'" in result.stderr


@pytest.mark.parametrize(
    ("files", "code"), [(("good.yaml",), 0), (("bad.yaml", "good.yaml"), 1), (("no.yaml",), 2)]
)
@pytest.mark.parametrize("style", FORMATS)
def test_every_format_has_the_same_exit_code(
    style: str, files: tuple[str, ...], code: int, run: Run, folder: Path
) -> None:
    result = run("validate", "--format", style, *files)
    assert result.exit_code == code
    assert (result.stderr == "") is (style not in FOR_PEOPLE)


@pytest.mark.parametrize(
    "command", [("plan",), ("materialize", "-o", "x.npz"), ("explain",), ("initializers",)]
)
def test_a_command_that_makes_data_offers_text_and_json_only(
    command: tuple[str, ...], run: Run, folder: Path
) -> None:
    result = run(*command, "good.yaml", "--format", "sarif")
    assert result.exit_code == 2
    assert "'sarif' is not one of 'text', 'json'" in result.stderr


@pytest.mark.parametrize("style", ["json", "sarif", "junit"])
def test_a_report_file_has_the_document_and_a_person_the_text(style: str, run: Run, folder: Path) -> None:
    args = ("validate", "bad.yaml", "--format", style)
    text = run("validate", "bad.yaml", "--format", "text")
    for _ in range(2):  # the second replaces the first
        result = run(*args, "-o", "report")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == text.stdout + text.stderr
    assert (folder / "report").read_text(encoding="utf-8") == run(*args).stdout


def test_a_report_replaces_no_file_of_somebody_else_unless_forced(run: Run, folder: Path) -> None:
    before = (folder / "good.yaml").read_text(encoding="utf-8")
    result = run("validate", "--format", "sarif", "-o", "good.yaml", "bad.yaml")
    assert result.exit_code == 2
    assert "error[unknown-key]" in result.stderr
    assert "error[output]: 'good.yaml' exists, and does not say that initcfg wrote it" in result.stderr
    assert (folder / "good.yaml").read_text(encoding="utf-8") == before
    assert run("validate", "--format", "sarif", "-o", "good.yaml", "--force", "bad.yaml").exit_code == 1
    assert json.loads((folder / "good.yaml").read_text(encoding="utf-8"))["version"] == "2.1.0"


def test_a_report_that_cannot_be_written_is_no_file_that_was_checked(run: Run, folder: Path) -> None:
    told = run("validate", "bad.yaml").stderr
    result = run("validate", "bad.yaml", "--format", "json", "-o", "good.yaml")
    assert result.exit_code == 2
    assert told.splitlines()[0] in result.stderr.splitlines()
    fine = run("validate", "good.yaml", "--format", "json", "-o", "bad.yaml")
    assert (fine.exit_code, "good.yaml: valid" in fine.stderr) == (2, True)


def test_of_very_many_useless_allows_a_hundred_are_told(run: Run, folder: Path) -> None:
    useless = [{"code": "random-bias", "match": f"x{at}", "reason": "none"} for at in range(250)]
    params = {"w": {"shape": [2], "initializer": "zeros"}}
    document = {"initcfg": 1, "params": params, "allow": useless}
    (folder / "many.json").write_text(json.dumps(document), encoding="utf-8")
    result = run("validate", "many.json")
    assert (result.exit_code, result.stdout.count("warning[unused-allow]")) == (0, 100)
    assert "150 warnings more are not shown" in result.stdout
    assert run("validate", "--strict", "many.json").exit_code == 1


@pytest.mark.parametrize("args", [(), ("--format", "text"), ("--format", "github")])
def test_a_report_file_takes_a_document(args: tuple[str, ...], run: Run, folder: Path) -> None:
    result = run("validate", "good.yaml", "-o", "report", *args, env={"GITHUB_ACTIONS": "true"})
    assert result.exit_code == 2
    assert "give --format, one of json, sarif, junit" in result.stderr
    assert not (folder / "report").exists()


@pytest.mark.parametrize(
    ("value", "args", "annotated"),
    [
        ("true", (), True),
        ("true", ("--format", "text"), False),
        ("true", ("--format", "json"), False),
        ("false", (), False),
        ("", (), False),
        ("", ("--format", "github"), True),
    ],
)
def test_github_actions_gets_annotations_unless_another_format_is_asked_for(
    value: str, args: tuple[str, ...], annotated: bool, run: Run, folder: Path
) -> None:
    result = run("validate", "bad.yaml", *args, env={"GITHUB_ACTIONS": value})
    assert result.exit_code == 1
    assert result.stdout.startswith("::error file=bad.yaml,line=3,col=40,endColumn=54,") is annotated


def many_faults(count: int) -> str:
    return "initcfg: 1\nparams:\n" + "".join(
        f"  w{at}: {{shape: [2], initializer: nothing_{at}}}\n" for at in range(count)
    )


def test_what_github_does_not_show_is_added_to_the_summary_of_the_job(run: Run, folder: Path) -> None:
    (folder / "many.yaml").write_text(many_faults(11), encoding="utf-8")
    summary = folder / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    settings = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    result = run("validate", "many.yaml", env=settings)
    written = summary.read_text(encoding="utf-8")
    assert written.startswith("before\n### initcfg: 11 errors, 0 warnings in 1 file\n")
    assert written.count("\n| error |") == len(result.stdout.splitlines()) == 11
    assert "the summary of the job has all" in result.stderr


def test_what_github_shows_needs_no_summary(run: Run, folder: Path) -> None:
    summary = folder / "summary.md"
    run("validate", "bad.yaml", env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)})
    assert not summary.exists()


def test_a_summary_that_cannot_be_written_is_said_and_changes_no_exit_code(run: Run, folder: Path) -> None:
    (folder / "many.yaml").write_text(many_faults(11), encoding="utf-8")
    result = run("validate", "many.yaml", env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "no/where"})
    assert result.exit_code == 1
    assert "cannot add to the summary of the job" in result.stderr


def test_text_loads_no_other_format_and_nothing_heavy(folder: Path) -> None:
    code = (
        "import sys\nfrom initcfg.cli import main\nmain(['validate', 'bad.yaml'], standalone_mode=False)\n"
        "heavy = ('xml.etree.ElementTree', 'tomllib', 'jsonschema', 'rich', 'initcfg.explanations',"
        " 'initcfg.cli.renderers.documents')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_inherited_rule_that_wins_nothing_is_noted_and_fine(run, folder) -> None:
    (folder / "base.yaml").write_text(
        "initcfg: 1\nrules: [{match: '**.scale', initializer: ones}]\n", "utf-8"
    )
    text = "initcfg: 1\nextends: base.yaml\nparams: {w: {shape: [4], initializer: zeros}}\n"
    (folder / "spec.yaml").write_text(text, "utf-8")
    result = run("validate", "--strict", "spec.yaml")
    assert "note[unused-rule]" in result.stdout
    assert result.exit_code == 0


def test_a_base_is_checked_as_far_as_it_goes(run: Run, folder: Path) -> None:
    base = "initcfg: 1\nbase: true\nrules:\n  - {match: '**.w', initializer: {constant: {value: d}}}\n"
    (folder / "base.yaml").write_text(base)
    result = run("validate", "base.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "base.yaml: a valid base, which other documents extend\n"
    (folder / "base.yaml").write_text(base.replace("constant", "constnt"))
    result = run("validate", "base.yaml")
    assert result.exit_code == 1
    assert "no initializer is named 'constnt'" in result.stdout


@pytest.mark.parametrize("command", [["plan"], ["materialize", "-o", "x.npz"]])
def test_a_base_cannot_be_planned_and_says_what_can(run: Run, folder: Path, command: list[str]) -> None:
    (folder / "base.yaml").write_text("initcfg: 1\nbase: true\nrules: [{match: '**', initializer: ones}]\n")
    result = run(command[0], "base.yaml", *command[1:])
    assert result.exit_code == 1
    assert "error[base]" in result.stderr
    assert "extends: base.yaml" in result.stderr


def test_base_is_not_inherited(run: Run, folder: Path) -> None:
    (folder / "base.yaml").write_text("initcfg: 1\nbase: true\nrules: [{match: '**', initializer: ones}]\n")
    (folder / "over.yaml").write_text("initcfg: 1\nextends: base.yaml\nparams: {a: {shape: [2]}}\n")
    assert run("validate", "over.yaml").exit_code == 0


def test_rules_alone_say_what_is_missing(run: Run, folder: Path) -> None:
    (folder / "rules.yaml").write_text("initcfg: 1\nrules: [{match: '**', initializer: ones}]\n")
    result = run("validate", "rules.yaml")
    assert result.exit_code == 1
    assert "there are no parameters" in result.stdout
    assert "say base: true" in result.stdout


def test_the_code_to_read_about_is_the_most_severe_one(run: Run, folder: Path) -> None:
    (folder / "warned.yaml").write_text(WARNED, encoding="utf-8")
    result = run("validate", "warned.yaml", "bad.yaml")
    assert result.stderr.endswith("For more about a code: initcfg explain unknown-initializer\n")


def test_quiet_leaves_the_problems_and_no_summary(run: Run, folder: Path) -> None:
    assert run("validate", "-q", "good.yaml").output == ""
    result = run("validate", "-q", "bad.yaml")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "error[unknown-key]" in result.stdout


def test_an_ignored_warning_is_only_counted_and_an_error_stays(run: Run, folder: Path) -> None:
    (folder / "warned.yaml").write_text(WARNED, encoding="utf-8")
    result = run("validate", "--strict", "--ignore", "random-bias", "warned.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "valid, 1 warning ignored (random-bias), 2 parameters" in result.stderr
    assert run("validate", "--ignore", "unknown-key", "bad.yaml").stdout.count("error[unknown-key]") == 1
    unknown = run("validate", "--ignore", "random-bais", "warned.yaml")
    assert unknown.exit_code == 2
    assert "did you mean 'random-bias'?" in unknown.stderr


@pytest.mark.parametrize("pattern", ["old", "old/", "old/*", "b*.yaml"])
def test_files_that_are_excluded_are_not_read_and_are_counted(run: Run, folder: Path, pattern: str) -> None:
    (folder / "old").mkdir()
    (folder / "bad.yaml").rename(folder / "old" / "bad.yaml")
    result = run("validate", "--exclude", pattern, "good.yaml", "old/bad.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 file excluded" in result.stderr
    alone = run("validate", "--exclude", pattern, "old/bad.yaml")
    assert (alone.exit_code, alone.stderr) == (0, "0 files valid, 1 file excluded\n")


def test_an_empty_name_is_a_file_that_cannot_be_read(run: Run, folder: Path) -> None:
    result = run("validate", "")
    assert result.exit_code == 2
    assert "internal error" not in result.stderr


def test_over_several_files_a_setting_applies_where_it_can_and_the_others_are_named(
    run: Run, folder: Path
) -> None:
    params = "params:\n  w: {shape: [2], initializer: zeros}\n"
    (folder / "with.yaml").write_text(f"initcfg: 1\nvars: {{d: 2}}\n{params.replace('[2]', '[d]')}")
    (folder / "without.yaml").write_text(f"initcfg: 1\n{params}")
    result = run("validate", "with.yaml", "without.yaml", "--set", "vars.d=7")
    assert result.exit_code == 0
    assert result.stdout == (
        "without.yaml: note[setting]: --set vars.d=7 was not applied: the document has no vars.d\n"
    )
    result = run("validate", "without.yaml", "--set", "vars.d=7")
    assert result.exit_code == 1
    assert "error[setting]: the document has no vars.d" in result.stdout
    result = run("validate", "with.yaml", "without.yaml", "--set", "vars.e=7")
    assert result.exit_code == 1
    for file in ("with.yaml", "without.yaml"):
        assert f"error[setting]: {file} has no vars.e" in result.stdout
    result = run("validate", "with.yaml", "without.yaml", "--set", "vars.d=x(")
    assert result.exit_code == 1


def test_a_plan_without_weights_is_warned_about_by_its_file(run: Run, folder: Path) -> None:
    (folder / "none.yaml").write_text("initcfg: 1\n", encoding="utf-8")
    planned = run("plan", "none.yaml", "-o", "none.json")
    assert planned.stderr.startswith("1 warning; to see it: initcfg validate none.yaml")
    result = run("validate", "--strict", "none.json")
    assert result.exit_code == 1
    assert result.stdout.startswith("none.json: error[no-elements]: the plan makes no weights")
