"""The mean squares that theory expects, followed from function to function while a module runs.

A tensor that a known function gives is expected to have a mean square that follows from those of its
arguments and from the laws of the weights; `initcfg.probe.theory` has the maps and their sources. Theory
does not cover some functions, such as attention: there the measured mean square is taken where the next
weight is applied, and the block is marked `starts_inside`.
Backwards the same factors are gone through from the measured gradient of the last block.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from initcfg.adapters.torch.batches import first_tensor
from initcfg.probe.theory import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.probe.passes import Place

_VIEWS = frozenset(
    (
        "view",
        "reshape",
        "flatten",
        "transpose",
        "permute",
        "contiguous",
        "to",
        "float",
        "squeeze",
        "unsqueeze",
    )
)
_SUMS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
_PRODUCTS = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__"})
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})


class Law(NamedTuple):
    """Of a parameter: its name, the mean square of its elements, and whether their mean is 0."""

    name: str
    square: float
    is_centred: bool


@dataclass(eq=False, slots=True)
class Expected:
    """What theory expects of one tensor: its mean square, and that of its gradient once it is known.

    Near a border that is padded with zeros it is less than in the middle.
    `centred` is true of sums with weights of mean 0; in a wide layer they are normal, but not after dropout.
    """

    squares: torch.Tensor  # one number, or of convolutions one for each position of the image
    centred: bool = False
    is_normal: bool = True
    starts_inside: bool = False
    is_used_otherwise: bool = False  # by what theory does not know, so that its gradient is not known
    gradients: torch.Tensor | None = None  # likewise
    through: tuple[str, ...] = ()  # the weights whose sums it is, with nothing between
    weights: frozenset[str] = frozenset()  # all on which it depends
    scales: bool = True  # of linear functions and ReLU only: where all weights double, it doubles for each
    parts: tuple[Expected, ...] = ()  # of a sum its two, of a view what it is of
    uses: list[tuple[Expected, Callable[[torch.Tensor], torch.Tensor]]] = field(default_factory=list)

    @property
    def square(self) -> float:
        """The mean square of all elements."""
        return float(self.squares.mean())

    @property
    def gradient(self) -> float | None:
        """The mean square of the gradient; None where it is not known."""
        return None if self.gradients is None else float(self.gradients.mean())

    def adds_to(self, other: Expected) -> bool:
        """Whether it is a sum of which the other one is a part."""
        to_see, seen = [self], {id(self)}
        while to_see:
            for part in to_see.pop().parts:
                if part is other:
                    return True
                if id(part) not in seen:
                    seen.add(id(part))
                    to_see.append(part)
        return False

    def is_independent_of(self, other: Expected) -> bool:
        """Whether it is a sum with weights of mean 0 on which the other one does not depend."""
        return self.centred and other.weights.isdisjoint(self.through)


class Expectations:
    """Expectations of the tensors of one forward pass."""

    def __init__(self, laws: Mapping[int, Law], args: Any, kwargs: Any) -> None:
        self._laws = laws
        self._seen: set[int] = set()
        # With the version that a tensor and its views had: who changes one in place moves that of all.
        self._of = WeakTensorKeyDictionary()
        self._order: list[Expected] = []
        self._given: dict[int, Expected] = {}
        self._places: list[tuple[Place, Expected | None]] = []
        given = first_tensor((args, kwargs))
        if given is not None:
            self._put(given, Expected(_number(_measured(given))))

    def of(self, tensor: torch.Tensor) -> Expected | None:
        """What is expected of a tensor; None where theory does not know."""
        found: tuple[Expected, int] | None = self._of.get(tensor)
        if found is None:
            return None
        expected, version = found
        if version == _version(tensor):
            return expected
        expected.is_used_otherwise = True
        del self._of[tensor]
        return None

    def given(self, args: Any, kwargs: Mapping[str, Any]) -> dict[int, Expected]:
        """What is expected of the arguments of a function, by identity, before it may change them."""
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
        return {id(each): known for each in tensors if (known := self.of(each)) is not None}

    def note(
        self, name: str, result: Any, args: Any, kwargs: Mapping[str, Any], given: dict[int, Expected]
    ) -> None:
        """Follow one function that has been called; `given` is what was expected before."""
        self._given = given
        made = result if isinstance(result, torch.Tensor) else first_tensor(result)
        if made is None or not made.is_floating_point():
            return
        known = self._known(name, made, args, kwargs)
        # A weight that has had a part in anything is no longer fresh.
        self._seen.update(id(each) for each in tree_leaves((args, kwargs)) if id(each) in self._laws)
        if known is None:
            for used in given.values():
                used.is_used_otherwise = True
            self._of.pop(made, None)
            return
        self._put(made, known)

    def expect(self, place: Place, tensor: torch.Tensor) -> None:
        """Notes what is expected of an output, for when its gradient is known."""
        self._places.append((place, self.of(tensor)))

    def conclude(self) -> None:
        """Follow the gradient back from the last block, where it was measured, and tell all places."""
        blocks = [(place, known) for place, known in self._places if place.seen.is_block]
        if blocks:
            self._go_back(blocks[-1][1], blocks[-1][0].backward[0])
        before: Expected | None = None
        for place, known in self._places:
            if known is not None:
                place.expected = (known.square, known.gradient)
                place.starts_inside, place.scales = known.starts_inside, known.scales
                if before is not None and known.adds_to(before):
                    place.adds = tuple(name for name in known.through if name not in before.through)
            before = known if place.seen.is_block else before

    def _go_back(self, last: Expected | None, gradient: float | None) -> None:
        if last is None or gradient is None:
            return
        for each in reversed(self._order):
            if each is last:
                each.gradients = _number(gradient)
            elif each.uses and not each.is_used_otherwise:
                parts = [back(user.gradients) for user, back in each.uses if user.gradients is not None]
                if len(parts) == len(each.uses):
                    each.gradients = functools.reduce(torch.add, parts)

    def _put(self, tensor: torch.Tensor, expected: Expected) -> None:
        self._of[tensor] = (expected, _version(tensor))
        self._order.append(expected)

    def _known(self, name: str, made: torch.Tensor, args: Any, kwargs: Mapping[str, Any]) -> Expected | None:
        """What is expected of the result of a function; None where theory does not know it."""
        if name == "linear":
            x, weight, bias = _named(("input", "weight", "bias"), args, kwargs)
            return self._applied(made, x, weight, bias)
        if name == "addmm" and not kwargs and len(args) == 3:
            return self._applied(made, args[1], args[2], args[0], outputs=1)
        if name in _CONVOLUTIONS:
            x, weight, bias = _named(("input", "weight", "bias"), args, kwargs)
            return self._applied(made, x, weight, bias, windows=_Windows(name, x, weight, args, kwargs))
        if name == "embedding":
            _, weight, _, most = _named(("input", "weight", "padding_idx", "max_norm"), args, kwargs)
            return None if most is not None else self._row(self._fresh(weight))
        if name in _SUMS and len(args) == 2 and not kwargs:
            return self._sum(made, *args)
        return self._elementwise(name, made, args, kwargs)

    def _elementwise(
        self, name: str, made: torch.Tensor, args: Any, kwargs: Mapping[str, Any]
    ) -> Expected | None:
        """Of functions of one tensor, element by element, and of other views of it."""
        if not args or not isinstance(args[0], torch.Tensor) or (x := self._given.get(id(args[0]))) is None:
            return None
        if name in _VIEWS and made.numel() == args[0].numel():
            # Other axes may stand where those of the image stood.
            viewed = self._passed(x, 1.0, 1.0, centred=x.centred, mixed=made.shape != args[0].shape)
            viewed.parts = (x,)
            return viewed
        if name in _PRODUCTS and len(args) == 2 and not kwargs and isinstance(args[1], int | float):
            return self._passed(x, args[1] ** 2, args[1] ** 2, centred=x.centred)
        if name in ("dropout", "dropout_") and "train" not in kwargs:
            share, training = _named(("p", "training"), args[1:], kwargs)
            share = 0.5 if share is None else share
            if training is False:
                share = 0.0
            grown = 1 / (1 - share) if share < 1 else 0.0
            kept = self._passed(x, grown, grown, centred=x.centred)
            kept.is_normal &= grown == 1
            return kept if grown else None
        activation = ACTIVATIONS.get(name.rstrip("_"))
        if activation is not None and x.centred and x.square > 0:
            is_homogeneous = activation.power is not None
            made_of = self._passed(x, activation.squares(x.square) / x.square, activation.slopes(x.square))
            made_of.scales &= is_homogeneous
            return made_of if is_homogeneous or x.is_normal else None
        return None

    def _row(self, law: Law | None) -> Expected | None:
        """Of rows of a table of vectors; they are no sums, and as normal as the law is."""
        if law is None:
            return None
        by = (law.name,)
        return Expected(
            _number(law.square), law.is_centred, is_normal=False, through=by, weights=frozenset(by)
        )

    def _passed(
        self, x: Expected, factor: float, back: float, *, centred: bool = False, mixed: bool = False
    ) -> Expected:
        squares = (x.squares.mean() if mixed else x.squares) * factor
        made = Expected(
            squares,
            centred,
            x.is_normal,
            x.starts_inside,
            through=x.through if centred else (),
            weights=x.weights,
            scales=x.scales,
        )
        x.uses.append((made, lambda gradients: (gradients.mean() if mixed else gradients) * back))
        return made

    def _fresh(self, weight: Any) -> Law | None:
        """The law of a weight that is applied for the first time: later its results depend on each other."""
        if not isinstance(weight, torch.Tensor) or id(weight) in self._seen:
            return None
        self._seen.add(id(weight))
        return self._laws.get(id(weight))

    def _applied(  # noqa: PLR0917 - as the function that it follows
        self,
        made: torch.Tensor,
        x: Any,
        weight: Any,
        bias: Any = None,
        windows: _Windows | None = None,
        outputs: int = 0,
    ) -> Expected | None:
        """Sums over fan_in inputs with independent weights of mean 0."""
        law = self._fresh(weight)
        noise = None if bias is None else self._fresh(bias)
        is_one = windows is not None and x.ndim != weight.ndim  # without a batch axis
        if (
            law is None
            or is_one
            or not x.numel()
            or not law.is_centred
            or (bias is not None and noise is None)
        ):
            return None
        given = self._given.get(id(x))
        if given is None:
            # It may depend on every weight before.
            before = frozenset(each.name for key, each in self._laws.items() if key in self._seen)
            given = Expected(
                _number(_measured(x)), starts_inside=True, is_used_otherwise=True, weights=before
            )
        fan_in = weight.numel() / weight.shape[outputs]
        if windows is None:
            squares = given.squares.mean() * fan_in * law.square
            factor = law.square * fan_in * made.numel() / x.numel()
            back = lambda gradients: gradients.mean() * factor  # noqa: E731
        else:
            inputs = law.square * weight.shape[1]
            squares = windows.sums(given.squares) * inputs
            share = law.square * weight.shape[1] * made.shape[1] / x.shape[1]
            back = lambda gradients: windows.spread(gradients) * share  # noqa: E731
        squares = squares + (noise.square if noise else 0.0)
        result = Expected(
            squares,
            noise is None or noise.is_centred,
            starts_inside=given.starts_inside,
            through=(law.name,),
            weights=given.weights | {law.name},
            scales=given.scales and (noise is None or noise.square == 0),
        )
        given.uses.append((result, back))
        return result

    def _sum(self, made: torch.Tensor, first: Any, second: Any) -> Expected | None:
        """Of two independent parts, one of mean 0, the mean squares add up."""
        if not isinstance(first, torch.Tensor) or not isinstance(second, torch.Tensor) or first is second:
            return None
        one, two = self._given.get(id(first)), self._given.get(id(second))
        if one is None or two is None or not (one.is_independent_of(two) or two.is_independent_of(one)):
            return None
        result = Expected(
            one.squares + two.squares,
            one.centred and two.centred,
            one.is_normal and two.is_normal,
            one.starts_inside or two.starts_inside,
            through=(*one.through, *two.through),
            weights=one.weights | two.weights,
            scales=one.scales and two.scales,
            parts=(one, two),
        )
        for part, tensor in ((one, first), (two, second)):
            part.uses.append((result, lambda gradients: gradients))
            part.is_used_otherwise |= tensor.shape != made.shape  # a gradient summed over copies
        return result


def _named(names: tuple[str, ...], args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    return [args[at] if at < len(args) else kwargs.get(name) for at, name in enumerate(names)]


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _measured(tensor: torch.Tensor) -> float:
    square: float = tensor.detach().double().square().mean().item()
    return square


def _number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


class _Windows:
    """Which positions of its input each output of a convolution sees: those on the padding are zeros."""

    def __init__(
        self, name: str, x: torch.Tensor, weight: torch.Tensor, args: Any, kwargs: Mapping[str, Any]
    ) -> None:
        names = ("input", "weight", "bias", "stride", "padding", "dilation")
        stride, padding, dilation = _named(names, args, kwargs)[3:]
        self._shape = x.shape[2 - weight.ndim :]
        kernel = torch.ones((1, 1, *weight.shape[2:]), dtype=torch.float64)
        settings = {"stride": stride or 1, "padding": padding or 0, "dilation": dilation or 1}
        self._convolve = functools.partial(getattr(functional, name), weight=kernel, **settings)

    def sums(self, squares: torch.Tensor) -> torch.Tensor:
        """For each output the sum over what it sees."""
        found: torch.Tensor = self._convolve(squares.expand(self._shape)[None, None])[0, 0]
        return found

    def spread(self, gradients: torch.Tensor) -> torch.Tensor:
        """For each input the sum over the outputs that see it."""
        with torch.enable_grad():
            given = torch.zeros((1, 1, *self._shape), dtype=torch.float64, requires_grad=True)
            seen = self._convolve(given)
            (found,) = torch.autograd.grad(seen, given, gradients.expand(seen.shape))
        spread: torch.Tensor = found[0, 0]
        return spread
