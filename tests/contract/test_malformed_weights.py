"""Weights with one fault each, given to verify, manifest and inspect: an error, no memory for a claim."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from initcfg.cli import main
from initcfg.formats import safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MILLION = 10**6
MIB = 2**20
NPY = "w.npy"


# --- Safetensors --------------------------------------------------------------------------------------------


def file(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: Any = (2,), dtype: Any = "F32", offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = b"12345678"
TWICE = b'{"a": %s, "a": %s}' % ((json.dumps(entry()).encode(),) * 2)
DIGITS = b"9" * MILLION
SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it has 0 bytes"),
    "shorter than its length": (b"1234567", "it has 7 bytes"),
    "length of 2**63": (file({}, length=2**63), "should have 9,223,372,036,854,775,808 bytes"),
    "length of 2**64 - 1": (file({}, length=2**64 - 1), "should have 18,446,744,073,709,551,615 bytes"),
    "length of the whole file": (file({"a": entry()}, EIGHT, length=80), "should have 80 bytes"),
    "length beyond the file by one": (file({}, length=3), "should have 3 bytes"),
    "length of 0": (file({}, length=0), "not a JSON object"),
    "length that cuts the header": (file({"a": entry()}, EIGHT, length=9), "not JSON"),
    "list": (file(b"[]"), "not a JSON object"),
    "blank before": (file(b" {}"), "not a JSON object"),
    "unclosed": (file(b'{"a": '), "not JSON"),
    "invalid UTF-8": (file(b'{"a": "\xff"}'), "not JSON"),
    "UTF-16": (file('{"a": 1}'.encode("utf-16")), "not a JSON object"),
    "deep": (file(b'{"a":' * 100_000), "nested too deep"),
    "NaN": (file(b'{"a": NaN}'), "NaN is not a finite number"),
    "infinite": (file(b'{"a": -Infinity}'), "-Infinity is not a finite number"),
    "huge digits": (file(b'{"a": ' + DIGITS + b"}"), "not JSON"),
    "huge digits in a shape": (
        file(b'{"a": {"dtype": "F32", "data_offsets": [0, 8], "shape": [' + DIGITS + b"]}}", EIGHT),
        "not JSON",
    ),
    "two documents": (file(b"{}{}"), "not JSON"),
    "name twice": (file(TWICE, EIGHT), "the key 'a' appears twice"),
    "key of an entry twice": (file(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "'dtype' appears twice"),
    "metadata list": (file({"__metadata__": []}), "not an object of texts"),
    "metadata of numbers": (file({"__metadata__": {"a": 1}}), "not an object of texts"),
    "entry number": (file({"a": 1}), "the entry of tensor 'a'"),
    "entry with more": (file({"a": entry() | {"more": 1}}, EIGHT), "the entry of tensor 'a'"),
    "entry with less": (file({"a": {"dtype": "F32", "shape": [2]}}, EIGHT), "the entry of tensor 'a'"),
    "unknown dtype": (file({"a": entry(dtype="F31")}, EIGHT), "has the dtype 'F31', which is not known"),
    "dtype of a later version": (file({"a": entry(dtype="F6_E2M3")}, EIGHT), "which is not known"),
    "dtype list": (file({"a": entry(dtype=["F32"])}, EIGHT), "which is not known"),
    "shape number": (file({"a": entry(shape=2)}, EIGHT), "the shape of tensor 'a'"),
    "shape of floats": (file({"a": entry(shape=[2.0])}, EIGHT), "the shape of tensor 'a'"),
    "negative shape": (file({"a": entry(shape=[-2])}, EIGHT), "the shape of tensor 'a'"),
    "shape of bools": (file({"a": entry(shape=[True, 2])}, EIGHT), "the shape of tensor 'a'"),
    "shape beyond 2**63": (file({"a": entry(shape=[2**63])}, EIGHT), "the shape of tensor 'a'"),
    "product of a shape beyond": (
        file({"a": entry(shape=[2**62, 2**62])}, EIGHT),
        "its shape and dtype say",
    ),
    "shape whose product wraps to 2": (
        file({"a": entry(shape=[2**33, 2**32 + 1, 2**63 - 1, 2])}, EIGHT),
        "its shape and dtype say",
    ),
    "shape of 65 axes": (file({"a": entry(shape=[1] * 64 + [2])}, EIGHT), "the shape of tensor 'a'"),
    "shape of 100,000 axes": (
        file({"a": entry(shape=[2**62] * 100_000)}, EIGHT),
        "a list or an object of more than 1,048,576 characters",
    ),
    "shape of 1,000 axes": (file({"a": entry(shape=[2**62] * 1000)}, EIGHT), "the shape of tensor 'a'"),
    "one offset": (file({"a": entry(offsets=[0])}, EIGHT), "the data_offsets of tensor 'a'"),
    "offsets of bools": (file({"a": entry([], "U8", [False, True])}, b"1"), "the data_offsets of tensor 'a'"),
    "offsets of hundreds of digits": (
        file({"a": entry(offsets=[0, 10**400])}, EIGHT),
        "the data_offsets of tensor 'a'",
    ),
    "negative offset": (file({"a": entry(offsets=[-8, 0])}, EIGHT), "the data_offsets of tensor 'a'"),
    "offsets reversed": (file({"a": entry(offsets=[8, 0])}, EIGHT), "takes -8 bytes"),
    "offsets beyond": (file({"a": entry(offsets=[2**62, 2**62 + 8])}, EIGHT), "behind the end of the data"),
    "too few bytes for the shape": (file({"a": entry(shape=[3])}, EIGHT), "takes 8 bytes, its shape"),
    "data cut": (file({"a": entry()}, EIGHT[:-1]), "ends 1 bytes behind"),
    "data missing": (file({"a": entry()}), "ends 8 bytes behind"),
    "trailing bytes": (file({"a": entry()}, EIGHT + b"9"), "bytes that belong to none"),
    "gap before": (file({"a": entry(offsets=[1, 9])}, EIGHT + b"9"), "bytes that belong to none"),
    "gap between": (
        file({"a": entry(), "b": entry(offsets=[9, 17])}, EIGHT + b"9" + EIGHT),
        "bytes that belong to none",
    ),
    "overlap": (file({"a": entry(), "b": entry(offsets=[4, 12])}, EIGHT + b"9012"), "overlap"),
    "same bytes twice": (file({"a": entry(), "b": entry()}, EIGHT), "overlap"),
}  # fmt: skip


# --- npz ----------------------------------------------------------------------------------------------------


def npy(array: Any, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **settings)
    return buffer.getvalue()


def head(text: str, version: bytes = b"\x01\x00", length: int | None = None) -> bytes:
    """An array of eight bytes under a header of any text."""
    size = 2 if version[0] == 1 else 4
    written = (len(text) if length is None else length).to_bytes(size, "little")
    return b"\x93NUMPY" + version + written + text.encode("latin1") + EIGHT


def described(descr: str = "'<f4'", fortran: str = "False", shape: str = "(2,)") -> bytes:
    return head(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}")


def archive(*members: tuple[str, bytes], **settings: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for name, content in members:
            written.writestr(name, content, **settings)
    return buffer.getvalue()


def patched(content: bytes, sign: bytes, at: int, value: bytes) -> bytes:
    """An archive with some bytes of its last record of a kind put in the place of others."""
    begin = content.rindex(sign) + at
    return content[:begin] + value + content[begin + len(value) :]


DIRECTORY, END, LOCAL = b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04"
ONE = npy(np.arange(2, dtype="float32"))
SOUND = archive((NPY, ONE))
TWO = archive((NPY, ONE), ("v.npy", ONE))
BOMB = archive((NPY, npy(np.zeros(50 * MILLION, "uint8"))), compress_type=zipfile.ZIP_DEFLATED)
NO_NPZ = "no whole npz file"
NPZ: dict[str, tuple[bytes, str]] = {
    "empty": (b"", NO_NPZ),
    "no archive": (b"\x93NUMPY" * 20, NO_NPZ),
    "bare npy": (ONE, NO_NPZ),
    "beginning of an archive": (LOCAL, NO_NPZ),
    "cut": (SOUND[:-30], NO_NPZ),
    "cut at its beginning": (SOUND[40:], ""),
    "compressed bomb": (BOMB, "is compressed or encrypted"),
    "unknown compression": (patched(SOUND, DIRECTORY, 10, b"\x63\x00"), "is compressed or encrypted"),
    "encrypted": (patched(SOUND, DIRECTORY, 8, b"\x01\x00"), "is compressed or encrypted"),
    "no array": (archive(("w.txt", ONE)), "is no .npy file"),
    "objects": (archive((NPY, npy(np.array([{}], object)))), "holds objects"),
    "Fortran order": (archive((NPY, npy(np.ones((2, 3)).T))), "Fortran order"),
    "big endian": (archive((NPY, npy(np.ones(2, ">f4")))), "big endian"),
    "texts": (archive((NPY, npy(np.array(["text"])))), "no dtype is named"),
    "complex": (archive((NPY, npy(np.array([1j])))), "no dtype is named"),
    "record": (archive((NPY, npy(np.zeros(1, [("a", "<f4"), ("b", "<f4")])))), "no dtype is named"),
    "sub-array dtype": (archive((NPY, described("('<f4', (2,))", shape="()"))), ""),
    "unknown descr": (archive((NPY, described("'<f3'"))), NO_NPZ),
    "descr number": (archive((NPY, described("3"))), ""),
    "code as a header": (archive((NPY, head("__import__('os').system('touch pwned')"))), NO_NPZ),
    "code as a descr": (archive((NPY, described("__import__('os').system('touch pwned')"))), NO_NPZ),
    "header of a list": (archive((NPY, head("[1]"))), NO_NPZ),
    "header with more": (archive((NPY, described(shape="(2,), 'x': 1"))), NO_NPZ),
    "deep header": (archive((NPY, described(shape="(" * 900 + ")" * 900))), NO_NPZ),
    "deep signs": (archive((NPY, described(shape="(" + "-" * 1900 + "1,)"))), NO_NPZ),
    "huge digits": (archive((NPY, described(shape="(" + "9" * 1900 + ",)"))), "which are not read"),
    "long header": (archive((NPY, described(shape="(" + "9" * 9000 + ",)"))), NO_NPZ),
    "header beyond the file": (archive((NPY, head("{}", length=60_000))), "which are not there"),
    "header of 4 GiB": (archive((NPY, head("{}", b"\x02\x00", 2**32 - 1))), "which are not there"),
    "unclosed header": (archive((NPY, described(shape="(2*9"))), NO_NPZ),
    "unclosed text in a header": (archive((NPY, described(descr="'<f4"))), NO_NPZ),
    "later version": (archive((NPY, head("{}", b"\x09\x00"))), "of version (9, 0)"),
    "no magic": (archive((NPY, EIGHT * 4)), NO_NPZ),
    "empty member": (archive((NPY, b"")), NO_NPZ),
    "negative shape": (archive((NPY, described(shape="(-2,)"))), "which are not read"),
    "shape of bools": (archive((NPY, described(shape="(True, 2)"))), "which are not read"),
    "shape beyond 2**63": (archive((NPY, described(shape=f"({2**63},)"))), "which are not read"),
    "shape of 65 axes": (
        archive((NPY, described(shape=f"({'1, ' * 64}2)"))),
        "which are not read",
    ),
    "shape of a TiB": (archive((NPY, described(shape=f"({2**40},)"))), "does not have the bytes"),
    "member cut": (archive((NPY, ONE[:-1])), "does not have the bytes"),
    "member with more": (archive((NPY, ONE + b"1")), "does not have the bytes"),
    "member of 2 GiB": (patched(SOUND, DIRECTORY, 24, b"\xf0\xff\xff\x7f"), "does not have the bytes"),
    "member elsewhere": (patched(SOUND, DIRECTORY, 42, b"\x05\x00\x00\x00"), "does not begin where"),
    "directory elsewhere": (patched(SOUND, END, 16, b"\xff\xff\xff\x7f"), ""),
    "directory of 4 GiB": (patched(SOUND, END, 12, b"\xfe\xff\xff\xff"), NO_NPZ),
    "name twice": (patched(TWO, b"v.npy", 0, b"w.npy"), "have one name"),
    "two members in one place": (patched(TWO, DIRECTORY, 42, struct.pack("<I", 0)), "overlap"),
}  # fmt: skip


# --- Sharded sets -------------------------------------------------------------------------------------------

INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
MAP = {"v": FIRST, "w": SECOND}


def make_set(folder: Path) -> None:
    for name, shard in MAP.items():
        save_file({name: np.arange(2, dtype="float32")}, folder / shard, {"initcfg.plan": "a"})
    write_index(folder)


def write_index(folder: Path, weight_map: object = MAP, **metadata: object) -> None:
    told = {"total_size": 16, "initcfg.plan": "a"} | metadata
    (folder / INDEX).write_text(json.dumps({"metadata": told, "weight_map": weight_map}))


def mapped(shard: object) -> Callable[[Path], object]:
    return lambda folder: write_index(folder, MAP | {"w": shard})


def indexed(text: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / INDEX).write_bytes(text if isinstance(text, bytes) else text.encode())


def replaced(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """Puts something else in the place of the second shard."""

    def change_shard(folder: Path) -> None:
        (folder / SECOND).unlink()
        change(folder / SECOND)

    return change_shard


def resaved(names: list[str], plan: str = "a") -> Callable[[Path], object]:
    arrays = {name: np.arange(2, dtype="float32") for name in names}
    return lambda folder: save_file(arrays, folder / SECOND, {"initcfg.plan": plan})


def unindexed(folder: Path) -> None:
    (folder / INDEX).unlink()


BESIDE = "is not the name of a .safetensors file beside the index"
UNREAD = f"the shard {SECOND!r}: cannot read the file"
SETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (unindexed, "unfinished set"),
    "empty index": (indexed(""), "not JSON"),
    "list": (indexed("[]"), "an index has an object 'weight_map'"),
    "no weight_map": (indexed("{}"), "an index has an object 'weight_map'"),
    "weight_map list": (lambda folder: write_index(folder, [FIRST]), "an index has an object 'weight_map'"),
    "unknown key": (indexed('{"weight_map": {}, "params": {}}'), "an index has no key 'params'"),
    "cut": (lambda folder: os.truncate(folder / INDEX, 60), "not JSON"),
    "deep": (indexed('{"weight_map":' * 100_000), "nested too deep"),
    "huge digits": (indexed(b'{"weight_map": {"w": ' + DIGITS + b"}}"), "thousands of digits"),
    "NaN": (indexed('{"weight_map": {}, "metadata": {"x": NaN}}'), "not a finite number"),
    "invalid UTF-8": (indexed(b'{"weight_map": {"\xff": "a.safetensors"}}'), "not UTF-8"),
    "name twice": (indexed(f'{{"weight_map": {{"w": "{FIRST}", "w": "{SECOND}"}}}}'), "appears twice"),
    "total_size text": (lambda folder: write_index(folder, total_size="16"), "no whole number"),
    "total_size negative": (lambda folder: write_index(folder, total_size=-16), "no whole number"),
    "total_size bool": (lambda folder: write_index(folder, total_size=True), "no whole number"),
    "total_size of 4,000 digits": (
        lambda folder: write_index(folder, total_size=10**4000),
        "the tensors have 16 bytes",
    ),
    "another total_size": (lambda folder: write_index(folder, total_size=2**70), "the tensors have 16 bytes"),
    "parent folder": (mapped("../x.safetensors"), BESIDE),
    "absolute": (mapped("/dev/zero.safetensors"), BESIDE),
    "drive": (mapped("c:x.safetensors"), BESIDE),
    "NUL": (mapped("x\0.safetensors"), BESIDE),
    "pickle": (mapped("pytorch_model.bin"), BESIDE),
    "shard number": (mapped(3), BESIDE),
    "long name of a shard": (mapped("x" * 5000 + ".safetensors"), "too long"),
    "shard missing": (replaced(lambda _: None), UNREAD),
    "shard loops": (replaced(lambda shard: shard.symlink_to(shard.name)), UNREAD),
    "folder as a shard": (replaced(lambda shard: shard.mkdir()), UNREAD),
    "fifo as a shard": (replaced(os.mkfifo), UNREAD),
    "device as a shard": (replaced(lambda shard: shard.symlink_to("/dev/zero")), UNREAD),
    "shard torn": (lambda folder: os.truncate(folder / SECOND, 100), "no whole safetensors file"),
    "tensor not in its shard": (resaved(["x"]), f"the shard {SECOND!r} does not hold 'w'"),
    "tensor in another shard": (
        lambda folder: write_index(folder, MAP | {"w": FIRST}),
        f"the shard {FIRST!r} does not hold 'w'",
    ),
    "tensor that is not listed": (resaved(["w", "x"]), "holds 'x', which the index does not list"),
    "tensor in two shards": (resaved(["w", "v"]), "'v' is in two shards"),
    "mixed plans": (resaved(["w"], "b"), f"the set is mixed: {SECOND!r} is of the plan 'b'"),
    "index of another plan": (
        lambda folder: write_index(folder, **{"initcfg.plan": "b"}),
        f"the set is mixed: {FIRST!r} is of the plan 'a', the index is of the plan 'b'",
    ),
}  # fmt: skip


# --- The promise --------------------------------------------------------------------------------------------

SPEC = {
    "initcfg": 1,
    "params": {name: {"shape": [2], "initializer": "zeros"} for name in ("v", "w")},
}
KINDS: dict[str, dict[str, Any]] = {"safetensors": SAFETENSORS, "npz": NPZ, "set": SETS}
CASES = [(kind, name) for kind, cases in KINDS.items() for name in cases]


def make(folder: Path, kind: str, name: str) -> tuple[str, str]:
    """Writes the files of a case; gives the path for the command line and what the error says."""
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(SPEC))
    content, message = KINDS[kind][name]
    if kind == "set":
        (folder / "model").mkdir()
        make_set(folder / "model")
        content(folder / "model")
        return str(folder / "model"), message
    assert isinstance(content, bytes)
    (folder / f"w.{kind}").write_bytes(content)
    return str(folder / f"w.{kind}"), message


def commands(path: str) -> Iterator[list[str]]:
    yield ["verify", path, str(Path(path).with_name("spec.json"))]
    yield ["manifest", path]
    yield ["inspect", path]


def size(path: Path) -> int:
    """The bytes of all regular files of a case."""
    files = [path, *path.rglob("*")]
    return sum(each.stat().st_size for each in files if each.is_file())


def told(line: list[str]) -> tuple[int, str, int]:
    """The exit code of a command line, what it says, and the most memory it takes beyond what there was."""
    tracemalloc.start()
    try:
        result = CliRunner().invoke(main, line, prog_name="initcfg")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return result.exit_code, result.output, peak


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """By command, the memory that sound weights take, once everything is imported."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "spec.json").write_text(json.dumps(SPEC))
    (folder / "model").mkdir()
    make_set(folder / "model")
    (folder / "w.npz").write_bytes(SOUND)
    took: dict[str, int] = {}
    for _ in range(2):
        for path in ("model", "w.npz"):
            for line in commands(str(folder / path)):
                took[line[0]] = told(line)[2]
    return took


def test_there_are_enough_faults() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_fault_is_one_error_and_no_allocation_beyond_the_file(
    kind: str, name: str, usual: dict[str, int], tmp_path: Path
) -> None:
    path, message = make(tmp_path / "case", kind, name)
    for line in commands(path):
        code, output, peak = told(line)
        assert code == 2, output
        assert "error[" in output
        assert "  help: " in output or "error[input]" in output
        assert message in " ".join(output.split())  # lines are broken where the path leaves them no room
        assert "Traceback" not in output
        assert "internal error" not in output
        # The text, its characters, and what the parser makes of them, which for an npz is Python's own.
        assert peak < usual[line[0]] + 8 * size(Path(path)) + MIB
    assert not Path("pwned").exists()


def test_the_watch_on_memory_sees_what_is_planted(
    usual: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make(tmp_path / "case", "safetensors", "length of 2**63")
    read = safetensors.open_input  # type: ignore[attr-defined]
    monkeypatch.setattr(safetensors, "open_input", lambda *given: (bytearray(4 * MIB), read(*given))[1])
    assert told(["manifest", path])[2] > usual["manifest"] + 8 * size(Path(path)) + MIB


LIMITED = """
import json, os, resource, sys
from click.testing import CliRunner
from initcfg.cli import main
from initcfg.formats import safetensors

def run(line):
    result = CliRunner().invoke(main, line, prog_name="initcfg")
    return result.exit_code, result.output

warmup, lines = json.load(open(sys.argv[1]))
for line in warmup:
    run(line)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), resource.RLIM_INFINITY))
print(json.dumps([run(line) for line in lines]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells the address space here")
def test_all_faults_are_told_in_64_mib_of_new_address_space(tmp_path: Path) -> None:
    lines = [
        line
        for at, (kind, name) in enumerate(CASES)
        for line in commands(make(tmp_path / f"case{at}", kind, name)[0])
    ]
    (tmp_path / "lines.json").write_text(json.dumps([lines[::30], lines]))
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "lines.json", str(64 * MIB)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GITHUB_ACTIONS": ""},
        timeout=120,
    )
    found = json.loads(ran.stdout)
    assert len(found) == 3 * len(CASES)
    for line, (code, output) in zip(lines, found, strict=True):
        assert code == 2, line
        assert "error[" in output, line
