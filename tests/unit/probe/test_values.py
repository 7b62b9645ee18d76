"""What is computed of measurements, and how they are told, without a framework."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from initcfg.errors import SpecError
from initcfg.probe import Block, Nonlinearity, Probe, Run, Signal, Weight
from initcfg.probe.probed import json_schema
from initcfg.probe.values import growth, middle, repeated_modules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def signal(*squares: float | None) -> Signal:
    return Signal(square=squares, mean=tuple(0.0 for _ in squares))


def run(name: str = "a.yaml", squares: tuple[float | None, ...] = (1.0, 2.0, 4.0), dead: float = 0.0) -> Run:
    blocks = [
        Block(name=f"h.{at}", forward=signal(each), backward=signal(each), rank=(2.0,), rows=8)
        for at, each in enumerate(squares)
    ]
    rectifiers = [
        Nonlinearity(name=f"h.{at}.act", function="relu", dead=(dead,), saturated=(0.5,), entropy=(None,))
        for at in range(2)
    ]
    weight = Weight(name="h.0.w", shape=(4, 4), square=(0.1,), gradient=(1.0,), sgd=(3.0,), adam=(9.0,))
    return Run(
        name=name,
        fingerprint=None,
        seeds=(0,),
        loss=(2.0,),
        blocks=tuple(blocks),
        leaves=(),
        nonlinearities=tuple(rectifiers),
        weights=(weight,),
        seconds=1.0,
        nbytes=64,
    )


def probed(*runs: Run) -> Probe:
    return Probe(version="1", model="Net", batch="8 rows", loss="cross entropy", chance=0.7, runs=runs)


def test_the_block_at_which_the_signal_is_lost_is_told() -> None:
    told = " ".join(probed(run(squares=(1.0, 2.0, None, None))).told())
    assert "from h.2 on: it is NaN or infinite" in told
    assert "infinite" not in " ".join(probed(run()).told())


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["wte.w", "h.0.fc.w", "h.1.fc.w", "out.w"], ("h.0", "h.1")),
        (["0.weight", "0.bias", "2.weight", "2.bias"], ("0", "2")),
        (["layer1.0.c.w", "layer1.1.c.w", "layer2.0.d.0.w", "layer2.0.c.w", "layer2.1.c.w"],
         ("layer1.0", "layer1.1", "layer2.0", "layer2.1")),
        (["features.0.0.w", "features.1.conv.0.w", "features.2.conv.0.w", "features.2.conv.1.w"],
         ("features.1", "features.2")),
        (["fc1.w", "fc2.w"], ()),
        (["a.0.w"], ()),
    ],
)  # fmt: skip
def test_repeated_layers_are_the_outermost_ones_with_something_in_common(
    names: list[str], found: tuple[str, ...]
) -> None:
    assert repeated_modules(names) == found


def test_growth_is_the_geometric_mean_with_the_error_of_its_logarithm() -> None:
    factor, error = growth([(1.0, 1.0), (7.0, 7.0), (4.0, 16.0)]) or (0.0, 0.0)
    assert factor == pytest.approx(8**0.5)  # the seeds have 2 and 4 a block
    assert error == pytest.approx(0.5 * 0.6931, rel=1e-3)
    factor, none = growth([(1.0,), (4.0,)]) or (0.0, 0.0)
    assert (round(factor, 9), none) == (4.0, None)
    assert growth([(1.0,)]) is None
    assert growth([(1.0,), (None,)]) is None
    assert growth([(0.0,), (1.0,)]) is None


def test_a_number_that_is_missing_has_no_middle() -> None:
    assert middle([1.0, 4.0]) == pytest.approx(2.0)
    assert middle([1.0, None]) is None
    assert middle([0.0, 4.0]) == 0
    assert middle([]) is None


def test_a_probe_is_what_its_schema_says_and_comes_back_from_json() -> None:
    found = probed(run(), run("b.yaml", (1.0, None, None)))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    assert Probe.model_validate(document) == found


def test_the_text_has_a_column_a_plan_and_80_columns_at_most() -> None:
    found = str(probed(*(run(f"a/long/path/to/specs/number{at}.yaml") for at in range(6))))
    assert max(map(len, found.splitlines())) <= 80
    assert found.count("activations, mean square") == 2  # four plans beside each other, then two
    assert "h.2" in found


def test_dead_units_are_told_once_for_the_copies_of_a_layer() -> None:
    assert "are 0 for all" not in str(probed(run()))
    told = " ".join(str(probed(run(dead=0.3))).split())
    assert told.count("are 0 for all") == 1
    assert "a.yaml: at most 30 % of the units of h.{0..1}.act (relu) are 0 for all of the batch" in told


def test_a_loss_far_above_chance_is_told_and_one_beside_it_is_not() -> None:
    assert "times that of a model that knows nothing" in str(probed(run()))
    calm = probed(run()).model_copy(update={"chance": 1.9})
    assert "times that of a model that knows nothing" not in str(calm)


def test_a_probe_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    found = probed(run(), run("b.yaml", (None, 2.0, 0.0)))
    path = tmp_path / "probe.json"
    path.write_text(json.dumps(found.to_dict(), indent=2))
    assert Probe.load(path) == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data | {"probe": 2}, "probe: Input should be 1"),
        (lambda data: data | {"unknown": 2}, "unknown: Extra inputs"),
        (lambda data: data["runs"][0].update(seeds=[0, 1]), "not one number for each seed"),
        (lambda data: data.clear(), "Field required"),
    ],
)
def test_what_is_no_probe_is_told_with_the_way_to_one(
    change: Callable[[dict[str, object]], object], words: str, tmp_path: Path
) -> None:
    data = probed(run()).to_dict()
    path = tmp_path / "probe.json"
    path.write_text(json.dumps(change(data) or data))
    with pytest.raises(SpecError, match=f"this is no probe: .*{words}") as caught:
        Probe.load(path)
    assert "--format json > probe.json" in str(caught.value)


def test_in_a_notebook_a_probe_is_a_table_with_what_stands_out() -> None:
    html = probed(run("<b>.yaml", dead=0.5))._repr_html_()
    assert "&lt;b&gt;.yaml: gradients" in html
    assert "<b>" not in html
    assert "of the units of" in html


def test_points_through_depth_are_where_there_is_a_number() -> None:
    (depth,) = probed(run(squares=(1.0, None, 4.0))).through_depth()
    assert depth.measured == [(0, "h.0", 1.0), (2, "h.2", 4.0)]
    assert depth.expected == []
