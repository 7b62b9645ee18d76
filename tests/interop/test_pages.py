"""What the how-to pages show of other programs runs with the real ones, and prints what the pages say."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


def docs_tests() -> ModuleType:
    """``tests/meta/test_docs.py``, which knows how blocks are written and run."""
    spec = importlib.util.spec_from_file_location("docs_tests", ROOT / "tests/meta/test_docs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_tests"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "needed"),
    [
        ("tutorial/48-layers", "it needs torch"),
        ("tutorial/check-a-checkpoint", "it needs torch"),
        ("tutorial/compare-three", "it needs keras"),
        ("howto/draft", "it needs torch"),
        ("howto/hydra", "it needs hydra-core"),
        ("howto/keras", "it needs keras"),
        ("howto/in-training-code", "it needs lightning"),
        ("howto/in-training-code", "it needs torch"),
        ("howto/in-training-code", "it needs transformers"),
        ("howto/jax", "it needs flax"),
        ("howto/jax", "it needs jax"),
        ("howto/lightning", "it needs jsonargparse"),
        ("howto/lightning", "it needs lightning"),
        ("howto/shards", "it needs transformers"),
        ("howto/probe", "it needs torch"),
        ("tutorial/any-world-size", "it needs torch"),
        ("howto/custom-initializers", "it installs a package"),
        ("howto/torch", "it needs torch"),
        ("howto/executors", "it needs dask"),
        ("howto/ray", "it needs ray"),
    ],
)
def test_the_commands_of_a_page_print_what_it_says(page: str, needed: str, tmp_path: Path) -> None:
    docs, commands = docs_tests(), 0
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for block in docs.blocks((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")):
        if block.directive == "file":
            docs.write_file(block, tmp_path)
        elif block.argument == needed:
            docs.run_console(block, tmp_path)
            commands += 1
    assert commands > 0
