"""How each library does a task: a function that does it once, or None where it has nothing for it.

A library is imported when it is first asked, so a missing one raises `ImportError` there and is skipped.
Each is called as its own documentation has it, seeded, and compiled where its users compile.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from tasks import SCALING, Array, Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks import Task

    from initcfg.plan import Plan

__all__ = ["PEERS", "our_jobs", "use_threads"]

# Large enough for the cost of a task to vanish, small enough for two threads to end together.
_PART = 1 << 20


def use_threads(threads: int) -> None:
    """Lets every library that has such a setting use so many threads; before any of them is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _touched(task: Array) -> np.ndarray[Any, Any]:
    from initcfg.dtypes import as_dtype

    out = np.empty(task.shape, as_dtype(task.dtype).numpy)
    out.view(np.uint8).fill(1)
    return out


def _in_parts(
    fill: Callable[[np.ndarray[Any, Any], int], object], out: np.ndarray[Any, Any], threads: int
) -> Callable[[], object]:
    """Fills a flat array part by part, on threads that stay."""
    parts = [(out[start : start + _PART], start) for start in range(0, out.size, _PART)]
    if threads == 1:
        return lambda: [fill(*part) for part in parts]
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: fill(*part), parts))


def our_jobs(task: Task, threads: int) -> dict[str, Callable[[], object]]:
    """This project's ways to do a task, by engine and number of threads."""
    if isinstance(task, Model):
        return {"initcfg": partial(_our_model, task, threads)}
    engines = ("native", "numpy")
    if task.law == "orthogonal":
        return {f"initcfg {engine}": _our_initializer(task, threads, engine) for engine in engines}
    if not task.touched:
        into = {"initcfg, into touched memory": _into_touched(task, threads)}
        return {"initcfg": _our_initializer(task, threads), **into}
    return {
        f"initcfg {engine}, {count} thread{'s' * (count > 1)}": _our_fill(task, engine, count)
        for engine in engines
        for count in sorted({threads, 1}, reverse=True)
    }


def _our_model(task: Model, threads: int) -> object:
    import initcfg

    return initcfg.materialize(initcfg.make_plan(task.config), threads=threads)


def _our_initializer(task: Array, threads: int, engine: str | None = None) -> Callable[[], object]:
    import initcfg

    return partial(initcfg.materialize, _plan(task), threads=threads, engine=engine)


def _into_touched(task: Array, threads: int) -> Callable[[], object]:
    """As weights of a live model are overwritten."""
    from initcfg.generate.memory import Target, fill_targets

    return partial(fill_targets, [Target(_plan(task)["w"], _touched(task))], threads=threads)


def _plan(task: Array) -> Plan:
    """Of one parameter, which is what a spec gives."""
    import initcfg

    parameter = {"shape": list(task.shape), "initializer": task.law, "dtype": task.dtype}
    return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": {"w": parameter}})


def _our_fill(task: Array, engine: str, threads: int) -> Callable[[], object]:
    from initcfg.distributions import Distribution, Normal, TruncatedNormal, Uniform
    from initcfg.engines import get_engine
    from initcfg.stream import Stream

    bound = task.cut * task.std
    laws: dict[str, Distribution] = {
        "uniform": Uniform(-task.std, task.std),
        "normal": Normal(0.0, task.std),
        "truncated": TruncatedNormal(0.0, task.std, -bound, bound),
    }
    law, stream, fill = laws[task.law], Stream.of_parameter(0, "w"), get_engine(engine)
    return _in_parts(lambda part, start: fill(part, law, stream, start), _touched(task), threads)


def _constant(task: Task, threads: int) -> Callable[[], object] | None:
    if isinstance(task, Model):
        from initcfg.generate.memory import empty

        def constant() -> object:
            out = empty((task.numel,), np.dtype(np.float32))
            _in_parts(lambda part, _: part.fill(1), out, threads)()
            return out

        return constant
    if not task.touched:
        return None
    out = _touched(task)
    # numpy fills types that are not its own, such as bfloat16, an element at a time.
    return _in_parts(lambda part, _: part.fill(1), out.view(f"u{out.itemsize}"), threads)


def _generator(task: Task, threads: int) -> Callable[[], object] | None:
    if not isinstance(task, Array) or task.dtype != "float32" or not task.touched:
        return None
    generator, out = np.random.default_rng(0), _touched(task)

    def normal() -> None:
        generator.standard_normal(out=out, dtype=np.float32)
        np.multiply(out, np.float32(task.std), out=out)

    def uniform() -> None:
        generator.random(out=out, dtype=np.float32)
        np.multiply(out, np.float32(2 * task.std), out=out)
        np.subtract(out, np.float32(task.std), out=out)

    return {"normal": normal, "uniform": uniform}.get(task.law)


def _torch(task: Task, threads: int) -> Callable[[], object] | None:
    import torch

    torch.set_num_threads(threads)
    if isinstance(task, Model):
        return None
    out = torch.ones(task.shape, dtype=getattr(torch, task.dtype))
    init, std = torch.nn.init, task.std
    jobs: dict[str, Callable[[], object]] = {
        "uniform": lambda: init.uniform_(out, -std, std),
        "normal": lambda: init.normal_(out, 0.0, std),
        "truncated": lambda: init.trunc_normal_(out, 0.0, std, -task.cut * std, task.cut * std),
        "orthogonal": lambda: init.orthogonal_(torch.empty(task.shape)),
    }
    return jobs.get(task.law)


def _transformers(task: Task, threads: int) -> Callable[[], object] | None:
    if not isinstance(task, Model):
        return None
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(threads)
    return lambda: GPT2LMHeadModel(GPT2Config())


def _jax(task: Task, threads: int) -> Callable[[], object] | None:
    import jax

    if isinstance(task, Model):
        return None
    made, std = jax.nn.initializers, task.std
    cuts = {"lower": -task.cut, "upper": task.cut}
    builders = {
        "uniform": lambda: made.uniform(2 * std),
        "normal": lambda: made.normal(std),
        "truncated": lambda: made.truncated_normal(std, **cuts),
        "orthogonal": made.orthogonal,
        "random_uniform": lambda: made.uniform(2 * std),
        "random_normal": lambda: made.normal(std),
        "truncated_normal": lambda: made.truncated_normal(std),
    }
    builder = builders.get(task.law) or (getattr(made, task.law) if task.law in SCALING else None)
    if builder is None:
        return None
    initializer, key = builder(), jax.random.key(0)
    compiled = jax.jit(lambda key: initializer(key, task.shape, getattr(jax.numpy, task.dtype)))
    return lambda: compiled(key).block_until_ready()


def _keras(task: Task, threads: int) -> Callable[[], object] | None:
    import keras

    if isinstance(task, Model) or (task.law == "truncated" and task.cut != 2):
        return None
    made, std = keras.initializers, task.std
    builders = {
        "uniform": lambda: made.RandomUniform(-std, std, seed=0),
        "normal": lambda: made.RandomNormal(0.0, std, seed=0),
        "truncated": lambda: made.TruncatedNormal(0.0, std, seed=0),
        "orthogonal": lambda: made.Orthogonal(seed=0),
    }
    builder = builders.get(task.law) or partial(made.get, task.law)
    initializer = builder()
    return lambda: _finished(initializer(task.shape, dtype=task.dtype))


def _finished(tensor: Any) -> Any:
    """The tensor, once a backend that works behind the caller's back has made it."""
    return tensor.block_until_ready() if hasattr(tensor, "block_until_ready") else tensor


PEERS: dict[str, Callable[[Task, int], Callable[[], object] | None]] = {
    "ndarray.fill": _constant,
    "numpy Generator": _generator,
    "torch.nn.init": _torch,
    "transformers": _transformers,
    "jax.nn.initializers": _jax,
    "Keras": _keras,
}
