"""``python -m initcfg`` is the ``initcfg`` command."""

from __future__ import annotations

from initcfg.cli import main

if __name__ == "__main__":
    main()
