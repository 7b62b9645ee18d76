"""The values between recording a model's initialization and what is made of it: a spec, an audit.

An adapter runs a model's code and gives one `Recorded` for each parameter and buffer. Nothing here knows a
framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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


class UnsayableError(Exception):
    """A law that cannot be said: the reason, and the recorded step behind it if one is known."""

    def __init__(self, reason: str, node: Any = None) -> None:
        super().__init__(reason)
        self.node = node


#: What a parameter's values follow: what a spec can say, fixed values, or the reason why neither.
Law: TypeAlias = "Initializer | Table | Unsaid"
#: A part of a shape: the first index and the one after the last, for each axis.
Box: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of one parameter or buffer.

    `law` is an initializer in the language's own vocabulary (`RandomNormal(0.0, 0.02)`, `Patch(...)`,
    `NormOf(...)`), exact but for the parameter's dtype; a table of fixed values; or the reason why there is
    none. `writes` are those that the final values come from, in order. `unwritten` are the boxes of it that
    hold what the memory held before, and `made` is the line that took that memory. `layout` is its own in
    letters, where it is not that of the model.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    law: Law
    module: str
    writes: tuple[Write, ...] = ()
    buffer: bool = False
    persistent: bool = True
    tied_to: str | None = None
    unwritten: tuple[Box, ...] = ()
    made: Site | None = None
    layout: str | None = None

    def last_site(self, phase: Phase | None = None) -> Site | None:
        """The line of the last write of a phase, or of any; None where nothing was written then."""
        return next((each.site for each in reversed(self.writes) if phase in (None, each.phase)), None)


@dataclass(frozen=True, slots=True)
class Lost:
    """A write of which nothing is left at the end.

    `law` is that of the elements that it wrote, as they would be without what came later, `now` what they
    have instead, and `by` the write that came over it. Without one the write went to a value computed of the
    parameter, as a parametrized weight is. `first` says that the memory held nothing before: values made for
    a parameter, and not put over others.
    """

    name: str
    write: Write
    law: Law
    now: Law
    by: Write | None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Recording:
    """One way to make a model, recorded: constructed, or meta, ``to_empty`` and the init function.

    `tensors` are parameters and buffers, those too that no checkpoint holds, each under its first name;
    others of the same memory follow with `tied_to`. `ties` are the pairs (name, tied to) as they were when
    the constructor had ended, before any init function. `has_init` says that there is an init function, and
    `pretrained` that the model's class has ``from_pretrained``.
    """

    tensors: tuple[Recorded, ...]
    lost: tuple[Lost, ...] = ()
    ties: tuple[tuple[str, str], ...] = ()
    has_init: bool = False
    pretrained: bool = False
