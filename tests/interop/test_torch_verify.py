"""The real torch: live modules, and what torch.save has written, held against their plans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from click.testing import CliRunner
from torch.nn.utils import parametrizations, prune

import initcfg
from initcfg.adapters.torch import initialize_, manifest, verify
from initcfg.cli import main
from initcfg.errors import Code, FormatError, SpecError
from initcfg.formats.torch_files import loaded_tensor
from initcfg.inspection import inspect
from initcfg.manifest import buffers_among

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    # A module carries no fingerprint, and no note says so.
    (problem,) = verify(module, plan).diagnostics
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


def changed_layers() -> Iterator[torch.nn.Module]:
    """Every norm, parametrization and wrapper of torch that saves more than parameters."""
    for name, norm in vars(torch.nn).items():
        if "Norm" in name and name not in ("GroupNorm", "CrossMapLRN2d"):
            yield norm(4)
    for change in (parametrizations.spectral_norm, parametrizations.weight_norm, parametrizations.orthogonal):
        yield change(torch.nn.Linear(4, 3))
    for older in (torch.nn.utils.spectral_norm, torch.nn.utils.weight_norm):
        yield older(torch.nn.ConvTranspose2d(4, 3, 2))
    yield prune.l1_unstructured(torch.nn.Linear(4, 3), "weight", 0.5)
    yield torch.optim.swa_utils.AveragedModel(torch.nn.Linear(4, 3))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_buffers_of_every_norm_and_parametrization_are_known_by_their_names() -> None:
    found: set[str] = set()
    for module in changed_layers():
        names = {f"layer.{name}" for name in module.state_dict()}
        buffers = names - {f"layer.{name}" for name, _ in module.named_parameters()}
        assert buffers_among(names) == buffers
        found |= {name.rpartition(".")[2] for name in buffers}
    assert {"running_var", "n_averaged", "_u", "base", "weight_v", "weight_mask"} <= found


def test_what_has_no_values_and_what_is_no_module_say_so() -> None:
    module, plan = made()
    with pytest.raises(initcfg.FormatError, match="meta device"):
        verify(module.to("meta"), plan)
    with pytest.raises(TypeError, match=r"initcfg\.verify takes the path"):
        verify("w.pt", plan)
    with pytest.raises(TypeError, match=r"initcfg\.adapters\.torch\.verify"):
        initcfg.verify(module, plan)


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


def test_what_stands_in_a_file_beside_tensors_is_named(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(initcfg.FormatError, match=r"it holds a torch\.nn\.modules\.linear\.Linear"):
        initcfg.verify(tmp_path / "w.pt", made()[1])


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


def sharded(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """A set of two files and their index, as transformers wrote it before safetensors."""
    names = list(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[:1], "pytorch_model-00002-of-00002.bin": names[1:]}
    for shard, held in shards.items():
        torch.save({name: state[name] for name in held}, folder / shard)
    index = folder / "pytorch_model.bin.index.json"
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


def test_a_sharded_set_of_torch_is_read_as_one_file_is(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4))
    torch.save(module.state_dict(), tmp_path / "whole.pt")
    paths = [tmp_path / "whole.pt", sharded(tmp_path, module.state_dict())]
    one, two = (inspect(path) for path in paths)
    assert one.tensors == two.tensors
    assert one.values == two.values
    assert one.values["1.running_var"].mean == 1
    first, second = (initcfg.load_manifest(path) for path in paths)
    assert list(first.entries) == list(second.entries) == list(module.state_dict())
    assert {name: (each.shape, each.dtype) for name, each in first.entries.items()} == {
        name: (tuple(each.shape), str(each.dtype).removeprefix("torch."))
        for name, each in module.state_dict().items()
    }


def test_a_shard_that_lacks_what_the_index_says_is_told_at_its_place(tmp_path: Path) -> None:
    index = sharded(tmp_path, {"a": torch.ones(2), "b": torch.ones(3)})
    index.write_text(index.read_text().replace('"a"', '"c"'))
    with pytest.raises(FormatError, match=r"has no tensor 'c'") as caught:
        inspect(index)
    assert caught.value.diagnostics[0].where.line == 1


def test_a_file_of_torch_that_a_document_names_stays_in_the_root(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "outside.pt")
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside.pt").symlink_to(tmp_path / "outside.pt")
    document = root / "spec.yaml"
    document.write_text("initcfg: 1\nmanifest: inside.pt\nrules: [{match: '**', initializer: zeros}]\n")
    with pytest.raises(SpecError, match="leads out of the root folder"):
        initcfg.make_plan(document)
    (root / "inside.pt").unlink()
    torch.save({"a": torch.ones(2)}, root / "inside.pt")
    assert initcfg.make_plan(document)["a"].shape == (2,)


@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_more_or_other_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    cases = {
        "is a nested tensor": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        "repeats what is stored": torch.zeros(2, 1).expand(2, 2**39),
    }
    for why, tensor in cases.items():
        torch.save({"a": tensor}, tmp_path / "w.pt")
        with pytest.raises(FormatError, match=why):
            initcfg.load_manifest(tmp_path / "w.pt")


def test_elements_out_of_order_are_read_piece_by_piece(tmp_path: Path) -> None:
    whole = torch.arange(3 * 4 * 5, dtype=torch.float32).reshape(5, 3, 4)
    views = {
        "turned": whole.permute(2, 1, 0),
        "expanded": whole[:, :1].expand(5, 3, 4),
        "negative": torch._neg_view(whole),
    }
    for name, view in views.items():
        tensor, flat = loaded_tensor(name, view, tmp_path), view.clone().resolve_neg().reshape(-1).numpy()
        for start in range(61):
            for stop in range(start, 61):
                assert (tensor.read(start, stop) == flat[start:stop]).all(), (name, start, stop)


def test_a_tensor_out_of_order_is_not_copied_when_only_its_shape_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.zeros(3, 4).t()}, tmp_path / "w.pt")
    monkeypatch.setattr(torch.Tensor, "reshape", lambda *_: pytest.fail("copied"))
    assert initcfg.load_manifest(tmp_path / "w.pt").entries["a"].shape == (4, 3)


def test_of_several_state_dicts_a_few_are_named(tmp_path: Path) -> None:
    torch.save({f"{number:03}": {"a": torch.zeros(1)} for number in range(300)}, tmp_path / "w.pt")
    with pytest.raises(FormatError, match="holds 300 of them: '000', '001', '002'") as caught:
        initcfg.load_manifest(tmp_path / "w.pt")
    assert "003" not in str(caught.value)


def test_what_is_said_of_a_module_speaks_of_no_file_and_no_command() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    zeros = {"initializer": "zeros"}
    params = {f"{at}.{name}": {"shape": [3] * n, **zeros} for at in (0, 1) for name, n in WEIGHTS}
    ways = (
        params,
        {**params, "0.weight": {"shape": [4], **zeros}, "2.w": {"shape": [3], **zeros}},
        {name: {**each, "dtype": "float16"} for name, each in params.items()},
        {f"model.{name}": each for name, each in params.items()},
        {name.removeprefix("0."): each for name, each in params.items() if name[0] == "0"},
    )
    for described in ways:
        plan = initcfg.make_plan({"initcfg": 1, "layout": "out_in", "params": described})
        told = [(each.message, each.hint) for each in verify(module, plan).diagnostics]
        assert told
        assert "file" not in str(told)
        assert "--" not in str(told)


WEIGHTS = (("weight", 2), ("bias", 1))
