"""``initcfg audit`` on real models: what it prints in each format, and its exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from transformers import CLIPConfig, GPT2Config

from initcfg.cli import main

if TYPE_CHECKING:
    from pathlib import Path

MODELS = """\
import torch

class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.empty(8))
        self.head = torch.nn.Linear(8, 8)
        for parameter in self.head.parameters():
            torch.nn.init.normal_(parameter)

def right():
    return torch.nn.Linear(4, 4)

def number():
    return 7

def flax():
    return type("Linear", (), {"__module__": "flax.nnx"})()

def needs(width):
    return torch.nn.Linear(width, width)

def inside():
    return needs()

def leaves():
    raise SystemExit(3)

class Lazy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.LazyLinear(3)

def called():
    module = Lazy()
    module.head(torch.ones(2, 4))
    return module.head

def table():
    module = torch.nn.Linear(64, 64)
    module.register_buffer("table", (torch.arange(4096.0) * 7919 % 97).reshape(64, 64))
    return module
"""

COMMANDS = ("audit", "capture", "probe")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "audited_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "audited_models", raising=False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["audit", *arguments])


def test_findings_have_a_line_and_exit_1(run) -> None:
    result = run("audited_models:Scale")
    assert result.exit_code == 1
    assert "audited_models.py:6:9: error[never-written]: 'scale' is never written" in result.output
    assert "torch.nn.Parameter(torch.empty(8))" in result.output
    assert "audited_models.py:9:13: error[random-bias]" in result.output


def test_warnings_can_be_ignored_and_garbage_cannot(run) -> None:
    result = run("audited_models:Scale", "--ignore", "random-bias", "--ignore", "never-written")
    assert "random-bias]" not in result.output
    assert "never-written]" in result.output
    assert result.exit_code == 1


def test_a_right_model_exits_0(run) -> None:
    result = run("audited_models:right")
    assert (result.exit_code, result.output) == (0, "audited_models:right: nothing found\n")


@pytest.mark.parametrize("style", ["json", "sarif", "github", "junit"])
def test_every_format_names_the_line(run, style: str) -> None:
    output = run("audited_models:Scale", "--format", style).stdout
    assert "never-written" in output
    if style == "json":
        first = json.loads(output)["diagnostics"][0]
        assert (first["file"], first["line"]) == ("audited_models.py", 6)
    elif style == "sarif":
        (result, _) = json.loads(output)["runs"][0]["results"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "audited_models.py"
        assert place["region"]["startLine"] == 6


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("target", ["audited_models:number", "nowhere:number"])
def test_a_report_calls_a_model_as_the_command_line_does(run, command: str, target: str) -> None:
    report = json.loads(CliRunner().invoke(main, [command, target, "--format", "json"]).stdout)
    assert [each["file"] for each in report["files"]] == [target]
    assert run(target).output.count(f"\n{target}: 1 error\n") == 1


def test_a_report_calls_a_config_by_its_folder(run, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    assert "\nbare: 1 error\n" in run("--config", "bare").output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "message", "help_"),
    [
        ("number", "must return a torch.nn.Module; it returned int", "must be callable without arguments"),
        ("flax", "it returned flax.nnx.Linear", 'initcfg capture reads "def init(key)"'),
        ("needs", "missing 1 required positional argument", "must be callable without arguments"),
        ("inside", "missing 1 required positional argument", ""),
        ("leaves", "leaves() raises SystemExit: 3", ""),
        ("Lazy", "the parameter 'head.weight' is lazy", "call the module once, on a batch"),
    ],
)
def test_what_makes_no_whole_module_is_told_of_alike(
    run, command: str, name: str, message: str, help_: str
) -> None:
    problem = (result := CliRunner().invoke(main, [command, f"audited_models:{name}"])).exception
    output = " ".join(result.output.split()) or str(problem)
    assert "error[input]" in output, output
    assert message in output
    assert help_ in output
    assert bool(help_) == ("help:" in output)
    assert "None:" not in output  # the summary names the model


def test_a_lazy_module_that_was_called_is_captured(run) -> None:
    assert run("audited_models:called").output == "audited_models:called: nothing found\n"
    result = CliRunner().invoke(main, ["capture", "audited_models:called"])
    assert "weight: {shape: [3, 4]}" in result.output


def test_a_file_of_tables_is_replaced_only_by_force(run, tmp_path: Path) -> None:
    assert run("audited_models:right").exit_code == 0
    beside = tmp_path / "s.tables.safetensors"
    beside.write_bytes(b"somebody's")
    command = ["capture", "audited_models:table", "-o", str(tmp_path / "s.yaml")]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2
    said = " ".join(refused.output.split())
    assert "s.tables.safetensors' exists, and does not say that initcfg wrote it" in said
    assert beside.read_bytes() == b"somebody's"
    assert not (tmp_path / "s.yaml").exists()
    assert CliRunner().invoke(main, [*command, "--force"]).exit_code == 0
    assert beside.stat().st_size > 64 * 64 * 4


TOWER = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
SMALL = GPT2Config(
    n_layer=2, n_embd=16, n_head=2, vocab_size=64, n_positions=8, bos_token_id=0, eos_token_id=0
)
CLIP = CLIPConfig(
    text_config={**TOWER, "vocab_size": 64},
    vision_config={**TOWER, "image_size": 32},
    architectures=["CLIPModel"],
)


@pytest.mark.parametrize(("config", "code"), [(SMALL, 0), (CLIP, 1)])
def test_the_folder_of_a_hugging_face_config_needs_no_callable(
    run, tmp_path: Path, config, code: int
) -> None:
    config.save_pretrained(tmp_path / "model")
    result = run("--config", "model")
    assert result.exit_code == code
    assert ("'logit_scale' is never written" in result.output) == bool(code)
