"""A spec as a value in Python."""

from __future__ import annotations

import ast
import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from initcfg.errors import Code, SpecError
from initcfg.initializers import GlorotUniform, RandomNormal, combined, formulas
from initcfg.initializers.arguments import arguments_of
from initcfg.layout import Layout
from initcfg.spec import (
    Allow,
    InitializerConfig,
    Layer,
    Param,
    Range,
    Rule,
    Spec,
    dump_yaml,
    load,
    loads,
    models,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

#: In the place of the default of an argument that has none.
REQUIRED = object()


def transformer():
    """A model with every feature that Python code can give."""
    return Spec(
        name="tiny",
        seed=42,
        layout="in_out",
        vars={"d": 64, "n_layer": 12, "widths": [1, "2 * d"]},
        initializers={"base": RandomNormal(stddev=0.02)},
        layers={
            "h.{i}": Layer(
                repeat={"i": "n_layer"},
                params={"w": Param(shape=["d", "3 * d"], initializer="base"), "b": {"shape": ["d"]}},
            ),
        },
        params={"cls": {"shape": [1, 64], "initializer": GlorotUniform, "dtype": "bfloat16"}},
    )


def problems(build) -> list[tuple[Code, tuple]]:
    with pytest.raises(SpecError) as raised:
        build()
    return [(each.code, each.where.path) for each in raised.value.diagnostics]


def test_python_and_yaml_give_the_same_spec():
    assert transformer() == loads(
        """
        initcfg: 1
        name: tiny
        seed: 42
        layout: in_out
        vars: {d: 64, n_layer: 12, widths: [1, 2 * d]}
        initializers: {base: {random_normal: {stddev: 0.02}}}
        layers:
          h.{i}: {repeat: {i: n_layer}, params: {w: {shape: [d, 3 * d], initializer: base}, b: {shape: [d]}}}
        params: {cls: {shape: [1, 64], initializer: glorot_uniform, dtype: bfloat16}}
        """
    )


def test_specs_are_equal_by_value_and_hash_alike():
    assert transformer() == transformer()
    assert hash(transformer()) == hash(transformer())
    assert transformer() != Spec(seed=42)
    assert Spec() != Layer(params={})


def test_where_a_spec_was_written_does_not_count():
    assert loads("initcfg: 1\nseed: 3\n") == loads("seed: 3\n\ninitcfg: 1\n") == Spec(seed=3)


def test_specs_survive_pickling_and_copying():
    for spec in (transformer(), loads("initcfg: 1\nseed: 3\n", file="a.yaml")):
        for again in (pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec)):
            assert again == spec
            assert again.locate(("seed",)) == spec.locate(("seed",))


def test_nothing_in_a_spec_can_be_changed():
    spec = transformer()
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1
    with pytest.raises(TypeError):
        spec.vars["d"] = 1
    with pytest.raises(TypeError):
        spec.layers["h.{i}"].params["w"] = None
    with pytest.raises(AttributeError):
        spec.initializers["base"].name = "zeros"


def test_a_spec_does_not_change_with_what_it_was_built_from():
    sizes = {"d": 3, "w": [1, 2]}
    config = {"random_normal": {"stddev": 1}}
    spec = Spec(vars=sizes, initializers={"a": config})  # type: ignore[arg-type]
    sizes["d"], config["random_normal"]["stddev"] = 4, 2
    sizes["w"].append(3)  # type: ignore[attr-defined]
    assert spec == Spec(vars={"d": 3, "w": [1, 2]}, initializers={"a": {"random_normal": {"stddev": 1}}})


def test_any_mapping_is_taken():
    spec = Spec(
        vars=MappingProxyType({"d": 1}), params=MappingProxyType({"w": MappingProxyType({"shape": [1]})})
    )
    assert spec.params["w"] == Param(shape=[1])


def test_shapes_take_tuples_and_numpy_integers():
    assert Param(shape=(np.int64(3), 4.0, "d")).shape == (3, 4, "d")  # type: ignore[arg-type]
    assert all(type(dim) is int for dim in Param(shape=(np.int64(3), 4.0)).shape)  # type: ignore[arg-type]


def test_dtypes_and_layouts_are_taken_as_objects():
    assert Param(shape=[1], dtype=np.float16).dtype == "float16"
    assert Param(shape=[1], dtype=np.dtype("int8")).dtype == "int8"
    assert Param(shape=[1], dtype=ml_dtypes.bfloat16).dtype == "bfloat16"
    assert Param(shape=[1], layout=Layout("OIHW")).layout == "OIHW"


def test_a_range_is_written_with_from():
    layer = Layer(repeat={"i": {"from": 2, "to": "n"}}, params={})
    assert layer.repeat["i"] == Range(**{"from": 2}, to="n")
    assert Range(to=3).start == 0


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: Spec(sede=3), [(Code.UNKNOWN_KEY, ("sede",))]),  # type: ignore[call-arg]
        (
            lambda: Spec(seed=-1, dtype="float23"),
            [(Code.OUT_OF_RANGE, ("seed",)), (Code.UNKNOWN_DTYPE, ("dtype",))],
        ),
        (lambda: Param(dtype="int8"), [(Code.MISSING_KEY, ())]),  # type: ignore[call-arg]
        (lambda: Param(shape="d"), [(Code.WRONG_TYPE, ("shape",))]),
        (
            lambda: Param(shape=[1, True, None]),
            [(Code.WRONG_TYPE, ("shape", 1)), (Code.WRONG_TYPE, ("shape", 2))],
        ),
        (lambda: Param(shape=[float("nan")]), [(Code.NOT_FINITE, ("shape", 0))]),  # type: ignore[list-item]
        (lambda: Spec(vars={"d": 10**400}), [(Code.NOT_FINITE, ("vars", "d"))]),
        (lambda: Spec(vars={3: 1}), [(Code.KEY_TYPE, ("vars", 3))]),  # type: ignore[dict-item]
        (
            lambda: Spec(params={"w": {"shpe": [1], "shape": [1]}}),
            [(Code.UNKNOWN_KEY, ("params", "w", "shpe"))],
        ),
        (lambda: Spec(params={"w": 3}), [(Code.WRONG_TYPE, ("params", "w"))]),  # type: ignore[dict-item]
        (lambda: Spec(name="\ud800"), [(Code.ENCODING, ("name",))]),
        (lambda: Spec(params=[1]), [(Code.WRONG_TYPE, ("params",))]),  # type: ignore[arg-type]
        (lambda: Layer(params={"w": Param(shape=[1])}, repeat={"i": []}), [(Code.REPEAT, ("repeat", "i"))]),
        (lambda: Param(shape=[1], dtype=32), [(Code.WRONG_TYPE, ("dtype",))]),  # type: ignore[arg-type]
        (lambda: Param(shape=[1], dtype=complex), [(Code.UNKNOWN_DTYPE, ("dtype",))]),
        (lambda: Spec(name=object()), [(Code.WRONG_TYPE, ("name",))]),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_value_is_a_spec_error_with_its_path(build, expected):
    assert problems(build) == expected


def test_errors_of_nested_models_keep_their_path():
    assert problems(lambda: Spec(layers={"a": {"params": {"w": {"shape": [1.5]}}}})) == [
        (Code.WRONG_TYPE, ("layers", "a", "params", "w", "shape", 0))
    ]


def test_a_key_error_is_answered_by_the_nearest_key_of_its_model():
    for document, hint in [
        ({"sede": 1}, "did you mean 'seed'?"),
        ({"layers": {"a": {"repeats": {}, "params": {}}}}, "did you mean 'repeat'?"),
        ({"params": {"w": {"shape": [1], "dtyp": "int8"}}}, "did you mean 'dtype'?"),
        ({"layers": {"a": {"repeat": {"i": {"too": 1, "to": 1}}}}}, "did you mean 'to'?"),
        ({"zzz": 1}, "the keys here are $schema, allow"),
    ]:
        with pytest.raises(SpecError) as raised:
            load({"initcfg": 1, **document})  # type: ignore[dict-item]
        assert raised.value.diagnostics[0].hint.startswith(hint)


def test_many_problems_are_cut_and_counted():
    with pytest.raises(SpecError) as raised:
        Spec(vars={f"v{index}": True for index in range(250)})
    assert len(raised.value.diagnostics) == 101
    assert raised.value.diagnostics[-1].severity == "note"
    assert "150 more" in raised.value.diagnostics[-1].message


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(Param(shape=[1, "d"], dtype="int8")) == "Param(shape=(1, 'd'), dtype='int8')"


def test_a_spec_of_python_has_paths_for_places():
    where = Spec().locate(("layers", "a"))
    assert (where.file, where.line, where.path) == (None, None, ("layers", "a"))


def test_a_transformer_of_twelve_blocks_is_written_back():
    assert loads(dump_yaml(transformer())) == transformer()


def test_an_initializer_config_is_taken_as_it_is():
    config = InitializerConfig("random_normal", {"stddev": 1})
    assert Param(shape=[1], initializer=config).initializer is config


def test_rules_and_exceptions_are_values():
    spec = Spec(
        rules=[Rule(match="**.bias", initializer="zeros"), {"match": "**", "ndim": 2.0, "skip": True}],
        allow=(Allow(code="random-bias", reason="meant"),),
    )
    assert spec == loads(
        """
        initcfg: 1
        rules: [{match: "**.bias", initializer: zeros}, {match: "**", ndim: 2, skip: true}]
        allow: [{code: random-bias, reason: meant, match: "**"}]
        """
    )
    assert hash(spec) == hash(pickle.loads(pickle.dumps(spec)))
    assert repr(spec.rules[1]) == "Rule(match='**', skip=True, ndim=2)"


def test_a_rule_begins_its_parameters_or_leaves_them_out():
    assert problems(lambda: Rule(match="w")) == [(Code.MISSING_KEY, ())]
    assert problems(lambda: Rule(match="w", skip=False)) == [(Code.MISSING_KEY, ())]
    for key, value in [("initializer", "zeros"), ("layout", "in_out"), ("dtype", "int8")]:
        keys = {"match": "w", "skip": True, key: value}
        assert problems(lambda keys=keys: Rule(**keys)) == [(Code.CONFLICTING_KEYS, (key,))]
    assert Rule(match="w", skip=True, dtype=None, ndim=3).ndim == 3


def test_a_malformed_pattern_has_the_place_of_the_fault_inside_it():
    with pytest.raises(SpecError) as raised:
        loads('initcfg: 1\nrules:\n  - {match: "h.**x", skip: true}\nallow: 3\n')
    assert [str(each.where) for each in raised.value.diagnostics] == ["3:15", "4:8"]


def test_an_address_of_the_schema_is_read_and_not_kept():
    spec = load({"$schema": "../spec.v1.schema.json", "initcfg": 1, "seed": 3})
    assert spec == Spec(seed=3)
    assert "schema" not in dump_yaml(spec)
    assert problems(lambda: load({"$schema": 3, "initcfg": 1})) == [(Code.WRONG_TYPE, ("$schema",))]


@pytest.mark.parametrize("model", [Allow, Layer, Param, Range, Rule, Spec])
def test_no_default_is_made_by_a_builtin(model) -> None:
    # Pydantic reads the signature of a factory; a builtin's is a text, and each start would pay to parse it.
    factories = [info.default_factory for info in model.model_fields.values() if info.default_factory]
    assert all(factory.__module__ != "builtins" for factory in factories)


def test_keys_that_begin_with_x_hold_anchors_at_the_top_and_nowhere_else() -> None:
    assert load({"x-common": {"seed": "any"}, "initcfg": 1}) == load({"initcfg": 1})
    document = {"initcfg": 1, "params": {"w": {"shape": [1], "initializer": "zeros", "x-note": 1}}}
    assert problems(lambda: load(document)) == [(Code.UNKNOWN_KEY, ("params", "w", "x-note"))]


def signatures_for_type_checkers(module: ModuleType) -> Iterator[tuple[type, ast.arguments]]:
    """The classes of a module with an ``__init__`` under ``if TYPE_CHECKING``, each with its arguments."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for branch in (node for node in cls.body if isinstance(node, ast.If)):
            for node in branch.body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    yield getattr(module, cls.name), node.args


def written_arguments(arguments: ast.arguments) -> list[tuple[str, bool, object]]:
    """The name of each argument but ``self``, whether only its keyword gives it, and its default."""
    by_place = arguments.args[1:]
    missing = [None] * (len(by_place) - len(arguments.defaults))
    places = zip(by_place, [*missing, *arguments.defaults], strict=True)
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [
        (each.arg, only, REQUIRED if default is None else ast.literal_eval(default))
        for only, pairs in ((False, places), (True, keywords))
        for each, default in pairs
    ]


def taken_arguments(cls: type) -> list[tuple[str, bool, object]]:
    """The same, of what the class takes when it runs; ``...`` stands for an empty mapping."""
    if not issubclass(cls, BaseModel):
        taken = arguments_of(cls).values()
        return [(each.name, False, REQUIRED if each.is_required else each.default) for each in taken]
    found = []
    for name, info in cls.model_fields.items():
        if info.alias is not None:  # no name of Python
            continue
        default = REQUIRED if info.is_required() else info.get_default(call_default_factory=True)
        found.append((name, True, ... if isinstance(default, Mapping) and not default else default))
    return found


def test_the_signatures_for_type_checkers_have_the_fields_and_defaults_of_their_classes() -> None:
    compared = set()
    for module in (models, combined, formulas):
        for cls, arguments in signatures_for_type_checkers(module):
            written, taken = written_arguments(arguments), taken_arguments(cls)
            assert written == taken, cls
            assert [type(each[2]) for each in written] == [type(each[2]) for each in taken], cls
            compared.add(cls.__name__)
    assert compared == {
        "Param",
        "Layer",
        "Rule",
        "Spec",
        "Concatenate",
        "Patch",
        "RepeatOf",
        "Formula",
        "Scaled",
    }


@pytest.mark.parametrize(
    "build", [lambda it: Spec(params={"w": it}), lambda it: load({"initcfg": 1, "vars": it})]
)
def test_an_array_in_a_wrong_place_is_a_wrong_type(build) -> None:
    with pytest.raises(SpecError, match="expected a mapping, got an object of type ndarray"):
        build(np.arange(3))
