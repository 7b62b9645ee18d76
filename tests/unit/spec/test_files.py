"""The paths in a spec: relative to its folder, and never out of the root."""

from __future__ import annotations

import pytest

from initcfg.errors import Code, SpecError
from initcfg.formats.manifests import read_manifest
from initcfg.spec import load, read
from initcfg.spec.files import Root


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Two rooms and a hall, each with a spec, and a link in the first room to the second."""
    for room in ("one", "two"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "base.yaml").write_text(f"initcfg: 1\nname: {room}\n")
    (tmp_path / "base.yaml").write_text("initcfg: 1\nname: hall\n")
    (tmp_path / "one" / "door").symlink_to("../two", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "two")
    return tmp_path


def write(house, extends):
    path = house / "one" / "spec.yaml"
    path.write_text(f"initcfg: 1\nextends: {extends}\n")
    return path


def code(build):
    with pytest.raises(SpecError) as raised:
        build()
    return raised.value.diagnostics[0].code


def test_without_a_root_a_spec_stays_in_its_own_folder(house):
    assert load(write(house, "base.yaml")).name == "one"
    assert code(lambda: load(write(house, "../base.yaml"))) is Code.OUTSIDE_ROOT


@pytest.mark.parametrize(("path", "told"), [("folder", "it is a folder"), ("nothing", "no such file")])
def test_what_is_no_file_is_not_told_to_have_another_name(tmp_path, path, told):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpecError, match=told):
        load(tmp_path / path)


def test_the_current_folder_is_the_root_of_what_is_under_it(house, monkeypatch):
    monkeypatch.chdir(house)
    assert load(write(house, "../base.yaml")).name == "hall"
    assert load("one/spec.yaml").name == "hall"
    assert code(lambda: load(write(house, "../../base.yaml"))) is Code.OUTSIDE_ROOT


def test_a_root_that_is_given_counts_alone(house, monkeypatch):
    monkeypatch.chdir(house)
    path = write(house, "../base.yaml")
    assert load(path, root=house).name == "hall"
    assert code(lambda: load(path, root=house / "one")) is Code.OUTSIDE_ROOT
    assert code(lambda: load(path, root=house / "nowhere")) is Code.INPUT
    assert code(lambda: load(path, root=path)) is Code.INPUT


def test_links_are_followed_before_the_root_is_looked_at(house):
    assert code(lambda: load(write(house, "door/base.yaml"))) is Code.OUTSIDE_ROOT
    assert load(write(house, "door/base.yaml"), root=house).name == "two"
    assert load(write(house, "door/../base.yaml"), root=house).name == "hall"


def test_an_absolute_path_inside_the_root_is_read(house):
    assert load(write(house, str(house / "one" / "base.yaml"))).name == "one"
    assert code(lambda: load(write(house, str(house / "base.yaml")))) is Code.OUTSIDE_ROOT


@pytest.mark.parametrize("path", ['"a\\0b.yaml"', '""', "https://example.com/a.yaml", "file:///etc/passwd"])
def test_what_is_no_path_is_refused(house, path):
    assert code(lambda: load(write(house, path))) is Code.INPUT


def test_paths_of_a_mapping_are_relative_to_the_root_or_the_current_folder(house):
    document = {"initcfg": 1, "extends": "base.yaml"}
    with pytest.warns(UserWarning, match="is taken from the current folder"):
        assert load(document).name == "two"
    assert load(document, root=house / "one").name == "one"


def test_a_manifest_stays_in_the_root_too(house):
    (house / "shapes.json").write_text('{"params": {}}')
    (house / "one" / "spec.yaml").write_text("initcfg: 1\nmanifest: ../shapes.json\n")
    reading = read(house / "one" / "spec.yaml")
    assert [each.code for each in reading.problems] == [Code.OUTSIDE_ROOT]
    assert reading.left_out == {("manifest",)}
    assert read(house / "one" / "spec.yaml", root=house).manifest.entries == {}


SECRET = "root:x:0:0: never to be quoted"


@pytest.fixture
def planted(tmp_path):
    """A root with links, such as a checkout keeps, to what is outside of it."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "set").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.json").write_text(SECRET)
    header = b'{"secret": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}'
    (outside / "shard.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (root / "model-00001-of-00001.safetensors").symlink_to(outside / "shard.safetensors")
    index = '{"metadata": {}, "weight_map": {"secret": "model-00001-of-00001.safetensors"}}'
    (root / "model.safetensors.index.json").write_text(index)
    (root / "set" / "model.safetensors.index.json").symlink_to(outside / "secret.json")
    (root / "link.json").symlink_to(outside / "secret.json")
    return root


@pytest.mark.parametrize("named", ["model.safetensors.index.json", "set", "link.json"])
def test_nothing_that_a_manifest_leads_to_is_read_outside_of_the_root(planted, named):
    path = planted / "spec.yaml"
    path.write_text(f"initcfg: 1\nmanifest: {named}\nrules: [{{match: '**', initializer: zeros}}]\n")
    reading = read(path)
    assert [problem.code for problem in reading.problems] == [Code.OUTSIDE_ROOT]
    assert reading.manifest is None
    assert SECRET not in str(SpecError(*reading.problems))
    assert "secret'" not in str(SpecError(*reading.problems))


@pytest.mark.parametrize("named", ["model.safetensors.index.json", "."])
def test_what_a_person_names_is_followed_anywhere(planted, named):
    assert list(read_manifest(planted / named).entries) == ["secret"]


def test_a_link_that_is_exchanged_after_the_look_is_found(planted, monkeypatch):
    inside = planted / "shapes.json"
    inside.write_text('{"params": {"w": {"shape": [2]}}}')
    path = planted / "spec.yaml"
    path.write_text("initcfg: 1\nmanifest: shapes.json\nrules: [{match: '**', initializer: zeros}]\n")
    find = Root.find

    def find_and_exchange(*arguments):
        found = find(*arguments)
        inside.unlink()
        inside.symlink_to(planted.parent / "outside" / "secret.json")
        return found

    monkeypatch.setattr(Root, "find", find_and_exchange)
    assert [problem.code for problem in read(path).problems] == [Code.OUTSIDE_ROOT]


def test_a_text_in_the_place_of_a_path_is_told() -> None:
    with pytest.raises(SpecError) as caught:
        load("initcfg: 1\nparams: {}\n")
    assert caught.value.diagnostics[0].hint.startswith("this is a text of several lines")
