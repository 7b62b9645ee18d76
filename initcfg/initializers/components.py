"""What a parameter's law is made of: its parts, the law of each, and what their elements come to."""

from __future__ import annotations

import dataclasses
import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from initcfg.distributions import Distribution, Mixture, Summary, moments, point, support
from initcfg.initializers.base import BuiltIn, Combined, Structured, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.initializers.base import Share
    from initcfg.initializers.custom import Initializer
    from initcfg.initializers.formulas import Formula, Scaled
    from initcfg.layout import Layout

#: Of what has more different values, they are not listed.
_MOST_ATOMS = 8

Box = tuple[range, ...]


@dataclass(frozen=True)
class Component:
    """What one initializer makes: a whole parameter, or a part of a combined one.

    Args:
        shares: which part it is, of which part, and so on; empty for a whole parameter.
        shape: of this part.
        layout: of this shape, or None.
        initializer: one that is not combined of others.
        distribution: the law of every element, or None for a structured or a custom initializer.

    Example:
        >>> from initcfg.initializers import Patch, RandomNormal
        >>> law = Patch(RandomNormal(0, 0.02), [{"at": [0], "initializer": "zeros"}])
        >>> [(each.distribution, each.box((10, 4))) for each in components_of(law, (10, 4), None)][1]
        (Fill(value=0), (range(0, 1), range(0, 4)))
    """

    shares: tuple[Share, ...]
    shape: tuple[int, ...]
    layout: Layout | None
    initializer: Initializer
    distribution: Distribution | None

    @property
    def is_random(self) -> bool:
        """Whether random numbers enter; what custom code does is not known, and does not count."""
        if self.distribution is not None:
            return point(self.distribution) is None
        built = self.built
        return built is not None and hasattr(self.drawn, "seed") and getattr(self.drawn, "gain", 1) != 0

    @property
    def drawn(self) -> Initializer:
        """The initializer that draws: of a formula over a draw, or of what is scaled, the one inside."""
        made: Initializer | None = getattr(self.built, "unscaled", self.built)
        return getattr(made, "of", None) or made or self.initializer

    @property
    def formula(self) -> Formula | None:
        """What its elements are values of, if that is an expression; a recipe of one has it as such."""
        if self.distribution is not None or self.built is None:
            return None
        made = getattr(self.built, "formula", self.built)
        return cast("Formula", made) if hasattr(made, "points") else None

    @property
    def mixture(self) -> Mixture:
        """The laws that single elements have, each with the share of the elements that it has them of.

        Of orthogonal matrices they are near ones; there are none where they are not known.
        """
        if self.distribution is not None:
            return ((1.0, self.distribution),)
        return () if self.built is None else self.built.element_laws(self.shape, self.layout)

    @property
    def built(self) -> Structured | None:
        """The initializer, if it is a structured one, and neither custom code nor a multiple of such."""
        made = self.initializer
        if not isinstance(made, Structured) or type(made).__call__ is not BuiltIn.__call__:
            return None
        return made if type(getattr(made, "unscaled", made)).__call__ is BuiltIn.__call__ else None

    @property
    def path(self) -> tuple[str, ...]:
        """The labels of the streams that lead from the parameter's to the one that it draws from."""
        return tuple(share.label for share in self.shares if share.label is not None)

    def box(self, whole: tuple[int, ...]) -> Box:
        """The positions of the parameter that it lies in, a range an axis; others may lie over it."""
        box = tuple(map(range, self.shape))
        shapes = (whole, *(share.shape for share in self.shares))
        for outer, share in zip(reversed(shapes[:-1]), reversed(self.shares), strict=True):
            box = _placed(box, share, outer)
        return box

    def summary(self) -> Summary | None:
        """Mean, standard deviation, bounds and atoms of the elements; None where nothing is known of them."""
        if 0 in self.shape:
            return None
        if self.formula is not None:
            return _spread(self.formula, self.shape, self.layout)
        return _summary(tuple(self.mixture), is_exact=self.distribution is not None)


def _spread(formula: Formula, shape: tuple[int, ...], layout: Layout | None) -> Summary:
    """As `Formula.spread`; the copies of a layer share it, where the draw has a law of its own."""
    if formula.of is None or resolve(formula.of, shape, layout) is not None:
        with suppress(TypeError):  # what cannot be hashed, of a subclass
            return _shared_spread(formula, shape, layout)
    return formula.spread(shape, layout)


@lru_cache(maxsize=256)
def _shared_spread(formula: Formula, shape: tuple[int, ...], layout: Layout | None) -> Summary:
    return formula.spread(shape, layout)


def _summary(mixture: Sequence[tuple[float, Distribution]], *, is_exact: bool) -> Summary | None:
    if not mixture:
        return None
    parts = [(share, law, moments(law), *support(law)) for share, law in mixture if share]
    mean = sum(share * each.mean for share, _, each, *_ in parts)
    variance = sum(share * (each.std**2 + (each.mean - mean) ** 2) for share, _, each, *_ in parts)
    atoms: dict[float, float] = {}
    for share, law, *_ in parts:
        value = point(law)
        if value is not None:
            atoms[float(value)] = atoms.get(float(value), 0.0) + share
    return Summary(
        mean,
        parts[0][2].std if len(parts) == 1 else math.sqrt(variance),
        min(low for *_, low, _ in parts),
        max(high for *_, high in parts),
        tuple(sorted(atoms.items())) if len(atoms) <= _MOST_ATOMS else (),
        is_exact,
    )


def components_of(
    initializer: Initializer,
    shape: tuple[int, ...],
    layout: Layout | None,
    shares: tuple[Share, ...] = (),
) -> Iterator[Component]:
    """The parts that an initializer is combined of, in the order in which they lie over each other."""
    if isinstance(initializer, Combined):
        for part, share in initializer.parts(shape, layout):
            yield from components_of(part, share.shape, share.layout, (*shares, share))
    elif isinstance(getattr(initializer, "unscaled", None), Combined):
        scaled = cast("Scaled", initializer)
        for each in components_of(scaled.of, shape, layout, shares):
            its = type(scaled)(each.initializer, scaled.factor)
            law = resolve(its, each.shape, each.layout)
            yield dataclasses.replace(each, initializer=its, distribution=law)
    else:
        yield Component(shares, shape, layout, initializer, resolve(initializer, shape, layout))


def weights_of(boxes: Sequence[Box], numel: int) -> list[float]:
    """The share of an array's elements that each of some boxes has, where later ones lie over earlier ones.

    Example:
        >>> weights_of([(range(4),), (range(1),), (range(3, 4),)], 4)
        [0.5, 0.25, 0.25]
    """
    return [_seen(box, boxes[rank + 1 :]) / numel if numel else 0.0 for rank, box in enumerate(boxes)]


def _seen(box: Box, over: Sequence[Box]) -> int:
    """How many positions of a box no later one has."""
    count = math.prod(map(len, box))
    for rank, other in enumerate(over):
        both = tuple(
            range(max(one.start, two.start), min(one.stop, two.stop))
            for one, two in zip(box, other, strict=True)
        )
        if all(both):
            count -= _seen(both, over[rank + 1 :])
    return count


def _placed(box: Box, share: Share, whole: tuple[int, ...]) -> Box:
    """A box of a part, as positions of what it is a part of."""
    rest = list(zip(box, share.shape, strict=True))
    placed = []
    for axis, outer in enumerate(share.box):
        is_left_out = len(rest) < len(whole) - axis and len(outer) == 1 and (not rest or rest[0][1] != 1)
        if is_left_out or not rest:
            placed.append(outer)
            continue
        inner, size = rest.pop(0)
        times = len(outer) // size if size else 1  # above 1 where each position is repeated
        placed.append(range(outer.start + inner.start * times, outer.start + inner.stop * times))
    return tuple(placed)
