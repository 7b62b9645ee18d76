"""Writes configs_v1.json: what the specs in configs/ plan and make.

    python tests/golden/make_configs.py            report what differs from the file
    python tests/golden/make_configs.py --write    write the file

A change of a spec in configs/ is a reason to write it anew. With the specs unchanged a difference is a fault
of the code: the bits of stream version 1 are frozen.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

import initcfg
from initcfg.initializers import is_cut

CONFIGS = Path(__file__).parents[2] / "configs"
FILE = Path(__file__).with_name("configs_v1.json")
#: Rows of a parameter that are made for the digest; all of them are too many for a model of 16 GB.
ROWS = 4
#: Of a larger row, as each expert of a stack is, only the ends are made.
LARGEST_ROW = 2**20


def facts(config: Path) -> dict[str, Any]:
    """What a spec plans, and a digest over the first and last rows of its parameters, in order of names.

    Not of those that are made whole, by BLAS, whose bits differ among machines.
    """
    plan = initcfg.make_plan(config)
    digest = hashlib.sha256()
    for parameter in sorted(plan, key=lambda each: each.name):
        if not is_cut(parameter.initializer):
            continue
        shape = parameter.shape
        axes = len(shape) if math.prod(shape[1:]) > LARGEST_ROW else min(len(shape), 1)
        for cut in (slice(None, ROWS), slice(-ROWS, None)):
            array = initcfg.materialize(parameter[(cut,) * axes])
            words = array.view(f"u{array.itemsize}").astype(f"<u{array.itemsize}")
            digest.update(np.ascontiguousarray(words).tobytes())
    return {
        "parameters": len(plan),
        "numel": plan.numel,
        "nbytes": plan.nbytes,
        "fingerprint": plan.fingerprint,
        "sha256": digest.hexdigest(),
    }


def main() -> int:
    """Write the file, or say which specs differ from it."""
    found = {config.name: facts(config) for config in sorted(CONFIGS.glob("*.yaml"))}
    if "--write" in sys.argv[1:]:
        content = {"command": "python tests/golden/make_configs.py --write", "configs": found}
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return 0
    known = json.loads(FILE.read_text(encoding="utf-8"))["configs"]
    changed = sorted(name for name in {*known, *found} if known.get(name) != found.get(name))
    sys.stdout.writelines(f"differs: {name}\n" for name in changed)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
