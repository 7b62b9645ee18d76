"""YAML text to a marked tree: the core schema of YAML 1.2 over PyYAML's events, with every surprise refused.

PyYAML only splits the text into events. Its own constructors would read ``1e-3`` as text and ``no`` as false,
would keep the last of two equal keys, and end in a crash on deep nesting.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from initcfg.errors import Code, SpecError
from initcfg.text.source import (
    MAX_DEPTH,
    LiteralError,
    Node,
    Reader,
    Source,
    Tree,
    has_surrogate,
    read_float,
    read_integer,
)
from initcfg.text.yaml_traps import Item, flow_hint, key_hint, rejoin_calls, syntax_hint, tell_cut_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_ALIASED = 100_000
# libyaml has a limit of its own from 0.2.6 on, and looks far ahead for the end of a key. Ours is lower.
_LIBYAML_DEPTH = "exceeded maximum nesting depth"

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIRECTIVES = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?[\r\n])*(%[^\r\n]*)")
_VERSION = r"%YAML[ \t]+1\.2[ \t]*(?:#.*)?"
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = r"0(?:o([0-7]+)|x([0-9a-fA-F]+))"
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_WORDS: dict[str, Tree] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_yaml(text: str, file: str | None = None) -> Source:
    """Reads one YAML document, without a byte order mark; a SpecError where it is none."""
    reader = Reader(file, text)
    _refuse_characters(reader)
    _refuse_directives(reader)
    try:
        return _Composer(reader).document()
    except SpecError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise _syntax_error(reader, error) from None


def _syntax_error(reader: Reader, error: Exception) -> SpecError:
    """What PyYAML could not read, where that shows or, for what does not end, where it begins."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return reader.fatal(Code.SYNTAX, f"not YAML: {error}", 0)
    what = " ".join(part for part in (error.context, error.problem) if part)
    unended = "end of stream" in what and error.context_mark is not None
    mark = error.context_mark if unended else error.problem_mark or error.context_mark
    last = max(len(reader.text.rstrip()) - 1, 0)
    index = last if mark is None else min(mark.index, last)
    if _LIBYAML_DEPTH in what:
        return _too_deep(reader, index)
    hint = syntax_hint(reader.source.place(index)) or _bracket_hint(
        reader, error, mark.index if mark else index
    )
    return reader.fatal(Code.SYNTAX, f"not YAML: {what}", index, hint=hint)


def _too_deep(reader: Reader, index: int) -> SpecError:
    return reader.fatal(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels", index, index + 1)


def _bracket_hint(reader: Reader, error: yaml.MarkedYAMLError, index: int) -> str | None:
    """What to do where a list or a mapping in brackets does not go on."""
    if error.context_mark is None or "while parsing a flow" not in (error.context or ""):
        return None
    return flow_hint(reader, error.context_mark.index, index)


def _refuse_characters(reader: Reader) -> None:
    found = _UNPRINTABLE.search(reader.text)
    if found:
        message = f"the character U+{ord(found[0]):04X} may not stand in YAML"
        hint = 'write it as an escape in a double-quoted string, such as "\\u0007"'
        raise reader.fatal(Code.ENCODING, message, found.start(), hint=hint)


def _refuse_directives(reader: Reader) -> None:
    found = _DIRECTIVES.match(reader.text)
    if found and re.fullmatch(_VERSION, found[1]):
        found = _DIRECTIVES.match(reader.text, found.end())
    if found is None:
        return
    other = found[1].startswith("%YAML")
    message = "only %YAML 1.2 is read, once" if other else "directives are not read"
    raise reader.fatal(Code.TAG, message, *found.span(1), hint="delete this line")


class _Anchor(NamedTuple):
    """A value that has a name; `size` counts its nodes and `height` its levels."""

    value: Tree
    node: Node
    size: int
    height: int


class _Composer:
    """Builds the tree from events; remembers anchors and counts what aliases expand to."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.text = reader.text
        self.events: Iterator[Any] = yaml.parse(reader.text, Loader=_LOADER)
        self.anchors: dict[str, _Anchor | None] = {}
        self.nodes = 0
        self.aliased = 0
        self.height = 0

    def document(self) -> Source:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return self.reader.finish(None, Node(0, 0))
        tree, root = self.value(next(self.events), 0)
        next(self.events)
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            start = event.start_mark.index
            hint = "keep one document in a file"
            raise self.reader.fatal(Code.SYNTAX, "a second document begins here", start, start + 3, hint)
        return self.reader.finish(tree, root)

    def value(self, event: Any, depth: int) -> tuple[Tree, Node]:
        """One value and its place; everything of it is consumed from the events."""
        if depth > MAX_DEPTH:
            raise self.too_deep(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if event.tag is not None:
            start = event.start_mark.index
            hint = "delete the tag; a value's kind follows from how it is written"
            message = f"the tag {event.tag!r} is not read"
            self.reader.problem(Code.TAG, message, Node(start, start + 1), hint)
        self.nodes += 1
        self.height = max(self.height, depth)
        return self.content(event, depth) if event.anchor is None else self.anchored(event, depth)

    def anchored(self, event: Any, depth: int) -> tuple[Tree, Node]:
        """A value with a name; how many nodes and levels it has is remembered for its aliases."""
        self.anchors[event.anchor] = None
        before, outer, self.height = self.nodes, self.height, depth
        tree, node = self.content(event, depth)
        self.anchors[event.anchor] = _Anchor(tree, node, self.nodes - before + 1, self.height - depth)
        self.height = max(outer, self.height)
        return tree, node

    def too_deep(self, event: Any) -> SpecError:
        return _too_deep(self.reader, event.start_mark.index)

    def alias(self, event: Any, depth: int) -> tuple[Tree, Node]:
        """The anchored value, unless aliases make the document too large or too deep."""
        start, end = event.start_mark.index, event.end_mark.index
        if event.anchor not in self.anchors:
            hint = f'quote what begins with *: "*{event.anchor}"; a list var is read by index, as d(0)'
            self.reader.problem(Code.ALIAS, f"no anchor is named {event.anchor!r}", Node(start, end), hint)
            return "", Node(start, end)
        anchor = self.anchors[event.anchor]
        if anchor is None:
            message = f"the alias {event.anchor!r} stands inside its own anchor"
            self.reader.problem(Code.ALIAS, message, Node(start, end))
            return "", Node(start, end)
        self.nodes += anchor.size
        self.aliased += anchor.size
        self.height = max(self.height, depth + anchor.height)
        if self.aliased > _MAX_ALIASED:
            message = f"aliases expand to more than {_MAX_ALIASED} values"
            raise self.reader.fatal(Code.ALIAS, message, start, end, "write the values out")
        if depth + anchor.height > MAX_DEPTH:
            raise self.too_deep(event)
        return anchor.value, anchor.node

    def content(self, event: Any, depth: int) -> tuple[Tree, Node]:
        if isinstance(event, yaml.ScalarEvent):
            node = Node(*_span(event))
            return self.scalar(event, node), node
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, depth)
        return self.mapping(event, depth)

    def scalar(self, event: Any, node: Node) -> Tree:
        text: str = event.value
        if not event.style:
            try:
                return _resolve(text)
            except LiteralError as error:
                hint = "numbers are finite 64-bit floats or integers"
                self.reader.problem(error.code, str(error), node, hint)
                return 0
        if has_surrogate(text):
            self.reader.problem(Code.ENCODING, "a lone surrogate is not a character", node)
            return ""
        return text

    def sequence(self, event: Any, depth: int) -> tuple[Tree, Node]:
        items = []
        while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
            plain = isinstance(inner, yaml.ScalarEvent) and not inner.style
            items.append(Item(None, *self.value(inner, depth + 1), plain=plain))
        if event.flow_style:
            tell_cut_numbers(items, self.reader)
            items = rejoin_calls(items, self.reader)
        node = Node(event.start_mark.index, _span(inner)[1], items=[item.node for item in items])
        return [item.value for item in items], node

    def mapping(self, event: Any, depth: int) -> tuple[Tree, Node]:
        pairs = []
        while not isinstance(inner := next(self.events), yaml.MappingEndEvent):
            key, key_node = self.key(inner, depth)
            inner = next(self.events)
            plain = isinstance(inner, yaml.ScalarEvent) and not inner.style
            pairs.append(Item((key, key_node), *self.value(inner, depth + 1), plain=plain))
        if event.flow_style:
            pairs = rejoin_calls(pairs, self.reader)
        tree, values, keys = self.merged(pairs)
        own: set[str] = set()
        for pair in pairs:
            if _is_merge(pair):
                continue
            name, where = self.checked_key(pair)
            if name is None:
                continue
            if name in own and self.reader.is_full:
                self.reader.untold += 1
                continue
            if name in own:
                self.reader.duplicate(name, where, keys[name])
                continue
            own.add(name)
            tree[name], values[name], keys[name] = pair.value, pair.node, where
        return tree, Node(event.start_mark.index, _span(inner)[1], values=values, keys=keys)

    def merged(self, pairs: list[Item]) -> tuple[dict[str, Tree], dict[str, Node], dict[str, Node]]:
        """What the merge key ``<<`` brings in: of several mappings the first that has a key."""
        tree: dict[str, Tree] = {}
        values: dict[str, Node] = {}
        keys: dict[str, Node] = {}
        merges = [pair for pair in pairs if _is_merge(pair)]
        for pair in merges[1:]:
            assert pair.key is not None  # noqa: S101 - a mapping's items all have keys
            hint = "write one, with a list: <<: [*a, *b]"
            self.reader.problem(
                Code.DUPLICATE_KEY, "the merge key '<<' is written twice in one mapping", pair.key[1], hint
            )
        for pair in merges[:1]:
            given = [(pair.value, pair.node)]
            if isinstance(pair.value, list):
                given = list(zip(pair.value, pair.node.items, strict=True))
            for value, node in given:
                if not isinstance(value, dict):
                    message = "the merge key '<<' takes a mapping, or a list of mappings"
                    hint = "name an anchor of a mapping, as <<: *name"
                    self.reader.problem(Code.WRONG_TYPE, message, node, hint)
                    continue
                for name in value:
                    if name not in tree:
                        tree[name], values[name] = value[name], (node.values or {})[name]
                        keys[name] = (node.keys or {})[name]
        return tree, values, keys

    def key(self, event: Any, depth: int) -> tuple[Tree, Node]:
        """The key as it was written; a plain one is wrapped, because it may be a piece of a cut call."""
        if (
            isinstance(event, yaml.ScalarEvent)
            and not event.style
            and event.tag is None
            and event.anchor is None
        ):
            return _Plain(event.value), Node(*_span(event))
        return self.value(event, depth + 1)

    def checked_key(self, pair: Item) -> tuple[str | None, Node]:
        assert pair.key is not None  # noqa: S101 - a mapping's items all have keys
        written, where = pair.key
        if isinstance(written, _Plain):
            try:
                written = _resolve(written.text)
            except LiteralError:
                written = 0
        if isinstance(written, str):
            return written, where
        raw = self.text[where.start : where.end]
        message = f"the key {raw!r} is not a string" if len(raw) < MAX_DEPTH else "a key is not a string"
        self.reader.problem(Code.KEY_TYPE, message, where, key_hint(self.text, where), entry=raw)
        return None, where


class _Plain(NamedTuple):
    """A key without quotes, before it is known what it means."""

    text: str


def _is_merge(pair: Item) -> bool:
    """Whether a pair is a merge key, which YAML 1.2 dropped and whoever uses anchors still writes."""
    return pair.key is not None and pair.key[0] == _Plain("<<")


def _span(event: Any) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def _resolve(text: str) -> Tree:
    """What a plain scalar means in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return read_integer(text)
    if _FLOAT.fullmatch(text):
        return read_float(text)
    based = re.fullmatch(_BASED, text)
    if based:
        return read_integer(based[1], 8) if based[1] else read_integer(based[2], 16)
    if re.fullmatch(_NOT_FINITE, text):
        raise LiteralError(Code.NOT_FINITE, f"{text} is not a finite number")
    return text
