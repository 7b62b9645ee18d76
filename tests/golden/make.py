"""Writes stream_v1.json: digests of what the reference engine draws.

    python tests/golden/make.py            compute every digest, report what differs from the file
    python tests/golden/make.py --write    write the file

The file is the contract of stream version 1, which is frozen: a difference is a fault of the code. Writing is
allowed only to add cases whose digests are new, never to change one; other bits need a new stream version,
in a file of its own. CONTRIBUTING.md says what a new version takes.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from initcfg import distributions
from initcfg.dtypes import DTYPES
from initcfg.engines.reference import fill
from initcfg.stream import Stream

FILE = Path(__file__).with_name("stream_v1.json")
ABOUT = (
    "sha256 of the little-endian bytes of `size` elements from `start` on, of the parameter `name` under "
    "`seed`, drawn from `distribution` in `dtype`. The bits of stream version 1, which "
    "docs/explanation/streams.md derives."
)

LAWS: dict[str, list[float]] = {
    "uniform": [-0.25, 0.5],
    "normal": [0.1, 0.5],
    "two_sigma": [0.0, 0.5, -1.0, 1.0],
    "cut": [0.25, 0.5, -1.25, 1.75],
    "one_sided": [0.0, 0.5, 0.0, 50.0],
    "tail": [0.0, 0.125, 0.75, 1.0],
    "far_bounds": [0.0, 0.5, -50.0, 50.0],
}
CLASSES = {"uniform": "Uniform", "normal": "Normal"}
COMPLEX: dict[str, list[float]] = {
    "Disk": [0.5],
    "ComplexNormal": [0.5],
    "ComplexNormal cut": [0.5, 1.0],
    "Square": [0.0, 0.5],
}
# Start and size: the first block, inside blocks, where counter word 1 changes (2**34 elements of four to a
# block, 2**33 of two), the last elements of all, and more blocks than the reference engine makes in one run.
SPANS = [
    (0, 1),
    (0, 1000),
    (3, 7),
    (131067, 15),
    (262139, 13),
    (2**33 - 5, 11),
    (2**34 - 5, 11),
    (2**34 + 3, 1001),
    (2**63 - 9, 9),
]
LONG = (5, 300_001)


def cases() -> list[dict[str, Any]]:
    """Every case, without its digest."""
    floats = [name for name, dtype in DTYPES.items() if dtype.kind == "float"]
    table = [
        case(CLASSES.get(law, "TruncatedNormal"), numbers, dtype, f"golden.{law}", span)
        for law, numbers in LAWS.items()
        for dtype in floats
        for span in [*SPANS, *([LONG] if DTYPES[dtype].itemsize >= 4 else [])]
    ]
    table += [
        case(law.partition(" ")[0], numbers, "complex64", f"golden.{law}", span)
        for law, numbers in COMPLEX.items()
        for span in [*(each for each in SPANS if each[0] < 2**60), LONG]
    ]
    table += [case("Fill", [0.1], dtype, "golden.fill", (0, 3)) for dtype in floats]
    table += [case("Fill", [1], dtype, "golden.fill", (0, 3)) for dtype in DTYPES]
    table += [
        case("Normal", [0.0, 1.0], "float32", name, (0, 64)) for name in ("", "h.0", "\u00e9", "\u5c42.0")
    ]
    return table


def case(law: str, numbers: list[float], dtype: str, name: str, span: tuple[int, int]) -> dict[str, Any]:
    start, size = span
    seed = 2**64 - 1 if start == 3 else 20
    return {
        "distribution": [law, *numbers],
        "dtype": dtype,
        "seed": seed,
        "name": name,
        "start": start,
        "size": size,
    }


def digest(row: dict[str, Any]) -> str:
    """The sha256 of a case, as this machine draws it."""
    law, *numbers = row["distribution"]
    dtype = DTYPES[row["dtype"]]
    out = np.empty(row["size"], dtype.numpy)
    stream = Stream.of_parameter(row["seed"], row["name"])
    fill(out, getattr(distributions, law)(*numbers), stream, row["start"])
    little = out.view(f"u{dtype.part.itemsize}").astype(f"<u{dtype.part.itemsize}")
    return hashlib.sha256(little.tobytes()).hexdigest()


def main() -> int:
    rows = [{**row, "sha256": digest(row)} for row in cases()]
    if "--write" in sys.argv[1:]:
        made = {
            "command": "python tests/golden/make.py --write",
            "numpy": np.__version__,
            "ml_dtypes": ml_dtypes.__version__,
            "machine": platform.machine(),
        }
        lines = ",\n".join("  " + json.dumps(row, ensure_ascii=True) for row in rows)
        head = json.dumps({"about": ABOUT, "made": made}, indent=1)[:-2]
        FILE.write_text(f'{head},\n "cases": [\n{lines}\n ]\n}}\n', encoding="utf-8")
        return 0
    known = json.loads(FILE.read_text(encoding="utf-8"))["cases"]
    changed = [row for row in rows if row not in known]
    for row in changed:
        sys.stdout.write(f"differs: {json.dumps(row)}\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
