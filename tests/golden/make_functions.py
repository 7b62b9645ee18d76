"""Writes functions_v1.json: digests of what the elementary functions of the reference engine give.

    python tests/golden/make_functions.py            compute every digest, report what differs from the file
    python tests/golden/make_functions.py --write    write the file

The bits are frozen as those of stream version 1 are (`make.py`): a difference is a fault of the code, and
writing is allowed only to add cases.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.engines.elementary import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILE = Path(__file__).with_name("functions_v1.json")
ABOUT = (
    "sha256 of the little-endian bytes of a function's float64 values at `size` arguments, which "
    "`make_functions.py` makes from SHAKE-128 of the function's name and `range`: words taken as doubles "
    "(`bits`), or uniform numbers between -range and range. docs/explanation/streams.md has the methods."
)
RANGES: list[str | float] = ["bits", 1.0, 40.0, 800.0, 2.0**30]
SIZE = 20_000
EDGES = [
    *(0.0, 5e-324, 2.0**-1022, 1e-300, 2.0**-54, 2.0**-53, 0.25, 1.0 / 3, 0.5, 1.0, 1.5, 2.0, 3.0, 22.0),
    *(709.782712893384, 709.7827128933841, 745.1332191019411, 745.1332191019412, 1024.0, 1075.0),
    *(2.0**30, 2.0**30 + 2.0**-22, 2.0**52 + 1, 2.0**53, 1.7976931348623157e308, float("inf"), float("nan")),
]


def cases() -> list[dict[str, Any]]:
    """Every case, without its digest."""
    return [{"function": name, "range": each, "size": SIZE} for name in FUNCTIONS for each in RANGES]


def arguments(row: dict[str, Any]) -> list[np.ndarray]:
    """The arrays that a case is about; the first elements are edges, and for ``pow`` all pairs of them."""
    count = 2 if row["function"] == "pow" else 1
    name = f"{row['function']} {row['range']}"
    words = np.frombuffer(hashlib.shake_128(name.encode()).digest(8 * count * row["size"]), "<u8")
    parts = words.astype(np.uint64).reshape(count, -1)
    if row["range"] == "bits":
        values = parts.view(np.float64).copy()
        edges = np.array(EDGES + [-edge for edge in EDGES])
        grid = np.meshgrid(*[edges] * count)
        values[:, : grid[0].size] = [each.ravel() for each in grid]
    else:
        values = ((parts >> 10).astype(np.float64) * 2.0**-53 - 1.0) * row["range"]
    return list(values)


def digest(row: dict[str, Any], functions: Mapping[str, Callable[..., np.ndarray]] = FUNCTIONS) -> str:
    """The sha256 of a case, as this machine computes it."""
    values = functions[row["function"]](*arguments(row))
    return hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()


def main() -> int:
    rows = [{**row, "sha256": digest(row)} for row in cases()]
    if "--write" in sys.argv[1:]:
        made = {
            "command": "python tests/golden/make_functions.py --write",
            "numpy": np.__version__,
            "machine": platform.machine(),
        }
        lines = ",\n".join("  " + json.dumps(row) for row in rows)
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
