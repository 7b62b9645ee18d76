"""A batch for a module without one: random tokens, images or rows, made from its shapes and a seed."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

from initcfg.errors import Code, SpecError
from initcfg.probe.watching import Batch, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH = 8
_TOKENS = (64, 16, 8, 4)
_SIDES = (32, 64, 224, 28, 16, 299)


def trial_of(module: torch.nn.Module, about: str) -> Trial:
    """What runs the code of a module on a batch, which is called so."""
    hint = "give what the module is called with: a tensor, a pair of input and target, or a mapping"
    return Trial(type(module).__name__, about, hint, ("torch",))


def output_of(module: torch.nn.Module, batch: Batch, trial: Trial) -> Any:
    """What a module gives; it may write to the batch."""
    with trial.running():
        return module(*batch.args, **batch.kwargs)


def batch_of(given: Any, module: torch.nn.Module) -> Batch:
    """The batch given, or a random one that the module takes; a SpecError where it takes none."""
    return _synthetic(module) if given is None else copied(Batch.of(given))


def copied(tree: Any) -> Any:
    """The same with copies of its tensors, which a backward pass takes whatever mode they were made in."""
    return tree_map(lambda value: value.clone() if isinstance(value, torch.Tensor) else value, tree)


def _synthetic(module: torch.nn.Module) -> Batch:
    """The first of the batches to be tried that the module takes."""
    failed: SpecError | None = None
    for batch in _tried(module):
        try:
            with torch.no_grad():
                output_of(module, copied(batch), trial_of(module, batch.about))
        except SpecError as error:
            failed = failed or error
        else:
            return batch
    cause, where = (failed.__cause__, failed.diagnostics[0].where) if failed else (None, None)
    said = "" if cause is None else f": {type(cause).__name__}: {cause}"
    message = f"no random batch was found that {type(module).__name__} takes{said}"
    hint = "give a batch: a tensor, a pair of input and target, or a mapping of keywords"
    raise SpecError.of(Code.INPUT, message, hint, where)


def _tried(module: torch.nn.Module) -> Iterator[Batch]:
    random = torch.Generator().manual_seed(0)
    config = getattr(module, "config", None)
    keyword = getattr(module, "main_input_name", None)
    for inner in module.modules():
        if isinstance(inner, torch.nn.Embedding):
            yield from _tokens(inner.num_embeddings, inner.weight.device, config, keyword, random)
            return
        if isinstance(inner, torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d):
            dims = len(inner.kernel_size)
            for side in dict.fromkeys((_side(config), *_SIDES)):
                if side:
                    shape = (_BATCH, inner.in_channels, *itertools.repeat(side, dims))
                    noun = "images" if dims == 2 else "signals"
                    yield _normal(shape, inner.weight, keyword, random, noun)
            return
        if isinstance(inner, torch.nn.Linear):
            yield _normal((8 * _BATCH, inner.in_features), inner.weight, keyword, random, "rows")
            yield _normal((_BATCH, 16, inner.in_features), inner.weight, keyword, random, "sequences")
            return


def _side(config: Any) -> int | None:
    side = getattr(config, "image_size", None)
    return side if isinstance(side, int) else None


def _tokens(
    vocabulary: int, device: torch.device, config: Any, keyword: str | None, random: torch.Generator
) -> Iterator[Batch]:
    vocabulary = getattr(config, "vocab_size", None) or vocabulary
    for length in _TOKENS:
        tokens = torch.randint(vocabulary, (_BATCH, length), generator=random).to(device)
        about = f"{_BATCH} rows of {length} random tokens of {vocabulary:,}"
        if keyword is None:
            yield Batch((tokens,), {}, None, about)
            continue
        keywords = {keyword: tokens}
        if getattr(config, "is_encoder_decoder", False):
            keywords["decoder_input_ids"] = tokens
        yield Batch((), keywords, None, about)


def _normal(
    shape: tuple[int, ...], weight: torch.Tensor, keyword: str | None, random: torch.Generator, noun: str
) -> Batch:
    """The same numbers on every device, where the weight that they meet first is and of its type."""
    values = torch.randn(shape, generator=random).to(weight.device, weight.dtype)
    about = f"{shape[0]} random {noun} of {' x '.join(map(str, shape[1:]))}"
    return Batch((), {keyword: values}, None, about) if keyword else Batch((values,), {}, None, about)


def first_tensor(tree: Any) -> torch.Tensor | None:
    """The first floating tensor in what a module was given, or gives."""
    if isinstance(tree, torch.Tensor):
        return tree if tree.is_floating_point() else None
    parts = tree.values() if hasattr(tree, "values") else tree if isinstance(tree, tuple | list) else ()
    with contextlib.suppress(TypeError):
        return next((found for part in parts if (found := first_tensor(part)) is not None), None)
    return None
