"""The ways to write an initializer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import initcfg
from initcfg.errors import Code, SpecError
from initcfg.initializers import (
    BUILTINS,
    Concatenate,
    Constant,
    GlorotUniform,
    Initializer,
    RandomNormal,
    Zeros,
    canonical_name,
    register,
    registry,
    serialize,
)
from initcfg.initializers.arguments import arguments_of
from initcfg.spec import InitializerConfig, Param, Spec, dump_tree, load

RAGGED = {"value": [[1], [2, 3]], "dtype": "float32"}


def read(written):
    return Param(shape=[1], initializer=written).initializer


def problems(written):
    with pytest.raises(SpecError) as raised:
        read(written)
    return [(each.code, each.where.path[1:]) for each in raised.value.diagnostics]


@pytest.mark.parametrize(
    "written",
    [
        {"random_normal": {"stddev": 0.02}},
        {"class_name": "random_normal", "config": {"stddev": 0.02}},
        {"class_name": "random_normal", "config": {"stddev": 0.02}, "module": None, "registered_name": None},
        RandomNormal(stddev=0.02),
        RandomNormal(mean=0.0, stddev=np.float64(0.02), seed=None),
        InitializerConfig("random_normal", {"stddev": 0.02}),
    ],
)
def test_all_forms_give_one_normal_form(written):
    assert read(written) == InitializerConfig("random_normal", {"stddev": 0.02})


@pytest.mark.parametrize("written", ["zeros", {"zeros": {}}, {"class_name": "zeros"}, Zeros(), Zeros])
def test_an_initializer_without_arguments_is_its_name(written):
    assert read(written) == InitializerConfig("zeros")
    assert read(written).tree() == "zeros"


def test_what_keras_serializes_is_kept_as_it_was_written():
    written = serialize(RandomNormal(stddev=0.02, seed=3))
    config = read(written)
    assert (config.name, config.module, config.registered_name) == (
        "RandomNormal",
        "keras.initializers",
        None,
    )
    assert read(config.tree()) == config
    assert config.tree()["module"] == "keras.initializers"


def test_repr_shows_what_was_written():
    assert repr(read("zeros")) == "InitializerConfig('zeros')"
    assert repr(read({"constant": {"value": 3}})) == "InitializerConfig('constant', {'value': 3})"
    assert repr(read(serialize(Zeros()))) == "InitializerConfig('Zeros', module='keras.initializers')"


def test_nested_initializers_are_read_in_every_form():
    parts = ["zeros", {"random_normal": {"stddev": "1 / d"}}, GlorotUniform(), {"class_name": "Ones"}]
    config = read({"concatenate": {"axis": 0, "sizes": [1, "d", 2.0, 3], "initializers": parts}})
    assert [part.name for part in config.config["initializers"]] == [
        *("zeros", "random_normal", "glorot_uniform", "Ones")
    ]
    assert config.config["sizes"] == (1, "d", 2, 3)


def test_an_instance_with_nested_ones_is_written_by_name():
    config = read(Concatenate(axis=1, sizes=[1, 2], initializers=["zeros", RandomNormal(stddev=0.5)]))
    assert config.tree() == {
        "concatenate": {
            "axis": 1,
            "sizes": [1, 2],
            "initializers": ["zeros", {"random_normal": {"stddev": 0.5}}],
        }
    }


def test_an_array_is_a_constant():
    assert read(Constant([1, 2])).tree() == {"constant": {"value": [1, 2]}}
    assert read({"constant": {"value": [[1, "2 * d"], [3, 4.5]]}}).config["value"] == ((1, "2 * d"), (3, 4.5))
    assert read(np.ones((2,))).tree()["constant"]["value"]["class_name"] == "__numpy__"
    assert read(np.ones((2,))) == read(read(np.ones((2,))).tree())


@pytest.mark.parametrize(
    "cls", [cls for cls in BUILTINS if not any(each.is_required for each in arguments_of(cls).values())]
)
def test_every_built_in_is_read_from_its_instance_and_from_its_config(cls):
    name = canonical_name(cls)
    assert read(cls()) == InitializerConfig(name)
    assert read({name: cls().get_config()}).name == name
    assert read(serialize(cls())).name == cls.__name__


def test_a_callable_stays_an_object_and_is_not_written():
    def ramp(shape, dtype=None):
        return np.zeros(shape, dtype)

    config = read(ramp)
    assert (config.name, config.instance.function) == ("ramp", ramp)
    spec = Spec(
        layers={"a": {"params": {"w": {"shape": [1], "initializer": ramp}}}}, params={"b": Param(shape=[2])}
    )
    with pytest.raises(SpecError) as raised:
        dump_tree(spec)
    (problem,) = raised.value.diagnostics
    assert problem.code is Code.NOT_SERIALIZABLE
    assert problem.where.path == ("layers", "a", "params", "w", "initializer")


def test_a_callable_inside_another_initializer_is_not_written():
    spec = Spec(
        params={
            "w": {
                "shape": [2],
                "initializer": {
                    "concatenate": {
                        "axis": 0,
                        "sizes": [2],
                        "initializers": [lambda shape, dtype: (shape, dtype)],
                    }
                },
            }
        }
    )
    with pytest.raises(SpecError, match="cannot be written down"):
        dump_tree(spec)


@pytest.fixture
def registered(monkeypatch):
    """A custom class, registered for one test."""
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    @register(package="lab")
    class Ramp(Initializer):
        def __init__(self, step: float = 1.0, count: int = 2, label: str = "a"):
            self.step, self.count, self.label = step, count, label

        def __call__(self, shape, dtype=None):
            return np.full(shape, self.step, dtype)

        def get_config(self):
            return {"step": self.step, "count": self.count, "label": self.label}

    return Ramp


def test_annotated_numbers_of_a_custom_class_take_expressions(registered):
    config = read({"ramp": {"step": "1 / d", "count": 3.0, "label": "x +"}})
    assert dict(config.config) == {"step": "1 / d", "count": 3, "label": "x +"}
    assert problems({"ramp": {"step": "1 /"}}) == [(Code.EXPRESSION_SYNTAX, ("ramp", "step"))]
    assert problems({"ramp": {"steps": 1}}) == [(Code.UNKNOWN_KEY, ("ramp", "steps"))]


def test_a_registered_instance_is_written_by_name_without_its_defaults(registered):
    assert read(registered(step=2.0)).tree() == {"ramp": {"step": 2.0}}
    assert read(registered(step=np.float32(1.0), count=np.int64(3))).tree() == {"ramp": {"count": 3}}


@pytest.fixture
def holder(monkeypatch):
    """A registered class with one argument and no config, and one with a config of anything."""
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))

    @register
    class Silent(Initializer):
        def __init__(self, level=1.0):
            self.level = level

        def __call__(self, shape, dtype=None):
            return np.full(shape, self.level, dtype)

    @register
    class Holder(Silent):
        def get_config(self):
            return {"level": self.level}

    @register
    class Measured(Silent):
        def __init__(self, level: float = 1.0):
            self.level = level

        def get_config(self):
            return {"level": self.level, "unknown": 1} if self.level == 7 else {"level": self.level}

    return SimpleNamespace(silent=Silent, holder=Holder, measured=Measured)


def test_an_instance_that_does_not_tell_its_arguments_is_kept_and_not_written(holder):
    instance = holder.silent(5.0)
    spec = Spec(params={"w": Param(shape=[2], initializer=instance)})
    assert spec.params["w"].initializer.instance is instance
    np.testing.assert_array_equal(initcfg.materialize(initcfg.make_plan(spec))["w"], [5, 5])
    with pytest.raises(SpecError, match="cannot be written down"):
        dump_tree(spec)


@pytest.mark.parametrize("level", [{1, 2}, {1: 2}, Zeros(), [float("inf")]])
def test_an_instance_with_an_argument_that_no_document_holds_is_kept(holder, level):
    assert read(holder.holder(level)).instance is not None


@pytest.mark.parametrize("level", ["1 / d", 7])
def test_an_instance_whose_config_would_be_read_otherwise_is_kept(holder, level):
    assert read(holder.measured(level)).instance.level == level
    assert read(holder.measured(3)).tree() == {"measured": {"level": 3}}


def test_an_array_in_the_config_of_an_instance_is_a_list(holder):
    assert read(holder.holder(np.array([1.0, 2.0]))).tree() == {"holder": {"level": [1.0, 2.0]}}
    assert read(holder.holder(np.array([1.0]))).config["level"] == (1.0,)


@pytest.mark.parametrize(
    ("value", "written"), [(-0.0, "-0.0"), (False, "False"), (0, "0"), (0.0, None), (1.0, "1.0")]
)
def test_an_argument_that_only_compares_equal_to_its_default_is_kept(value, written):
    config = read(Constant(value)).config
    assert (repr(config["value"]) if config else None) == written
    (parameter,) = initcfg.make_plan(Spec(params={"w": Param(shape=[2], initializer=Constant(value))}))
    assert repr(parameter.distribution.value) == repr(value)


def test_an_empty_array_without_a_written_form_is_refused_at_its_place():
    assert problems(np.zeros((0, 3))) == [(Code.INITIALIZER_CONFIG, ())]


def test_a_list_of_integers_may_be_an_array():
    config = read({"concatenate": {"axis": 0, "sizes": np.array([1, 2]), "initializers": ["zeros", "ones"]}})
    assert config.config["sizes"] == (1, 2)


def test_an_array_is_one_leaf_of_the_spec_and_of_the_plan():
    array = np.arange(6.0).reshape(2, 3)
    spec = Spec(params={"w": Param(shape=[2, 3], initializer=Constant(array))})
    (held,) = spec.params["w"].initializer.config.values()
    (parameter,) = initcfg.make_plan(spec)
    assert parameter.initializer.value is held  # type: ignore[attr-defined]
    listed = read({"constant": {"value": array.tolist()}})
    assert listed == read(listed.tree()) != spec.params["w"].initializer


def test_a_registered_instance_that_no_document_can_hold_is_kept_and_not_written(registered):
    for label in (object(), float("nan"), {1, 2}, 10**400):
        held = registered(label=label)
        spec = Spec(params={"w": Param(shape=[1], initializer=held)})
        assert spec.params["w"].initializer.instance is held
        with pytest.raises(SpecError, match="cannot be written down"):
            dump_tree(spec)


def test_the_registered_name_goes_before_the_class_name(registered):
    written = {"class_name": "Other", "registered_name": "lab>Ramp", "config": {"step": 2}}
    assert read(written).lookup_name == "lab>Ramp"
    assert problems(written | {"config": {"stp": 2}}) == [(Code.UNKNOWN_KEY, ("config", "stp"))]


def test_arguments_of_an_unknown_name_are_kept_for_later():
    config = read({"later": {"a": [1, {"b": None}], "c": "x +"}})
    assert config.tree() == {"later": {"a": [1, {"b": None}], "c": "x +"}}
    assert hash(config) == hash(read(config.tree()))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (3, [(Code.WRONG_TYPE, ())]),
        (["zeros"], [(Code.WRONG_TYPE, ())]),
        ({}, [(Code.WRONG_TYPE, ())]),
        ("", [(Code.BAD_NAME, ())]),
        ({"": {}}, [(Code.BAD_NAME, ())]),
        ({3: {}}, [(Code.BAD_NAME, ())]),
        ({"zeros": None}, [(Code.WRONG_TYPE, ("zeros",))]),
        ({"zeros": {}, "ones": {}}, [(Code.WRONG_TYPE, ())]),
        ("concatenate", [(Code.MISSING_KEY, ())] * 3),
        ({"class_name": 3}, [(Code.WRONG_TYPE, ("class_name",))]),
        ({"class_name": ""}, [(Code.BAD_NAME, ("class_name",))]),
        ({"class_name": "Zeros", "config": None}, [(Code.WRONG_TYPE, ("config",))]),
        ({"class_name": "Zeros", "module": 3}, [(Code.WRONG_TYPE, ("module",))]),
        ({"class_name": "Zeros", "build_config": {}}, [(Code.UNKNOWN_KEY, ("build_config",))]),
        (
            {"random_normal": {"stddev": True, "mean": "x", "seed": -1, "std": 2}},
            [
                (Code.UNKNOWN_KEY, ("random_normal", "std")),
                (Code.WRONG_TYPE, ("random_normal", "stddev")),
                (Code.OUT_OF_RANGE, ("random_normal", "seed")),
            ],
        ),
        ({"constant": {"value": [[1, 2], [3]]}}, [(Code.INITIALIZER_CONFIG, ("constant", "value"))]),
        (
            {"constant": {"value": [1, None, {}]}},
            [(Code.WRONG_TYPE, ("constant", "value", 1)), (Code.WRONG_TYPE, ("constant", "value", 2))],
        ),
        ({"constant": {"value": [1, "2 +"]}}, [(Code.EXPRESSION_SYNTAX, ("constant", "value", 1))]),
        (
            {"constant": {"value": {"class_name": "__numpy__", "config": RAGGED}}},
            [(Code.INITIALIZER_CONFIG, ("constant", "value"))],
        ),
        (
            {"concatenate": {"axis": 0, "sizes": [1, 0.5], "initializers": ["zeros", 3]}},
            [
                (Code.WRONG_TYPE, ("concatenate", "sizes", 1)),
                (Code.WRONG_TYPE, ("concatenate", "initializers", 1)),
            ],
        ),
        (
            {"concatenate": {"axis": 0, "sizes": "d", "initializers": []}},
            [(Code.WRONG_TYPE, ("concatenate", "sizes"))],
        ),
        ({"later": {"a": object()}}, [(Code.WRONG_TYPE, ("later", "a"))]),
        ({"later": {"a": [float("inf")]}}, [(Code.NOT_FINITE, ("later", "a", 0))]),
    ],
)  # fmt: skip
def test_what_is_no_initializer_is_refused_at_its_place(written, expected):
    assert problems(written) == expected


def test_nesting_without_end_is_refused():
    endless = {"axis": 0, "sizes": [1]}
    endless["initializers"] = [{"concatenate": endless}]
    assert (Code.TOO_DEEP in {code for code, _ in problems({"concatenate": endless})}) is True
    looped: list = []
    looped.append(looped)
    for written in ({"constant": {"value": looped}}, {"later": {"a": looped}}):
        assert {code for code, _ in problems(written)} <= {Code.TOO_DEEP, Code.WRONG_TYPE}


def test_a_document_gives_the_place_of_a_nested_fault():
    with pytest.raises(SpecError) as raised:
        load({"initcfg": 1, "initializers": {"a": {"random_normal": {"stddev": -1}}}})
    assert raised.value.diagnostics[0].where.path == ("initializers", "a", "random_normal", "stddev")
