"""The table of element types, and what is accepted as a name for one."""

from __future__ import annotations

import pickle

import ml_dtypes
import numpy as np
import pytest

from initcfg.dtypes import DTYPES, DType, as_dtype, is_type
from initcfg.errors import Code, InitializerError

BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
    "float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1,
    "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "bool": 1,
    "complex64": 8,
}  # fmt: skip
# The greatest finite value by each format's definition: (2 - 2**-m) * 2**emax, or less where the topmost code
# is a NaN.
GREATEST = {
    "float64": (2 - 2**-52) * 2.0**1023,
    "float32": (2 - 2**-23) * 2.0**127,
    "float16": 65504.0,
    "bfloat16": (2 - 2**-7) * 2.0**127,
    "float8_e4m3fn": 448.0,
    "float8_e5m2": 57344.0,
    "float8_e4m3fnuz": 240.0,
    "float8_e5m2fnuz": 57344.0,
}
ALL = pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)


def test_the_table_holds_these_types_and_sizes():
    assert {name: dtype.itemsize for name, dtype in DTYPES.items()} == BYTES


@ALL
def test_every_name_is_that_of_its_numpy_type(dtype: DType):
    assert dtype.numpy.name == dtype.name == str(dtype)


@ALL
def test_a_type_is_found_by_itself_its_name_and_its_numpy_type(dtype: DType):
    assert (
        as_dtype(dtype)
        is as_dtype(dtype.name)
        is as_dtype(dtype.numpy)
        is as_dtype(dtype.numpy.type)
        is dtype
    )


@ALL
def test_a_type_is_drawn_in_float64_only_where_float32_is_too_narrow(dtype: DType):
    expected = None if dtype.kind != "float" else "float64" if dtype.name == "float64" else "float32"
    assert dtype.drawn == expected


@pytest.mark.parametrize(("name", "greatest"), GREATEST.items())
def test_float_bounds_are_the_greatest_finite_values(name: str, greatest: float):
    assert DTYPES[name].bounds == (-greatest, greatest)


@ALL
def test_the_literals_are_what_numpy_and_ml_dtypes_say(dtype: DType):
    assert dtype.itemsize == dtype.numpy.itemsize
    if dtype.kind == "complex":
        assert dtype.numpy == np.result_type(dtype.part.numpy, 1j)
        assert (dtype.itemsize, dtype.bounds) == (2 * dtype.part.itemsize, dtype.part.bounds)
        return
    if dtype.format is None:
        limits = (0, 1) if dtype.name == "bool" else (np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max)
        assert dtype.bounds == limits
        return
    info = ml_dtypes.finfo(dtype.numpy)
    assert dtype.format == (info.nmant, info.minexp, float(info.max))
    assert dtype.bounds == (float(info.min), float(info.max))


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("int8", (-128, 127)),
        ("uint8", (0, 255)),
        ("int64", (-(2**63), 2**63 - 1)),
        ("uint64", (0, 2**64 - 1)),
        ("bool", (0, 1)),
    ],
)
def test_whole_number_bounds_are_exact(name: str, bounds: tuple[int, int]):
    assert DTYPES[name].bounds == bounds


def test_tags_are_unique_and_those_of_safetensors():
    from safetensors.numpy import save

    tags = [dtype.tag for dtype in DTYPES.values()]
    assert len(set(tags)) == len(tags)
    for dtype in DTYPES.values():
        assert f'"dtype":"{dtype.tag}"'.encode() in save({"w": np.zeros(2, dtype.numpy)})


@pytest.mark.parametrize(
    ("given", "name"),
    [(float, "float64"), (int, "int64"), (bool, "bool"), ("f4", "float32"), (ml_dtypes.bfloat16, "bfloat16")],
)
def test_pythons_and_numpys_other_names_are_understood(given: object, name: str):
    if isinstance(given, str):
        with pytest.raises(InitializerError):  # a spec names types in full
            as_dtype(given)
    else:
        assert as_dtype(given).name == name


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("flaot32", "did you mean 'float32'?"),
        ("complex128", "of complex dtypes there is complex64; or hold float64 parts along a last axis of 2"),
        (np.complex128, None),
        ("torch.cfloat", "PyTorch's cfloat is complex64"),
        ("float8", None),
        (None, None),
        (object(), None),
        (np.dtype("S3"), None),
        (ml_dtypes.int4, None),
    ],
)
def test_anything_else_is_refused_with_a_way_out(given: object, hint: str | None):
    with pytest.raises(InitializerError) as caught:
        as_dtype(given)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is Code.UNKNOWN_DTYPE
    assert diagnostic.hint == hint or (hint is None and diagnostic.hint)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("float", "float32"), ("single", "float32"), ("fp32", "float32"), ("half", "float16"),
        ("fp16", "float16"), ("double", "float64"), ("bf16", "bfloat16"), ("torch.double", "float64"),
    ],
)  # fmt: skip
def test_names_of_other_libraries_are_refused_with_the_name_here(name, meant):
    with pytest.raises(InitializerError) as raised:
        as_dtype(name)
    assert raised.value.diagnostics[0].hint.endswith(f" is {meant}")


@pytest.mark.parametrize("given", [DTYPES["int8"], np.float32, np.dtype("int8"), ml_dtypes.bfloat16, bool])
def test_a_type_is_told_from_its_name(given: object):
    assert is_type(given)
    assert not is_type("float32")
    assert not is_type(np.float32(1))


def test_a_type_equals_its_name_and_no_other() -> None:
    one = DTYPES["float32"]
    assert one == "float32"
    assert one == pickle.loads(pickle.dumps(one))
    assert hash(one) == hash("float32")
    assert one not in ("float64", DTYPES["float64"], None, 4)
