"""The compiled engine gives the bits of the reference, for every kernel, dtype and piece."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytest
from numba.core import cgutils, types
from numba.extending import intrinsic

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES, DType
from initcfg.engines import compiled, reference
from initcfg.engines.compiled import build
from initcfg.engines.compiled.groups import Group
from initcfg.engines.compiled.kernels import KERNELS
from initcfg.engines.compiled.loops import OPTIONS, loop
from initcfg.engines.compiled.targets import rounded
from initcfg.engines.compiled.vectors import Vector
from initcfg.engines.recipe import prepare
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

FLOATS = [dtype for dtype in DTYPES.values() if dtype.kind == "float"]
NARROW = [dtype for dtype in FLOATS if dtype.itemsize <= 2]
STREAM = Stream.of_parameter(0, "h.0")
# One for each kernel; far bounds; a scale that makes subnormal numbers of narrow types.
LAWS: dict[str, Distribution] = {
    "uniform": Uniform(-0.25, 0.5),
    "normal": Normal(0.1, 0.5),
    "small": Normal(0.0, 2e-6),
    "two_sigma": TruncatedNormal(0.0, 0.5, -1.0, 1.0),
    "cut": TruncatedNormal(0.25, 0.5, -1.25, 1.75),
    "one_sided": TruncatedNormal(0.0, 0.5, 0.0, 0.75),
    "tail": TruncatedNormal(0.0, 0.125, 0.75, 1.0),
    "far_bounds": TruncatedNormal(0.0, 0.5, -50.0, 50.0),
}
# Where something changes: the first block, element 2**32, block 2**32 of two and of four elements, the last
# element; and some places where nothing does.
PLACES = [0, 2**32, 2**33, 2**34, 2**63, *np.random.default_rng(20).integers(2**62, size=5).tolist()]
WINDOW = 800


def windows() -> list[int]:
    """Where a stretch of `WINDOW` elements around each place starts."""
    return [min(max(0, place - WINDOW // 2), 2**63 - WINDOW) for place in PLACES]


def spans(count: int) -> list[tuple[int, int]]:
    """Starts and sizes of pieces inside the windows, the same at every run."""
    numbers = np.random.default_rng(21)
    found = []
    for _ in range(count):
        size = int(numbers.integers(0, numbers.choice([9, 500])))
        # Anywhere in a window, across its middle, or up to its end.
        last = WINDOW - size
        offset = int(numbers.choice([numbers.integers(0, last + 1), last // 2, last]))
        found.append((int(numbers.choice(np.array(windows(), np.uint64))) + offset, size))
    return found


def differing(
    fill: Callable[..., None], law: Distribution, dtype: DType, pieces: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The pieces in which a fill function differs from the reference, or writes beyond its piece."""
    stretches = {}
    for start in windows():
        stretches[start] = np.empty(WINDOW, dtype.numpy)
        reference.fill(stretches[start], law, STREAM, start)
    found = []
    for start, size in pieces:
        window = max(place for place in windows() if place <= start)
        expected = np.zeros(size + 2, dtype.numpy)
        expected[1:-1] = stretches[window][start - window : start - window + size]
        got = np.zeros(size + 2, dtype.numpy)
        fill(got[1:-1], law, STREAM, start)
        if got.tobytes() != expected.tobytes():
            found.append((start, size))
    return found


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_every_piece_has_the_bits_of_the_reference(law: str, dtype: DType) -> None:
    assert differing(compiled.fill, LAWS[law], dtype, spans(200)) == []


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_a_long_piece_has_the_bits_of_the_reference(law: str, dtype: DType) -> None:
    start, size = 2**34 - 60_001, 150_003
    got, expected = np.empty((2, size), dtype.numpy)
    compiled.fill(got, LAWS[law], STREAM, start)
    reference.fill(expected, LAWS[law], STREAM, start)
    assert got.tobytes() == expected.tobytes()


def test_one_wrong_bit_would_be_found() -> None:
    def wrong(out: np.ndarray, law: Distribution, stream: Stream, start: int) -> None:
        compiled.fill(out, law, stream, start)
        if out.size > 250:
            out.view(np.uint32)[-1] ^= 1

    pieces = spans(200)
    long = [piece for piece in pieces if piece[1] > 250]
    assert long
    assert differing(wrong, LAWS["normal"], DTYPES["float32"], pieces) == long


def test_the_pieces_cover_what_matters() -> None:
    pieces = spans(200)
    for per_block in (2, 4):
        assert {start % per_block for start, _ in pieces} == set(range(per_block))
        assert {(start + size) % per_block for start, size in pieces} == set(range(per_block))
        wrap = per_block * 2**32
        assert sum(start < wrap < start + size for start, size in pieces) > 3
        assert any(start > wrap for start, _ in pieces)
    assert any(start < 2**32 < start + size for start, size in pieces)
    assert any(start + size == 2**63 for start, size in pieces)
    assert any(size == 0 for _, size in pieces)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_constants_are_those_of_the_reference(dtype: DType) -> None:
    laws = [Fill(0), Fill(1), Fill(True), Fill(0.0), *([Fill(0.1), Fill(-0.0)] if dtype.drawn else [])]
    for law in laws:
        got, expected = np.empty((2, 5), dtype.numpy)
        compiled.fill(got, law, STREAM, 3)
        reference.fill(expected, law, STREAM, 3)
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_rounding_to_a_narrow_type_is_that_of_its_library(dtype: DType) -> None:
    @intrinsic
    def round_one(typingctx, out, at, number):
        def codegen(context, builder, signature, args):
            memory = context.make_array(signature.args[0])(context, builder, args[0]).data
            lane = rounded(Vector.splat(builder, args[2], 1), dtype)
            lane.stored(cgutils.gep(builder, memory, args[1]))

        return types.void(out, at, number), codegen

    @numba.njit(**OPTIONS)
    def round_each(out, numbers):
        for index in range(out.size):
            round_one(out, index, numbers[index])

    # All upper halves of a float32 that the type can hold, with lower halves around the ties.
    low = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    bits = (np.arange(2**16, dtype=np.uint32)[:, np.newaxis] << 16 | low).ravel()
    numbers = bits.view(np.float32)
    numbers = numbers[np.abs(numbers) <= dtype.bounds[1]]
    out = np.zeros(numbers.size, f"u{dtype.itemsize}")
    round_each(out, numbers)
    with np.errstate(under="ignore"):
        expected = numbers.astype(dtype.numpy)
    assert out.tobytes() == expected.tobytes()
    # Subnormal numbers of float32 itself are among them.
    assert (np.abs(numbers) < 2.0**-126).sum() > 100


def test_memory_that_is_not_aligned_is_filled_alike() -> None:
    raw = np.empty(4 * 1000 + 1, np.uint8)
    aligned = np.empty(1000, np.float32)
    for out in (raw[1:].view(np.float32), aligned):
        compiled.fill(out, LAWS["normal"], STREAM, 5)
    assert raw[1:].tobytes() == aligned.tobytes()


@pytest.mark.parametrize(
    "out",
    [
        np.empty((2, 2), np.float32),
        np.empty(8, np.float32)[::2],
        np.broadcast_to(np.float32(0), 3),
        np.empty(3, np.dtype(np.float32).newbyteorder()),
    ],
    ids=["two-dimensional", "strided", "read-only", "other byte order"],
)
@pytest.mark.parametrize("fill", [compiled.fill, reference.fill], ids=["numba", "numpy"])
def test_only_flat_writable_arrays_are_filled(out: np.ndarray, fill: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        fill(out, LAWS["normal"], STREAM)
    with pytest.raises(ValueError, match="at least 0"):
        fill(np.empty(3, np.float32), LAWS["normal"], STREAM, -1)
    with pytest.raises(ValueError, match="below 2\\*\\*63"):
        fill(np.empty(3, np.float32), LAWS["normal"], STREAM, 2**63 - 2)


def test_threads_that_come_at_once_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    attempt = build._attempt
    monkeypatch.setattr(build, "_entries", {})
    monkeypatch.setattr(build, "_attempt", lambda key: made.append(key) or attempt(key))
    compiled._cached.cache_clear()
    law, size, chunk = LAWS["normal"], 400_000, 50_001
    out = np.empty(size, np.float32)
    together = Barrier(8)

    def work(start: int) -> None:
        together.wait()
        compiled.fill(out[start : start + chunk], law, STREAM, start)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(0, size, chunk)))
    assert made == [("normal", "float32", DTYPES["float32"])]
    expected = np.empty(size, np.float32)
    reference.fill(expected, law, STREAM)
    assert out.tobytes() == expected.tobytes()


# x86 and ARM.
FUSED = re.compile(r"\bvfn?m(?:add|sub)|\bf(?:n?m(?:add|sub)|ml[as])\b|svml")
# numba's own machinery, and what LLVM replaces by instructions that IEEE 754 or integers fix.
CALLED = re.compile(r"llvm\.(?!fma|fmuladd|a?sin|a?cos|a?tan|exp|log|pow|ldexp)|NRT_|_?Py|numba_")


def breaches(llvm: str) -> list[str]:
    """What would let a bit depend on the machine: inexact arithmetic, and calls that leave the loop."""
    flags = r"\bf(?:add|sub|mul|div|cmp) (?:.*? )?(fast|contract|reassoc|arcp|afn|nnan|ninf|nsz)\b"
    called = re.findall(r"^declare\b[^@]*@\"?([\w.$]+)", llvm, re.MULTILINE)
    return [*re.findall(flags, llvm), *(name for name in called if not CALLED.match(name))]


# Every kernel, and each way to store what it makes.
COMPILED = [(*key, DTYPES[key[1]]) for key in KERNELS] + [
    ("uniform", "float32", DTYPES[name])
    for name in ("bfloat16", "float16", "float8_e4m3fn", "float8_e4m3fnuz")
    if name in DTYPES
]


@pytest.mark.parametrize("key", COMPILED, ids=lambda key: " ".join(map(str, key)))
def test_machine_code_holds_no_fused_operation_and_calls_no_library(key: tuple[str, str, DType]) -> None:
    kernel, arithmetic, dtype = key
    wanted = build.signature(arithmetic, dtype)
    # Compiled anew: numba does not show what comes from its cache.
    dispatcher = numba.njit(**OPTIONS)(loop(kernel, arithmetic, dtype, build.host_group()))
    dispatcher.compile(wanted)
    assert breaches(dispatcher.inspect_llvm(wanted.args)) == []
    assert not FUSED.search(dispatcher.inspect_asm(wanted.args))


def test_what_is_kept_on_disk_is_named_after_all_that_is_compiled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    monkeypatch.setattr(build, "_compiled", lambda function, _: names.append(function.__qualname__))
    for group in (Group(2, 2), Group(8, 2), Group(8, 4)):
        for dtype in ("float32", "bfloat16", "float16"):
            monkeypatch.setattr(build, "host_group", lambda group=group: group)
            build._attempt(("uniform", "float32", DTYPES[dtype]))
    assert len(set(names)) == 9
    assert all(build._digest_of_sources() in name for name in names)


@pytest.mark.parametrize("group", [Group(2, 2), Group(8, 2), Group(16, 4), Group(64, 8)], ids=str)
@pytest.mark.parametrize("kernel", KERNELS, ids=" ".join)
def test_no_bit_depends_on_how_many_blocks_a_processor_makes_at_a_time(
    kernel: tuple[str, str], group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype = DTYPES[kernel[1]]
    law = next(law for law in LAWS.values() if prepare(law, dtype)[:2] == kernel)
    monkeypatch.setattr(build, "_entries", {})
    monkeypatch.setattr(build, "host_group", lambda: group)
    compiled._cached.cache_clear()
    try:
        assert differing(compiled.fill, law, dtype, spans(60)) == []
    finally:
        compiled._cached.cache_clear()


def test_a_fused_operation_and_a_library_call_would_be_found() -> None:
    def fused(x: float, y: float) -> float:
        return np.exp(x) * y + x

    dispatcher = numba.njit("float64(float64, float64)", fastmath=True)(fused)
    (llvm,) = dispatcher.inspect_llvm().values()
    assert {"llvm.exp.f64", "fast"} <= set(breaches(llvm))
    assert FUSED.search("  vfmadd213ps %zmm1, %zmm2, %zmm3")
    assert FUSED.search("  callq *__svml_sqrtf16@PLT")


def test_the_laws_reach_every_kernel() -> None:
    recipes: list[Any] = [prepare(law, dtype) for law in LAWS.values() for dtype in FLOATS]
    assert {(recipe.kernel, recipe.arithmetic) for recipe in recipes} == set(KERNELS)
