"""Memory that a module's parameters share with each other, or with its buffers, without being one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.adapters.torch.stretches import overlapping, stretch_of
from initcfg.errors import Code, Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch

    from initcfg.adapters.torch.held import Held
    from initcfg.adapters.torch.stretches import Stretch

__all__ = ["sharing_problems"]


def sharing_problems(
    made: Iterable[Held], skipped: Iterable[Held], buffers: Iterable[tuple[str, torch.Tensor]], model: str
) -> Iterator[Diagnostic]:
    """One for each pair of which one cannot be made without the other, told by names.

    Args:
        made: the parameters that are to be made.
        skipped: those that are to stay as they are.
        buffers: these are to stay too.
        model: what messages call the module.
    """
    named: dict[Stretch, tuple[str, str]] = {}
    for kind, tensors in (
        ("made", ((held.names[0], held.tensor) for held in made)),
        ("skipped", ((held.names[0], held.tensor) for held in skipped)),
        ("buffer", buffers),
    ):
        for name, tensor in tensors:
            stretch = stretch_of(tensor)
            if stretch is not None:
                named[stretch] = (kind, name)
    for pair in overlapping(named):
        # Those that are made come first.
        (kind, name), (other, second) = sorted(
            (named[each] for each in pair), key=lambda each: each[0] != "made"
        )
        if kind == "made":
            yield _PROBLEMS[other](name, second, model)


def _two(name: str, other: str, model: str) -> Diagnostic:
    message = f"{name!r} and {other!r} share memory in {model}, and are not one parameter"
    hint = "give each memory of its own (clone it), or let both names hold one Parameter"
    return Diagnostic(Code.TIED, message, hint=hint)


def _skipped(name: str, other: str, model: str) -> Diagnostic:
    message = f"{name!r} shares memory in {model} with {other!r}, which the plan skips"
    return Diagnostic(Code.TIED, message, hint="give each memory of its own (clone it), or skip both")


def _buffer(name: str, other: str, model: str) -> Diagnostic:
    message = f"the parameter {name!r} shares memory in {model} with the buffer {other!r}, which is to stay"
    return Diagnostic(Code.TIED, message, hint="register a clone as the buffer")


_PROBLEMS = {"made": _two, "skipped": _skipped, "buffer": _buffer}
