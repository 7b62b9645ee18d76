"""A few steps of training at several widths: whether activations stay of one size, as under muP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch

import initcfg
from initcfg.adapters.torch.batches import batch_of, copied, output_of
from initcfg.adapters.torch.initializing import initialize_
from initcfg.adapters.torch.parameters import refs_of, require_shapes
from initcfg.adapters.torch.passing import hooked, matrices_of
from initcfg.adapters.torch.probing import Probed, as_it_was, home_of
from initcfg.errors import Code, SpecError
from initcfg.plan import require_plan
from initcfg.probe.passes import reseeded
from initcfg.probe.subject import warn_of_skipped
from initcfg.probe.values import finite
from initcfg.probe.watching import Watch
from initcfg.probe.widths import Moved, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from initcfg.adapters.torch.probing import Loss
    from initcfg.plan import Plan
    from initcfg.probe.passes import Seen

_OPTIMIZERS = {"sgd": (torch.optim.SGD, 0.1), "adam": (torch.optim.Adam, 0.01)}


def sweep_widths(
    build: Callable[[int], torch.nn.Module],
    plan_of: Callable[[torch.nn.Module, int], Plan],
    *,
    widths: Sequence[int],
    seeds: Sequence[int] = (0, 1, 2),
    batch: Any = None,
    loss: Loss | None = None,
    optimizer: Literal["sgd", "adam"] = "adam",
    rate: float | None = None,
    rates: Literal["mup", "equal"] = "mup",
    steps: int = 4,
) -> Sweep:
    """Trains nets of several widths for a few steps on one batch, and fits how their activations grow.

    This is the coordinate check of muP (Yang, Hu and others 2022): the outputs of all layers with a matrix,
    and how far each step moves them, must not grow with the width.

    Args:
        build: called with a width, makes a module; its inputs have the same shape for every width.
        plan_of: called with such a module and its width, makes its plan.
        widths: at least two.
        seeds: each net is begun with each of these in the place of its plan's seed.
        batch: as in `probe`.
        loss: as in `probe`.
        optimizer: which takes the steps, without momentum of SGD or decay.
        rate: the learning rate of the narrowest net; by default 0.1 of SGD and 0.01 of Adam.
        rates: ``mup`` divides the rate of a matrix by how many times its fan_in is that of the narrowest
            net, and for SGD multiplies it so by its fan_out; ``equal`` leaves it.
        steps: how many.

    Returns:
        Sizes and moves of each layer by width and seed; as text the powers of the width, and what breaks.

    Raises:
        SpecError: as in `probe`; or the module's shapes do not follow the width (code ``input``).
        ValueError: fewer than two widths, no seed or no step.

    Example:
        >>> from initcfg.adapters.torch import manifest
        >>> def build(width):
        ...     return torch.nn.Sequential(torch.nn.Linear(8, width), torch.nn.Linear(width, 4))
        >>> rules = [{"match": "**", "initializer": "lecun_normal"}]
        >>> spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
        >>> def plan_of(module, width):
        ...     return initcfg.make_plan(spec, manifest=manifest(module))
        >>> sweep_widths(build, plan_of, widths=[32, 128, 512], rates="equal").breaking
        ('1.weight', '1.bias')
    """
    if len(set(widths)) < 2 or not seeds or steps < 1:
        raise ValueError("a sweep takes two different widths, a seed and a step at least")
    kind, usual = _OPTIMIZERS[optimizer]
    rate = usual if rate is None else rate
    widths = sorted(set(widths))
    narrow: dict[str, tuple[float, float]] = {}
    runs: dict[tuple[int, int], dict[str, list[float | None]]] = {}  # of each layer its size and its moves
    parameters: dict[str, tuple[str, ...]] = {}
    shapes: set[tuple[torch.Size, ...]] = set()
    with as_it_was():
        for width in widths:
            for seed in seeds:
                module = require_shapes(build(width)).train()
                plan = plan_of(module, width)
                require_plan(plan, "sweep_widths", "initcfg.make_plan(spec, manifest=manifest(module))")
                if seed == seeds[0]:
                    warn_of_skipped("the plan", plan, stacklevel=3)
                initialize_(module, reseeded(plan, seed), device=home_of(module))
                fans = _fans(module, plan)
                narrow = narrow or fans
                _require_same_names(narrow, fans, width)
                scales = {name: _scale(each, narrow[name], optimizer) for name, each in fans.items()}
                groups = [
                    {"params": [ref.tensor], "lr": rate * (scales[ref.names[0]] if rates == "mup" else 1.0)}
                    for ref in refs_of(module)
                    if not ref.buffer
                ]
                optimized = kind(groups, lr=rate)
                runs[width, seed] = _moved(module, optimized, batch_of(batch, module), loss, steps)
                parameters = {name or "all": own for name, own in matrices_of(module).items()}
            shapes.add(tuple(each.shape for each in module.parameters()))
    if len(shapes) < len(widths):
        message = "the model has the same shapes at different widths"
        raise SpecError.of(
            Code.INPUT, message, "have the callable build a model of the width that it is given"
        )

    def of_all(name: str, at: int) -> tuple[tuple[float | None, ...], ...]:
        return tuple(tuple(runs[width, seed][name][at] for seed in seeds) for width in widths)

    return Sweep(
        version=initcfg.__version__,
        optimizer=optimizer,
        rate=rate,
        rates=rates,
        widths=tuple(widths),
        seeds=tuple(seeds),
        layers=tuple(
            Moved(
                name=name,
                parameters=parameters[name.partition(" (")[0]],  # of a second call, too
                sizes=of_all(name, 0),
                moves=tuple(of_all(name, at) for at in range(1, steps + 1)),
            )
            for name in runs[widths[0], seeds[0]]
        ),
    )


def _require_same_names(narrow: Mapping[str, object], fans: Mapping[str, object], width: int) -> None:
    if narrow.keys() != fans.keys():
        name = min(narrow.keys() ^ fans.keys())
        message = f"the parameter {name!r} is there at some widths and not at others (width {width})"
        raise SpecError.of(Code.INPUT, message, "have the callable build the same layers at every width")


def _fans(module: torch.nn.Module, plan: Plan) -> dict[str, tuple[float, float]]:
    """fan_in and fan_out of each parameter; of a vector 1 and its length, of a table of vectors likewise."""
    tables = {id(each.weight) for each in module.modules() if isinstance(each, torch.nn.Embedding)}
    found = {}
    for ref in refs_of(module):
        planned = next((plan[name] for name in ref.names if name in plan), None)
        fans = None if planned is None else planned.fans
        if id(ref.tensor) in tables or ref.tensor.ndim < 2 or fans is None:
            found[ref.names[0]] = (1.0, float(ref.tensor.shape[-1] if ref.tensor.ndim else 1))
        else:
            found[ref.names[0]] = (float(fans.fan_in), float(fans.fan_out))
    return found


def _scale(fans: tuple[float, float], narrow: tuple[float, float], optimizer: str) -> float:
    """How many times the rate of the narrowest net (table 3 of the paper)."""
    inputs, outputs = fans[0] / narrow[0], fans[1] / narrow[1]
    return (outputs if optimizer == "sgd" else 1.0) / inputs


def _moved(
    module: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: Any, loss: Loss | None, steps: int
) -> dict[str, list[float | None]]:
    """For each call of a layer with a matrix the size of its output, and of its change after each step."""
    first: dict[str, torch.Tensor] = {}
    found: dict[str, list[float | None]] = {}

    def look(seen: Seen, tensor: torch.Tensor) -> torch.Tensor:
        if seen.is_block and seen.kind:
            now = tensor.detach().double()
            change = now - first[seen.name] if seen.name in first else now
            first.setdefault(seen.name, now)
            found.setdefault(seen.name, []).append(finite(math.sqrt(float(change.square().mean()))))
        return tensor

    subject = Probed(module, batch, loss)
    layers = set(matrices_of(module))
    torch.manual_seed(0)
    for at in range(steps + 1):
        with hooked(module, Watch(layers, subject.first, look, subject.trial)):
            output = output_of(module, copied(batch), subject.trial)
        if at < steps:
            optimizer.zero_grad()
            subject.loss_of(output).backward()
            optimizer.step()
    return found
