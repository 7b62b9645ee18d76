"""A command line that waits for its start; a script for a test.

``python racing.py ARGUMENTS...``: loads all that the command needs, prints a line, waits for one, runs it.
"""

from __future__ import annotations

import sys

from initcfg.cli import main

if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    main(sys.argv[1:], prog_name="initcfg")
