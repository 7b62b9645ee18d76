"""Weights held against a plan: every tensor is made again, piece by piece, and compared."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.engines import FillFunction, get_engine
from initcfg.errors import Diagnostic, InitcfgError, Location, fold_copies
from initcfg.formats.base import PLAN_KEY, StoredTensor
from initcfg.formats.reading import RenamesLike, WeightsFile, open_weights
from initcfg.generate.pool import Progress, Task, Workers, counting
from initcfg.generate.work import Piece, batches, fill_elements, is_for_caller, is_made_whole, make_whole
from initcfg.initializers import Combined, Initializer, NormOf, RepeatOf, Scaled
from initcfg.initializers.derived import Derived
from initcfg.initializers.structured import Factored
from initcfg.names import counted
from initcfg.verification.fixed import Mismatch, differs
from initcfg.verification.laws import LawComparison
from initcfg.verification.listing import LawReport, law_table
from initcfg.verification.matching import alone, carried_plan, match

if TYPE_CHECKING:
    from os import PathLike

    from initcfg.formats import Array
    from initcfg.plan import Plan, PlannedParameter


@dataclass(frozen=True, slots=True)
class Verification:
    """What holding weights against a plan has found.

    Args:
        path: the file, or the folder or index of a sharded set, as it was given.
        tensors: how many tensors were compared.
        elements: how many elements.
        nbytes: how many bytes.
        fingerprint: of the plan that the weights say they were made from; None where they say none.
        diagnostics: what differs, as errors, each tensor once; the warning or note about the fingerprint
            before them. Of a set, what is wrong with a tensor has the place of its shard.
        law: what was found beside what is meant, where weights were held against laws.
    """

    path: Path
    tensors: int
    elements: int
    nbytes: int
    fingerprint: str | None
    diagnostics: tuple[Diagnostic, ...]
    law: LawReport | None = None

    @property
    def is_equal(self) -> bool:
        """Whether the weights are what the plan makes, or follow its laws, all of it and nothing else."""
        return not self._errors

    def __bool__(self) -> bool:
        return self.is_equal

    def require_equal(self) -> None:
        """Raises an InitcfgError with all that differs, if anything does."""
        if self._errors:
            raise InitcfgError(*self._errors)

    @property
    def _errors(self) -> list[Diagnostic]:
        return [problem for problem in self.diagnostics if problem.severity == "error"]

    def _repr_html_(self) -> str:
        """For a notebook: what differs, and the table of laws where weights were held against them."""
        verdict = "equal" if self.law is None else "as the laws say"
        verdict = verdict if self.is_equal else f"{counted(len(self._errors), 'problem')}"
        notes = [f"{counted(self.tensors, 'tensor')}, {counted(self.elements, 'element')}"]
        notes += [str(each) for each in fold_copies(self.diagnostics)]
        table = law_table(self.law.rows if self.law else ())
        return dataclasses.replace(
            table, title=f"Verification of {self.path}: {verdict}", notes=[*table.notes, *notes]
        ).html()


def verify(
    weights: str | PathLike[str] | WeightsFile,
    plan: Plan | None = None,
    *,
    law: bool | float = False,
    histograms: bool = False,
    select: str | None = None,
    rename: RenamesLike = (),
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Holds a file, a set or open weights against a plan, as `initcfg.verify`; by law with `histograms`."""
    with contextlib.ExitStack() as opened:
        if isinstance(weights, WeightsFile):
            file, path = weights, weights.path
        else:
            file, path = opened.enter_context(open_weights(weights, rename)), Path(weights)
        workers = opened.enter_context(Workers(threads))
        own = plan is None
        if plan is None:
            plan = carried_plan(file)
        is_by_law = law is not False
        matched = match(file, plan, select, law=is_by_law)
        comparison: _Comparison | LawComparison
        if is_by_law:
            comparison = LawComparison(file, matched.pairs, _false_alarms(law), histograms=histograms)
        else:
            comparison = _Comparison(file, matched.pairs, get_engine(engine))
        report = comparison.run(workers, progress)
        where = Location(os.fspath(file.path))
        problems = (*alone(matched.problems, own=own), *comparison.problems())
        return Verification(
            path,
            len(matched.pairs),
            sum(tensor.numel for tensor, _ in matched.pairs),
            sum(tensor.nbytes for tensor, _ in matched.pairs),
            file.header.metadata.get(PLAN_KEY),
            tuple(problem if problem.where else problem.at(where) for problem in problems),
            report,
        )


#: The probability that true weights are refused, where nobody says another.
FALSE_ALARMS = 1e-6


def _false_alarms(law: bool | float) -> float:
    if law is True:
        return FALSE_ALARMS
    if isinstance(law, float) and 0 < law < 1:
        return law
    raise ValueError(f"law must be True, or a probability of false alarms between 0 and 1, not {law!r}")


class _Comparison:
    """Compares tensors with parameters; what differs is kept by the tensor's name."""

    def __init__(
        self, file: WeightsFile, pairs: tuple[tuple[StoredTensor, PlannedParameter], ...], fill: FillFunction
    ) -> None:
        self.file = file
        self.fill = fill
        self.tensors = {tensor.name: tensor for tensor, _ in pairs}
        # A tied name that was written has the values of another parameter, under its own name.
        self.parameters = [dataclasses.replace(source, name=tensor.name) for tensor, source in pairs]
        self.found: dict[str, Mismatch] = {}

    def run(self, workers: Workers, progress: Progress | None) -> None:
        cut = batches(self.parameters)
        tasks = (Task(partial(self._compare, batch), here=is_for_caller(batch)) for batch in cut)
        tell = counting(progress, sum(parameter.nbytes for parameter in self.parameters))
        for batch, mismatches in workers.in_order(tasks):
            for piece, found in zip(batch, mismatches, strict=True):
                self._note(piece, found)
            tell(sum(piece.nbytes for piece in batch))

    def problems(self) -> list[Diagnostic]:
        return [self._differs(self.tensors[each.name]) for each in self.parameters if each.name in self.found]

    def _differs(self, tensor: StoredTensor) -> Diagnostic:
        # A run that goes on knows a finished shard by its header.
        again = "" if tensor.shard is None else f"delete {tensor.shard!r} and "
        hint = f"{again}make the weights again, or find out what has changed {self.file.what}"
        return differs(
            self.file, tensor, self.found[tensor.name], "the plan makes", numel=tensor.numel, hint=hint
        )

    def _compare(self, batch: list[Piece]) -> tuple[list[Piece], list[Mismatch | None]]:
        return batch, [self._piece(piece) for piece in batch]

    def _piece(self, piece: Piece) -> Mismatch | None:
        parameter = piece.parameter
        found = self.file.read(self.tensors[parameter.name], piece.start, piece.stop)
        if is_made_whole(parameter):
            expected = make_whole(parameter, self.fill).reshape(-1)
            allowed = np.ravel(tolerance_of(parameter.initializer, parameter.shape))
            return mismatch(found, expected, allowed)
        expected = np.empty_like(found)
        fill_elements([(parameter, piece.start, expected)], self.fill)
        return mismatch(found, expected)

    def _note(self, piece: Piece, found: Mismatch | None) -> None:
        """Pieces come in the order of the elements: the first that differs is the first of all."""
        if found is not None:
            name, placed = piece.parameter.name, dataclasses.replace(found, at=piece.start + found.at)
            self.found[name] = placed.after(self.found.get(name))


#: Of what is made with BLAS, whose bits differ between machines and numbers of threads, a part of the gain.
TOLERANCE = 1e-5


def mismatch(found: Array, expected: Array, tolerance: Array | float = 0.0) -> Mismatch | None:
    """What differs between two flat arrays by any bit, or by more than a tolerance and one step."""
    bits = f"u{found.itemsize}"
    differing = found.view(bits) != expected.view(bits)
    if not differing.any():
        return None
    if np.any(tolerance):
        differing &= ~_near(found, expected, tolerance)
    first = int(np.argmax(differing))
    if not differing[first]:
        return None
    count = int(np.count_nonzero(differing))
    return Mismatch(first, *_shown(found[first : first + 1], expected[first : first + 1]), count)


def tolerance_of(initializer: Initializer, shape: tuple[int, ...]) -> Array | float:
    """How far each element may be off, one number for all or an array; 0 where the same bits are promised."""
    factor = 1.0
    while isinstance(initializer, Scaled):
        factor, initializer = factor * initializer.factor, initializer.of
    return factor * _own_tolerance(initializer, shape)


def _own_tolerance(initializer: Initializer, shape: tuple[int, ...]) -> Array | float:
    if isinstance(initializer, Factored):
        return TOLERANCE * initializer.reach
    if isinstance(initializer, Derived):
        its = tolerance_of(initializer.source.initializer, initializer.source.shape)
        # A norm moves by no more than that of what its elements move by.
        if isinstance(initializer, NormOf) and np.any(its):
            return float(np.linalg.norm(np.broadcast_to(its, initializer.source.shape)))
        return its
    if not isinstance(initializer, Combined):
        return 0.0
    parts = [(tolerance_of(part, share.shape), share) for part, share in initializer.parts(shape, None)]
    if not any(np.any(tolerance) for tolerance, _ in parts):
        return 0.0
    wide = np.zeros(shape)
    for tolerance, share in parts:
        box = wide[tuple(slice(taken.start, taken.stop) for taken in share.box)]
        made = np.broadcast_to(tolerance, share.shape)
        if isinstance(initializer, RepeatOf):
            made = np.repeat(made, initializer.times, initializer.axis)
        box[...] = made.reshape(box.shape)
    return wide


def _near(found: Array, expected: Array, tolerance: Array | float) -> Any:
    """Where two values are within the tolerance, or neighbours in a narrow dtype, and it is not 0."""
    wide, other = found.astype(np.float64), expected.astype(np.float64)
    # Of nan and inf nothing is near, and nothing is to be warned about.
    with np.errstate(invalid="ignore"):
        step = np.spacing(np.maximum(np.abs(found), np.abs(expected))).astype(np.float64)
        return (np.abs(wide - other) <= tolerance + step) & (np.asarray(tolerance) > 0)


def _shown(found: Array, expected: Array) -> tuple[str, str]:
    """Two elements in digits that tell them apart, else in their bits."""
    texts = tuple(_text(array) for array in (found, expected))
    if texts[0] != texts[1]:
        return texts[0], texts[1]
    return _hexadecimal(found), _hexadecimal(expected)


def _text(array: Array) -> str:
    # The shortest digits that give the value back, of its own type where numpy has it.
    value = array[0]
    if array.dtype.kind in "fiubc":
        return str(value)
    return repr(float(value)) if math.isfinite(float(value)) else str(float(value))


def _hexadecimal(array: Array) -> str:
    return f"{_text(array)} (bits 0x{int(array.view(f'u{array.itemsize}')[0]):0{2 * array.itemsize}x})"
