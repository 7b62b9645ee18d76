"""Makes more than memory holds, under a limit of the address space; a script for a test.

``python bounded.py slices LIMIT GIGABYTES``: slices of a plan of that size, from everywhere in it.
``python bounded.py stream LIMIT GIGABYTES``: all of such a plan, as shards, to a folder that forgets them.
``python bounded.py whole LIMIT GIGABYTES``: all of it in memory, to see that the limit is one.

LIMIT is in bytes. Prints how many bytes were made.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import threading
from typing import TYPE_CHECKING

import initcfg
from initcfg.sharding import save_set, shard_set
from initcfg.stores import Claim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.formats import Elements
    from initcfg.formats.safetensors import FileLayout

COLUMNS = 8192


def planned(gigabytes: float) -> initcfg.Plan:
    """Eight parameters with so many bytes together, six of them made of parts."""
    rows = int(gigabytes * 1e9 / 8 / 4 / COLUMNS)
    uniform: object = {"random_uniform": {"minval": -1, "maxval": 1}}
    uniform_above: object = {"random_uniform": {"minval": 0, "maxval": 1}}
    below = {"axis": 0, "sizes": [rows // 2, rows - rows // 2], "initializers": [uniform, "identity"]}
    beside = {"axis": 1, "sizes": [500, COLUMNS - 500], "initializers": [uniform, {"concatenate": below}]}
    schemes: list[object] = [
        {"concatenate": below},
        {"concatenate": beside},
        {"formula": {"value": "sqrt(x * (index(0) + 1)) - index(1) / size(1)", "of": uniform_above}},
        {"constant": {"value": [0.5 * column for column in range(COLUMNS)]}},
        {"constant": {"value": [[7], *([0.5 * row] for row in range(1, rows))]}},
    ]
    schemes += [uniform] * (8 - len(schemes))
    params = {f"w.{i}": {"shape": [rows, COLUMNS], "initializer": each} for i, each in enumerate(schemes)}
    return initcfg.make_plan({"initcfg": 1, "seed": 5, "params": params})


class Forgetful:
    """A store that keeps the sizes and headers of its files."""

    place = "nowhere"

    def __init__(self) -> None:
        self.taken = 0
        self._headers: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def path(self, name: str) -> str:
        return name

    def sizes(self) -> dict[str, int]:
        return dict(self._sizes)

    def size(self, name: str) -> int | None:
        return self._sizes.get(name)

    def sweep(self) -> None:
        pass

    def read(self, name: str, start: int, stop: int) -> bytes:
        return self._headers[name][start:stop]

    def write(self, name: str, layout: FileLayout, elements: Elements) -> None:
        elements.write_at(layout.tensors, len(layout.header), self._take)
        self._headers[name], self._sizes[name] = layout.header, layout.nbytes

    def _take(self, data: memoryview, _: int) -> None:
        with self._lock:
            self.taken += len(data)

    def write_text(self, name: str, text: str) -> None:
        self._headers[name], self._sizes[name] = text.encode(), len(text)

    def remove(self, name: str) -> None:
        raise AssertionError(f"{name} is in nobody's way")

    staged = None

    def unstage(self, text: str) -> None:
        pass

    def free(self) -> int | None:
        return None

    def claimed(self) -> str | None:
        return None

    @contextlib.contextmanager
    def claiming(self, *_: object) -> Iterator[Claim]:
        yield Claim()

    joining = claiming


def slices(plan: initcfg.Plan) -> int:
    made = 0
    for parameter in plan:
        rows = parameter.shape[0]
        for start in range(0, rows, rows // 5):
            block = initcfg.materialize(parameter[start : start + 64, 100:900], threads=2, engine="numpy")
            row = initcfg.materialize(parameter[start + 5], threads=1, engine="numpy")
            if (block[5] != row[100:900]).any():
                raise AssertionError(f"{parameter.name}: row {start + 5}")
            made += block.nbytes
    return made


def stream(plan: initcfg.Plan) -> int:
    store = Forgetful()
    saved = save_set(shard_set(plan, 2_000_000_000), store, threads=2, engine="numpy")  # type: ignore[arg-type]
    if saved.index is None:
        raise AssertionError("the set was not published")
    return store.taken


def whole(plan: initcfg.Plan) -> int:
    return sum(array.nbytes for array in initcfg.materialize(plan, engine="numpy").values())


if __name__ == "__main__":
    how, limit, gigabytes = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(limit), int(limit)))
    print({"slices": slices, "stream": stream, "whole": whole}[how](planned(float(gigabytes))))
