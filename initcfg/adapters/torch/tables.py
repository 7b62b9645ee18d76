"""Fixed values as what gives them: a number, a formula, or the table itself."""

from __future__ import annotations

import numpy as np
import torch

from initcfg.capture.values import Table
from initcfg.initializers import Constant, Formula, Initializer, Ones, Zeros


def constant(number: float) -> Initializer:
    """The initializer of one number."""
    return {0.0: Zeros(), 1.0: Ones()}.get(number) or Constant(number)


def law_of_values(values: torch.Tensor) -> Initializer | Table:
    """A constant, a known formula, or the table of fixed values."""
    flat = values.detach().reshape(-1)
    if flat.numel() and bool((flat == flat[0]).all()) and bool(torch.isfinite(flat[0])):
        return constant(shortest(flat[0]))
    found = values.detach()
    exact = found.to(torch.float64) if found.is_floating_point() else found
    table = np.array(exact.numpy())
    return _formula(table, found.dtype) or Table(table)


def _formula(table: np.ndarray, dtype: torch.dtype) -> Initializer | None:  # noqa: PLR0911  a list of cases
    """A formula for values that vary along one axis: a count, a line, powers of a base, logarithms."""
    if table.ndim == 0 or table.dtype.kind not in "fiu" or not np.isfinite(table).all():
        return None
    axis = next((at for at in range(table.ndim) if table.shape[at] == table.size), table.ndim - 1)
    row = np.moveaxis(table, axis, -1).reshape(-1, table.shape[axis])
    if len(row) > 1 and not (row == row[0]).all():
        return None
    x, at = row[0].astype(np.float64), f"index({axis})" if table.ndim > 1 else "index(0)"
    count, n = np.arange(len(x)), len(x)
    if n < 3:
        return None
    error = 4 * (torch.finfo(dtype).eps if dtype.is_floating_point else 0.0)

    def holds(values: np.ndarray) -> bool:
        return bool((np.abs(values - x) <= error * np.maximum(np.abs(values), np.abs(x))).all())

    step, first = _tidy((x[-1] - x[0]) / (n - 1)), _tidy(x[0])
    if holds(first + step * count):
        number = (lambda value: str(int(value))) if dtype.is_floating_point is False else repr
        text = at if step == 1 else f"{number(step)} * {at}"
        return Formula(text if first == 0 else f"{number(first)} + {text}")
    if holds(np.log(count + 1.0)):
        return Formula(f"log({at} + 1)")
    if x[0] == 1 and 0 < x[-1] < 1:
        base = float(_tidy(x[-1] ** (-n / (n - 1))))
        if holds(base ** (-count / n)):
            return Formula(f"{base!r} ** (-{at} / {n})")
    return None


def _tidy(value: float) -> float:
    return float(f"{value:.6g}")


def shortest(value: torch.Tensor) -> float:
    """A number as its dtype's shortest text has it: 1e-06, and not 9.99999997e-07."""
    if value.dtype == torch.float64 or not value.is_floating_point():
        return float(value)
    if value.dtype == torch.float32:
        return float(str(np.float32(value.item())))
    digits = (float(f"{value.item():.{n}g}") for n in range(1, 10))
    return next(each for each in digits if torch.tensor(each, dtype=value.dtype) == value)
