"""The JSON Schema of a spec, which pydantic generates from the models; editors and validators use it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import CoreRef, GenerateJsonSchema

from initcfg.explanations import published
from initcfg.initializers import BUILTINS, canonical_name
from initcfg.initializers.annotations import read_constant, read_flag, read_formula
from initcfg.initializers.arguments import adapter_of, argument_texts
from initcfg.initializers.combined import read_region
from initcfg.initializers.configs import read_part
from initcfg.initializers.forms import known_arguments
from initcfg.initializers.fourier import read_window
from initcfg.initializers.registry import PACKAGE, aliases_of, is_free, registered_name
from initcfg.spec.models import Spec, read_initializer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import core_schema

    from initcfg.initializers import Initializer

Schema = dict[str, Any]
Classes = tuple[type["Initializer"], ...]

_REF = "#/$defs/{}"
# What some functions of ours read.
_READ: dict[object, Schema] = {
    read_flag: {"type": "boolean"},
    read_formula: {"type": "string"},
    read_window: {"type": ["string", "array"], "items": {"type": "number"}},
}
_ARRAY_FORM: Schema = {
    "properties": {
        "class_name": {"enum": ["__numpy__", "__tensor__"]},
        "config": {
            "type": "object",
            "required": ["value", "dtype"],
            "properties": {"value": {"$ref": _REF.format("number_array")}, "dtype": {}},
            "additionalProperties": False,
        },
    },
    "required": ["class_name", "config"],
}


def json_schema(plugins: Iterable[type[Initializer]] = ()) -> Schema:
    """The schema of version 1, in JSON Schema 2020-12, with those of `plugins` beside the built-ins.

    It refuses the structure that the models refuse: keys, kinds, literal bounds. It looks at no expression,
    and other names of initializers are free, because a document may give its own.
    """
    root = Spec.model_json_schema(schema_generator=_Generator)
    definitions = root.pop("$defs") | initializer_definitions(plugins)
    for model in (root, *definitions.values()):
        for rules in model.get("properties", {}).values():
            _offer(rules)
    root |= _unless_inherited(definitions)
    root["description"] = root["description"].partition("\n")[0]
    head = published("spec", {"title": "initcfg spec, version 1"})
    return head | root | {"$defs": dict(sorted(definitions.items()))}


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


def _offer(rules: Schema) -> None:
    """Keep the examples that an editor can offer; an object it would offer as ``[object Object]``."""
    kept = [each for each in rules.pop("examples", []) if not _holds_objects(each)]
    if kept:
        rules["examples"] = kept


def _holds_objects(example: object) -> bool:
    return any(isinstance(each, dict) for each in (example if isinstance(example, list) else [example]))


def initializer_definitions(plugins: Iterable[type[Initializer]] = ()) -> dict[str, Schema]:
    """The definitions that ``#/$defs/initializer`` is made of, one for the arguments of each class."""
    classes = tuple(dict.fromkeys((*BUILTINS, *plugins)))
    arguments = {f"{canonical_name(cls)}_arguments": _arguments(cls) for cls in classes}
    return {
        "initializer": {
            "description": "How values begin: a name, one key with arguments, or Keras's form.",
            "type": ["string", "object"],
            "if": {"type": "object"},
            "then": {
                "if": {"required": ["class_name"]},
                "then": {"$ref": _REF.format("initializer_keras_form")},
                "else": {"$ref": _REF.format("initializer_short_form")},
            },
            "else": {"$ref": _REF.format("initializer_name")},
            "anyOf": _offered(
                *({"$ref": _REF.format(f"initializer_{form}")} for form in ("name", "short_form"))
            ),
        },
        "initializer_name": _name_alone(classes),
        "initializer_short_form": _short_form(classes),
        "initializer_keras_form": _keras_form(classes),
        "patch_region": {
            "type": "object",
            "required": ["at", "initializer"],
            "properties": {
                "at": {"type": "array", "items": {"type": ["integer", "string"]}},
                "initializer": {"$ref": _REF.format("initializer")},
            },
            "additionalProperties": False,
        },
        "constant_value": _value(["number", "boolean", "string", "array", "object"]),
        "constant_item": _value(["number", "boolean", "string", "array"]),
        "number_array": {
            "type": "array",
            "items": {
                "type": ["number", "boolean", "array"],
                "if": {"type": "array"},
                "then": {"$ref": _REF.format("number_array")},
            },
        },
    } | arguments


def _names(cls: type[Initializer]) -> list[str]:
    return [canonical_name(cls), *aliases_of(cls)]


def _reference(cls: type[Initializer]) -> Schema:
    return {"$ref": _REF.format(f"{canonical_name(cls)}_arguments")}


def _needs_arguments(cls: type[Initializer]) -> bool:
    return any(each.is_required for each in (known_arguments(cls) or {}).values())


def _name_alone(classes: Classes) -> Schema:
    """A name: completed from the known ones, and free, because a document and a plugin give more."""
    known = [canonical_name(cls) for cls in classes if not _needs_arguments(cls)]
    # The others may be names of the document.
    incomplete = [
        name for cls in classes if _needs_arguments(cls) for name in _names(cls) if not is_free(name)
    ]
    return {
        "type": "string",
        "minLength": 1,
        "anyOf": [{"enum": known}, {"type": "string"}],
        "not": {"enum": [*incomplete, *(f"{PACKAGE}>{name}" for name in incomplete)]},
    }


def _short_form(classes: Classes) -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        # Not in propertyNames, whose pattern editors would offer as a name.
        "patternProperties": {"^$": False} | {_qualified(cls): _shortest(cls) for cls in BUILTINS},
        "properties": {name: _shortest(cls) for cls in classes for name in _names(cls)},
        "additionalProperties": {"type": "object"},
    }


def _qualified(cls: type[Initializer]) -> str:
    """The names that always mean the built-in, also in a document that has one of its own of that name."""
    return rf"^{PACKAGE}>({'|'.join(_names(cls))})(?!\n)$"


def _shortest(cls: type[Initializer]) -> Schema:
    """The arguments, or the one that may be written alone."""
    if not hasattr(cls, "SHORT"):
        return _reference(cls)
    return {"type": ["string", "object"], "minLength": 1, "if": {"type": "object"}, "then": _reference(cls)}


def _keras_form(classes: Classes) -> Schema:
    """Keras's keys; the arguments depend on ``registered_name``, or else on ``class_name``."""
    class_names = [registered_name(cls).rpartition(">")[2] for cls in classes]
    return {
        "type": "object",
        "required": ["class_name"],
        "properties": {
            "class_name": {
                "type": "string",
                "minLength": 1,
                "anyOf": [{"enum": class_names}, {"type": "string"}],
            },
            "config": {"type": "object"},
            "module": {"type": ["string", "null"], "minLength": 1},
            "registered_name": {"type": ["string", "null"], "minLength": 1},
        },
        "additionalProperties": False,
        "allOf": [_keras_arguments(cls) for cls in classes],
    }


def _keras_arguments(cls: type[Initializer]) -> Schema:
    names: Schema = {"enum": _names(cls)}
    if cls in BUILTINS:
        names = {"anyOf": [names, {"type": "string", "pattern": _qualified(cls)}]}
    by_class = {
        "properties": {"class_name": names, "registered_name": {"type": "null"}},
        "required": ["class_name"],
    }
    by_registration = {"properties": {"registered_name": names}, "required": ["registered_name"]}
    then: Schema = {"properties": {"config": _reference(cls)}}
    if _needs_arguments(cls) and not is_free(canonical_name(cls)):
        then["required"] = ["config"]
    return {"if": {"anyOf": [by_class, by_registration]}, "then": then}


class _Generator(GenerateJsonSchema):
    """pydantic's generator, for editors.

    It adds no titles, writes a union of JSON types as one mapping, with if and then around objects, which
    gives an exact path and cause where ``oneOf`` gives none, and knows what our own functions read.
    """

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        return {key: value for key, value in super().model_schema(schema).items() if key != "title"}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        written = super().default_schema(schema)
        return {key: value for key, value in written.items() if key != "default" or value not in (None, [])}

    def dict_schema(self, schema: core_schema.DictSchema) -> Schema:
        keys, values = (self.generate_inner(schema[of]) for of in ("keys_schema", "values_schema"))
        return {"type": "object", "propertyNames": keys, "additionalProperties": values}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Schema:
        return _or_null(self.generate_inner(schema["schema"]))

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> Schema:
        united: Schema = {"type": []}
        for choice in map(self.generate_inner, schema["choices"].values()):
            if "$ref" in choice:
                choice = {"type": "object", "if": {"type": "object"}, "then": choice}  # noqa: PLW2901
            types = choice["type"]
            united["type"] += [types] if isinstance(types, str) else types
            united |= {key: value for key, value in choice.items() if key != "type"}
        return united

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> Schema:
        return self._ours(schema["function"]["function"])

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> Schema:
        return self._ours(schema["function"]["function"]) or super().function_after_schema(schema)

    def _ours(self, function: Any) -> Schema:
        """What a function of ours reads, by the name of its definition."""
        if function in _READ:
            return dict(_READ[function])
        names: dict[object, str] = {
            read_constant: "constant_value",
            read_part: "initializer",
            read_region: "patch_region",
            read_initializer: "initializer",
        }
        if (name := names.get(function)) is None:
            return {}
        definition, reference = self.get_cache_defs_ref_schema(CoreRef(name))
        self.definitions[definition] = {}
        return {"allOf": [reference]}


def _arguments(cls: type[Initializer]) -> Schema:
    summary = (inspect.getdoc(cls) or "").partition("\n")[0]
    head: Schema = {"description": summary} if summary else {}
    if known_arguments(cls) is None:
        return head | {"type": "object"}
    schema = adapter_of(cls).json_schema(schema_generator=_Generator)
    texts = argument_texts(cls)
    properties = {
        name: ({"description": texts[name]} if name in texts else {}) | rules
        for name, rules in schema.get("properties", {}).items()
    }
    kept = {key: schema[key] for key in ("required", "additionalProperties") if key in schema}
    return head | {"type": "object", "properties": properties} | kept


def _offered(*schemas: Schema) -> list[Schema]:
    """An ``anyOf`` that refuses nothing: editors complete from one, and not from if, then and else."""
    return [*schemas, {}]


def _or_null(rules: Schema) -> Schema:
    """The same rules, and null beside them; written so that a validator still names the cause."""
    if "anyOf" in rules:
        return {"anyOf": [*rules["anyOf"], {"type": "null"}]}
    if "allOf" in rules:
        return {"if": {"type": "null"}, "else": rules["allOf"][0], "anyOf": _offered(rules["allOf"][0])}
    null = {"enum": [*rules["enum"], None]} if "enum" in rules else {}
    types = [rules["type"]] if isinstance(rules.get("type"), str) else rules.get("type")
    return rules | null | ({"type": [*types, "null"]} if types else {})


def _value(types: list[str]) -> Schema:
    """A constant: a number, a bool, an expression, nested lists, or Keras's mapping where one may stand."""
    schema: Schema = {"type": types, "items": {"$ref": _REF.format("constant_item")}}
    return schema | ({"if": {"type": "object"}, "then": _ARRAY_FORM} if "object" in types else {})
