"""Initializers whose elements are the values of an expression, or those of another times a factor."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from initcfg import engines
from initcfg.distributions import Fill, complex_law, scaled
from initcfg.dtypes import DTYPES
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.expressions import Expression, ExpressionError, facts_of
from initcfg.expressions.folding import settled
from initcfg.expressions.grammar import Number
from initcfg.initializers.annotations import FormulaText, Positive
from initcfg.initializers.base import (
    Combined,
    Cuttable,
    Structured,
    check,
    draw,
    initializer,
    is_cut,
    resolve,
)
from initcfg.initializers.configs import Part
from initcfg.process import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np

    from initcfg.distributions import Distribution, Mixture, Summary
    from initcfg.dtypes import DType
    from initcfg.expressions.grammar import Ast
    from initcfg.initializers import arrays, elements
    from initcfg.initializers.configs import Identifier
    from initcfg.initializers.custom import Initializer, Request
    from initcfg.layout import Layout
else:
    np = lazy("numpy")
    arrays, elements = lazy("initcfg.initializers.arrays"), lazy("initcfg.initializers.elements")

__all__ = ["Formula", "Scaled"]


# So many draws are held beside what they become.
_DRAWS = 1 << 17


@initializer
class Formula(Cuttable):
    """Each element is the value of an expression over its place in the array, or over a draw.

    Formula:
        w[i, j, ...] = value, where index(0) is i, index(1) is j, size(k) is the length of axis k, and x is
        the element of a draw of `of`

    Axes are those of the array as it is stored, whatever the layout says of them; inside a combined
    initializer they are those of the part. Negative ones count from the end, and ``index()`` counts all
    elements in C order. What depends on no element follows the exact rules of every expression. Over
    elements, integers are exact in 64 bits, and all else is float64 by IEEE operations, rounded once to the
    dtype; integer dtypes take integers, bool takes comparisons. In ``a if c else b`` each branch counts for
    the elements that take it only. A division by zero, a logarithm of 0, an overflow are errors with the
    place of the element; what is too small for float64 becomes 0.

    In a spec the expression may use vars, the indices of repeats and what a rule captures as well; a name
    that is one of these hides ``x``, ``index`` or ``size``.

    Args:
        value: the expression. It may use ``index(k)``, ``index()``, ``size(k)``, ``x``, functions, and
            ``fan_in``, ``fan_out``, ``fan_avg``, ``numel``, ``ndim`` of the array.
        of: an initializer of which ``x`` is a draw, in float64, from the child stream ``0``; one that can be
            made in parts, such as ``{parameter: NAME}``. Default None, for an expression without ``x``.

    Example:
        >>> Formula("2 * index(0) + index(-1) / size(-1)")((2, 2))
        array([[0. , 0.5],
               [2. , 2.5]], dtype=float32)
        >>> Formula("x if index(0) > 0 else -1", of="ones")((3,))
        array([-1.,  1.,  1.], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    value: FormulaText
    of: Part | None = None

    if TYPE_CHECKING:  # what the arguments may be, which is more than the attributes then are

        def __init__(self, value: str, of: Identifier | None = None) -> None: ...

    def _conflict(self) -> Diagnostic | None:
        draws = "x" in Expression.parse(self.value).names
        if draws and self.of is None:
            message, hint = f"nothing says what x in {self.value!r} is a draw of", "give 'of' an initializer"
        elif self.of is not None and not draws:
            message, hint = f"'of' is not used: {self.value!r} has no x", "use x in 'value', or remove 'of'"
        else:
            return None
        return Diagnostic(Code.INITIALIZER_CONFIG, message, hint=hint)

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:
        """``Fill`` where no element matters, else None."""
        tree = self._settled(shape, layout)
        return Fill(tree.value) if isinstance(tree, Number) else None

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse what has no value that the dtype holds: at all elements of a small array, else at some."""
        tree = self._settled(shape, layout)
        with _naming(self.value):
            elements.check_formula(tree, self.of, shape, dtype, layout)

    def spread(self, shape: tuple[int, ...], layout: Layout | None) -> Summary:
        """Mean, standard deviation and bounds of the elements of an array that has some."""
        with _naming(self.value):
            return elements.spread_of(self._settled(shape, layout), self.of, shape, layout)

    def points(
        self,
        shape: tuple[int, ...],
        layout: Layout | None,
        room: int,
        nodes: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None,
        *,
        with_ends: bool = False,
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Values of some elements and their weights, as `initcfg.initializers.elements.points_of` says."""
        tree = self._settled(shape, layout)
        with _naming(self.value):
            return elements.points_of(
                tree, self.of, shape, layout, room=room, nodes=nodes, with_ends=with_ends
            )

    def used_shape(self, shape: tuple[int, ...], layout: Layout | None) -> tuple[int, ...]:
        """The shape, with 1 for each axis whose index the value does not depend on."""
        return elements.used_shape(self._settled(shape, layout), shape or (1,))

    def float32_error(self, shape: tuple[int, ...], layout: Layout | None) -> tuple[float, float]:
        """How far the formula in float32 arithmetic may be off: a share of each value, and a number."""
        with _naming(self.value):
            return elements.float32_error(self._settled(shape, layout), self.of, shape, layout)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the elements."""
        tree = self._settled(request.shape, request.layout)
        with _naming(self.value):
            elements.draw_formula(out, start, request, tree, self.of)

    def _settled(self, shape: tuple[int, ...], layout: Layout | None) -> Ast:
        with _naming(self.value):
            return _settled(self.value, shape, layout)


@initializer
class Scaled(Cuttable):
    """The values of another initializer, each times a factor.

    Formula:
        w = factor * v, v of `of`

    It draws from the same stream as `of` would alone: the same numbers, at another scale. Where the elements
    share one law, that law is scaled and drawn, rounded once as every draw. Else v is made in the type that
    the dtype is drawn in, float32 or for float64 itself, multiplied in float64 and rounded once.

    Args:
        of: the initializer of v, written in any way that one can be.
        factor: a finite number, > 0.

    Example:
        >>> Scaled("identity", factor=0.5)((2, 2))
        array([[0.5, 0. ],
               [0. , 0.5]], dtype=float32)
        >>> from initcfg.initializers import resolve
        >>> resolve(Scaled({"random_normal": {"stddev": 0.5}}, factor=3), (8, 4))
        Normal(mean=0.0, std=1.5)
    """

    MODULE = "initcfg.initializers"

    of: Part
    factor: Positive

    if TYPE_CHECKING:  # as that of Formula

        def __init__(self, of: Identifier, factor: float) -> None: ...

    @property
    def unscaled(self) -> Initializer:
        """What is scaled, and is no scaled one itself."""
        return self.of.unscaled if isinstance(self.of, Scaled) else self.of

    @property
    def is_cut(self) -> bool:
        """Whether what is scaled is."""
        return is_cut(self.of)

    @property
    def formula(self) -> Formula | None:
        """The expression that has these values, where what is scaled has one."""
        inner = getattr(self.of, "formula", self.of)
        return Formula(f"{self.factor!r} * ({inner.value})", inner.of) if isinstance(inner, Formula) else None

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:
        """The scaled law, where the elements share one."""
        law = resolve(self.of, shape, layout)
        return None if law is None else scaled(law, self.factor)

    def resolve_complex(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The scaled law of complex numbers, where what is scaled has one."""
        law = resolve(self.of, shape, layout, DTYPES["complex64"])
        return complex_law(None, type(self).__name__) if law is None else scaled(law, self.factor)

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """Those of what is scaled, scaled; of parts see `initcfg.initializers.components`."""
        laws = self.of.element_laws(shape, layout) if isinstance(self.of, Structured) else ()
        return tuple((share, scaled(law, self.factor)) for share, law in laws)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse what `of` refuses, dtypes that are no floats, and values that the dtype does not hold."""
        if dtype.drawn is None:
            message = f"a scaled {type(self.unscaled).__name__} cannot be held in {dtype}"
            raise InitializerError.of(Code.DISTRIBUTION, message, hint="give a floating-point dtype")
        check(self.of, shape, DTYPES[dtype.drawn], layout)
        if isinstance(self.of, Combined):
            for part, share in self.of.parts(shape, layout):
                check(Scaled(part, self.factor), share.shape, dtype, share.layout)
        for _, law in self.element_laws(shape, layout):
            engines.check(law, dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of what is scaled, times the factor."""
        assert request.dtype.drawn is not None  # noqa: S101  `check` says so
        wide = request._replace(dtype=DTYPES[request.dtype.drawn])
        # What is made whole is made once.
        step = _DRAWS if self.is_cut else max(1, out.size)
        for at in range(0, out.size, step):
            stretch = out[at : at + step]
            values = np.empty(stretch.size, wide.dtype.numpy)
            draw(self.of, values, start + at, wide)
            scaled_values = values.astype(np.float64) * self.factor
            stretch[...] = arrays.converted(scaled_values, request.dtype, "a scaled value")


def try_out(
    expression: Expression, of: Initializer | None, shape: tuple[int, ...], layout: Layout | None
) -> None:
    """Evaluate a closed expression at some elements; errors have their place in the text that was closed."""
    elements.check_formula(settled(expression.tree, {}, shape), of, shape, DTYPES["float64"], layout)


@lru_cache(maxsize=1024)
def _settled(value: str, shape: tuple[int, ...], layout: Layout | None) -> Ast:
    expression = Expression.parse(value)
    return settled(expression.tree, facts_of(expression.names, shape, layout), shape)


@contextmanager
def _naming(text: str) -> Iterator[None]:
    """A block whose errors of expressions are those of an initializer, which has no place in a document."""
    try:
        yield
    except ExpressionError as error:
        message = f"{error.message}, at character {error.offset + 1} of {text!r}"
        raise InitializerError.of(error.code, message, hint=error.hint) from None
