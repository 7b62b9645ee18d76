"""Weights that carry their own spec."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import initcfg
from initcfg.formats.base import SPEC_KEY
from initcfg.formats.reading import open_weights

if TYPE_CHECKING:
    from pathlib import Path

LAYER = {"repeat": {"i": "n"}, "params": {"w": {"shape": [8, 8], "initializer": {"random_normal": {}}}}}
SPEC: dict[str, Any] = {"initcfg": 1, "vars": {"n": 3}, "layers": {"h.{i}": LAYER}}


def metadata_of(path: Path) -> dict[str, str]:
    with open_weights(path) as weights:
        return dict(weights.header.metadata)


def edited(path: Path, change: dict[str, str]) -> Path:
    save_file(load_file(path), path, {**metadata_of(path), **change})
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_a_file_alone_is_verified_and_said_to_prove_integrity_only(name: str, tmp_path: Path) -> None:
    path = initcfg.save(initcfg.make_plan(SPEC, settings={"vars.n": 2}), tmp_path / name).path
    found = initcfg.verify(path)
    assert (found.is_equal, found.tensors) == (True, 2)
    assert "not their origin" in found.diagnostics[0].message


def test_every_route_writes_the_same_bytes(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text("initcfg: 1\nvars: {n: 3}\n")
    layers = json.dumps(SPEC["layers"])
    (tmp_path / "s.yaml").write_text(f"extends: base.yaml\ninitcfg: 1\nlayers: {layers}\n")
    plan = initcfg.make_plan(SPEC)
    routes: list[Any] = [plan, SPEC, tmp_path / "s.yaml"]
    routes += [initcfg.read_plan(plan.to_dict()), initcfg.load_spec(SPEC)]
    written = [initcfg.save(route, tmp_path / f"{at}.safetensors").path for at, route in enumerate(routes)]
    assert len({path.read_bytes() for path in written}) == 1
    assert initcfg.make_plan(SPEC).fingerprint == initcfg.read_plan(plan.to_dict()).fingerprint


def test_of_a_set_the_index_alone_carries_it_by_every_rank_and_executor(tmp_path: Path) -> None:
    plan = initcfg.make_plan(SPEC)
    initcfg.save_sharded(plan, tmp_path / "a", shard_size=256)
    with ThreadPoolExecutor(2) as executor:
        initcfg.save_sharded(plan, tmp_path / "b", shard_size=256, executor=executor)
    for rank in (1, 0):
        initcfg.save_sharded(plan, tmp_path / "c", shard_size=256, rank=rank, world_size=2)
    initcfg.finalize(tmp_path / "c")
    initcfg.finalize(tmp_path / "c")
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir() if path.suffix != ".lock"}
    for other in ("b", "c"):
        assert all((tmp_path / other / name).read_bytes() == content for name, content in files.items())
    assert [name for name, content in files.items() if SPEC_KEY.encode() in content] == [
        "model.safetensors.index.json"
    ]
    assert initcfg.verify(tmp_path / "c").is_equal


def test_no_spec_and_one_that_is_too_long_are_left_out(tmp_path: Path) -> None:
    long = SPEC | {"name": "x" * 70_000}
    for spec, carry in ((SPEC, False), (long, True)):
        path = initcfg.save(spec, tmp_path / "w.safetensors", carry_spec=carry).path
        with pytest.raises(initcfg.FormatError, match="carry no spec"):
            initcfg.verify(path)
    folder = tmp_path / "set"
    initcfg.save_sharded(SPEC, folder, carry_spec=False)
    assert SPEC_KEY not in (folder / "model.safetensors.index.json").read_text()


def test_a_spec_of_rules_takes_names_and_shapes_from_the_weights(tmp_path: Path) -> None:
    spec = {"initcfg": 1, "rules": [{"match": "**", "initializer": {"random_normal": {}}}]}
    plan = initcfg.make_plan(spec, manifest={"a": (3, 4), "b": (5,)})
    path = initcfg.save(plan, tmp_path / "w.safetensors").path
    assert initcfg.verify(path).is_equal
    arrays = load_file(path)
    save_file({"a": arrays["a"]}, path, metadata_of(path))
    assert not initcfg.verify(path).is_equal


def test_rules_that_fit_no_tensor_do_not_keep_a_file_from_being_verified_alone(tmp_path: Path) -> None:
    rules = [{"match": "**.bias", "skip": True}, {"match": "**", "initializer": "zeros"}]
    model = initcfg.Manifest({"fc.weight": (4, 4), "fc.bias": (4,)})
    plan = initcfg.make_plan({"initcfg": 1, "rules": rules}, manifest=model)
    assert initcfg.verify(initcfg.save(plan, tmp_path / "skipped.npz").path).is_equal
    idle = [{"match": "conv.*", "initializer": "ones"}]
    (tmp_path / "base.json").write_text(json.dumps({"initcfg": 1, "rules": idle}))
    (tmp_path / "child.json").write_text(json.dumps({"initcfg": 1, "extends": "base.json", "rules": rules}))
    plan = initcfg.make_plan(initcfg.load_spec(tmp_path / "child.json", root=tmp_path), manifest=model)
    assert initcfg.verify(initcfg.save(plan, tmp_path / "extended.npz").path).is_equal


def test_a_part_of_a_model_that_only_its_manifest_names_is_refused(tmp_path: Path) -> None:
    spec = {"initcfg": 1, "rules": [{"match": "**", "initializer": "zeros"}]}
    plan = initcfg.make_plan(spec, manifest=initcfg.Manifest({"a.w": (4,), "b.w": (4,)}))
    path = initcfg.save(plan, tmp_path / "w.safetensors", select="a.*").path
    with pytest.raises(initcfg.FormatError, match=r"are a part, made by 'a\.\*'"):
        initcfg.verify(path)
    assert initcfg.verify(path, plan, select="a.*").is_equal


@pytest.mark.parametrize("manifest", ["gone.json", "/etc/passwd", "../../secret.json", {"x": 1}, None])
def test_no_manifest_that_a_carried_spec_names_is_opened(manifest: Any, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"params": {"w": {"shape": [4]}}}))
    rules = [{"match": "w", "initializer": "ones"}]
    (tmp_path / "s.json").write_text(json.dumps({"initcfg": 1, "manifest": "m.json", "rules": rules}))
    spec = initcfg.load_spec(tmp_path / "s.json", root=tmp_path)
    path = initcfg.save(spec, tmp_path / "w.safetensors").path
    carried = json.loads(metadata_of(path)[SPEC_KEY])
    assert carried["manifest"] == "m.json"
    assert initcfg.verify(edited(path, {SPEC_KEY: json.dumps(carried | {"manifest": manifest})})).is_equal


def test_weights_that_lost_a_tensor_or_name_another_plan_are_not_equal(tmp_path: Path) -> None:
    path = initcfg.save(SPEC, tmp_path / "w.safetensors", select="h.0.w").path
    assert not initcfg.verify(path).is_equal
    path = initcfg.save(SPEC, tmp_path / "w.safetensors").path
    assert not initcfg.verify(edited(path, {"initcfg.plan": "0" * 64})).is_equal


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 10_000, '{"initcfg": 1, "extends": "x.yaml"}', '{"initcfg": 1, "x": 1}']
)
def test_metadata_that_holds_no_spec_is_refused(text: str, tmp_path: Path) -> None:
    path = edited(initcfg.save(SPEC, tmp_path / "w.safetensors").path, {SPEC_KEY: text})
    with pytest.raises(initcfg.FormatError, match="the spec that the weights carry"):
        initcfg.verify(path)


@pytest.mark.parametrize("spec", [{"initcfg": 1, "extends": "/etc/passwd"}, {"initcfg": 1, "x": 1}, {}])
def test_a_plan_file_with_another_spec_in_it_is_refused(spec: dict[str, Any]) -> None:
    tree = initcfg.make_plan(SPEC).to_dict() | {"spec": spec}
    with pytest.raises(initcfg.SpecError, match="the spec that the plan carries was edited"):
        initcfg.read_plan(tree)


def test_what_holds_code_carries_no_spec() -> None:
    params = {"w": initcfg.Param(shape=[2], initializer=lambda shape, dtype=None: np.ones(shape, dtype))}
    plan = initcfg.make_plan(initcfg.Spec(params=params))
    assert plan.spec_text is None


def test_another_dtype_of_all_is_one_problem(tmp_path: Path) -> None:
    path = initcfg.save(SPEC, tmp_path / "w.safetensors").path
    found = initcfg.verify(path, SPEC | {"dtype": "float16"}).diagnostics
    (error,) = [each for each in found if each.severity == "error"]
    assert error.message == "all 3 tensors are float32 in the file and float16 in the plan"
    assert "--set dtype=float32" in str(error.hint)
