"""Layouts give the fans that Keras, JAX and PyTorch give, and refuse what has no meaning."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.errors import Code, InitializerError
from initcfg.layout import IN_OUT, Axes, Fans, Layout, fans_of_axes

shapes = st.lists(st.integers(0, 12), min_size=2, max_size=6).map(tuple)


@pytest.mark.parametrize(
    ("layout", "shape", "fan_in", "fan_out"),
    [
        # Keras: https://github.com/keras-team/keras, random_initializers.compute_fans
        ("in_out", (), 1, 1),
        ("in_out", (7,), 7, 7),
        ("in_out", (784, 256), 784, 256),
        ("in_out", (3, 3, 4, 5), 36, 45),
        # torch.nn.init: fan_in = size(1) * receptive field, fan_out = size(0) * receptive field
        ("out_in", (256, 784), 784, 256),
        ("out_in", (64, 3, 7, 7), 147, 3136),
        ("out_in", (7,), 7, 7),
        # jax.nn.initializers._compute_fans with in_axis, out_axis, batch_axis
        ("HWIO", (3, 3, 4, 5), 36, 45),
        ("OIHW", (64, 3, 7, 7), 147, 3136),
        ("IOO", (64, 8, 16), 64, 128),
        ("BIO", (4, 16, 32), 16, 32),
        ("IIO", (8, 16, 64), 128, 64),
        ("TBIOL", (2, 9, 3, 4, 5), 30, 40),
        # A letter that is missing leaves an empty product.
        ("O", (10,), 1, 10),
        ("I", (10,), 10, 1),
        ("HI", (3, 10), 30, 3),
        # Zero sizes are sizes.
        ("in_out", (0, 5), 0, 5),
    ],
)
def test_fans_are_those_of_the_other_systems(
    layout: str, shape: tuple[int, ...], fan_in: int, fan_out: int
) -> None:
    assert Layout(layout).fans(shape) == Fans(fan_in, fan_out)


def test_fan_avg_is_the_mean() -> None:
    assert Fans(3, 4).fan_avg == 3.5


@given(shapes)
def test_letters_say_the_same_as_the_names(shape: tuple[int, ...]) -> None:
    receptive = "K" * (len(shape) - 2)
    assert Layout(f"{receptive}IO").fans(shape) == Layout("in_out").fans(shape)
    assert Layout(f"OI{receptive}").fans(shape) == Layout("out_in").fans(shape)


@given(shapes)
def test_out_in_is_in_out_of_the_transposed_shape(shape: tuple[int, ...]) -> None:
    outputs, inputs, *receptive = shape
    assert Layout("out_in").fans(shape) == Layout("in_out").fans((*receptive, inputs, outputs))


@given(st.data())
def test_each_axis_has_exactly_one_role(data: st.DataObject) -> None:
    letters = data.draw(
        st.text("IOBDHWTLK", min_size=1, max_size=6).filter(lambda text: set(text) & {"I", "O"})
    )
    axes = Layout(letters).axes(len(letters))
    assert sorted(axes.inputs + axes.outputs + axes.batch + axes.receptive) == list(range(len(letters)))


def test_batch_axes_do_not_count() -> None:
    assert Layout("BIO").axes(3) == Axes(inputs=(1,), outputs=(2,), batch=(0,), receptive=())
    assert Layout("BIO").fans((128, 16, 32)) == Layout("IO").fans((16, 32))


def test_fans_are_exact_integers_beyond_the_range_of_floats() -> None:
    assert IN_OUT.fans((2**62, 2**62, 2**62, 3)).fan_in == 2**186


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("oihw", "did you mean 'OIHW'?"),
        ("in-out", "did you mean 'in_out'?"),
        ("OutIn", "did you mean 'out_in'?"),
        ("", "write in_out, out_in"),
        ("B", "write in_out, out_in"),
        ("HWK", "write in_out, out_in"),
        ("OIXY", "write in_out, out_in"),
        ("in_out ", "did you mean 'in_out'?"),
    ],
)
def test_what_is_no_layout_is_refused_with_a_way_out(name: str, hint: str) -> None:
    with pytest.raises(InitializerError) as caught:
        Layout(name)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.LAYOUT
    assert repr(name) in diagnostic.message
    assert diagnostic.hint is not None
    assert diagnostic.hint.startswith(hint)


def test_letters_must_be_as_many_as_axes() -> None:
    with pytest.raises(InitializerError, match="layout 'OIHW' names 4 axes, the shape has 2"):
        Layout("OIHW").fans((3, 4))


def test_a_vector_has_no_axes_by_name() -> None:
    with pytest.raises(InitializerError, match="2 axes or more, the shape has 1"):
        Layout("in_out").axes(1)


@given(shapes, st.data())
def test_fans_of_axes_multiply_just_those_axes(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = st.integers(-len(shape), len(shape) - 1)
    axes = st.lists(axis, unique_by=lambda axis: axis % len(shape))
    inputs, outputs = data.draw(axes), data.draw(axes)
    assert fans_of_axes(shape, inputs, outputs) == Fans(
        math.prod(shape[axis] for axis in inputs), math.prod(shape[axis] for axis in outputs)
    )


def test_fans_of_axes_refuse_an_axis_that_is_not_there() -> None:
    with pytest.raises(InitializerError, match=r"shape \(3, 4\) does not have") as caught:
        fans_of_axes((3, 4), [0], [2])
    assert caught.value.diagnostics[0].hint == "axes run from -2 to 1"


@pytest.mark.parametrize("name", [5, None, ["in_out"], IN_OUT])
def test_only_a_string_names_a_layout(name: object) -> None:
    with pytest.raises(InitializerError, match="a layout is named by a string") as caught:
        Layout(name)  # type: ignore[arg-type]
    [diagnostic] = caught.value.diagnostics
    assert (diagnostic.code, bool(diagnostic.hint)) == (Code.LAYOUT, True)


def test_the_mean_of_fans_does_not_overflow() -> None:
    assert Fans(2**62, 2**62).fan_avg == 2**62
    assert Fans(10**400, 1).fan_avg == math.inf


@pytest.mark.parametrize("axes", [(0, 0), (0, -2), (1, -1)])
def test_fans_of_axes_refuse_an_axis_that_is_named_twice(axes: tuple[int, ...]) -> None:
    for inputs, outputs in ((axes, ()), ((), axes)):
        with pytest.raises(InitializerError, match=r"name an axis of shape \(3, 4\) twice"):
            fans_of_axes((3, 4), inputs, outputs)
