"""The texts that weights carry about where they are from, and those of all shards of a set as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAN_KEY = "initcfg.plan"
"""Metadata: the plan's fingerprint; missing for a plan that holds code and so has none."""
SELECT_KEY = "initcfg.select"
"""Metadata: the glob, where only a part of the plan was written."""
SPEC_KEY = "initcfg.spec"
"""Metadata: the spec that the plan was made from, as JSON; of a sharded set in the index only."""
TIED_KEY = "initcfg.tied"
"""Metadata: a JSON object of the names that were left out, each with the name whose tensor it shares."""


def tied_names(metadata: Mapping[str, str]) -> dict[str, str]:
    """The names that were left out of a file, each with the name whose tensor it shares.

    Raises:
        ValueError: the text is no JSON object of names; the message follows "the metadata 'initcfg.tied'".

    Example:
        >>> tied_names({TIED_KEY: '{"head": "wte"}'})
        {'head': 'wte'}
    """
    try:
        tied = parse_json(metadata.get(TIED_KEY, "{}"))
    except ValueError:
        tied = None
    if not isinstance(tied, dict) or not all(isinstance(name, str) for name in tied.values()):
        raise ValueError("is not a JSON object of names")
    return tied


def common_texts(metadata: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The texts of which nobody says another thing than the first who has the key.

    Example:
        >>> common_texts([{"format": "pt"}, {"format": "pt", "part": "1"}, {"part": "2"}])
        {'format': 'pt'}
    """
    texts: dict[str, str] = {}
    differing = set()
    for each in metadata:
        for key, text in each.items():
            if texts.setdefault(key, text) != text:
                differing.add(key)
    return {key: text for key, text in texts.items() if key not in differing}
