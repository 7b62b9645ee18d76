"""Memory does not grow with the model: a limit on the address space is far below what is made.

``INITCFG_STREAM_GB`` is the size of the model that is streamed; the ordinary suite streams a smaller one,
under a smaller limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits are POSIX")

SCRIPT = Path(__file__).with_name("bounded.py")
GIGABYTES = os.environ.get("INITCFG_STREAM_GB")
LIMIT = 3_000_000_000


def made(how: str, limit: int, gigabytes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), how, str(limit), gigabytes]
    # BLAS takes address space for each of its threads, and is not needed here.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_plan_of_64_gigabytes_is_sliced_in_3() -> None:
    result = made("slices", LIMIT, "64")
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 8 * 5 * 64 * 800 * 4


def test_a_plan_that_memory_does_not_hold_is_streamed() -> None:
    gigabytes, limit = (GIGABYTES, LIMIT) if GIGABYTES else ("1.2", LIMIT // 3)
    result = made("stream", limit, gigabytes)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 0.99 * float(gigabytes) * 1e9 > limit


def test_the_limit_is_one() -> None:
    """The planted fault: all of it at once."""
    result = made("whole", LIMIT // 3, "1.2")
    assert result.returncode != 0
    assert "MemoryError" in result.stderr


READ = """
import re, struct, sys
from pathlib import Path
from initcfg.api import load_manifest
from initcfg.errors import InitcfgError
from initcfg.formats.safetensors import read_header
from initcfg.formats.index import read_index
from initcfg.plan.read import read_plan

def used():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

before = used()
try:
    readers = {"header": read_header, "index": read_index, "manifest": load_manifest, "plan": read_plan}
    readers[sys.argv[1]](sys.argv[2])
except InitcfgError as error:
    print(error, file=sys.stderr)
print(used() - before)
"""
BEFORE = {"header": "", "index": '{"weight_map":', "manifest": '{"params":', "plan": ""}
NAMES = {
    "header": "w.safetensors",
    "index": "model.safetensors.index.json",
    "manifest": "m.json",
    "plan": "p",
}


def memory_of_reading(kind: str, path: Path, text: str, elements: int = 0) -> tuple[int, str]:
    """The most memory that a reader takes for a document, over that of the modules, and what it says."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc")
    data = text.encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + bytes(elements) if kind == "header" else data)
    result = subprocess.run(
        [sys.executable, "-c", READ, kind, str(path)], capture_output=True, text=True, check=True
    )
    return int(result.stdout), result.stderr


REFUSED = ("MiB of memory", "a list or an object of more than 1,048,576 characters")


@pytest.mark.parametrize("unit", ["[],", '{"a":1},', "1.5,", '"ab",', '[["😀"],[]],'])
@pytest.mark.parametrize("kind", NAMES)
def test_json_that_is_made_to_cost_takes_three_times_its_size(kind: str, unit: str, tmp_path: Path) -> None:
    size = 2**24
    text = f"""{BEFORE[kind] or '{"w":'}[{unit * (size // len(unit))}0]}}"""
    peak, told = memory_of_reading(kind, tmp_path / NAMES[kind], text)
    assert any(message in told for message in REFUSED)
    # Of such characters a text of 32 MiB is refused, one of 16 is held in four bytes each.
    assert peak <= (5 if "😀" in unit else 3) * len(text.encode())


@pytest.mark.parametrize(
    ("kind", "count"), [("header", 200_000), ("index", 200_000), ("manifest", 1_000_000)]
)
def test_honest_documents_are_read(kind: str, count: int, tmp_path: Path) -> None:
    entry = {
        "header": lambda at: f'{{"dtype":"U8","shape":[1],"data_offsets":[{at},{at + 1}]}}',
        "index": lambda _: '"m-00001-of-00001.safetensors"',
        "manifest": lambda _: '{"shape":[2]}',
    }[kind]
    members = ",".join(f'"w{at}":{entry(at)}' for at in range(count))
    path = tmp_path / NAMES[kind]
    whole = f"{{{members}}}" if kind == "header" else f"{BEFORE[kind]}{{{members}}}}}"
    peak, told = memory_of_reading(kind, path, whole, count)
    assert not told
    assert peak < 2**11 * count


def test_more_entries_than_a_model_has_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    entries = ",".join(f'"{at:x}":0' for at in range(2 * 2**20))
    for kind in ("header", "index", "manifest"):
        path = tmp_path / NAMES[kind]
        peak, told = memory_of_reading(kind, path, f"{BEFORE[kind]}{{{entries}}}}}")
        assert any(message in told for message in REFUSED)
        assert peak <= 2**27
