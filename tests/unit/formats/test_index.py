"""The index of a sharded set: its text as transformers writes it, and read strictly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from initcfg.errors import Code, FormatError
from initcfg.formats import index as module
from initcfg.formats.base import FilePool
from initcfg.formats.index import INDEX_NAME, Index, index_text, read_index, read_set

if TYPE_CHECKING:
    from initcfg.errors import Diagnostic
    from initcfg.formats.base import Header

SHARD = "model-00001-of-00002.safetensors"
OTHER = "model-00002-of-00002.safetensors"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
TOTALS = st.none() | st.integers(0, 2**80)
INDEXES = st.builds(
    Index,
    st.dictionaries(TEXT.filter(bool), st.sampled_from([SHARD, OTHER, "é.SafeTensors"]), max_size=5),
    TOTALS,
    TOTALS,
    st.dictionaries(TEXT.filter(lambda key: not key.startswith("total_")), TEXT, max_size=3),
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / INDEX_NAME
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path) -> tuple[Diagnostic, ...]:
    with pytest.raises(FormatError) as raised:
        read_index(path)
    return raised.value.diagnostics


@given(INDEXES)
def test_an_index_that_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, index: Index
) -> None:
    path = written(tmp_path_factory.getbasetemp(), index_text(index))
    again = read_index(path)
    assert again == index
    assert list(again.weight_map) == sorted(index.weight_map)


def test_the_text_is_that_of_transformers() -> None:
    index = Index({"b": OTHER, "a": SHARD}, 12, 3, {"initcfg.plan": "é"})
    tree = {
        "metadata": {"total_size": 12, "total_parameters": 3, "initcfg.plan": "é"},
        "weight_map": {"b": OTHER, "a": SHARD},
    }
    assert index_text(index) == json.dumps(tree, indent=2, sort_keys=True) + "\n"


def test_each_name_has_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, index_text(Index({"a": SHARD, "b": OTHER}, 0)))
    place = read_index(path).where["b"]
    assert (place.file, place.line, place.column) == (str(path), 7, 5)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ('{"weight_map": {}}', Index({})),
        (f'\ufeff{{"weight_map": {{"w": "{SHARD}"}}}}', Index({"w": SHARD})),
        (
            f'{{"metadata": {{"mtp": [1], "x": null, "y": "z"}}, "weight_map": {{"w": "{SHARD}"}}}}',
            Index({"w": SHARD}, metadata={"y": "z"}),
        ),
    ],
)
def test_a_foreign_index_is_read(tmp_path: Path, text: str, index: Index) -> None:
    assert read_index(written(tmp_path, text)) == index


def mapped(shard: object) -> str:
    return json.dumps({"weight_map": {"w": shard}}, indent=1)


def described(metadata: object) -> str:
    return json.dumps({"metadata": metadata, "weight_map": {}}, indent=1)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("[]", "has an object 'weight_map'", 1),
        ("{}", "has an object 'weight_map'", 1),
        ('{\n"weight_map": ["w"]}', "has an object 'weight_map'", 2),
        ('{\n"params": {},\n"weight_map": {}}', "no key 'params'", 2),
        (mapped("../a.safetensors"), "beside the index", 3),
        (mapped("/a.safetensors"), "beside the index", 3),
        (mapped("a\\b.safetensors"), "beside the index", 3),
        (mapped("c:a.safetensors"), "beside the index", 3),
        (mapped("a\0.safetensors"), "beside the index", 3),
        (mapped("a.bin"), "beside the index", 3),
        (mapped(""), "beside the index", 3),
        (mapped(3), "beside the index", 3),
        (mapped([SHARD]), "beside the index", 3),
        ('{"weight_map": {"": "a.safetensors"}}', "is empty", 1),
        (described([]), "is an object", 2),
        (described(None), "is an object", 2),
        (described({"total_size": -1}), "'total_size' is no whole number", 3),
        (described({"total_size": 1.5}), "'total_size' is no whole number", 3),
        (described({"total_size": True}), "'total_size' is no whole number", 3),
        (described({"total_size": "1"}), "'total_size' is no whole number", 3),
        (described({"total_parameters": None}), "'total_parameters' is no whole number", 3),
        ('{"weight_map": {\n"w": "a.safetensors",\n"w": "b.safetensors"}}', "'w' appears twice", 3),
        ('{"weight_map": {}, "metadata":\n{"a": {"b": 1, "b": 2}}}', "'b' appears twice", 2),
        ('{"weight_map": {}', "not JSON", 1),
        ('{"weight_map": {}} {}', "follows the document's end", 1),
        ('{"metadata": {"a": NaN}, "weight_map": {}}', "not a finite number", 1),
        ('{"metadata": {"a": ' + "9" * 5000 + '}, "weight_map": {}}', "thousands of digits", 1),
        ('{"weight_map":' * 100_000, "nested too deep", 1),
        ('{"weight_map": {"\\ud800": "a.safetensors"}}', "surrogate", 1),
        (b'{"weight_map": {"\xff": "a.safetensors"}}', "not UTF-8", 1),
    ],
)
def test_what_is_no_index_is_refused_at_its_place(
    tmp_path: Path, text: str | bytes, message: str, line: int
) -> None:
    (found, *_) = problems(written(tmp_path, text))
    assert message in found.message
    assert found.code is Code.FORMAT
    assert found.where is not None
    assert (found.where.file, found.where.line) == (str(tmp_path / INDEX_NAME), line)


def test_an_index_that_is_not_there_is_told(tmp_path: Path) -> None:
    (found,) = problems(tmp_path / INDEX_NAME)
    assert found.code is Code.INPUT


def test_the_size_of_an_index_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, '{"weight_map": {}}')
    monkeypatch.setattr(module, "MAX_INDEX_BYTES", 17)
    (found,) = problems(path)
    assert "larger than" in found.message


def test_problems_have_an_end(tmp_path: Path) -> None:
    weight_map = {f"w{at}": f"../{at}" for at in range(1000)}
    found = problems(written(tmp_path, json.dumps({"weight_map": weight_map})))
    assert len(found) == 101
    assert found[-1].message == "900 more problems are not shown"


def test_a_total_is_no_text() -> None:
    with pytest.raises(ValueError, match="total_size is a number"):
        Index({}, metadata={"total_size": "3"})


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
SHARDS: dict[str, dict[str, Any]] = {
    FIRST: {"w": np.ones((2, 3), "float32"), "v": np.zeros(1, "float32")},
    SECOND: {"x": np.arange(4, dtype="int16")},
}
MAP = {"x": SECOND, "v": FIRST, "w": FIRST}
TEXTS = {"initcfg.plan": "a" * 64, "format": "pt"}


def write(
    folder: Path,
    weight_map: dict[str, Any] = MAP,
    total_size: int = 36,
    *,
    index: dict[str, str] = TEXTS,
    first: dict[str, str] | None = TEXTS,
    second: dict[str, str] | None = TEXTS,
) -> Path:
    """A set in a folder, with texts for the index and for each shard; gives its index."""
    for shard, texts in ((FIRST, first), (SECOND, second)):
        save_file(SHARDS[shard], folder / shard, texts)
    tree = {"metadata": {"total_size": total_size, **index}, "weight_map": weight_map}
    (folder / INDEX_NAME).write_text(json.dumps(tree, indent=1), "utf-8")
    return folder / INDEX_NAME


def read(path: Path) -> Header:
    with FilePool() as handles:
        return read_set(path, handles)[0]


def refused(path: Path) -> list[tuple[str, str, int | None]]:
    """The problems: each with its message, the name of its file and its line."""
    with pytest.raises(FormatError) as raised:
        read(path)
    told = []
    for problem in raised.value.diagnostics:
        assert problem.code in (Code.FORMAT, Code.INPUT)
        assert problem.hint
        assert problem.where is not None
        told.append((problem.message, Path(str(problem.where.file)).name, problem.where.line))
    return told


def test_one_header_has_the_tensors_in_the_order_of_the_index_each_with_its_shard(tmp_path: Path) -> None:
    header = read(write(tmp_path))
    assert {name: tensor.shard for name, tensor in header.tensors.items()} == MAP
    assert list(header.tensors) == list(MAP)
    assert header.tensors["w"].shape == (2, 3)
    assert header.shards == (SECOND, FIRST)
    assert header.metadata == TEXTS
    assert header.nbytes == sum((tmp_path / shard).stat().st_size for shard in SHARDS)


def test_a_foreign_index_without_metadata_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, first=None, second=None)
    path.write_text(json.dumps({"weight_map": MAP}))
    assert list(read(path).tensors) == list(MAP)


def test_shards_may_be_links_as_in_the_cache_of_the_hub(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "blob").write_bytes((tmp_path / FIRST).read_bytes())
    (tmp_path / FIRST).unlink()
    (tmp_path / FIRST).symlink_to("blob")
    assert list(read(path).tensors) == list(MAP)


def test_the_tied_names_of_all_shards_are_put_together(tmp_path: Path) -> None:
    first = TEXTS | {"initcfg.tied": '{"head": "w"}'}
    second = TEXTS | {"initcfg.tied": '{"tail": "x"}'}
    header = read(write(tmp_path, first=first, second=second))
    assert json.loads(header.metadata["initcfg.tied"]) == {"head": "w", "tail": "x"}
    index = TEXTS | {"initcfg.tied": '{"head": "w", "tail": "x"}'}
    assert read(write(tmp_path, index=index, first=first, second=second)).metadata == header.metadata


def test_texts_on_which_the_shards_do_not_agree_are_no_texts_of_the_set(tmp_path: Path) -> None:
    header = read(write(tmp_path, first=TEXTS | {"part": "1"}, second=TEXTS | {"part": "2"}))
    assert header.metadata == TEXTS


@pytest.mark.parametrize(
    ("weight_map", "expected"),
    [
        (MAP | {"y": FIRST}, [(f"the shard {FIRST!r} does not hold 'y'", INDEX_NAME, 11)]),
        (
            MAP | {"v": SECOND},
            [(f"the shard {SECOND!r} does not hold 'v'; {FIRST!r} does", INDEX_NAME, 9)],
        ),
        (
            {"w": FIRST, "x": SECOND},
            [(f"the shard {FIRST!r} holds 'v', which the index does not list", FIRST, None)],
        ),
        (
            MAP | {"x": "no.safetensors"},
            [("the shard 'no.safetensors': cannot read the file", INDEX_NAME, 8)],
        ),
        (
            MAP | {"x": "loop.safetensors"},
            [("the shard 'loop.safetensors': cannot read the file", INDEX_NAME, 8)],
        ),
        (
            MAP | {"x": "folder.safetensors"},
            [("the shard 'folder.safetensors': cannot read the file", INDEX_NAME, 8)],
        ),
        (MAP | {"x": "fifo.safetensors"}, [("the shard 'fifo.safetensors': cannot read", INDEX_NAME, 8)]),
        (MAP | {"x": "torn.safetensors"}, [("this is no whole safetensors file", "torn.safetensors", None)]),
    ],
)
def test_an_index_that_does_not_fit_its_shards_is_refused(
    weight_map: dict[str, str], expected: list[tuple[str, str, int | None]], tmp_path: Path
) -> None:
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    os.mkfifo(tmp_path / "fifo.safetensors")
    found = refused(write(tmp_path, weight_map))
    assert len(found) == len(expected)
    for (message, file, line), (start, *place) in zip(found, expected, strict=True):
        assert message.startswith(start)
        assert [file, line] == place


def test_a_tensor_that_is_in_two_shards_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    save_file(SHARDS[SECOND] | {"v": np.zeros(1, "float32")}, tmp_path / SECOND, TEXTS)
    ((message, file, line),) = refused(path)
    assert (file, line) == (INDEX_NAME, 9)
    assert message == f"'v' is in two shards: {FIRST!r}, where the index has it, and {SECOND!r}"


def test_another_total_than_the_tensors_have_is_refused(tmp_path: Path) -> None:
    ((message, *_),) = refused(write(tmp_path, total_size=35))
    assert message == "'total_size' is 35, the tensors have 36 bytes"


@pytest.mark.parametrize(
    ("texts", "shards"),
    [
        ({"second": TEXTS | {"initcfg.plan": "b" * 64}}, [SECOND]),
        ({"second": {"format": "pt"}}, [SECOND]),
        ({"index": TEXTS | {"initcfg.plan": "b" * 64}}, [SECOND, FIRST]),
        ({"index": {}, "second": TEXTS | {"initcfg.plan": "b" * 64}}, [FIRST]),
        ({"first": TEXTS | {"initcfg.select": "a*"}}, [FIRST]),
    ],
)
def test_shards_of_two_plans_are_a_mixed_set_that_names_them(
    texts: dict[str, Any], shards: list[str], tmp_path: Path
) -> None:
    found = refused(write(tmp_path, **texts))
    assert [file for _, file, _ in found] == shards
    for message, file, _ in found:
        assert message.startswith(f"the set is mixed: {file!r} is of ")


def test_shards_of_one_plan_under_an_index_that_names_none_are_read(tmp_path: Path) -> None:
    assert read(write(tmp_path, index={})).metadata == TEXTS


def test_ties_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    tied = [TEXTS | {"initcfg.tied": json.dumps({"head": name})} for name in ("w", "x")]
    ((message, *_),) = refused(write(tmp_path, first=tied[0], second=tied[1]))
    assert message == "'head' shares 'w' here, and 'x' elsewhere in the set"


def test_ties_that_are_malformed_are_refused_with_their_shard(tmp_path: Path) -> None:
    ((message, file, _),) = refused(write(tmp_path, second=TEXTS | {"initcfg.tied": "[]"}))
    assert (message, file) == (
        "the metadata 'initcfg.tied' of the file is not a JSON object of names",
        SECOND,
    )


def test_problems_of_a_set_have_an_end(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as raised:
        read(write(tmp_path, MAP | {f"y{at}": FIRST for at in range(500)}))
    assert len(raised.value.diagnostics) == 101
    assert raised.value.diagnostics[-1].message == "400 more problems are not shown"


@settings(max_examples=2 * settings().max_examples)
@given(st.data())
def test_damage_to_a_set_is_an_error_or_leaves_places_inside_its_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    write(folder)
    path = folder / data.draw(st.sampled_from([INDEX_NAME, FIRST, SECOND]))
    sound = path.read_bytes()
    at, cut = data.draw(st.integers(0, len(sound))), data.draw(st.integers(0, 4))
    path.write_bytes(sound[:at] + data.draw(st.binary(max_size=4)) + sound[at + cut :])
    try:
        header = read(folder / INDEX_NAME)
    except FormatError:
        return
    for tensor in header.tensors.values():
        size = (folder / str(tensor.shard)).stat().st_size
        assert 0 <= tensor.begin <= tensor.begin + tensor.nbytes <= size
