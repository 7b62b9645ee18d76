"""What passes through a module: hooks on its parts, and the nonlinear functions that it calls, measured."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from initcfg.adapters.torch.batches import first_tensor
from initcfg.adapters.torch.parameters import named_modules_of
from initcfg.probe.functions import FLAT, Call, attention_entropy, entropy_of
from initcfg.probe.passes import Place, moments, not_real
from initcfg.probe.values import repeated_modules

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.adapters.torch.expecting import Expectations
    from initcfg.probe.passes import Pass


def numpy_of(tensor: torch.Tensor) -> Any:
    """The values in float64, as a numpy array; a SpecError of complex ones."""
    if tensor.is_complex():
        raise not_real()
    return tensor.detach().double().cpu().numpy()


class Watch(TorchFunctionMode):  # type: ignore[misc]
    """Measures what modules give and what nonlinear functions do, while the block runs."""

    def __init__(
        self, module: torch.nn.Module, names: list[str], found: Pass, expectations: Expectations
    ) -> None:
        super().__init__()
        self._expectations = expectations
        self._found = found
        self._calls: Counter[str] = Counter()
        self._inside: list[str] = []
        self._handles: list[Any] = []
        modules = dict(named_modules_of(module))
        blocks = set(repeated_modules(names)) or {
            name
            for name, inner in modules.items()
            if any(each.ndim > 1 for each in inner.parameters(recurse=False))
        }
        for name, inner in modules.items():
            self._handles.append(
                inner.register_forward_pre_hook(self._begin(name, name in blocks), with_kwargs=True)
            )
            is_leaf = not any(True for _ in inner.children())
            self._handles.append(inner.register_forward_hook(self._end(name, name in blocks, is_leaf)))

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        super().__exit__(*error)

    def _begin(self, name: str, is_block: bool) -> Callable[..., None]:
        def begin(_: torch.nn.Module, args: Any, kwargs: Any) -> None:
            self._inside.append(name)
            given = first_tensor((args, kwargs))
            if is_block and not self._found.blocks and given is not None:
                with torch._C.DisableTorchFunction():
                    place = _place(f"before {name or 'all'}", "", given)
                    place.expected = self._expectations.of(given)
                    self._found.blocks.append(place)

        return begin

    def _end(self, name: str, is_block: bool, is_leaf: bool) -> Callable[..., None]:
        def end(inner: torch.nn.Module, _: Any, output: Any) -> None:
            self._inside.pop()
            result = first_tensor(output)
            if result is None or not (is_block or is_leaf):
                return
            self._calls[name] += 1
            again = f" ({self._calls[name]})" if self._calls[name] > 1 else ""
            with torch._C.DisableTorchFunction():
                place = _place(f"{name or 'all'}{again}", type(inner).__name__, result)
                place.expected = self._expectations.of(result)
            if is_block:
                self._found.blocks.append(place)
            if is_leaf:
                self._found.leaves.append(place)

        return end

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        with torch._C.DisableTorchFunction():
            given = self._expectations.given(args, keywords)
        result = func(*args, **keywords)
        name = getattr(func, "__name__", "")
        with torch._C.DisableTorchFunction(), torch.no_grad():
            if name.rstrip("_") in FLAT or name in _SOFT:
                self._note(name, result, args, keywords)
            self._expectations.note(name, result, args, keywords, given)
        return result

    def _note(self, name: str, result: torch.Tensor, args: Any, kwargs: Any) -> None:
        place = (self._inside[-1] if self._inside else "") or "all"
        if name == "scaled_dot_product_attention":
            entropy = _attention_entropy(*args, **kwargs)
            call = Call(place, name, None, None, entropy)
        elif name in _SOFT:
            call = Call(place, name, None, None, entropy_of(numpy_of(result), _axis(*args, **kwargs)))
        else:
            call = Call.of(place, name, numpy_of(result), 1 if result.ndim > 3 else -1)
            # Where a hardtanh of other bounds is flat its results do not tell.
            if "hardtanh" in name and _bounds(*args, **kwargs) != (-1, 1):
                call = call._replace(saturated=None)
        self._found.nonlinearities.append(call)


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
    mask = attn_mask
    if mask is not None:
        mask = mask.cpu().numpy() if mask.dtype == torch.bool else numpy_of(mask)
    return attention_entropy(numpy_of(query), numpy_of(key), mask=mask, is_causal=is_causal, scale=scale)


def _place(name: str, kind: str, tensor: torch.Tensor) -> Place:
    """What a tensor comes to now; its gradient follows when the backward pass is there."""
    place = Place.of(name, kind, numpy_of(tensor), tensor.nbytes)
    if tensor.requires_grad:

        def back(gradient: torch.Tensor) -> None:
            place.backward = moments(numpy_of(gradient))

        tensor.register_hook(back)
    return place
