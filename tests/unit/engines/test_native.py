"""The native engine gives the bits of the reference, for every kernel, dtype, piece and instruction set."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES, DType
from initcfg.engines import constants, elementary, functions, get_engine, native, reference
from initcfg.engines.native.sources import LIBRARY, digest
from initcfg.engines.recipe import prepare
from initcfg.errors import InitializerError
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLOATS = [dtype for dtype in DTYPES.values() if dtype.kind == "float"]
NARROW = [dtype for dtype in FLOATS if dtype.itemsize <= 2]
FOLDER = Path(native.__file__).parent
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
        offset = int(numbers.choice([numbers.integers(0, last + 1), last // 2, last]))  # type: ignore[arg-type]
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


@pytest.fixture(params=native.instruction_sets())
def simd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each instruction set in turn, forced as a user would."""
    monkeypatch.setenv("INITCFG_SIMD", request.param)
    native.library.cache_clear()
    assert native.SETS[native.library().chosen] == request.param
    yield request.param
    native.library.cache_clear()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_every_piece_has_the_bits_of_the_reference(law: str, dtype: DType, simd: str) -> None:
    assert differing(native.fill, LAWS[law], dtype, spans(200)) == []


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_a_long_piece_has_the_bits_of_the_reference(law: str, dtype: DType, simd: str) -> None:
    start, size = 2**34 - 60_001, 150_003
    got, expected = np.empty((2, size), dtype.numpy)
    native.fill(got, LAWS[law], STREAM, start)
    reference.fill(expected, LAWS[law], STREAM, start)
    assert got.tobytes() == expected.tobytes()


def test_one_wrong_bit_would_be_found() -> None:
    def wrong(out: np.ndarray, law: Distribution, stream: Stream, start: int) -> None:
        native.fill(out, law, stream, start)
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
        native.fill(got, law, STREAM, 3)
        reference.fill(expected, law, STREAM, 3)
        assert got.tobytes() == expected.tobytes()


def test_memory_that_is_not_aligned_is_filled_alike() -> None:
    raw = np.empty(4 * 1000 + 1, np.uint8)
    aligned = np.empty(1000, np.float32)
    for out in (raw[1:].view(np.float32), aligned):
        native.fill(out, LAWS["normal"], STREAM, 5)
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
@pytest.mark.parametrize("fill", [native.fill, reference.fill], ids=["native", "numpy"])
def test_only_flat_writable_arrays_are_filled(out: np.ndarray, fill: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="one-dimensional"):
        fill(out, LAWS["normal"], STREAM)
    with pytest.raises(ValueError, match="at least 0"):
        fill(np.empty(3, np.float32), LAWS["normal"], STREAM, -1)
    with pytest.raises(ValueError, match="below 2\\*\\*63"):
        fill(np.empty(3, np.float32), LAWS["normal"], STREAM, 2**63 - 2)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_rounding_to_a_narrow_type_is_that_of_its_library(dtype: DType, simd: str) -> None:
    """Numbers of every size that the type holds, those too small for it and its subnormal ones included."""
    assert dtype.format is not None
    least, greatest = dtype.format.least_exponent, int(np.log2(dtype.format.greatest)) - 3
    for exponent in range(max(least - 15, -95), greatest):
        got, expected = np.empty((2, 3000), dtype.numpy)
        for out, fill in ((got, native.fill), (expected, reference.fill)):
            fill(out, Normal(0.0, 2.0**exponent), STREAM)
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_many_fills_by_one_call_are_those_of_many_calls(dtype: DType) -> None:
    calls, expected = [], []
    for start, size in spans(300):
        law = [*LAWS.values(), Fill(0.5)][start % (len(LAWS) + 1)]
        stream = Stream.of_parameter(start % 7, "h.0")
        alone = np.empty(size, dtype.numpy)
        reference.fill(alone, law, stream, start)
        expected.append(alone.tobytes())
        calls.append((np.empty(size, dtype.numpy), law, stream, start))
    native.fill_many(calls)
    assert [out.tobytes() for out, *_ in calls] == expected


def test_threads_fill_parts_of_one_array() -> None:
    law, size, chunk = LAWS["normal"], 400_000, 50_001
    out, expected = np.empty((2, size), np.float32)
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda start: native.fill(out[start : start + chunk], law, STREAM, start),
                range(0, size, chunk),
            )
        )
    reference.fill(expected, law, STREAM)
    assert out.tobytes() == expected.tobytes()


EDGES = np.array(
    [
        *(0.0, 5e-324, 2.0**-1022, 1e-300, 2.0**-54, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 22.0, 709.782712893384),
        *(745.1332191019412, 2.0**30, 2.0**52 + 1, 2.0**53 - 1, 2.0**53, 1.7976931348623157e308),
        *(*constants.ATAN_STARTS, np.inf, np.nan),
    ]
)


def arguments(name: str, count: int) -> Iterator[list[np.ndarray]]:
    """Arrays of bit patterns, with pairs of edges first, and of moderate numbers."""
    numbers = np.random.default_rng(22)
    parameters = 2 if name == "pow" else 1
    values = numbers.integers(0, 2**64, (parameters, count), np.uint64).view(np.float64)
    edges = np.concatenate([EDGES, -EDGES])
    grid = np.meshgrid(*[edges] * parameters)
    values[:, : grid[0].size] = [each.ravel() for each in grid]
    yield list(values)
    for reach in (1, 30, 800, 2**30):
        yield list(numbers.uniform(-reach, reach, (parameters, count)))


@pytest.mark.parametrize("name", native.FUNCTIONS)
def test_functions_have_the_bits_of_the_reference(name: str, simd: str) -> None:
    """Of a million arguments with ``INITCFG_EXAMPLES=250``."""
    for values in arguments(name, 800 * settings().max_examples):
        got, expected = native.FUNCTIONS[name](*values), elementary.FUNCTIONS[name](*values)
        (differing,) = np.nonzero(got.view(np.uint64) != expected.view(np.uint64))
        assert [each[differing[:5]].tolist() for each in values] == [[] for _ in values]


def test_functions_of_a_few_elements_are_those_of_many(simd: str) -> None:
    x = np.random.default_rng(23).uniform(0, 9, 40)
    for name, function in native.FUNCTIONS.items():
        rest = [x[::-1].copy()] if name == "pow" else []
        whole = function(x, *rest)
        for size in range(20):
            part = slice(3, 3 + size)
            assert function(x[part], *(each[part] for each in rest)).tobytes() == whole[part].tobytes()


def test_each_engine_has_its_own_functions() -> None:
    assert functions(get_engine("native")) is native.FUNCTIONS
    assert functions(get_engine("numpy")) is elementary.FUNCTIONS


@pytest.mark.parametrize("table", [native.FUNCTIONS, elementary.FUNCTIONS], ids=["native", "numpy"])
def test_functions_keep_the_shape_and_refuse_what_is_no_array_of_doubles(
    table: dict[str, Callable[..., np.ndarray]],
) -> None:
    assert list(table) == list(elementary.FUNCTIONS)
    x = np.random.default_rng(24).uniform(0, 9, (4, 6))
    assert table["exp"](x[:, ::2]).tobytes() == table["exp"](x)[:, ::2].tobytes()
    assert table["log"](np.array(1.0)).shape == ()
    x.flags.writeable = False
    assert table["sin"](x).shape == x.shape
    for wrong in ([x.astype(np.float32)] * 2, [x, x[:2]], [x, x.T], [x.astype(x.dtype.newbyteorder())] * 2):
        with pytest.raises(ValueError, match="float64 arrays of one shape"):
            table["pow"](*wrong)


def header_numbers() -> dict[str, Any]:
    """What constants.h defines, by name."""
    text = (FOLDER / "constants.h").read_text(encoding="ascii")
    found: dict[str, Any] = {}
    for name, number in re.findall(r"#define (\w+) (-?0x\S+)", text):
        is_real = "." in number or "p" in number
        found[name] = float.fromhex(number.rstrip("f")) if is_real else int(number.rstrip("u"), 16)
    for name, numbers in re.findall(r"(\w+)\[\] = \{(.*?)\}", text, re.DOTALL):
        found[name] = tuple(float.fromhex(number.strip().rstrip("f")) for number in numbers.split(",")[:-1])
    return found


def test_the_constants_in_c_are_those_of_the_reference() -> None:
    known = {name: value for name, value in vars(constants).items() if name.isupper()}
    known["MULTIPLIER0"], known["MULTIPLIER1"] = known["PHILOX_MULTIPLIERS"]
    known["KEY_STEP0"], known["KEY_STEP1"] = known["PHILOX_KEY_STEPS"]
    found = header_numbers()
    assert len(found) > 30
    assert found == {name: known[name] for name in found}


# x86 and ARM.
FUSED = re.compile(r"\bvfn?m(?:add|sub)|\bf(?:n?m(?:add|sub)|ml[as])\b")


@pytest.mark.skipif(shutil.which("objdump") is None, reason="needs a disassembler")
def test_machine_code_holds_no_fused_operation_and_calls_no_library() -> None:
    def shown(*options: str) -> str:
        command = ["objdump", *options, str(FOLDER / LIBRARY)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    code = shown("-d", "--no-show-raw-insn")
    assert "sqrtps" in code or "fsqrt" in code  # it was disassembled
    assert not FUSED.search(code)
    undefined = re.findall(r"\*UND\*.*?([A-Za-z_]\w*)$", shown("-T"), re.MULTILINE)
    allowed = {"memcpy", "memset", "memmove", "__stack_chk_fail", "__cxa_finalize", "__gmon_start__"}
    assert {name for name in undefined if not name.startswith("_ITM_")} <= allowed


def test_a_fused_operation_would_be_found() -> None:
    assert FUSED.search("  vfmadd213ps %zmm1, %zmm2, %zmm3")
    assert FUSED.search("  fmla v0.4s, v1.4s, v2.4s")


def test_the_laws_reach_every_kernel() -> None:
    recipes: list[Any] = [prepare(law, dtype) for law in LAWS.values() for dtype in FLOATS]
    reached = {(recipe.kernel, recipe.arithmetic) for recipe in recipes}
    assert {kernel for kernel, _ in reached} == set(native.KERNELS)
    assert reached >= {("uniform", "float64"), ("normal", "float64")}


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITCFG_SIMD", "altivec")
    native.library.cache_clear()
    with pytest.raises(InitializerError, match="INITCFG_SIMD names 'altivec'") as caught:
        native.library()
    assert "plain" in (caught.value.diagnostics[0].hint or "")
    monkeypatch.delenv("INITCFG_SIMD")
    native.library()


def copy_of_the_engine(folder: Path) -> Path:
    shutil.copytree(FOLDER, folder / "native")
    return folder / "native"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / LIBRARY).unlink(), "has no compiled kernels"),
        (lambda folder: (folder / "kernels.c").write_text("int x;"), "made from other sources"),
        (lambda folder: (folder / LIBRARY).write_bytes(b"no library"), "cannot be loaded"),
    ],
    ids=["missing", "stale", "damaged"],
)
def test_a_library_that_does_not_fit_is_refused_with_the_way_out(
    damage: Callable[[Path], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_of_the_engine(tmp_path)
    damage(folder)
    monkeypatch.setattr(native, "_FOLDER", folder)
    native.library.cache_clear()
    with pytest.raises(InitializerError, match=message) as caught:
        native.library()
    assert "pip install" in (caught.value.diagnostics[0].hint or "")


def test_the_digest_sees_every_byte_and_no_line_endings(tmp_path: Path) -> None:
    folder = copy_of_the_engine(tmp_path)
    first = digest(folder)
    source = folder / "fill.c"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    assert digest(folder) == first
    source.write_bytes(source.read_bytes() + b" ")
    assert digest(folder) != first


FORKS = """
import os, threading
import numpy as np
from initcfg.distributions import Normal
from initcfg.engines import native
from initcfg.stream import Stream

def draw():
    native.fill(np.empty(100_000, np.float32), Normal(0.0, 1.0), Stream.of_parameter(0, "a"))

# The library is loaded in a thread while this one forks.
for _ in range(20):
    native.library.cache_clear()
    thread = threading.Thread(target=draw)
    thread.start()
    child = os.fork()
    if not child:
        draw()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_forked_while_the_library_is_loaded_draws() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
