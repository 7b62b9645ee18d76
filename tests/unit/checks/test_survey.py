"""What is alike is looked at once, whatever the number of parameters."""

from __future__ import annotations

import dataclasses

from initcfg.checks.survey import Piece, for_each_piece, survey
from initcfg.plan import Plan, plan_of
from initcfg.plan.scope import EvalBudget
from initcfg.spec import loads

SPEC = """
initcfg: 1
layout: in_out
layers:
  h.{i}:
    repeat: {i: 500}
    params:
      w: {shape: [8, 8], initializer: he_normal}
      v: {shape: [8, 8], initializer: he_normal}
      qkv:
        shape: [8, 24]
        initializer: {concatenate: {axis: 1, sizes: [8, 16, 0], initializers: [zeros, he_normal, ones]}}
      empty: {shape: [0, 8], initializer: he_normal}
params:
  tied: {shape: [8, 8], tied_to: h.0.w}
"""


def looked_at(plan: Plan) -> list[Piece]:
    pieces: list[Piece] = []
    # What append returns is no complaint.
    list(for_each_piece(pieces.append)(survey(plan, None, EvalBudget())))
    return pieces


def test_a_judge_is_asked_once_for_all_copies_of_all_layers() -> None:
    assert [(piece.path, piece.shape) for piece in looked_at(plan_of(loads(SPEC)))] == [
        ((), (8, 8)),
        (("0",), (8, 8)),
        (("1",), (8, 16)),
    ]


def test_initializers_that_are_equal_but_not_one_object_are_alike() -> None:
    plan = plan_of(loads(SPEC))
    apart = tuple(dataclasses.replace(each, initializer=each.initializer.clone()) for each in plan)
    assert looked_at(Plan(None, 0, apart)) == looked_at(plan)


def test_every_parameter_with_values_of_its_own_is_in_one_group() -> None:
    plan = plan_of(loads(SPEC))
    members = [member for group in survey(plan, None, EvalBudget()).groups for member in group.members]
    assert sorted(each.name for each in members) == sorted(
        each.name for each in plan if each.numel and each.tied_to is None
    )
