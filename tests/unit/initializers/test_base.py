"""What holds for every built-in: values, configs, seeds, shapes, dtypes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import math
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import initcfg.initializers
from initcfg import engines
from initcfg.distributions import Distribution
from initcfg.dtypes import DTYPES, as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    BUILTINS,
    STFT,
    BuiltIn,
    Combined,
    Constant,
    Cuttable,
    Elementwise,
    GlorotNormal,
    HeNormal,
    Initializer,
    NormOf,
    Orthogonal,
    Parameter,
    Pretrained,
    RandomNormal,
    Request,
    Structured,
    VarianceScaling,
    Zeros,
    check,
    make,
    resolve,
    stream_of,
)
from initcfg.initializers.arguments import arguments_of
from initcfg.initializers.recipes import Recipe
from initcfg.initializers.registry import class_names
from initcfg.initializers.structured import Factored, OfFrames
from initcfg.initializers.values import as_shape
from initcfg.layout import IN_OUT, Layout
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = Stream.of_parameter(0, "w")
FLOATS = [name for name, row in DTYPES.items() if row.kind == "float"]


def test_every_built_in_stands_in_the_examples_with_every_argument(
    built_in: type[BuiltIn], examples: tuple[BuiltIn, ...]
) -> None:
    mine = [example for example in examples if type(example) is built_in]
    assert mine
    for field in dataclasses.fields(built_in):
        assert any(getattr(example, field.name) != field.default for example in mine), field.name


def test_a_config_survives_json_and_gives_an_equal_initializer(example: BuiltIn) -> None:
    config = json.loads(json.dumps(example.get_config()))
    assert type(example).from_config(config) == example
    assert type(example).from_config(config).get_config() == example.get_config()
    assert example.clone() == example


def test_equal_values_have_equal_hashes(example: BuiltIn) -> None:
    assert hash(example.clone()) == hash(example)
    assert pickle.loads(pickle.dumps(example)) == example
    assert copy.deepcopy(example) == example


def test_different_examples_are_unequal(examples: tuple[BuiltIn, ...]) -> None:
    assert len(set(examples)) == len(examples)


def test_the_repr_makes_an_equal_initializer(example: BuiltIn) -> None:
    assert (
        eval(repr(example), {name: getattr(initcfg.initializers, name) for name in class_names()}) == example
    )


def test_the_repr_of_a_default_is_short() -> None:
    assert repr(GlorotNormal()) == "GlorotNormal()"
    assert repr(RandomNormal(stddev=0.02)) == "RandomNormal(stddev=0.02)"


def test_built_ins_cannot_be_changed(example: BuiltIn) -> None:
    for field in dataclasses.fields(example):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(example, field.name, None)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_array_has_the_shape_and_dtype_asked_for(
    example: BuiltIn, fitting: tuple[int, ...], dtype: str
) -> None:
    array = example(fitting, dtype)
    assert (array.shape, array.dtype.name) == (fitting, dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0)])
@pytest.mark.parametrize("cls", [cls for cls in BUILTINS if cls not in (NormOf, Parameter, Pretrained)])
def test_empty_arrays_are_made(cls: type[BuiltIn], shape: tuple[int, ...]) -> None:
    arguments = {"axis": 1, "sizes": [shape[1], 0], "initializers": ["ones", "orthogonal"], "sparsity": 0.5}
    arguments["value"] = "1 / index(0)"
    arguments |= {"dim": 8, "layers": 2, "stack": "encoder", "branches": 2, "stddev": 1, "width_mult": 2}
    arguments |= {"layer": 1, "max_steps": 8}
    arguments |= {"of": "ones", "times": 1, "factor": 2}
    arguments |= {
        "side": "query",
        "base": "ones",
        "patches": [{"at": [":", ":"], "initializer": "orthogonal"}],
    }
    needed = (each.name for each in arguments_of(cls).values() if each.is_required)
    if cls is STFT:
        shape = (shape[0], 1, shape[1])
    assert cls(**{name: arguments[name] for name in needed})(shape).shape == shape


def test_standalone_calls_take_what_keras_passes() -> None:
    for dtype in ("float16", np.float16, np.dtype("float16"), as_dtype("float16")):
        assert Zeros()(shape=[np.int64(2), 3], dtype=dtype).dtype == np.float16  # type: ignore[list-item]
    assert Zeros()((2,)).dtype == np.float32


@pytest.mark.parametrize(
    "shape",
    [
        (-1,),
        (1.5,),
        3,
        (None, 3),
        ("3",),
        None,
        (True, 2),
        (np.True_,),
        (1,) * 65,
        (2**60,),
        (0, 2**60),
        "ab",
    ],
)
def test_what_is_no_shape_is_refused(shape: Any) -> None:
    with pytest.raises(InitializerError) as caught:
        Zeros()(shape)
    assert caught.value.diagnostics[0].code == Code.SHAPE


def test_a_seed_gives_the_same_tensor_for_a_shape_and_dtype(example: BuiltIn) -> None:
    if getattr(example, "seed", None) is None:
        return
    first, second = example((2, 2)), example.clone()((2, 2))
    np.testing.assert_array_equal(first, second)


def test_without_a_seed_each_call_differs() -> None:
    initializer = RandomNormal()
    assert not np.array_equal(initializer((8,)), initializer((8,)))


def test_one_seed_gives_two_schemes_or_shapes_unrelated_values() -> None:
    glorot, he = GlorotNormal(seed=1)((50, 50)), HeNormal(seed=1)((50, 50))
    assert abs(np.corrcoef(glorot.ravel(), he.ravel())[0, 1]) < 0.1
    longer = GlorotNormal(seed=1)((51, 50))
    assert abs(np.corrcoef(glorot.ravel(), longer[:50].ravel())[0, 1]) < 0.1


def test_an_explicit_seed_goes_before_the_parameter_stream() -> None:
    assert stream_of(RandomNormal(), (3,), STREAM) == STREAM
    assert stream_of(RandomNormal(seed=1), (3,), STREAM) == Stream.of_seed(1, "RandomNormal", (3,))


def test_all_problems_of_the_arguments_are_told_at_once() -> None:
    with pytest.raises(InitializerError) as caught:
        RandomNormal(mean="0", stddev=-1, seed=1.5)  # type: ignore[arg-type]
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == [
        Code.WRONG_TYPE,
        Code.OUT_OF_RANGE,
        Code.WRONG_TYPE,
    ]


def test_numpy_numbers_are_stored_as_pythons() -> None:
    initializer = RandomNormal(np.float32(0.5), np.array(2), np.uint64(7))  # type: ignore[arg-type]
    stored = (initializer.mean, initializer.stddev, initializer.seed)
    assert stored == (0.5, 2.0, 7)
    assert [type(value) for value in stored] == [float, float, int]


def test_every_elementwise_example_is_one_distribution(example: BuiltIn) -> None:
    if isinstance(example, Elementwise):
        assert isinstance(resolve(example, (2, 2), IN_OUT), Distribution)


def test_only_schemes_that_look_at_axes_need_a_layout() -> None:
    assert resolve(RandomNormal(), (2, 2), None) is not None
    assert resolve(HeNormal(), (5,), None) == resolve(HeNormal(), (5,), IN_OUT)
    for initializer in (HeNormal(), Orthogonal()):
        with pytest.raises(InitializerError) as caught:
            check(initializer, (2, 2), as_dtype("float32"), None)
        [diagnostic] = caught.value.diagnostics
        assert diagnostic.code == Code.LAYOUT_MISSING
        assert diagnostic.hint is not None
        assert "layout: out_in" in diagnostic.hint


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 2), "float32"), ((3,), "float32"), ((2, 2), "int8"), ((4, 6), "bool")]
)
def test_check_raises_what_make_raises(example: BuiltIn, shape: tuple[int, ...], dtype: str) -> None:
    row = as_dtype(dtype)

    def outcome(attempt: Callable[[], object]) -> str:
        try:
            attempt()
        except InitializerError as error:
            return str(error)
        return "fine"

    planned = outcome(lambda: check(example, shape, row, IN_OUT))
    made = outcome(lambda: make(example, Request(shape, row, IN_OUT, STREAM, engines.get_engine())))
    assert planned == made


def test_the_layout_reaches_the_distribution() -> None:
    assert resolve(HeNormal(), (64, 3, 7, 7), Layout("OIHW")) == resolve(HeNormal(), (7, 7, 3, 64), IN_OUT)


class Counter(Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.arange(math.prod(shape), dtype=dtype).reshape(shape)


def test_a_custom_initializer_is_made_as_it_stands() -> None:
    assert resolve(Counter(), (2, 3), None) is None
    check(Counter(), (2, 3), as_dtype("int32"), None)
    array = make(Counter(), Request((2, 3), as_dtype("int32"), None, STREAM, engines.get_engine()))
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])
    assert stream_of(Counter(), (2, 3), STREAM) == STREAM


def test_the_contract_cannot_be_instantiated_without_call() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Initializer()  # type: ignore[abstract]


def test_built_ins_are_documented_with_a_formula_and_an_example(built_in: type[BuiltIn]) -> None:
    text = inspect.getdoc(built_in) or ""
    assert "Formula:" in text
    assert "Example:" in text
    documented = text.partition("Args:")[2]
    for field in dataclasses.fields(built_in):
        assert f"\n    {field.name}: " in documented, field.name
    bases = (Elementwise, Structured, Cuttable, Combined, Factored, OfFrames, Recipe)
    assert built_in.__mro__[1] in bases or built_in.__mro__[1].__name__.startswith("_")


@pytest.mark.parametrize("shape", [(0, 2**59), (2**59, 0, 1), (1,) * 64, np.array([2, 0])])
def test_shapes_that_numpy_can_hold_are_shapes(shape: Any) -> None:
    assert as_shape(shape) == tuple(shape)


class Doubled(HeNormal):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return 2 * super().__call__(shape, dtype)


def test_a_built_in_with_a_call_of_its_own_is_called() -> None:
    initializer, float32 = Doubled(seed=1), as_dtype("float32")
    assert resolve(initializer, (3, 3), IN_OUT) is None
    check(initializer, (3, 3), float32, IN_OUT)
    made = make(initializer, Request((3, 3), float32, IN_OUT, STREAM, engines.get_engine()))
    np.testing.assert_array_equal(made, initializer((3, 3)))
    assert not np.array_equal(made, HeNormal(seed=1)((3, 3)))


class CalledOrthogonal(Orthogonal):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.ones(shape, dtype)


def test_a_structured_one_with_a_call_of_its_own_is_called() -> None:
    check(CalledOrthogonal(), (3,), as_dtype("int8"), IN_OUT)
    made = make(CalledOrthogonal(), Request((3,), as_dtype("int8"), IN_OUT, STREAM, engines.get_engine()))
    np.testing.assert_array_equal(made, [1, 1, 1])


@pytest.mark.parametrize("base", [HeNormal, VarianceScaling, Zeros, Elementwise, Structured, Cuttable])
def test_an_init_of_its_own_is_refused_where_the_class_is_made(base: type[BuiltIn]) -> None:
    def initialize(self: Any, k: float) -> None:
        raise AssertionError

    with pytest.raises(InitializerError, match="Scaled is a built-in with an __init__") as caught:
        type("Scaled", (base,), {"__init__": initialize})
    assert "derive the class from Initializer" in str(caught.value)


@pytest.mark.parametrize("slots", [False, True])
def test_a_built_in_is_subclassed_as_a_dataclass(slots: bool) -> None:
    @dataclasses.dataclass(frozen=True, repr=False, slots=slots)  # type: ignore[literal-required]
    class Wide(VarianceScaling):
        scale: float = 2.0
        power: float = 1.0

    assert Wide(seed=3).clone() == Wide(2, seed=3)
    assert repr(Wide(power=2)) == "Wide(power=2.0)"
    assert resolve(Wide(), (4, 4)) == resolve(VarianceScaling(2.0), (4, 4))


def test_a_number_is_one_however_it_is_written() -> None:
    assert repr(Orthogonal(1).get_config()["gain"]) == "1.0" == repr(Orthogonal(1.0).get_config()["gain"])


def test_the_repr_tells_apart_what_compares_equal_to_the_default() -> None:
    assert [repr(Constant(value)) for value in (0.0, -0.0, False, 0)] == [
        "Constant()",
        "Constant(value=-0.0)",
        "Constant(value=False)",
        "Constant(value=0)",
    ]
