"""Readers of foreign bytes answer with diagnostics, whatever the bytes: inputs made by the grammar of each.

The suite tries 300 of each reader, always the same; ``INITCFG_FUZZ=20000 pytest
tests/contract/test_fuzzed_readers.py`` tries more.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

from initcfg.api import load_manifest, make_plan, materialize
from initcfg.errors import InitcfgError
from initcfg.expressions import Expression, ExpressionError
from initcfg.formats.index import read_index
from initcfg.formats.npz import read_header as read_npz_header
from initcfg.formats.safetensors import read_header
from initcfg.globs import Glob, PatternError
from initcfg.plan.read import read_plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = int(os.environ.get("INITCFG_FUZZ", "300"))
PLAN = make_plan({"initcfg": 1, "params": {"w": {"shape": [2, 3], "initializer": "random_normal"}}})

Make: TypeAlias = "Callable[[random.Random], bytes]"


LITERALS = [
    # What numpy and Python warn of.
    *("'a4'", "'\\d'", "1if 1else 2"),
    "1",
    "-1",
    "'a'",
    "None",
    "True",
    "()",
    "1e400",
    "b'x'",
    "2**63",
    "x",
    "'<f4'",
    "'|O'",
    "''",
    "0j",
]
LEAVES = [
    "1",
    "-1",
    '"F32"',
    "null",
    "true",
    "[]",
    "{}",
    "1e400",
    '"\\ud800"',
    "18446744073709551616",
    "NaN",
    '""',
]
KEYS = [
    "params",
    "shape",
    "dtype",
    "data_offsets",
    "__metadata__",
    "weight_map",
    "metadata",
    "total_size",
    "w",
]
TOKENS = [
    "a",
    "b(",
    ")",
    "1",
    "2.5",
    "1e400",
    "+",
    "**",
    "//",
    "if",
    "else",
    "(",
    "%",
    "fan_in",
    "sqrt",
    ",",
    "<",
    "é",
]


def literal(rng: random.Random, depth: int = 0) -> str:
    """A Python literal, or nearly one, as the head of a .npy file holds it."""
    if depth == 3 or rng.random() < 0.5:
        return rng.choice(LITERALS)
    inner = [literal(rng, depth + 1) for _ in range(rng.randrange(3))]
    match rng.randrange(4):
        case 0:
            return "[" + ", ".join(inner) + "]"
        case 1:
            return "(" + ", ".join(inner) + ",)"
        case 2:
            return "{" + ", ".join(f"{literal(rng, 3)}: {each}" for each in inner) + "}"
    return "{" + ", ".join(inner) + "}"


def npy_head(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return literal(rng)
    keys = {"descr": "'<f4'", "fortran_order": "False", "shape": "(2,)"}
    for key in list(keys):
        if rng.random() < 0.4:
            keys[key] = literal(rng)
        if rng.random() < 0.1:
            del keys[key]
    if rng.random() < 0.3:
        keys[literal(rng)] = literal(rng)
    return "{" + ", ".join(f"'{key}': {value}" for key, value in keys.items()) + "}"


def npz(rng: random.Random) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for number in range(rng.randrange(1, 3)):
            head = npy_head(rng).encode("latin1", "replace")
            version, size = ((1, 0), "<H") if rng.random() < 0.8 else ((2, 0), "<I")
            body = (
                b"\x93NUMPY"
                + bytes(version)
                + struct.pack(size, len(head))
                + head
                + bytes(rng.choice([8, 8, 8, 0, 5]))
            )
            archive.writestr(f"a{number}.npy" if rng.random() < 0.9 else f"b{number}", body)
        archive.comment = json_text(rng).encode("utf-8", "replace")[:200] if rng.random() < 0.3 else b""
    return mutated(rng, memory.getvalue()) if rng.random() < 0.3 else memory.getvalue()


def json_text(rng: random.Random, depth: int = 0) -> str:
    if depth > 3 or rng.random() < 0.4:
        return rng.choice(LEAVES)
    inner = [json_text(rng, depth + 1) for _ in range(rng.randrange(4))]
    if rng.random() < 0.5:
        return "[" + ",".join(inner) + "]"
    return "{" + ",".join(f"{json.dumps(rng.choice(KEYS))}:{each}" for each in inner) + "}"


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut out or doubled."""
    body = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(3):
            case 0 if at < len(body):
                body[at] = rng.randrange(256)
            case 1:
                del body[at : at + rng.randrange(9)]
            case _:
                body[at:at] = body[at : at + rng.randrange(9)]
    return bytes(body)


def nearly(text: str) -> Make:
    """A document with some of its values replaced, or its bytes."""

    def make(rng: random.Random) -> bytes:
        def changed(value: object) -> object:
            if rng.random() < 0.05:
                return json.loads(rng.choice(["1", "-1", '"x"', "null", "[]", "{}", "[[]]", "1e308", "true"]))
            if isinstance(value, dict):
                return {key: changed(item) for key, item in value.items() if rng.random() > 0.02}
            return [changed(item) for item in value] if isinstance(value, list) else value

        data = json.dumps(changed(json.loads(text))).encode()
        return mutated(rng, data) if rng.random() < 0.3 else data

    return make


def safetensors(rng: random.Random) -> bytes:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    made = nearly(json.dumps({"__metadata__": {"format": "pt"}, "w": entry}))(rng)
    head = made if rng.random() < 0.7 else json_text(rng).encode()
    length = len(head) if rng.random() < 0.9 else rng.choice([0, 2**63, len(head) + 1])
    return struct.pack("<Q", length) + head + bytes(rng.choice([0, 8, 7]))


def grammar(rng: random.Random) -> str:
    return "".join(rng.choice(TOKENS) + " " for _ in range(rng.randrange(1, 14)))


def pattern(rng: random.Random) -> str:
    parts = ["a", ".", "*", "**", "?", "[a-z]", "[", "]", "{a,b}", "{i}", "{", "}", ",", "!", "-", "0", "\\"]
    return "".join(rng.choice(parts) for _ in range(rng.randrange(1, 12)))


def setting(rng: random.Random) -> str:
    targets = ["seed", "dtype", "vars.n", "vars", "initializers.base", "vars.", ".", "x", ""]
    values = ["1", "[", "{a: b}", "!!int 1", "*a", "'", "3\n4", "1e400", "float16", "- 1", "? a", "@"]
    return rng.choice(targets) + rng.choice(["=", "", "==", " = "]) + rng.choice(values)


def plan_with(text: str) -> None:
    document = {"initcfg": 1, "vars": {"n": 2}, "initializers": {"base": "ones"}}
    make_plan({**document, "params": {"w": {"shape": ["n"], "initializer": "base"}}}, settings=[text])


# Parameters whose values follow from others, from their place, or from a file.
ORIGINS: dict[str, object] = {
    "w": "he_normal",
    "v": {"parameter": "w"},
    "g": {"norm_of": {"parameter": "w", "axes": [1]}},
    "r": {"repeat_of": {"of": "he_normal", "axis": 0, "times": 2}},
    "f": {"formula": {"value": "index(0) + x * index(-1) / size(1)", "of": {"parameter": "w"}}},
    "q": {"pretrained": {"file": "w.npz", "name": "a{i}", "rows": [0, 4]}},
    "p": {"patch": {"base": "he_normal", "patches": [{"at": [0, "1:"], "initializer": "zeros"}]}},
    "c": {"concatenate": {"axis": 0, "sizes": [1, "n - 1"], "initializers": ["ones", {"parameter": "w"}]}},
    "b": {"random_uniform": {"minval": "-1 / fan_in", "maxval": "1 / sqrt(fan_in)"}},
}
EXPRESSIONS = ["0", "-1", "n", "i", "n // 0", "fan_in", "x", "index(0)", "size(2)", "2 ** 40", "1e308 * 10"]
PARTS = ["w", "g", "h.{i - 1}.w", "h.{1 - i}.g", "{j}", "a.", "w.npz", "../w.npz", ":", "1:", "-1:0", "{", ""]


def origins(rng: random.Random) -> dict[str, Any]:
    """A document of such parameters, with some values replaced, exchanged, or put one within another."""

    def changed(value: Any) -> Any:
        draw = rng.random()
        if draw < 0.02:
            return rng.choice(list(ORIGINS.values()))
        if draw < 0.04:
            return rng.choice([None, True, [], {}, [[]], -1, 0, 1, 2, 2**63, 1e308, 0.5])
        if draw < 0.1:
            return rng.choice(EXPRESSIONS if rng.random() < 0.5 else PARTS)
        if isinstance(value, dict):
            return {
                rng.choice(list(value)) if rng.random() < 0.02 else key: changed(item)
                for key, item in value.items()
                if rng.random() > 0.01
            }
        return [changed(item) for item in value] if isinstance(value, list) else value

    params = {}
    for name in [*rng.sample(list(ORIGINS), rng.randrange(1, 5)), "w"]:
        entry = {"shape": ["n", 1] if name == "g" else ["n", 2], "initializer": ORIGINS[name]}
        fans = {"fans_of": rng.choice(PARTS[:4])} if rng.random() < 0.3 else {}
        params[name] = changed(entry | fans) if rng.random() < 0.6 else entry | fans
    return {
        "initcfg": 1,
        "layout": "out_in",
        "vars": {"n": 4},
        "layers": {"h.{i}": {"repeat": {"i": 2}, "params": params}},
    }


def make_origins(folder: Path, document: dict[str, Any]) -> None:
    """Plans a document, reads the plan back, and makes its weights whole and in part where they are few."""
    with contextlib.chdir(folder):
        plan = make_plan(document, root=folder)
        again = read_plan(json.loads(plan.to_json()), root=folder)
        assert again.fingerprint == plan.fingerprint
        if plan.nbytes > 2**20:
            return
        weights = materialize(plan, engine="numpy")
        for parameter in plan:
            last = tuple(slice(size - 1, None) for size in parameter.shape)
            part = materialize(parameter[last], engine="numpy")
            assert part.tobytes() == weights[parameter.name][last].tobytes()


MANIFEST = json.dumps({"params": {"a.w": {"shape": [2, 3], "dtype": "float32"}, "b": {"shape": []}}})
INDEX = json.dumps({"metadata": {"total_size": 8}, "weight_map": {"w": "m-00001-of-00001.safetensors"}})
FILES: dict[str, tuple[str, Callable[[Path], object], Make]] = {
    "npz": ("w.npz", read_npz_header, npz),
    "safetensors": ("w.safetensors", read_header, safetensors),
    "index": ("model.safetensors.index.json", read_index, nearly(INDEX)),
    "json": ("model.safetensors.index.json", read_index, lambda rng: json_text(rng).encode()),
    "manifest": ("m.json", load_manifest, nearly(MANIFEST)),
    "manifest in YAML": ("m.yaml", load_manifest, nearly(MANIFEST)),
    "plan": ("p.json", read_plan, nearly(PLAN.to_json())),
}
TEXTS: dict[str, tuple[Callable[[str], object], Callable[[random.Random], str]]] = {
    "expression": (Expression.parse, grammar),
    "glob": (Glob, pattern),
    "setting": (plan_with, setting),
}


def unexpected(read: Callable[[], object]) -> BaseException | None:
    """What a reader raises that is no answer to wrong input."""
    try:
        read()
    except (InitcfgError, ExpressionError, PatternError):
        return None
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    name, read, make = FILES[kind]
    rng, path = random.Random(kind), tmp_path / name
    for number in range(COUNT):
        path.write_bytes(make(rng))
        error = unexpected(lambda: read(path))
        assert error is None, (number, path.read_bytes()[:500], error)


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_read_or_refused(kind: str) -> None:
    read, make = TEXTS[kind]
    rng = random.Random(kind)
    for number in range(COUNT):
        text = make(rng)
        error = unexpected(lambda text=text: read(text))  # type: ignore[misc]
        assert error is None, (number, text, error)


def test_values_that_follow_from_others_are_planned_and_made_or_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a0=np.ones((4, 2), "f4"), a1=np.ones((4, 2), "f4"))
    rng, made = random.Random("origins"), 0
    for number in range(COUNT):
        document = origins(rng)
        refused: list[InitcfgError] = []

        def read(document: dict[str, Any] = document, refused: list[InitcfgError] = refused) -> None:
            try:
                make_origins(tmp_path, document)
            except InitcfgError as refusal:
                refused.append(refusal)

        error = unexpected(read)
        assert error is None, (number, json.dumps(document), error)
        made += not refused
    assert made > COUNT // 20, "the grammar makes what is valid too"


def test_no_warning_of_another_library_leaves_a_reader(tmp_path: Path) -> None:
    for name, read, make in FILES.values():
        rng, path = random.Random(name), tmp_path / name
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(min(COUNT, 2000)):
                path.write_bytes(make(rng))
                unexpected(lambda read=read, path=path: read(path))  # type: ignore[misc]
        assert [str(each.message) for each in told] == [], name


def test_the_grammars_make_what_is_valid_too(tmp_path: Path) -> None:
    for kind, (name, read, make) in FILES.items():
        rng, path = random.Random(name), tmp_path / name
        valid = 0
        for _ in range(300):
            path.write_bytes(make(rng))
            try:
                read(path)
            except InitcfgError:
                continue
            valid += 1
        # Any JSON at all is hardly ever an index.
        assert valid > 0 or kind == "json", kind


def test_a_reader_that_lists_the_exceptions_it_expects_is_found_out() -> None:
    """A planted fault: numpy's own reader of a header, behind the usual suspects."""

    def read(data: bytes) -> None:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                head = io.BytesIO(archive.read("a0.npy"))
            np.lib.format.read_magic(head)
            np.lib.format.read_array_header_1_0(head)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, KeyError, SyntaxError) as error:
            raise InitcfgError from error

    rng = random.Random("npz")
    files = [npz(rng) for _ in range(300)]
    assert any(unexpected(lambda data=data: read(data)) for data in files)  # type: ignore[misc]
