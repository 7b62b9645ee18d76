"""The law that a program's values follow, composed of its writes; what has none is named."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from initcfg.adapters.torch.programs import (
    Hole,
    Node,
    Read,
    behind,
    beyond,
    box_of,
    dtype_of,
    entries_of,
    intersection,
    is_open,
    law_of_tensor,
    reads_in,
    rest_of,
    within,
)
from initcfg.capture.laws import affine, combined, constant, expression_of, function_of, of_parts, shortest
from initcfg.capture.values import Table, UnsayableError
from initcfg.initializers import (
    Concatenate,
    Constant,
    Formula,
    Initializer,
    Ones,
    Orthogonal,
    Patch,
    RandomNormal,
    RandomUniform,
    Sparse,
    TruncNormal,
    Zeros,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from initcfg.capture.values import Box

_SAME = frozenset({"copy", "clone", "to_copy", "detach", "contiguous", "lift_fresh", "alias"})
_NAMES = ("exp", "log", "sqrt", "tanh", "sin", "cos", "abs", "expm1", "log1p")
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_UNARY = {name: f"{name}({{}})" for name in _NAMES} | {"reciprocal": "1 / {}"}
# torch's own names of draws: parameters with their defaults.
_DRAWS = {
    "normal": (0.0, 1.0),
    "uniform": (0.0, 1.0),
    **dict.fromkeys(("randn", "randn_like", "rand", "rand_like"), (0.0, 1.0)),
}


@dataclass(frozen=True, slots=True)
class Draws:
    """A law with the random nodes whose values it holds, each at most once, and what nothing wrote."""

    law: Initializer | Table | None
    drawn: tuple[Node, ...] = ()
    #: Whether each element has the same law whatever its place, so that a view of it has too.
    is_even: bool = False
    unwritten: tuple[Box, ...] = ()
    #: Whether values may have been moved away from where they were drawn.
    is_moved: bool = False


def law_of(read: Read) -> Draws:
    """The law of values; an UnsayableError where there is none in the language."""
    law = _composed(read)
    if not read.is_joined or (law.law is not None and not law.drawn):
        return law
    joined = None if law.law is None else of_parts(law.law)
    return replace(law, law=joined, unwritten=tuple(box[:-1] for box in law.unwritten))


def _composed(read: Read) -> Draws:
    nodes = behind(read)
    if not any(node.is_random for node in nodes) and (
        not any(node.is_empty for node in nodes) or read.is_filled()
    ):
        return _fixed(read)
    frame = read.frame
    here = box_of(frame, read.geometry)
    patches: list[tuple[Box, Draws]] = []
    at_home: set[Node] = set()  # draws whose parts were computed in place
    for geometry, node, output in reversed(read.writes):
        there = box_of(frame, geometry)
        if here is None or there is None:
            if geometry == read.geometry and not patches:
                return _of_node(node, output)
            raise UnsayableError("elements that are no block of it, as a diagonal, are written apart", node)
        both = intersection(here, there)
        if both is None or any(intersection(both, box) == both for box, _ in patches):
            continue
        law = _of_node(node, output)
        law = replace(law, is_moved=law.is_moved or geometry != read.geometry)
        if both != there or (geometry.size != read.geometry.size and both == here):
            law = _seen_as(law, node)
        if both == here:
            shape = tuple(stop - start for start, stop in here)
            inside = [(within(box, here), each) for box, each in patches]
            return _patched(law, inside, shape, node, at_home)
        if law.unwritten:
            raise UnsayableError("a part of it holds what its memory held before", node)
        later = [within(each, both) for box, _ in patches if (each := intersection(both, box))]
        if any(each.memory is read.memory and each.geometry == geometry for each in reads_in(node.args)):
            at_home.update(law.drawn)
        left = list(rest_of(later, tuple(stop - start for start, stop in both)))
        patches += [(beyond(box, both), _seen_as(law, node) if later else law) for box in left]
    raise UnsayableError("nothing writes it")


def _seen_as(law: Draws, node: Node) -> Draws:
    if law.unwritten and law.law is None:
        return law
    if not law.is_even:
        raise UnsayableError("it is a part of other values, or these in another order", node)
    return law


def _patched(
    base: Draws, patches: list[tuple[Box, Draws]], shape: tuple[int, ...], node: Node, at_home: set[Node]
) -> Draws:
    if not patches:
        if base.law is None:
            return replace(base, unwritten=(tuple((0, size) for size in shape),))
        return base
    if base.law is None:
        covered = sum(math.prod(stop - start for start, stop in box) for box, _ in patches)
        left = () if covered == math.prod(shape) else (tuple((0, size) for size in shape),)
        if left:
            return Draws(None, unwritten=tuple(rest_of([box for box, _ in patches], shape)))
        return _side_by_side(patches, shape, node, at_home)
    drawn = _apart([base, *(law for _, law in patches)], node, at_home)
    if all(law.is_even and law.law == base.law for _, law in patches):
        return replace(base, drawn=drawn)
    if isinstance(base.law, Table) or any(isinstance(law.law, Table) for _, law in patches):
        raise UnsayableError("a table is a part of it", node)
    regions = [
        {"at": entries_of(box, shape), "initializer": law.law}
        for box, law in sorted(patches, key=lambda each: each[0])
    ]
    return Draws(Patch(base.law, regions), drawn)


def _side_by_side(
    parts: list[tuple[Box, Draws]], shape: tuple[int, ...], node: Node, at_home: set[Node]
) -> Draws:
    parts = sorted(parts, key=lambda each: each[0])
    drawn = _apart([law for _, law in parts], node, at_home)
    laws = [law.law for _, law in parts]
    if all(law.is_even and law.law == laws[0] for _, law in parts):
        return Draws(laws[0], drawn, is_even=True)
    cut = [axis for axis, size in enumerate(shape) if any(box[axis] != (0, size) for box, _ in parts)]
    if len(cut) != 1 or any(isinstance(law, Table) for law in laws):
        raise UnsayableError("its parts do not lie along one axis", node)
    sizes = [box[cut[0]][1] - box[cut[0]][0] for box, _ in parts]
    return Draws(Concatenate(cut[0], sizes, laws), drawn)  # type: ignore[arg-type]


def _apart(laws: list[Draws], node: Node, at_home: Collection[Node] = ()) -> tuple[Node, ...]:
    """The draws that parts hold; an error where a draw is in two parts, and not in place in both."""
    drawn = [each for law in laws for each in dict.fromkeys(law.drawn)]
    if any(count > 1 and each not in at_home for each, count in Counter(drawn).items()):
        raise UnsayableError("one draw is there several times", node)
    return tuple(dict.fromkeys(drawn))


# One node.


def _of_node(node: Node, output: int) -> Draws:  # noqa: PLR0911  a list of cases
    args = [
        each[output] if isinstance(each, list) and "_foreach_" in str(node.op) else each for each in node.args
    ]
    name = node.name
    if node.is_empty:
        return Draws(None, unwritten=((),))
    if not node.is_random and not any(is_open(each) for each in (*args, *node.kwargs.values())):
        return _fixed_node(node, output, args)
    given = (*args, *node.kwargs.values())
    if not all(math.isfinite(each) for each in given if isinstance(each, float)):
        raise UnsayableError(f"{node.write.call} is made of infinities or NaN, which no spec holds", node)
    if (node.is_random and node.values is None) or name in _DRAWS:
        return _drawn(node, name, args)
    if _is_mixed(node):
        raise UnsayableError(f"{node.write.call} of random values, some of them complex numbers", node)
    first = next((each for each in args if isinstance(each, Read)), None)
    if name in _SAME:
        source: Read = args[1] if name == "copy" else args[0]
        law = law_of(source)
        if name == "copy" and source.size != args[0].size:
            raise UnsayableError("one draw is there several times", node)
        return law
    if name in ("cat", "stack") and isinstance(node.args[0], list | tuple):
        return _joined(node, name)
    if first is None:
        raise UnsayableError(f"{node.write.call} has no law", node)
    if name == "constant_pad_nd":
        return _padded(first, args[1], float(args[2]) if len(args) > 2 else 0.0, node)
    if name == "where" or len(list(args)) > 3:
        raise UnsayableError(f"{node.write.call} of random values", node)
    return _computed(node, name, args)


_OF_COMPLEX = _SAME | {"mul", "div", "neg", "cat", "stack", "view_as_real", "conj_physical"}


def _is_mixed(node: Node) -> bool:
    """Whether it makes complex numbers of random real ones, or of complex ones what has another law."""
    kinds = [each.dtype.is_complex for each in reads_in((node.args, node.kwargs)) if is_open(each)]
    kinds += [each.dtype.is_complex for each in node.args if isinstance(each, Hole)]
    kinds += [each.is_complex for each in node.kwargs.values() if isinstance(each, torch.dtype)]
    return any(kinds) and not (all(kinds) and node.name in _OF_COMPLEX)


def _drawn(node: Node, name: str, args: list[Any]) -> Draws:
    numbers = [float(each) for each in args if isinstance(each, int | float) and not isinstance(each, bool)]
    if name in ("randn", "rand", "randn_like", "rand_like"):
        numbers = []
    law: Initializer
    match name:
        case "trunc_normal":
            law = TruncNormal(*numbers[:4])  # type: ignore[arg-type]
        case "orthogonal":
            return Draws(Orthogonal(numbers[0]), (node,))
        case "sparse":
            return Draws(Sparse(numbers[0], numbers[1]), (node,))
        case _ if name in _DRAWS and not any(isinstance(each, Read) for each in args):
            for key, at in (("mean", 0), ("from", 0), ("std", 1), ("to", 1)):
                if isinstance(node.kwargs.get(key), int | float):
                    numbers[at:] = [float(node.kwargs[key]), *numbers[at + 1 :]]
            one, other = (*numbers, *_DRAWS[name][len(numbers) :])
            normal = name in ("normal", "randn", "randn_like")
            law = RandomNormal(one, other) if normal else RandomUniform(one, other)
        case _:
            raise UnsayableError(f"{node.write.call} has no initializer", node)
    return Draws(law, (node,), is_even=True)


def _joined(node: Node, name: str) -> Draws:
    laws = [law_of(each) for each in node.args[0]]
    drawn = _apart(laws, node)
    if all(law.is_even and law.law == laws[0].law for law in laws):
        return Draws(laws[0].law, drawn, is_even=True, is_moved=True)
    if name != "cat" or any(law.law is None or isinstance(law.law, Table) for law in laws):
        raise UnsayableError(f"{name} of different laws", node)
    axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    sizes = [each.size[axis] for each in node.args[0]]
    return Draws(Concatenate(axis, sizes, [law.law for law in laws]), drawn)  # type: ignore[misc]


def _padded(source: Read, widths: list[int], value: float, node: Node) -> Draws:
    """Values with others around them along one axis."""
    law, shape = law_of(source), source.size
    pairs = {len(shape) - 1 - at // 2: (widths[at], widths[at + 1]) for at in range(0, len(widths), 2)}
    cut = [axis for axis, pair in pairs.items() if any(pair)]
    if not cut:
        return law
    if len(cut) > 1 or min(pairs[cut[0]]) < 0 or law.law is None or isinstance(law.law, Table):
        raise UnsayableError(f"{node.write.call} of random values", node)
    axis = cut[0]
    before, after = pairs[axis]
    parts = [(before, constant(value)), (shape[axis], law.law), (after, constant(value))]
    sizes, laws = zip(*((size, each) for size, each in parts if size), strict=True)
    return Draws(Concatenate(axis, list(sizes), list(laws)), law.drawn)


def _computed(node: Node, name: str, args: list[Any]) -> Draws:
    """An operation of random values with numbers, or with other values of the same draw."""
    laws = [law_of(each) if isinstance(each, Read) and is_open(each) else None for each in args]
    random = [law for law in laws if law is not None]
    if any(law.law is None for law in random):
        return Draws(None, unwritten=((),))
    numbers = [None if law else _number(each) for law, each in zip(laws, args, strict=True)]
    if len(random) == 1 and all(law or number is not None for law, number in zip(laws, numbers, strict=True)):
        made = _of_one(node, name, args, random[0], numbers)
        if made is not None:
            return _changed(random[0], made)
    elif len(random) == 2 and len(args) == 2 and name in _SIGNS and node.kwargs.get("alpha", 1) == 1:
        one, other = random
        same_place = args[0].size == args[1].size and not (one.is_moved or other.is_moved)
        same_draw = one.drawn == other.drawn and len(one.drawn) == 1
        if same_draw and same_place and expression_of(one.law)[1] == expression_of(other.law)[1]:
            return Draws(combined(one.law, _SIGNS[name], other.law), one.drawn, is_even=True)
    elif len(random) == 2 and name == "complex" and random[0].law == random[1].law:
        drawn = _apart(random, node)
        return Draws(of_parts(random[0].law), drawn, is_even=True, is_moved=True)
    raise UnsayableError(f"{node.write.call} of random values", node)


def _of_one(  # noqa: PLR0911  a list of cases
    node: Node, name: str, args: list[Any], random: Draws, numbers: list[float | None]
) -> Initializer | None:
    """The law of one operation of one draw with numbers; None where it has none."""
    law: Any = random.law
    is_first = numbers[0] is None
    own = next(number for number in (*numbers, 0.0) if number is not None) if len(args) == 2 else None
    if own is not None:
        added = own * node.kwargs.get("alpha", 1)
        match name:
            case "mul":
                return affine(law, own)
            case "div" if is_first and own:
                return affine(law, 1 / own, divided=own)
            case "add" if is_first:
                return affine(law, 1.0, added)
            case "sub" if is_first:
                return affine(law, 1.0, -added)
            case "rsub":
                return affine(law, -1.0, own)
            case "pow" if is_first:
                return function_of(law, f"{{}} ** {own!r}")
    if name == "neg":
        return affine(law, -1.0)
    # A normal of complex numbers has mean 0, a square may lie on one side of it.
    if (name, type(law)) in (("conj_physical", RandomNormal), ("view_as_real", RandomUniform)):
        return law  # type: ignore[no-any-return]
    if name == "view_as_real" and isinstance(law, RandomNormal) and not law.mean:
        return affine(law, math.sqrt(0.5))
    if name == "erfinv":
        return _erfinv(law, node)
    if name in ("clamp", "clamp_min", "clamp_max"):
        return _clamped(law, name, args, node)
    return function_of(law, _UNARY[name]) if name in _UNARY and len(args) == 1 else None


def _number(value: Any) -> float | None:
    if isinstance(value, Read) and math.prod(value.size) == 1 and not value.dtype.is_complex:
        number = value.values().reshape(-1)[0]
        return shortest(float(number), dtype_of(number))
    return float(value) if isinstance(value, int | float) else None


def _changed(law: Draws, made: Initializer) -> Draws:
    """The same draws with the law of what is computed of them."""
    if made is law.law:
        return law
    if isinstance(made, Formula) and not law.is_even:
        raise UnsayableError("a function of values whose law depends on their place")
    return replace(law, law=made)


def _erfinv(law: Any, node: Node) -> Initializer:
    """Uniform values through the inverse error function: normal ones, cut off where these end."""
    if not isinstance(law, RandomUniform):
        raise UnsayableError("erfinv of what is not uniform", node)
    ends = [float(law.minval), float(law.maxval)]
    if ends == [-1.0, 1.0]:
        return RandomNormal(0.0, math.sqrt(0.5))
    low, high = torch.erfinv(torch.tensor(ends, dtype=torch.float64)).tolist()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UnsayableError("a normal that is cut off on one side", node)
    return TruncNormal(0.0, math.sqrt(0.5), low, high)


def _clamped(law: Any, name: str, args: list[Any], node: Node) -> Initializer:
    """Values cut at bounds; bounds that they never reach cut nothing."""
    given = dict(zip({"clamp_max": ("max",)}.get(name, ("min", "max")), args[1:], strict=False)) | node.kwargs
    low, high = (_number(given.get(key)) for key in ("min", "max"))
    if isinstance(law, RandomUniform | TruncNormal):
        uniform = isinstance(law, RandomUniform)
        least, most = (float(getattr(law, end)) for end in (("minval", "maxval") if uniform else ("a", "b")))
        slack = 1e-6 * (most - least)
        low = None if low is not None and low <= least + slack else low
        high = None if high is not None and high >= most - slack else high
    text = "{}" if low is None else f"max({{}}, {low!r})"
    text = text if high is None else f"min({text}, {high!r})"
    return law if text == "{}" else function_of(law, text)


# Fixed values.


def _fixed_node(node: Node, output: int, args: list[Any]) -> Draws:
    """What a node writes that draws nothing; values are made only where they are not one number."""
    number = {"zeros": 0.0, "zero": 0.0, "ones": 1.0, "zeros_like": 0.0, "ones_like": 1.0}.get(node.name)
    if node.name in ("fill", "full", "full_like") and len(args) > 1:
        number = _number(args[1])
    if number is not None:
        return Draws(constant(number), (), is_even=True)
    if node.name in _SAME and isinstance(source := args[1 if node.name == "copy" else 0], Read):
        hole = node.args[0]
        if not isinstance(hole, Hole) or hole.size == source.size:
            return law_of(source)
    return Draws(*_told(node.outputs()[output]))


def _fixed(read: Read) -> Draws:
    geometry, node, output = read.writes[-1]
    is_whole = geometry == read.geometry or math.prod(geometry.size) == read.memory.length
    if is_whole and not read.is_joined:
        args = [each[output] if isinstance(each, list) else each for each in node.args]
        if not any(isinstance(each, Read) for each in args):
            law = _fixed_node(node, output, args)
            if law.is_even:
                return law
    return Draws(*_told(read.values()))


def _told(values: torch.Tensor) -> tuple[Initializer | Table, tuple[Node, ...], bool]:
    law = law_of_tensor(values)
    return law, (), isinstance(law, Constant | Zeros | Ones)
