"""The ways to write an initializer: a name, the short form, Keras's form, or an object in Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from initcfg import initializers
from initcfg.errors import Code, InitializerError, did_you_mean
from initcfg.initializers import BuiltIn, Initializer
from initcfg.initializers.values import same, shown
from initcfg.spec.arguments import Faults, Path, arguments_of, fields_of_name, too_deep
from initcfg.spec.initializer_config import InitializerConfig
from initcfg.spec.leaves import fault, fault_of, text

if TYPE_CHECKING:
    from initcfg.spec.frozen import FrozenDict

__all__ = ["KERAS_KEYS", "read_initializer"]

KERAS_KEYS = ("class_name", "config", "module", "registered_name")
_FORMS = "write a name, {name: {argument: value}}, or {class_name: ..., config: {...}}"


def read_initializer(value: object) -> InitializerConfig:
    """The normal form of an initializer in any of its written forms, or of an instance, class or callable.

    Raises:
        ValidationError: one error for each fault, at its path within `value`.
    """
    faults: Faults = []
    found = _read(value, (), faults)
    if found is not None and not faults:
        return found
    details = [InitErrorDetails(type=error, loc=path, input=None) for path, error in faults]
    raise ValidationError.from_exception_data("initializer", details)


def _read(value: object, path: Path, faults: Faults) -> InitializerConfig | None:
    """The normal form, or None after a fault, which is noted at its place."""
    if too_deep(path, faults):
        return None
    if isinstance(value, InitializerConfig):
        return value
    if isinstance(value, str):
        return _named(value, path, faults)
    if isinstance(value, Mapping):
        return _keras_form(value, path, faults) if "class_name" in value else _short_form(value, path, faults)
    if isinstance(value, Initializer) or callable(value) or hasattr(value, "__array__"):
        return _from_python(value, path, faults)
    faults.append((path, fault(Code.WRONG_TYPE, f"expected an initializer, got {shown(value)}", _FORMS)))
    return None


def _arguments(
    name: str, config: Mapping[Any, object], path: Path, faults: Faults, missing_at: Path
) -> FrozenDict[str, Any]:
    return arguments_of(name, config, path, faults, missing_at=missing_at, nested=_read)


def _named(name: str, path: Path, faults: Faults) -> InitializerConfig | None:
    if not name:
        faults.append((path, fault(Code.BAD_NAME, "an initializer's name is empty", _FORMS)))
        return None
    _arguments(name, {}, path, faults, missing_at=path)
    return InitializerConfig(name)


def _short_form(value: Mapping[Any, object], path: Path, faults: Faults) -> InitializerConfig | None:
    if len(value) != 1:
        keys = ", ".join(shown(key) for key in list(value)[:4])
        hint = "the short form has one key, the name: {random_normal: {stddev: 0.02}}"
        message = (
            f"expected an initializer with one key, got {f'{len(value)} keys, {keys}' if value else 'none'}"
        )
        faults.append((path, fault(Code.WRONG_TYPE, message, hint)))
        return None
    ((name, config),) = value.items()
    if not isinstance(name, str) or not name:
        faults.append(
            (path, fault(Code.BAD_NAME, f"{shown(name)} is not the name of an initializer", _FORMS))
        )
        return None
    where = (*path, name)
    if not isinstance(config, Mapping):
        mend = f"write the name alone, {name}, where there are no arguments"
        if config is not None:
            mend = _with_a_name(name, config)
        faults.append(
            (where, fault(Code.WRONG_TYPE, f"expected a mapping of arguments, got {shown(config)}", mend))
        )
        return None
    read = _arguments(name, config, where, faults, missing_at=where)
    return InitializerConfig(name, read, form="short")


def _with_a_name(name: str, value: object) -> str:
    """How to write a value where its argument was not named: the one that such a value is most often for."""
    known = list(fields_of_name(name) or ())
    usual = next((each for each in ("stddev", "value", "gain", "scale") if each in known), None)
    if usual is None or isinstance(value, list | tuple):
        return f"name its arguments: {', '.join(known) or 'it has none'}"
    return f"name the argument: {{{name}: {{{usual}: {value}}}}}"


def _keras_form(value: Mapping[Any, object], path: Path, faults: Faults) -> InitializerConfig | None:
    before = len(faults)
    for key in value:
        if key not in KERAS_KEYS:
            hint = did_you_mean(str(key), KERAS_KEYS) or f"the keys here are {', '.join(KERAS_KEYS)}"
            error = fault(Code.UNKNOWN_KEY, f"unknown key {shown(key)}", hint, key=True)
            faults.append(((*path, key), error))
    texts = {key: _text_at(value, key, path, faults) for key in KERAS_KEYS if key != "config"}
    config, where = value.get("config", {}), (*path, "config")
    if not isinstance(config, Mapping):
        error = fault(Code.WRONG_TYPE, f"expected a mapping of arguments, got {shown(config)}")
        faults.append((where, error))
    if len(faults) > before or not isinstance(config, Mapping):
        return None
    name, module, registered = str(texts["class_name"]), texts["module"], texts["registered_name"]
    missing_at = where if "config" in value else path
    read = _arguments(registered or name, config, where, faults, missing_at)
    return InitializerConfig(name, read, module, registered, form="keras")


def _text_at(value: Mapping[Any, object], key: str, path: Path, faults: Faults) -> str | None:
    """A text, which only ``class_name`` must have."""
    written = value.get(key)
    if written is None and key != "class_name":
        return None
    try:
        if text(written):
            return text(written)
        faults.append(
            ((*path, key), fault(Code.BAD_NAME, f"{key!r} is empty", "write at least one character"))
        )
    except PydanticCustomError as error:
        faults.append(((*path, key), error))
    return None


def _from_python(value: Any, path: Path, faults: Faults) -> InitializerConfig | None:
    """An object by its registered name and the arguments that differ from their defaults, else as it is."""
    try:
        instance = initializers.get(value)
    except InitializerError as error:
        faults.extend((path, fault_of(problem)) for problem in error.diagnostics)
        return None
    try:
        name, config = initializers.canonical_name(type(instance)), _config_of(instance)
    except InitializerError:
        return _kept(instance)
    fields = fields_of_name(name) or {}
    changed = {
        key: item
        for key, item in config.items()
        if key not in fields or fields[key].required or not same(item, fields[key].default)
    }
    if isinstance(instance, BuiltIn):
        return InitializerConfig(name, _arguments(name, changed, path, faults, missing_at=path))
    texts = {key for key, item in changed.items() if isinstance(item, str)}
    unfit: Faults = []
    read = _arguments(name, changed, path, unfit, missing_at=path)
    # What an expression would be in a document is a string in Python, and only the object says so.
    if unfit or any(fields[key].takes_expressions for key in texts & fields.keys()):
        return _kept(instance)
    return InitializerConfig(name, read)


def _kept(instance: Initializer) -> InitializerConfig:
    """An object that a document cannot hold."""
    return InitializerConfig(getattr(instance, "__name__", type(instance).__name__), instance=instance)


def _config_of(instance: Initializer) -> dict[str, Any]:
    """The arguments of an object; those of a built-in as they are, since its parts may have no config."""
    if isinstance(instance, BuiltIn):
        return {entry.name: getattr(instance, entry.name) for entry in dataclasses.fields(instance)}
    config: dict[str, Any] = initializers.serialize(instance)["config"]
    return config
