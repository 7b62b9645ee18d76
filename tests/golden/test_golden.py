"""The bits of stream version 1 are those of stream_v1.json, for ever."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from initcfg import distributions
from initcfg.dtypes import DTYPES
from initcfg.engines import ENGINES, get_engine
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = Path(__file__).with_name("stream_v1.json")
GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))
ADVICE = (
    "The bits of stream version 1 are frozen: mend the code. `python tests/golden/make.py` lists what "
    "differs. `--write` is allowed only to add new cases; a change of bits is a new stream version, "
    "in a file of its own."
)


def digest(row: dict[str, Any], fill: Callable[..., None]) -> str:
    law, *numbers = row["distribution"]
    dtype = DTYPES[row["dtype"]]
    out = np.empty(row["size"], dtype.numpy)
    fill(
        out,
        getattr(distributions, law)(*numbers),
        Stream.of_parameter(row["seed"], row["name"]),
        row["start"],
    )
    width = dtype.part.itemsize
    return hashlib.sha256(out.view(f"u{width}").astype(f"<u{width}").tobytes()).hexdigest()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_are_frozen(dtype: str, engine: str) -> None:
    rows = [row for row in GOLDEN["cases"] if row["dtype"] == dtype]
    assert rows
    changed = [row for row in rows if digest(row, get_engine(engine)) != row["sha256"]]
    if changed:
        shown = "\n".join(json.dumps(row) for row in changed[:5])
        pytest.fail(
            f"{len(changed)} of {len(rows)} digests differ, the first:\n{shown}\n{ADVICE}", pytrace=False
        )


def test_a_changed_bit_would_be_found() -> None:
    def wrong(out: np.ndarray, *arguments: Any) -> None:
        get_engine("numpy")(out, *arguments)
        out.view(np.uint8)[-1] ^= 1

    rows = [row for row in GOLDEN["cases"] if row["size"] > 1000 and row["dtype"] == "float32"]
    assert rows
    assert all(digest(row, wrong) != row["sha256"] for row in rows)


def test_the_file_says_how_it_was_made() -> None:
    assert GOLDEN["made"]["command"] == "python tests/golden/make.py --write"
    assert (FILE.parent / "make.py").exists()
