"""A small plan of eight equal layers, its set of eight shards, and a folder for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initcfg
from initcfg.sharding import shard_set
from initcfg.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initcfg.plan import Plan
    from initcfg.sharding import ShardSet
    from initcfg.stores import Store

LAYERS = 8
LAYER_BYTES = 16 * 16 * 4


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """``plan(seed)``."""

    def make(seed: int = 1) -> Plan:
        layer = {"repeat": {"i": LAYERS}, "params": {"w": {"shape": [16, 16], "initializer": "he_normal"}}}
        return initcfg.make_plan({"initcfg": 1, "seed": seed, "layout": "in_out", "layers": {"h.{i}": layer}})

    return make


@pytest.fixture
def shards(plan: Callable[..., Plan]) -> Callable[..., ShardSet]:
    """``shards(seed, a_shard)``: a set with so many layers in each shard."""

    def make(seed: int = 1, a_shard: int = 1) -> ShardSet:
        return shard_set(plan(seed), LAYER_BYTES * a_shard)

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "out")


@pytest.fixture
def contents(tmp_path: Path) -> Callable[[], dict[str, bytes]]:
    """What the files of the folder hold."""

    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*") if path.is_file()}

    return contents
