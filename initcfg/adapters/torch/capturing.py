"""The spec of a live module: its code runs, what it writes is recorded, and written down as laws."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from initcfg.adapters.torch.recorded import record, record_once
from initcfg.capture.captured import Captured
from initcfg.capture.numbers import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from initcfg.capture.values import Recorded


def capture(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
) -> Captured:
    """Runs the code that makes a module, and gives the spec of how the module begins.

    Large and random tensors are not made, so that a model of any size will do. One that has a config, as
    those of transformers have, is built some twenty times more with other values of it, to see what its
    numbers come from. What has no law that a spec can say is in ``unsaid``. Torch is afterwards as it was.

    Args:
        build: makes the module, without arguments; a class will do.
        init: called with the module, where its users do so after they have made it.

    Returns:
        The spec with its tables, as text with comments too; `initcfg.make_plan` takes ``captured.spec``.

    Raises:
        TypeError: `build` makes something that is no ``torch.nn.Module``.

    Example:
        >>> import torch
        >>> capture(lambda: torch.nn.Linear(8, 4)).spec.rules[-1].initializer.name
        'kaiming_uniform'
    """
    made: list[torch.nn.Module] = []

    def building() -> torch.nn.Module:
        made.append(build())
        return made[-1]

    recorded = record(building, init)
    return Captured(type(made[0]).__name__, recorded, _source(made[0], init))


def _source(module: torch.nn.Module, init: Callable[[torch.nn.Module], object] | None) -> Source:
    """The numbers of a module's config, where its class makes it of one."""
    kind: Any = type(module)
    config: Any = getattr(module, "config", None)
    if config is None or not hasattr(kind, "config_class"):
        return Source()
    values = {
        name: value
        for name, value in config.to_dict().items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name.isidentifier()
    }

    def rebuild(changes: Mapping[str, float]) -> tuple[Recorded, ...]:
        changed = copy.deepcopy(config)
        for name, value in changes.items():
            setattr(changed, name, value)
        return record_once(lambda: kind(changed), init)

    return Source(values, rebuild)
