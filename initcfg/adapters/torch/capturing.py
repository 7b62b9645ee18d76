"""The spec of a live module: its code runs, what it writes is recorded, and written down as laws."""

from __future__ import annotations

import contextlib
import copy
import functools
from typing import TYPE_CHECKING, Any

from initcfg.adapters.torch.auditing import audit
from initcfg.adapters.torch.recorded import record, record_once
from initcfg.capture.captured import Captured
from initcfg.capture.numbers import Source
from initcfg.errors import Code, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

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
        ``captured.audit`` says what the module's code leaves out or undoes.

    Raises:
        TypeError: `build` makes something that is no ``torch.nn.Module``.
        SpecError: the module is lazy and has no shapes yet, or holds nothing that is saved (code ``input``).

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

    attributes = {name: _attribute(config, place) for name, place in places.items()}
    used: set[str] = set()

    def rebuild(changes: Mapping[str, float]) -> tuple[Recorded, ...]:
        changed = copy.deepcopy(config)
        for name, value in changes.items():
            _set(changed, places[name], value)
        with _reads({owner for owner, _ in attributes.values()}) as read:
            try:
                return record_once(lambda: kind(changed), init, lines=False)
            finally:
                used.update(name for name, attribute in attributes.items() if attribute in read)

    return Source(values, rebuild, used)


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
        if _is_number(value):
            yield place, name
        elif hasattr(held, "to_dict"):
            nested.append((held, place, f"{prefix}{key.removesuffix('_config')}_"))
        elif isinstance(held, dict):
            nested.append((held, place, prefix))
        elif isinstance(held, list | tuple) and held and all(map(_is_number, held)):
            yield from (((*place, index), f"{name}({index})") for index in range(len(held)))
    for each in nested:
        yield from _numbers(*each)


def _attribute(config: Any, place: _Place) -> tuple[type, str]:
    """The class of the config that a number is in, and the attribute by which code reaches it."""
    at = max(at for at in range(len(place)) if hasattr(_value(config, place[:at]), "to_dict"))
    return type(_value(config, place[:at])), str(place[at])


@contextlib.contextmanager
def _reads(kinds: Collection[type]) -> Iterator[set[tuple[type, str]]]:
    """The attributes of some configs' classes that are read while a block runs, also by another name."""
    read: set[tuple[type, str]] = set()
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            own: Any = kind.__getattribute__
            others = getattr(kind, "attribute_map", {})

            def noted(config: Any, key: str, own: Any = own, others: Mapping[str, str] = others) -> Any:
                read.add((type(config), others.get(key, key)))
                return own(config, key)

            if "__getattribute__" in vars(kind):
                stack.callback(setattr, kind, "__getattribute__", own)
            else:
                stack.callback(delattr, kind, "__getattribute__")
            kind.__getattribute__ = noted  # type: ignore[assignment]
        yield read


# What a classifier calls its outputs, and what wrote the config.
_NO_SIZES = frozenset({"id2label", "label2id", "transformers_version"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
