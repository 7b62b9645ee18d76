"""Weights described: what a file or a sharded set holds, and what its values come to."""

from __future__ import annotations

from initcfg.inspection.moments import Moments, merged, moments_of
from initcfg.inspection.surveying import Inspection, inspect

__all__ = ["Inspection", "Moments", "inspect", "merged", "moments_of"]
