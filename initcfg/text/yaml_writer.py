"""Plain data to YAML that YAML 1.1 and 1.2 readers read alike, laid out as people write specs."""

from __future__ import annotations

import re
from typing import Any

_WIDTH = 100
_GROUPS = ("layers", "params", "initializers")
_LISTS = ("rules", "allow")
# Words that some YAML reader takes for a bool or null, in any case.
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_CHARS = "A-Za-z0-9_./+*()%<>=-"
# What begins with a letter and holds none of YAML's signs is text for every reader, in brackets too.
_PLAIN = re.compile(rf"[A-Za-z_][{_CHARS}]*(?: [{_CHARS}]+)*")
# No reader takes what holds a space, a parenthesis or a star for a number.
_EXPRESSION = re.compile(rf"(?=.*[ (*])[0-9][{_CHARS}]*(?: [{_CHARS}]+)*")
# Outside brackets a key may hold braces, if it does not begin with one.
_BLOCK_KEY = re.compile(rf"[A-Za-z_][{_CHARS}{{}}]*(?: [{_CHARS}{{}}]+)*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write_yaml(tree: dict[str, Any]) -> str:
    """A document of nested dicts with string keys, lists and scalars as YAML text.

    Layers, parameters, named initializers and rules have a line each; what stands below them is written in
    braces where it fits. Floats have a dot and a signed exponent, which YAML 1.1 readers want.

    Example:
        >>> layer = {"repeat": {"i": 12}, "params": {}}
        >>> print(write_yaml({"vars": {"std": 1e-05, "n": "no"}, "layers": {"h.{i}": layer}}), end="")
        vars: {std: 1.0e-05, "n": "no"}
        layers:
          h.{i}:
            repeat: {i: 12}
            params: {}
    """
    return "".join(f"{line}\n" for line in _block(tree, 0)) if tree else "{}\n"


def _block(tree: dict[str, Any], level: int, group: str | None = None) -> list[str]:
    """A mapping, one key a line; `group` is the key that holds it."""
    lines: list[str] = []
    indent = "  " * level
    for key, value in tree.items():
        begun = f"{indent}{_block_key(key)}:"
        flat = f"{begun} {_flow(value)}"
        if isinstance(value, dict) and value and (_is_group(key, value, group) or len(flat) > _WIDTH):
            lines += [begun, *_block(value, level + 1, key)]
        elif key in _LISTS and group is None and isinstance(value, list) and value:
            lines += [begun, *(f"{indent}  - {_flow(item)}" for item in value)]
        else:
            lines.append(flat)
    return lines


def _is_group(key: str, value: dict[str, Any], group: str | None) -> bool:
    """Whether a mapping holds named things, or layers do, so that it has a line for each."""
    return (key in _GROUPS and group not in _GROUPS) or (group == "layers" and bool(value))


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    mantissa, exponent, power = repr(float(value)).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}" if exponent else mantissa


def _block_key(text: str) -> str:
    return text if _BLOCK_KEY.fullmatch(text) and text.lower() not in _WORDS else _text(text)


def _text(text: str) -> str:
    if (_PLAIN.fullmatch(text) and text.lower() not in _WORDS) or _EXPRESSION.fullmatch(text):
        return text
    return '"' + "".join(_ESCAPES.get(char) or _printable(char) for char in text) + '"'


def _printable(char: str) -> str:
    code = ord(char)
    if char.isprintable() and code not in (0xFEFF, 0xFFFE, 0xFFFF):
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
