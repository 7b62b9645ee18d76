"""A plugin of pytest: the fixture ``initcfg``, for tests of how a model begins.

pytest loads this module in every run of an environment that has initcfg, so that it imports nothing heavy.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from initcfg.process import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from initcfg.plan import Plan


class Checks:
    """What the fixture ``initcfg`` gives to a test; each check fails the test with a report."""

    def assert_initialized(
        self, build: Callable[[], torch.nn.Module], init: Callable[[torch.nn.Module], object] | None = None
    ) -> None:
        """Runs the code that makes a torch module: nothing is left out, lost or undone.

        Args:
            build: makes the module, without arguments; a class will do.
            init: called with the module, where its users do so after they have made it.

        Raises:
            AssertionError: the report of what was found.
        """
        __tracebackhide__ = True
        load("initcfg.adapters.torch").assert_initialized(build, init)

    def assert_law(
        self,
        weights: torch.nn.Module | str | os.PathLike[str],
        spec: Plan | Mapping[str, Any] | str | os.PathLike[str],
        *,
        settings: Mapping[str, Any] = MappingProxyType({}),
        law: float = 1e-6,
    ) -> None:
        """The weights of a torch module, or in a file, follow the laws of a spec, whatever has drawn them.

        Args:
            weights: the module, on any device but meta; or the path of a file of weights.
            spec: a plan or a spec; a spec gets the names and shapes of a module.
            settings: values over those of the spec, as in `initcfg.make_plan`.
            law: how likely it is that true weights fail, in all tests of them together.

        Raises:
            AssertionError: the report of what does not follow its law.
            InitcfgError: the spec has problems, or names and shapes differ.
            TypeError: `weights` is something else.

        Example:
            >>> import tempfile, initcfg
            >>> spec = {"initcfg": 1, "params": {"w": {"shape": [64, 8], "initializer": "random_normal"}}}
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     _ = initcfg.save(spec, f"{folder}/w.safetensors")
            ...     Checks().assert_law(f"{folder}/w.safetensors", spec)
        """
        __tracebackhide__ = True
        api = load("initcfg.api")
        if isinstance(weights, str | os.PathLike):
            found = api.verify(weights, api.make_plan(spec, settings=settings), law=law)
        elif not hasattr(weights, "named_parameters"):
            raise TypeError(f"weights are a torch module or the path of a file, not {type(weights).__name__}")
        else:
            adapter = load("initcfg.adapters.torch")
            shapes = None if isinstance(spec, load("initcfg.plan").Plan) else adapter.manifest(weights)
            found = adapter.verify(weights, api.make_plan(spec, manifest=shapes, settings=settings), law=law)
        if not found.is_equal:
            raise AssertionError("\n".join(str(each) for each in found.diagnostics))
        if not found.law.rows:
            raise AssertionError("the spec gives no law to any of these weights: nothing was checked")


@pytest.fixture(scope="session", name="initcfg")
def checks() -> Checks:
    """Checks of how a model begins: ``assert_initialized`` and ``assert_law``."""
    return Checks()
