"""What a folder says about the set that is being written to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from initcfg.sharding.shards import MAX_SHARDS
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from initcfg.sharding.shards import ShardSet

_TYPES = {"plan": str, "set": str, "shards": int}
_FORMAT = {"format": "initcfg.run", "version": 1}


@dataclass(frozen=True, slots=True)
class SetClaim:
    """Which set a folder is for, and how to tell that it is complete.

    Args:
        plan: the fingerprint.
        set: the digest over all files' names and headers.
        shards: how many files there are to be.
        spec: what the index is to carry, or None.
    """

    plan: str
    set: str
    shards: int
    spec: str | None = None

    @classmethod
    def of(cls, shards: ShardSet) -> SetClaim:
        """The claim of a set."""
        return cls(shards.fingerprint, shards.digest, len(shards.shards), shards.spec)

    @classmethod
    def parse(cls, text: str) -> SetClaim | None:
        """The claim that a text is; None for one of another version, or no claim at all."""
        try:
            fields = parse_json(text)
        except ValueError:
            return None
        if not isinstance(fields, dict) or any(
            fields.pop(key, None) != value for key, value in _FORMAT.items()
        ):
            return None
        types = {name: type(value) for name, value in fields.items()}
        if types not in (_TYPES, _TYPES | {"spec": str}):
            return None
        return cls(**fields) if 1 <= fields["shards"] <= MAX_SHARDS else None

    @property
    def text(self) -> str:
        """One line of JSON."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        return json.dumps(_FORMAT | told) + "\n"
