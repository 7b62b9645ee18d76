"""A model in many files: cut, written by one process or many, published when all is there."""

from __future__ import annotations

from initcfg.sharding.publishing import Published, finalize
from initcfg.sharding.ranks import Rank
from initcfg.sharding.saving import Saved, save_set
from initcfg.sharding.schedule import assigned, even_shard_size, imbalance, loads
from initcfg.sharding.shards import Shard, ShardSet, shard_set
from initcfg.sharding.sizes import DEFAULT_SHARD_SIZE, shard_bytes, size_text
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
