"""Plugins: initializers of other packages, which a spec may name once the *caller* has switched them on.

A package offers them as entry points of the group ``initcfg.initializers``::

    [project.entry-points."initcfg.initializers"]
    lab = "lab.initializers:Spectral"

The object is an `Initializer` subclass, or a list or tuple of them. A spec alone can never load one.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, PluginError
from initcfg.initializers import Initializer, register
from initcfg.names import did_you_mean
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

GROUP = "initcfg.initializers"

_LOADED: dict[str, None] = {}


def load_plugins(names: Iterable[str]) -> tuple[type[Initializer], ...]:
    """Load installed plugins and register their initializers; loading one again changes nothing.

    Raises:
        PluginError: no installed package, or more than one, offers a plugin of that name, it cannot be
            imported, or holds something else than initializers (code ``plugin``).
        InitializerError: a class answers to a name that is taken (code ``hidden-name``).
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
        raise _refused(
            f"the plugin {name!r} cannot be loaded: {type(error).__name__}: {error}",
            "repair or reinstall the package that offers it",
        ) from error
    classes = tuple(found) if isinstance(found, list | tuple) else (found,)
    for cls in classes:
        if not (inspect.isclass(cls) and issubclass(cls, Initializer)):
            raise _refused(
                f"the plugin {name!r} holds {cls!r}, which is no initializer class",
                "its entry point must name a subclass of initcfg.initializers.Initializer, or a list of them",
            )
    return classes


def _entry_point(name: str) -> EntryPoint:
    # Reading what is installed is dear, and most programs ask for nothing.
    with LOADING:
        from importlib import metadata  # noqa: PLC0415

    installed = metadata.entry_points(group=GROUP)
    offered = [point for point in installed if point.name == name]
    if len({point.value for point in offered}) > 1:
        packages = ", ".join(sorted({point.dist.name for point in offered if point.dist}))
        raise _refused(f"several packages offer a plugin {name!r}: {packages}", "uninstall all but one")
    if offered:
        return offered[0]
    names = sorted({point.name for point in installed})
    listing = f"the installed plugins are {', '.join(names)}" if names else "no plugin is installed"
    raise _refused(f"no plugin is named {name!r}", did_you_mean(name, names) or listing)


def _refused(message: str, hint: str) -> PluginError:
    return PluginError(Diagnostic(Code.PLUGIN, message, hint=hint))
