"""Calls of the native engine with anything that numpy calls an array: the reference's bits, or an error.

``INITCFG_CALLS=100000 pytest tests/unit/engines/test_fuzzed_calls.py`` tries as many; it takes minutes.
"""

from __future__ import annotations

import math
import os
import random
from typing import Any

import numpy as np
import pytest

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines import elementary, native, reference
from initcfg.errors import InitializerError
from initcfg.stream import Stream

CALLS = int(os.environ.get("INITCFG_CALLS", "1500"))
GUARD = 64
FLOATS = [dtype.numpy for dtype in DTYPES.values() if dtype.kind == "float"]
ALL = [dtype.numpy for dtype in DTYPES.values()]


class Buffer:
    """An array at any byte of a larger one, whose other bytes tell whether they were written to.

    Args:
        size: its elements.
        dtype: of them.
        offset: how many bytes past the guard it begins.
    """

    def __init__(self, size: int, dtype: np.dtype[Any], offset: int) -> None:
        self.whole = np.full(2 * GUARD + size * dtype.itemsize, 0xA5, np.uint8)
        self.slice = slice(offset, offset + size * dtype.itemsize)
        self.array = self.whole[self.slice].view(dtype)

    def is_kept(self) -> bool:
        """Whether the bytes around the array are as they were."""
        others = np.delete(self.whole, self.slice)
        return bool((others == 0xA5).all())


def random_law(numbers: random.Random) -> Distribution:
    mean, std = numbers.uniform(-2, 2), 10 ** numbers.uniform(-6, 1)
    kind = numbers.randrange(6)
    if kind == 0:
        return Fill(numbers.choice([0.0, -0.0, 1, mean]))
    if kind == 1:
        return Normal(mean, std)
    if kind == 2:
        return Uniform(mean, mean + std)
    reach = numbers.choice([0.01, 1, 2, 3, 50])
    low, high = {3: (-reach, reach), 4: (reach, reach + 1), 5: (-reach, 10 * reach)}[kind]
    return TruncatedNormal(mean, std, mean + low * std, mean + high * std)


def random_call(numbers: random.Random) -> tuple[np.dtype[Any], int, int, Distribution, Stream, int]:
    dtype = numbers.choice(FLOATS if numbers.random() < 0.9 else ALL)
    size = numbers.choice([0, 1, 2, numbers.randrange(40), numbers.randrange(40), numbers.randrange(2000)])
    last = 2**63 - size
    start = numbers.choice(
        [0, numbers.randrange(9), 2**32 - size // 2, 2**34 - 1, last, numbers.randrange(last)]
    )
    stream = Stream.of_parameter(numbers.randrange(2**64), "w")
    return dtype, size, numbers.randrange(GUARD), random_law(numbers), stream, start


def made(fill: Any, calls: list[Any], buffers: list[Buffer]) -> str:
    """What the fills end with: nothing, or the text of an error."""
    try:
        fill(
            [
                (buffer.array, law, stream, start)
                for buffer, (_, _, _, law, stream, start) in zip(buffers, calls, strict=True)
            ]
        )
    except (InitializerError, ValueError) as error:
        return str(error)
    return ""


def by_reference(calls: list[Any]) -> None:
    for call in calls:
        reference.fill(*call)


def test_fills_at_any_byte_are_the_references_and_touch_nothing_else() -> None:
    numbers = random.Random(41)
    done = 0
    while done < CALLS:
        calls = [random_call(numbers) for _ in range(numbers.choice([1, 1, 2, 7]))]
        done += len(calls)
        got, expected = ([Buffer(size, dtype, offset) for dtype, size, offset, *_ in calls] for _ in range(2))
        errors = made(native.fill_many, calls, got), made(by_reference, calls, expected)
        assert errors[0] == errors[1], calls
        for one, two, call in zip(got, expected, calls, strict=True):
            assert one.is_kept(), call
            assert errors[0] or one.array.tobytes() == two.array.tobytes(), call


def test_what_cannot_be_filled_is_refused_and_left_as_it_was() -> None:
    numbers = random.Random(42)
    for _ in range(CALLS // 10):
        dtype, size, offset, law, stream, start = random_call(numbers)
        buffer = Buffer(2 * size + 4, dtype, offset)
        buffer.array.view("u1")[:] = 0x33
        before = buffer.whole.copy()
        wrong = numbers.randrange(6)
        out = buffer.array
        if wrong == 0:
            out.flags.writeable = False
        elif wrong == 1:
            out = out[::2]
        elif wrong == 2:
            out = out.reshape(2, -1)
        elif wrong == 3 and dtype.isbuiltin == 1 and dtype.itemsize > 1:
            out = out.view(dtype.newbyteorder())
        elif wrong == 4:
            start = -1 - start
        else:
            start = 2**63 - out.size + 1 + numbers.randrange(99)
        for fill in (native.fill, reference.fill):
            with pytest.raises(ValueError, match=r"out must be|start must be"):
                fill(out, law, stream, start)
        assert np.array_equal(buffer.whole, before)


def test_functions_at_any_byte_are_the_references_and_touch_nothing_else() -> None:
    numbers = random.Random(43)
    float64 = np.dtype(np.float64)
    for _ in range(CALLS // 3):
        name = numbers.choice(list(native.FUNCTIONS))
        size = numbers.choice([0, 1, numbers.randrange(30), numbers.randrange(600)])
        given = [Buffer(size, float64, numbers.randrange(GUARD)) for _ in range(1 + (name == "pow"))]
        for each in given:
            bits = np.frombuffer(numbers.randbytes(8 * size), np.uint64)
            scale = 10.0 ** numbers.randrange(-9, 10)
            wild = bits.view(np.float64)
            each.array[:] = (
                wild if numbers.random() < 0.3 else np.ldexp(1.0, -63) * bits.view(np.int64) * scale
            )
            each.array[: numbers.randrange(3)] = numbers.choice(
                [0.0, -0.0, 1.0, math.inf, -math.inf, math.nan]
            )
        expected = elementary.FUNCTIONS[name](*(each.array.copy() for each in given))
        out = given[0] if numbers.random() < 0.5 else Buffer(size, float64, numbers.randrange(GUARD))
        native.FUNCTIONS[name](*(each.array for each in given), out=out.array)
        assert out.array.tobytes() == expected.tobytes(), name
        assert all(each.is_kept() for each in (*given, out))
