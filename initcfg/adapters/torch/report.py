"""What `initialize_` did, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from initcfg.errors import printable


@dataclass(frozen=True, slots=True)
class Initialized:
    """What was made in a module, and what was left alone.

    Args:
        parameters: the names of the parameters that hold the plan's values, in the module's order; of one
            that has several names the first.
        tied: further names of these, each with that first one.
        skipped: the parameters that the plan skips.
        buffers: those that the plan does not make, whether the module saves them or not.
        empty: those of the skipped and the buffers that hold nothing yet: on the meta device, or as
            ``Module.to_empty`` has left them.
        nbytes: what this process has made; of a sharded module its own shards.
        made_buffers: the names of the buffers that hold the plan's values.
        warnings: state that no longer fits the values, or that nothing has written, each with the way out:
            the next forward pass would be wrong.
        notes: what else depends on what was overwritten.

    Example:
        >>> print(Initialized(("weight",), {}, (), ("mask",), ("mask",), 16))
        1 parameter made, 16 bytes; 0 skipped; 1 buffer left alone
        empty, and to be made before the module is used: mask
    """

    parameters: tuple[str, ...]
    tied: dict[str, str]
    skipped: tuple[str, ...]
    buffers: tuple[str, ...]
    empty: tuple[str, ...]
    nbytes: int
    made_buffers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        both = f" and {counted(len(self.made_buffers), 'buffer')}" if self.made_buffers else ""
        made = f"{counted(len(self.parameters), 'parameter')}{both} made, {self.nbytes:,} bytes"
        left = f"{len(self.skipped)} skipped; {counted(len(self.buffers), 'buffer')} left alone"
        lines = [f"{made}; {left}"]
        if self.empty:
            names = printable(", ".join(self.empty))
            lines.append(f"empty, and to be made before the module is used: {names}")
        lines += [f"warning: {printable(message)}" for message in self.warnings]
        lines += [f"note: {printable(message)}" for message in self.notes]
        return "\n".join(lines)


def counted(count: int, word: str) -> str:
    """A count with its word, which has an ``s`` unless it is one."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
