"""From identifiers and Keras's dicts to initializers, and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from initcfg.errors import Code, Diagnostic, InitializerError, did_you_mean
from initcfg.initializers.base import BuiltIn, Initializer
from initcfg.initializers.constants import Constant
from initcfg.initializers.custom import FunctionInitializer
from initcfg.initializers.fields import config_problems, fields_of
from initcfg.initializers.names import canonical_name, lookup, registered_name, unknown_initializer
from initcfg.initializers.values import is_finite, listed, plain, shown

__all__ = ["Identifier", "deserialize", "from_name", "get", "serialize"]

Identifier = str | Mapping[str, Any] | type[Initializer] | Callable[..., Any]

# shared_object_id says which objects of a Keras model are one and the same; initializers have no identity
# here.
_KERAS_KEYS = ("class_name", "config", "module", "registered_name", "shared_object_id")


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: Identifier) -> Initializer: ...
@overload
def get(identifier: Any) -> Initializer | None: ...
def get(identifier: Any) -> Initializer | None:
    """The initializer that an identifier means.

    Args:
        identifier: None (gives None), a name, a dict as `deserialize` takes, an initializer, an initializer
            class (gives an instance), an array (gives a `Constant`), or a function of a shape and
            ``dtype=None``.

    Raises:
        InitializerError: it means none, or its arguments are wrong.

    Example:
        >>> get("zeros"), get({"class_name": "RandomNormal", "config": {"stddev": 0.02}})
        (Zeros(), RandomNormal(stddev=0.02))
    """
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, str):
        return from_name(identifier, {})
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type):
        return _of_class(identifier)
    if callable(identifier):
        return FunctionInitializer(identifier)
    if hasattr(identifier, "__array__"):
        return Constant(identifier)
    raise _no_initializer(f"{shown(identifier)} is not an initializer")


def deserialize(config: Mapping[str, Any]) -> Initializer:
    """The initializer that a dict describes.

    Args:
        config: Keras's form, ``{"class_name": ..., "config": {...}}`` with or without ``module`` and
            ``registered_name``, or the short form with one key, ``{"random_normal": {"stddev": 0.02}}``.
            Classes are looked up by name only; ``module`` is never imported.

    Raises:
        InitializerError: the dict has another form, nothing has the name, or the arguments are wrong.

    Example:
        >>> deserialize({"module": "keras.initializers", "class_name": "Constant", "config": {"value": 3.0},
        ...              "registered_name": None})
        Constant(value=3.0)
    """
    if not isinstance(config, Mapping):
        raise InitializerError(
            Diagnostic(
                Code.WRONG_TYPE,
                f"an initializer is read from a mapping, got {shown(config)}",
                hint="initcfg.initializers.get takes names and other identifiers",
            )
        )
    if "class_name" not in config:
        return _from_short_form(config)
    unknown = [key for key in config if key not in _KERAS_KEYS]
    if unknown:
        hint = did_you_mean(str(unknown[0]), _KERAS_KEYS) or f"the keys are {', '.join(_KERAS_KEYS[:4])}"
        raise InitializerError(
            Diagnostic(Code.UNKNOWN_KEY, f"an initializer has no key {unknown[0]!r}", hint=hint)
        )
    name = config["class_name"]
    registered = config.get("registered_name")
    if name == "function":
        raise InitializerError(
            Diagnostic(
                Code.UNKNOWN_INITIALIZER,
                f"the function {config.get('config')!r} cannot be found by its name",
                hint="pass the function itself, or register a subclass of Initializer",
            )
        )
    return from_name(registered if registered is not None else name, config.get("config"))


def from_name(name: Any, config: Any) -> Initializer:
    """The initializer of a name and its arguments.

    Args:
        name: as `initcfg.initializers.lookup` takes.
        config: a mapping of arguments; None for none.

    Raises:
        InitializerError: nothing has the name, or the arguments are wrong.
    """
    if not isinstance(name, str):
        raise InitializerError(
            Diagnostic(Code.WRONG_TYPE, f"the name of an initializer must be a string, got {shown(name)}")
        )
    cls = lookup(name)
    if cls is None:
        raise InitializerError(unknown_initializer(name))
    if config is not None and not isinstance(config, Mapping):
        raise InitializerError(
            Diagnostic(
                Code.WRONG_TYPE,
                f"the config of {name!r} must be a mapping of arguments, got {shown(config)}",
                hint=f"its arguments are {', '.join(fields_of(cls))}" if fields_of(cls) else None,
            )
        )
    return _instance(cls, config or {})


def serialize(initializer: Initializer | Callable[..., Any]) -> dict[str, Any]:
    """The dict that `deserialize`, and Keras for its own classes, make an equal initializer from.

    Raises:
        InitializerError: a function, an unregistered class, one that takes arguments and has no
            ``get_config``, or one whose config holds something else than plain data (code
            ``not-serializable``).

    Example:
        >>> from initcfg.initializers import Zeros
        >>> serialize(Zeros())
        {'module': 'keras.initializers', 'class_name': 'Zeros', 'config': {}, 'registered_name': None}
    """
    found = get(initializer)
    if found is None:
        raise _no_initializer("None is not an initializer")
    cls: type[Initializer] = type(found)
    config = found.get_config()
    canonical_name(cls)
    if isinstance(found, BuiltIn) and registered_name(cls) == cls.__name__:
        return {
            "module": found.module,
            "class_name": cls.__name__,
            "config": config,
            "registered_name": None,
        }
    if cls.get_config is Initializer.get_config and fields_of(cls):
        raise InitializerError(
            Diagnostic(
                Code.NOT_SERIALIZABLE,
                f"{cls.__name__} takes arguments and has no get_config to tell them",
                hint="give it a get_config that returns its arguments as a dict",
            )
        )
    return {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": {key: _written(key, value, cls) for key, value in config.items()},
        "registered_name": registered_name(cls),
    }


def _written(key: object, value: object, cls: type[Initializer]) -> object:
    """A value of a custom config as JSON has it: arrays and tuples are lists."""
    value = listed(plain(value))
    if isinstance(value, Mapping) and all(isinstance(inner, str) for inner in value):
        return {inner: _written(key, item, cls) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(key, item, cls) for item in value]
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and is_finite(value)):
        return value
    raise InitializerError(
        Diagnostic(
            Code.NOT_SERIALIZABLE,
            f"{cls.__name__} has {shown(value)} in its argument {key!r}, which cannot be written down",
            hint="let get_config return finite numbers, strings, lists and dicts",
        )
    )


def _from_short_form(config: Mapping[str, Any]) -> Initializer:
    if len(config) != 1:
        raise InitializerError(
            Diagnostic(
                Code.MISSING_KEY,
                f"an initializer is a mapping with class_name or with one name, got {len(config)} keys",
                hint="write {random_normal: {stddev: 0.02}}",
            )
        )
    [(name, arguments)] = config.items()
    return from_name(name, arguments)


def _of_class(cls: type[Any]) -> Initializer | None:
    """An instance without arguments, of an initializer class or of one whose instances are functions."""
    if issubclass(cls, Initializer) and not inspect.isabstract(cls):
        return _instance(cls, {})
    calls = any("__call__" in vars(base) for base in cls.__mro__)
    if not calls or inspect.isabstract(cls):
        raise _no_initializer(f"the class {cls.__name__} makes no initializer")
    problems = config_problems(cls, {})
    if problems:
        raise InitializerError(*problems)
    made: object = cls()
    return get(made)


def _no_initializer(message: str) -> InitializerError:
    hint = "give a name, a dict with class_name and config, an Initializer, a function or an array"
    return InitializerError(Diagnostic(Code.WRONG_TYPE, message, hint=hint))


def _instance(cls: type[Initializer], config: Mapping[str, Any]) -> Initializer:
    """An instance; a custom ``from_config`` may read keys that ``__init__`` does not take."""
    if cls.from_config.__func__ is Initializer.from_config.__func__:  # type: ignore[attr-defined]
        problems = config_problems(cls, config)
        if problems:
            raise InitializerError(*problems)
    return cls.from_config(config)
