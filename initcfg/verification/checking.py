"""The comparison: every tensor of a file or a set is made again, piece by piece, and held against it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from initcfg.engines import get_engine
from initcfg.errors import Code, Diagnostic, InitcfgError, Location
from initcfg.formats.metadata import PLAN_KEY
from initcfg.formats.reading import open_weights
from initcfg.generate.pool import Task, Workers
from initcfg.generate.work import batches, fill_elements, is_for_caller, is_made_whole, make_whole
from initcfg.verification.carrying import alone, carried_plan
from initcfg.verification.comparing import mismatch, tolerance_of
from initcfg.verification.matching import match

if TYPE_CHECKING:
    from os import PathLike

    from initcfg.engines import FillFunction
    from initcfg.formats.header import StoredTensor
    from initcfg.formats.reading import WeightsFile
    from initcfg.formats.renaming import RenamesLike
    from initcfg.generate.pool import Progress
    from initcfg.generate.work import Piece
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.verification.comparing import Mismatch


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
    """

    path: Path
    tensors: int
    elements: int
    nbytes: int
    fingerprint: str | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def is_equal(self) -> bool:
        """Whether the weights are what the plan makes, all of it and nothing else."""
        return not self._errors

    def require_equal(self) -> None:
        """Nothing, where the weights are what the plan makes.

        Raises:
            InitcfgError: with all that differs.
        """
        if self._errors:
            raise InitcfgError(*self._errors)

    @property
    def _errors(self) -> list[Diagnostic]:
        return [problem for problem in self.diagnostics if problem.severity == "error"]


def verify(
    path: str | PathLike[str],
    plan: Plan | None = None,
    *,
    select: str | None = None,
    rename: RenamesLike = (),
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Makes the values of a plan again and compares weights with them, bit for bit.

    Nothing is held but a few chunks, and the largest parameter that cannot be cut if there is one. Orthogonal
    matrices, whose last bits depend on the machine, may differ by 1e-5 of their gain.

    Args:
        path: a ``.safetensors`` or ``.npz`` file, of any program; or a sharded set, by its folder or its
            ``.safetensors.index.json``.
        plan: what it should hold; None takes the spec that the weights carry.
        select: a glob over names; None compares all, and what is missing then is an error, whatever the
            weights say of themselves.
        rename: what takes the place of leading segments of names in the weights, as ``{"model": ""}`` or
            ``{"h.{i}.q": "layer.{i}.query"}``; texts ``"OLD=NEW"`` will do.
        threads: how many; None means one a CPU.
        engine: the name of an engine; None chooses one.
        progress: called with the bytes compared and the bytes in all.

    Returns:
        What differs, which may be nothing.

    Raises:
        FormatError: a file cannot be read or is malformed, or an index and its shards do not say the same.
        SpecError: the plan holds code that is not registered, `select` or `rename` is malformed, a rename
            fits no name, or two names become one.
        UnknownParameterError: `select` matches nothing.
        InitializerError: custom code returned something else than it was asked for.

    Example:
        >>> import initcfg, tempfile
        >>> plan = initcfg.make_plan(
        ...     {"initcfg": 1, "params": {"w": {"shape": [64, 8], "initializer": "random_normal"}}}
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = initcfg.save(plan, f"{folder}/w.safetensors").path
        ...     found = verify(file, plan)
        >>> found.is_equal, found.elements
        (True, 512)
    """
    with open_weights(path, rename) as file:
        found = verify_weights(file, plan, select=select, threads=threads, engine=engine, progress=progress)
        return dataclasses.replace(found, path=Path(path))


def verify_weights(
    file: WeightsFile,
    plan: Plan | None,
    *,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Verification:
    """As `verify`, for weights that are open for reading."""
    with Workers(threads) as workers:
        own = plan is None
        if plan is None:
            plan = carried_plan(file)
        matched = match(file, plan, select)
        fill = get_engine(engine)
        comparison = _Comparison(file, matched.pairs, fill)
        comparison.run(workers, progress)
        where = Location(os.fspath(file.path))
        problems = (*alone(matched.problems, own=own), *comparison.problems())
        return Verification(
            file.path,
            len(matched.pairs),
            sum(tensor.numel for tensor, _ in matched.pairs),
            sum(tensor.nbytes for tensor, _ in matched.pairs),
            file.header.metadata.get(PLAN_KEY),
            tuple(problem if problem.where else problem.at(where) for problem in problems),
        )


class _Comparison:
    """Compares tensors with parameters; what differs is kept by the tensor's name."""

    def __init__(
        self,
        file: WeightsFile,
        pairs: tuple[tuple[StoredTensor, PlannedParameter], ...],
        fill: FillFunction,
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
        total = sum(parameter.nbytes for parameter in self.parameters)
        done = 0
        for batch, mismatches in workers.in_order(tasks):
            for piece, found in zip(batch, mismatches, strict=True):
                self._note(piece, found)
                done += piece.nbytes
            if progress is not None:
                progress(done, total)

    def problems(self) -> list[Diagnostic]:
        return [
            _differs(each, self.found[each.name], self.tensors[each.name].shard, self._place(each))
            for each in self.parameters
            if each.name in self.found
        ]

    def _place(self, parameter: PlannedParameter) -> Location:
        return self.file.place_of(self.tensors[parameter.name])

    def _compare(self, batch: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], list[Mismatch | None]]:
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
        if found is None:
            return
        name = piece.parameter.name
        first = self.found.get(name) or dataclasses.replace(found, at=piece.start + found.at, count=0)
        self.found[name] = dataclasses.replace(first, count=first.count + found.count)


def _differs(parameter: PlannedParameter, found: Mismatch, shard: str | None, where: Location) -> Diagnostic:
    index = ", ".join(str(int(at)) for at in np.unravel_index(found.at, parameter.shape))
    message = (
        f"{parameter.name!r}[{index}] is {found.found} in the file, the plan makes {found.expected}; "
        f"{found.count:,} of {parameter.numel:,} elements differ"
    )
    # A run that goes on knows a finished shard by its header.
    again = "make the weights again" if shard is None else f"delete {shard!r} and make the weights again"
    hint = f"{again}, or find out what has changed the file"
    return Diagnostic(Code.VALUES, message, where, hint)
