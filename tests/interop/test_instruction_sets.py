"""The kernels, compiled for other processors and under sanitizers, give the bits of the reference.

Needs GCC for x86-64, aarch64 and s390x, and qemu-user to run aarch64: Debian's ``gcc-aarch64-linux-gnu``,
``gcc-s390x-linux-gnu`` and ``qemu-user-static``.
"""

from __future__ import annotations

import platform
import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from initcfg.distributions import Distribution, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines import elementary, native, reference
from initcfg.errors import InitializerError
from initcfg.stream import Stream

SOURCES = Path(native.__file__).parent
FLAGS = ["-std=c11", "-O3", "-fno-math-errno", "-ffp-contract=off"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ARM = ["qemu-aarch64-static"]
COUNT = 10_000

BUILDS = {
    "aarch64, plain": ("aarch64-linux-gnu-gcc", ["-static"], ARM),
    "aarch64, neon": ("aarch64-linux-gnu-gcc", ["-static", "-DINITCFG_NEON"], ARM),
}
if platform.machine() == "x86_64":
    BUILDS |= {
        "x86-64, plain, sanitized": ("gcc", SANITIZERS, []),
        "x86-64, sse2, sanitized": ("gcc", [*SANITIZERS, "-msse2", "-DINITCFG_SSE2"], []),
        "x86-64, avx2, sanitized": ("gcc", [*SANITIZERS, "-mavx2", "-DINITCFG_AVX2"], []),
    }
    if "avx512" in native.instruction_sets():
        wide = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-DINITCFG_AVX512"]
        BUILDS["x86-64, avx512, sanitized"] = ("gcc", [*SANITIZERS, *wide], [])


def compiled(
    folder: Path, compiler: str, options: list[str], source: str = "kernels", caller: str = "fills"
) -> Path:
    program = folder / caller
    files = [str(SOURCES / f"{source}.c"), str(Path(__file__).with_name(f"{caller}.c"))]
    common = [*FLAGS, f"-I{SOURCES}", "-DFILL=initcfg_fill_plain", "-DAPPLY=initcfg_apply_plain"]
    subprocess.run([compiler, *common, *options, *files, "-o", str(program), "-lm"], check=True)
    return program


def law(rng: random.Random) -> Distribution:
    mean, std = rng.choice([0.0, 0.3, -2.0]), 10 ** rng.uniform(-6, 1)
    laws: list[Distribution] = [
        Uniform(mean - std, mean + std),
        Normal(mean, std),
        TruncatedNormal(mean, std, mean - 2 * std, mean + 2 * std),
        TruncatedNormal(mean, std, mean - 3 * std, mean + 3 * std),
        TruncatedNormal(mean, std, mean + rng.uniform(-1, 1) * std, mean + 4 * std),
    ]
    return rng.choice(laws)


def jobs(seed: int) -> tuple[bytes, list[bytes]]:
    """Random fills as the library takes them, and what the reference makes of each."""
    rng = random.Random(seed)
    dtypes = [dtype for dtype in DTYPES.values() if dtype.drawn]
    packed, expected = [], []
    while len(packed) < COUNT:
        dtype, wanted = rng.choice(dtypes), law(rng)
        size = rng.choice([rng.randrange(1, 40), rng.randrange(1, 40), rng.randrange(1, 3000)])
        start = rng.choice([rng.randrange(100), 2**34 - rng.randrange(99), 2**33 - rng.randrange(99)])
        stream = Stream.of_parameter(rng.randrange(2**64), "w")
        out = np.empty(size, dtype.numpy)
        try:
            reference.fill(out, wanted, stream, start)
        except InitializerError:
            continue  # the dtype cannot hold it
        numbers = native._law(wanted, out.dtype)
        assert isinstance(numbers, bytes)
        packed.append(native._PLACE.pack(rng.randrange(9), size, start, stream.digest) + numbers)
        expected.append(out.tobytes())
    return b"".join(packed), expected


@pytest.fixture(scope="module")
def work() -> tuple[bytes, list[bytes]]:
    return jobs(7)


@pytest.mark.parametrize("build", BUILDS)
def test_ten_thousand_fills_have_the_bits_of_the_reference(build: str, work, tmp_path: Path) -> None:
    compiler, options, runner = BUILDS[build]
    program = compiled(tmp_path, compiler, options)
    packed, expected = work
    done = subprocess.run([*runner, str(program)], input=packed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    made, at = [], 0
    for each in expected:
        made.append(done.stdout[at : at + len(each)])
        at += len(each)
    assert at == len(done.stdout)
    assert [n for n, (ours, theirs) in enumerate(zip(made, expected, strict=True)) if ours != theirs] == []


@pytest.fixture(scope="module")
def calls() -> tuple[bytes, list[tuple[str, bytes]]]:
    """Functions of bit patterns and of moderate numbers, and what the reference gives."""
    numbers = np.random.default_rng(7)
    packed, expected = [], []
    for number, (name, function) in enumerate(elementary.FUNCTIONS.items()):
        for size in [1, 2, 3, 5, 9, 17, 30_001]:
            for moderate in (False, True):
                shape = (2 if name == "pow" else 1, size)
                bits = numbers.integers(0, 2**64, shape, np.uint64)
                arguments = numbers.uniform(-800, 800, shape) if moderate else bits.view(np.float64)
                packed.append(struct.pack("=QQ", number, size) + arguments.tobytes())
                expected.append((name, function(*arguments).tobytes()))
    return b"".join(packed), expected


@pytest.mark.parametrize("build", BUILDS)
def test_elementary_functions_have_the_bits_of_the_reference(build: str, calls, tmp_path: Path) -> None:
    compiler, options, runner = BUILDS[build]
    program = compiled(tmp_path, compiler, options, "elementary", "functions")
    packed, expected = calls
    done = subprocess.run([*runner, str(program)], input=packed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    at, differing = 0, set()
    for name, values in expected:
        if done.stdout[at : at + len(values)] != values:
            differing.add(name)
        at += len(values)
    assert (at, differing) == (len(done.stdout), set())


def test_a_big_endian_machine_is_refused_when_it_compiles(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        compiled(tmp_path, "s390x-linux-gnu-gcc", [])
    command = [
        "s390x-linux-gnu-gcc",
        "-fsyntax-only",
        f"-I{SOURCES}",
        str(SOURCES / "fill.c"),
        '-DSOURCES=""',
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "lanes are taken to be little-endian" in said
