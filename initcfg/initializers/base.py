"""The built-in kinds of initializers, and what a plan asks of any: resolve, check, stream_of, make, draw.

    Initializer            the contract, for anybody's subclass (`initcfg.initializers.custom`)
    └── BuiltIn            frozen, checked when built, equal by value
        ├── Elementwise    says which distribution it resolves to for a shape and a layout
        └── Structured     builds the whole array
            └── Cuttable   draws any stretch of it
                └── Combined  is made of parts with initializers of their own

CONTRIBUTING.md shows how to add one.
"""

from __future__ import annotations

import dataclasses
from abc import ABCMeta, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeGuard, TypeVar, dataclass_transform

from pydantic import ValidationInfo, model_validator
from pydantic_core import ArgsKwargs, ValidationError

from initcfg import engines
from initcfg.distributions import complex_law
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.frozen import FrozenDict
from initcfg.initializers.arguments import CONFIG, adapter_of, annotate, problems_of, signature_of
from initcfg.initializers.custom import Initializer, Request, call_custom
from initcfg.initializers.values import as_shape, fault, same
from initcfg.layout import IN_OUT
from initcfg.process import LOADING, lazy
from initcfg.stream import Stream, fresh_seed

if TYPE_CHECKING:
    import inspect
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np

    from initcfg.distributions import Distribution, Mixture
    from initcfg.dtypes import DType
    from initcfg.errors import Path
    from initcfg.initializers import arrays
    from initcfg.initializers.annotations import Reading
    from initcfg.layout import Layout
else:
    np, arrays = lazy("numpy"), lazy("initcfg.initializers.arrays")

C = TypeVar("C", bound=type[Any])


@dataclass_transform(frozen_default=True)
def initializer(cls: C) -> C:
    """A class decorator: a frozen dataclass, whose fields are the arguments that `checked` checks."""
    made: C = dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)(cls)  # type: ignore[assignment]
    return made


class _Checked(ABCMeta):
    """Makes instances by pydantic, of subclasses that are plain dataclasses as well."""

    if not TYPE_CHECKING:  # the signature is that of the fields

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return checked(cls, ArgsKwargs(args, kwargs))

    @property
    def __signature__(cls) -> inspect.Signature:
        return signature_of(cls)


def checked(
    cls: type[Any], given: ArgsKwargs | dict[str, Any], reading: Reading | None = None, name: str = ""
) -> Any:
    """An instance of a built-in class; with a `reading` only its arguments, of any class, called `name`."""
    try:
        with LOADING:
            return adapter_of(cls).validator.validate_python(given, context=reading)
    except ValidationError as error:
        raise InitializerError(
            *(each.found for each in problems_of(error, cls, name or cls.__name__))
        ) from None


@initializer
class BuiltIn(Initializer, metaclass=_Checked):
    """An initializer of this package: a frozen pydantic dataclass whose fields are the config.

    A subclass may add fields and change their defaults, as a frozen dataclass. With a ``__call__`` of its own
    it is called, in a plan too, as a custom initializer is: what it draws comes from `seed`, from the ``rng``
    that it takes, or from fresh entropy. An ``__init__`` of its own is refused: the fields would no longer be
    the config. A class that wants one derives from `Initializer`.

    Raises:
        InitializerError: an argument is of the wrong kind, not finite or out of range; one diagnostic each.

    Example:
        >>> from initcfg.initializers import VarianceScaling
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, repr=False)
        ... class Wide(VarianceScaling):
        ...     scale: float = 2.0
        >>> Wide(seed=1).clone(), Wide(3).scale
        (Wide(seed=1), 3.0)
    """

    MODULE: ClassVar[str] = "keras.initializers"
    __pydantic_config__: ClassVar = CONFIG

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A dataclass with slots is made a second time, and has a generated __init__ by then.
        if "__init__" in vars(cls) and "__dataclass_fields__" not in vars(cls):
            raise InitializerError.of(
                Code.WRONG_TYPE,
                f"{cls.__name__} is a built-in with an __init__, but the config of one is its fields",
                hint="derive the class from Initializer, or make it a frozen dataclass without __init__",
            )
        annotate(cls)

    @property
    def module(self) -> str:
        """The module that `serialize` names: Keras's where Keras has the same class."""
        return self.MODULE

    @model_validator(mode="after")
    def _check_together(self, info: ValidationInfo) -> Self:
        conflict = self._conflict() if info.context is None else None
        if conflict is not None:
            raise fault(conflict.code, conflict.message, conflict.hint)
        return self

    def _conflict(self) -> Diagnostic | None:
        """What is wrong with the arguments together, each being right on its own."""
        return None

    @abstractmethod
    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:
        """The distribution of every element, or None where the array is built as a whole."""

    def resolve_complex(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The distribution of every element of a complex array; an `InitializerError` where there is none."""
        return complex_law(self.resolve(shape, layout), type(self).__name__)

    def __call__(self, shape: Iterable[int], dtype: Any = None) -> np.ndarray[Any, Any]:
        """An array of the given shape, axes in Keras's order (``in_out``), from `seed` or fresh entropy.

        Args:
            shape: a sequence of integers >= 0.
            dtype: any dtype of `initcfg.dtypes.DTYPES`, by name or as a numpy type; None means float32.

        Raises:
            InitializerError: the scheme cannot make this shape or dtype.
        """
        shape, row = as_shape(shape), as_dtype("float32" if dtype is None else dtype)
        stream = stream_of(self, shape, Stream.of_seed(fresh_seed(), type(self).__name__, shape))
        return _make_built_in(self, Request(shape, row, IN_OUT, stream, engines.get_engine()))

    def get_config(self) -> dict[str, Any]:
        """The arguments by name, fit for JSON: the config of the Keras initializer of this name."""
        config: dict[str, Any] = adapter_of(type(self)).serializer.to_python(self, mode="json")
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An initializer from a config, Keras's or our own.

        Raises:
            InitializerError: unknown or missing keys, and values out of range; one diagnostic for each.
        """
        made: Self = checked(cls, dict(config))
        return made

    def _values(self) -> tuple[object, ...]:
        return tuple([getattr(self, field.name) for field in dataclasses.fields(self)])

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if field.default is dataclasses.MISSING or not same(getattr(self, field.name), field.default)
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class Elementwise(BuiltIn):
    """A built-in whose elements are independent draws from one distribution."""

    @property
    def variance_times_fan(self) -> float | None:
        """The variance times the fan that it follows, such as 2 for He's; None where no fan decides it."""
        return None

    @abstractmethod
    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The distribution of every element."""


class Structured(BuiltIn):
    """A built-in that makes its whole array at once."""

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:  # noqa: ARG002
        """None: the elements do not share one distribution."""
        return None

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:  # noqa: ARG002
        """The laws of single elements, each with the share of elements that have it; none if unknown."""
        return ()

    @abstractmethod
    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Raise the `InitializerError` that `build` would meet, without making anything."""

    @abstractmethod
    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """The array: C-contiguous, of the shape and dtype of `request`."""


class Cuttable(Structured):
    """A structured built-in that makes any stretch of its elements without the rest."""

    @property
    def is_cut(self) -> bool:
        """Whether a stretch takes no more than its own time and memory; False where a part is made whole."""
        return True

    @abstractmethod
    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """Write the elements from `start` on, in C order, of the whole array into a flat `out`."""

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """All elements, as `draw` makes them."""
        whole = np.empty(request.shape, request.dtype.numpy)
        self.draw(whole.reshape(-1), 0, request)
        return whole


class Share(NamedTuple):
    """What one of a combined initializer's initializers makes."""

    place: Path  # where that initializer stands among the arguments
    box: tuple[range, ...]  # the positions that it fills, a range an axis of the whole
    shape: tuple[int, ...]  # of what it makes; axes of which a single position was named are left out
    layout: Layout | None  # of that shape
    label: str | None  # of the child stream that it draws from; None for the stream of the whole


class Combined(Cuttable):
    """A built-in of parts in one array, each made by an initializer of its own."""

    if TYPE_CHECKING:  # a field or a property of every subclass

        @property
        def initializers(self) -> tuple[Initializer, ...]:
            """Those of the parts, in the order of `divide`."""

    @staticmethod
    @abstractmethod
    def divide(
        shape: tuple[int, ...], layout: Layout | None, arguments: Mapping[str, Any]
    ) -> tuple[Share, ...]:
        """What each part of the whole makes; a later one goes over earlier ones.

        Among `arguments`, those that are initializers may be missing. An `InitializerError` where the shape
        does not divide so.
        """

    def parts(self, shape: tuple[int, ...], layout: Layout | None) -> tuple[tuple[Initializer, Share], ...]:
        """The initializer of each part and what it makes; raises as `divide`."""
        return tuple(zip(self.initializers, self.divide(shape, layout, vars(self)), strict=True))

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes that do not divide into the parts, and what the parts refuse."""
        for part, share in self.parts(shape, layout):
            check(part, share.shape, dtype, share.layout)

    @property
    def is_cut(self) -> bool:
        """Whether every part is."""
        return all(map(is_cut, self.initializers))

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """The stretches of the parts that lie in this one; parts outside it are not made."""
        for part, share in self.parts(request.shape, request.layout):
            stream = request.stream if share.label is None else request.stream.child(share.label)
            stream = stream_of(part, share.shape, stream)
            inner = request._replace(shape=share.shape, layout=share.layout, stream=stream)
            arrays.draw_box(out, start, request.shape, share.box, partial(draw, part, request=inner))


def parts_of(initializer: Initializer) -> tuple[Initializer, ...]:
    """The initializers among the arguments of a built-in, wherever they stand; none of custom code.

    Example:
        >>> from initcfg.initializers import Patch, Zeros
        >>> parts_of(Patch(Zeros(), [{"at": [0], "initializer": "ones"}]))
        (Zeros(), Ones())
    """
    if not isinstance(initializer, BuiltIn):
        return ()
    return tuple(_within([getattr(initializer, field.name) for field in dataclasses.fields(initializer)]))


def _within(value: object) -> Iterator[Initializer]:
    if isinstance(value, Initializer):
        yield value
    elif isinstance(value, list | tuple | FrozenDict):
        for item in value.values() if isinstance(value, FrozenDict) else value:
            yield from _within(item)


def resolve(
    initializer: Initializer,
    shape: tuple[int, ...],
    layout: Layout | None = IN_OUT,
    dtype: DType | None = None,
) -> Distribution | None:
    """The distribution that an initializer has for a shape, or None where it has no single one.

    Args:
        initializer: any; custom ones have None, and so has a built-in's subclass with its own ``__call__``.
        shape: the parameter's shape.
        layout: which axes are inputs and outputs; None is enough for schemes that do not look at fans.
        dtype: of the parameter; None for any that is not complex.

    Raises:
        InitializerError: as `BuiltIn.resolve` or `BuiltIn.resolve_complex`; or no array has such a shape.

    Example:
        >>> from initcfg.initializers import HeNormal, Orthogonal
        >>> from initcfg.layout import Layout
        >>> resolve(HeNormal(), (64, 3, 7, 7), Layout("out_in")).std
        0.1326045542677961
        >>> resolve(Orthogonal(), (64, 64)) is None
        True
    """
    return _law(initializer, as_shape(shape), layout, dtype) if _is_built_in(initializer) else None


def _law(made: BuiltIn, shape: tuple[int, ...], layout: Layout | None, dtype: DType | None) -> Any:
    is_complex = dtype is not None and dtype.kind == "complex"
    return (made.resolve_complex if is_complex else made.resolve)(shape, layout)


def check(initializer: Initializer, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
    """Raise the `InitializerError` that `make` would meet; of custom code nothing can be known before."""
    distribution = resolve(initializer, shape, layout, dtype)
    if distribution is not None:
        engines.check(distribution, dtype)
    elif _is_built_in(initializer) and isinstance(initializer, Structured):
        initializer.check(shape, dtype, layout)


def stream_of(initializer: Initializer, shape: tuple[int, ...], parameter_stream: Stream) -> Stream:
    """The stream that is drawn from: that of the initializer's own seed, else the parameter's."""
    initializer = getattr(initializer, "unscaled", initializer)
    seed = getattr(initializer, "seed", None) if isinstance(initializer, BuiltIn) else None
    return parameter_stream if seed is None else Stream.of_seed(seed, type(initializer).__name__, shape)


def make(initializer: Initializer, request: Request) -> np.ndarray[Any, Any]:
    """The whole array of any initializer: C-contiguous and of exactly the shape and dtype asked for.

    Args:
        initializer: a built-in, a custom one, or a wrapped function.
        request: the array, with the stream that `stream_of` gives.

    Raises:
        InitializerError: the scheme cannot make this, or custom code returned something else.
    """
    if _is_built_in(initializer):
        return _make_built_in(initializer, request)
    return call_custom(initializer, request)


def nested_in(initializer: Initializer) -> Iterator[BuiltIn]:
    """A built-in and those among its arguments, and theirs."""
    if isinstance(initializer, BuiltIn):
        yield initializer
    for part in parts_of(initializer):
        yield from nested_in(part)


def is_cut(initializer: Initializer) -> bool:
    """Whether any stretch of its elements can be made without the rest.

    Not those of a subclass that builds its array in a way of its own, nor those of custom code.

    Example:
        >>> from initcfg.initializers import Concatenate, HeNormal, Orthogonal, Zeros
        >>> parts = Zeros(), HeNormal(), Orthogonal()
        >>> [is_cut(part) for part in parts]
        [True, True, False]
        >>> is_cut(Concatenate(0, (1, 2), parts[:2])), is_cut(Concatenate(0, (1, 2), parts[1:]))
        (True, False)
    """
    if not _is_built_in(initializer) or isinstance(initializer, Elementwise):
        return _is_built_in(initializer)
    return isinstance(initializer, Cuttable) and _draws(initializer) and initializer.is_cut


def draw(initializer: Initializer, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
    """Write the elements from `start` on, in C order, of what `make` makes into a flat `out`.

    What cannot be cut is made whole for it: the initializer, or those of its parts that lie in the stretch.

    Args:
        initializer: as in `make`.
        out: one axis, C-contiguous, of the dtype of `request`.
        start: the first element.
        request: the whole array, as in `make`.

    Raises:
        InitializerError: as `make`.
    """
    distribution = resolve(initializer, request.shape, request.layout, request.dtype)
    if distribution is not None:
        request.fill(out, distribution, request.stream, start)
    elif _is_built_in(initializer) and isinstance(initializer, Cuttable) and _draws(initializer):
        initializer.draw(out, start, request)
    else:
        out[...] = make(initializer, request).reshape(-1)[start : start + out.size]


def _draws(initializer: Cuttable) -> bool:
    """Whether what it builds is what it draws."""
    return type(initializer).build is Cuttable.build


def _is_built_in(initializer: Initializer) -> TypeGuard[BuiltIn]:
    """Whether it is made from what it resolves to; a subclass with its own ``__call__`` is called instead."""
    return isinstance(initializer, BuiltIn) and type(initializer).__call__ is BuiltIn.__call__


def _make_built_in(initializer: BuiltIn, request: Request) -> np.ndarray[Any, Any]:
    distribution = _law(initializer, request.shape, request.layout, request.dtype)
    if distribution is not None:
        return arrays.drawn(request, distribution)
    if not isinstance(initializer, Structured):
        raise TypeError(f"{type(initializer).__name__} resolves to no distribution and is not Structured")
    initializer.check(request.shape, request.dtype, request.layout)
    return initializer.build(request)
