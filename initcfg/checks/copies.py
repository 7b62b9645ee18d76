"""Parameters that begin with the same random values, or with values in proportion to them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from initcfg.checks.laws import without_idle_bounds
from initcfg.checks.survey import Complaint, Finding
from initcfg.engines.recipe import Draw, prepare
from initcfg.initializers import stream_of
from initcfg.layout import IN_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.checks.survey import Piece, Survey
    from initcfg.plan import PlannedParameter

_Copy = tuple["Piece", "PlannedParameter"]

# Kernels whose values rise with the words that they are made from.
_RISING = ("uniform", "two_sigma", "cut", "inverse")


def identical_values(looked_at: Survey) -> Iterator[Finding]:
    """Pieces of one stream whose values are equal, or rise and fall together."""
    random = [group for group in looked_at.groups if any(piece.is_random for piece in group.pieces)]
    streams = Counter(member.stream.digest for group in random for member in group.members)
    shared = {digest for digest, count in streams.items() if count > 1}
    copies: dict[object, list[_Copy]] = {}
    for group in random:
        for piece in group.pieces:
            for origin, member in _origins(piece, group.members, shared):
                copies.setdefault(origin, []).append((piece, member))
    for same_origin in copies.values():
        if len(same_origin) > 1:
            yield from _findings(same_origin)


def _origins(
    piece: Piece, members: tuple[PlannedParameter, ...], shared: set[bytes]
) -> Iterator[tuple[object, PlannedParameter]]:
    """Where the random numbers of a piece come from, for those members that may have them in common."""
    if not piece.is_random:
        return
    if _seed(piece) is not None:
        # A seed of its own gives a stream that has nothing to do with the parameter's.
        digest = stream_of(piece.initializer, piece.shape, members[0].stream).digest
        for member in members:
            yield (digest, ()), member
    elif shared:
        for member in members:
            if member.stream.digest in shared:
                yield (member.stream.digest, piece.path), member


def _findings(same_origin: list[_Copy]) -> Iterator[Finding]:
    """Those that equal an earlier one, and those in step with one; the members of one piece together."""
    laws: dict[int, tuple[object, object]] = {}
    for piece, _ in same_origin:
        if id(piece) not in laws:
            law = _law(piece)
            laws[id(piece)] = (law, piece.shape, piece.dtype.name), _step(piece, law)
    firsts: dict[object, _Copy] = {}
    others: dict[tuple[int, str], tuple[_Copy, list[_Copy]]] = {}
    for copy in same_origin:
        law, step = laws[id(copy[0])]
        equal, alike = firsts.setdefault(("law", law), copy), firsts.setdefault(("step", step), copy)
        if equal is not copy:
            others.setdefault((id(copy[0]), "the same random values as"), (equal, []))[1].append(copy)
        elif alike is not copy:
            others.setdefault((id(copy[0]), "random values in step with"), (alike, []))[1].append(copy)
    for (_, relation), (first, copies) in others.items():
        piece, member = copies[0]
        complaint = _complaint(piece, member, f"{relation} {first[0].name_in(first[1])}")
        yield Finding(piece, tuple(member for _, member in copies), complaint)


def _law(piece: Piece) -> object:
    """What decides the values beside the stream, the shape and the dtype."""
    if piece.distribution is not None:
        return prepare(without_idle_bounds(piece.distribution, piece.dtype), piece.dtype)
    axes = (piece.layout or IN_OUT).axes(len(piece.shape))
    return type(piece.initializer), repr(piece.initializer), axes


def _step(piece: Piece, law: object) -> object:
    """What pieces of one stream have in common whose values rise and fall together, element by element.

    Location and scale change nothing in that, nor does rounding to a narrow dtype, nor the shape: elements
    are numbered in C order, so the smaller array is in step with the beginning of the larger one.
    """
    if isinstance(law, Draw):
        return "rising" if law.kernel in _RISING else law.kernel, law.arithmetic
    from initcfg.initializers import Orthogonal  # noqa: PLC0415  no class is loaded that no spec names

    if isinstance(piece.initializer, Orthogonal):
        law = Orthogonal, (piece.layout or IN_OUT).axes(len(piece.shape))
    return law, piece.shape, piece.dtype.drawn


def _complaint(piece: Piece, member: PlannedParameter, same: str) -> Complaint:
    seed = _seed(piece)
    if seed is None:
        text = f"{same}, because both draw from the stream {member.stream_name!r}"
        hint = "remove 'stream' or put an index into it, or write tied_to if the two should be one array"
        return Complaint(text, hint)
    shape = "x".join(map(str, piece.shape)) or "()"
    text = f"{same}, because {type(piece.initializer).__name__} with seed {seed} has one stream for {shape}"
    return Complaint(text, "remove the seed: each parameter then draws from a stream of its own")


def _seed(piece: Piece) -> int | None:
    return getattr(piece.initializer, "seed", None)
