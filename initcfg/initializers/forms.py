"""The forms in which an initializer is written, and the one that all of them are read into.

a name                              glorot_uniform
the short form, with one key        {random_normal: {stddev: 0.02}}
Keras's form                        {class_name: RandomNormal, config: {stddev: 0.02}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import ValidationError

from initcfg.dtypes import is_bool
from initcfg.errors import Code
from initcfg.frozen import FrozenDict
from initcfg.initializers.arguments import adapter_of, arguments_of, problems_of
from initcfg.initializers.base import BuiltIn
from initcfg.initializers.registry import KERAS_MODEL_HINT, KERAS_MODELS, is_free, lookup
from initcfg.initializers.values import ArrayValue, Faults, fault, freeze, refusal, shown
from initcfg.names import did_you_mean
from initcfg.process import LOADING
from initcfg.text.source import MAX_DEPTH, has_surrogate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.errors import Path
    from initcfg.initializers.annotations import Reading
    from initcfg.initializers.custom import Initializer

#: The ways to write one: a name, one key, ``class_name`` and ``config``; a built-in itself, in Python.
Form = Literal["name", "short", "keras", "object"]
#: What may be written where an initializer is expected.
FORMS = "write a name, {name: {argument: value}}, or {class_name: ..., config: {...}}"
_KERAS_KEYS = ("class_name", "config", "module", "registered_name")
# Which objects of a Keras model are one and the same; initializers have no identity here.
_IGNORED_KEY = "shared_object_id"
# A level of nesting takes three steps in a document: the name, 'initializers', the index.
_MAX_NESTED = MAX_DEPTH // 3


@dataclass(frozen=True)
class InitializerConfig:
    """The normal form of an initializer that was written down.

    Args:
        name: a built-in's name in any spelling, a registered name, or one of a spec's ``initializers``.
        config: its arguments: numbers, texts of expressions, strings, tuples, nested `InitializerConfig`, and
            a constant array as one `initcfg.initializers.values.ArrayValue`.
        module: Keras 3's ``module``, kept as it was written.
        registered_name: Keras 3's ``registered_name``, kept as it was written.
        instance: a callable or an object that no name stands for; only in a spec built in Python.
        form: in which way it was written; for finding places, not compared.

    Example:
        >>> InitializerConfig("random_normal", {"stddev": 0.02}).tree()
        {'random_normal': {'stddev': 0.02}}
    """

    name: str
    config: Mapping[str, Any] = FrozenDict()
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
        config = thawed(self.config, _written)
        if self.module is not None or self.registered_name is not None:
            written = {"class_name": self.name, "config": config}
            extra = {"module": self.module, "registered_name": self.registered_name}
            return written | {key: value for key, value in extra.items() if value is not None}
        return {self.name: config} if config else self.name


def _written(leaf: Any, _: Path) -> Any:
    if isinstance(leaf, InitializerConfig):
        return leaf.tree()
    return leaf.to_config() if isinstance(leaf, ArrayValue) else leaf


def thawed(written: object, convert: Callable[[Any, Path], object], path: Path = ()) -> Any:
    """Frozen data as lists and dicts, whose leaves are what `convert` gives for each and its place."""
    if isinstance(written, tuple):
        return [thawed(item, convert, (*path, at)) for at, item in enumerate(written)]
    if isinstance(written, Mapping):
        return {key: thawed(item, convert, (*path, key)) for key, item in written.items()}
    return convert(written, path)


def leaves_of(written: object, path: Path = ()) -> Iterator[tuple[Any, Path]]:
    """What the arguments of a config hold in mappings and lists, each with its place."""
    if isinstance(written, tuple | Mapping):
        for step, item in written.items() if isinstance(written, Mapping) else enumerate(written):
            yield from leaves_of(item, (*path, step))
    else:
        yield written, path


def nested_in(config: InitializerConfig, path: Path) -> Iterator[tuple[InitializerConfig, Path]]:
    """The initializers that a config holds as arguments, with their places."""
    leaves = leaves_of(config.config, config.arguments_path(path))
    return ((leaf, place) for leaf, place in leaves if isinstance(leaf, InitializerConfig))


def read_form(value: object, reading: Reading) -> InitializerConfig:
    """The normal form of what a document holds; raises a fault, or a ValidationError with all of them."""
    if reading.depth > _MAX_NESTED:
        raise fault(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, InitializerConfig):
        return value
    if isinstance(value, str):
        return _named(value, reading)
    if isinstance(value, Mapping):
        return (_keras_form if "class_name" in value else _short_form)(value, reading)
    hint = FORMS
    if isinstance(value, int | float) and not is_bool(value):
        hint = f"for one value everywhere write {{constant: {{value: {shown(value)}}}}}"
    raise fault(Code.WRONG_TYPE, f"expected an initializer, got {shown(value)}", hint)


def read_arguments(
    name: str, config: Mapping[Any, object], reading: Reading, path: Path = (), missing_at: Path = ()
) -> FrozenDict[str, Any]:
    """The arguments in their normal form; of a name that no registry knows they are only made immutable.

    What is wrong has its place below `path`, where `config` stands; a missing argument is at `missing_at`.
    """
    cls = lookup(name)
    if cls is None or known_arguments(cls) is None:
        made: FrozenDict[str, Any] = (
            FrozenDict(config) if reading.expression is None else freeze(config, path)
        )
        return made
    try:
        with LOADING:
            read = vars(adapter_of(cls).validator.validate_python(dict(config), context=reading))
    except ValidationError as error:
        faults: Faults = []
        for problem in problems_of(error, cls, name):
            found = problem.found
            is_missing = found.code is Code.MISSING_KEY and not problem.path
            wrong = fault(found.code, found.message, found.hint, problem.offset, key=problem.key)
            faults.append((missing_at if is_missing else (*path, *problem.path), wrong))
        raise refusal("initializer", faults) from None
    return FrozenDict({key: read[key] for key in config})


def known_arguments(cls: type[Initializer]) -> Mapping[str, Any] | None:
    """The arguments of a class; None where its own ``from_config`` takes what it likes."""
    return None if "from_config" in vars(cls) and not issubclass(cls, BuiltIn) else arguments_of(cls)


def _named(name: str, reading: Reading) -> InitializerConfig:
    if not name:
        raise fault(Code.BAD_NAME, "an initializer's name is empty", FORMS)
    if not _may_be_own(name, reading):
        read_arguments(name, {}, reading)
    return InitializerConfig(name)


def _may_be_own(name: str, reading: Reading) -> bool:
    """Whether a name alone may be one that the document gives, of which only the whole document knows."""
    return reading.expression is not None and is_free(name)


def _short_form(value: Mapping[Any, object], reading: Reading) -> InitializerConfig:
    if len(value) != 1:
        keys = ", ".join(shown(key) for key in list(value)[:4])
        hint = "the short form has one key, the name: {random_normal: {stddev: 0.02}}"
        message = (
            f"expected an initializer with one key, got {f'{len(value)} keys, {keys}' if value else 'none'}"
        )
        raise fault(Code.WRONG_TYPE, message, hint)
    ((name, config),) = value.items()
    if not isinstance(name, str) or not name:
        raise fault(Code.BAD_NAME, f"{shown(name)} is not the name of an initializer", FORMS)
    config = _given(config, reading)
    short = getattr(lookup(name), "SHORT", None)
    if short is not None and isinstance(config, str):
        config = {short: config}
    if not isinstance(config, Mapping):
        hint = f"write the name alone, {name}, where there are no arguments"
        if config is not None:
            hint = _with_a_name(name, config)
        message = f"expected a mapping of arguments, got {shown(config)}"
        raise refusal("initializer", [((name,), fault(Code.WRONG_TYPE, message, hint))])
    return InitializerConfig(name, read_arguments(name, config, reading, (name,), (name,)), form="short")


def _given(config: object, reading: Reading) -> object:
    """The arguments: in Python None stands for none, in a document they were forgotten."""
    return {} if config is None and reading.expression is None else config


def _with_a_name(name: str, value: object) -> str:
    """The hint for a value in the place of the arguments: to name the argument that it is most likely for."""
    cls = lookup(name)
    known = list((cls and known_arguments(cls)) or ())
    usual = next((each for each in ("stddev", "value", "gain", "scale") if each in known), None)
    if usual is None or isinstance(value, list | tuple):
        return f"name its arguments: {', '.join(known) or 'it has none'}"
    return f"name the argument: {{{name}: {{{usual}: {value}}}}}"


def _keras_form(value: Mapping[Any, object], reading: Reading) -> InitializerConfig:
    faults: Faults = []
    if _is_of_a_model(value):
        message = f"{shown(value['class_name'])} is a layer or a model of Keras, and no initializer"
        wrong = fault(Code.UNKNOWN_INITIALIZER, message, KERAS_MODEL_HINT)
        raise refusal("initializer", [(("class_name",), wrong)])
    for key in value:
        if key not in (*_KERAS_KEYS, _IGNORED_KEY):
            hint = did_you_mean(str(key), _KERAS_KEYS) or f"the keys here are {', '.join(_KERAS_KEYS)}"
            faults.append(((key,), fault(Code.UNKNOWN_KEY, f"unknown key {shown(key)}", hint, key=True)))
    texts = {key: _text_at(value, key, faults) for key in _KERAS_KEYS if key != "config"}
    config = _given(value.get("config", {}), reading)
    if not isinstance(config, Mapping):
        message = f"expected a mapping of arguments, got {shown(config)}"
        faults.append((("config",), fault(Code.WRONG_TYPE, message)))
    if faults or not isinstance(config, Mapping):
        raise refusal("initializer", faults)
    name, module, registered = str(texts["class_name"]), texts["module"], texts["registered_name"]
    if "config" not in value and _may_be_own(registered or name, reading):
        return InitializerConfig(name, {}, module, registered, form="keras")
    missing_at: Path = ("config",) if "config" in value else ()
    read = read_arguments(registered or name, config, reading, ("config",), missing_at)
    return InitializerConfig(name, read, module, registered, form="keras")


def _is_of_a_model(value: Mapping[Any, object]) -> bool:
    """Whether a config is that of a layer or a model of Keras, by its class or what only these write."""
    name, module = value["class_name"], value.get("module")
    written = "build_config" in value or "compile_config" in value or name in KERAS_MODELS
    if isinstance(module, str):
        written = written or module.startswith(("keras.layers", "keras.models", "keras.src.models"))
    return written and isinstance(name, str) and lookup(name) is None


def _text_at(value: Mapping[Any, object], key: str, faults: Faults) -> str | None:
    """A text, which only ``class_name`` must have."""
    written = value.get(key)
    if written is None and key != "class_name":
        return None
    if not isinstance(written, str):
        hint = f'quote it: "{written}"' if isinstance(written, int | float) else None
        wrong = fault(Code.WRONG_TYPE, f"expected a string, got {shown(written)}", hint)
    elif has_surrogate(written):
        wrong = fault(Code.ENCODING, f"a lone surrogate is not a character: {shown(written)}")
    elif not written:
        wrong = fault(Code.BAD_NAME, f"{key!r} is empty", "write at least one character")
    else:
        return written
    faults.append(((key,), wrong))
    return None
