"""What passes through a module: hooks on its parts, and the nonlinear functions that it calls, measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from initcfg.adapters.torch.parameters import named_modules_of
from initcfg.probe import watching
from initcfg.probe.functions import FLAT, attention_entropy, entropy_of, flat_shares
from initcfg.probe.passes import moments
from initcfg.probe.values import Nonlinearity, repeated_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.utils.hooks import RemovableHandle

    from initcfg.adapters.torch.expecting import Expectations
    from initcfg.probe.passes import Pass, Seen
    from initcfg.probe.subject import Subject


class Watch(TorchFunctionMode):  # type: ignore[misc]
    """Measures what modules give and what nonlinear functions do, while the block runs."""

    def __init__(
        self,
        module: torch.nn.Module,
        names: list[str],
        found: Pass,
        expectations: Expectations,
        subject: Subject,
    ) -> None:
        super().__init__()
        self._expectations, self._found, self._subject = expectations, found, subject
        modules = dict(named_modules_of(module))
        blocks = set(repeated_modules(names)) or {
            name
            for name, inner in modules.items()
            if any(each.ndim > 1 for each in inner.parameters(recurse=False))
        }
        self._watch = watching.Watch(blocks, subject.first, self._look, subject.trial)
        self._handles = [handle for name, inner in modules.items() for handle in self._hooks(name, inner)]

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        super().__exit__(*error)

    def _hooks(self, name: str, inner: torch.nn.Module) -> Iterator[RemovableHandle]:
        def begin(_: torch.nn.Module, args: Any, kwargs: Any) -> None:
            self._watch.enter(name, (args, kwargs))

        def end(_: torch.nn.Module, __: Any, output: Any) -> None:
            self._watch.leave(name, type(inner).__name__, output)

        yield inner.register_forward_pre_hook(begin, with_kwargs=True)
        yield inner.register_forward_hook(end)

    def _look(self, seen: Seen, tensor: torch.Tensor) -> torch.Tensor:
        """Measures a tensor at once, before it is changed in place; its gradient when that is there."""
        with torch._C.DisableTorchFunction():
            place = self._subject.place_of(seen, tensor)
            place.expected = self._expectations.of(tensor)
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
            if name.rstrip("_") in FLAT or name in _SOFT:
                self._found.nonlinearities.append(self._measured(name, result, args, keywords))
            self._expectations.note(name, result, args, keywords, given)
        return result

    def _measured(self, name: str, result: torch.Tensor, args: Any, kwargs: Any) -> Nonlinearity:
        place, numpy = self._watch.innermost or "all", self._subject.numpy
        if name in _SOFT:
            is_softmax = name == "softmax"
            entropy = (
                entropy_of(numpy(result), _axis(*args, **kwargs))
                if is_softmax
                else _attention_entropy(numpy, *args, **kwargs)
            )
            return Nonlinearity(name=place, function=name, entropy=(entropy,))
        found = flat_shares(place, name, numpy(result), 1 if result.ndim > 3 else -1)
        # Where a hardtanh of other bounds is flat its results do not tell.
        is_usual = "hardtanh" not in name or _bounds(*args, **kwargs) == (-1, 1)
        return found if is_usual else found.model_copy(update={"saturated": (None,)})


_SOFT = frozenset({"softmax", "scaled_dot_product_attention"})


def _axis(input: torch.Tensor, dim: int | None = None, *_: Any, **__: Any) -> int:  # noqa: A002
    """The axis that a softmax chooses along; without one it is torch's."""
    return dim if dim is not None else int(input.ndim not in (0, 1, 3))


def _bounds(
    _: torch.Tensor, min_val: float = -1, max_val: float = 1, *__: Any, **___: Any
) -> tuple[float, float]:
    """The bounds with which hardtanh was called."""
    return min_val, max_val


def _attention_entropy(  # noqa: PLR0917 - as the function that it goes beside
    numpy: Callable[[torch.Tensor], Any],
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,  # noqa: ARG001
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> float | None:
    """What `attention_entropy` says of such a call."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    mask = None if attn_mask is None else numpy(attn_mask)
    return attention_entropy(numpy(query), numpy(key), mask=mask, is_causal=is_causal, scale=scale)
