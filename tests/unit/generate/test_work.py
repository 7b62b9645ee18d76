"""Parameters are cut where they are large and put together where they are small."""

from __future__ import annotations

import numpy as np
import pytest

from initcfg.generate.work import CHUNK, batches, is_for_caller
from initcfg.initializers import (
    Concatenate,
    Constant,
    FunctionInitializer,
    Identity,
    Ones,
    Orthogonal,
    Patch,
    RandomNormal,
)


class Called(RandomNormal):
    def __call__(self, shape, dtype=None):
        return super().__call__(shape, dtype)


class Built(Orthogonal):
    def build(self, request):
        return super().build(request)


def sizes(parameters) -> list[list[tuple[str, int, int]]]:
    return [
        [(piece.parameter.name, piece.start, piece.stop) for piece in batch] for batch in batches(parameters)
    ]


def test_a_large_parameter_is_cut_at_multiples_of_a_chunk(planned) -> None:
    cuts = sizes([planned("w", (2 * CHUNK + 3,))])
    assert cuts == [[("w", 0, CHUNK)], [("w", CHUNK, 2 * CHUNK)], [("w", 2 * CHUNK, 2 * CHUNK + 3)]]


def test_small_parameters_share_a_batch(planned) -> None:
    parameters = [planned(f"p{number}", (CHUNK // 4 + 1,)) for number in range(7)]
    assert [len(batch) for batch in sizes(parameters)] == [3, 3, 1]


def test_a_structured_parameter_is_a_batch_of_its_own(planned) -> None:
    parameters = [
        planned("a", (3,)),
        planned("q", (4, 4), Orthogonal()),
        planned("b", (3,)),
        planned("c", (3,)),
    ]
    assert sizes(parameters) == [[("a", 0, 3)], [("q", 0, 16)], [("b", 0, 3), ("c", 0, 3)]]


def test_empty_parameters_have_no_piece(planned) -> None:
    assert sizes([planned("a", (0,)), planned("q", (0, 4), Orthogonal())]) == []


def test_a_scalar_is_one_element(planned) -> None:
    assert sizes([planned("a", ())]) == [[("a", 0, 1)]]


@pytest.mark.parametrize(
    ("initializer", "foreign"),
    [
        (Orthogonal(), False),
        (Concatenate(0, (1, 1), (Ones(), Orthogonal())), False),
        (FunctionInitializer(np.zeros), True),
        (Concatenate(0, (1, 1), (Ones(), FunctionInitializer(np.zeros))), True),
        (Concatenate(0, (2,), (Concatenate(0, (2,), (FunctionInitializer(np.zeros),)),)), True),
        (Patch("ones", [{"at": [0], "initializer": "orthogonal"}]), False),
        (Patch("ones", [{"at": [0], "initializer": np.zeros}]), True),
        (Called(), True),
        (Built(), True),
        (Concatenate(0, (1, 1), (Ones(), Called())), True),
    ],
)
def test_code_of_somebody_else_is_recognised_wherever_it_hides(planned, initializer, foreign) -> None:
    (batch,) = batches([planned("w", (2, 2), initializer)])
    assert is_for_caller(batch) == foreign


@pytest.mark.parametrize(("size", "count", "here"), [(10, 1, True), (100, 1000, True), (100_000, 7, False)])
def test_many_small_parameters_are_made_by_the_calling_thread(planned, size, count, here) -> None:
    (batch,) = batches([planned(f"p{number}", (size,)) for number in range(count)])
    assert is_for_caller(batch) == here


@pytest.mark.parametrize(
    "initializer",
    [
        Identity(),
        Constant([1.0, 2.0]),
        Concatenate(0, (CHUNK, 1), (Ones(), Identity())),
        Concatenate(1, (1, 1), (RandomNormal(), Concatenate(0, (CHUNK + 1,), (Ones(),)))),
    ],
)
def test_what_is_made_of_elementwise_parts_is_cut_as_an_elementwise_one_is(planned, initializer) -> None:
    shape = (CHUNK + 1, 2)
    cuts = [[("w", 0, CHUNK)], [("w", CHUNK, 2 * CHUNK)], [("w", 2 * CHUNK, 2 * CHUNK + 2)]]
    assert sizes([planned("w", shape, initializer)]) == cuts
