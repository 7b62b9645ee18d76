"""A model in many files: cut, written by one process or many, published when all is there."""

from __future__ import annotations

from initcfg.sharding.saving import Published, Saved, finalize, save_set
from initcfg.sharding.shards import (
    DEFAULT_SHARD_SIZE,
    Rank,
    Shard,
    ShardSet,
    assigned,
    even_shard_size,
    imbalance,
    loads,
    shard_bytes,
    shard_set,
    size_text,
)
from initcfg.sharding.writing import Receipt

__all__ = [
    "DEFAULT_SHARD_SIZE",
    "Published",
    "Rank",
    "Receipt",
    "Saved",
    "Shard",
    "ShardSet",
    "assigned",
    "even_shard_size",
    "finalize",
    "imbalance",
    "loads",
    "save_set",
    "shard_bytes",
    "shard_set",
    "size_text",
]
