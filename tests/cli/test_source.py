"""What commands take: a spec or a plan, by name or on standard input, with settings and a root."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]

TAKES = [("plan",), ("validate",), ("materialize", "-o", "out.safetensors"), ("diff", "good.yaml")]


@pytest.fixture
def planned(run: Run, folder: Path) -> Path:
    assert run("plan", "good.yaml", "-o", "plan.json").exit_code == 0
    return folder / "plan.json"


@pytest.mark.parametrize("command", TAKES, ids=lambda command: command[0])
def test_every_command_takes_a_plan_where_it_takes_a_spec(
    command: tuple[str, ...], run: Run, planned: Path
) -> None:
    assert run(*command, "plan.json").exit_code == 0
    assert run(*command, "-", input=planned.read_text(encoding="utf-8")).exit_code == 0


def test_a_plan_is_known_by_what_it_holds_and_not_by_its_name(run: Run, planned: Path, folder: Path) -> None:
    for name in ("plan.yaml", "plan"):
        (folder / name).write_bytes(planned.read_bytes())
        assert run("plan", name, "--format", "json").stdout == planned.read_text(encoding="utf-8")


def test_the_plan_of_a_plan_is_the_plan(run: Run, planned: Path) -> None:
    assert run("plan", "plan.json").stdout == run("plan", "good.yaml").stdout
    assert run("plan", "plan.json", "--format", "json").stdout == planned.read_text(encoding="utf-8")


def test_a_plan_makes_the_weights_of_its_spec(run: Run, planned: Path, folder: Path) -> None:
    for source in ("good.yaml", "plan.json"):
        assert run("materialize", source, "-o", f"{source}.safetensors").exit_code == 0
    one, two = ((folder / f"{source}.safetensors").read_bytes() for source in ("good.yaml", "plan.json"))
    assert one == two


def test_a_plan_that_was_edited_is_exit_1_with_the_way_out(run: Run, planned: Path) -> None:
    document = json.loads(planned.read_text(encoding="utf-8"))
    document["seed"] = 8
    planned.write_text(json.dumps(document), encoding="utf-8")
    result = run("plan", "plan.json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "plan.json: $.parameters[0]: error[edited-plan]" in result.stderr
    assert "initcfg plan SPEC -o PLAN" in result.stderr


@pytest.mark.parametrize("command", TAKES, ids=lambda command: command[0])
def test_values_are_put_over_a_spec_and_not_over_a_plan(
    command: tuple[str, ...], run: Run, planned: Path
) -> None:
    assert run(*command, "good.yaml", "--set", "vars.d=4").exit_code == (1 if command[0] == "diff" else 0)
    result = run(*command, "plan.json", "--set", "vars.d=4")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'plan.json' is a plan, and --set changes specs" in result.stderr


def test_settings_may_be_repeated_and_reach_standard_input(run: Run, folder: Path) -> None:
    settings = ("--set", "seed=3", "--set", "vars.d=4")
    named = run("plan", "good.yaml", *settings)
    assert "(32, 4)" in named.stdout
    assert "seed 3" in named.stdout
    assert run("plan", "-", *settings, input=(folder / "good.yaml").read_text("utf-8")).stdout == named.stdout


def test_a_setting_that_the_spec_does_not_have_is_a_problem(run: Run, folder: Path) -> None:
    assert run("plan", "good.yaml", "--set", "vars.nothing=4").exit_code != 0


def test_the_root_is_a_folder_that_paths_may_not_leave(run: Run, folder: Path) -> None:
    (folder / "base.yaml").write_text("initcfg: 1\n", encoding="utf-8")
    (folder / "inner").mkdir()
    (folder / "inner" / "spec.yaml").write_text("initcfg: 1\nextends: ../base.yaml\n", encoding="utf-8")
    assert run("plan", "inner/spec.yaml").exit_code == 0
    assert run("plan", "inner/spec.yaml", "--root", "inner").exit_code != 0
    assert run("plan", "inner/spec.yaml", "--root", "nowhere").exit_code == 2
