"""LSUV of a live module: each layer's output brought to variance 1 on a batch, in one forward pass."""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.utils.parametrize import is_parametrized

from initcfg.adapters.torch.batches import batch_of, copied, first_tensor, output_of, trial_of
from initcfg.adapters.torch.initializing import initialize_
from initcfg.adapters.torch.parameters import manifest, named_modules_of, refs_of, require_shapes
from initcfg.adapters.torch.probing import as_it_was, home_of
from initcfg.plan import require_plan
from initcfg.probe.lsuv import Layer, Look, Lsuv, Passed, layers_of, require_limits, scale_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch.utils.hooks import RemovableHandle

    from initcfg.plan import Plan
    from initcfg.probe.watching import Trial


def lsuv_(
    module: torch.nn.Module,
    batch: Any,
    plan: Plan,
    *,
    tolerance: float = 0.01,
    max_rounds: int = 10,
    center: bool = False,
    select: str | None = None,
) -> Lsuv:
    """Begins a module with a plan, and scales its layers so that the variance of each output is 1 on a batch.

    In the order in which they are called each layer that multiplies by a matrix, linear or convolutional, has
    its weights divided by the standard deviation of its output until the variance of all its elements is
    within the tolerance. All layers are settled in one forward pass, in training mode and without gradients.
    Embeddings, and what shares their matrix, keep the plan's values; so do the projections inside of
    ``torch.nn.MultiheadAttention`` but for the last, ``out_proj``.

    Draws stay those of the plan: the weights are afterwards what the plan of ``Lsuv.spec`` makes, bit for
    bit. Buffers, modes, hooks, gradients and random states are as they were. After an exception they are so
    as well, and the weights are those of `plan`. The module's own hooks are called with each measurement.

    Args:
        module: plain, not sharded; on the meta device it is allocated on the CPU.
        batch: as in `probe`; None for random input.
        plan: of all parameters of the module, as in `initialize_`.
        tolerance: how far a variance may be from 1, and with `center` a mean from 0.
        max_rounds: how often a layer is scaled, at most.
        center: whether a bias, which begins with one value, is to bring the mean of the output to 0 too, so
            that it is normalized within the batch (Krähenbühl and others, there for each channel).
        select: a glob over the weights that are scaled; the rest of the plan stays as it is.

    Returns:
        The scale of each layer, with the rounds and the variance in the end, and the spec that has them.
        What the rounds did not bring within the tolerance is a `RuntimeWarning` too.

    Raises:
        SpecError: module and plan differ, as in `initialize_`; the module's code fails on the batch; a layer
            gives no signal or values that are not finite, is called twice or not at all, has several
            matrices, shares its matrix with another layer, follows it, or has a scale that something
            undoes; or its weights are skipped by the plan (code ``input``).
        UnknownParameterError: `select` matches nothing.
        TypeError: `module` or `plan` is something else.
        ValueError: `tolerance` is no number above 0, or `max_rounds` no whole number of 1 or more.

    Reference:
        Mishkin, Matas, "All you need is a good init", 2016, https://arxiv.org/abs/1511.06422; Krähenbühl,
        Doersch, Donahue, Darrell, "Data-dependent Initializations of Convolutional Neural Networks", 2016,
        https://arxiv.org/abs/1511.06856

    Example:
        >>> import initcfg, torch
        >>> from initcfg.adapters.torch import manifest
        >>> module = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False), torch.nn.Tanh())
        >>> _ = module.append(torch.nn.Linear(64, 64, bias=False))
        >>> spec = {"initcfg": 1, "layout": "out_in", "rules": [{"match": "**", "initializer": "orthogonal"}]}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(module))
        >>> found = lsuv_(module, torch.linspace(-9, 9, 8192).sin().reshape(128, 64), plan)
        >>> [each.rounds for each in found.scales], found.outside
        ([1, 1], ())
        >>> found.spec.params["2.weight"].initializer.name
        'scaled'
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"lsuv_ takes a torch.nn.Module, not {type(module).__name__}")
    require_plan(plan, "lsuv_", "initcfg.make_plan(spec, manifest=manifest(module))")
    require_limits(tolerance, max_rounds)
    require_shapes(module)
    entries = manifest(module)
    layers = layers_of(plan, entries, _held(module, plan), select, center=center)
    initialize_(module, plan, device=home_of(module))
    with _kept(module):
        fed = batch_of(batch, module)
    trial = trial_of(module, fed.about)

    def initialize(plan: Plan) -> None:
        with warnings.catch_warnings():  # which were told the first time
            warnings.simplefilter("ignore")
            initialize_(module, plan)

    def run(look: Look) -> None:
        modules = dict(named_modules_of(module))
        tensors = {name: ref.tensor for ref in refs_of(module) for name in ref.names}
        with _kept(module) as stack:
            watch = _Watch(tensors, look, trial)
            for seed, (name, layer) in enumerate(layers.items()):
                for handle in watch.begin(modules[name], layer, seed):
                    stack.callback(handle.remove)
            output_of(module, copied(fed), trial)

    return scale_layers(plan, entries, layers, initialize, run, tolerance=tolerance, max_rounds=max_rounds)


def _held(module: torch.nn.Module, plan: Plan) -> Iterator[tuple[str, list[str]]]:
    """The modules that multiply by a matrix, with the plan's names of their own parameters."""
    names = {}
    for ref in refs_of(module):
        names[id(ref.tensor)] = next((each for each in ref.names if each in plan), ref.names[0])
    modules = dict(named_modules_of(module))
    kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    tables = (each for each in modules.values() if isinstance(each, kinds))
    looked_up = {id(each) for table in tables for each in table.parameters()}
    held: dict[str, list[int]] = {}
    for name, inner in modules.items():
        own = [id(each) for each in inner.parameters(recurse=False)]
        holder = _holder(name, modules)
        if isinstance(inner, torch.nn.MultiheadAttention):
            own = []  # it calls no module: its output is that of `out_proj`, and of the others none is seen
        held.setdefault(holder, []).extend(own)
    for name, own in held.items():
        if not looked_up & set(own):
            yield name, [names[each] for each in own]


def _holder(name: str, modules: Mapping[str, torch.nn.Module]) -> str:
    """The module in whose output the parameters of a module show."""
    # What a weight is computed of stands in modules of its own.
    holder = re.split(r"(?:^|\.)parametrizations\.", name)[0]
    if holder != name and is_parametrized(modules[holder]):
        return holder
    outer, _, last = name.rpartition(".")
    is_projection = last == "out_proj" and isinstance(modules[outer], torch.nn.MultiheadAttention)
    return outer if is_projection else name


@contextlib.contextmanager
def _kept(module: torch.nn.Module) -> Iterator[contextlib.ExitStack]:
    """A block in which the module trains without gradients; it puts modes, buffers and random states back."""
    with contextlib.ExitStack() as stack, torch.no_grad():
        stack.enter_context(as_it_was())
        stack.enter_context(torch.no_grad())
        torch.manual_seed(0)
        for inner in module.modules():
            stack.callback(setattr, inner, "training", inner.training)
            for key, buffer in inner._buffers.items():
                if buffer is not None:
                    stack.callback(inner._buffers.__setitem__, key, buffer)
                    stack.callback(buffer.copy_, buffer.clone())
        module.train()
        yield stack


class _Watch:
    """Looks at the output of each layer, and goes on with what it gives when it is settled."""

    def __init__(self, tensors: dict[str, torch.Tensor], look: Look, trial: Trial) -> None:
        self._tensors, self._look, self._trial = tensors, look, trial
        self._is_measuring = False  # layers inside of the one that is measured are settled by then

    def begin(self, inner: torch.nn.Module, layer: Layer, seed: int) -> Iterator[RemovableHandle]:
        """Hooks that see what the module is given before its own hooks do, and what it gives after them."""
        given: Any = None

        def before(_: torch.nn.Module, args: Any, kwargs: Any) -> None:
            nonlocal given
            torch.manual_seed(seed)  # dropout inside of a layer is the same in each measurement
            if not self._is_measuring:
                given = copied((args, kwargs))

        def after(_: torch.nn.Module, __: Any, ___: Any, output: Any) -> Any:
            return None if self._is_measuring else self._settled(inner, layer, given, output)

        yield inner.register_forward_pre_hook(before, prepend=True, with_kwargs=True)
        yield inner.register_forward_hook(after, with_kwargs=True)

    def _settled(self, inner: torch.nn.Module, layer: Layer, given: Any, last: Any) -> Any:
        weight = self._tensors[layer.weight]
        start = weight.double()

        def measure(factor: float, bias: float) -> Passed:
            nonlocal last
            weight.copy_(start * factor)
            if layer.bias is not None:
                self._tensors[layer.bias].fill_(bias)
            args, kwargs = copied(given)
            with self._trial.running():
                last = inner(*args, **kwargs)
            return _passed(layer, last)

        self._is_measuring = True
        try:
            with self._trial.looking():
                self._look(layer.name, _passed(layer, last), measure)
        finally:
            self._is_measuring = False
        return last


def _passed(layer: Layer, output: Any) -> Passed:
    result = first_tensor(output)
    return Passed.of(layer.name, np.empty(0) if result is None else result.double().cpu().numpy())
