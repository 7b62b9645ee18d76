"""Weights held against the plan that should have made them: made again and compared."""

from __future__ import annotations

from initcfg.verification.checking import Verification, verify, verify_weights
from initcfg.verification.comparing import TOLERANCE

__all__ = ["TOLERANCE", "Verification", "verify", "verify_weights"]
