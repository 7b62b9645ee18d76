"""Names and shapes of a model as a value."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from initcfg import Manifest, ManifestEntry, load_manifest
from initcfg.errors import Code, Location, SpecError


def test_a_shape_stands_for_an_entry():
    manifest = Manifest({"w": (2, 3), "b": [3], "s": (), "n": (np.int64(4),)})  # type: ignore[dict-item]
    assert manifest.entries == {
        "w": ManifestEntry((2, 3)),
        "b": ManifestEntry((3,)),
        "s": ManifestEntry(()),
        "n": ManifestEntry((4,)),
    }
    assert type(manifest.entries["n"].shape[0]) is int


def test_where_a_manifest_comes_from_does_not_count():
    one = Manifest({"w": ManifestEntry((2,), "int8", Location("a"))}, "a")
    other = Manifest({"w": ManifestEntry((2,), "int8")})
    assert one == other
    assert hash(one) == hash(other)
    assert one != Manifest({"w": (2,)})


def test_a_manifest_cannot_change_and_can_be_sent():
    shapes = {"w": [2]}
    manifest = Manifest(shapes)
    shapes["w"].append(3)
    with pytest.raises(TypeError):
        manifest.entries["v"] = ManifestEntry(())  # type: ignore[index]
    assert pickle.loads(pickle.dumps(manifest)) == manifest == Manifest({"w": (2,)})


@pytest.mark.parametrize(
    "entries",
    [
        {"w": 3},
        {"w": "23"},
        {"w": (-1,)},
        {"w": (True,)},
        {"w": (2.0,)},
        {"w": (2**63,)},
        {"w": (1,) * 65},
        {"": (1,)},
        {3: (1,)},
        {"w": None},
        {"w": ManifestEntry((-1,))},
    ],
)
def test_what_is_no_name_or_no_shape_is_refused(entries):
    with pytest.raises(SpecError) as raised:
        load_manifest(entries)
    assert raised.value.diagnostics[0].code is Code.MANIFEST


def test_what_is_no_manifest_at_all_is_refused():
    with pytest.raises(SpecError) as raised:
        load_manifest(3)  # type: ignore[arg-type]
    (found,) = raised.value.diagnostics
    assert found.code is Code.WRONG_TYPE
    assert found.hint.endswith("of a model what manifest() of its adapter makes")


def test_arrays_in_the_place_of_shapes_lead_to_their_shapes():
    with pytest.raises(SpecError) as raised:
        load_manifest({"w": np.zeros((2, 3))})  # type: ignore[dict-item]
    assert raised.value.diagnostics[0].hint == "give its .shape"


def test_a_tree_of_shapes_leads_to_what_reads_one():
    with pytest.raises(SpecError) as raised:
        load_manifest({"params": {"fc": {"kernel": (2, 3)}}})  # type: ignore[dict-item]
    assert raised.value.diagnostics[0].hint.startswith("initcfg.adapters.jax.manifest")
