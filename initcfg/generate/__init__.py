"""From a plan to values: arrays in memory, or a file written as a stream.

Names are looked up when first used: a spec is checked without numpy, which making values needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.process import load

if TYPE_CHECKING:
    from initcfg.generate.files import Written, write
    from initcfg.generate.memory import materialize
    from initcfg.generate.pool import Progress, available_cpus

__all__ = ["Progress", "Written", "available_cpus", "materialize", "write"]

_HOMES = {
    "Progress": "pool",
    "Written": "files",
    "available_cpus": "pool",
    "materialize": "memory",
    "write": "files",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(load(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
