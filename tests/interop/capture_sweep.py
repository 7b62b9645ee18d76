"""Capture over many models, and what came of it: one row of plain data for each, and a table of all.

    python -m tests.interop.capture_sweep run ROWS.jsonl transformers [NAME ...]
    python -m tests.interop.capture_sweep table ROWS.jsonl ...

Each class runs in a process of its own, with a limit of time. Classes that have a row are not run again.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import initcfg
from initcfg.capture.values import Table, Unsaid
from initcfg.initializers import Elementwise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.capture.captured import Captured
    from initcfg.capture.values import Recorded
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.verification.laws import LawRow

Row = dict[str, Any]
_SECONDS = 60
# Of larger models no values are drawn.
_MOST = 3e7
# What is made of a law and of the plan, to see whether they are one.
_MADE = 1 << 18
# The means and deviations of true values are so many deviations from the law's at most; by chance
# one in two million is not, and is drawn again.
_FAR = 5.0


def captured_row(captured: Captured) -> Row:
    """What a capture says, and whether its spec, written and read again, is valid and of its laws."""
    text = captured.text
    held = [each for each in captured.recorded if each.persistent]
    row: Row = {
        "lines": len(text.splitlines()),
        "parameters": len(held),
        "elements": sum(math.prod(each.shape) for each in held if each.tied_to is None),
        "unsaid": {name: law.reason for name, law in captured.unsaid.items()},
        "tables": sorted(captured.tables),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.yaml")
        captured.save(path)
        row["warnings"] = sorted({str(each.code) for each in initcfg.find_warnings(path, root=folder)})
        plan = initcfg.make_plan(path, root=folder)
        row["other"] = [each.name for each in held if not _is_planned(each, plan)]
    return row


def _is_planned(recorded: Recorded, plan: Plan) -> bool:  # noqa: PLR0911  a list of cases
    """Whether a plan has the law that was recorded."""
    law, name = recorded.law, recorded.name
    if isinstance(law, Unsaid):
        return name not in plan
    planned = plan[name]
    if planned.shape != recorded.shape or str(planned.dtype) != recorded.dtype:
        return False
    if recorded.tied_to is not None:
        return planned.tied_to is not None
    if isinstance(law, Elementwise):
        return planned.distribution is not None and _close(
            law.resolve(planned.shape, None), planned.distribution
        )
    if planned.numel > _MADE:
        return True
    made = _made(planned)
    if isinstance(law, Table):
        return bool(np.array_equal(np.asarray(law.values, made.dtype), made, equal_nan=True))
    try:
        again = _made(dataclasses.replace(planned, initializer=law, distribution=None))
    except Exception:
        return repr(law) == repr(planned.initializer)
    return bool(np.allclose(made.astype(float), again.astype(float), rtol=1e-5, atol=0, equal_nan=True))


def _made(planned: PlannedParameter) -> np.ndarray[Any, Any]:
    return np.asarray(initcfg.materialize(initcfg.Plan(None, 0, (planned,)))[planned.name])


def _close(one: Any, other: Any) -> bool:
    mine, others = dataclasses.astuple(one), dataclasses.astuple(other)
    return type(one) is type(other) and all(
        a == b or math.isclose(a, b, rel_tol=1e-12) for a, b in zip(mine, others, strict=True)
    )


def compared_row(captured: Captured, build: Callable[[], Any], models: int) -> Row:
    """How values that the library draws itself fit the laws: which are wrong, and by what."""
    import torch

    from initcfg.adapters.torch import verify

    plan = initcfg.make_plan(captured.spec)
    wrong: dict[str, str] = {}
    unchecked: dict[str, str] = {}
    suspects: Counter[str] = Counter()
    rows = 0
    for seed in range(models):
        torch.manual_seed(17 + seed)
        report = verify(build(), plan, law=True)
        wrong |= {
            str(each.message)[:60]: str(each.message)
            for each in report.diagnostics
            if each.severity == "error"
        }
        if report.law is not None:
            rows += len(report.law.rows)
            unchecked |= dict(report.law.unchecked)
            suspects.update(f"{each.name} {each.part or ''}" for each in report.law.rows if _is_far(each))
    if suspects:
        torch.manual_seed(99)
        again = verify(build(), plan, law=True).law
        assert again is not None
        for each in again.rows:
            key = f"{each.name} {each.part or ''}"
            if key in suspects and _is_far(each):
                wrong[key] = f"{each.law}: meant {each.meant}, found {each.found}"
    return {
        "models": models,
        "components": rows,
        "wrong": wrong,
        "unchecked": unchecked,
        "far": sorted(suspects),
    }


def _is_far(row: LawRow) -> bool:
    if row.meant is None or row.elements < 2:
        return False
    mean, std = row.meant[:2]
    if not std:
        return False
    root = math.sqrt(row.elements)
    off = abs(row.found[0] - mean) / std * root
    spread = abs(row.found[1] / std - 1) * math.sqrt(2) * root
    return off >= _FAR or (
        row.elements >= 32 and spread >= _FAR and row.law.startswith(("Normal", "Uniform"))
    )


# transformers


def transformers_row(name: str) -> Row:
    """The capture of a class with a shrunk config, and drawn models beside it."""
    import transformers

    from initcfg.adapters.torch.recorded import record
    from initcfg.capture.captured import Captured
    from tests.interop.transformers_models import classes, configs

    kind, model = classes()[name], getattr(transformers, name)
    row: Row = {"name": name, "kind": kind}
    for config in configs(kind):
        build = functools.partial(_built, model, config)
        try:
            captured = Captured(name, record(build))
            row["small"] = captured_row(captured)
        except Exception as error:
            row["error"] = _said(error)
            continue
        row.pop("error", None)
        if row["small"]["elements"] <= _MOST:
            try:
                row["compared"] = compared_row(captured, build, 3 if _third(name) else 1)
            except Exception as error:
                row["compare_error"] = _said(error)
                continue
        break
    return row


def written_row(name: str) -> Row:
    """The capture of a class's default config, as a user runs it: with what its numbers come from."""
    import transformers

    from initcfg.adapters.torch import capture
    from initcfg.adapters.torch.recorded import record_once
    from tests.interop.transformers_models import classes, config_of

    build = functools.partial(_built, getattr(transformers, name), config_of(classes()[name]))
    record_once(build, None)  # imports what the first model of a class imports
    begin = time.process_time()
    captured = capture(build)
    captured.text  # noqa: B018  takes time too
    seconds = round(time.process_time() - begin, 3)
    builds = len(captured._document._study.builds)
    return {"name": name, "written": {"seconds": seconds, "builds": builds} | captured_row(captured)}


def _third(name: str) -> bool:
    return sum(name.encode()) % 3 == 0


def _built(model: Any, config: Any) -> Any:
    return model(copy.deepcopy(config))


def _said(error: BaseException) -> str:
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__}: {str(error)[:300]} ({place})"


def _names() -> list[str]:
    """All classes, those first of which each is the first of its model type."""
    from tests.interop.transformers_models import classes

    seen: set[str] = set()
    first, rest = [], []
    for name, kind in classes().items():
        (rest if kind in seen else first).append(name)
        seen.add(kind)
    step = 7
    return [
        *(name for at in range(step) for name in first[at::step]),
        *(name for at in range(step) for name in rest[at::step]),
    ]


# Each class in a process of its own.


def _child(make: Callable[[str], Row], name: str, pipe: Any) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 5))
    os.close(2)
    os.open(os.devnull, os.O_WRONLY)
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    try:
        row = make(name)
    except BaseException as error:
        row = {"name": name, "error": _said(error)}
    pipe.send(row | {"total": round(time.perf_counter() - begin, 2)})
    os._exit(0)


def rows(make: Callable[[str], Row], names: Sequence[str], seconds: float = 5 * _SECONDS) -> Iterator[Row]:
    """A row for each name; for one that takes too long, a row that says so."""
    fork = multiprocessing.get_context("fork")
    for name in names:
        here, there = fork.Pipe(duplex=False)
        process = fork.Process(target=_child, args=(make, name, there))
        process.start()
        there.close()
        try:
            row: Row = here.recv() if here.poll(seconds) else {"name": name, "error": "took too long"}
        except EOFError:
            row = {"name": name, "error": "its process ended"}
        if process.is_alive() and process.pid:
            process.join(0.5)
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
        process.join()
        yield row


def run(make: Callable[[str], Row], path: Path, names: Sequence[str], most: int | None = None) -> None:
    """Append rows to a file, but for names that have one."""
    import torch
    import transformers  # noqa: F401

    torch.set_num_threads(1)
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    left = [name for name in names or _names() if name not in done]
    for row in rows(make, left[:most]):
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    _, what, rows_path, *named = sys.argv
    made = {"small": transformers_row, "written": written_row}[what]
    run(made, Path(rows_path), named, int(os.environ.get("MOST", "10000")))
