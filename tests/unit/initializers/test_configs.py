"""get, serialize and deserialize have the meaning and the dicts of Keras."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    BuiltIn,
    Constant,
    FunctionInitializer,
    GlorotUniform,
    HeNormal,
    Initializer,
    RandomNormal,
    TruncatedNormal,
    Zeros,
    deserialize,
    get,
    register,
    registry,
    serialize,
)


@pytest.fixture(autouse=True)
def registrations_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TABLE", dict(registry._TABLE))
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))


class Ramp(Initializer):
    def __init__(self, step: float = 1.0) -> None:
        self.step = step

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, self.step, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"step": self.step}


class Flat(Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.zeros(shape, dtype)


def ramp(shape: Any, dtype: Any = None) -> Any:
    return np.zeros(shape, dtype)


def test_serialize_and_deserialize_are_inverse_through_json(example: BuiltIn) -> None:
    assert deserialize(json.loads(json.dumps(serialize(example)))) == example


def test_the_dict_is_that_of_keras() -> None:
    assert serialize(GlorotUniform(seed=1)) == {
        "module": "keras.initializers",
        "class_name": "GlorotUniform",
        "config": {"seed": 1, "input_axes": None, "output_axes": None},
        "registered_name": None,
    }


@pytest.mark.parametrize(
    "identifier",
    [
        "random_normal",
        "RandomNormal",
        "normal",
        RandomNormal,
        RandomNormal(),
        {"class_name": "RandomNormal", "config": {"mean": 0.0, "stddev": 0.05, "seed": None}},
        {"class_name": "RandomNormal", "config": {}},
        {"class_name": "random_normal", "config": None},
        {"class_name": "RandomNormal"},
        {
            "module": "keras.initializers",
            "class_name": "RandomNormal",
            "config": {"stddev": 0.05},
            "registered_name": None,
            "shared_object_id": 3,
        },
        {"random_normal": {}},
        {"random_normal": None},
        {"RandomNormal": {"stddev": 0.05}},
    ],
)
def test_every_way_to_say_it_gives_the_same_initializer(identifier: Any) -> None:
    assert get(identifier) == RandomNormal()


def test_none_gives_none() -> None:
    assert get(None) is None


def test_an_initializer_is_given_back_as_it_is() -> None:
    for initializer in (HeNormal(), Ramp(), FunctionInitializer(ramp)):
        assert get(initializer) is initializer


def test_an_array_gives_a_constant() -> None:
    assert get(np.eye(2)) == Constant(np.eye(2))
    assert get(np.float32(2)) == Constant(2.0)


def test_a_function_is_wrapped() -> None:
    assert get(ramp) == FunctionInitializer(ramp)


def test_a_custom_class_gives_an_instance() -> None:
    found = get(Ramp)
    assert isinstance(found, Ramp)
    assert found.step == 1.0


@pytest.mark.parametrize(
    ("identifier", "code", "words"),
    [
        ("glorot_unifrom", Code.UNKNOWN_INITIALIZER, "did you mean 'glorot_uniform'?"),
        ("constant_", Code.UNKNOWN_INITIALIZER, "PyTorch's constant_ is written {constant: {value: 0.1}}"),
        (3.5, Code.WRONG_TYPE, "3.5 is not an initializer"),
        ([1, 2], Code.WRONG_TYPE, "a list is not an initializer"),
        ({}, Code.WRONG_TYPE, "with one key, got none"),
        ({"a": 1, "b": 2}, Code.WRONG_TYPE, "got 2 keys"),
        ({"class_name": "Zeros", "confg": {}}, Code.UNKNOWN_KEY, "did you mean 'config'?"),
        ({"class_name": 3, "config": {}}, Code.WRONG_TYPE, "expected a string, got 3"),
        ({"class_name": "Zeros", "config": [1]}, Code.WRONG_TYPE, "got a list"),
        ({"class_name": "Zeros", "config": {"value": 1}}, Code.UNKNOWN_KEY, "Zeros takes no arguments"),
        ({"random_normal": {"std": 1}}, Code.UNKNOWN_KEY, "did you mean 'stddev'?"),
        ({"concatenate": {"axis": 0}}, Code.MISSING_KEY, "needs the argument 'sizes'"),
        ({"class_name": "function", "config": "my_init"}, Code.UNKNOWN_INITIALIZER, "the function 'my_init'"),
        ({"class_name": "__lambda__", "config": {}}, Code.UNKNOWN_INITIALIZER, "'__lambda__'"),
        (
            {"module": "os", "class_name": "system", "config": {}, "registered_name": "os>system"},
            Code.UNKNOWN_INITIALIZER,
            "no initializer is named 'os>system'",
        ),
    ],
)
def test_what_is_none_is_refused_with_a_way_out(identifier: Any, code: Code, words: str) -> None:
    with pytest.raises(InitializerError) as caught:
        get(identifier)
    assert caught.value.diagnostics[0].code == code
    assert words in str(caught.value)


def test_a_class_whose_arguments_are_missing_is_refused() -> None:
    class Needy(Ramp):
        def __init__(self, step: float) -> None:
            super().__init__(step)

    with pytest.raises(InitializerError, match="Needy needs the argument 'step'"):
        get(Needy)


def test_a_registered_class_goes_there_and_back() -> None:
    register(Ramp, package="lab")
    written = serialize(Ramp(0.5))
    assert written == {
        "module": __name__,
        "class_name": "Ramp",
        "config": {"step": 0.5},
        "registered_name": "lab>Ramp",
    }
    found = deserialize(json.loads(json.dumps(written)))
    assert isinstance(found, Ramp)
    assert found.step == 0.5


def test_a_custom_from_config_may_read_keys_of_its_own() -> None:
    @register
    class Renamed(Ramp):
        def get_config(self) -> dict[str, Any]:
            return {"stride": self.step}

        @classmethod
        def from_config(cls, config: Any) -> Renamed:
            return cls(config["stride"])

    found = deserialize(serialize(Renamed(3.0)))
    assert isinstance(found, Renamed)
    assert found.step == 3.0


def test_a_custom_config_is_held_to_the_signature() -> None:
    register(Ramp)
    with pytest.raises(InitializerError, match="ramp has no argument 'stap'"):
        get({"ramp": {"stap": 1}})
    with pytest.raises(InitializerError, match="'step' must be a number"):
        get({"ramp": {"step": "1"}})


def test_what_could_not_be_read_back_is_not_written() -> None:
    class Silent(Initializer):
        def __init__(self, step: float) -> None:
            self.step = step

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.full(shape, self.step, dtype)

    register(Silent)
    for initializer, words in (
        (ramp, "the function 'ramp'"),
        (Ramp(), "Ramp is not registered"),
        (Silent(1.0), "has no get_config"),
    ):
        with pytest.raises(InitializerError, match=words) as caught:
            serialize(initializer)
        assert caught.value.diagnostics[0].code == Code.NOT_SERIALIZABLE


def test_a_class_without_arguments_needs_no_get_config() -> None:
    register(Flat)
    assert isinstance(deserialize(serialize(Flat())), Flat)


def test_serialize_takes_what_get_takes() -> None:
    assert serialize(Zeros) == serialize(Zeros())


class Callable:
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.ones(shape, dtype)


def test_a_class_whose_instances_are_functions_gives_one() -> None:
    np.testing.assert_array_equal(get(Callable)((2,)), [1, 1])


@pytest.mark.parametrize("cls", [Initializer, BuiltIn, np.ndarray, np.float32, int, object])
def test_a_class_that_makes_no_initializer_is_refused(cls: type[Any]) -> None:
    with pytest.raises(InitializerError, match=f"the class {cls.__name__} makes no initializer") as caught:
        get(cls)
    assert caught.value.diagnostics[0].hint


@pytest.mark.parametrize("config", ["z", None, 5, ["zeros"]])
def test_only_mappings_are_deserialized(config: Any) -> None:
    with pytest.raises(InitializerError, match="is read from a mapping") as caught:
        deserialize(config)
    assert caught.value.diagnostics[0].hint


def test_none_is_not_serialized() -> None:
    with pytest.raises(InitializerError, match="None is not an initializer"):
        serialize(None)


@pytest.mark.parametrize("bounds", [{"low": -1.0}, {"high": 3.0}, {"low": 0.0, "high": 1.0}])
def test_what_keras_has_no_class_for_does_not_claim_its_module(bounds: dict[str, float]) -> None:
    written = serialize(TruncatedNormal(**bounds))  # type: ignore[arg-type]
    assert written["module"] == "initcfg.initializers"
    assert deserialize(written) == TruncatedNormal(**bounds)  # type: ignore[arg-type]
    assert serialize(TruncatedNormal(low=-2, high=2))["module"] == "keras.initializers"


def test_a_registered_subclass_of_a_built_in_is_written_as_a_custom_class() -> None:
    @register(package="lab")
    class Mine(HeNormal):
        pass

    written = serialize(Mine(seed=1))
    assert (written["module"], written["registered_name"]) == (__name__, "lab>Mine")
    assert deserialize(written) == Mine(seed=1)


def test_a_custom_config_is_plain_data() -> None:
    register(Ramp)
    assert serialize(Ramp(np.array([1.0, 2.0])))["config"] == {"step": [1.0, 2.0]}  # type: ignore[arg-type]
    for step in ({1, 2}, float("nan"), object(), {1: "a"}, HeNormal()):
        with pytest.raises(InitializerError, match="in its argument 'step', which cannot be") as caught:
            serialize(Ramp(step))  # type: ignore[arg-type]
        assert caught.value.diagnostics[0].code == Code.NOT_SERIALIZABLE
