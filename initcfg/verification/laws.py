"""Weights held against the laws of a plan: whoever drew them, with whatever random numbers."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from initcfg.distributions import ComplexNormal, Disk, Square
from initcfg.errors import Code, Diagnostic
from initcfg.generate.pool import Progress, Task, Workers, counting, in_groups
from initcfg.initializers import Combined, Initializer, RepeatOf, resolve, stream_of
from initcfg.initializers.arrays import draw_box
from initcfg.initializers.components import Component, components_of
from initcfg.initializers.structured import Factored
from initcfg.inspection import Histogram, Moments, merged, moments_of
from initcfg.names import counted
from initcfg.plan.listing import describe_law
from initcfg.verification.fixed import Fixed, Mismatch, differs, fixed_by, frames_problem
from initcfg.verification.listing import LawReport, LawRow
from initcfg.verification.meant import VIEWS, Meant, meant_by, of_mixture, polar
from initcfg.verification.surprise import described, surprises

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.dtypes import DType
    from initcfg.formats import Array
    from initcfg.formats.base import StoredTensor
    from initcfg.formats.reading import WeightsFile
    from initcfg.layout import Layout
    from initcfg.plan import PlannedParameter

# Few enough that a stretch in float64 stays in a core's cache.
_CHUNK = 1 << 17
# Elements of a component whose distribution function is looked at.
_SAMPLE = 1 << 18


@dataclass(slots=True)
class _Seen:
    """What has been met of one component, so far."""

    moments: Moments = dataclasses.field(default_factory=Moments)
    sample: list[Array] = dataclasses.field(default_factory=list)
    mismatch: Mismatch | None = None
    unlike: str | None = None
    histogram: Histogram | None = None

    def add(self, other: _Seen) -> None:
        self.moments = merged(self.moments, other.moments)
        self.sample += other.sample
        self.unlike = self.unlike or other.unlike
        if self.histogram is not None and other.histogram is not None:
            self.histogram = self.histogram.merged(other.histogram)
        else:
            self.histogram = self.histogram or other.histogram
        if other.mismatch is not None:
            self.mismatch = other.mismatch.after(self.mismatch)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A component of a tensor, and what it is held against."""

    component: Component
    against: Meant | Fixed | str | None  # draws, fixed values, what frames are; None: nothing can be said
    part: str | None
    pictured: Meant | None = None  # of what a histogram is made


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    tensor: StoredTensor
    parameter: PlannedParameter
    held: tuple[_Held, ...]

    @property
    def is_plain(self) -> bool:
        return len(self.held) == 1 and not self.held[0].component.shares

    @property
    def is_polar(self) -> bool:
        """Whether its complex elements are looked at by several real numbers of each."""
        return self.tensor.dtype.kind == "complex" and len(self.held) > 1

    @property
    def is_whole(self) -> bool:
        return any(isinstance(each.against, str) for each in self.held)

    def pieces(self) -> Iterator[tuple[_Job, int, int]]:
        numel = self.tensor.numel
        step = numel if self.is_whole else _CHUNK
        rows = _repeated_rows(self.parameter)
        if rows:
            step = max(1, step // rows) * rows
        for start in range(0, numel, step or 1):
            yield self, start, min(start + step, numel)


class LawComparison:
    """Holds tensors against the laws of parameters."""

    def __init__(
        self,
        file: WeightsFile,
        pairs: Iterable[tuple[StoredTensor, PlannedParameter]],
        false_alarms: float,
        *,
        histograms: bool = False,
    ) -> None:
        self.file = file
        self.histograms = histograms
        self.unchecked: list[tuple[str, str]] = []
        self.jobs = [self._job(tensor, parameter) for tensor, parameter in pairs if tensor.numel]
        self.false_alarms = false_alarms
        self.rows: list[LawRow] = []
        self.found: list[Diagnostic] = []
        self._copies: defaultdict[object, list[tuple[_Job, _Held]]] = defaultdict(list)

    def run(self, workers: Workers, progress: Progress | None) -> LawReport:
        """Reads every element once, in order."""
        tell = counting(progress, sum(job.tensor.nbytes for job in self.jobs))
        pieces = (piece for job in self.jobs for piece in job.pieces())
        batches = in_groups(pieces, lambda piece: piece[2] - piece[1], _CHUNK)
        tasks = (Task(partial(self._look, batch)) for batch in batches)
        seen: list[_Seen] = []
        for results in workers.in_order(tasks):
            for (job, start, stop), parts in results:
                if start == 0:
                    seen = [_Seen() for _ in job.held]
                for one, part in zip(seen, parts, strict=True):
                    one.add(part)
                if stop == job.tensor.numel:
                    self._conclude(job, seen)
                tell((stop - start) * job.tensor.dtype.itemsize)
        return self._judged()

    def problems(self) -> list[Diagnostic]:
        """What differs, in the order of the tensors, and of what nothing could be said."""
        reasons = Counter(reason for _, reason in self.unchecked)
        firsts = {reason: name for name, reason in reversed(self.unchecked)}
        for reason, count in reasons.items():
            others = f" and {count - 1:,} more" if count > 1 else ""
            message = f"{firsts[reason]!r}{others} could not be held against a law: {reason}"
            self.found.append(Diagnostic(Code.LAW, message, severity="note"))
        return self.found

    def _job(self, tensor: StoredTensor, parameter: PlannedParameter) -> _Job:
        components = parameter.components
        if tensor.dtype.kind == "complex" and components[0].is_random:
            return self._polar(tensor, parameter, components[0])
        held = []
        for each in components:
            part = _index(each.box(parameter.shape), parameter.shape) if each.shares else None
            against = self._against(each, tensor, parameter) if math.prod(each.shape) else None
            pictured = _pictured(each, against, tensor.dtype) if self.histograms else None
            held.append(_Held(each, against, part, pictured))
        return _Job(tensor, parameter, tuple(held))

    def _polar(self, tensor: StoredTensor, parameter: PlannedParameter, component: Component) -> _Job:
        """The laws of some real numbers of each element."""
        assert isinstance(component.distribution, Disk | ComplexNormal | Square)  # noqa: S101
        held = []
        for part, initializer in polar(component.distribution).items():
            law = resolve(initializer, component.shape, component.layout)
            each = dataclasses.replace(component, initializer=initializer, distribution=law)
            meant = meant_by(each, tensor.dtype.part)
            held.append(_Held(each, meant, part, meant if self.histograms else None))
        return _Job(tensor, parameter, tuple(held))

    def _against(
        self, component: Component, tensor: StoredTensor, parameter: PlannedParameter
    ) -> Meant | Fixed | str | None:
        made = component.initializer
        if isinstance(getattr(made, "unscaled", made), Factored):
            return "frames"
        if component.built is None and component.distribution is None:
            self.unchecked.append((tensor.name, f"{type(made).__name__} is code, and says no law"))
            return None
        if component.is_random and tensor.dtype.format is not None:
            return meant_by(component, tensor.dtype)
        fixed = fixed_by(component, parameter.dtype, tensor.dtype, self.file)
        if isinstance(fixed, str):
            self.unchecked.append((tensor.name, fixed))
            return None
        return fixed

    def _look(self, batch: list[tuple[_Job, int, int]]) -> list[tuple[tuple[_Job, int, int], list[_Seen]]]:
        return [(piece, self._piece(*piece)) for piece in batch]

    def _piece(self, job: _Job, start: int, stop: int) -> list[_Seen]:
        elements = self.file.read(job.tensor, start, stop)
        if job.is_plain:
            return [_seen(job, job.held[0], elements, start, None)]
        if job.is_polar:
            return [_seen(job, held, VIEWS[str(held.part)](elements), start, None) for held in job.held]
        parts, unequal = _split(elements, _codes_of(job.parameter, start, stop), len(job.held))
        found = [
            _seen(job, held, part, numbers, places + start)
            for held, (part, numbers, places) in zip(job.held, parts, strict=True)
        ]
        if unequal:
            found[0].unlike = f"{unequal:,} elements are not those that they repeat"
        return found

    def _conclude(self, job: _Job, seen: list[_Seen]) -> None:
        for held, one in zip(job.held, seen, strict=True):
            against, moments = held.against, one.moments
            elements = moments.count + moments.non_finite
            if against is None or not elements:
                continue
            problem = one.unlike
            if moments.non_finite:
                problem = f"{moments.non_finite:,} elements are not finite"
            row = LawRow(
                job.tensor.name,
                held.part,
                _words(held.component),
                elements,
                None,
                (moments.mean, moments.std, float(moments.low), float(moments.high)),
                histogram=one.histogram,
                pictured=held.pictured,
            )
            if isinstance(against, Meant):
                tests: tuple[tuple[str, float], ...] = ()
                if problem is None:
                    sample = np.concatenate(one.sample)
                    tests = tuple(surprises(against, moments, sample))
                    self._note_copy(job, held, against.collision, sample)
                meant = (against.mean, against.std, against.low, against.high)
                errors = against.errors(moments.count, moments.mean, moments.std)
                row = dataclasses.replace(row, meant=meant, tests=tests, errors=errors)
            if one.mismatch is not None:
                self._tell_fixed(job, held, one.mismatch)
                problem = f"{counted(one.mismatch.count, 'element')} with another value"
            elif problem is not None:
                self._tell(job, row, problem)
            self.rows.append(dataclasses.replace(row, problem=problem))

    def _note_copy(self, job: _Job, held: _Held, collision: float, sample: Array) -> None:
        # Equal by chance, if all pairs of parameters were alike: so few digits prove nothing.
        pairs = max(1, len(self.jobs)) ** 2
        by_chance = sample.size * math.log(max(collision, 1e-300)) + math.log(pairs)
        if by_chance < math.log(self.false_alarms) - math.log(8 * pairs):
            digest = hashlib.blake2b(sample.tobytes(), digest_size=16).digest()
            self._copies[(job.tensor.dtype.name, held.component.shape, digest)].append((job, held))

    def _judged(self) -> LawReport:
        tests = sum(len(row.tests) for row in self.rows) + bool(self._copies)
        least = math.log(self.false_alarms) - math.log(max(1, tests))
        by_name = {job.tensor.name: job for job in self.jobs}
        rows = []
        for row in self.rows:
            failed = [name for name, surprise_ in row.tests if surprise_ < least]
            if failed and row.problem is None and row.meant is not None:
                problem = described(failed, row.found, row.meant)
                self._tell(by_name[row.name], row, problem)
                row = dataclasses.replace(row, problem=problem)  # noqa: PLW2901
            rows.append(row)
        self._tell_copies()
        return LawReport(tuple(rows), tests, self.false_alarms, tuple(self.unchecked))

    def _tell(self, job: _Job, row: LawRow, problem: str) -> None:
        part = f"[{row.part}]" if row.part else ""
        message = f"{row.name!r}{part} does not follow {row.law}: {problem}"
        hint = f"make the weights as the spec says, or write the law that {self.file.what} has into the spec"
        self.found.append(Diagnostic(Code.LAW, message, self.file.place_of(job.tensor), hint))

    def _tell_fixed(self, job: _Job, held: _Held, mismatch: Mismatch) -> None:
        wanted = f"by {_words(held.component)} it is"
        holds = f"what {self.file.what} holds into the spec"
        hint = f"make the weights as the spec says, or write {holds}"
        numel = math.prod(held.component.shape)
        self.found.append(differs(self.file, job.tensor, mismatch, wanted, numel=numel, hint=hint))

    def _tell_copies(self) -> None:
        for same in self._copies.values():
            first, held = same[0]
            origins = {_origin(first, held)}
            for job, other in same[1:]:
                origin = _origin(job, other)
                if origin in origins:
                    continue
                origins.add(origin)
                one, two = (
                    f"{each.tensor.name!r}" + (f"[{which.part}]" if which.part else "")
                    for each, which in ((job, other), (first, held))
                )
                message = f"{one} has the same random values as {two}, and the plan draws them apart"
                hint = "draw each by itself, or say so in the spec: tied_to, stream or {parameter: NAME}"
                where = self.file.place_of(job.tensor)
                self.found.append(Diagnostic(Code.EQUAL_COPIES, message, where, hint))


def _origin(job: _Job, held: _Held) -> object:
    """Where the plan takes the random numbers of a component from."""
    component, parameter = held.component, job.parameter
    if getattr(component.drawn, "seed", None) is not None:
        return stream_of(component.drawn, component.shape, parameter.stream).digest
    return parameter.stream.digest, component.path


def _step(numel: int) -> int:
    """How far apart the elements of the sample are: with no common factor, so that all columns have some."""
    step = max(1, numel // _SAMPLE)
    while math.gcd(step, numel) > 1:
        step += 1
    return step


def _seen(job: _Job, held: _Held, elements: Array, numbers: Array | int, places: Array | None) -> _Seen:
    """What a stretch holds of a component: elements, their numbers in it, their places in the tensor."""
    if not elements.size or held.against is None:
        return _Seen()
    one = _Seen(moments_of(elements))
    if held.pictured is not None:
        one.histogram = Histogram.of(elements, *held.pictured.bins)
    if isinstance(held.against, Meant):
        step = _step(math.prod(held.component.shape))
        taken = slice(-numbers % step, None, step) if isinstance(numbers, int) else numbers % step == 0
        one.sample = [elements[taken].copy()]
    elif isinstance(held.against, Fixed):
        mismatch = held.against.mismatch(elements, numbers)
        if mismatch is not None:
            at = numbers + mismatch.at if isinstance(numbers, int) else int(places[mismatch.at])  # type: ignore[index]
            one.mismatch = dataclasses.replace(mismatch, at=at)
    elif isinstance(held.against, str):
        one.unlike = frames_problem(held.component, elements, job.tensor.dtype)
    return one


def _pictured(component: Component, against: Meant | Fixed | str | None, dtype: DType) -> Meant | None:
    """The law of single elements, where it has a spread."""
    if isinstance(against, str):
        mixture = tuple(component.mixture)
        against = of_mixture(mixture, dtype) if mixture else None
    return against if isinstance(against, Meant) and against.std else None


def _words(component: Component) -> str:
    """The law of a component in words."""
    law = describe_law(component.initializer, component.shape, component.layout)
    return repr(component.initializer) if law == "structured" else law.partition(": mean ")[0]


def _index(box: tuple[range, ...], shape: tuple[int, ...]) -> str:
    return ", ".join(
        ":" if len(taken) == size else f"{taken.start}:{taken.stop}"
        for taken, size in zip(box, shape, strict=True)
    )


# A code is the rank of a component and the number of an element in it.
_SHIFT = 48


def _codes_of(parameter: PlannedParameter, start: int, stop: int) -> Array:
    """For each element of a stretch, in C order, its component and its number in that."""
    out = np.empty(stop - start, np.int64)
    _write(out, start, parameter.initializer, parameter.shape, parameter.layout, 0)
    return out


def _write(  # noqa: PLR0917  `draw_box` gives the first two
    out: Array, start: int, initializer: Initializer, shape: tuple[int, ...], layout: Layout | None, rank: int
) -> None:
    initializer = getattr(initializer, "unscaled", initializer)
    if isinstance(initializer, RepeatOf):
        ((part, share),) = initializer.parts(shape, layout)
        inner = math.prod(share.shape[initializer.axis % len(share.shape) + 1 :])
        at = np.arange(start, start + out.size)
        row, column = at // inner, at % inner
        sources = row // initializer.times * inner + column
        first = int(sources.min())
        codes = np.empty(int(sources.max()) + 1 - first, np.int64)
        _write(codes, first, part, share.shape, share.layout, rank)
        out[...] = codes[sources - first]
    elif isinstance(initializer, Combined):
        for part, share in initializer.parts(shape, layout):
            write = partial(_write, initializer=part, shape=share.shape, layout=share.layout, rank=rank)
            draw_box(out, start, shape, share.box, write)
            rank += sum(1 for _ in components_of(part, share.shape, share.layout))
    else:
        out[...] = (rank << _SHIFT) + np.arange(start, start + out.size)


def _repeated_rows(parameter: PlannedParameter) -> int:
    """After how many elements all repetitions of those before have come; 0 where nothing is repeated."""
    made = getattr(parameter.initializer, "unscaled", parameter.initializer)
    if not isinstance(made, RepeatOf) or not parameter.numel:
        return 0
    return made.times * math.prod(parameter.shape[made.axis % len(parameter.shape) + 1 :])


def _split(elements: Array, codes: Array, count: int) -> tuple[list[tuple[Array, Array, Array]], int]:
    """The elements, numbers and places of each component, each once; and how many repetitions differ."""
    ranks = codes >> _SHIFT
    parts, unequal = [], 0
    for rank in range(count):
        places = np.flatnonzero(ranks == rank)
        numbers = codes[places] & ((1 << _SHIFT) - 1)
        if numbers.size and not (np.diff(numbers) == 1).all():
            unique, firsts = np.unique(numbers, return_index=True)
            if unique.size < numbers.size:
                same = elements[places[firsts]][np.searchsorted(unique, numbers)]
                unequal += int(np.count_nonzero(same != elements[places]))
                places, numbers = places[firsts], unique
        parts.append((elements[places], numbers, places))
    return parts, unequal
