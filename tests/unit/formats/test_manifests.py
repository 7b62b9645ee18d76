"""Manifests from documents, from weights and from indexes; and back to documents."""

from __future__ import annotations

import json
import os
import pickle
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import initcfg
from initcfg.dtypes import DTYPES
from initcfg.errors import Code, FormatError, InitcfgError, SpecError
from initcfg.formats import manifests
from initcfg.formats.index import read_index
from initcfg.formats.manifests import manifest_json, manifest_yaml, read_manifest
from initcfg.manifest import Manifest, ManifestEntry

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ENTRIES = st.builds(
    ManifestEntry,
    st.lists(st.integers(0, 2**63 - 1), max_size=4).map(tuple),
    st.none() | st.sampled_from(sorted(DTYPES)),
)


def problems(path):
    with pytest.raises(InitcfgError) as raised:
        read_manifest(path)
    return raised.value.diagnostics


def saved(path, shapes):
    params = {name: {"shape": list(shape), "initializer": "zeros"} for name, shape in shapes.items()}
    initcfg.save({"initcfg": 1, "params": params}, path)


@given(entries=st.dictionaries(NAMES, ENTRIES, max_size=5))
def test_a_manifest_that_is_written_is_read_back(tmp_path_factory, entries):
    manifest = Manifest(entries)
    folder = tmp_path_factory.mktemp("written")
    for ending, write in (("json", manifest_json), ("yaml", manifest_yaml)):
        path = folder / f"a.{ending}"
        path.write_text(write(manifest), "utf-8")
        again = read_manifest(path)
        assert again == manifest
        assert list(again.entries) == list(entries)
        assert again.file == str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.json",
            '{"params": {\n  "h.0.w": {"shape": [2, 3], "dtype": "bfloat16"},\n  "b": {"shape": []}}}',
        ),
        (
            "a.JSON",
            '\ufeff{"params": {\n  "h.0.w": {"dtype": "bfloat16", "shape": [2, 3]},\n  "b": {"shape": []}}}',
        ),
        ("a.yaml", "params:\n  h.0.w: {shape: [2, 3], dtype: bfloat16}\n  b:\n    shape: []\n"),
        ("a.yml", "params:\n  h.0.w: {shape: [2, 3], dtype: bfloat16}\n  b: {shape: []}\n"),
    ],
)
def test_a_document_says_names_shapes_and_dtypes_with_their_places(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    manifest = read_manifest(path)
    assert manifest.entries == {"h.0.w": ManifestEntry((2, 3), "bfloat16"), "b": ManifestEntry(())}
    where = manifest.entries["h.0.w"].where
    assert (where.file, where.line, where.column, where.path) == (str(path), 2, 3, ("params", "h.0.w"))


@pytest.mark.parametrize(
    ("entry", "code", "column"),
    [
        ('{"shape": [2, -3]}', Code.MANIFEST, 13),
        ('{"shape": [2, 3.0]}', Code.MANIFEST, 13),
        ('{"shape": [true]}', Code.MANIFEST, 13),
        ('{"shape": 3}', Code.MANIFEST, 13),
        ('{"shape": [9223372036854775808]}', Code.MANIFEST, 13),
        ('{"shape": [' + "1, " * 64 + "1]}", Code.MANIFEST, 13),
        ('{"shape": [1], "dtype": "float33"}', Code.UNKNOWN_DTYPE, 27),
        ('{"shape": [1], "dtype": null}', Code.WRONG_TYPE, 27),
        ('{"shape": [1], "dtyp": "int8"}', Code.UNKNOWN_KEY, 18),
        ('{"dtype": "int8"}', Code.MISSING_KEY, None),
        ("[1, 2]", Code.WRONG_TYPE, None),
        ("null", Code.WRONG_TYPE, None),
    ],
)
@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_what_is_wrong_with_an_entry_has_its_place(tmp_path, entry, code, column, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text(f'{{"params": {{\n"v": {{"shape": [1]}},\n"w": {entry}}}}}')
    (found,) = problems(path)
    assert (found.code, found.where.file, found.where.line) == (code, str(path), 3)
    assert column is None or found.where.column == column + 3
    assert found.hint


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("{}", [Code.MISSING_KEY]),
        ("[]", [Code.MANIFEST]),
        ('{"params": []}', [Code.WRONG_TYPE]),
        ('{"params": {}, "name": 3}', [Code.UNKNOWN_KEY]),
        ('{"weight_map": {"w": "a.safetensors"}, "metadata": {}}', [Code.MANIFEST]),
        ('{"a": {"shape": [1]}, "b": {"shape": [2]}}', [Code.MISSING_KEY]),
        ('{"params": {"w": {"shape": [1]}, "w": {"shape": [2]}}}', [Code.DUPLICATE_KEY]),
        ('{"params": {"": {"shape": [1]}}}', [Code.MANIFEST]),
        ('{"params": {"v": {"shape": 1}, "w": {"shape": 2}}}', [Code.MANIFEST, Code.MANIFEST]),
    ],
)
@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_what_is_no_manifest_is_refused(tmp_path, text, codes, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text(text)
    assert [each.code for each in problems(path)] == codes


SPEC = {
    "initcfg": 1,
    "name": "n",
    "seed": 1,
    "params": {"w": {"shape": [2], "initializer": "zeros"}},
}


@pytest.mark.parametrize("ending", ["json", "yaml"])
@pytest.mark.parametrize(
    ("tree", "message", "hint"),
    [
        (SPEC, "this is a spec, and no manifest", "extends"),
        (initcfg.make_plan(SPEC).to_dict(), "this is a plan, and no manifest", "in the place of a spec"),
        ({"metadata": {}, "weight_map": {}}, "this is an index of shards, and no manifest", "rename"),
    ],
)
def test_a_document_of_another_kind_is_one_error_that_names_the_kind(tmp_path, tree, message, hint, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text(json.dumps(tree))
    (found,) = problems(path)
    assert (found.code, found.message) == (Code.MANIFEST, message)
    assert hint in found.hint
    assert found.where.line == 1


@pytest.mark.parametrize("name", ["a.bin", "a", "a.yaml.txt"])
def test_another_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text("{}")
    assert [each.code for each in problems(tmp_path / name)] == [Code.INPUT]


def test_problems_have_an_end(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"params": {f"w{at}": {} for at in range(1000)}}))
    found = problems(path)
    assert len(found) == 101
    assert found[-1].message == "900 more problems are not shown"


@pytest.mark.parametrize(("name", "limit"), [("a.json", "MAX_JSON"), ("a.yaml", "MAX_YAML")])
def test_size_is_bounded(tmp_path, monkeypatch, name, limit):
    path = tmp_path / name
    path.write_text('{"params": {}}')
    monkeypatch.setattr(manifests, limit, 14)
    assert read_manifest(path).entries == {}
    monkeypatch.setattr(manifests, limit, 13)
    (found,) = problems(path)
    assert found.code is Code.TOO_LARGE


def test_a_manifest_too_large_for_yaml_is_not_written_as_yaml():
    manifest = Manifest({f"parameter.{at:060}": (1, 2) for at in range(30_000)})
    with pytest.raises(SpecError, match="JSON"):
        manifest_yaml(manifest)


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.npz", "a.safetensors", "a.safetensors.index.json"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, name):
    path = tmp_path / name
    assert [each.code for each in problems(path)] == [Code.INPUT]
    os.mkfifo(path)
    found = []
    reader = threading.Thread(target=lambda: found.extend(each.code for each in problems(path)), daemon=True)
    reader.start()
    reader.join(timeout=30)
    assert found == [Code.INPUT]


def test_text_that_is_not_utf_8_is_refused_at_its_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"params": \xff')
    (found,) = problems(path)
    assert (found.code, found.where.column) == (Code.ENCODING, 12)


def test_the_header_of_weights_is_a_manifest(tmp_path):
    path = tmp_path / "a.safetensors"
    saved(path, {"w": (2, 3), "b": (3,)})
    manifest = read_manifest(path)
    assert manifest == Manifest({"w": ManifestEntry((2, 3), "float32"), "b": ManifestEntry((3,), "float32")})
    assert manifest.entries["w"].where.file == str(path)


def test_an_npz_file_is_a_manifest(tmp_path):
    saved(tmp_path / "a.npz", {"w": (2, 3), "b": (3,)})
    expected = {"w": ManifestEntry((2, 3), "float32"), "b": ManifestEntry((3,), "float32")}
    assert read_manifest(tmp_path / "a.npz") == Manifest(expected)


def test_weights_that_are_cut_off_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    saved(path, {"w": (2, 3)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError):
        read_manifest(path)


def test_an_unknown_tag_names_its_tensor(tmp_path):
    header = json.dumps({"w": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    (found,) = problems(path)
    assert "'w'" in found.message
    assert "'F4'" in found.message


@pytest.fixture
def sharded(tmp_path):
    """``sharded(weight_map)``: an index over ``1.safetensors`` with v and w and ``2.safetensors`` with x."""
    save_file({"w": np.ones((2, 3), "float32"), "v": np.ones(1, "float32")}, tmp_path / "1.safetensors")
    save_file({"x": np.ones(4, "float32")}, tmp_path / "2.safetensors")

    def make(weight_map):
        path = tmp_path / "model.safetensors.index.json"
        path.write_text(json.dumps({"metadata": {"total_size": 44}, "weight_map": weight_map}, indent=1))
        return path

    return make


WHOLE = {"x": "2.safetensors", "v": "1.safetensors", "w": "1.safetensors"}


def test_an_index_gives_the_shapes_of_all_shards_in_its_own_order(sharded):
    manifest = read_manifest(sharded(WHOLE))
    assert [(name, entry.shape) for name, entry in manifest.entries.items()] == [
        ("x", (4,)),
        ("v", (1,)),
        ("w", (2, 3)),
    ]
    assert manifest.entries["v"].where.line == 7


@pytest.mark.parametrize("sharding", [False, True])
def test_where_the_order_is_the_alphabets_layers_come_by_their_numbers(tmp_path, sharding):
    names = [f"h.{at}.w" for at in range(12)]
    spec = {"initcfg": 1, "params": {name: {"shape": [2], "initializer": "zeros"} for name in names[::-1]}}
    path = tmp_path / ("set" if sharding else "h.safetensors")
    if sharding:
        initcfg.save_sharded(spec, path, shard_size=20)
    else:
        initcfg.save(spec, path)
    assert list(read_manifest(path).entries) == names


def test_a_folder_stands_for_its_index(sharded):
    index = sharded(WHOLE)
    assert read_manifest(index.parent) == read_manifest(index)


def test_an_index_that_does_not_fit_its_shards_is_refused(sharded):
    (found,) = problems(sharded(WHOLE | {"v": "2.safetensors"}))
    assert found.code is Code.FORMAT
    assert found.message == "the shard '2.safetensors' does not hold 'v'; '1.safetensors' does"
    assert found.where.line == 7


def test_a_document_marks_buffers_and_is_written_back(tmp_path):
    path = tmp_path / "m.json"
    manifest = Manifest({"w": (2,), "mean": ManifestEntry((2,), "float32", buffer=True)})
    path.write_text(manifest_json(manifest), "utf-8")
    assert read_manifest(path).entries == manifest.entries
    path.write_text('{"params": {"w": {"shape": [2], "buffer": 1}}}', "utf-8")
    with pytest.raises(SpecError, match="expected true or false"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("end", "before", "entry", "most"),
    [
        ("a.json", '{"params": {', '"w%06d":{"shape":[1]}', 10),
        ("a.json", '{"params": {', '"layers.%06d.weight": {"shape": [4, 4096], "dtype": "float32"}', 5),
        ("a.safetensors.index.json", '{"weight_map": {', '"w%06d":"a.safetensors"', 10),
    ],
)
def test_many_small_entries_take_a_few_times_the_file(tmp_path, end, before, entry, most):
    path = tmp_path / end
    path.write_text(before + ",".join(entry % at for at in range(20_000)) + "}}")
    tracemalloc.start()
    try:
        found = read_index(path).where if "index" in end else read_manifest(path).entries
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == 20_000
    assert peak < most * path.stat().st_size


def test_of_equal_entries_each_has_its_own_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"params": {\n"a": {"shape": [2]},\n "b": {"shape": [2]}}}')
    manifest = read_manifest(path)
    assert [(str(entry.where), entry.where.path) for entry in manifest.entries.values()] == [
        (f"{path}:2:1", ("params", "a")),
        (f"{path}:3:2", ("params", "b")),
    ]
    assert manifest == Manifest({"a": (2,), "b": (2,)})
    assert pickle.loads(pickle.dumps(manifest)) == manifest


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
def test_what_names_tell_to_be_buffers_no_wildcard_reaches(tmp_path, ending):
    names = ("bn.weight", "bn.running_mean", "bn.running_var")
    saved(tmp_path / f"m.{ending}", dict.fromkeys(names, (3,)))
    manifest = read_manifest(tmp_path / f"m.{ending}")
    assert [name for name, entry in manifest.entries.items() if entry.buffer] == list(names[1:])
    everything = {"match": "**", "initializer": "ones"}
    plan = initcfg.make_plan({"initcfg": 1, "rules": [everything]}, manifest=manifest)
    assert [each.name for each in plan] == ["bn.weight"]
    mean = {"match": "**.running_mean", "initializer": "zeros"}
    plan = initcfg.make_plan({"initcfg": 1, "rules": [mean, everything]}, manifest=manifest)
    assert {each.name for each in plan} == {"bn.weight", "bn.running_mean"}
