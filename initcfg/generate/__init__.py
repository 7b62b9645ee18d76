"""From a plan to values: arrays in memory, or a file written as a stream."""

from __future__ import annotations

from initcfg.generate.files import Written, write
from initcfg.generate.memory import materialize
from initcfg.generate.pool import Progress, available_cpus

__all__ = ["Progress", "Written", "available_cpus", "materialize", "write"]
