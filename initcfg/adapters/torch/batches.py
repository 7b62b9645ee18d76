"""A batch for a module without one: random tokens, images or rows, made from its shapes and a seed."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map

import initcfg
from initcfg.errors import Code, Location, SpecError
from initcfg.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_BATCH = 8
_TOKENS = (64, 16, 8, 4)
_SIDES = (32, 64, 224, 28, 16, 299)


class Batch(NamedTuple):
    """What a module is called with, and the targets of its loss."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    target: Any
    about: str

    def copied(self) -> Batch:
        """The same with tensors of its own, for one call: a module may write to what it is given."""
        return self._replace(args=copied(self.args), kwargs=copied(self.kwargs))

    def call(self, module: torch.nn.Module) -> Any:
        """What the module gives; a SpecError where its code raises anything, at the line of that code."""
        try:
            return module(*self.args, **self.kwargs)
        except SpecError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            message = f"{type(module).__name__} fails on {self.about}: {said}"
            hint = "give what the module is called with: a tensor, a pair of input and target, or a mapping"
            raise SpecError.of(Code.INPUT, message, hint, _line_of(error)) from error


def batch_of(given: Any, module: torch.nn.Module, seed: int = 0) -> Batch:
    """The batch that a caller gave, or a random one that the module takes; a SpecError where it takes none.

    A mapping is given by keywords; of a pair the second is the target; all else is the module's one input.
    """
    if given is None:
        return _synthetic(module, seed)
    given = copied(given)
    if isinstance(given, dict) or hasattr(given, "keys"):
        keywords = dict(given)
        return Batch((), keywords, keywords.get("labels"), "the batch given")
    if isinstance(given, tuple | list) and len(given) == 2:
        return Batch((given[0],), {}, given[1], "the batch given")
    return Batch((given,), {}, None, "the batch given")


def copied(tree: Any) -> Any:
    """The same with copies of its tensors, which a backward pass takes whatever mode they were made in."""
    return tree_map(lambda value: value.clone() if isinstance(value, torch.Tensor) else value, tree)


def _line_of(error: BaseException) -> Location | None:
    """The innermost line that is neither torch's nor of this package."""
    others = tuple(str(Path(each).parent) + os.sep for each in (torch.__file__, initcfg.__file__))
    lines = [each for each in extract_tb(error.__traceback__) if not each.filename.startswith((*others, "<"))]
    return Location(lines[-1].filename, lines[-1].lineno) if lines else None


def _synthetic(module: torch.nn.Module, seed: int) -> Batch:
    """The first of the batches to be tried that the module takes."""
    failed: BaseException | None = None
    for batch in _tried(module, seed):
        try:
            with torch.no_grad():
                batch.copied().call(module)
        except SpecError as error:
            failed = failed or error.__cause__
        else:
            return batch
    said = "" if failed is None else f": {type(failed).__name__}: {failed}"
    message = f"no random batch was found that {type(module).__name__} takes{said}"
    hint = "give a batch: a tensor, a pair of input and target, or a mapping of keywords"
    raise SpecError.of(Code.INPUT, message, hint)


def _tried(module: torch.nn.Module, seed: int) -> Iterator[Batch]:
    random = torch.Generator().manual_seed(seed)
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
