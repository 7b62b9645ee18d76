"""A progress bar on a terminal, nothing anywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.cli.output import Output
    from initcfg.generate import Progress

_SILENT_SECONDS = 1.0


@contextlib.contextmanager
def planning_told() -> Iterator[None]:
    """A line on a terminal, while planning takes longer than a second."""
    if not sys.stderr.isatty():
        yield
        return
    from initcfg.plan.scope import watching

    started, is_shown = time.monotonic(), False

    def tell(steps: int) -> None:
        nonlocal is_shown
        if time.monotonic() - started > _SILENT_SECONDS:
            is_shown = True
            sys.stderr.write(f"\rplanning: {steps:,} steps")
            sys.stderr.flush()

    try:
        with watching(tell):
            yield
    finally:
        if is_shown:
            sys.stderr.write("\r\x1b[K")


@contextlib.contextmanager
def progress_bar(output: Output, label: str) -> Iterator[Progress | None]:
    """A bar on stderr while the block runs; gives what to call with the bytes done and in all, or None.

    Args:
        output: decides about colour, and whether to show anything.
        label: what stands before the bar.
    """
    if output.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True, no_color=not output.colored(sys.stderr))
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
