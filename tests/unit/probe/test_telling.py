"""What a probe says in words."""

from __future__ import annotations

import pytest

from initcfg.probe.telling import said_of, text_of
from initcfg.probe.values import Block, Nonlinearity, Run, Signal


def run_of(*squares: tuple[float | None, ...]) -> Run:
    """A run whose blocks have these mean squares, one a seed, forward and backward."""
    signals = [Signal(square=each, mean=(0.0,) * len(each)) for each in squares]
    blocks = tuple(
        Block(name=f"h.{at}", forward=each, backward=each, rank=(), rows=8) for at, each in enumerate(signals)
    )
    seeds = tuple(range(len(squares[0])))
    return Run(
        name="a", fingerprint=None, seeds=seeds, loss=(), blocks=blocks, leaves=(), nonlinearities=(),
        weights=(), seconds=0.0, nbytes=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("squares", "said"),
    [
        ([(1.0,), (1.0,), (1.0,), (1.00001,)], "stays what it is from block to block, over 3 blocks"),
        ([(1.0,), (1.0,), (2.0,), (4.0,)], "changes by a factor of 2 from block to block, over 3 blocks"),
        ([(1.0, 1.0), (4.0, 4.00000001), (1.0, 1.0)], "changes by a factor of 0.25 from block to block"),
        ([(1.0, 1.0), (1.0, 1.0), (2.0, 4.0)], "factor of 2.828 (standard error 35 %) from block to block"),
    ],
)
def test_how_a_signal_changes_is_a_sentence(squares: list[tuple[float, ...]], said: str) -> None:
    forward, backward, *_ = said_of([run_of(*squares)], None)
    assert forward.startswith("a: the mean square of the signal ")
    assert backward.startswith("a: the mean square of the gradient ")
    assert said in forward


def test_a_signal_that_is_0_is_told_and_shown_as_0() -> None:
    run = run_of((1.0, 1.0), (0.5, 0.5), (0.0, 0.0), (0.0, 0.0))
    assert said_of([run], None)[0] == "a: the signal is 0 from h.2 on"
    assert [line.split() for line in text_of([run], "as given", None).splitlines()[3:5]] == [
        ["h.2", "0"],
        ["h.3", "0"],
    ]


def test_a_signal_that_is_no_number_is_not_told_as_0() -> None:
    told = said_of([run_of((1.0,), (None,), (None,))], None)
    assert told[0] == "a: the signal has no finite mean square from h.1 on: it is NaN or infinite there"
    assert not any("signal is 0" in line for line in told)


def test_calls_of_one_function_in_one_module_are_told_together() -> None:
    calls = [Nonlinearity(name="all", function="relu", dead=(share,)) for share in (0.25, 0.5)]
    told = said_of([run_of((1.0,), (1.0,)).model_copy(update={"nonlinearities": tuple(calls)})], None)
    assert [line for line in told if "relu" in line] == [
        "a: at most 50 % of the units of all (relu) are 0 for all of the batch"
    ]
