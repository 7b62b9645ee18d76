"""The names that initializers answer to: built-in ones, Keras's aliases, registered ones, those of plugins.

The module of a built-in is imported when somebody asks for one of its classes, so that a start costs what a
document uses.
"""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, overload

from initcfg.errors import Code, Diagnostic, InitializerError, PluginError
from initcfg.initializers.custom import Initializer
from initcfg.initializers.values import shown
from initcfg.names import did_you_mean
from initcfg.process import LOADING, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from importlib.metadata import EntryPoint

    from initcfg.initializers.base import BuiltIn

C = TypeVar("C", bound=type[Initializer])

#: Under which the built-ins are registered with Keras.
PACKAGE = "initcfg"

#: The built-ins by family, in the order of the documentation: the module that holds them, and their names.
FAMILIES = {
    "Constants": ("simple", "Zeros", "Ones", "Constant"),
    "Random, the same for every shape": ("simple", "RandomNormal", "RandomUniform", "TruncatedNormal"),
    "Variance scaling": (
        *("scaling", "VarianceScaling", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform"),
        *("LecunNormal", "LecunUniform"),
    ),
    "PyTorch's own laws": (
        *("pytorch", "XavierUniform", "XavierNormal", "KaimingUniform", "KaimingNormal", "TruncNormal"),
    ),
    "Matrices": ("structured", "Identity", "Orthogonal", "Sparse", "LooksLinear", "Mimetic"),
    "Convolution kernels": (
        *("kernels", "Dirac", "DeltaOrthogonal", "ConvolutionalOrthogonal", "HadamardIdentity"),
    ),
    "Fourier transforms": ("fourier", "STFT", "ConvolutionAware"),
    "Recipes for transformers": (
        *("transformers", "SmallInit", "WangInit", "DepthScaledNormal", "Mitchell", "Mup", "SwitchNormal"),
        *("DeepNorm", "SubLN", "TFixup", "TFixupEmbedding"),
    ),
    "Other published recipes": ("recipes", "Fixup", "SirenFirst", "Siren", "LoraA", "FocalBias"),
    "Recipes for recurrences and state spaces": (
        *("recipes", "MambaALog", "MambaDtBias", "LruNuLog", "LruThetaLog", "RwkvTimeDecay", "Chrono"),
    ),
    "Made of parts": ("combined", "Concatenate", "Patch", "RepeatOf"),
    "From a file": ("derived", "Pretrained"),
    "Formulas": ("formulas", "Formula", "Scaled"),
    "Following another parameter": ("derived", "Parameter", "NormOf"),
}
# What Keras's `initializers.get` takes beside class names and snake_case names, and PyTorch's `eye`.
_ALIASES = {
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
    "eye": "Identity",
    "normal": "RandomNormal",
    "one": "Ones",
    "uniform": "RandomUniform",
    "zero": "Zeros",
}

# The first built-ins, whose names mean the same in every document. All others came later: a document that was
# written before may have such a name for an initializer of its own, and keeps it.
_FIRST = (
    *("Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"),
    *("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform"),
    *("Identity", "Orthogonal", "Concatenate"),
)
_FIRST_ALIASES = ("IdentityInitializer", "OrthogonalInitializer", "normal", "one", "uniform", "zero")

# Functions elsewhere whose names mean another scheme here, or none: what they are written as.
_TORCH = {
    "constant": "{constant: {value: 0.1}}",
    "normal": "{random_normal: {stddev: 1}}",
    "uniform": "{random_uniform: {minval: 0, maxval: 1}}",
}
_JAX = {
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "normal": "{random_normal: {stddev: 0.01}}",
    "truncated_normal": "{truncated_normal: {stddev: 0.01}}",
    "uniform": "{random_uniform: {minval: 0, maxval: 0.01}}",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
}
# Models of Keras, whose configs have the form of an initializer's.
KERAS_MODELS = ("Functional", "Model", "Sequential")
KERAS_MODEL_HINT = (
    "this is the config of a Keras model; initcfg.adapters.keras.capture(model) reads a spec out of the "
    "model itself"
)
# A name with its module and the arguments of a call, as in Python: random_normal(stddev=0.02).
_CALL = r"(?s)((?:\w+\.)*)(\w+)\s*(?:\((.*)\))?"
_KEYWORD = r"\s*(\w+)\s*=\s*([^=,()]+?)\s*"


@lru_cache(maxsize=512)
def snake_case(name: str) -> str:
    """``GlorotUniform`` as ``glorot_uniform``, by Keras's rule."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# Class name to module and family, and every name that a class answers to, a built-in by its class name.
_HOMES = {name: (module, family) for family, (module, *names) in FAMILIES.items() for name in names}
_TABLE: dict[str, type[Initializer] | str] = {
    **{each: name for name in _HOMES for each in (name, snake_case(name))},
    **_ALIASES,
}
_PROTECTED = frozenset((*_FIRST, *map(snake_case, _FIRST), *_FIRST_ALIASES))
_REGISTERED: dict[type[Initializer], str] = {}
# So many of the names that a document gives are told where none is near.
_OWN_NAMES = 5


def class_names() -> tuple[str, ...]:
    """The names of the built-in classes, in the order of the documentation."""
    return tuple(_HOMES)


def built_ins() -> tuple[type[BuiltIn], ...]:
    """The built-in classes, in the order of the documentation."""
    return tuple(map(_built_in, _HOMES))


def family_of(cls: type[object]) -> str:
    """What a class is listed under: the title of its module among the built-ins', else ``Plugins``."""
    return _HOMES[cls.__name__][1] if is_built_in(cls) else "Plugins"


def is_built_in(cls: type[object]) -> bool:
    """Whether a class is one of the list, and no subclass of one."""
    return cls.__name__ in _HOMES and _built_in(cls.__name__) is cls


def _built_in(name: str) -> type[BuiltIn]:
    module = load(f"initcfg.initializers.{_HOMES[name][0]}")
    cls: type[BuiltIn] = getattr(module, name)
    return cls


def lookup(name: str) -> type[Initializer] | None:
    """The class of that name, or None; upper and lower case matter.

    Args:
        name: a class name, a snake_case name, an alias of Keras's, or a registered ``package>Name``; a
            built-in is registered with Keras as ``initcfg>Name``.

    Example:
        >>> lookup("glorot_uniform") is lookup("GlorotUniform")
        True
    """
    found = _TABLE.get(name.removeprefix(f"{PACKAGE}>"))
    return _built_in(found) if isinstance(found, str) else found


def is_free(name: str) -> bool:
    """Whether a spec may give the name to an initializer of its own.

    Names of the first built-ins and of registered classes are taken. Built-ins that came later yield, so that
    no new one makes an older document wrong.

    Example:
        >>> is_free("base"), is_free("he_normal"), is_free("small_init")
        (True, False, True)
    """
    return name.removeprefix(f"{PACKAGE}>") not in _PROTECTED and not isinstance(_TABLE.get(name), type)


def canonical_name(cls: type[Initializer]) -> str:
    """The name by which a spec writes the class: its snake_case name.

    Raises:
        InitializerError: the class is neither built in nor registered (code ``not-serializable``).

    Example:
        >>> from initcfg.initializers import HeNormal
        >>> canonical_name(HeNormal)
        'he_normal'
    """
    name = snake_case(registered_name(cls).rpartition(">")[2])
    if lookup(name) is cls:
        return name
    raise InitializerError.of(
        Code.NOT_SERIALIZABLE,
        f"{cls.__name__} is not registered, so it cannot be written down by name",
        hint="put @initcfg.initializers.register above the class",
    )


def registered_name(cls: type[Initializer]) -> str:
    """``package>Name`` of a registered class, the class name of any other."""
    return _REGISTERED.get(cls, cls.__name__)


def aliases_of(cls: type[Initializer]) -> list[str]:
    """The names that the class answers to beside its snake_case name, sorted."""
    entry = cls.__name__ if is_built_in(cls) else cls
    return sorted(name for name, known in _TABLE.items() if known == entry and name != canonical_name(cls))


def known_names() -> list[str]:
    """The snake_case names of all built-in and registered initializers, sorted."""
    registered = (name.rpartition(">")[2] for name in _REGISTERED.values())
    return sorted(map(snake_case, (*_HOMES, *registered)))


@overload
def register(cls: C, *, package: str = ..., name: str | None = ...) -> C: ...
@overload
def register(cls: None = ..., *, package: str = ..., name: str | None = ...) -> Callable[[C], C]: ...
def register(cls: Any = None, *, package: str = "Custom", name: str | None = None) -> Any:
    """Make a custom class known by name, so that specs and files may hold it; a decorator or a call.

    The class answers to ``package>Name`` (as in Keras), ``Name`` and the snake_case of ``Name``. A class
    that is defined again, as when a notebook cell runs twice, takes the place of the old one.

    Args:
        cls: a subclass of `Initializer`.
        package: says whose class it is.
        name: another name than the class's own.

    Raises:
        InitializerError: a name is taken (code ``hidden-name``) or none (code ``bad-name``), or `cls` is no
            such class, or built in.

    Example:
        >>> @register(package="lab")
        ... class EveryOther(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return np.arange(np.prod(shape)).reshape(shape).astype(dtype) % 2
        >>> import numpy as np
        >>> canonical_name(EveryOther), registered_name(EveryOther)
        ('every_other', 'lab>EveryOther')
    """
    if cls is None:
        return lambda decorated: register(decorated, package=package, name=name)
    if not (inspect.isclass(cls) and issubclass(cls, Initializer)):
        raise InitializerError.of(
            Code.WRONG_TYPE,
            f"only subclasses of Initializer can be registered, got {cls!r}",
            hint="derive the class from initcfg.initializers.Initializer",
        )
    if is_built_in(cls):
        raise InitializerError.of(
            Code.HIDDEN_NAME,
            f"{cls.__name__} is built in, under the name {canonical_name(cls)!r}",
            hint="use it by that name, or register a subclass of it",
        )
    short = _checked_name(cls.__name__ if name is None else name)
    names = (f"{package}>{short}", short, snake_case(short))
    for each in names:
        _refuse_collision(each, cls)
    _forget(_TABLE.get(short))
    _TABLE.update(dict.fromkeys(names, cls))
    _REGISTERED[cls] = names[0]
    return cls


def unknown_initializer(name: str, others: Iterable[str] = ()) -> Diagnostic:
    """The problem that no initializer has this name, with the nearest one as the way out, or else the list.

    Args:
        name: what was written.
        others: names that hold beside those known here, such as the ones that a spec gives.
    """
    given = sorted(others)
    known = [*_TABLE, *given]
    hint = _elsewhere(name) or did_you_mean(name, known) or did_you_mean(name.lower(), known)
    if hint is None:
        own = f"; the document's own are {', '.join(given[:_OWN_NAMES])}" if given else ""
        more = f" and {len(given) - _OWN_NAMES} more" if len(given) > _OWN_NAMES else ""
        hint = f"initcfg initializers lists the names, with --search WORD those about it{own}{more}"
    return Diagnostic(Code.UNKNOWN_INITIALIZER, f"no initializer is named {name!r}", hint=hint)


def _elsewhere(name: str) -> str | None:
    """How a name, or a call, is written here that comes from Python, PyTorch, JAX or a Keras model."""
    found = re.fullmatch(_CALL, name.strip())
    if found is None:
        return None
    module, last, arguments = found.groups()
    ours = snake_case(last).rstrip("_")
    is_torch = last.endswith("_") or ".init." in f".{module}"
    other = _TORCH.get(ours) if is_torch else _JAX.get(ours) if "jax" in module or "linen" in module else None
    if other is not None:
        return f"{'PyTorch' if is_torch else 'JAX'}'s {last} is written {other}"
    if arguments is not None:
        pairs = [each for each in (re.fullmatch(_KEYWORD, each) for each in arguments.split(",")) if each]
        written = ", ".join(f"{each[1]}: {each[2]}" for each in pairs) or "argument: value"
        return f"arguments are written {{{ours}: {{{written}}}}}"
    if name in KERAS_MODELS:
        return KERAS_MODEL_HINT
    if last.endswith("_") and lookup(ours) is not None:
        return f"PyTorch's {last} is written {ours}"
    return f"write the name without its module: {last}" if module and lookup(last) is not None else None


def _checked_name(name: object) -> str:
    """A name from which snake_case makes an identifier; ``>`` would end the package."""
    if isinstance(name, str) and ">" not in name and snake_case(name).isidentifier():
        return name
    raise InitializerError.of(
        Code.BAD_NAME,
        f"{shown(name)} is not a name for an initializer",
        hint="choose letters, digits and underscores, with a letter first, such as 'EveryOther'",
    )


def _refuse_collision(name: str, cls: type[Initializer]) -> None:
    known = lookup(name)
    if known is None or (known.__module__, known.__qualname__) == (cls.__module__, cls.__qualname__):
        return
    raise InitializerError.of(
        Code.HIDDEN_NAME,
        f"the initializer name {name!r} is taken by {known.__module__}.{known.__qualname__}",
        hint="register the class with another name=",
    )


def _forget(cls: type[Initializer] | str | None) -> None:
    """Take out all names of a class that is being defined again."""
    if not isinstance(cls, type):
        return
    for name in [name for name, known in _TABLE.items() if known is cls]:
        del _TABLE[name]
    _REGISTERED.pop(cls, None)


#: The entry points that are plugins.
GROUP = "initcfg.initializers"

_LOADED: dict[str, None] = {}


def load_plugins(names: Iterable[str]) -> tuple[type[Initializer], ...]:
    """Load installed plugins and register their initializers; loading one again changes nothing.

    A package offers them as entry points of the group ``initcfg.initializers``: an `Initializer` subclass, or
    a list or tuple of them. A spec alone can never load one.
    """
    # A single text would be read letter by letter.
    wanted = [names] if isinstance(names, str) else list(names)
    classes = tuple(register(cls, package=name) for name in wanted for cls in _classes(name))
    _LOADED.update(dict.fromkeys(wanted))
    return classes


def loaded_plugins() -> tuple[str, ...]:
    """The names of the plugins that this process has loaded, which a process that works for it needs too."""
    return tuple(_LOADED)


def _classes(name: str) -> tuple[type[Initializer], ...]:
    try:
        found = _entry_point(name).load()
    except PluginError:
        raise
    except Exception as error:
        message = f"the plugin {name!r} cannot be loaded: {type(error).__name__}: {error}"
        raise _refused_plugin(message, "repair or reinstall the package that offers it") from error
    classes = tuple(found) if isinstance(found, list | tuple) else (found,)
    for cls in classes:
        if not (inspect.isclass(cls) and issubclass(cls, Initializer)):
            raise _refused_plugin(
                f"the plugin {name!r} holds {cls!r}, which is no initializer class",
                "its entry point must name a subclass of initcfg.initializers.Initializer, or a list of them",
            )
    return classes


def _entry_point(name: str) -> EntryPoint:
    with LOADING:
        from importlib import metadata  # noqa: PLC0415  reading what is installed is dear

    installed = metadata.entry_points(group=GROUP)
    offered = [point for point in installed if point.name == name]
    if len({point.value for point in offered}) > 1:
        packages = ", ".join(sorted({point.dist.name for point in offered if point.dist}))
        raise _refused_plugin(
            f"several packages offer a plugin {name!r}: {packages}", "uninstall all but one"
        )
    if offered:
        return offered[0]
    names = sorted({point.name for point in installed})
    listing = f"the installed plugins are {', '.join(names)}" if names else "no plugin is installed"
    raise _refused_plugin(f"no plugin is named {name!r}", did_you_mean(name, names) or listing)


def _refused_plugin(message: str, hint: str) -> PluginError:
    return PluginError.of(Code.PLUGIN, message, hint)
