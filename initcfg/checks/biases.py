"""Biases and norm scales that begin with random values."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from initcfg.checks.findings import Complaint, Finding
from initcfg.globs import Glob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.checks.survey import Survey
    from initcfg.plan import PlannedParameter

__all__ = ["random_biases"]

# Names in small letters, as the libraries and the published models give them.
_SHIFTS = ("**.{bias,*_bias,bias_*,b,beta}",)
_SCALES = (
    "**.{gamma,scale}",
    "**.{*norm*,ln,ln_*,*_ln,ln[0-9]*,bn,bn_*,bn[0-9]*,gn,gn[0-9]*}.{weight,g}",
)


def random_biases(looked_at: Survey) -> Iterator[Finding]:
    """Vectors whose names say that they shift or scale, and that usually begin at 0 or 1."""
    for group in looked_at.groups:
        random = next((piece for piece in group.pieces if piece.is_random), None)
        if random is None or len(group.members[0].shape) != 1:
            continue
        found: dict[tuple[str, str], list[PlannedParameter]] = {}
        for member in group.members:
            kind = _kind(member.name.lower())
            if kind is not None:
                found.setdefault(kind, []).append(member)
        law = type(random.initializer).__name__
        for (noun, usual), members in found.items():
            text = f"a {noun} that begins with random values, from {law}"
            hint = f"use {usual}; or allow random-bias and say why, where the model asks for it"
            yield Finding(random._replace(path=()), tuple(members), Complaint(text, hint))


def _kind(name: str) -> tuple[str, str] | None:
    """What a parameter is by its name, and how one begins."""
    shifts, scales = _globs()
    if any(glob.matches(name) for glob in shifts):
        return "bias", "zeros"
    return ("scale", "ones") if any(glob.matches(name) for glob in scales) else None


@cache
def _globs() -> tuple[tuple[Glob, ...], tuple[Glob, ...]]:
    return tuple(map(Glob, _SHIFTS)), tuple(map(Glob, _SCALES))
