"""What is told about a folder of shards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from initcfg.cli.words import counted, size
from initcfg.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.cli.output import Output
    from initcfg.cli.ranks import Ranked
    from initcfg.sharding import Published, Saved

_UNEVEN = 0.1


def report_saved(output: Output, saved: Saved, ranked: Ranked | None, seconds: float) -> None:
    """Tell what a run has written, and what is left to do."""
    if output.format == "json":
        output.data(json.dumps(_facts(saved, ranked, seconds), indent=2))
        return
    place = printable(saved.place)
    kept = sum(receipt.process is None for receipt in saved.receipts)
    made = f"{counted(len(saved.receipts), 'shard')}, {size(saved.nbytes)} in {seconds:.2f} s"
    output.note(f"{place}: {made}" + (f"; {kept:,} of them were there already" if kept else ""))
    if saved.removed_first:
        output.note(
            "the other set was removed before this one was whole; a lone run with room for both, on a"
        )
        output.note("local disk, removes it afterwards")
    if saved.index is None:
        if ranked is not None and ranked.rank.number == 0:
            _tell_unevenness(output, saved.loads)
        output.note(f"when all ranks have ended: initcfg finalize {place}")


def _tell_unevenness(output: Output, loads: Sequence[int]) -> None:
    from initcfg.sharding import even_shard_size, imbalance, size_text

    idle = sum(load == 0 for load in loads)
    if idle:
        output.note(
            f"{counted(idle, 'rank')} of {len(loads):,} have nothing to write: there are fewer shards"
        )
    if idle or imbalance(loads) <= _UNEVEN:
        return
    better = size_text(even_shard_size(sum(loads), len(loads)))
    output.note(f"the fullest rank writes {imbalance(loads):.0%} more than the average; ranks that all have")
    output.note(f"--shard-size {better} differ by less than 10%, unless a tensor is larger than that")


def _facts(saved: Saved, ranked: Ranked | None, seconds: float) -> dict[str, Any]:
    return {
        "folder": saved.place,
        "index": saved.index,
        "fingerprint": saved.fingerprint,
        "seconds": round(seconds, 3),
        "bytes": saved.nbytes,
        "rank": None if ranked is None else ranked.rank.number,
        "world_size": 1 if ranked is None else ranked.rank.world_size,
        "loads": list(saved.loads),
        "shards": [
            {"file": each.name, "bytes": each.nbytes, "made": each.process is not None}
            for each in saved.receipts
        ],
        "left_out": dict(saved.tied),
    }


def report_published(output: Output, published: Published) -> None:
    """Tell that a folder is complete."""
    if output.format == "json":
        facts = {"index": published.path, "fingerprint": published.fingerprint}
        output.data(json.dumps(facts | {"shards": published.shards, "bytes": published.nbytes}, indent=2))
        return
    shards = counted(published.shards, "shard")
    output.note(f"{printable(published.path)}: {shards}, {size(published.nbytes)}")
    output.note(f"fingerprint {published.fingerprint}")
