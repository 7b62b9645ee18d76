"""The index of a sharded set: its text as transformers writes it, and read strictly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.errors import Code, FormatError
from initcfg.formats import index as module
from initcfg.formats.index import INDEX_NAME, Index, index_text, read_index

if TYPE_CHECKING:
    from pathlib import Path

    from initcfg.errors import Diagnostic

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
        ('{"weight_map": {\n"w": "a.safetensors",\n"w": "b.safetensors"}}', "'w' stands twice", 3),
        ('{"weight_map": {}, "metadata":\n{"a": {"b": 1, "b": 2}}}', "'b' stands twice", 2),
        ('{"weight_map": {}', "not JSON", 1),
        ('{"weight_map": {}} {}', "follows the document's end", 1),
        ('{"metadata": {"a": NaN}, "weight_map": {}}', "not a finite number", 1),
        ('{"metadata": {"a": ' + "9" * 5000 + '}, "weight_map": {}}', "thousands of digits", 1),
        ('{"weight_map":' * 100_000, "nested deeper", 1),
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
    assert len(problems(written(tmp_path, json.dumps({"weight_map": weight_map})))) == 100


def test_a_total_is_no_text() -> None:
    with pytest.raises(ValueError, match="total_size is a number"):
        Index({}, metadata={"total_size": "3"})
