"""Formulas over grids, held against the exact evaluation of one element after another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from initcfg import engines
from initcfg.expressions import Evaluator, Expression, ExpressionError
from initcfg.expressions.arrays import ArrayEvaluator, Grid
from initcfg.expressions.folding import closed, is_comparison, is_whole, settled, written

EVALUATOR = ArrayEvaluator(engines.functions(engines.get_engine("numpy")))
SHAPE = (3, 4)
_PLACES = ("index(0)", "index(1)", "index()", "index(-1)")

_leaf = st.one_of(
    st.sampled_from([*_PLACES, "size(0)", "size(-1)", "x", "numel", "d", "pi"]),
    st.integers(0, 7).map(str),
    st.sampled_from(["0.5", "2.0", "1e-3", "1e300"]),
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "==", ">="])
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda each: "({} {} {})".format(*each)),
        st.tuples(inner, inner, inner).map(lambda each: "({} if {} else {})".format(*each)),
        st.tuples(st.sampled_from(["sqrt", "exp", "log", "sin", "abs", "sign", "floor"]), inner).map(
            lambda each: "{}({})".format(*each)
        ),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda each: "{}({}, {})".format(*each)),
        st.tuples(inner, inner, inner).map(lambda each: "max({}, {}, {})".format(*each)),
        inner.map(lambda each: f"(-{each})"),
    )


FORMULAS = st.recursive(_leaf, _grown, max_leaves=8)
X = np.linspace(-2.0, 3.0, 12).reshape(SHAPE)


def grid(x: Any = X) -> Grid:
    return Grid.of(SHAPE, [range(n) for n in SHAPE], x)


def value(text: str) -> Any:
    tree = settled(closed(Expression.parse(text), {"d": 3, "numel": 12}).tree, {}, SHAPE)
    return np.broadcast_to(EVALUATOR.value(tree, grid()), SHAPE)


def one(text: str, at: tuple[int, int]) -> Any:
    """The exact value at one element, by Python's numbers."""
    env: dict[str, Any] = {"x": float(X[at]), "d": 3, "numel": 12, "size": 0, "index": 0}
    places = {"index(0)": at[0], "index(1)": at[1], "index(-1)": at[1], "index()": 4 * at[0] + at[1]}
    for place, number in {**places, "size(0)": 3, "size(-1)": 4}.items():
        text = text.replace(place, str(number))
    return Evaluator(env).number(Expression.parse(text).tree)


@given(FORMULAS)
def test_a_formula_is_the_exact_value_at_every_element(text: str) -> None:
    try:
        expected = {at: one(text, at) for at in np.ndindex(SHAPE)}
    except ExpressionError:
        assume(False)
    try:
        found = value(text)
    except ExpressionError as error:
        if "64-bit" in error.message:  # Python's integers have no end
            return
        raise
    for at, number in expected.items():
        if isinstance(number, int) and found.dtype.kind in "bi":
            assert int(found[at]) == number, (text, at)
        else:
            # A step may cancel what the one before it was rounded by.
            near = math.isclose(found[at], number, rel_tol=1e-9, abs_tol=1e-9)
            assert near or abs(number) > 1e12, (text, at)


@given(FORMULAS)
def test_the_text_of_a_closed_formula_reads_as_its_tree(text: str) -> None:
    try:
        formula = closed(Expression.parse(text), {"d": -3, "numel": 0.5})
    except ExpressionError:
        return
    again = closed(Expression.parse(formula.text), {})
    assert again.text == formula.text
    assert written(again.tree) == formula.text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("index(0) == index(1)", "b"),
        ("index(0) == 1 if index(1) > 1 else 2 > 1", "b"),
        ("index(0) * 2 - size(1)", "i"),
        ("floor(x) if index(0) > 1 else index(1)", "i"),
        ("(x > 0) + 1", "i"),
        ("max(index(0), 2) % 3 // 1", "i"),
        ("index(0) / 1", "f"),
        ("index(0) if index(1) > 1 else 0.5", "f"),
        ("sqrt(index(0))", "f"),
        ("index(0) ** 2.0", "f"),
    ],
)
def test_the_kind_of_a_value_follows_from_the_text(text: str, kind: str) -> None:
    tree = settled(Expression.parse(text).tree, {}, SHAPE)
    assert (is_comparison(tree), is_whole(tree)) == (kind == "b", kind in "bi")
    assert EVALUATOR.value(tree, grid()).dtype.kind == kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("index() * 2**59", [at * 2**59 for at in range(12)]),
        ("2**62 - 1 + index(0) * 2**62 // 4 * 2", [2**62 - 1 + at * 2**61 for at in (0, 1)]),
        ("(index() - 5) // 3", [(at - 5) // 3 for at in range(12)]),
        ("(5 - index()) % -3", [(5 - at) % -3 for at in range(12)]),
        ("3 ** index()", [3**at for at in range(12)]),
        ("(-1) ** index()", [(-1) ** at for at in range(12)]),
        ("min(index(), 7 - index())", [min(at, 7 - at) for at in range(12)]),
        ("abs(index() - 5) * sign(index() - 5)", [at - 5 for at in range(12)]),
    ],
)
def test_integers_are_exact(text: str, expected: list[int]) -> None:
    tree = settled(Expression.parse(text).tree, {}, (12,))
    found = EVALUATOR.value(tree, Grid.of((12,), [range(len(expected))]))
    assert found.dtype == np.int64
    assert np.broadcast_to(found, (len(expected),)).tolist() == expected


@pytest.mark.parametrize(
    "text", ["index() * 2**62", "3 ** (4 * index())", "floor(1e19 + index())", "2 ** -index()"]
)
def test_an_integer_beyond_64_bits_is_refused(text: str) -> None:
    tree = settled(Expression.parse(text).tree, {}, (12,))
    with pytest.raises(ExpressionError, match="is no 64-bit integer, at element"):
        EVALUATOR.value(tree, Grid.of((12,), [range(12)]))


def test_a_zero_has_no_sign() -> None:
    tree = settled(Expression.parse("-0.0 * index(0)").tree, {}, SHAPE)
    assert not np.signbit(EVALUATOR.value(tree, grid())).any()


def test_what_is_too_small_becomes_0() -> None:
    assert value("1e-300 * exp(-100 * (index(0) + 1))").tolist() == [[0.0] * 4] * 3


@given(FORMULAS)
def test_every_value_is_between_the_ends_that_are_told(text: str) -> None:
    try:
        tree = settled(closed(Expression.parse(text), {"d": 3, "numel": 12}).tree, {}, SHAPE)
        found = EVALUATOR.value(tree, grid())
    except ExpressionError:
        assume(False)
    low, high = EVALUATOR.ends(tree, SHAPE)
    assert low <= found.min()
    assert found.max() <= high


@given(text=FORMULAS, rows=st.integers(1, 40))
def test_large_steps_in_memory_used_again_are_those_of_small_ones(text: str, rows: int) -> None:
    """The same grid evaluated at once, by tiles, and a row at a time."""
    shape = (rows, 300)
    x = np.linspace(-2.0, 3.0, 300 * rows).reshape(shape)
    try:
        tree = settled(closed(Expression.parse(text), {"d": 3, "numel": 12}).tree, {}, shape)
        small = [
            np.broadcast_to(EVALUATOR.value(tree, Grid.of(shape, [[row], range(300)], x[row])), (1, 300))
            for row in range(rows)
        ]
    except ExpressionError:
        assume(False)
    whole = np.broadcast_to(EVALUATOR.value(tree, Grid.of(shape, [range(rows), range(300)], x)), shape)
    assert whole.tobytes() == np.concatenate(small).tobytes()
    if max(map(abs, EVALUATOR.ends(tree, shape))) < 1e300:
        for dtype in ("float32", "float64"):
            target = np.full((rows, 301), np.nan, dtype)[:, :300]
            with np.errstate(over="ignore"):
                EVALUATOR.write(tree, Grid.of(shape, [range(rows), range(300)], x), target)
                expected = whole.astype(dtype)
            expected[expected == 0] = 0
            assert target.tobytes() == expected.tobytes()


@given(text=FORMULAS, axis=st.integers(0, 1), step=st.integers(1, 3), is_drawn=st.booleans())
def test_what_grids_share_is_the_same_in_each(text: str, axis: int, step: int, is_drawn: bool) -> None:
    x = X if is_drawn else np.zeros((3, 4))
    try:
        tree = settled(closed(Expression.parse(text), {"d": 3, "numel": 12}).tree, {}, SHAPE)
        whole = np.broadcast_to(EVALUATOR.value(tree, grid(x)), SHAPE)
    except ExpressionError:
        assume(False)
    kept: dict[int, Any] = {}
    for start in range(0, SHAPE[axis], step):
        cut = slice(start, start + step)
        place = (slice(None), cut) if axis else (cut,)
        positions = [range(n)[cut] if at == axis else range(n) for at, n in enumerate(SHAPE)]
        part = EVALUATOR.value(tree, Grid.of(SHAPE, positions, x[place], axis, kept))
        assert np.array_equal(np.broadcast_to(part, whole[place].shape), whole[place]), (text, kept)


def test_what_grids_share_is_evaluated_once() -> None:
    calls = {"pow": 0, "sin": 0}

    def counting(name: str) -> Any:
        def call(*arguments: Any, out: Any = None) -> Any:
            calls[name] += 1
            return engines.functions(engines.get_engine("numpy"))[name](*arguments, out=out)

        return call

    evaluator = ArrayEvaluator({name: counting(name) for name in calls})
    text = "sin(index(0) / 10 ** index(1)) if index(1) % 2 == 0 else -(10 ** index(1) / 7)"
    tree = settled(Expression.parse(text.replace("10 **", "10.0 **")).tree, {}, (6, 4))
    kept: dict[int, Any] = {}
    for row in range(0, 6, 2):
        evaluator.value(tree, Grid.of((6, 4), [range(row, row + 2), range(4)], None, 0, kept))
    assert calls == {"pow": 2, "sin": 3}
    assert kept
