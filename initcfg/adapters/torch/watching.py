"""Every write to memory, watched while code of torch runs: which line, with what law, and what it came over.

Every element of every memory has an *owner*, the event that wrote it last, and an event knows the events that
its values were computed of.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from initcfg.capture.values import Site, Write
from initcfg.initializers import Constant, Orthogonal, RandomNormal, RandomUniform, TruncNormal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

    from initcfg.capture.values import Phase
    from initcfg.initializers import Initializer

# Nothing of what was there goes into what these write.
OVERWRITING = frozenset(
    f"aten::{name}_"
    for name in (
        "normal",
        "uniform",
        "fill",
        "zero",
        "copy",
        "random",
        "bernoulli",
        "exponential",
        "geometric",
    )
)
_TAKES_MEMORY = ("aten::empty", "aten::new_empty")
_RANDOM = frozenset(
    f"aten::{name}"
    for name in (
        *("normal_", "uniform_", "random_", "bernoulli_", "exponential_", "geometric_", "randn", "rand"),
        *(
            "randn_like",
            "rand_like",
            "randint",
            "randint_like",
            "randperm",
            "normal",
            "bernoulli",
            "multinomial",
        ),
    )
)

_TORCH = os.path.dirname(torch.__file__)  # noqa: PTH120 - it is held against names of files as they come
_BETWEEN = ("/nn/init.py", "/transformers/initialization.py", "/torch/programs.py", __file__)
_INIT_NAMES = frozenset({"init_weights", "_init_weights", "initialize_weights", "_initialize_weights"})


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Something that gave memory values: memory taken, an operation's result, or a write in place."""

    write: Write
    parents: frozenset[int]
    law: Initializer | None = None
    is_random: bool = False
    is_empty: bool = False
    memory: frozenset[int] = frozenset()  # what it wrote to, in place
    over: frozenset[int] = frozenset()  # what was there before


class Watcher(TorchDispatchMode):  # type: ignore[misc]
    """Follows which event owns each element of each memory."""

    # Without this the first use imports torch._dynamo, which takes seconds.
    _should_skip_dynamo = classmethod(lambda _: False)

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.owners: dict[int, torch.Tensor] = {}
        self.kept: list[Any] = []  # memory that is given back would be taken for another's
        self.overwritten: dict[int, int] = {}
        self.phase: Phase | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, and notes what it writes."""
        kwargs = kwargs or {}
        name = func._schema.name
        wrote = list(written(func, args, kwargs))
        read = [] if name in OVERWRITING else list(tensors_in((args, kwargs)))
        if name == "aten::copy_":
            read = list(tensors_in(args[1:]))
        elif any(argument.kwarg_only for argument in func._schema.arguments if argument.is_write):
            read = [each for each in read if not any(each is out for out in wrote)]
        parents = frozenset(itertools.chain.from_iterable(map(self.owners_of, read)))
        result = func(*args, **kwargs)
        new = [each for each in tensors_in(result) if key_of(each) not in self.owners]
        if wrote or new:
            event = self._event(name, args, kwargs, parents, wrote)
            for tensor in new:
                self._take(tensor, event)
            for tensor in wrote:
                self._give(tensor, event, name, args)
        return result

    def owners_of(self, tensor: torch.Tensor) -> frozenset[int]:
        """The events that a tensor's elements come from."""
        view = self.owner_view(tensor)
        if view is None or not view.numel():
            return frozenset()
        first = int(view.flatten()[0])
        return frozenset([first] if bool((view == first).all()) else view.unique().tolist())

    def owner_view(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The owners of a tensor's elements, in its shape."""
        owners = self.owners.get(key_of(tensor))
        if owners is None:
            return None
        return owners.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())

    def closure(self, events: Iterable[int]) -> set[int]:
        """The events, and all that their values come from."""
        found: set[int] = set()
        waiting = list(events)
        while waiting:
            at = waiting.pop()
            if at not in found:
                found.add(at)
                waiting += self.events[at].parents
        return found

    def _event(self, name: str, args: Any, kwargs: Any, parents: frozenset[int], written: list[Any]) -> int:
        write, law = described(name, args, kwargs, self.phase)
        over = frozenset(itertools.chain.from_iterable(map(self.owners_of, written)))
        base = name.partition(".")[0]
        self.events.append(
            Event(
                write,
                parents,
                law or self._composed(base, args, parents),
                base in _RANDOM,
                base.startswith(_TAKES_MEMORY),
                frozenset(map(key_of, written)),
                over,
            )
        )
        return len(self.events) - 1

    def _composed(self, name: str, args: Any, parents: frozenset[int]) -> Initializer | None:
        """The law of a whole law times a number, or copied."""
        if len(parents) != 1:
            return None
        law = self.events[next(iter(parents))].law
        if name == "aten::copy_" and args[0].shape != args[1].shape:
            return None  # draws that repeat
        if name in ("aten::copy_", "aten::clone", "aten::_to_copy", "aten::detach", "aten::view"):
            return law
        factor = args[1] if len(args) > 1 and isinstance(args[1], int | float) else None
        if factor is None or name not in ("aten::mul_", "aten::mul", "aten::div_", "aten::div"):
            return None
        return _scaled(law, 1 / factor if "div" in name else factor)

    def _take(self, tensor: torch.Tensor, event: int) -> None:
        storage = tensor.untyped_storage()
        self.kept.append(storage)
        size = storage.nbytes() // tensor.element_size()
        self.owners[key_of(tensor)] = torch.full((size,), event, dtype=torch.int32)

    def _give(self, tensor: torch.Tensor, event: int, name: str, args: Any) -> None:
        if key_of(tensor) not in self.owners:
            self._take(tensor, event)
            return
        for old in self.events[event].over:
            self.overwritten.setdefault(old, event)
        view = self.owner_view(tensor)
        assert view is not None  # noqa: S101
        owner = torch.tensor(event, dtype=torch.int32)
        match name:
            case "aten::index_put_" | "aten::_index_put_impl_":
                view.index_put_(tuple(args[1]), owner)
            case "aten::masked_fill_":
                view.masked_fill_(args[1], event)
            case "aten::index_fill_":
                view.index_fill_(args[1], args[2], event)
            case _:
                view.fill_(event)


def key_of(tensor: torch.Tensor) -> int:
    """The memory that a tensor is in, or is a view of."""
    return int(tensor.untyped_storage()._cdata)


def tensors_in(tree: Any) -> Iterator[torch.Tensor]:
    """The tensors in some arguments."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for each in tree:
            yield from tensors_in(each)
    elif isinstance(tree, dict):
        yield from tensors_in(list(tree.values()))


def written(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """The arguments that an operation writes to, as its schema says."""
    for at, argument in enumerate(func._schema.arguments):
        if argument.is_write:
            yield from tensors_in(args[at] if at < len(args) else kwargs.get(argument.name))


def _scaled(law: Initializer | None, factor: float) -> Initializer | None:
    match law:
        case RandomNormal():
            return RandomNormal(float(law.mean) * factor, float(law.stddev) * abs(factor))
        case RandomUniform():
            low, high = sorted((float(law.minval) * factor, float(law.maxval) * factor))
            return RandomUniform(low, high)
        case Constant() if isinstance(law.value, int | float):
            return Constant(law.value * factor)
    return None


# Which line wrote, and what it says.


def described(
    name: str, args: Any, kwargs: Mapping[str, Any], phase: Phase | None
) -> tuple[Write, Initializer | None]:
    """The write that an operation is, where it was called, and its law if that is plain."""
    frames = list(_frames(sys._getframe(1)))
    scheme = next((each for each in reversed(frames[:8]) if _is_scheme(each)), None)
    outside = [each for each in frames if not each.f_code.co_filename.endswith(_BETWEEN)]
    own = [each for each in outside if not each.f_code.co_filename.startswith((_TORCH, "<frozen"))]
    site = own[0] if own else outside[-1]
    inner = next((each for each in outside if each is site or "/torch/nn/" in each.f_code.co_filename), site)
    if phase is None:
        is_init = any(each.f_code.co_name in _INIT_NAMES for each in frames)
        phase = "init" if is_init or _is_applied(frames) else "constructor"
    call, law = _operation(name, args, kwargs)
    if scheme is not None:
        call, whole = _scheme(scheme)
        law = whole or law
    return Write(call, _site(inner), _site(site), phase), law


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _site(frame: FrameType) -> Site:
    return Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def _is_scheme(frame: FrameType) -> bool:
    """Whether a frame is that of a function of ``torch.nn.init``."""
    return frame.f_code.co_filename.endswith("/torch/nn/init.py") and frame.f_code.co_name.endswith("_")


def _is_applied(frames: list[FrameType]) -> bool:
    return any(
        each.f_code.co_name == "apply" and each.f_code.co_filename.endswith("/nn/modules/module.py")
        for each in frames
    )


def _scheme(frame: FrameType) -> tuple[str, Initializer | None]:
    given = frame.f_locals
    names = frame.f_code.co_varnames[1 : frame.f_code.co_argcount]
    name = frame.f_code.co_name.lstrip("_").removeprefix("no_grad_")
    shown = ", ".join(f"{key}={given[key]:.6g}" for key in names if isinstance(given.get(key), int | float))
    law: Initializer | None = None
    if name == "trunc_normal_":
        law = TruncNormal(given["mean"], given["std"], given["a"], given["b"])
    elif name == "orthogonal_":
        law = Orthogonal(float(given["gain"]))
    return f"{name}({shown})", law


def _operation(name: str, args: Any, kwargs: Mapping[str, Any]) -> tuple[str, Initializer | None]:
    base = name.removeprefix("aten::").partition(".")[0]
    numbers = [each for each in args[1:] if isinstance(each, int | float) and not isinstance(each, bool)]
    numbers += [each for key, each in kwargs.items() if isinstance(each, int | float) and key != "seed"]
    shown = ", ".join(f"{each:.6g}" for each in numbers)
    law: Initializer | None = None
    match base:
        case "normal_":
            mean, std = (numbers + [0.0, 1.0][len(numbers) :])[:2]
            law = RandomNormal(float(mean), float(std))
        case "uniform_":
            low, high = (numbers + [0.0, 1.0][len(numbers) :])[:2]
            law = RandomUniform(float(low), float(high))
        case "randn" | "randn_like":
            law = RandomNormal(0.0, 1.0)
        case "rand" | "rand_like":
            law = RandomUniform(0.0, 1.0)
        case "zero_" | "zeros" | "zeros_like" | "new_zeros":
            law = Constant(0)
        case "ones" | "ones_like" | "new_ones":
            law = Constant(1)
        case "fill_" if numbers and math.isfinite(numbers[0]):
            law = Constant(numbers[0])
    return f"{base}({shown})", law
