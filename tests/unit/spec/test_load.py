"""Documents from files, texts and mappings."""

from __future__ import annotations

import os
import threading

import pytest

from initcfg.errors import Code, SpecError
from initcfg.spec import Spec, load, loads, reads
from initcfg.spec.files import MAX_BYTES, read_bytes


def problem(build):
    with pytest.raises(SpecError) as raised:
        build()
    return raised.value.diagnostics[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", b"initcfg: 1\nname: \xc3\xa9\n"),
        ("a.yml", b"\xef\xbb\xbfinitcfg: 1\r\nname: \xc3\xa9\r\n"),
        ("a.YAML", b"{initcfg: 1, name: \xc3\xa9}"),
        ("a.json", b'{"initcfg": 1, "name": "\xc3\xa9"}'),
        ("a.b.json", b'\xef\xbb\xbf\n{"initcfg": 1, "name": "\\u00e9"}'),
    ],
)
def test_the_end_of_the_name_says_what_the_file_is(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert load(path) == load(str(path)) == Spec(name="é")


def test_places_name_the_file_as_the_user_did(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("initcfg: 1\nsede: 1\n")
    monkeypatch.chdir(tmp_path)
    assert str(problem(lambda: load("a.yaml")).where) == "a.yaml:2:1"


def test_a_mapping_is_a_document_too():
    assert load({"initcfg": 1, "seed": 3}) == Spec(seed=3)
    assert problem(lambda: load({"seed": 3})).code is Code.MISSING_KEY
    assert problem(lambda: load([])).code is Code.WRONG_TYPE  # type: ignore[arg-type]


def test_a_document_names_its_version_and_python_need_not():
    assert problem(lambda: loads("seed: 3")).code is Code.MISSING_KEY
    assert Spec().initcfg == 1


def test_a_missing_file_is_refused(tmp_path):
    found = problem(lambda: load(tmp_path / "nothing.yaml"))
    assert (found.code, found.where.file) == (Code.INPUT, str(tmp_path / "nothing.yaml"))


def test_a_folder_is_refused(tmp_path):
    folder = tmp_path / "a.yaml"
    folder.mkdir()
    assert problem(lambda: load(folder)).code is Code.INPUT


def test_a_fifo_that_nobody_writes_is_refused_at_once(tmp_path):
    path = tmp_path / "a.yaml"
    os.mkfifo(path)
    found = []
    reader = threading.Thread(target=lambda: found.append(problem(lambda: load(path)).code), daemon=True)
    reader.start()
    reader.join(timeout=30)
    assert found == [Code.INPUT]


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert problem(lambda: load(tmp_path / "a.yaml")).code is Code.INPUT


def test_a_device_is_refused(tmp_path):
    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    assert problem(lambda: load(tmp_path / "a.yaml")).code is Code.INPUT


@pytest.mark.parametrize(
    "name", ["a", "a.txt", "a.toml", "a.yaml.bak", ".yaml", "a\0.yaml", "x" * 300 + ".yaml"]
)
def test_another_name_is_refused(tmp_path, name):
    assert problem(lambda: load(str(tmp_path / name))).code is Code.INPUT


def test_size_is_bounded(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("initcfg: 1\n#" + "x" * (MAX_BYTES - 13) + "\n")
    assert load(path) == Spec()
    path.write_text("initcfg: 1\n#" + "x" * (MAX_BYTES - 12) + "\n")
    assert problem(lambda: load(path)).code is Code.TOO_LARGE
    assert problem(lambda: loads("#" + "é" * (MAX_BYTES // 2))).code is Code.TOO_LARGE


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a\xff", (1, 2)),
        (b"\xc3\xa9\n\xc3\xa9\xc3", (2, 2)),
        (b"\xef\xbb\xbfab\xc0\x80", (1, 3)),
        (b"a: \xed\xa0\x80", (1, 4)),
        ("initcfg: 1".encode("utf-16"), (None, None)),
        ("initcfg: 1".encode("utf-16-be"), (1, 1)),
    ],
)
def test_bytes_that_are_not_utf_8_are_refused_at_their_place(content, place):
    found = problem(lambda: read_bytes(content))
    assert found.code is Code.ENCODING
    assert (found.where.line, found.where.column) == place


def test_an_unknown_format_is_refused():
    assert problem(lambda: loads("", format="toml")).code is Code.INPUT


def test_a_fault_of_the_text_hides_none_of_the_structure():
    with pytest.raises(SpecError) as raised:
        loads("initcfg: 1\nseed: .nan\nsede: 3\nseed: 4\nname: 5\n")
    assert [(each.code, each.where.line) for each in raised.value.diagnostics] == [
        (Code.NOT_FINITE, 2),
        (Code.UNKNOWN_KEY, 3),
        (Code.DUPLICATE_KEY, 4),
        (Code.WRONG_TYPE, 5),
    ]


def test_one_place_gives_one_problem():
    with pytest.raises(SpecError) as raised:
        loads("initcfg: 1\nvars: {x: *y}\n")
    assert [each.code for each in raised.value.diagnostics] == [Code.ALIAS]


def test_a_fault_behind_an_alias_is_told_once():
    with pytest.raises(SpecError) as raised:
        loads("initcfg: 1\nparams:\n  a: &a {shape: [-1]}\n  b: *a\n  c: *a\n")
    assert [str(each.where) for each in raised.value.diagnostics] == ["3:18"]


def test_a_folder_named_like_a_spec_is_refused_and_leaves_no_descriptor_behind(tmp_path):
    folder = tmp_path / "a.yaml"
    folder.mkdir()
    found = problem(lambda: load(folder))
    assert (found.code, found.message) == (Code.INPUT, "cannot read the file: it is a folder")
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    assert problem(lambda: load(folder)) == found
    again = os.open(os.devnull, os.O_RDONLY)
    os.close(again)
    assert again == descriptor


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"initcfg: 1\nname: \xff\n", "the byte 0xff is not UTF-8"),
        (b"\xff\xfei\x00", "the text is UTF-16"),
        (b"\x87" * (MAX_BYTES + 1), "the byte 0x87 is not UTF-8"),
        (b"#" * (MAX_BYTES + 1), "a spec has at most 256 KiB of text"),
        (b"#" * MAX_BYTES + b"\xc3", "a spec has at most 256 KiB of text"),
    ],
)
def test_bytes_from_a_stream_say_the_same_as_a_file(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    from_stream = problem(lambda: reads(content, file=str(path)))
    assert from_stream == problem(lambda: load(path))
    assert from_stream.message == message
