"""One forward and one backward pass of a module with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import copy
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from initcfg.adapters.torch.batches import batch_of, copied, first_tensor, output_of, trial_of
from initcfg.adapters.torch.expecting import Expectations, Law
from initcfg.adapters.torch.initializing import initialize_
from initcfg.adapters.torch.parameters import refs_of, require_shapes
from initcfg.adapters.torch.passing import Watch, hooked
from initcfg.adapters.torch.recording import random_states_kept
from initcfg.errors import Code, SpecError
from initcfg.plan.listing import law_moments
from initcfg.plan.plan import owner
from initcfg.probe.passes import Pass
from initcfg.probe.subject import Subject, require_plans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe import Probe
    from initcfg.probe.subject import Aim
    from initcfg.probe.watching import Batch

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
    require_plans(plans, seeds, "module")
    with as_it_was():
        first = copied_module(module)
        if plans:
            initialize_(first, next(iter(plans.values())), device=home_of(first))
        fed = batch_of(batch, first)
        del first
        return Probed(module, fed, loss).probe(plans, seeds)


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Puts random states back, and takes gradients whatever the caller's mode is; nothing is compiled."""
    # Compiled code calls no hooks. Without this module there is none, and torch before 2.6 has no stance.
    is_eager = "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance")
    eager = contextlib.nullcontext() if is_eager else torch.compiler.set_stance("force_eager")
    with random_states_kept(), torch.inference_mode(False), torch.enable_grad(), eager:
        yield


def copied_module(module: torch.nn.Module) -> torch.nn.Module:
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


class Probed(Subject):
    """A module on one batch."""

    IGNORED = -100  # as torch's cross entropy has it

    def __init__(self, module: torch.nn.Module, batch: Batch, loss: Loss | None) -> None:
        super().__init__(type(module).__name__, trial_of(module, batch.about), batch, loss)
        self._module = module

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        module = copied_module(self._module)
        if plan is not None:
            initialize_(module, plan, device=home_of(module))
        found = Pass()
        refs = [ref for ref in refs_of(module) if not ref.buffer]
        torch.manual_seed(0)
        batch = copied(self.batch)
        expectations = Expectations(_laws(module, plan), batch.args, batch.kwargs)
        watch = Watch(module, found, expectations, self)
        with hooked(module, watch.modules), watch:
            output = output_of(module, batch, self.trial)
        loss = self.loss_of(output)
        if not loss.requires_grad:
            message = f"no parameter has a part in what {self.kind} gives"
            raise SpecError.of(Code.INPUT, message, "give a batch or a loss from which a gradient goes back")
        loss.backward()
        expectations.conclude()
        found.loss = self.known(loss)
        for ref in refs:
            gradient = None if ref.tensor.grad is None else self.numpy(ref.tensor.grad)
            found.add_weight(ref.names[0], self.numpy(ref.tensor), gradient, ref.tensor.nbytes)
        return found

    def first(self, tree: Any) -> tuple[torch.Tensor, Callable[[torch.Tensor], Any]] | None:
        """The first floating tensor of a tree, in whose place another one may stand."""
        found = first_tensor(tree)
        return None if found is None else (found, lambda tensor: tensor)

    def array_of(self, values: Any) -> Any:
        """A tensor as numpy's array, of floating numbers in float64."""
        tensor = torch.as_tensor(values).detach()
        return (tensor.double() if tensor.is_floating_point() else tensor).cpu().numpy()

    def aimed(self, aim: Aim, result: torch.Tensor) -> torch.Tensor:
        """The loss that an aim is."""
        wanted, result = torch.as_tensor(aim.target, device=result.device), result.float()
        if aim.kind == "classes":
            return functional.cross_entropy(result.flatten(0, -2), wanted.flatten().long())
        return ((result - wanted).square() if aim.kind == "squares" else result * wanted).mean()


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
