"""How every command behaves: help, usage errors, exit codes, colour, interrupts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from initcfg.cli import COMMANDS, main

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Run = Callable[..., Result]
    Spawn = Callable[..., subprocess.CompletedProcess[str]]

EVERY = pytest.mark.parametrize(
    "command", [main.get_command(click.Context(main), name) for name in COMMANDS], ids=lambda each: each.name
)


@EVERY
def test_every_help_ends_with_an_example_of_that_command(command: click.Command, run: Run) -> None:
    for flag in ("--help", "-h"):
        result = run(command.name, flag)
        assert result.exit_code == 0
        *_, example = result.stdout.partition("Example:\n")
        assert example
        assert all(line.startswith(f"  initcfg {command.name}") for line in example.splitlines())


@EVERY
def test_every_option_and_command_is_described(command: click.Command) -> None:
    assert command.short_help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.rstrip("]")[-1] in ".s"
        elif not isinstance(parameter.type, click.Choice):
            assert set(re.findall(r"\w+", parameter.metavar or parameter.name.upper())) <= set(
                re.findall(r"\w+", command.help or "")
            )


def test_the_commands_are_listed_in_the_order_of_the_work(run: Run) -> None:
    listed = [
        line.split()[0] for line in run("--help").stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    ]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "Usage: initcfg"),
        (("validat", "x.yaml"), "No such command 'validat'"),
        (("validate",), "Missing argument 'FILE...'"),
        (("validate", "x.yaml", "--fromat", "json"), "--format"),
        (("validate", "x.yaml", "--format", "xml"), "'xml' is not one of"),
        (("plan",), "Missing argument 'FILE'"),
        (("materialize", "good.yaml"), "Missing option '-o'"),
        (("materialize", "good.yaml", "-o", "x.npz", "--threads", "0"), "--threads"),
        (("schema", "weights"), "'weights' is not one of"),
        (("explain", "unknown-initialiser"), "did you mean 'unknown-initializer'?"),
        (("explain", "nothing like it"), "initcfg explain lists them all"),
        (("initializers", "glorot_unifrom"), "did you mean 'glorot_uniform'?"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_a_hint_on_stderr(
    args: tuple[str, ...], message: str, run: Run, folder: Path
) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_python_dash_m_runs_the_same_program(spawn: Spawn) -> None:
    done = spawn("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("initcfg ")


@pytest.mark.parametrize("args", [["--help"], ["plan", "--help"]])
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    code = (
        f"import sys\nfrom initcfg.cli import main\nmain({args}, standalone_mode=False)\n"
        "print([name for name in ('numpy', 'pydantic', 'yaml', 'rich', 'jsonschema') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("args", "environment", "colored"),
    [
        ((), {}, False),  # a pipe
        (("--color", "always"), {}, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": ""}, False),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_unless_asked_for(
    args: tuple[str, ...], environment: dict[str, str], colored: bool, spawn: Spawn, folder: Path
) -> None:
    done = spawn("validate", "bad.yaml", *args, **environment)
    assert done.returncode == 1
    assert ("\x1b[" in done.stdout) is colored


def test_a_fault_of_the_program_says_so_and_how_to_report_it(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("initcfg.cli.plan.plan_from", broken)
    result = run("plan", "good.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ZeroDivisionError: planted" in result.stderr
    assert "This is a fault in initcfg" in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "error: not enough memory\n"),
        (MemoryError("Unable to allocate 40.0 TiB"), "error: Unable to allocate 40.0 TiB\n"),
        (PermissionError(13, "Permission denied", "x"), "error: [Errno 13] Permission denied: 'x'\n"),
    ],
)
def test_what_the_machine_refuses_is_exit_2_without_a_traceback(
    error: Exception, message: str, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr("initcfg.cli.plan.plan_from", refused)
    result = run("plan", "good.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_an_interrupt_is_exit_130_without_a_traceback(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("initcfg.cli.plan.plan_from", interrupted)
    result = run("plan", "good.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\nInterrupted.\n")


def test_an_interrupt_while_modules_load_is_no_traceback_either() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    module, name = pyproject["project"]["scripts"]["initcfg"].split(":")
    program = f"""if True:
        import sys
        class Interrupted:
            def find_spec(self, module, *_):
                if module == "click": raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupted())
        from {module} import {name}
        {name}()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nInterrupted.\n")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    ("place", "left"),
    [
        ("big.safetensors", "nothing was written"),
        ("big/", "whole shards stay in big/, and the same command goes on"),
    ],
)
def test_ctrl_c_while_writing_leaves_no_file_and_says_so(folder: Path, place: str, left: str) -> None:
    big = "initcfg: 1\nparams:\n  w: {shape: [300000000], initializer: {random_normal: {stddev: 1.0}}}\n"
    (folder / "big.yaml").write_text(big, encoding="utf-8")
    command = [sys.executable, "-m", "initcfg", "materialize", "big.yaml", "-o", place]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not list(folder.rglob(".initcfg-*.tmp")):
            pass
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stderr == f"\nInterrupted: {left}\n"
    files = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert files == ["bad.yaml", "big.yaml", "good.yaml", "typo.yaml"]


def test_a_warning_of_python_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setenv("COLUMNS", "80")
    run("explain")
    lines = warnings.formatwarning("word " * 40, RuntimeWarning, "file.py", 1).splitlines()
    assert lines[0].startswith("warning: word")
    assert max(map(len, lines)) <= 80


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_goes_away_is_no_fault(folder: Path) -> None:
    command = [sys.executable, "-m", "initcfg", "explain", "--format", "json"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(os.name != "posix", reason="a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed: str, folder: Path) -> None:
    program = f'exec "$@" {closed}'
    command = ["sh", "-c", program, "sh", sys.executable, "-m", "initcfg", "validate", "good.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "internal error" not in done.stderr


def test_a_stream_that_cannot_show_a_character_gets_an_escape(spawn: Spawn, folder: Path) -> None:
    (folder / "ключ.yaml").write_text("initcfg: 1\nключ: 1\n", encoding="utf-8")
    done = spawn("validate", "ключ.yaml", PYTHONIOENCODING="latin-1")
    assert done.returncode == 1
    assert r"\u043a\u043b\u044e\u0447" in done.stdout


def test_the_program_can_be_called_without_exiting(folder: Path) -> None:
    assert main(["validate", "good.yaml"], standalone_mode=False) == 0
    assert main(["validate", "bad.yaml"], standalone_mode=False) == 1


def test_a_setting_without_its_sign_is_told_how_it_is_written(run: Run, folder: Path) -> None:
    result = run("plan", "good.yaml", "--set", "seed", "3")
    assert result.exit_code == 2
    assert "a setting is written --set seed=3" in result.stderr


@pytest.mark.parametrize("args", [("--seed", "3"), ("--seed=3",)])
def test_a_setting_that_is_no_option_leads_to_set(args: tuple[str, ...], run: Run, folder: Path) -> None:
    assert "no option --seed; write --set seed=VALUE" in run("plan", "good.yaml", *args).stderr
    assert "write --set" not in run("explain", *args).stderr


def test_weights_in_the_place_of_a_spec_lead_to_what_reads_them(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    for command in ("plan", "validate"):
        assert "initcfg inspect shows what weights hold" in run(command, "w.safetensors").output


@pytest.mark.parametrize(
    ("command", "head"),
    [
        (("plan", "empty.yaml"), "name,copies,shape,dtype,initializer,kind,law,mean,std,"),
        (
            ("diff", "good.yaml", "good.yaml", "good.yaml"),
            "name,copies,good.yaml (1),good.yaml (2),good.yaml (3)",
        ),
        (("inspect", "empty.safetensors"), "file,name,copies,shape,dtype,elements,nbytes,mean,std,"),
        (("inspect", "--header", "empty.safetensors"), "file,name,copies,shape,dtype,elements,nbytes\n"),
    ],
)
def test_csv_has_its_heading_where_it_has_no_row(
    command: tuple[str, ...], head: str, run: Run, folder: Path
) -> None:
    (folder / "empty.yaml").write_text("initcfg: 1\nparams: {}\n", encoding="utf-8")
    run("materialize", "empty.yaml", "-o", "empty.safetensors")
    result = run(*command, "--format", "csv")
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    assert result.stdout.startswith(head)


@pytest.mark.parametrize(
    "args", [("plan", "good.yaml", "--select", "h.*.*.*"), ("plan", "good.yaml", "--slect")]
)
def test_a_usage_error_fits_the_terminal(args: tuple[str, ...], run: Run, folder: Path) -> None:
    result = run(*args, env={"COLUMNS": "50"})
    assert result.exit_code == 2
    assert max(map(len, result.stderr.splitlines())) <= 50
    assert " ".join(result.stderr.split()) == " ".join(run(*args).stderr.split())
