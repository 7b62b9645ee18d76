"""The JSON Schema and the models accept and refuse the same structure.

`Agreement` says what structure is. Mutated documents are in test_mutated_specs.py.
"""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import SpecError
from initcfg.initializers import BUILTINS, canonical_name
from initcfg.initializers.arguments import arguments_of
from initcfg.initializers.values import CONSTANT
from initcfg.spec.files import read_file
from initcfg.spec.schema import json_schema

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
CORPUS = sorted(
    path
    for folder in ("tests/cases/valid", "tests/cases/invalid", "configs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".yaml", ".yml", ".json")
)


def trees() -> list[dict]:
    """Every document of the corpus whose text can be read."""
    found = []
    for path in CORPUS:
        try:
            source = read_file(path)
        except SpecError:
            continue
        if isinstance(source.tree, dict) and not source.problems:
            found.append(source.tree)
    return found


TREES = trees()


def test_schema_is_a_schema_of_its_dialect():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_published_schema_is_the_generated_one():
    published = json.loads((ROOT / "schemas" / "spec.v1.schema.json").read_text("utf-8"))
    assert published == SCHEMA, "run: python docs/generate.py"


def test_schema_keeps_to_what_editors_read():
    def keywords(node):
        if isinstance(node, dict):
            for key, value in node.items():
                yield key, node
                if key in ("properties", "$defs"):
                    for each in value.values():
                        yield from keywords(each)
                elif key not in ("examples", "default", "enum", "const"):
                    yield from keywords(value)
        elif isinstance(node, list):
            for each in node:
                yield from keywords(each)

    for key, node in keywords(SCHEMA):
        assert key not in ("oneOf", "unevaluatedProperties", "prefixItems", "$dynamicRef", "discriminator")
        if key == "$ref":
            assert set(node) == {"$ref"}
    fields = [SCHEMA, *(SCHEMA["$defs"][name] for name in ("Allow", "Layer", "Param", "Range", "Rule"))]
    assert all("description" in field for model in fields for field in model["properties"].values())


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: ",".join(tree)[:40])
def test_corpus_is_judged_alike(tree, agreement):
    agreement.check(tree)


# Values that a mutation puts somewhere: one of each kind, and the edges of the bounds.
# fmt: off
SCALARS = [
    None, True, False, 0, 1, -1, 2, 1.5, 2.0, -0.5, 2**63, 2**64, 1e300, "", "d", "zeros", "concatenate",
    "glorot_uniform", "GlorotUniform", "float32", "in_out", "OIHW", "fan_in", "normal", "0.5", "a b", "d\n",
    "1x", "random-bias", "unknown-key", "**.b", " ",
]
KEYS = [
    "initcfg", "name", "seed", "dtype", "layout", "stream_version", "vars", "initializers", "layers",
    "params", "shape", "initializer", "stream", "tied_to", "repeat", "from", "to", "step", "class_name",
    "config", "module", "registered_name", "stddev", "scale", "mode", "value", "axis", "sizes", "zeros",
    "x-y", "", "9", "rules", "$schema", "i", "d\n", "match", "skip", "ndim", "allow", "code", "reason",
    "manifest", "extends", "nonsense",
]
# fmt: on


class Maker:
    """Makes documents from a seed, by plain random numbers: hypothesis takes ten times as long to draw."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def leaf(self):
        """A scalar, a list or a mapping that hardly ever suits its place."""
        kind = self.random.randrange(6)
        if kind == 0:
            return [self.random.choice(SCALARS) for _ in range(self.random.randrange(4))]
        if kind == 1:
            chosen = self.random.sample(KEYS, self.random.randrange(3))
            return {key: self.random.choice(SCALARS) for key in chosen}
        return self.random.choice(SCALARS)

    def spoilt(self, *right, often=0.04):
        """One of the right values, now and then any other."""
        return self.leaf() if self.random.random() < often else self.random.choice(right)

    def argument(self, argument):
        """A value for an argument; right more often than not."""
        number = self.spoilt(0.5, 1, 2.0, 1e-3, "d / 2", "fan_in", 0, -1, often=0.1)
        array = {"class_name": "__numpy__", "config": {"value": [number, [1]], "dtype": "float32"}}
        few = range(self.random.randrange(3))
        if argument.choices:
            return self.spoilt(*argument.choices)
        makers = {
            "an integer": lambda: self.spoilt(0, 1, 2.0, "d", -1),
            "a list of integers": lambda: [self.spoilt(0, 1, 2.0, "d") for _ in few],
            CONSTANT: lambda: self.random.choice([number, [number, 1], [[number], [True]], array, [1, [1]]]),
            "a list of initializers": lambda: [self.initializer() for _ in few],
        }
        kinds = (kind for kind in makers if argument.expected.startswith(kind))
        return makers.get(next(kinds, ""), lambda: number)()

    def initializer(self):
        """An initializer in one of the written forms."""
        cls = self.random.choice(BUILTINS)
        config = {
            name: self.argument(argument)
            for name, argument in arguments_of(cls).items()
            if (argument.is_required and self.random.random() < 0.95) or self.random.random() < 0.5
        }
        if self.random.random() < 0.04:
            config[self.random.choice(KEYS)] = self.leaf()
        name = self.random.choice([canonical_name(cls), cls.__name__, "own", "nrmal", "lab>Mine"])
        keras = {"class_name": name, "config": self.spoilt(config)}
        labels = {
            "module": self.spoilt("keras.initializers", None),
            "registered_name": self.spoilt(None, name),
        }
        return self.random.choice(
            [name, {name: self.spoilt(config)}, keras, keras | labels, self.spoilt("zeros")]
        )

    def param(self):
        optional = {
            "initializer": self.initializer(),
            "dtype": self.spoilt("float32", "bfloat16", None),
            "layout": self.spoilt("in_out", "OIHW", "BIO", None),
            "stream": self.spoilt("a.b", "x{i}", None),
            "tied_to": self.spoilt("a.b", None),
        }
        shape = [self.spoilt(0, 2, 3.0, "2 * d") for _ in range(self.random.randrange(4))]
        return {"shape": self.spoilt(shape)} | self.some(optional)

    def rule(self):
        rule = {"match": self.spoilt("**.b", "h.{i}.w", "[")} | self.some({"ndim": self.spoilt(0, 2.0, None)})
        begins = {
            "initializer": self.spoilt(self.initializer(), None, often=0.1),
            "layout": self.spoilt("in_out", None),
            "dtype": self.spoilt("float32", None),
        }
        if self.random.random() < 0.3:
            # What is skipped has nothing more, so what is added spoils it, unless it is null.
            return rule | {"skip": self.spoilt(True)} | (begins if self.random.random() < 0.1 else {})
        skip = {"skip": self.spoilt(False)}
        return rule | {"initializer": begins["initializer"] or "zeros"} | self.some(begins) | self.some(skip)

    def allow(self):
        return {
            "code": self.spoilt("random-bias"),
            "reason": self.spoilt("meant", " ", often=0.1),
        } | self.some({"match": self.spoilt("**.b", "[")})

    def some(self, optional):
        return {key: value for key, value in optional.items() if self.random.random() < 0.4}

    def generated(self):
        """A document put together from nothing, of parts that are mostly right."""
        repeat = {
            self.spoilt_key("i"): self.spoilt(3, "d", {"from": 1, "to": "d", "step": 2.0}, {"to": 1}, ["a"])
        }
        layer = {"params": {"w": self.param(), "b.c": self.param()}} | self.some({"repeat": repeat})
        rule = self.rule()
        optional = {
            "$schema": self.spoilt("a.json", None),
            "extends": self.spoilt("a.yaml", None, often=0.1),
            "manifest": self.spoilt("a.json", None),
            "rules": self.spoilt([rule, self.spoilt(self.rule())], []),
            "allow": self.spoilt([self.allow()], []),
            "seed": self.spoilt(0, 2**64 - 1, 3.0),
            "name": self.spoilt("a", "", None),
            "dtype": self.spoilt("float32", "float8_e5m2"),
            "layout": self.spoilt("in_out", "IO", None),
            "stream_version": self.spoilt(1, 1.0),
            "vars": {self.spoilt_key("d"): self.spoilt(1, 2.5, "3 * 4", [1, "2"], [])},
            "initializers": {self.spoilt_key("own"): self.initializer()},
            "layers": {self.spoilt_key("h.{i}"): self.spoilt(layer)},
            "params": {self.spoilt_key("p"): self.param()},
        }
        return {"initcfg": self.spoilt(1)} | self.some(optional)

    def spoilt_key(self, right):
        return self.random.choice(KEYS) if self.random.random() < 0.04 else right


SEEDS = st.integers(0, 2**32)
PROPERTY = settings(max_examples=25 * settings().max_examples)


@PROPERTY
@given(seed=SEEDS)
def test_generated_documents_are_judged_alike(seed, agreement):
    agreement.check(Maker(seed).generated())


def test_generated_documents_are_right_and_wrong_in_like_measure(agreement):
    refused = sum(bool(agreement.refused_by_models(Maker(seed).generated())) for seed in range(400))
    assert 100 < refused < 300


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda schema: schema.pop("else"), {"initcfg": 1, "params": {"w": {}}}),
        (lambda schema: schema["properties"].update(nonsense={}), {"initcfg": 1, "nonsense": []}),
        (lambda schema: schema["$defs"]["Rule"].pop("else"), {"initcfg": 1, "rules": [{"match": "w"}]}),
        (lambda schema: schema["properties"]["seed"].pop("minimum"), {"initcfg": 1, "seed": -1}),
    ],
)
def test_a_fault_planted_in_the_schema_is_found(change, path, agreement):
    faulty = copy.deepcopy(SCHEMA)
    change(faulty)
    with pytest.raises(AssertionError, match="models"):
        type(agreement)(faulty).check(path)
