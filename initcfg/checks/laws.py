"""What is unusual about the laws of parameters, at their shapes and dtypes: one function a warning."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from initcfg import initializers
from initcfg.checks.survey import Finding
from initcfg.distributions import Distribution, Moments, Normal, TruncatedNormal, Uniform, moments
from initcfg.engines.constants import NORMAL_REACH
from initcfg.engines.recipe import Draw, prepare
from initcfg.globs import Glob
from initcfg.initializers import Elementwise, stream_of
from initcfg.layout import IN_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.checks.survey import Complaint, Piece, Survey
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.plan import PlannedParameter

# Farther bounds change no digit that a warning shows.
_FAR = 50.0


def moments_of(law: Distribution) -> Moments:
    """As `initcfg.distributions.moments`, to nine digits; of a law that can be drawn.

    The slow part, in decimal arithmetic, is shared by truncated normals that are cut in the same way.
    """
    if not isinstance(law, TruncatedNormal) or law.std == 0 or law.low == law.high:
        return moments(law)
    low, high = (float(f"{(bound - law.mean) / law.std:.12g}") for bound in (law.low, law.high))
    left = _standard(max(low, -_FAR), min(high, _FAR))
    return Moments(law.mean + law.std * left.mean, law.std * left.std)


@lru_cache(maxsize=4096)
def _standard(low: float, high: float) -> Moments:
    return moments(TruncatedNormal(0.0, 1.0, low, high))


_NAMED = ("in_out", "out_in")
_MOST_POSITIONS = 1024
_MOST_RATIO = 10


def vector_scaling(piece: Piece) -> Complaint | None:
    """Fans are asked of a shape that has no inputs and outputs to tell apart."""
    if scale_of(piece) is None or piece.fans is None or len(piece.shape) > 1:
        return None
    if getattr(piece.initializer, "input_axes", None) is not None or not has_named_layout(piece):
        return None
    axes = "one axis" if piece.shape else "no axis"
    text = (
        f"{type(piece.initializer).__name__} scales by fans, and a shape with {axes} has them by convention "
        f"only: fan_in = fan_out = {piece.fans.fan_in:,}"
    )
    hint = "use an initializer with a stddev of its own, or zeros or ones, or fans_of: NAME"
    return (text, f"{hint}; layout: I or layout: O says what the axis is" if piece.shape else hint)


def unusual_variance(piece: Piece) -> Complaint | None:
    """A layer of such weights makes a signal more than ten times larger or smaller, in variance.

    LeCun's variance of 1 / fan_in keeps the size of a signal. An initializer that scales by fans itself is
    judged by its scale: which fan it follows is its scheme.
    """
    law, fans = piece.distribution, piece.fans
    if fans is None or not piece.is_random or piece.is_vector or _reads_copies(piece):
        return None
    if not fans.fan_in:  # those of an empty sibling
        return None
    std = moments_of(law).std if law is not None else piece.formula_std
    if std is None:
        return None
    hint = "use lecun_normal or he_normal; or allow unusual-variance and say why, as for an embedding"
    scale = scale_of(piece)
    if scale is not None:
        text = f"a scale of {scale:.3g} gives {_spread(law, std)}, where 1 gives {std * scale**-0.5:.3g}"
        return None if _is_usual(scale) else (text, hint)
    ratio = fans.fan_in * std * std
    text = (
        f"{_spread(law, std)}, where LeCun's for a fan_in of {fans.fan_in:,} is {fans.fan_in**-0.5:.3g}: "
        f"outputs have {ratio:.3g} times the variance of inputs"
    )
    return None if _is_usual(ratio) else (text, hint)


def large_receptive_field(piece: Piece) -> Complaint | None:
    """More axes than two under a named layout, which takes them for those of a convolution."""
    if not piece.is_random or piece.fans is None or not _reads_copies(piece):
        return None
    layout = str(piece.layout)
    positions = _positions(piece)
    letters = "B" * (len(piece.shape) - 2) + ("IO" if layout == "in_out" else "OI")
    text = (
        f"layout {layout} reads the shape {piece.shape} as a convolution over {positions:,} positions, so "
        f"that fan_in is {piece.fans.fan_in:,}"
    )
    return (text, f"letters say what each axis is: stacked matrices have layout: {letters}")


def _is_usual(ratio: float) -> bool:
    """Whether a variance is within a factor of ten of what it should be."""
    return 1 <= ratio * _MOST_RATIO <= _MOST_RATIO**2


def scale_of(piece: Piece) -> float | None:
    """The variance times a fan, where the initializer scales by one."""
    return piece.initializer.variance_times_fan if isinstance(piece.initializer, Elementwise) else None


def has_named_layout(piece: Piece) -> bool:
    """Whether the layout leaves the roles of some axes to a convention, and the fans are not another's."""
    return piece.layout is None or (piece.layout.name in _NAMED and piece.layout.given is None)


def _reads_copies(piece: Piece) -> bool:
    """Whether the receptive field is so large that it is hardly one, and the fans hardly fans."""
    if piece.layout is None or len(piece.shape) < 3:
        return False
    return has_named_layout(piece) and _positions(piece) > _MOST_POSITIONS


def _positions(piece: Piece) -> int:
    assert piece.layout is not None  # noqa: S101
    return math.prod(piece.shape[axis] for axis in piece.layout.axes(len(piece.shape)).receptive)


def _spread(law: Distribution | None, std: float) -> str:
    """The numbers that a person wrote, and the standard deviation where that was none of them."""
    if not isinstance(law, Uniform):
        return f"a std of {std:.3g}"
    bounds = f"±{law.high:.3g}" if law.low == -law.high else f"{law.low:.3g} and {law.high:.3g}"
    return f"bounds of {bounds}, a std of {std:.3g}"


def idle_truncation(piece: Piece) -> Complaint | None:
    """Both bounds lie beyond the farthest number that a normal draw can be."""
    law = piece.distribution
    if not isinstance(law, TruncatedNormal) or not piece.is_random or not _is_idle(law, piece.dtype):
        return None
    reach = NORMAL_REACH[piece.dtype.drawn or "float32"]
    text = (
        f"the bounds {law.low:.4g} and {law.high:.4g} cut nothing: with std {law.std:.4g} the farthest draw "
        f"is {reach * law.std:.4g} from the mean {law.mean:.4g}, {reach:.4g} standard deviations"
    )
    if isinstance(piece.initializer, initializers.TruncNormal):
        return (text, "'a' and 'b' are values, as PyTorch has them; or use random_normal")
    return (text, "'low' and 'high' count in units of stddev, such as -2 and 2; or use random_normal")


def without_idle_bounds(law: Distribution, dtype: DType) -> Distribution:
    """A law that gives the same draws: a normal, where a truncated one cuts nothing."""
    if isinstance(law, TruncatedNormal) and _is_idle(law, dtype):
        return Normal(law.mean, law.std)
    return law


def _is_idle(law: TruncatedNormal, dtype: DType) -> bool:
    """As the engines decide whether to draw from a plain normal."""
    reach = NORMAL_REACH[dtype.drawn or "float32"] * law.std
    return min(law.mean - law.low, law.high - law.mean) >= reach


# Names in small letters, as the libraries and the published models give them.
_SHIFTS = ("**.{bias,*_bias,bias_*,b,beta}",)
_SCALES = (
    "**.{gamma,scale}",
    "**.{*norm*,ln,ln_*,*_ln,ln[0-9]*,bn,bn_*,bn[0-9]*,gn,gn[0-9]*}.{weight,g}",
)


def random_biases(looked_at: Survey) -> Iterator[Finding]:
    """Vectors whose names say that they shift or scale, and that usually begin at 0 or 1."""
    for group in looked_at.groups:
        # A formula over a draw says on purpose what it begins with.
        plain = (piece for piece in group.pieces if piece.drawn is piece.initializer)
        random = next((piece for piece in plain if piece.is_random), None)
        if random is None or len(group.members[0].shape) != 1:
            continue
        found: dict[tuple[str, str], list[PlannedParameter]] = {}
        for member in group.members:
            # Who gives a bias the fans of its weight wants it to be drawn.
            kind = vector_kind(member.name) if member.fans_of is None else None
            if kind is not None:
                found.setdefault(kind, []).append(member)
        law = type(random.initializer).__name__
        for (noun, usual), members in found.items():
            text = f"a {noun} with random values, from {law}"
            hint = f"use {usual}; or allow random-bias and say why, where the model asks for it"
            yield Finding(dataclasses.replace(random, shares=()), tuple(members), (text, hint))


def vector_kind(name: str) -> tuple[str, str] | None:
    """What a vector is by its name, and how one begins; None where the name does not tell."""
    # No pattern looks at more than two segments, and a name may have thousands.
    name = ".".join(name.lower().rsplit(".", 2)[-2:])
    shifts, scales = _globs()
    if any(glob.matches(name) for glob in shifts):
        return "bias", "zeros"
    return ("scale", "ones") if any(glob.matches(name) for glob in scales) else None


@cache
def _globs() -> tuple[tuple[Glob, ...], tuple[Glob, ...]]:
    return tuple(map(Glob, _SHIFTS)), tuple(map(Glob, _SCALES))


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
        digest = stream_of(piece.drawn, piece.shape, members[0].stream).digest
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
    has_axes = piece.fans is not None and len(piece.shape) > 1
    axes = (piece.layout or IN_OUT).axes(len(piece.shape)) if has_axes else None
    return type(piece.initializer), repr(piece.initializer), axes


def _step(piece: Piece, law: object) -> object:
    """What pieces of one stream have in common whose values rise and fall together, element by element.

    Location and scale change nothing in that, nor does rounding to a narrow dtype, nor the shape: elements
    are numbered in C order, so the smaller array is in step with the beginning of the larger one.
    """
    if isinstance(law, Draw):
        return "rising" if law.kernel in _RISING else law.kernel, law.arithmetic
    unscaled = getattr(piece.initializer, "unscaled", None) or piece.initializer
    if isinstance(unscaled, initializers.Orthogonal):
        law = initializers.Orthogonal, (piece.layout or IN_OUT).axes(len(piece.shape))
    return law, piece.shape, piece.dtype.drawn


def _complaint(piece: Piece, member: PlannedParameter, same: str) -> Complaint:
    seed = _seed(piece)
    if seed is None:
        text = f"{same}, because both draw from the stream {member.stream_name!r}"
        hint = "remove 'stream' or put an index into it, or write tied_to if the two should be one array"
        return text, hint
    shape = "x".join(map(str, piece.shape)) or "()"
    text = f"{same}, because {type(piece.drawn).__name__} with seed {seed} has one stream for {shape}"
    return (text, "remove the seed: each parameter then draws from a stream of its own")


def _seed(piece: Piece) -> int | None:
    return getattr(piece.drawn, "seed", None)
