"""Initializers: named schemes for a parameter's first values, with Keras's names, configs and contract.

The built-in classes stand here by their own names and by their snake_case names, which Keras calls shortcut
functions; each is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initcfg.initializers.base import (
    BuiltIn,
    Combined,
    Cuttable,
    Elementwise,
    Structured,
    check,
    draw,
    is_cut,
    make,
    parts_of,
    resolve,
    stream_of,
)
from initcfg.initializers.configs import deserialize, get, serialize
from initcfg.initializers.custom import FunctionInitializer, Initializer, Request
from initcfg.initializers.forms import InitializerConfig
from initcfg.initializers.registry import (
    built_ins,
    canonical_name,
    class_names,
    is_built_in,
    known_names,
    lookup,
    register,
    snake_case,
    unknown_initializer,
)

if TYPE_CHECKING:
    from initcfg.initializers.combined import *  # noqa: F403  for type checkers, which cannot call __getattr__
    from initcfg.initializers.derived import *  # noqa: F403
    from initcfg.initializers.formulas import *  # noqa: F403
    from initcfg.initializers.fourier import *  # noqa: F403
    from initcfg.initializers.kernels import *  # noqa: F403
    from initcfg.initializers.pytorch import *  # noqa: F403
    from initcfg.initializers.recipes import *  # noqa: F403
    from initcfg.initializers.scaling import *  # noqa: F403
    from initcfg.initializers.simple import *  # noqa: F403
    from initcfg.initializers.structured import *  # noqa: F403
    from initcfg.initializers.transformers import *  # noqa: F403

    BUILTINS: tuple[type[BuiltIn], ...]

__all__ = [  # noqa: PLE0604  strings, of which some are computed
    "BUILTINS",
    "BuiltIn",
    "Combined",
    "Cuttable",
    "Elementwise",
    "FunctionInitializer",
    "Initializer",
    "InitializerConfig",
    "Request",
    "Structured",
    "canonical_name",
    "check",
    "deserialize",
    "draw",
    "get",
    "is_built_in",
    "is_cut",
    "known_names",
    "lookup",
    "make",
    "parts_of",
    "register",
    "resolve",
    "serialize",
    "stream_of",
    "unknown_initializer",
    *class_names(),
    *map(snake_case, class_names()),
]


def __getattr__(name: str) -> Any:
    if name == "BUILTINS":
        return built_ins()
    if name in __all__ and (cls := lookup(name)) is not None:
        return cls
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
