"""How the named initializers of a spec lead to one another: in circles, too deep, or to too many parts."""

from __future__ import annotations

from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code
from initcfg.spec import InitializerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.plan.problems import Path, Problems
    from initcfg.spec import Spec

_MAX_DEPTH = 64
_MAX_PARTS = 10_000
_SHOWN = 6


class Extent(NamedTuple):
    """How deep an initializer is nested, names followed, and of how many initializers it consists."""

    depth: int
    parts: int


def check_references(spec: Spec, problems: Problems) -> dict[str, Extent]:
    """The extent of each named initializer that may be followed; notes what is wrong with the others.

    Linear in the size of the definitions, whatever they lead to.

    Args:
        spec: the document.
        problems: takes circles and definitions that lead too deep or to too many parts.
    """
    references = {
        name: [each for each in _names_in(config) if each in spec.initializers]
        for name, config in spec.initializers.items()
    }
    sorter = TopologicalSorter(references)
    # Circles stop the sorter only where they are: what does not lead into one comes all the same.
    with suppress(CycleError):
        sorter.prepare()
    extents: dict[str, Extent] = {}
    stuck = dict(references)
    while ready := sorter.get_ready():
        for name in ready:
            sorter.done(name)
            del stuck[name]
            if all(each in extents for each in references[name]):
                extent = extent_of(spec.initializers[name], extents)
                if _fits(extent, ("initializers", name), problems):
                    extents[name] = extent
    for circle in _circles(stuck):
        _report(circle, problems)
    return extents


def extent_of(config: InitializerConfig, extents: Mapping[str, Extent]) -> Extent:
    """The extent of an initializer.

    Args:
        config: the initializer.
        extents: of the named initializers that may be followed; any other name counts as a built-in.
    """
    inner = [extent_of(nested, extents) for nested, _ in nested_in(config, ())]
    named = extents.get(config.lookup_name)
    if named is not None:
        inner.append(named)
    depth = 1 + max((each.depth for each in inner), default=0)
    return Extent(depth, 1 + sum(each.parts for each in inner))


def check_extent(
    config: InitializerConfig, path: Path, extents: Mapping[str, Extent], problems: Problems
) -> bool:
    """Whether an initializer is small enough to be built; notes it where it is not."""
    return _fits(extent_of(config, extents), path, problems)


def nested_in(config: InitializerConfig, path: Path) -> Iterator[tuple[InitializerConfig, Path]]:
    """The initializers that a config holds as arguments, with their places."""
    place = config.arguments_path(path)
    for name, written in config.config.items():
        if isinstance(written, InitializerConfig):
            yield written, (*place, name)
        elif isinstance(written, tuple):
            for at, item in enumerate(written):
                if isinstance(item, InitializerConfig):
                    yield item, (*place, name, at)


def _fits(extent: Extent, path: Path, problems: Problems) -> bool:
    if extent.depth > _MAX_DEPTH:
        message = f"names followed, this initializer is nested deeper than {_MAX_DEPTH} levels"
        problems.add(problems.error(Code.TOO_DEEP, message, path))
    elif extent.parts > _MAX_PARTS:
        message = f"names followed, this initializer consists of more than {_MAX_PARTS:,} initializers"
        problems.add(problems.error(Code.TOO_LARGE, message, path))
    return extent.depth <= _MAX_DEPTH and extent.parts <= _MAX_PARTS


def _names_in(config: InitializerConfig) -> Iterator[str]:
    yield config.lookup_name
    for nested, _ in nested_in(config, ()):
        yield from _names_in(nested)


def _circles(stuck: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Circles among names of which each leads to another of them: the first way on is followed from each."""
    seen: set[str] = set()
    for start in stuck:
        trail: dict[str, None] = {}
        name = start
        while name not in seen:
            seen.add(name)
            trail[name] = None
            name = next(each for each in stuck[name] if each in stuck)
        if name in trail:
            names = list(trail)
            yield names[names.index(name) :]


def _report(circle: list[str], problems: Problems) -> None:
    shown = circle if len(circle) <= _SHOWN else [*circle[: _SHOWN - 1], "...", circle[-1]]
    message = f"these initializers are defined by each other: {' -> '.join([*shown, circle[0]])}"
    path = ("initializers", circle[0])
    problems.add(problems.error(Code.INITIALIZER_CYCLE, message, path, key=True))
