"""An initializer as it is written, and as an object: one reader of every form, and `get`, `serialize`.

    a name                              glorot_uniform
    the short form, with one key        {random_normal: {stddev: 0.02}}
    Keras's form                        {class_name: RandomNormal, config: {stddev: 0.02}}
    in Python                           an initializer, a class, a function, an array

A document, `deserialize` and the parts of other initializers are all read by `read_config`, which gives an
`InitializerConfig`; `build` makes the object of one.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, overload

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError, core_schema

from initcfg.errors import Code, Diagnostic, InitializerError, did_you_mean
from initcfg.frozen import FrozenDict
from initcfg.initializers.arguments import LITERALS, Reading, adapter_of, arguments_of, problems_of
from initcfg.initializers.base import BuiltIn
from initcfg.initializers.custom import FunctionInitializer, Initializer
from initcfg.initializers.registry import canonical_name, lookup, registered_name, unknown_initializer
from initcfg.initializers.values import ArrayValue, fault, frozen, is_finite, listed, plain, same, shown
from initcfg.text.source import MAX_DEPTH, SURROGATE

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from initcfg.errors import PathStep

Identifier = str | Mapping[str, Any] | type[Initializer] | Callable[..., Any]
#: The ways to write an initializer: a name, one key, or ``class_name`` and ``config``.
Form = Literal["name", "short", "keras"]
Path = tuple["PathStep", ...]
_Faults = list[tuple[Path, PydanticCustomError]]

_KERAS_KEYS = ("class_name", "config", "module", "registered_name")
# Which objects of a Keras model are one and the same; initializers have no identity here.
_IGNORED_KEY = "shared_object_id"
_FORMS = "write a name, {name: {argument: value}}, or {class_name: ..., config: {...}}"
_WAYS = "give a name, a dict with class_name and config, an Initializer, a function or an array"
# A level of nesting takes three steps in a document: the name, 'initializers', the index.
_MAX_NESTED = MAX_DEPTH // 3


@dataclass(frozen=True, slots=True, repr=False)
class InitializerConfig:
    """The normal form of an initializer that was written down.

    Args:
        name: a built-in's name in any spelling, a registered name, or one of a spec's ``initializers``.
        config: its arguments: numbers, texts of expressions, strings, tuples, nested `InitializerConfig`, and
            a constant array as one `initcfg.initializers.values.ArrayValue`.
        module: Keras 3's ``module``, kept as it was written.
        registered_name: Keras 3's ``registered_name``, kept as it was written.
        instance: a callable or an object that no name stands for; only in a spec built in Python.
        form: which of the three forms it was written in; for finding places, not compared.

    Example:
        >>> InitializerConfig("random_normal", {"stddev": 0.02}).tree()
        {'random_normal': {'stddev': 0.02}}
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=FrozenDict)
    module: str | None = None
    registered_name: str | None = None
    instance: Any = None
    form: Form = field(default="name", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.config, FrozenDict):
            object.__setattr__(self, "config", FrozenDict(self.config))

    def __repr__(self) -> str:
        """What differs from the defaults."""
        shown = [repr(self.name), *([repr(self.config)] if self.config else [])]
        named = {"module": self.module, "registered_name": self.registered_name, "instance": self.instance}
        shown += [f"{name}={value!r}" for name, value in named.items() if value is not None]
        return f"InitializerConfig({', '.join(shown)})"

    @property
    def lookup_name(self) -> str:
        """The name to look the initializer up by: Keras's registered name where there is one."""
        return self.registered_name or self.name

    def name_place(self, path: Path) -> tuple[Path, bool]:
        """The place of the name, where the initializer stands at `path`, and whether it is a key there."""
        if self.form == "keras":
            return (*path, "registered_name" if self.registered_name else "class_name"), False
        return ((*path, self.name), True) if self.form == "short" else (path, False)

    def arguments_path(self, path: Path) -> Path:
        """The place of the mapping of arguments, where the initializer stands at `path`."""
        return (*path, "config" if self.form == "keras" else self.name)

    def tree(self) -> str | dict[str, Any]:
        """Plain data: the name alone, the short form, or the Keras form where a module is to be kept."""
        config = {key: _plain_tree(value) for key, value in self.config.items()}
        if self.module is not None or self.registered_name is not None:
            written = {"class_name": self.name, "config": config}
            extra = {"module": self.module, "registered_name": self.registered_name}
            return written | {key: value for key, value in extra.items() if value is not None}
        return {self.name: config} if config else self.name


def _plain_tree(value: Any) -> Any:
    """Tuples as lists, frozen mappings as dicts, nested initializers in their written form."""
    if isinstance(value, InitializerConfig):
        return value.tree()
    if isinstance(value, ArrayValue):
        return value.to_config()
    if isinstance(value, Mapping):
        return {key: _plain_tree(item) for key, item in value.items()}
    return [_plain_tree(item) for item in value] if isinstance(value, tuple) else value


# --- Reading ----------------------------------------------------------------------------------------------


def read_config(value: object, reading: Reading = LITERALS) -> InitializerConfig:
    """The normal form of an initializer in any of its forms.

    Args:
        value: as an initializer may be written in a document or in Python.
        reading: whether numbers may be expressions.

    Raises:
        ValidationError: one error for each fault, at its path within `value`.
    """
    faults: _Faults = []
    found = _read(value, reading, faults)
    if found is not None and not faults:
        return found
    details = [InitErrorDetails(type=error, loc=path, input=None) for path, error in faults]
    raise ValidationError.from_exception_data("initializer", details)


def _read(value: object, reading: Reading, faults: _Faults) -> InitializerConfig | None:
    """The normal form, or None after a fault, which is noted at its place."""
    if reading.depth > _MAX_NESTED:
        faults.append(((), fault(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")))
        return None
    if isinstance(value, InitializerConfig):
        return value
    if isinstance(value, str):
        return _named(value, reading, faults)
    if isinstance(value, Mapping):
        form = _keras_form if "class_name" in value else _short_form
        return form(value, reading, faults)
    if isinstance(value, Initializer) or callable(value) or hasattr(value, "__array__"):
        return _from_python(value, reading, faults)
    faults.append(((), fault(Code.WRONG_TYPE, f"expected an initializer, got {shown(value)}", _FORMS)))
    return None


def _arguments(  # noqa: PLR0917
    name: str, config: Mapping[Any, object], reading: Reading, faults: _Faults, path: Path, missing_at: Path
) -> FrozenDict[str, Any]:
    """The arguments in their normal form; of a name that no registry knows they are only made immutable.

    Args:
        name: the initializer's.
        config: its arguments as written.
        reading: whether numbers may be expressions.
        faults: what is wrong is added here.
        path: where `config` stands.
        missing_at: where a missing argument is reported.
    """
    cls = lookup(name)
    try:
        if cls is None or known_arguments(cls) is None:
            return FrozenDict(config) if reading.expression is None else frozen(config)
        read = vars(adapter_of(cls).validator.validate_python(dict(config), context=reading))
        return FrozenDict({key: read[key] for key in config})
    except ValidationError as error:
        if cls is None or known_arguments(cls) is None:
            details = error.errors(include_url=False)
            faults.extend(
                ((*path, *each["loc"]), fault(Code(each["type"]), **each["ctx"])) for each in details
            )
            return FrozenDict()
        for problem in problems_of(error, cls, name):
            is_missing = problem.found.code is Code.MISSING_KEY and not problem.path
            found = problem.found
            wrong = fault(found.code, found.message, found.hint, problem.offset, key=problem.key)
            faults.append((missing_at if is_missing else (*path, *problem.path), wrong))
        return FrozenDict()


def known_arguments(cls: type[Initializer]) -> Mapping[str, Any] | None:
    """The arguments of a class; None where its own ``from_config`` takes what it likes."""
    return None if "from_config" in vars(cls) and not issubclass(cls, BuiltIn) else arguments_of(cls)


def _named(name: str, reading: Reading, faults: _Faults) -> InitializerConfig | None:
    if not name:
        faults.append(((), fault(Code.BAD_NAME, "an initializer's name is empty", _FORMS)))
        return None
    _arguments(name, {}, reading, faults, (), ())
    return InitializerConfig(name)


def _short_form(value: Mapping[Any, object], reading: Reading, faults: _Faults) -> InitializerConfig | None:
    if len(value) != 1:
        keys = ", ".join(shown(key) for key in list(value)[:4])
        hint = "the short form has one key, the name: {random_normal: {stddev: 0.02}}"
        message = (
            f"expected an initializer with one key, got {f'{len(value)} keys, {keys}' if value else 'none'}"
        )
        faults.append(((), fault(Code.WRONG_TYPE, message, hint)))
        return None
    ((name, config),) = value.items()
    if not isinstance(name, str) or not name:
        faults.append(((), fault(Code.BAD_NAME, f"{shown(name)} is not the name of an initializer", _FORMS)))
        return None
    config = _given(config, reading)
    if not isinstance(config, Mapping):
        hint = f"write the name alone, {name}, where there are no arguments"
        if config is not None:
            hint = _with_a_name(name, config)
        message = f"expected a mapping of arguments, got {shown(config)}"
        faults.append(((name,), fault(Code.WRONG_TYPE, message, hint)))
        return None
    return InitializerConfig(name, _arguments(name, config, reading, faults, (name,), (name,)), form="short")


def _given(config: object, reading: Reading) -> object:
    """The arguments: in Python None stands for none, in a document they were forgotten."""
    return {} if config is None and reading.expression is None else config


def _with_a_name(name: str, value: object) -> str:
    """How to write a value where its argument was not named: the one that such a value is most often for."""
    cls = lookup(name)
    known = list((cls and known_arguments(cls)) or ())
    usual = next((each for each in ("stddev", "value", "gain", "scale") if each in known), None)
    if usual is None or isinstance(value, list | tuple):
        return f"name its arguments: {', '.join(known) or 'it has none'}"
    return f"name the argument: {{{name}: {{{usual}: {value}}}}}"


def _keras_form(value: Mapping[Any, object], reading: Reading, faults: _Faults) -> InitializerConfig | None:
    before = len(faults)
    for key in value:
        if key not in (*_KERAS_KEYS, _IGNORED_KEY):
            hint = did_you_mean(str(key), _KERAS_KEYS) or f"the keys here are {', '.join(_KERAS_KEYS)}"
            faults.append(((key,), fault(Code.UNKNOWN_KEY, f"unknown key {shown(key)}", hint, key=True)))
    texts = {key: _text_at(value, key, faults) for key in _KERAS_KEYS if key != "config"}
    config = _given(value.get("config", {}), reading)
    if not isinstance(config, Mapping):
        message = f"expected a mapping of arguments, got {shown(config)}"
        faults.append((("config",), fault(Code.WRONG_TYPE, message)))
    if len(faults) > before or not isinstance(config, Mapping):
        return None
    name, module, registered = str(texts["class_name"]), texts["module"], texts["registered_name"]
    missing_at: Path = ("config",) if "config" in value else ()
    read = _arguments(registered or name, config, reading, faults, ("config",), missing_at)
    return InitializerConfig(name, read, module, registered, form="keras")


def _text_at(value: Mapping[Any, object], key: str, faults: _Faults) -> str | None:
    """A text, which only ``class_name`` must have."""
    written = value.get(key)
    if written is None and key != "class_name":
        return None
    if not isinstance(written, str):
        hint = f'quote it: "{written}"' if isinstance(written, int | float) else None
        wrong = fault(Code.WRONG_TYPE, f"expected a string, got {shown(written)}", hint)
    elif SURROGATE.search(written):
        wrong = fault(Code.ENCODING, f"a lone surrogate is not a character: {shown(written)}")
    elif not written:
        wrong = fault(Code.BAD_NAME, f"{key!r} is empty", "write at least one character")
    else:
        return written
    faults.append(((key,), wrong))
    return None


def _from_python(value: Any, reading: Reading, faults: _Faults) -> InitializerConfig | None:
    """An object by its registered name and the arguments that differ from their defaults, else as it is."""
    try:
        instance = get(value)
    except InitializerError as error:
        faults.extend(((), fault(each.code, each.message, each.hint)) for each in error.diagnostics)
        return None
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
        return InitializerConfig(name, _arguments(name, changed, reading, faults, (), ()))
    texts = {key for key, item in changed.items() if isinstance(item, str)}
    unfit: _Faults = []
    read = _arguments(name, changed, reading, unfit, (), ())
    # What an expression would be in a document is a string in Python, and only the object says so.
    if unfit or any(arguments[key].holds_expressions for key in texts & arguments.keys()):
        return _kept(instance)
    return InitializerConfig(name, read)


def _kept(instance: Initializer) -> InitializerConfig:
    """An object that a document cannot hold."""
    return InitializerConfig(getattr(instance, "__name__", type(instance).__name__), instance=instance)


def _config_of(instance: Initializer) -> dict[str, Any]:
    """The arguments of an object; those of a built-in as they are, since its parts may have no config."""
    if isinstance(instance, BuiltIn):
        return {entry.name: getattr(instance, entry.name) for entry in dataclasses.fields(instance)}
    config: dict[str, Any] = serialize(instance)["config"]
    return config


# --- Objects ----------------------------------------------------------------------------------------------


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
    if isinstance(identifier, str | Mapping):
        return _from_written(identifier)
    if isinstance(identifier, type):
        return _of_class(identifier)
    if callable(identifier):
        return FunctionInitializer(identifier)
    if hasattr(identifier, "__array__"):
        return _from_written({"constant": {"value": identifier}})
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
    return _from_written(config)


def _from_written(written: str | Mapping[str, Any]) -> Initializer:
    if isinstance(written, Mapping) and written.get("class_name") == "function":
        raise InitializerError(
            Diagnostic(
                Code.UNKNOWN_INITIALIZER,
                f"the function {written.get('config')!r} cannot be found by its name",
                hint="pass the function itself, or register a subclass of Initializer",
            )
        )
    try:
        return build(read_config(written))
    except ValidationError as error:
        facts = (each["ctx"] | {"code": Code(each["type"])} for each in error.errors(include_url=False))
        raise InitializerError(
            *(Diagnostic(each["code"], each["message"], hint=each["hint"]) for each in facts)
        ) from None


def build(config: InitializerConfig) -> Initializer:
    """The initializer that a config without expressions describes.

    Raises:
        InitializerError: nothing has the name, or the arguments do not go together.
    """
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
    return build(value) if isinstance(value, InitializerConfig) else value


def _of_class(cls: type[Any]) -> Initializer | None:
    """An instance without arguments, of an initializer class or of one whose instances are functions."""
    is_ours = issubclass(cls, Initializer)
    calls = any("__call__" in vars(base) for base in cls.__mro__)
    if not calls or inspect.isabstract(cls):
        raise _no_initializer(f"the class {cls.__name__} makes no initializer")
    try:
        if not is_ours or known_arguments(cls):
            adapter_of(cls).validator.validate_python({}, context=LITERALS)
    except ValidationError as error:
        raise InitializerError(*(each.found for each in problems_of(error, cls, cls.__name__))) from None
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


def _no_initializer(message: str) -> InitializerError:
    return InitializerError(Diagnostic(Code.WRONG_TYPE, message, hint=_WAYS))


# --- An initializer as an argument of another ---------------------------------------------------------------


class _Nested:
    """Marks an argument that is an initializer itself."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(serialize)
        return core_schema.with_info_plain_validator_function(read_part, serialization=written)

    def words(self, source: Any, *, plural: bool) -> str:  # noqa: ARG002
        """What it accepts."""
        return "initializers" if plural else "an initializer"


def read_part(value: object, info: Any) -> Initializer | InitializerConfig:
    """An initializer from whatever means one; of a document its config."""
    if info.context is not None:
        return read_config(value, info.context._replace(depth=info.context.depth + 1))
    try:
        part: Initializer | None = get(value)
    except InitializerError as error:
        faults = (fault(each.code, each.message, each.hint) for each in error.diagnostics)
        details = [InitErrorDetails(type=each, loc=(), input=None) for each in faults]
        raise ValidationError.from_exception_data("initializer", details) from None
    if part is None:
        raise fault(Code.WRONG_TYPE, "a part has no initializer", "name one, such as zeros")
    return part


Part = Annotated[Initializer, _Nested()]
