"""What a plan holds that was perhaps not meant: one small function a warning, and one table of them."""

from __future__ import annotations

from initcfg.checks.run import CHECKS, check_plan

__all__ = ["CHECKS", "check_plan"]
