"""Names of biases and scales, and when one is random."""

from __future__ import annotations

from typing import Any

import pytest

from initcfg.checks import check_plan
from initcfg.errors import Code
from initcfg.plan import plan_of
from initcfg.spec import Param, Spec


def is_told(name: str, initializer: Any = "random_normal", shape: tuple[int, ...] = (4,)) -> bool:
    spec = Spec(layout="in_out", params={name: Param(shape=shape, initializer=initializer)})
    return any(each.code == Code.RANDOM_BIAS for each in check_plan(plan_of(spec)))


@pytest.mark.parametrize(
    "name",
    [
        "bias",
        "fc.bias",
        "fc.Bias",
        "attn.in_proj_bias",
        "rnn.bias_ih_l0",
        "dense.b",
        "bn.beta",
        "bn.gamma",
        "norm.scale",
        "ln_1.weight",
        "h.0.ln_1.weight",
        "encoder.LayerNorm.weight",
        "model.layers.3.input_layernorm.weight",
        "model.norm.weight",
        "bn1.weight",
        "q_norm.weight",
    ],
)
def test_a_random_vector_of_such_a_name_is_told(name: str) -> None:
    assert is_told(name)
    assert not is_told(name, "ones")
    assert not is_told(name, {"random_normal": {"stddev": 0}})
    assert not is_told(name, shape=(4, 4))


@pytest.mark.parametrize(
    "name", ["weight", "fc.weight", "kernel", "cls_token", "normal_head.kernel", "wbias.table", "lnx.weight"]
)
def test_a_random_vector_of_another_name_is_not(name: str) -> None:
    assert not is_told(name)


def test_a_vector_with_one_random_part_is_told_by_its_name(warnings) -> None:
    (warning,) = warnings("""
        params:
          lstm.bias:
            shape: [8]
            initializer: {concatenate: {axis: 0, sizes: [4, 4], initializers: [ones, random_uniform]}}
    """)
    assert warning.message == "'lstm.bias': a bias with random values, from RandomUniform"
