"""One forward and one backward pass of a module with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import copy
import math
import sys
import warnings
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional

from initcfg.adapters.torch.batches import Batch, batch_of, first_tensor
from initcfg.adapters.torch.expecting import Expectations, Law
from initcfg.adapters.torch.initializing import initialize_
from initcfg.adapters.torch.parameters import refs_of, require_shapes
from initcfg.adapters.torch.passing import Watch, numpy_of
from initcfg.adapters.torch.recording import random_states_kept
from initcfg.errors import Code, SpecError
from initcfg.names import few
from initcfg.plan import require_plan
from initcfg.plan.listing import law_moments
from initcfg.plan.plan import owner
from initcfg.probe.passes import Pass, Step, probe_of, require_seeds
from initcfg.probe.values import finite

# The seed of labels is not that of a batch: random labels that are its tokens would be learned already.
_LABELS = 1

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.adapters.torch.expecting import Expected
    from initcfg.plan import Plan
    from initcfg.probe import Probe

    Loss = Callable[[Any, Any], torch.Tensor]


def probe(
    model: torch.nn.Module | Callable[[], torch.nn.Module],
    batch: Any = None,
    *,
    plans: Mapping[str, Plan] | None = None,
    seeds: Sequence[int] | None = None,
    loss: Loss | None = None,
) -> Probe:
    """Measures one forward and one backward pass of a module, with the weights of each plan.

    The passes run in copies of the module, in training mode as the first step would be: weights, buffers,
    modes, hooks, gradients and random states are afterwards as they were, also after an exception. Batch,
    labels and dropout are the same for every plan; of a seed only the weights depend. Memory is that of one
    more model, its gradients and activations.

    Blocks are the outermost repeated layers, by the names of the parameters; a module without any has its
    leaves with matrices. What no module and no function of ``torch.nn.functional`` does is not seen.

    Args:
        model: a module, or what makes one; on the meta device where every parameter is planned.
        batch: a tensor, a pair of input and target, or a mapping of keywords. By default random tokens,
            images or rows, as the first layer takes them.
        plans: by the names under which they are shown. Without any the module's own weights are measured.
        seeds: each plan is made with each of these in the place of its own; initializers with a seed of
            their own keep it.
        loss: called with what the module gives and the target (None without one), for one number. By default
            the ``loss`` that the module gives, else cross entropy of its logits, or of a plain tensor of two
            or three axes, the last the classes, with the target or random labels. Where nothing of this
            fits, the gradient begins as random numbers, and there is no loss.

    What a plan skips is as the module has it, which a RuntimeWarning tells: what no code has written is then
    whatever its memory held.

    Returns:
        The measurements, one for each seed; as text a table.

    Raises:
        SpecError: a plan does not fit the module, as in `initialize_`; no batch was given and none is found,
            the module is lazy or cannot be copied, its code fails on the batch, it gives nothing to go back
            from, or it calls other modules with another seed (code ``input``).
        TypeError: `model` makes no module, or a plan is none.
        ValueError: there are seeds and no plan, or no seed.

    Example:
        >>> import initcfg, torch
        >>> from initcfg.adapters.torch import manifest
        >>> layers = [torch.nn.Linear(64, 64, bias=False) for _ in range(8)]
        >>> module = torch.nn.Sequential(*layers)
        >>> spec = {"initcfg": 1, "layout": "out_in", "rules": [{"match": "**", "initializer": "he_normal"}]}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(module))
        >>> (run,) = probe(module, plans={"he": plan}).runs
        >>> first, last = run.blocks[1].forward.square[0], run.blocks[-1].forward.square[0]
        >>> 60 < last / first < 300  # he_normal is for ReLU; without one the signal doubles, seven times
        True
    """
    module = model if isinstance(model, torch.nn.Module) else model()
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"model makes a torch.nn.Module, not {type(module).__name__}")
    require_shapes(module)
    for plan in (plans or {}).values():
        require_plan(plan, "probe", "initcfg.make_plan(spec, manifest=manifest(module))")
    require_seeds(plans, seeds)
    with as_it_was():
        first = _copied(module)
        if plans:
            skipped = initialize_(first, next(iter(plans.values())), device=home_of(first)).skipped
            if skipped:
                message = f"the plan skips {few(skipped)}: measured as the module has them, written or not"
                warnings.warn(message, RuntimeWarning, stacklevel=2)
        fed = batch_of(batch, first)
        del first
        passes = Passes(module, fed, loss)
        return probe_of(passes, plans, seeds, model=type(module).__name__, batch=fed.about)


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Puts random states back, and takes gradients whatever the caller's mode is; nothing is compiled."""
    # Compiled code calls no hooks. Without this module there is none, and torch before 2.6 has no stance.
    is_eager = "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance")
    eager = contextlib.nullcontext() if is_eager else torch.compiler.set_stance("force_eager")
    with random_states_kept(), torch.inference_mode(False), torch.enable_grad(), eager:
        yield


def _copied(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that shares no memory with the module, in training mode and without gradients."""
    try:
        copied = copy.deepcopy(module)
    except Exception as error:
        message = f"{type(module).__name__} cannot be copied: {type(error).__name__}: {error}"
        raise SpecError.of(
            Code.INPUT, message, "probe runs in a copy; take out what only one may have"
        ) from error
    copied.train()
    copied.zero_grad(set_to_none=True)
    return copied


def home_of(module: torch.nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU for one on the meta device."""
    devices = (each.device for each in module.parameters())
    return next((device for device in devices if device.type != "meta"), torch.device("cpu"))


class Passes:
    """Runs passes of one module on one batch, always with the same labels and dropout."""

    def __init__(self, module: torch.nn.Module, batch: Batch, loss: Loss | None) -> None:
        self._module = module
        self._batch = batch
        self._loss = loss
        self.about = "none is known: the gradient begins as random numbers"
        self.chance: float | None = None

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        module = _copied(self._module)
        if plan is not None:
            initialize_(module, plan, device=home_of(module))
        found = Pass()
        refs = [ref for ref in refs_of(module) if not ref.buffer]
        names = [name for ref in refs for name in ref.names]
        torch.manual_seed(0)
        batch = self._batch.copied()
        expectations = Expectations(_laws(module, plan), batch.args, batch.kwargs)
        with Watch(module, names, found, expectations):
            output = batch.call(module)
        loss = self.loss_of(output)
        if not loss.requires_grad:
            message = f"no parameter has a part in what {type(self._module).__name__} gives"
            raise SpecError.of(Code.INPUT, message, "give a batch or a loss from which a gradient goes back")
        loss.backward()
        if found.blocks:
            last = found.blocks[-1]
            expectations.go_back(cast("Expected | None", last.expected), last.backward[0])
        if self.about[:4] != "none":
            found.loss = finite(float(loss.detach()))
        for ref in refs:
            gradient = None if ref.tensor.grad is None else numpy_of(ref.tensor.grad)
            found.weights.append(Step.of(ref.names[0], numpy_of(ref.tensor), gradient))
            found.nbytes += 2 * ref.tensor.nbytes
        found.nbytes += sum(each.nbytes for each in found.leaves)
        return found

    def loss_of(self, output: Any) -> torch.Tensor:
        """The loss given, the model's own, or the one that fits its output; `about` then says which."""
        target = self._batch.target
        if self._loss is not None:
            self.about = "as given"
            return self._loss(output, target)
        own = getattr(output, "loss", None)
        if isinstance(own, torch.Tensor):
            self.about = "the model's own"
            return own
        labels = torch.Generator().manual_seed(_LABELS)
        logits = getattr(output, "logits", output if isinstance(output, torch.Tensor) else None)
        if isinstance(logits, torch.Tensor) and logits.ndim in (2, 3) and logits.shape[-1] > 1:
            classes = logits.shape[-1]
            if target is None:
                target = torch.randint(classes, logits.shape[:-1], generator=labels).to(logits.device)
                said = "random labels"
            else:
                said = "the targets given"
            if not target.is_floating_point() and target.shape == logits.shape[:-1]:
                self.about, self.chance = f"cross entropy over {classes:,} classes, {said}", math.log(classes)
                return functional.cross_entropy(logits.flatten(0, -2).float(), target.flatten())
        if (
            isinstance(target, torch.Tensor)
            and isinstance(logits, torch.Tensor)
            and target.shape == logits.shape
        ):
            spread = target.float().var(correction=0)
            self.about, self.chance = "mean square of what is missed", float(spread)
            return functional.mse_loss(logits.float(), target.float())
        result = first_tensor(output)
        if result is None:
            message = f"{type(self._module).__name__} gives no tensor of floating numbers"
            raise SpecError.of(Code.INPUT, message, "give a loss, which takes what the module gives")
        direction = torch.randn(result.shape, generator=labels).to(result.device)
        return (result.float() * direction).mean()


def _laws(module: torch.nn.Module, plan: Plan | None) -> dict[int, Law]:
    """The laws of the parameters by identity; without a planned one, what the values come to."""
    found = {}
    for ref in refs_of(module):
        planned = next((name for name in ref.names if plan is not None and name in plan), None)
        law = None if plan is None or planned is None else law_moments(owner(plan, plan[planned]))
        if law is not None:
            found[id(ref.tensor)] = Law(ref.names[0], law.mean**2 + law.std**2, law.mean == 0)
        elif ref.tensor.is_floating_point() and ref.tensor.numel():
            values = ref.tensor.detach().double()
            mean, square = float(values.mean()), float(values.square().mean())
            # Whether the mean of that many independent values may be 0.
            found[id(ref.tensor)] = Law(ref.names[0], square, mean**2 <= 16 * square / values.numel())
    return found
