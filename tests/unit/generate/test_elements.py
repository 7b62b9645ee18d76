"""What formats are given covers every element once."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from initcfg.formats import TensorInfo
from initcfg.generate.files import PlannedElements
from initcfg.generate.pool import Workers
from initcfg.generate.work import CHUNK
from initcfg.initializers import Ones, Orthogonal, Zeros


def untouched(out, distribution, stream, start) -> None:
    """An engine that makes nothing, so that a model of any size costs nothing."""


def written(parameters, fill, threads=2) -> list[tuple[int, int]]:
    """Where writes begin and end."""
    tensors = [TensorInfo(p.name, p.dtype, p.shape) for p in parameters]
    places = []
    with Workers(threads) as workers:
        elements = PlannedElements({p.name: p for p in parameters}, fill, workers, None)
        elements.write_at(tensors, 64, lambda data, at: places.append((at, at + len(data))))
    return sorted(places)


def test_writes_lie_side_by_side_beyond_32_bits_too(planned) -> None:
    parameters = [planned("a", (2**29 + 1, 2)), planned("b", (2**30 + 7,), dtype="bfloat16")]
    places = written(parameters, untouched)
    assert places[0][0] == 64
    assert places[-1][1] == 64 + 4 * (2**30 + 2) + 2 * (2**30 + 7) > 2**32
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(places))
    assert max(end - begin for begin, end in places) <= CHUNK * 4


def test_neighbours_that_are_small_are_written_at_once(planned) -> None:
    parameters = [planned(f"p{n}", (100,)) for n in range(1000)]
    assert written(parameters, untouched) == [(64, 64 + 400_000)]


def test_a_structured_parameter_is_written_from_where_it_was_made(planned) -> None:
    parameters = [planned("a", (3,), Zeros()), planned("q", (4, 4), Orthogonal()), planned("z", (3,), Ones())]

    def fill(out, distribution, stream, start):
        out.fill(1)

    assert written(parameters, fill) == [(64, 76), (76, 140), (140, 152)]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_there_are_no_more_buffers_than_threads(planned, threads) -> None:
    seen = set()

    def fill(out, distribution, stream, start):
        seen.add(out.__array_interface__["data"][0])

    written([planned("w", (50 * CHUNK,), dtype="bfloat16")], fill, threads)
    assert 1 <= len(seen) <= threads


def test_custom_code_is_not_run_by_the_writing_threads(planned) -> None:
    from initcfg.initializers import FunctionInitializer

    seen = []

    def mine(shape, dtype=None):
        seen.append(threading.get_ident())
        return np.zeros(shape, dtype)

    written([planned(f"p{n}", (4,), FunctionInitializer(mine)) for n in range(5)], untouched)
    assert seen == [threading.get_ident()] * 5
