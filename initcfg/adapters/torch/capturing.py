"""What a live module's own code does when it makes the module: as a spec, and as findings."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

from initcfg.adapters.torch.recorded import built, record, record_once, watch
from initcfg.capture.audit import Audit, Idle, audit_recordings, is_idle
from initcfg.capture.captured import Captured
from initcfg.capture.numbers import Source
from initcfg.capture.settings import is_number, named_settings, other_values
from initcfg.errors import Code, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

    from initcfg.capture.values import Recorded, Recording


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
        ``captured.audit`` says what the module's code leaves out or undoes.

    Raises:
        TypeError: `build` makes something that is no ``torch.nn.Module``, or is a module itself.
        SpecError: the module is lazy and has no shapes yet, or holds nothing that is saved (code ``input``).

    Example:
        >>> import torch
        >>> capture(lambda: torch.nn.Linear(8, 4)).spec.rules[-1].initializer.name
        'kaiming_uniform'
    """
    made: list[torch.nn.Module] = []

    def building() -> torch.nn.Module:
        made.append(built(build))
        return made[-1]

    recorded = record(building, init)
    if not any(each.persistent for each in recorded):
        message = f"{type(made[0]).__name__} has no parameter, and no buffer that is saved"
        raise SpecError.of(Code.INPUT, message, "give the module that holds them; this one needs no spec")
    examine = functools.partial(audit, build, init)
    return Captured(type(made[0]).__name__, recorded, _source(made[0], init), examine)


def _source(module: torch.nn.Module, init: Callable[[torch.nn.Module], object] | None) -> Source:
    """The numbers of a module's config, where its class makes it of one."""
    kind: Any = type(module)
    config: Any = getattr(module, "config", None)
    if config is None or not hasattr(kind, "config_class"):
        return Source()
    places: dict[str, _Place] = {}
    for place, name in _numbers(config):
        places.setdefault(name, place)
    values = {name: _value(config, place) for name, place in places.items()}

    def rebuild(changes: Mapping[str, float]) -> tuple[Recorded, ...]:
        changed = copy.deepcopy(config)
        for name, value in changes.items():
            _set(changed, places[name], value)
        return record_once(lambda: kind(changed), init, lines=False)

    return Source(values, rebuild)


# Attributes, keys and indices, one in the other.
_Place = tuple[str | int, ...]


def _numbers(config: Any, at: _Place = (), prefix: str = "") -> Iterator[tuple[_Place, str]]:
    """The places of a config's numbers with the names that a spec has for them.

    One of ``text_config`` is called ``text_hidden_size``; one of a list ``depths(0)``, as in expressions.
    """
    settings = config if isinstance(config, dict) else config.to_dict()
    nested = []
    for key, value in settings.items():
        if not isinstance(key, str) or not key.isidentifier() or key in _NO_SIZES:
            continue
        name, place = f"{prefix}{key}", (*at, key)
        held = value if isinstance(config, dict) else getattr(config, key, value)
        if is_number(value):
            yield place, name
        elif hasattr(held, "to_dict"):
            nested.append((held, place, f"{prefix}{key.removesuffix('_config')}_"))
        elif isinstance(held, dict):
            nested.append((held, place, prefix))
        elif isinstance(held, list | tuple) and held and all(map(is_number, held)):
            yield from (((*place, index), f"{name}({index})") for index in range(len(held)))
    for each in nested:
        yield from _numbers(*each)


# What a classifier calls its outputs, and what wrote the config.
_NO_SIZES = frozenset({"id2label", "label2id", "transformers_version"})


def _value(config: Any, place: _Place) -> Any:
    for step in place:
        config = getattr(config, str(step)) if hasattr(config, "to_dict") else config[step]
    return config


def _set(config: Any, place: _Place, value: Any) -> None:
    """Change a number, and the lists beside it that have an entry for each of so many layers."""
    owner, old, last = _value(config, place[:-1]), _value(config, place), place[-1]
    if isinstance(owner, tuple):
        _set(config, place[:-1], tuple(value if at == last else each for at, each in enumerate(owner)))
    elif isinstance(owner, dict | list):
        owner[last] = value  # type: ignore[index]
    else:
        setattr(owner, str(last), value)
        for key, listed in list(vars(owner).items()):
            if "layer" in str(last) and isinstance(listed, list) and len(listed) == old:
                setattr(owner, key, (listed * value)[:value])


# The audit.


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
        TypeError: `build` makes something that is no ``torch.nn.Module``, or is a module itself.
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
    """The values of a module's config that its init code names, and that change nothing of the module."""
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
