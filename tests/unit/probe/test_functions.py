"""Shares of flat units and entropies are those that are counted by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from initcfg.probe.functions import FLAT, attention_entropy, entropy_of, flat_shares
from initcfg.probe.values import Nonlinearity

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM = np.random.default_rng(0)


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


SLOPES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: x > 0),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6)),
    "hardtanh": (lambda x: np.clip(x, -1, 1), lambda x: np.abs(x) < 1),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 4 * np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
}


@pytest.mark.parametrize("function", FLAT)
def test_an_element_is_saturated_where_the_slope_is_below_a_tenth_of_its_largest(function: str) -> None:
    of, slope = SLOPES[function]
    x = RANDOM.normal(0, 4, (50, 7))
    found = flat_shares("fc", f"{function}_", of(x))  # in place, too
    assert found.saturated == pytest.approx(((slope(x) < 0.1).mean(),))


@pytest.mark.parametrize(("channels", "dead"), [(1, 1 / 3), (-1, 0.0)])
def test_a_unit_is_dead_that_is_zero_everywhere(channels: int, dead: float) -> None:
    values = RANDOM.normal(size=(4, 3, 5, 5))
    values[:, 1] = 0
    assert flat_shares("conv", "relu", values, channels).dead == (dead,)


def test_of_no_elements_nothing_is_said() -> None:
    assert flat_shares("fc", "relu", np.empty((0, 3))) == Nonlinearity(name="fc", function="relu")
    assert entropy_of(np.empty((0, 3))) is None
    assert entropy_of(np.ones((4, 1))) is None


def test_a_gate_of_one_number_is_one_unit() -> None:
    found = flat_shares("fc", "tanh", np.zeros(()))
    assert (found.dead, found.saturated) == ((1.0,), (0.0,))
    assert entropy_of(np.ones(())) is None


def test_a_choice_is_along_some_axes_or_all() -> None:
    chosen = softmax(RANDOM.normal(size=(4, 15)))
    assert entropy_of(chosen.reshape(4, 3, 5), (1, 2)) == pytest.approx(entropy_of(chosen))
    assert entropy_of(np.full((2, 3), 1 / 6), None) == pytest.approx(1)


def test_a_choice_is_along_its_axis() -> None:
    shares = softmax(RANDOM.normal(size=(3, 5)))
    assert entropy_of(shares.T, 0) == pytest.approx(entropy_of(shares))
    assert entropy_of(np.full((2, 3), 1 / 6), None) == pytest.approx(1)


def test_the_entropy_of_an_attention_is_that_of_its_softmax_over_the_keys_that_are_open() -> None:
    query, key = RANDOM.normal(size=(2, 3, 6, 4)), RANDOM.normal(size=(2, 3, 5, 4))
    shares = softmax(query @ np.swapaxes(key, -1, -2) / 2)
    assert attention_entropy(query, key) == pytest.approx(entropy_of(shares))
    mask = RANDOM.random((2, 1, 6, 5)) < 0.7
    mask[0, 0, 0] = False  # a query that may attend to nothing
    mask[0, 0, 1] = [True, False, False, False, False]  # or to one key only
    by_hand = []
    for sample, head, place in np.ndindex(2, 3, 6):
        is_open = mask[sample, 0, place]
        if is_open.sum() > 1:
            p = softmax((query[sample, head, place] @ key[sample, head, is_open].T) / 2)
            by_hand.append(-(p * np.log(p)).sum() / math.log(len(p)))
    assert attention_entropy(query, key, mask=mask) == pytest.approx(np.mean(by_hand))
    added = np.where(mask, 0.0, -np.inf)
    assert attention_entropy(query, key, mask=added) == pytest.approx(np.mean(by_hand))


def test_a_causal_attention_has_no_choice_at_first() -> None:
    query, key = RANDOM.normal(size=(2, 4)), RANDOM.normal(size=(2, 4))
    p = softmax(query[1] @ key.T)
    assert attention_entropy(query, key, is_causal=True, scale=1) == pytest.approx(-(p * np.log2(p)).sum())
    assert attention_entropy(query[:1], key[:1], is_causal=True) is None
