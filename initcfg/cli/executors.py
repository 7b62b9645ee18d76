"""The workers that a command line asks for."""

from __future__ import annotations

import contextlib
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING

import click

from initcfg.cli.words import counted
from initcfg.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from initcfg.cli.output import Output


@contextlib.contextmanager
def ray_executor(output: Output, address: str | None) -> Iterator[Executor | None]:
    """Ray while the block runs; None where nobody has asked for it.

    Args:
        output: is told how long the start took, which is no part of the work.
        address: of ``--ray``; the empty text starts Ray here.

    Raises:
        click.UsageError: Ray is not installed, or nobody answers at the address.
    """
    if address is None:
        yield None
        return
    try:
        from initcfg.adapters.ray import RayExecutor

        executor = RayExecutor(address or None)
    except (ImportError, ConnectionError, BrokenExecutor) as error:
        raise click.UsageError(printable(f"--ray: {error}")) from None
    with executor:
        cpus = counted(executor.cpus, "CPU")
        output.note(f"Ray stands ready with {cpus}, after {executor.startup_seconds:.1f} s")
        yield executor
