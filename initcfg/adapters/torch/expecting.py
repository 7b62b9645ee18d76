"""The mean squares that theory expects, followed from function to function while a module runs.

A tensor that a known function gives is expected to have a mean square that follows from those of its
arguments and from the laws of the weights; `initcfg.probe.theory` has the maps and their sources. What theory
does not know, such as an attention, is measured where a weight is applied to it next, and that is told.
Backwards the same factors are gone through from the measured gradient of the last block.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from initcfg.adapters.torch.batches import first_tensor
from initcfg.probe.theory import ACTIVATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VIEWS = frozenset(
    {
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
    }
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
    `centred` is true of sums with weights of mean 0, which are normal in a wide layer.
    """

    squares: torch.Tensor  # one number, or of convolutions one for each position of the image
    centred: bool = False
    starts_inside: bool = False
    is_used_otherwise: bool = False  # by what theory does not know, so that its gradient is not known
    gradients: torch.Tensor | None = None  # likewise
    through: tuple[str, ...] = ()  # the weights whose sums it is, with nothing between
    uses: list[tuple[Expected, Callable[[torch.Tensor], torch.Tensor]]] = field(default_factory=list)

    @property
    def square(self) -> float:
        """The mean square of all elements."""
        return float(self.squares.mean())

    @property
    def gradient(self) -> float | None:
        """The mean square of the gradient; None where it is not known."""
        return None if self.gradients is None else float(self.gradients.mean())


class Expectations:
    """Expectations of the tensors of one forward pass."""

    def __init__(self, laws: Mapping[int, Law], args: Any, kwargs: Any) -> None:
        self._laws = laws
        self._seen: set[int] = set()
        self._of = WeakTensorKeyDictionary()
        self._order: list[Expected] = []
        given = first_tensor((args, kwargs))
        if given is not None:
            self._put(given, Expected(_number(_measured(given))))

    def of(self, tensor: torch.Tensor) -> Expected | None:
        """What is expected of a tensor; None where theory does not know."""
        found: Expected | None = self._of.get(tensor)
        return found

    def note(self, name: str, result: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Follow one function that has been called."""
        made = result if isinstance(result, torch.Tensor) else first_tensor(result)
        if made is None or not made.is_floating_point():
            return
        known = self._known(name, made, args, kwargs)
        if known is None:
            for each in (*args, *kwargs.values()):
                if isinstance(each, torch.Tensor) and (used := self.of(each)) is not None:
                    used.is_used_otherwise = True
            self._of.pop(made, None)
            return
        self._put(made, known)

    def go_back(self, last: Expected | None, gradient: float | None) -> None:
        """Follow the gradient back from the last block, where it was measured."""
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
        self._of[tensor] = expected
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
            _, weight = _named(("input", "weight"), args, kwargs)
            law = self._fresh(weight)
            return None if law is None else Expected(_number(law.square), law.is_centred, through=(law.name,))
        if name in _SUMS and len(args) == 2:
            return self._sum(made, *args)
        return self._elementwise(name, made, args, kwargs)

    def _elementwise(
        self, name: str, made: torch.Tensor, args: Any, kwargs: Mapping[str, Any]
    ) -> Expected | None:
        """Of functions of one tensor, element by element, and of other views of it."""
        if not args or not isinstance(args[0], torch.Tensor) or (x := self.of(args[0])) is None:
            return None
        if name in _VIEWS and made.numel() == args[0].numel():
            # Other axes may stand where those of the image stood.
            return self._passed(x, 1.0, 1.0, centred=x.centred, mixed=made.shape != args[0].shape)
        if name in _PRODUCTS and isinstance(args[-1], int | float):
            return self._passed(x, args[-1] ** 2, args[-1] ** 2, centred=x.centred)
        if name in ("dropout", "dropout_"):
            share, training = (*_named(("p", "training"), args[1:], kwargs),)
            grown = (
                1 / (1 - (0.5 if share is None else share)) if training is not False and share != 1 else 1.0
            )
            return self._passed(x, grown, grown, centred=x.centred)
        activation = ACTIVATIONS.get(name.rstrip("_"))
        if activation is not None and x.centred and x.square > 0:
            return self._passed(x, activation.squares(x.square) / x.square, activation.slopes(x.square))
        return None

    def _passed(
        self, x: Expected, factor: float, back: float, *, centred: bool = False, mixed: bool = False
    ) -> Expected:
        squares = (x.squares.mean() if mixed else x.squares) * factor
        made = Expected(squares, centred, x.starts_inside, through=x.through if centred else ())
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
        noise = None if bias is None else self._laws.get(id(bias))
        is_one = windows is not None and x.ndim != weight.ndim  # without a batch axis
        if law is None or is_one or not law.is_centred or (bias is not None and noise is None):
            return None
        given = self.of(x)
        if given is None:
            given = Expected(_number(_measured(x)), starts_inside=True, is_used_otherwise=True)
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
        result = Expected(squares, True, given.starts_inside, through=(law.name,))
        given.uses.append((result, back))
        return result

    def _sum(self, made: torch.Tensor, first: Any, second: Any) -> Expected | None:
        """Of two independent parts, one of mean 0, the mean squares add up."""
        if not isinstance(first, torch.Tensor) or not isinstance(second, torch.Tensor) or first is second:
            return None
        one, two = self.of(first), self.of(second)
        if one is None or two is None or not (one.centred or two.centred):
            return None
        result = Expected(
            one.squares + two.squares,
            one.centred and two.centred,
            one.starts_inside or two.starts_inside,
            through=(*one.through, *two.through),
        )
        for part, tensor in ((one, first), (two, second)):
            part.uses.append((result, lambda gradients: gradients))
            part.is_used_otherwise |= tensor.shape != made.shape  # a gradient summed over copies
        return result


def _named(names: tuple[str, ...], args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
    return [args[at] if at < len(args) else kwargs.get(name) for at, name in enumerate(names)]


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
