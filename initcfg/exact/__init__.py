"""Real functions in decimal arithmetic, rounded once to float64: the same number on every machine.

The C library's ``exp``, ``log`` and ``pow`` differ in the last bit between systems, so nothing that ends up
in a weight may come from them. Here each function is evaluated to 50 digits and more, and rounded once.
"""

from __future__ import annotations

from initcfg.exact.elementary import exp, log, log2, power
from initcfg.exact.normal import Truncation, erf, erfc, normal_cdf, truncation

__all__ = ["Truncation", "erf", "erfc", "exp", "log", "log2", "normal_cdf", "power", "truncation"]
