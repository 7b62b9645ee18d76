"""What a full name may be."""

from __future__ import annotations

from initcfg.errors import Code, printable

_MAX_BYTES = 4096


def name_problem(name: str) -> tuple[Code, str] | None:
    """What keeps a full name from being used, or None.

    Names are dotted, UTF-8 as written; they become keys of files and arguments of programs.
    """
    # What Python calls printable holds nothing that `printable` would escape; this answers for most names.
    if name.isascii() and name.isprintable() and len(name) <= _MAX_BYTES and ".." not in f".{name}.":
        return None
    if not name or any(not segment for segment in name.split(".")):
        return Code.BAD_NAME, f"the name {name!r} has an empty segment"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return Code.BAD_NAME, f"the name {name!r} holds half of a surrogate pair, which UTF-8 cannot write"
    if size > _MAX_BYTES:
        return Code.BAD_NAME, f"a name has at most {_MAX_BYTES} bytes, this one {size}"
    if printable(name) != name:
        return Code.BAD_NAME, f"the name {name!r} holds control or text direction characters"
    return None
