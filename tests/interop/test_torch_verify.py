"""The real torch: live modules, and what torch.save has written, held against their plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from click.testing import CliRunner

import initcfg
from initcfg.adapters.torch import initialize_, manifest, verify
from initcfg.cli import main
from initcfg.errors import Code

if TYPE_CHECKING:
    from pathlib import Path

SPEC: dict[str, Any] = {
    "initcfg": 1,
    "layout": "out_in",
    "rules": [{"match": "**", "initializer": {"random_normal": {"stddev": 0.5}}}],
}


def made(dtype: torch.dtype = torch.float32) -> tuple[torch.nn.Module, initcfg.Plan]:
    module = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Linear(4, 2)).to(dtype)
    plan = initcfg.make_plan(SPEC, manifest=manifest(module))
    initialize_(module, plan)
    return module, plan


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_module_is_what_its_plan_makes_until_one_element_changes(dtype: torch.dtype) -> None:
    module, plan = made(dtype)
    assert verify(module, plan).is_equal
    with torch.no_grad():
        module[0].weight[1, 2] += 1
    (problem,) = [each for each in verify(module, plan).diagnostics if each.severity == "error"]
    assert problem.code is Code.VALUES
    assert problem.message.startswith("'0.weight'[1, 2] is ")


def test_tied_parameters_views_and_prefixes_are_compared() -> None:
    module, plan = made()
    assert verify(torch.nn.ModuleDict({"model": module}), plan, rename={"model": ""}).is_equal
    module[0].weight.data = module[0].weight.detach().t().contiguous().t()
    assert verify(module, plan).is_equal
    tied = torch.nn.ModuleDict(
        {"a": torch.nn.Linear(4, 4, bias=False), "b": torch.nn.Linear(4, 4, bias=False)}
    )
    tied["b"].weight = tied["a"].weight
    spec = SPEC | {
        "params": {"a.weight": {"shape": [4, 4]}, "b.weight": {"shape": [4, 4], "tied_to": "a.weight"}}
    }
    initialize_(tied, initcfg.make_plan(spec))
    assert verify(tied, initcfg.make_plan(spec)).is_equal


def test_what_has_no_values_and_what_is_no_module_say_so() -> None:
    module, plan = made()
    with pytest.raises(initcfg.FormatError, match="meta device"):
        verify(module.to("meta"), plan)
    with pytest.raises(TypeError, match=r"initcfg\.verify takes the path"):
        verify("w.pt", plan)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"initcfg\.adapters\.torch\.verify"):
        initcfg.verify(module, plan)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["step0.pt", "pytorch_model.bin"])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_of_torch_is_verified(name: str, wrapped: bool, zipped: bool, tmp_path: Path) -> None:
    module, plan = made()
    state = module.state_dict()
    content = {"step": 0, "state_dict": state} if wrapped else state
    torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert initcfg.verify(tmp_path / name, plan).is_equal
    result = CliRunner().invoke(main, ["verify", str(tmp_path / name), str(tmp_path / "plan.json")])
    assert result.exit_code == 0, result.output


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


@pytest.mark.parametrize("content", [Hostile(), [1, 2], {}, {"a": {"x": 1}}, "text"])
def test_code_and_other_content_are_refused(
    content: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(initcfg.FormatError) as caught:
        initcfg.verify(tmp_path / "w.pt", made()[1])
    assert caught.value.diagnostics[0].hint
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}", b"x" * 99])
def test_torn_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(initcfg.FormatError):
        initcfg.verify(tmp_path / "w.pt", made()[1])
    with pytest.raises(initcfg.FormatError, match="cannot read the file"):
        initcfg.verify(tmp_path / "none.pt", made()[1])


def test_a_module_under_other_names_is_initialised_as_its_plan_says() -> None:
    module, plan = made()
    outer = torch.nn.ModuleDict({"model": torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Linear(4, 2))})
    report = initialize_(outer, plan, rename={"model": ""})
    assert report.parameters == ("0.weight", "0.bias", "1.weight", "1.bias")
    assert bool((outer["model"][0].weight == module[0].weight).all())
    assert verify(outer, plan, rename=["model="]).is_equal
    with pytest.raises(initcfg.SpecError, match="fits no name"):
        initialize_(outer, plan, rename={"modle": ""})
