"""Names that were made to hurt, of parameters and of files: only the file asked for is ever written."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import initcfg
from initcfg.dtypes import as_dtype
from initcfg.errors import FormatError, InitcfgError, OutputError, SpecError
from initcfg.formats import TensorInfo, format_of

UPWARD = ["../", "../../", "./../", "a/../../", "..\\", "..\\..\\", "/", "//", "///", "\\", "\\\\host\\",
          "C:", "C:\\", "c:/", "~/", "~root/", "file:///", "file://host/", "%2e%2e%2f", "..%2f",
          "....//"]  # fmt: skip
DEVICES = ["con", "PRN", "aux", "Nul", "com1", "COM9", "lpt1", "LPT9", "conin$", "CLOCK$"]
BIDI = [*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f", "\u061c"]
SIGNS = ["\0", "\n", "\r\n", "\t", "\x1b[2J", "\x1b]0;t\x07", "\b", "\x7f", "\x85", "\u2028", "\u2029",
         "\ufeff", "\u200b"]  # fmt: skip
SURROGATES = ["\ud800", "\udfff", "\udc80", "\udc00\ud800", "a\ud83d", "\udcff/x"]
LENGTHS = [255, 256, 1_024, 4_092, 4_093, 4_096, 4_097, 65_531, 65_532, 65_535, 65_536, 100_000]
LETTERS = ["é", "e\u0301", "\u212b", "ß", "\u0130", "\U0001f600", "\u4e2d", "\uff0e\uff0e\uff0f",
           "\u2024\u2024", "\u2215", "\u29f5", "\u0645", "a\u0300" * 50, "\u3164", "\U000e0041", "\ufffd",
           "\uffff", "\u00a0"]  # fmt: skip
WORDS = ["", ".", "..", "...", " ", "a ", " a", "a.", "__metadata__", ".npy", "a.npy", "a.npy.npy", "file",
         "-rf", "--help", "*", "?", "[a]", "{0}", "%s%n", "${HOME}", "$(id)", "`id`", "|id", ";id", "&", "<>",
         '"', "'", "a/b", "a//b", "a/", "/a", "a/./b", "a/../b", "a\\b", "a:b", "a" + "/a" * 2000,
         "../" * 1000, "w.npz", ".initcfg-claim", "model.safetensors.index.json", "__proto__", "None", "0",
         "true", "\\u0000", "%00"]  # fmt: skip
NAMES = [
    *(up + name for up, name in itertools.product(UPWARD, ["victim", "out/w"])),
    *(form.format(name) for name, form in itertools.product(DEVICES, ["{}", "{}.txt", "a/{}", "{} "])),
    *(form.format(sign) for sign, form in itertools.product(SIGNS + BIDI, ["{}", "a{}b"])),
    *SURROGATES,
    *("n" * length for length in LENGTHS),
    *LETTERS,
    *WORDS,
]
READERS: dict[str, Any] = {"safetensors": load_file, "npz": np.load}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a folder for files, something to lose, and the current folder."""
    base = tmp_path / "base"
    for folder in ("out", "current"):
        (base / folder).mkdir(parents=True)
        (base / folder / "victim").write_bytes(b"precious")
    (base / "victim").write_bytes(b"precious")
    monkeypatch.chdir(base / "current")
    return base


def tree(folder: Path) -> dict[str, object]:
    """All that is below a folder, by its path, with the content of files and the targets of links."""
    return {
        os.fspath(path.relative_to(folder)): path.readlink() if path.is_symlink() else content(path)
        for path in folder.rglob("*")
    }


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def plan_of(name: str) -> initcfg.Plan:
    normal = {"random_normal": {"stddev": 1.0}}
    template = name.replace("{", "{{").replace("}", "}}")
    return initcfg.make_plan({"initcfg": 1, "params": {template: {"shape": [3], "initializer": normal}}})


def save_plan(path: Path, name: str) -> bytes:
    """A plan's only parameter."""
    plan = plan_of(name)
    initcfg.save(plan, path)
    return initcfg.materialize(plan)[name].tobytes()


class Elements:
    """Three ones."""

    ones = np.ones(3, "<f4")

    def in_order(self, _):
        yield self.ones

    def write_at(self, _, offset, write):
        write(self.ones.data.cast("B"), offset)


def write_tensor(path: Path, name: str) -> bytes:
    """A tensor as no plan would name it: the format alone stands against the name."""
    format_of(path).module.write(path, [TensorInfo(name, as_dtype("float32"), (3,))], Elements(), {})
    return Elements.ones.tobytes()


def check_told(error: InitcfgError) -> None:
    """Whatever the name does to a terminal, the error does not."""
    assert all(line.isprintable() for line in str(error).split("\n"))
    assert isinstance(error, SpecError) or all(problem.hint for problem in error.diagnostics)


def test_there_are_two_hundred_names() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 200


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("write", [save_plan, write_tensor])
def test_a_hostile_name_of_a_parameter_is_only_a_name_or_refused(place, monkeypatch, write, form) -> None:
    # Some hundred files, of which none has to survive a power failure.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    before = tree(place.parent)
    path = place / "out" / f"w.{form}"
    kept = 0
    for name in NAMES:
        try:
            elements = write(path, name)
        except (SpecError, FormatError) as error:
            check_told(error)
        else:
            kept += 1
            found = dict(READERS[form](path))
            assert {key: array.tobytes() for key, array in found.items()} == {name: elements}
            path.unlink()
        assert tree(place.parent) == before, repr(name)
    assert 50 < kept < len(NAMES)


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize(
    "name",
    [
        *(f"x{sign}y" for sign in SIGNS + BIDI), *SURROGATES, *LETTERS, "n" * 200, "n" * 300, "n" * 5_000, "",
        "-rf", "~", "$HOME", "$(id)", "`id`", "con", "nul", "*", "a b", " ", "%2e%2e%2fx", "..\\x", "C:\\x",
        "file:x", "...", "missing/x", "victim/x", "~root/x", "./x", "../out/x", "../out/../out/x", ".//x",
    ],
)  # fmt: skip
def test_a_hostile_name_of_a_file_is_that_file_or_one_error(place, form, name) -> None:
    before = tree(place.parent)
    asked = os.path.join(place, "out", f"{name}.{form}")  # noqa: PTH118  as it was typed
    try:
        initcfg.save(plan_of("w"), asked)
    except (OutputError, FormatError) as error:
        check_told(error)
    else:
        assert list(READERS[form](asked)) == ["w"]
        Path(asked).unlink()
    assert tree(place.parent) == before


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize(
    "target", ["../victim", "../current", "nothing", "../../nothing", "w.{form}", "/nothing/at/all"]
)
def test_a_link_at_the_target_is_replaced_not_followed(place, form, target) -> None:
    """To a file, to a folder, to nothing in two folders, to itself."""
    before = tree(place.parent)
    path = place / "out" / f"w.{form}"
    path.symlink_to(target.format(form=form))
    initcfg.save(plan_of("w"), path)
    assert not path.is_symlink()
    assert list(READERS[form](path)) == ["w"]
    path.unlink()
    assert tree(place.parent) == before


def test_a_link_to_the_folder_is_a_folder_like_others(place) -> None:
    (place / "link").symlink_to("out")
    initcfg.save(plan_of("w"), place / "link" / "w.npz")
    assert (place / "link").is_symlink()
    assert sorted(path.name for path in (place / "out").iterdir()) == ["victim", "w.npz"]


def test_a_writer_that_unpacks_names_would_be_found(place) -> None:
    """The planted fault: a parameter's name as a file's. One that stays in the folder of this test."""
    before = tree(place.parent)
    (place / "out" / "../victim").write_bytes(b"spoilt")
    assert tree(place.parent) != before
