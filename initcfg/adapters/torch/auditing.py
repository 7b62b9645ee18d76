"""What the code of a live module leaves out, does twice or undoes when it initializes the module."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

from initcfg.adapters.torch.recorded import record_once, watch
from initcfg.capture.audit import Audit, Idle, audit_recordings, is_idle
from initcfg.capture.settings import named_settings, other_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from initcfg.capture.values import Recording


def audit(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
) -> Audit:
    """Runs the code that makes a module, and says what it leaves out, does twice or undoes.

    Large and random tensors are not made, so that a model of any size will do. It is made in two ways:
    constructed, with `init` after it; and, where it has an init function, given memory by ``to_empty`` and
    initialized by that. Each write to each part of a parameter or buffer counts. Torch is afterwards as it
    was. One that has a config is built again for each number of it that the init code names.

    Args:
        build: makes the module, without arguments; a class will do.
        init: called with the module, where its users do so after they have made it. Without it the init
            function of the second way is the module's ``init_weights()``, if it has one.

    Returns:
        The findings, each at a line of the module's code; true where there are some. Notes are no finding.

    Raises:
        TypeError: `build` makes something that is no ``torch.nn.Module``.
        SpecError: the module is lazy and has no shapes yet (code ``input``).

    Example:
        >>> import torch
        >>> class Scale(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.scale = torch.nn.Parameter(torch.empty(8))
        >>> [str(each.code) for each in audit(Scale).diagnostics]
        ['never-written']
        >>> bool(audit(lambda: torch.nn.Linear(4, 4)))
        False
    """
    module, constructed, deferred = watch(build, init)
    return audit_recordings(constructed, deferred, _idle_settings(module, init, constructed))


def assert_initialized(
    build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
) -> None:
    """Raises what `audit` finds: for a test of a module.

    Args:
        build, init: as in `audit`.

    Raises:
        AuditError: something was found; an AssertionError, and as text the report.
        TypeError: as in `audit`.

    Example:
        >>> import torch
        >>> assert_initialized(lambda: torch.nn.Linear(4, 4))
    """
    audit(build, init).require_fine()


def _idle_settings(
    module: torch.nn.Module, init: Callable[[torch.nn.Module], object] | None, constructed: Recording
) -> Iterator[Idle]:
    """The values of a module's config that its init code names, and that change nothing of the module.

    Modules that their class does not make again of a changed config are left alone.
    """
    config: Any = getattr(module, "config", None)
    kind: Any = type(module)
    if config is None:
        return
    for setting, site in named_settings(list(module.modules()), config):
        if _changes_nothing(kind, init, config, setting, constructed):
            yield Idle(setting, site)


def _changes_nothing(
    kind: Any,
    init: Callable[[torch.nn.Module], object] | None,
    config: Any,
    setting: str,
    constructed: Recording,
) -> bool:
    """Whether all other values of a setting that a module can be made of leave its laws and shapes alone.

    One value may by chance: 104 // 16 is 104 // 17.
    """
    found = False
    for value in other_values(getattr(config, setting)):
        changed = copy.deepcopy(config)
        setattr(changed, setting, value)
        if getattr(changed, setting) != value:
            continue  # it follows from others
        try:
            again = record_once(functools.partial(kind, changed), init)
        except Exception:  # noqa: S112 - the value does not suit the others; the next may
            continue
        if not is_idle(constructed.tensors, again):
            return False
        found = True
    return found
