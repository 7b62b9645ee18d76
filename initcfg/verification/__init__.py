"""Weights held against the plan that should have made them: made again and compared."""

from __future__ import annotations

from initcfg.verification.checking import Verification, verify

__all__ = ["Verification", "verify"]
