"""Values depend on the seed, the name and the position only: not on threads, chunks, neighbours or order."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from initcfg import materialize
from initcfg.generate import work
from initcfg.generate.files import write
from initcfg.generate.work import CHUNK
from initcfg.initializers import (
    Concatenate,
    GlorotUniform,
    HeNormal,
    Ones,
    Patch,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    Zeros,
)
from initcfg.plan import Plan


@pytest.fixture(scope="module")
def plan(planned) -> Plan:
    """Parameters much smaller and larger than a chunk, in several dtypes."""
    over = Patch(RandomNormal(), [{"at": [":", "7:250"], "initializer": RandomUniform(-1.0, 1.0)}])
    parameters = [
        planned("wte", (CHUNK // 300, 701), RandomNormal(0.0, 0.02)),
        planned("wpe", (CHUNK + 3,), TruncatedNormal(0.0, 1.0), dtype="float64"),
        planned("narrow", (CHUNK + 1,), RandomUniform(-1.0, 1.0), dtype="bfloat16"),
        planned("fused", (64, 96), Concatenate(1, (32, 64), (RandomNormal(), GlorotUniform()))),
        planned("patched", (CHUNK // 100, 301), over),
        planned("empty", (0, 4)),
        planned("scalar", (), RandomNormal(0.0, 1.0)),
    ]
    for layer in range(40):
        parameters += [
            planned(f"h.{layer}.w", (50, 7 + layer), HeNormal()),
            planned(f"h.{layer}.b", (50,), Zeros()),
            planned(f"h.{layer}.g", (50,), Ones(), dtype="float16"),
        ]
    return Plan("threads", 0, tuple(parameters))


def digests(weights) -> dict[str, str]:
    return {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in weights.items()}


@pytest.fixture(scope="module")
def expected(plan) -> dict[str, str]:
    return digests(materialize(plan, threads=1))


@pytest.mark.parametrize("threads", [2, 5])
def test_bits_do_not_depend_on_threads(plan, expected, threads) -> None:
    for _ in range(2):
        assert digests(materialize(plan, threads=threads)) == expected


@pytest.mark.parametrize("chunk", [4, 1 << 10, 1 << 16, 1 << 23])
def test_bits_do_not_depend_on_chunking(plan, monkeypatch, chunk) -> None:
    # Four elements a chunk are tried on what is small, a call each being slow.
    chosen = "h.1?.*" if chunk == 4 else None
    whole = digests(materialize(plan, chosen))
    monkeypatch.setattr(work, "CHUNK", chunk)
    assert digests(materialize(plan, chosen, threads=2)) == whole


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_file_does_not_depend_on_threads(plan, expected, tmp_path, threads) -> None:
    paths = [tmp_path / f"{count}.safetensors" for count in (1, threads)]
    for path, count in zip(paths, (1, threads), strict=True):
        write(plan, path, threads=count)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("seed", range(10))
def test_bits_do_not_depend_on_order_or_on_other_parameters(planned, plan, expected, seed) -> None:
    choice = random.Random(seed)
    kept = choice.sample(plan.parameters, choice.randrange(1, len(plan)))
    others = [planned(f"new.{number}", (choice.randrange(3000),)) for number in range(choice.randrange(20))]
    mixed = [*kept, *others]
    choice.shuffle(mixed)
    found = digests(materialize(Plan("mixed", 0, tuple(mixed)), threads=2))
    assert list(found) == [parameter.name for parameter in mixed]
    assert {p.name: found[p.name] for p in kept} == {p.name: expected[p.name] for p in kept}


def test_one_parameter_alone_has_the_bits_it_has_in_the_plan(plan, expected) -> None:
    for parameter in plan:
        assert digests({parameter.name: materialize(parameter)})[parameter.name] == expected[parameter.name]


def test_other_names_and_other_seeds_give_other_values(planned) -> None:
    arrays = [materialize(planned(name, (1000,), seed=seed)) for name in ("a", "b") for seed in (0, 1)]
    for number, one in enumerate(arrays):
        for other in arrays[number + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.15
