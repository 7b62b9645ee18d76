"""What an exit code means."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from initcfg.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Diagnostic


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    FINE = 0
    PROBLEMS = 1  # the input was read and has problems
    USAGE = 2  # a wrong command line, a file that cannot be read or written, an internal error
    INTERRUPTED = 130  # 128 + SIGINT, as shells report Ctrl-C
    CLOSED_PIPE = 141  # 128 + SIGPIPE: the reader of stdout went away


# These say that a file could not be read, written or held, or a plugin not loaded, whatever the spec says.
IO_CODES = frozenset({Code.INPUT, Code.OUTPUT, Code.OTHER_PLAN, Code.FORMAT, Code.PLUGIN})


def exit_for(diagnostics: Iterable[Diagnostic]) -> Exit:
    """The exit code for what was found: I/O outweighs problems, and warnings are fine."""
    errors = {diagnostic.code for diagnostic in diagnostics if diagnostic.severity == "error"}
    if errors & IO_CODES:
        return Exit.USAGE
    return Exit.PROBLEMS if errors else Exit.FINE
