"""JSON values read by the standard library, with what it lets pass refused, and its memory bounded.

Python takes 56 bytes for an empty list, 184 for an object of one key. A text of nothing but brackets would
cost thirty times its size, so they are counted before any value is made.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from initcfg.errors import Code
from initcfg.text.source import MAX_DEPTH

_SPACE = re.compile(r"[ \t\n\r]*")
_LIST_BYTES = 64
_OBJECT_BYTES = 200
_KEY_BYTES = 200
# So many keys an object are those of every object, and made once.
_SHARED_KEYS = 6
# What honest texts take at most for a byte: '"w0000001":{"shape":[2]},' is 264 for 25.
_COST_OF_A_BYTE = 12
_FREE_BYTES = 2**25


class JsonError(ValueError):
    """What is wrong with a text.

    Args:
        code: the kind.
        message: the cause, in lower case.
        at: the position in the text, where it is known.
    """

    def __init__(self, code: Code, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


def parse_json(text: str) -> Any:
    """The value that a JSON text is.

    Raises:
        JsonError: it is no JSON, gives a key twice, is nested too deep, or costs too much to read.

    Example:
        >>> parse_json('{"shape": [2, 3]}')
        {'shape': [2, 3]}
    """
    check_cost(text)
    value, end = scan_value(text, skip_space(text, 0))
    end = skip_space(text, end)
    if end < len(text):
        raise JsonError(Code.SYNTAX, "something follows the document's end", end)
    return value


def skip_space(text: str, at: int) -> int:
    """The first position from `at` on that is no white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def check_cost(text: str | bytes) -> None:
    """Refuses a text whose lists, objects and keys would take far more memory than an honest one's.

    Brackets and colons in strings count as well: honest texts have too few of them to matter.

    Raises:
        JsonError: code ``too-large``.
    """
    signs = "[{:" if isinstance(text, str) else (b"[", b"{", b":")
    lists, objects, keys = (text.count(sign) for sign in signs)  # type: ignore[arg-type]
    own_keys = max(0, keys - _SHARED_KEYS * objects)
    cost = _LIST_BYTES * lists + _OBJECT_BYTES * objects + _KEY_BYTES * own_keys
    if cost > max(_FREE_BYTES, _COST_OF_A_BYTE * len(text)):
        what = f"{lists + objects:,} lists and objects, and {keys:,} keys"
        message = f"its {what}, would take {cost // 10**6:,} MB of memory"
        raise JsonError(Code.TOO_LARGE, message)


def scan_value(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a position, and where it ends.

    Raises:
        JsonError: as `parse_json`, but for the cost.
    """
    try:
        return _scan(text, at)  # type: ignore[no-any-return]
    except StopIteration as error:
        raise JsonError(Code.SYNTAX, "expected a value", error.value) from None
    except json.JSONDecodeError as error:
        raise JsonError(Code.SYNTAX, error.msg[:1].lower() + error.msg[1:], error.pos) from None
    except RecursionError:
        raise JsonError(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels", at) from None
    except JsonError as error:
        error.at = at
        raise
    except ValueError:  # Python reads no integer of thousands of digits
        raise JsonError(Code.OUT_OF_RANGE, "a number of thousands of digits", at) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        last = {name: at for at, (name, _) in enumerate(pairs)}
        twice = next(name for at, (name, _) in enumerate(pairs) if last[name] != at)
        raise JsonError(Code.DUPLICATE_KEY, f"the key {twice!r} stands twice")
    return found


def _refused(constant: str) -> NoReturn:
    raise JsonError(Code.NOT_FINITE, f"{constant} is not a finite number")


_decoder: Any = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused)
_scan = _decoder.scan_once
