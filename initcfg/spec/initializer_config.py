"""An initializer as a spec holds it: its name and arguments, in one normal form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from initcfg.initializers.values import ArrayValue
from initcfg.spec.frozen import FrozenDict

if TYPE_CHECKING:
    from initcfg.errors import PathStep

__all__ = ["Form", "InitializerConfig"]

#: The ways to write an initializer: a name, one key, or ``class_name`` and ``config``.
Form = Literal["name", "short", "keras"]
Path = tuple["PathStep", ...]


@dataclass(frozen=True, slots=True, repr=False)
class InitializerConfig:
    """The normal form of an initializer in a spec.

    Args:
        name: a built-in's name in any spelling, a registered name, or one of the spec's ``initializers``.
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
