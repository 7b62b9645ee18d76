"""What `initialize_` did, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from initcfg.errors import printable

__all__ = ["Initialized", "counted"]


@dataclass(frozen=True, slots=True)
class Initialized:
    """What was made in a module, and what was left alone.

    Args:
        parameters: the names of the parameters that hold the plan's values, in the module's order; of one
            that has several names the first.
        tied: further names of these, each with that first one.
        skipped: the parameters that the plan skips.
        buffers: the buffers, which a plan does not make.
        empty: those of the skipped and the buffers that are on the meta device and hold nothing yet.
        nbytes: what this process has made; of a sharded module its own shards.

    Example:
        >>> print(Initialized(("weight",), {}, (), ("mask",), ("mask",), 16))
        1 parameter made, 16 bytes; 0 skipped; 1 buffer left alone
        on the meta device, and to be made before the module is used: mask
    """

    parameters: tuple[str, ...]
    tied: dict[str, str]
    skipped: tuple[str, ...]
    buffers: tuple[str, ...]
    empty: tuple[str, ...]
    nbytes: int

    def __str__(self) -> str:
        made = f"{counted(len(self.parameters), 'parameter')} made, {self.nbytes:,} bytes"
        left = f"{len(self.skipped)} skipped; {counted(len(self.buffers), 'buffer')} left alone"
        lines = [f"{made}; {left}"]
        if self.empty:
            names = printable(", ".join(self.empty))
            lines.append(f"on the meta device, and to be made before the module is used: {names}")
        return "\n".join(lines)


def counted(count: int, word: str) -> str:
    """A count with its word, which has an ``s`` unless it is one."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
