"""The JSON Schema of a spec, generated from the models and the initializers; editors and validators use it.

It refuses the structure that the models refuse: keys, kinds, literal bounds. It looks at no expression.
Tagged unions are written as if/then, which gives an exact path and cause where ``oneOf`` gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initcfg.dtypes import DTYPES
from initcfg.errors import WARNINGS
from initcfg.spec.initializer_schema import initializer_definitions, or_null
from initcfg.spec.leaves import (
    IDENTIFIER,
    INITIALIZER_NAME,
    MARKER,
    MAX_DIM,
    MAX_NDIM,
    MAX_SEED,
    REASON,
)
from initcfg.spec.models import SKIPPED, Range, Spec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.initializers import Initializer

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:initcfg:schema:spec:v1"
_LAYOUT = r"^(in_out|out_in|[BDHWTLK]*[IO][IOBDHWTLK]*)(?!\n)$"
_NUMBER: Schema = {"type": ["number", "string"]}
_INTEGER: Schema = {"type": ["integer", "string"]}
_TEXT: Schema = {"type": "string"}

#: What each kind of leaf accepts; a string in the place of a number is an expression.
_KINDS: dict[str, Schema] = {
    "dtype": {"enum": list(DTYPES)},
    "identifier": {"type": "string", "pattern": IDENTIFIER},
    "initializer": {"allOf": [{"$ref": "#/$defs/initializer"}]},
    "initializer_name": {"type": "string", "pattern": INITIALIZER_NAME},
    "integer": _INTEGER,
    "layout": {"anyOf": [{"enum": ["in_out", "out_in"]}, {"type": "string", "pattern": _LAYOUT}]},
    "name": {"type": "string", "minLength": 1},
    "ndim": {"type": "integer", "minimum": 0, "maximum": MAX_NDIM},
    "pattern": _TEXT,
    "reason": {"type": "string", "pattern": REASON},
    "repeat": {
        "type": ["integer", "string", "array", "object"],
        "if": {"type": "object"},
        "then": {"$ref": "#/$defs/Range"},
        "minimum": 0,
        "items": _TEXT,
        "minItems": 1,
    },
    "seed": {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
    "shape": {
        "type": "array",
        "items": {**_INTEGER, "minimum": 0, "maximum": MAX_DIM},
        "maxItems": MAX_NDIM,
    },
    "step": {**_INTEGER, "minimum": 1},
    "text": _TEXT,
    "truth": {"type": "boolean"},
    "var": {"type": ["number", "string", "array"], "items": _NUMBER},
    "version": {"const": 1},
    "warning": {"enum": sorted(WARNINGS)},
}
_NOTES = ("description", "examples", "default")
#: The kind of the keys of each mapping.
_KEYS = {
    "vars": "identifier",
    "repeat": "identifier",
    "initializers": "initializer_name",
    "layers": "name",
    "params": "name",
}
#: A rule has an initializer, or skips and says nothing more.
_RULE: Schema = {
    "if": {"required": ["skip"], "properties": {"skip": {"const": True}}},
    "then": {"properties": {key: {"type": "null"} for key in SKIPPED}},
    "else": {"required": ["initializer"], "properties": {"initializer": {"not": {"type": "null"}}}},
}


def json_schema(plugins: Iterable[type[Initializer]] = ()) -> Schema:
    """The schema of version 1, in JSON Schema 2020-12.

    Args:
        plugins: the initializers that `initcfg.plugins.load_plugins` gave. Names that the schema does not
            know are free in any case, because a document may give its own.

    Example:
        >>> json_schema()["properties"]["seed"]["maximum"] == 2**64 - 1
        True
    """
    body = Spec.model_json_schema(by_alias=True)
    models = {**body.pop("$defs"), "Range": Range.model_json_schema(by_alias=True)}
    definitions = {name: _rewritten(model) for name, model in models.items()}
    definitions |= initializer_definitions(plugins)
    definitions["Rule"] |= _RULE
    root = _rewritten(body) | _unless_inherited(definitions)
    root["description"] = root["description"].partition("\n")[0]
    root["patternProperties"] = {"^x-": {"description": "A place for anchors and notes; ignored."}}
    head = {"$schema": _DIALECT, "$id": _ID, "title": "initcfg spec, version 1"}
    return head | root | {"required": ["initcfg"], "$defs": dict(sorted(definitions.items()))}


def _unless_inherited(definitions: dict[str, Schema]) -> Schema:
    """The keys that a layer and a parameter need, where nothing is extended that could give them."""
    param: Schema = {"type": "object", "required": definitions["Param"].pop("required")}
    params: Schema = {"type": "object", "additionalProperties": {"if": {"type": "object"}, "then": param}}
    layer: Schema = {
        "type": "object",
        "required": definitions["Layer"].pop("required"),
        "properties": {"params": {"if": {"type": "object"}, "then": params}},
    }
    layers: Schema = {"type": "object", "additionalProperties": {"if": {"type": "object"}, "then": layer}}
    return {
        "if": {"required": ["extends"], "properties": {"extends": {"type": "string"}}},
        "else": {"properties": {"layers": layers, "params": params}},
    }


def _rewritten(model: Schema) -> Schema:
    """A model's schema with our kinds in the place of their marks, and without pydantic's titles."""
    properties = {name: _property(name, value) for name, value in model["properties"].items()}
    kept = {key: value for key, value in model.items() if key not in ("title", "properties")}
    return kept | {"properties": properties}


def _property(name: str, written: Schema) -> Schema:
    """One field: what may stand there, then its description, examples and default."""
    notes = {key: written[key] for key in _NOTES if written.get(key) is not None}
    if "examples" in notes:
        notes["examples"] = [example for example in notes["examples"] if _is_offered(example)]
    notes = {key: value for key, value in notes.items() if value != []}
    options = written.get("anyOf", [written])
    nullable = {"type": "null"} in options
    rules = {key: value for key, value in options[0].items() if key not in (*_NOTES, "title")}
    if "additionalProperties" in rules:
        rules["propertyNames"] = _KINDS[_KEYS[name]]
    rules = _kinds_for_marks(rules)
    return notes | (or_null(rules) if nullable else rules)


def _is_offered(example: object) -> bool:
    """Whether an editor can offer it: of an object it would offer JavaScript's name for one."""
    values = example if isinstance(example, list) else [example]
    return not any(isinstance(value, Mapping) for value in values)


def _kinds_for_marks(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    if MARKER in node:
        return _KINDS[node[MARKER]]
    return {key: _kinds_for_marks(value) for key, value in node.items()}
