"""An initializer as an object and as a config: `get`, `deserialize` and `serialize`.

Whatever means an initializer is read by `read_config`, in a document, by `deserialize` and as a part of
another initializer; `build` makes the object.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Annotated, Any, cast, overload

from pydantic_core import PydanticCustomError, ValidationError

from initcfg.errors import Code, InitializerError
from initcfg.frozen import FrozenDict
from initcfg.initializers.annotations import LITERALS, ReadBy, Reading
from initcfg.initializers.arguments import arguments_of
from initcfg.initializers.base import BuiltIn, checked
from initcfg.initializers.custom import FunctionInitializer, Initializer
from initcfg.initializers.forms import InitializerConfig, known_arguments, read_arguments, read_form
from initcfg.initializers.registry import canonical_name, lookup, registered_name, unknown_initializer
from initcfg.initializers.values import (
    diagnostic_of,
    fault,
    faults_of,
    is_finite,
    listed,
    plain,
    refusal,
    same,
    shown,
)

Identifier = str | Mapping[str, Any] | type[Initializer] | Callable[..., Any]

_by_content: ContextVar[bool] = ContextVar("by_content", default=False)
_WAYS = "give a name, a dict with class_name and config, an Initializer, a function or an array"


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: Identifier) -> Initializer: ...
@overload
def get(identifier: Any) -> Initializer | None: ...
def get(identifier: Any) -> Initializer | None:
    """The initializer that an identifier means.

    Args:
        identifier: None (gives None), a name, a dict as `deserialize` takes, an initializer of this package
            or of Keras, an initializer class (gives an instance), an array (gives a `Constant`), or a
            function of a shape and ``dtype=None``.

    Raises:
        InitializerError: it means none, or its arguments are wrong.

    Example:
        >>> get("zeros"), get({"class_name": "RandomNormal", "config": {"stddev": 0.02}})
        (Zeros(), RandomNormal(stddev=0.02))
    """
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, str | Mapping):
        return _from_written(identifier)
    if isinstance(identifier, type):
        return _of_class(identifier)
    if type(identifier).__module__.startswith("keras.src.initializers."):
        return _from_written(_config_of_keras(identifier))
    if callable(identifier):
        return FunctionInitializer(identifier)
    if hasattr(identifier, "__array__"):
        return _from_written({"constant": {"value": identifier}})
    raise _no_initializer(f"{shown(identifier)} is not an initializer")


def _config_of_keras(initializer: Any) -> dict[str, Any]:
    """The config of an initializer of Keras; the gain of its ``Identity`` is in none of Keras's own."""
    name = type(initializer).__name__
    config = initializer.get_config()
    if name == "Identity":
        config = {**config, "gain": initializer.gain}
    return {"class_name": name, "config": config}


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
        raise InitializerError.of(
            Code.WRONG_TYPE,
            f"an initializer is read from a mapping, got {shown(config)}",
            hint="initcfg.initializers.get takes names and other identifiers",
        )
    return _from_written(config)


def _from_written(written: str | Mapping[str, Any]) -> Initializer:
    if isinstance(written, Mapping) and written.get("class_name") == "function":
        raise InitializerError.of(
            Code.UNKNOWN_INITIALIZER,
            f"the function {written.get('config')!r} cannot be found by its name",
            hint="pass the function itself, or register a subclass of Initializer",
        )
    try:
        return build(read_config(written))
    except ValidationError as error:
        raise InitializerError(*(diagnostic_of(each) for _, each in faults_of(error))) from None


def build(config: InitializerConfig) -> Initializer:
    """The initializer that a config without expressions describes."""
    if config.instance is not None:
        made: Initializer = get(config.instance)
        return made
    cls = lookup(config.lookup_name)
    if cls is None:
        raise InitializerError(unknown_initializer(config.lookup_name))
    return cls.from_config({key: _built(value) for key, value in config.config.items()})


def _built(value: Any) -> Any:
    """Nested configs as initializers."""
    if isinstance(value, tuple):
        return tuple(map(_built, value))
    if isinstance(value, FrozenDict):
        return FrozenDict({key: _built(item) for key, item in value.items()})
    return build(value) if isinstance(value, InitializerConfig) else value


def _of_class(cls: type[Any]) -> Initializer | None:
    """An instance without arguments, of an initializer class or of one whose instances are functions."""
    is_ours = issubclass(cls, Initializer)
    calls = any("__call__" in vars(base) for base in cls.__mro__)
    if not calls or inspect.isabstract(cls):
        raise _no_initializer(f"the class {cls.__name__} makes no initializer")
    if not is_ours or known_arguments(cls):
        checked(cls, {}, LITERALS)
    made: object = cls.from_config({}) if is_ours else cls()
    return get(made)


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
    if cls.get_config is Initializer.get_config and arguments_of(cls):
        raise InitializerError.of(
            Code.NOT_SERIALIZABLE,
            f"{cls.__name__} takes arguments and has no get_config to return them",
            hint="give it a get_config that returns its arguments as a dict",
        )
    return {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": {key: _written(key, value, cls) for key, value in config.items()},
        "registered_name": registered_name(cls),
    }


def serialize_by_content(initializer: Initializer) -> dict[str, Any]:
    """As `serialize`, with a digest of what is read from a file in the place of its name."""
    token = _by_content.set(True)
    try:
        return serialize(initializer)
    finally:
        _by_content.reset(token)


def is_by_content() -> bool:
    """Whether a config is for `serialize_by_content`."""
    return _by_content.get()


def _written(key: object, value: object, cls: type[Initializer]) -> object:
    """A value of a custom config as JSON has it: arrays and tuples are lists."""
    value = listed(plain(value))
    if isinstance(value, Mapping) and all(isinstance(inner, str) for inner in value):
        return {inner: _written(key, item, cls) for inner, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(key, item, cls) for item in value]
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and is_finite(value)):
        return value
    raise InitializerError.of(
        Code.NOT_SERIALIZABLE,
        f"{cls.__name__} has {shown(value)} in its argument {key!r}, which cannot be written down",
        hint="let get_config return finite numbers, strings, lists and dicts",
    )


def _no_initializer(message: str) -> InitializerError:
    return InitializerError.of(Code.WRONG_TYPE, message, hint=_WAYS)


def read_config(value: object, reading: Reading = LITERALS) -> InitializerConfig:
    """The normal form of an initializer in any form that a document or Python has for it.

    A ValidationError tells each fault at its path within `value`.
    """
    is_python = isinstance(value, Initializer) or callable(value) or hasattr(value, "__array__")
    try:
        return _from_python(value, reading) if is_python else read_form(value, reading)
    except PydanticCustomError as error:
        raise refusal("initializer", [((), error)]) from None


def _got(value: object) -> Initializer | None:
    """As `get`, for pydantic to carry what is wrong to its place."""
    try:
        return get(value)
    except InitializerError as error:
        faults = [((), fault(each.code, each.message, each.hint)) for each in error.diagnostics]
        raise refusal("initializer", faults) from None


def _from_python(value: object, reading: Reading) -> InitializerConfig:
    """An object by its registered name and the arguments that differ from their defaults, else as it is."""
    instance = cast("Initializer", _got(value))
    try:
        name, config = canonical_name(type(instance)), _config_of(instance)
    except InitializerError:
        return _kept(instance)
    arguments = known_arguments(type(instance)) or {}
    changed = {
        key: item
        for key, item in config.items()
        if key not in arguments or arguments[key].is_required or not same(item, arguments[key].default)
    }
    if isinstance(instance, BuiltIn):
        return InitializerConfig(name, read_arguments(name, changed, reading), form="object")
    texts = {key for key, item in changed.items() if isinstance(item, str)}
    # What an expression would be in a document is a string in Python, and only the object says so.
    if any(arguments[key].holds_expressions for key in texts & arguments.keys()):
        return _kept(instance)
    try:
        return InitializerConfig(name, read_arguments(name, changed, reading))
    except ValidationError:
        return _kept(instance)


def _kept(instance: Initializer) -> InitializerConfig:
    """An object that a document cannot hold."""
    return InitializerConfig(getattr(instance, "__name__", type(instance).__name__), instance=instance)


def _config_of(instance: Initializer) -> dict[str, Any]:
    """The arguments of an object; those of a built-in as they are, since its parts may have no config."""
    if isinstance(instance, BuiltIn):
        return {entry.name: getattr(instance, entry.name) for entry in dataclasses.fields(instance)}
    config: dict[str, Any] = serialize(instance)["config"]
    return config


def read_part(value: object, info: Any) -> Initializer | InitializerConfig:
    """An initializer from whatever means one; of a document its config."""
    if info.context is not None:
        return read_config(value, info.context._replace(depth=info.context.depth + 1))
    part = _got(value)
    if part is None:
        raise fault(Code.WRONG_TYPE, "a part has no initializer", "name one, such as zeros")
    return part


Part = Annotated[Initializer, ReadBy(read_part, "an initializer", "initializers", serialize)]
