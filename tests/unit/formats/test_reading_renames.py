"""Names of weights as a plan has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

import initcfg
from initcfg import verification
from initcfg.formats.reading import Renames

if TYPE_CHECKING:
    from pathlib import Path

LAYER = {"repeat": {"i": 2}, "params": {"query.weight": {"shape": [4, 4], "initializer": "random_normal"}}}
SPEC = {"initcfg": 1, "layers": {"layer.{i}": LAYER}}


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"model": ""}, "model.h.0", "h.0"),
        ({"model": ""}, "models.h.0", "models.h.0"),
        ({"": "model"}, "h.0", "model.h.0"),
        ({"h.{i}.q": "layer.{i}.query"}, "h.12.q.bias", "layer.12.query.bias"),
        ({"h.{i}.q": "layer.{i}.query"}, "h.x.q.bias", "h.x.q.bias"),
        ({"a.{i}.b.{j}": "{j}.{i}"}, "a.1.b.2", "2.1"),
        (["h=layer", "h.0=other"], "h.0", "layer.0"),
    ],
)
def test_leading_segments_are_replaced_and_numbers_captured(
    given: dict[str, str] | list[str], name: str, expected: str
) -> None:
    assert Renames.of(given)(name) == expected


@pytest.mark.parametrize(
    "text", ["h", "h.*=x", "a.{i}=b.{j}", "a..b=c", "a{i}=b{i}", "{i}.{i}=x", "a=a", "a.{=b"]
)
def test_a_rename_that_cannot_be_meant_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(initcfg.SpecError) as caught:
        Renames.of([text])
    assert caught.value.diagnostics[0].hint


def renamed_file(folder: Path, prefix: str = "vit.layers", leaf: str = "q_proj") -> Path:
    made = initcfg.materialize(SPEC)
    arrays = {f"{prefix}.{i}.{leaf}.weight": made[f"layer.{i}.query.weight"] for i in range(2)}
    save_file(arrays, folder / "w.safetensors")
    return folder / "w.safetensors"


def test_weights_under_other_names_are_verified_bit_for_bit(tmp_path: Path) -> None:
    path = renamed_file(tmp_path)
    assert not initcfg.verify(path, SPEC).is_equal
    assert initcfg.verify(path, SPEC, rename={"vit.layers.{i}.q_proj": "layer.{i}.query"}).elements == 32
    assert initcfg.verify(path, SPEC, rename={"vit.layers.{i}.q_proj": "layer.{i}.query"}).is_equal
    swapped = {"vit.layers.0.q_proj": "layer.1.query", "vit.layers.1.q_proj": "layer.0.query"}
    assert not initcfg.verify(path, SPEC, rename=swapped).is_equal


def test_a_rename_that_fits_no_name_and_two_that_meet_are_errors(tmp_path: Path) -> None:
    path = renamed_file(tmp_path)
    plan = initcfg.make_plan(SPEC)
    with pytest.raises(initcfg.SpecError, match="fits no name"):
        verification.verify(path, plan, rename={"vt": ""})
    with pytest.raises(initcfg.SpecError, match="both called"):
        verification.verify(path, plan, rename={"vit.layers.{i}": "layer.0"})


def test_tied_names_in_the_metadata_are_renamed_with_the_tensors(tmp_path: Path) -> None:
    params = {"a": {"shape": [3], "initializer": "random_normal"}, "b": {"shape": [3], "tied_to": "a"}}
    spec = {"initcfg": 1, "params": params}
    array = {"m.a": initcfg.materialize(spec)["a"]}
    save_file(array, tmp_path / "w.safetensors", {"initcfg.tied": '{"m.b": "m.a"}'})
    assert initcfg.verify(tmp_path / "w.safetensors", spec, rename=["m="]).is_equal


def test_a_prefix_of_all_names_is_one_problem_with_the_way_out(tmp_path: Path) -> None:
    arrays = {f"model.{name}": np.array(each) for name, each in initcfg.materialize(SPEC).items()}
    save_file(arrays, tmp_path / "w.safetensors")
    errors = [each for each in initcfg.verify(tmp_path / "w.safetensors", SPEC).diagnostics if each.hint]
    assert len(errors) == 1
    assert "--strip-prefix model." in str(errors[0].hint)
