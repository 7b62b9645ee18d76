"""What people write instead of what a spec means, and the hint that says how it is written here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initcfg.expressions import Expression, ExpressionError

if TYPE_CHECKING:
    from initcfg.errors import PathStep

_MAX_LENGTH = 64
_SEPARATOR = re.compile(r"\s*,\s*|\s+[x\u00d7]\s+|(?<=[0-9])[x\u00d7](?=[0-9])")
_GOT = re.compile(r"\bgot (None|True|False)\b")
_WORDS = {"None": "null", "True": "true", "False": "false"}
_DATA_LAYOUT = re.compile(r"N(?:C[DHWL]*|[DHWL]*C)", re.IGNORECASE)
_LAYOUTS = {
    **dict.fromkeys(("pytorch", "torch"), "out_in"),
    **dict.fromkeys(("keras", "tensorflow", "tf", "jax", "flax"), "in_out"),
}
_GROUPED = re.compile(r"[0-9]+(?:_[0-9]+)+")
_PARAM = "{shape: [768], initializer: zeros}"
_ENTRIES = {
    "vars": "{d: 768}",
    "initializers": "{base: {random_normal: {stddev: 0.02}}}",
    "layers": f"{{fc: {{params: {{w: {_PARAM}}}}}}}",
    "params": f"{{w: {_PARAM}}}",
}
_RULE = '{match: "**.bias", initializer: zeros}'
_LISTS = {
    "rules": f"[{_RULE}]",
    "allow": '[{code: random-bias, match: "**.bias", reason: why it does not matter here}]',
}
_MISSING = {
    "shape": "write it as shape: [768, 3072], or shape: [] for a single number",
    "to": "write where to stop, as to: 12; the last value is below it",
    "params": "write them as params: " + _ENTRIES["params"],
    "match": 'write the pattern of full names that it is for, as match: "**.bias"',
    "code": "write the code of the warning, which its message shows in brackets",
    "reason": "write why the warning does not matter here, as reason: both begin alike on purpose",
}


def document_words(message: str) -> str:
    """A message about a document, with the words of YAML and JSON for what Python calls None, True, False."""
    return _GOT.sub(lambda found: f"got {_WORDS[found[1]]}", message)


def shape_hint(value: object) -> str | None:
    """How to write a shape that is no list: ``(2, 3)``, ``2 x 3``, ``d, d`` or ``5``."""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > _MAX_LENGTH:
        return None
    text = str(value).strip()
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1].strip(" ,")
    sizes = _SEPARATOR.split(text) if "(" not in text else [text]
    if all(map(_is_expression, sizes)):
        return f"write a list: [{', '.join(sizes)}]"
    return "write a list, such as [2, 3]"


def _is_expression(text: str) -> bool:
    try:
        Expression.parse(text)
    except ExpressionError:
        return False
    return True


def layout_hint(name: str) -> str | None:
    """The layout of a library, or why the name of a data layout is none; None for other names."""
    if name.lower() in _LAYOUTS:
        return f"the layout of {name} is {_LAYOUTS[name.lower()]}"
    if len(name) > 1 and _DATA_LAYOUT.fullmatch(name):
        return f"{name} names the axes of data, not of weights; write out_in (PyTorch) or in_out (Keras, JAX)"
    return None


def unknown_key_hint(path: tuple[PathStep, ...], value: object) -> str | None:
    """The way out for keys that are often written where they do not stand, or None."""
    match path:
        case ("layers", _, str(name)) if isinstance(value, Mapping) and "shape" in value:
            return f"put {name!r} under params:, the key that holds a layer's parameters"
        case (*_, "init"):
            return "did you mean 'initializer'?"
    return None


def is_model_config(tree: Mapping[Any, object]) -> bool:
    """Whether a document is the config of a Keras model, as ``to_json`` or ``get_config`` writes it."""
    layers = tree.get("layers")
    first = layers[0] if isinstance(layers, list) and layers else None
    return "class_name" in tree or (isinstance(first, Mapping) and "class_name" in first)


def mapping_hint(path: tuple[PathStep, ...], value: object) -> str | None:
    """The way out where a mapping is expected and something else stands, or None."""
    match path:
        case ("layers", _, "repeat"):
            is_count = isinstance(value, int | str) and not isinstance(value, bool)
            return f"name the index: {{i: {value if is_count else 12}}}"
        case (*_, str(group)) if group in _ENTRIES:
            return "write {} for none" if value is None else f"the name is the key, as in {_ENTRIES[group]}"
        case (*_, "params", _):
            return f"write {_PARAM}"
        case ("rules", _):
            return f"write {_RULE}"
        case ("layers", _):
            return f"write {{params: {{w: {_PARAM}}}}}"
    return None


def list_hint(path: tuple[PathStep, ...], value: object) -> str | None:
    """The way out where a list is expected and something else stands, or None."""
    if path and path[-1] == "shape":
        return shape_hint(value)
    return f"write a list, as {_LISTS[str(path[-1])]}" if path and path[-1] in _LISTS else None


def integer_hint(value: object, *, is_literal: bool) -> str | None:
    """The way out where a number, or with `is_literal` no expression, is expected, or None."""
    if not is_literal:
        if isinstance(value, bool):
            return "write 1 or 0"
        return "// divides without a remainder" if isinstance(value, float) else None
    if _GROUPED.fullmatch(str(value)):
        return "remove the underscores"
    return "expressions are not read here" if isinstance(value, str) else "write a whole number, such as 0"


def boolean_hint(value: object) -> str | None:
    """The way out where true or false is expected, or None."""
    return "write true" if str(value).lower() in ("yes", "on", "1", "true") else None


def text_hint(path: tuple[PathStep, ...], value: object) -> str | None:
    """The way out where a string is expected and something else stands, or None."""
    if path[-1:] == ("match",) and isinstance(value, list | tuple | Mapping):
        return "put the pattern in quotes"
    return f'quote it: "{value}"' if isinstance(value, int | float) else None


def missing_hint(key: str) -> str | None:
    """An example of a key that must be there, or None."""
    return _MISSING.get(key)
