"""Writing a spec: plain data, YAML that every reader reads alike, and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.initializers.forms import InitializerConfig
from initcfg.process import load
from initcfg.spec.files import MAX_BYTES

if TYPE_CHECKING:
    from initcfg.errors import PathStep
    from initcfg.spec.models import Spec

_MODELINE = "# yaml-language-server: $schema={}\n"


def dump_tree(spec: Spec) -> dict[str, Any]:
    """The document that `load` reads an equal spec from: dicts, lists, strings and numbers.

    Raises:
        SpecError: initializers are callables or unregistered (code ``not-serializable``); each is named.

    Example:
        >>> from initcfg.spec import Param, Spec
        >>> dump_tree(Spec(seed=7, params={"b": Param(shape=[3], initializer="zeros")}))
        {'initcfg': 1, 'seed': 7, 'params': {'b': {'shape': [3], 'initializer': 'zeros'}}}
    """
    problems: list[Diagnostic] = []
    tree = {"initcfg": spec.initcfg} | _model_tree(spec, (), spec, problems)
    if problems:
        raise SpecError(*problems)
    return tree


def dump_yaml(spec: Spec, schema: str | None = None) -> str:
    """The spec as YAML; `schema` is the address of its JSON Schema, for editors, in a comment at the top.

    A SpecError as of `dump_tree`; or the text would be larger than a spec may be (code ``too-large``).
    """
    text: str = load("initcfg.text.yaml_writer").write_yaml(dump_tree(spec))
    return _readable((_MODELINE.format(schema) if schema else "") + text)


def dump_json(spec: Spec) -> str:
    """The spec as JSON; it fails as `dump_yaml`."""
    text: str = load("json").dumps(dump_tree(spec), indent=2, ensure_ascii=False, allow_nan=False)
    return _readable(text + "\n")


def _readable(text: str) -> str:
    """The text, unless it is larger than what `load` reads."""
    size = len(text.encode())
    if size <= MAX_BYTES:
        return text
    message = f"this spec takes {size:,} bytes, and a spec that can be read has at most {MAX_BYTES:,}"
    hint = "let repeat and expressions stand for what is alike, as layers: {h.{i}: {repeat: {i: 12}, ...}}"
    raise SpecError(Diagnostic(Code.TOO_LARGE, message, hint=hint))


def _model_tree(
    model: BaseModel, path: tuple[PathStep, ...], spec: Spec, problems: list[Diagnostic]
) -> dict[str, Any]:
    """The fields that are not at their defaults, by the keys that documents have."""
    tree: dict[str, Any] = {}
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        key = info.alias or name
        if info.is_required() or value != info.get_default(call_default_factory=True):
            tree[key] = _tree(value, (*path, key), spec, problems)
    return tree


def _tree(value: Any, path: tuple[PathStep, ...], spec: Spec, problems: list[Diagnostic]) -> Any:
    if isinstance(value, BaseModel):
        return _model_tree(value, path, spec, problems)
    if isinstance(value, InitializerConfig):
        problems += [_not_serializable(each, spec, path) for each in _instances(value)]
        return value.tree()
    if isinstance(value, Mapping):
        return {key: _tree(item, (*path, key), spec, problems) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_tree(item, (*path, at), spec, problems) for at, item in enumerate(value)]
    return value


def _instances(value: Any) -> list[InitializerConfig]:
    """The objects without a name, in an initializer and those nested in it."""
    if isinstance(value, InitializerConfig):
        nested = [found for item in value.config.values() for found in _instances(item)]
        return nested if value.instance is None else [value]
    if isinstance(value, tuple | Mapping):
        items = value.values() if isinstance(value, Mapping) else value
        return [found for item in items for found in _instances(item)]
    return []


def _not_serializable(config: InitializerConfig, spec: Spec, path: tuple[PathStep, ...]) -> Diagnostic:
    hint = "name a built-in, or register a subclass of Initializer"
    message = f"{config.name!r} is known to this program only and cannot be written down"
    return Diagnostic(Code.NOT_SERIALIZABLE, message, spec.locate(path), hint)
