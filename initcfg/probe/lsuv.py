"""Layer-sequential unit variance: factors for the weights of a model, found one layer after the other.

Mishkin, Matas (2016), "All you need is a good init", https://arxiv.org/abs/1511.06422: the weights W of a
layer with output B become W / sqrt(Var(B)), until the variance is 1 on a batch. Krähenbühl, Doersch, Donahue,
Darrell (2016), "Data-dependent Initializations of Convolutional Neural Networks",
https://arxiv.org/abs/1511.06856, center outputs by the biases as well.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, TypeVar

import numpy as np

from initcfg.distributions import point
from initcfg.dtypes import is_bool
from initcfg.errors import Code, SpecError
from initcfg.initializers import Constant, Initializer, Scaled
from initcfg.initializers.base import nested_in
from initcfg.initializers.derived import Derived
from initcfg.names import counted, number
from initcfg.plan import Plan, PlannedParameter, plan_of
from initcfg.plan.plan import owner, selected
from initcfg.process import cached_property
from initcfg.spec import Layer as SpecLayer
from initcfg.spec import Param, Rule, Spec
from initcfg.tables import SEGMENTS, Column, Row, Table

if TYPE_CHECKING:
    from initcfg.manifest import Manifest

_LEAVE_OUT = "leave it out with select, a glob over the weights that are scaled"
# A variance that one round moves by less does not depend on the weights.
_UNMOVED = 1e-3
_Found = TypeVar("_Found")


class Layer(NamedTuple):
    """A layer, with the names of the parameter that is scaled and of the bias that centers its output."""

    name: str
    weight: str
    bias: str | None = None
    start: float = 0.0  # what the bias begins with


class Passed(NamedTuple):
    """The mean and the variance of all elements of a layer's output."""

    mean: float
    variance: float

    @classmethod
    def of(cls, layer: str, values: np.ndarray[Any, Any]) -> Passed:
        """Those of an array that a layer gives; a SpecError where it has no elements (code ``input``)."""
        if not values.size:
            message = f"{called(layer)} gives no numbers on this batch"
            raise SpecError.of(Code.INPUT, message, "give a batch that has some rows")
        wide = values.astype(np.float64)
        return cls(float(wide.mean()), float(wide.var()))


#: What a layer gives with the plan's weights times a factor, and a value of the bias.
Measure = Callable[[float, float], Passed]
#: Called with the name of a layer, what it gives, and how to measure it with other weights.
Look = Callable[[str, Passed, Measure], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """What was found for one layer.

    Args:
        layer: its name.
        parameter: the one that is scaled.
        factor: by which, to six digits.
        bias: the value of the bias that centers the output; None where none does.
        rounds: how often the weights were scaled.
        before: the variance of the output with the plan's own weights, behind layers that are settled.
        variance: that in the end.
        mean: likewise the mean.
    """

    layer: str
    parameter: str
    factor: float
    bias: float | None
    rounds: int
    before: float
    variance: float
    mean: float

    def is_within(self, tolerance: float) -> bool:
        """Whether the variance is near 1 and, where a bias centers it, the mean near 0."""
        return abs(self.variance - 1) <= tolerance and (self.bias is None or abs(self.mean) <= tolerance)


def called(name: str) -> str:
    """A layer as messages call it; the model may be one itself."""
    return repr(name) if name else "the model itself"


def require_limits(tolerance: Any, max_rounds: Any) -> None:
    """Raises a ValueError unless the tolerance is a finite number above 0 and the rounds are 1 or more."""
    if not isinstance(tolerance, numbers.Real) or is_bool(tolerance) or not 0 < float(tolerance) < math.inf:
        raise ValueError(f"tolerance must be a number above 0, such as 0.01, not {tolerance!r}")
    if not isinstance(max_rounds, SupportsIndex) or is_bool(max_rounds) or operator.index(max_rounds) < 1:
        raise ValueError(f"max_rounds must be a whole number of 1 or more, such as 10, not {max_rounds!r}")


def find_scale(layer: Layer, first: Passed, measure: Measure, tolerance: float, max_rounds: int) -> Scale:
    """Finds the factor of one layer, those before it being settled.

    Raises:
        SpecError: the variance is 0 or no finite number, or does not change with the weights (code
            ``input``).

    Example:
        >>> found = find_scale(Layer("fc", "w"), Passed(0, 16), lambda k, _: Passed(0, 16 * k * k), 0.01, 9)
        >>> found.factor, found.rounds, found.variance
        (0.25, 1, 1.0)
    """
    bias = None if layer.bias is None else layer.start
    found = Scale(layer.name, layer.weight, 1.0, bias, 0, first.variance, first.variance, first.mean)
    while True:
        _require_signal(layer, found)
        if found.rounds >= max_rounds or found.is_within(tolerance):
            return found
        size = math.sqrt(found.variance)
        # Six digits move a variance by far less than a tolerance, and read well in a spec.
        factor = float(f"{found.factor / size:.6g}")
        bias = None if bias is None else float(f"{(bias - found.mean) / size:.6g}")
        mean, variance = measure(factor, bias or 0.0)
        if not found.rounds and abs(variance / found.variance - 1) < _UNMOVED:
            message = (
                f"scaling {layer.weight!r} does not change the variance of the output of {called(layer.name)}"
            )
            hint = f"look for what undoes it, such as spectral or weight norm, or {_LEAVE_OUT}"
            raise SpecError.of(Code.INPUT, message, hint)
        found = dataclasses.replace(
            found, factor=factor, bias=bias, rounds=found.rounds + 1, variance=variance, mean=mean
        )


def _require_signal(layer: Layer, found: Scale) -> None:
    if not math.isfinite(found.variance):
        message = f"the output of {called(layer.name)} has values on this batch that are not finite"
        raise SpecError.of(Code.INPUT, message, "look at the batch, and at the layers before it")
    if found.variance == 0:
        message = (
            f"no signal comes out of {called(layer.name)}: its output is {number(found.mean)} everywhere"
        )
        hint = f"give {layer.weight!r} and the layers before it random values, or {_LEAVE_OUT}"
        raise SpecError.of(Code.INPUT, message, hint)


def layers_of(
    plan: Plan,
    manifest: Manifest,
    held: Iterable[tuple[str, Sequence[str]]],
    select: str | None,
    *,
    center: bool,
) -> dict[str, Layer]:
    """The layers of a model to be scaled, by name.

    Args:
        plan: of the model.
        manifest: of the model.
        held: layers that multiply by a matrix, with the full names of their own parameters.
        select: a glob over the matrices; None for all.
        center: whether biases are to be found too.

    Raises:
        SpecError: a layer has several matrices, the plan skips it, two layers share it, or it follows one
            that is scaled as well; or the bias that is to center a layer has several values (code
            ``input``).
        UnknownParameterError: `select` matches nothing.
    """
    wanted = set(matrices_of(plan, select))
    skipped = {each.name for each in plan.skipped} if select is None else set()
    found: dict[str, Layer] = {}
    for name, names in held:
        matrices = [each for each in names if each in wanted]
        left = [each for each in names if each in skipped and _is_matrix(each, manifest.entries[each].shape)]
        if left and not matrices:
            message = f"the plan skips {left[0]!r}, so that nothing scales the output of {called(name)}"
            raise SpecError.of(Code.INPUT, message, f"give it an initializer, or {_LEAVE_OUT}")
        if len(matrices) > 1:
            message = f"{called(name)} has {len(matrices)} matrices, and which one to scale cannot be told"
            raise SpecError.of(Code.INPUT, message, _LEAVE_OUT)
        for matrix in matrices:
            array = owner(plan, plan[matrix]).name
            other = next((each.name for each in found.values() if each.weight == array), None)
            if other is not None:
                message = f"{called(other)} and {called(name)} share one matrix, and each would scale it"
                raise SpecError.of(Code.INPUT, message, _LEAVE_OUT)
            bias = next((each for each in names if each.rpartition(".")[2] == "bias" and each in plan), None)
            found[name] = Layer(name, array)
            if center and bias is not None:
                found[name] = Layer(name, array, bias, _start(plan[bias]))
    _require_own_values(plan, {each.weight for each in found.values()})
    return found


def matrices_of(plan: Plan, select: str | None) -> list[str]:
    """The names of what layers may multiply by."""
    return [each.name for each in selected(plan, select) if _is_matrix(each.name, each.shape)]


def _is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a layer may multiply by a parameter; a bias is added, however many axes it has."""
    return len(shape) > 1 and name.rpartition(".")[2] != "bias"


def _require_own_values(plan: Plan, weights: Collection[str]) -> None:
    """Refuses weights that follow others of them: these are scaled first, and would scale both."""
    for name in weights:
        for each in nested_in(plan[name].initializer):
            if isinstance(each, Derived) and each.parameter in weights:
                message = f"{name!r} follows {each.parameter!r}, and the scale of one would be that of both"
                raise SpecError.of(Code.INPUT, message, f"give it values of its own, or {_LEAVE_OUT}")


def _start(bias: PlannedParameter) -> float:
    value = None if bias.distribution is None else point(bias.distribution)
    if value is None:
        message = f"the bias {bias.name!r} has several values, and centering would give it one"
        raise SpecError.of(Code.INPUT, message, "begin it with zeros, or leave out center", bias.where)
    return float(value)


@dataclass(frozen=True)
class Lsuv:
    """Scales for the layers of a model, so that the variance of each output is 1 on a batch.

    As text it is a table of them.

    Args:
        scales: in the order in which the layers were called.
        tolerance: how far a variance may be from 1.
        spec: the spec of the plan with the scales beside its initializers, each parameter by its name. Its
            plan makes the weights that the model has now, bit for bit.
    """

    scales: tuple[Scale, ...]
    tolerance: float
    spec: Spec = dataclasses.field(repr=False)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the spec."""
        return plan_of(self.spec)

    @property
    def outside(self) -> tuple[str, ...]:
        """The layers that the rounds did not bring within the tolerance."""
        return tuple(each.layer for each in self.scales if not each.is_within(self.tolerance))

    @property
    def said(self) -> str:
        """Whether all layers are within the tolerance, in a sentence."""
        tolerance = f"within {number(self.tolerance)} of variance 1"
        if self.outside:
            return f"not {tolerance}: {', '.join(self.outside)}"
        return f"all {counted(len(self.scales), 'layer')} {tolerance}"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, without the spec."""
        scales = [dataclasses.asdict(each) for each in self.scales]
        return {"lsuv": 1, "tolerance": self.tolerance, "scales": scales, "outside": list(self.outside)}

    def __str__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        """For a notebook: the table."""
        return self._table().html()

    def _table(self) -> Table:
        heads = ("scale", "bias", "rounds", "variance before", "after")
        columns = (Column("layer", SEGMENTS), *(Column(each, right=True) for each in heads))
        rows = []
        for each in self.scales:
            numbers = (each.factor, each.bias, each.rounds, each.before, each.variance)
            cells = ("" if value is None else number(value) for value in numbers)
            kind = "" if each.is_within(self.tolerance) else "problem"
            rows.append(Row((each.layer or "all", *cells), kind))
        return Table("LSUV", columns, rows, [self.said])


def scale_layers(
    plan: Plan,
    manifest: Manifest,
    layers: Mapping[str, Layer],
    initialize: Callable[[Plan], object],
    run: Callable[[Look], object],
    *,
    tolerance: float,
    max_rounds: int,
) -> Lsuv:
    """Settles the layers of a model in the order of their calls, and measures them again in the end.

    Args:
        plan: what the model begins with; it has these weights again after an exception.
        manifest: of the model.
        layers: as `layers_of` gives them.
        initialize: puts the values of a plan into the model.
        run: calls the model once on the batch, and for each layer, as it is called, what it is given.
        tolerance: how far variances may be from 1, and centered means from 0.
        max_rounds: how often a layer is scaled, at most.

    Raises:
        SpecError: there is no layer; or one gives no signal, is called twice or not at all (code ``input``).
            Or no spec can say what the plan does, as `spec_of` says.
    """
    if not layers:
        hint = "select weights of at least two axes that no embedding shares"
        raise SpecError.of(Code.INPUT, "no layer multiplies by a matrix that could be scaled", hint)

    def settle(layer: Layer, first: Passed, measure: Measure) -> Scale:
        return find_scale(layer, first, measure, tolerance, max_rounds)

    # Called for its errors: a plan that no spec can say is refused before the model is changed.
    spec_of(plan, manifest, {})
    initialize(plan)
    try:
        scales = _of_each(layers, run, settle)
        made = dict(_initializers(plan, layers, scales))
        found = Lsuv((), tolerance, spec_of(plan, manifest, made))
        initialize(found.plan)
        passed = _of_each(layers, run, lambda _, first, __: first)
    except BaseException:
        initialize(plan)
        raise
    ends = (dataclasses.replace(each, **passed[name]._asdict()) for name, each in scales.items())
    found = dataclasses.replace(found, scales=tuple(ends))
    if found.outside:
        warnings.warn(found.said, RuntimeWarning, stacklevel=3)
    return found


def _of_each(
    layers: Mapping[str, Layer],
    run: Callable[[Look], object],
    ask: Callable[[Layer, Passed, Measure], _Found],
) -> dict[str, _Found]:
    """What is found of each layer while the model runs, which calls each of them once."""
    found: dict[str, _Found] = {}

    def look(name: str, first: Passed, measure: Measure) -> None:
        if name in found:
            message = f"{called(name)} is called twice, and its outputs need not have one variance"
            raise SpecError.of(Code.INPUT, message, _LEAVE_OUT)
        found[name] = ask(layers[name], first, measure)

    run(look)
    missing = next((name for name in layers if name not in found), None)
    if missing is not None:
        raise SpecError.of(Code.INPUT, f"{called(missing)} is not called on this batch", _LEAVE_OUT)
    return found


def _initializers(
    plan: Plan, layers: Mapping[str, Layer], scales: Mapping[str, Scale]
) -> Iterator[tuple[str, Initializer]]:
    """The initializers that are others now, by the names of the parameters."""
    for each in scales.values():
        if each.factor != 1:
            yield each.parameter, Scaled(plan[each.parameter].initializer, each.factor)
        bias = layers[each.layer].bias
        if bias is not None and each.bias is not None:
            yield bias, Constant(each.bias)


def spec_of(plan: Plan, manifest: Manifest, made: Mapping[str, Initializer]) -> Spec:
    """A spec that names each parameter of a plan, some with other initializers, and what the plan skips.

    Raises:
        SpecError: a name has braces, which a spec reads as expressions, and stands in no layer, or another
            parameter refers to it (code ``bad-name``).
    """
    layouts = [each.layout.name if each.layout else None for each in plan]
    usual = Counter(layouts).most_common(1)[0][0] if None not in layouts and layouts else None
    params = {each.name: _param(each, usual, made.get(each.name, each.initializer)) for each in plan}
    left = [each.name for each in plan.skipped if each.name in manifest.entries]
    params |= {name: Param(shape=manifest.entries[name].shape) for name in left}
    # Every other parameter has an initializer of its own, which goes before rules.
    rules = [Rule(match="**", skip=True)] if left else []
    layers = dict(
        _spelled(name, at, params.pop(name)) for at, name in enumerate(filter(_has_braces, [*params]))
    )
    return Spec(name=plan.name, seed=plan.seed, layout=usual, layers=layers, params=params, rules=rules)


def _has_braces(name: str) -> bool:
    return "{" in name or "}" in name


def _spelled(name: str, at: int, param: Param) -> tuple[str, SpecLayer]:
    """A layer of one parameter whose name comes out of lists of texts, where braces are letters."""
    head, _, tail = name.rpartition(".")
    if not head:
        message = f"the name {name!r} has braces, and no layer to be written in"
        raise SpecError.of(Code.BAD_NAME, message, "rename the parameter")
    layer, key = f"layer_{at}", f"param_{at}"
    return f"{{{layer}}}", SpecLayer(repeat={layer: [head], key: [tail]}, params={f"{{{key}}}": param})


def _param(parameter: PlannedParameter, usual: str | None, initializer: Initializer) -> Param:
    """One parameter as a spec has it, its layout left out where it is the usual one."""
    layout = parameter.layout.name if parameter.layout else None
    own = {"dtype": parameter.dtype.name, "layout": layout, "stream": parameter.stream_name}
    usually = {"dtype": "float32", "layout": usual, "stream": parameter.name}
    facts: dict[str, Any] = {key: value for key, value in own.items() if value != usually[key]}
    head, _, tail = (parameter.fans_of or "").rpartition(".")
    # In its own layer a name is that of a sibling first.
    lender = tail if head == parameter.name.rpartition(".")[0] else parameter.fans_of
    for other in (parameter.tied_to, facts.get("stream"), lender):
        if other is not None and _has_braces(other):
            message = f"{parameter.name!r} refers to {other!r}, whose braces a spec reads as an expression"
            raise SpecError.of(Code.BAD_NAME, message, f"rename {other!r}")
    if parameter.tied_to is not None:
        return Param(shape=parameter.shape, tied_to=parameter.tied_to, dtype=facts.get("dtype"))
    return Param(shape=parameter.shape, initializer=initializer, fans_of=lender or None, **facts)
