"""The plan of the spec that a command is given: a file, or standard input."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from initcfg.plan import plan_reading
from initcfg.spec import read, reads
from initcfg.spec.document import MAX_BYTES

if TYPE_CHECKING:
    from initcfg.plan import Plan

__all__ = ["plan_from"]


def plan_from(file: str) -> Plan:
    """The plan of the spec in `file`; ``-`` is standard input, which is read as YAML.

    Raises:
        SpecError: it cannot be read or is no spec, with every problem that could be found.
    """
    if file != "-":
        return plan_reading(read(file))
    return plan_reading(reads(sys.stdin.buffer.read(MAX_BYTES + 1), file="<stdin>"))
