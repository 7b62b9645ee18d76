"""What passes through a module: hooks on its parts, and the nonlinear functions that it calls, measured."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from initcfg.adapters.torch.parameters import named_modules_of, refs_of
from initcfg.probe import watching
from initcfg.probe.functions import FLAT, attention_entropy, nonlinearity_of
from initcfg.probe.passes import moments
from initcfg.probe.values import Nonlinearity, repeated_modules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.adapters.torch.expecting import Expectations
    from initcfg.probe.passes import Pass, Seen
    from initcfg.probe.subject import Subject


_ATTENTION = "scaled_dot_product_attention"
# The arguments of functions that may be given by their places.
_ARGUMENTS = {
    "softmax": ("input", "dim"),
    "hardtanh": ("input", "min_val", "max_val"),
    _ATTENTION: ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa"),
}


@contextlib.contextmanager
def hooked(module: torch.nn.Module, watch: watching.Watch) -> Iterator[None]:
    """Has the calls of a module and of those in it go through a watch, while the block runs."""
    with contextlib.ExitStack() as stack:
        for name, inner in dict(named_modules_of(module)).items():

            def begin(_: torch.nn.Module, args: Any, kwargs: Any, name: str = name) -> Any:
                return watch.enter(name, (args, kwargs))

            def end(inner: torch.nn.Module, _: Any, output: Any, name: str = name) -> Any:
                return watch.leave(name, type(inner).__name__, output)

            stack.callback(inner.register_forward_pre_hook(begin, with_kwargs=True).remove)
            stack.callback(inner.register_forward_hook(end).remove)
        yield


def matrices_of(module: torch.nn.Module) -> dict[str, tuple[str, ...]]:
    """The modules that hold a matrix themselves, with the names of their parameters."""
    found = {}
    for name, inner in dict(named_modules_of(module)).items():
        own = dict(inner.named_parameters(recurse=False))
        if any(each.ndim > 1 for each in own.values()):
            found[name] = tuple(f"{name}.{each}" if name else each for each in own)
    return found


class Watch(TorchFunctionMode):  # type: ignore[misc]
    """Measures what modules give that are `hooked`, and what nonlinear functions do while the block runs."""

    def __init__(
        self, module: torch.nn.Module, found: Pass, expectations: Expectations, subject: Subject
    ) -> None:
        super().__init__()
        self._expectations, self._found, self._subject = expectations, found, subject
        names = [name for ref in refs_of(module) if not ref.buffer for name in ref.names]
        blocks = set(repeated_modules(names) or matrices_of(module))
        self.modules = watching.Watch(blocks, subject.first, self._look, subject.trial)

    def _look(self, seen: Seen, tensor: torch.Tensor) -> torch.Tensor:
        """Measures a tensor at once, before it is changed in place; its gradient when that is there."""
        with torch._C.DisableTorchFunction():
            place = self._subject.place_of(seen, tensor)
            self._expectations.expect(place, tensor)
            if tensor.requires_grad:

                def back(gradient: torch.Tensor) -> None:
                    place.backward = moments(self._subject.numpy(gradient))

                tensor.register_hook(back)
        self._found.places.append(place)
        return tensor

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        trial = self._subject.trial
        with torch._C.DisableTorchFunction(), trial.looking():
            given = self._expectations.given(args, keywords)
        result = func(*args, **keywords)
        name = getattr(func, "__name__", "")
        with torch._C.DisableTorchFunction(), torch.no_grad(), trial.looking():
            if name.rstrip("_") in FLAT or name in ("softmax", _ATTENTION):
                self._found.nonlinearities.append(self._measured(name, result, args, keywords))
            self._expectations.note(name, result, args, keywords, given)
        return result

    def _measured(self, name: str, result: torch.Tensor, args: Any, kwargs: Any) -> Nonlinearity:
        place, numpy = self.modules.innermost or "all", self._subject.numpy
        given = dict(zip(_ARGUMENTS.get(name.rstrip("_"), ()), args, strict=False)) | kwargs
        if name == _ATTENTION:
            query, key, mask = numpy(given["query"]), numpy(given["key"]), given.get("attn_mask")
            if given.get("enable_gqa"):
                key = np.repeat(key, query.shape[-3] // key.shape[-3], -3)
            options = {"is_causal": given.get("is_causal", False), "scale": given.get("scale")}
            entropy = attention_entropy(query, key, mask=None if mask is None else numpy(mask), **options)
            return Nonlinearity(name=place, function=name, entropy=(entropy,))
        channels = 1 if result.ndim > 3 else -1
        if name == "softmax":
            dim = given.get("dim")
            channels = int(result.ndim not in (0, 1, 3)) if dim is None else dim  # as torch has it
        found = nonlinearity_of(place, name, {}, result, numpy=numpy, channels=channels)
        # Where a hardtanh of other bounds is flat its results do not tell.
        is_usual = (given.get("min_val", -1), given.get("max_val", 1)) == (-1, 1)
        return found if is_usual else found.model_copy(update={"saturated": (None,)})
