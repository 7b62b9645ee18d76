"""The maps of the mean field, held against closed forms and against sums over quantiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from initcfg.probe.theory import ACTIVATIONS


@pytest.mark.parametrize("q", [1e-4, 0.3, 1.0, 4.0, 50.0])
def test_the_square_of_relu_is_half_and_that_of_tanh_what_samples_say(q: float) -> None:
    assert ACTIVATIONS["relu"].squares(q) == q / 2
    z = stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000)
    x = math.sqrt(q) * z
    assert ACTIVATIONS["tanh"].squares(q) == pytest.approx(np.square(np.tanh(x)).mean(), rel=1e-4)
    assert ACTIVATIONS["tanh"].slopes(q) == pytest.approx(np.square(1 - np.tanh(x) ** 2).mean(), rel=2e-3)
    gelu = x * special.ndtr(x)
    assert ACTIVATIONS["gelu"].squares(q) == pytest.approx(np.square(gelu).mean(), rel=1e-4)
