"""The `initcfg` command, which is also ``python -m initcfg``."""

from __future__ import annotations

import sys

from initcfg.process import load


def main() -> None:
    """Run the command line; an interrupt while its modules load ends as one in a command does."""
    try:
        load("initcfg.cli").main()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
