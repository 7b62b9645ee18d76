"""Capture over many models, and what came of it: one row of plain data for each, and a table of all.

    python -m tests.interop.capture_sweep transformers ROWS.jsonl [CLASS ...]
    python -m tests.interop.capture_sweep written|torch|keras ROWS.jsonl
    python -m tests.interop.capture_sweep audit ROWS.jsonl [CLASS ...]
    python -m tests.interop.capture_sweep table|findings ROWS.jsonl ...

`transformers` compares classes with shrunk configs with what the library draws, `written` captures default
configs as users do, `audit` holds what the audit says of shrunk ones against a canary, and `findings` sums
that up. Each model has a process of its own, with a limit of time; one that has a row is not run again, so
that a run may be broken off. The environment variable MOST limits how many are run.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import json
import math
import multiprocessing
import os
import resource
import signal
import statistics
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
    from initcfg.capture.values import Recorded, Recording
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.verification.listing import LawRow

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


def transformers_row(name: str, most: float = _MOST) -> Row:
    """The capture of a class with a shrunk config, and drawn models beside it if they are small."""
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
            row |= {"error": _said(error), "builds": _builds(build)}
            continue
        for key in ("error", "builds"):
            row.pop(key, None)
        if row["small"]["elements"] <= most:
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


def audit_row(name: str) -> Row:
    """What the audit finds in a class, and which names hold garbage: by its recordings, and by the canary."""
    import transformers

    from initcfg.adapters.torch import capturing
    from initcfg.adapters.torch.recorded import watch
    from initcfg.capture.audit import audit_recordings
    from tests.interop.transformers_models import classes, configs

    kind, model = classes()[name], getattr(transformers, name)
    row: Row = {"name": name, "kind": kind}
    for config in configs(kind):
        build = functools.partial(_built, model, config)
        begin = time.process_time()
        try:
            module, constructed, deferred = watch(build)
        except Exception as error:
            row |= {"error": _said(error), "builds": _builds(build)}
            continue
        idle = capturing._idle_settings(module, None, constructed)
        found = audit_recordings(constructed, deferred, idle).diagnostics
        return {
            "name": name,
            "kind": kind,
            "seconds": round(time.process_time() - begin, 2),
            "found": [[str(each.code), each.severity, str(each.where), each.message] for each in found],
            "said": {"constructed": _garbage(constructed), "deferred": _garbage(deferred)},
            **_canaries(module, build, config),
        }
    return row


def _garbage(recording: Recording | None) -> list[str]:
    return sorted(each.name for each in recording.tensors if each.unwritten) if recording else []


def _canaries(module: Any, build: Callable[[], Any], config: Any) -> Row:
    """What holds garbage in models that are really made, if they are small."""
    from tests.interop import canary

    if sum(each.numel() for each in module.parameters()) > _MOST:
        return {"canary": {}}
    ways: dict[str, Callable[[], set[str]]] = {
        "constructed": lambda: canary.garbage_constructed(build),
        "deferred": lambda: canary.garbage_deferred(build, lambda model: model.init_weights()),
        "loaded": lambda: canary.garbage_loaded(type(module), copy.deepcopy(config)),
    }
    seen: dict[str, list[str]] = {}
    errors: dict[str, str] = {}
    for way, look in ways.items():
        try:
            seen[way] = sorted(look())
        except Exception as error:
            errors[way] = _said(error)
    return {"canary": seen, "canary_errors": errors}


def findings(found: Sequence[Row]) -> str:
    """What audits of many classes found, by code and line, and how the canary agrees."""
    rows = [row for row in found if "found" in row]
    lines = [
        f"{len(found)} classes, {sum(row.get('builds') is False for row in found)} do not build, "
        f"{sum(bool(row.get('builds', 'error' in row)) for row in found)} end with an error, "
        f"{len(rows)} are audited"
    ]
    for way, said in (("constructed", "constructed"), ("deferred", "deferred"), ("loaded", "deferred")):
        both = [
            (row, set(row["said"][said]), set(row["canary"].get(way, ())))
            for row in rows
            if way in row["canary"] and said in row["said"]
        ]
        other = [f"{row['name']} {sorted(mine ^ seen)[:4]}" for row, mine, seen in both if mine != seen]
        dirty = sum(bool(seen) for _, _, seen in both)
        lines += [f"{way}: {len(both)} compared, {dirty} with garbage, {len(other)} differ", *other]
    places: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        for code, _, where, message in row["found"]:
            key = code, ":".join(Path(where).name.split(":")[:2])
            places.setdefault(key, {}).setdefault(row["name"], message)
    for (code, place), held in sorted(places.items()):
        lines.append(f"{code} {place}: {len(held)}, such as {next(iter(held))}: {next(iter(held.values()))}")
    return "\n".join(lines)


def _third(name: str) -> bool:
    return sum(name.encode()) % 3 == 0


def _builds(build: Callable[[], Any]) -> bool:
    """Whether a model builds where nobody records it."""
    import torch

    try:
        with torch.device("meta"):
            build()
    except Exception:
        return False
    return True


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


# torch.nn

# Arguments with which the most classes can be made, and those of the others.
_ARGUMENTS: tuple[tuple[Any, ...], ...] = ((), (8,), (8, 6), (4, 6, 3), (2, 8), (8, 2), (8, 2, 16))
_OWN_ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "AdaptiveLogSoftmaxWithLoss": lambda nn: nn.AdaptiveLogSoftmaxWithLoss(16, 100, [10, 50]),
    "Transformer": lambda nn: nn.Transformer(8, 2, 2, 2, 16),
    "TransformerDecoder": lambda nn: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2),
    "TransformerEncoder": lambda nn: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2),
    "InstanceNorm1d": lambda nn: nn.InstanceNorm1d(8, affine=True),
    "InstanceNorm2d": lambda nn: nn.InstanceNorm2d(8, affine=True),
    "InstanceNorm3d": lambda nn: nn.InstanceNorm3d(8, affine=True),
}


def torch_modules() -> dict[str, Callable[[], Any]]:
    """A way to make each class of torch.nn that has parameters or buffers, but for lazy ones."""
    from torch import nn

    found: dict[str, Callable[[], Any]] = {}
    for name, kind in sorted(vars(nn).items()):
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or name.startswith(
            ("Lazy", "RNNBase")
        ):
            continue
        ways = [functools.partial(kind, *each) for each in _ARGUMENTS]
        if name in _OWN_ARGUMENTS:
            ways = [functools.partial(_OWN_ARGUMENTS[name], nn)]
        made = next((way for way in ways if _has_tensors(way)), None)
        if made is not None:
            found[name] = made
    return found


def _has_tensors(build: Callable[[], Any]) -> bool:
    try:
        return bool(build().state_dict())
    except Exception:
        return False


def torch_row(name: str) -> Row:
    """The capture of a class of torch.nn, with three drawn modules beside it."""
    from initcfg.adapters.torch import capture

    build = torch_modules()[name]
    captured = capture(build)
    return {"name": name, "small": captured_row(captured), "compared": compared_row(captured, build, 3)}


# Keras


# As small as all applications take.
_IMAGE = (96, 96, 3)


def keras_applications() -> dict[str, Callable[..., Any]]:
    """The functions of keras.applications that make a model."""
    import keras

    own = keras.applications
    modules = [own, *(each for each in vars(own).values() if inspect.ismodule(each))]
    found = {name: make for each in modules for name, make in vars(each).items() if name[0].isupper()}
    return dict(sorted((name, make) for name, make in found.items() if callable(make)))


def keras_row(name: str) -> Row:
    """The spec of an application, strictly planned, with the values that Keras has drawn beside its laws."""
    from initcfg.adapters.keras import capture
    from initcfg.adapters.keras.weights import weights_of

    model = keras_applications()[name](weights=None, input_shape=_IMAGE)
    read = capture(model).spec
    weights = {name: np.asarray(each) for name, each in weights_of(model).items()}
    row: Row = {
        "name": name,
        "small": {
            "parameters": len(weights),
            "elements": sum(each.size for each in weights.values()),
            "warnings": sorted({str(each.code) for each in initcfg.find_warnings(read)}),
            "unsaid": {},
            "other": [name for name in weights if name not in initcfg.make_plan(read)],
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.npz")
        np.savez(path, **weights)  # type: ignore[arg-type]
        found = initcfg.verify(path, read, law=True)
    wrong = [str(each.message) for each in found.diagnostics if each.severity == "error"]
    return row | {"compared": {"models": 1, "wrong": {each[:60]: each for each in wrong}}}


# Each class in a process of its own.


def _child(make: Callable[[str], Row], name: str, pipe: Any, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
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


def rows(make: Callable[[str], Row], names: Sequence[str], seconds: int) -> Iterator[Row]:
    """A row for each name; for one that takes more seconds of a core, one that says so."""
    fork = multiprocessing.get_context("fork")
    for name in names:
        here, there = fork.Pipe(duplex=False)
        process = fork.Process(target=_child, args=(make, name, there, seconds))
        process.start()
        there.close()
        try:
            row: Row = here.recv() if here.poll(5 * seconds) else {"name": name, "error": "took too long"}
        except EOFError:
            row = {"name": name, "error": "its process ended"}
        if process.is_alive() and process.pid:
            process.join(0.5)
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
        process.join()
        yield row


def run(make: Callable[[str], Row], path: Path, names: Sequence[str], seconds: int = _SECONDS) -> None:
    """Append rows to a file, but for names that have one."""
    done = {row["name"] for row in _read(path)} if path.exists() else set()
    left = [name for name in names if name not in done]
    for row in rows(make, left[: int(os.environ.get("MOST", "10000"))], seconds):
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(paths: Sequence[Path]) -> str:
    """What came of runs, a column each, as Markdown."""
    columns = [(path.stem, _counts(_read(path))) for path in paths]
    lines = [["", *(name for name, _ in columns)], ["---", *("---:" for _ in columns)]]
    lines += [[key, *(counts.get(key, "") for _, counts in columns)] for key in columns[0][1]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _counts(found: Sequence[Row]) -> dict[str, str]:
    held = [row.get("small") or row.get("written") for row in found]
    specs = [each for each in held if each]
    compared = [row["compared"] for row in found if "compared" in row]
    unsaid = Counter(reason for each in specs for reason in each["unsaid"].values())
    parameters, left = sum(each["parameters"] for each in specs), unsaid.total()
    seconds = [each["seconds"] for each in specs if "seconds" in each]
    lines = [each["lines"] for each in specs if "lines" in each]
    return {
        "classes": f"{len(found):,}",
        "built": f"{len(specs):,}",
        "not built by the library itself": f"{sum(row.get('builds') is False for row in found):,}",
        "parameters and saved buffers": f"{parameters:,}",
        "exact": f"{parameters - left:,} ({100 * (1 - left / max(parameters, 1)):.3f} %)",
        "not sayable": "; ".join(f"{count}: {reason}" for reason, count in unsaid.most_common()) or "0",
        "valid under `--strict`": f"{sum(not each['warnings'] for each in specs):,}",
        "laws of the plan that are others": f"{sum(len(each['other']) for each in specs):,}",
        "classes compared with drawn models": f"{len(compared):,}",
        "drawn models": f"{sum(each['models'] for each in compared):,}",
        "laws compared": f"{sum(each.get('components', 0) for each in compared):,}",
        "wrong": f"{sum(len(each['wrong']) for each in compared):,}",
        "median lines of the spec": f"{statistics.median(lines):.0f}" if lines else "",
        "median seconds of one core": f"{statistics.median(seconds):.2f}" if seconds else "",
    }


def main(what: str, *arguments: str) -> None:
    """As the module's docstring says."""
    if what == "table":
        print(table([Path(each) for each in arguments]))
        return
    if what == "findings":
        print(findings([row for each in arguments for row in _read(Path(each))]))
        return
    if what == "keras":
        os.environ.setdefault("KERAS_BACKEND", "jax")
        run(keras_row, Path(arguments[0]), arguments[1:] or list(keras_applications()), 5 * _SECONDS)
        return
    import torch
    from transformers import BertModel, LlamaForCausalLM, ViTModel  # noqa: F401  what all import, once

    torch.set_num_threads(1)
    if what == "torch":
        run(torch_row, Path(arguments[0]), arguments[1:] or list(torch_modules()))
    else:
        make = {"transformers": transformers_row, "written": written_row, "audit": audit_row}[what]
        run(make, Path(arguments[0]), arguments[1:] or _names())


if __name__ == "__main__":
    main(*sys.argv[1:])
