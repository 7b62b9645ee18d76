"""The values between recording a model's initialization and what is made of it: a spec, an audit.

An adapter runs a model's code and gives one `Recorded` for each parameter and buffer. Nothing here knows a
framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

    from initcfg.initializers import Initializer

Phase = Literal["constructor", "init"]


@dataclass(frozen=True, slots=True)
class Site:
    """A line of code: `modeling_gpt2.py:412 in _init_weights`."""

    file: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Write:
    """One write to a parameter, as its code calls it, with the line that made it.

    `inner` is the line that called the framework (often in the framework itself, `linear.py:117`), `site` the
    first line outside of it. `phase` says which code ran: the constructor, or an init function after it.
    """

    call: str
    inner: Site
    site: Site
    phase: Phase


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Fixed values that no formula gives, in the parameter's shape."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A law that a spec cannot say: the reason as a clause, and the line behind it where one is known."""

    reason: str
    site: Site | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of one parameter or buffer.

    `law` is an initializer in the language's own vocabulary (`RandomNormal(0.0, 0.02)`, `Patch(...)`,
    `NormOf(...)`), exact but for the parameter's dtype; a table of fixed values; or the reason why there is
    none. `writes` are those that the final values come from, in order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    law: Initializer | Table | Unsaid
    module: str
    writes: tuple[Write, ...] = ()
    buffer: bool = False
    persistent: bool = True
    tied_to: str | None = None
