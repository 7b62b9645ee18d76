"""What a file of weights tells about the plan that it was made from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, FormatError
from initcfg.formats.metadata import PLAN_KEY, SELECT_KEY, SPEC_KEY, TIED_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initcfg.plan import Plan

__all__ = ["MAX_SPEC_BYTES", "PLAN_KEY", "SELECT_KEY", "TIED_KEY", "carried_spec", "file_metadata"]

MAX_SPEC_BYTES = 1 << 16
"""The longest spec that weights carry: some readers take a header of a few MB only."""

_OURS = "initcfg."


def carried_spec(plan: Plan) -> str | None:
    """The spec that weights of a plan carry; None where there is none, or it is longer than they carry."""
    text = plan.spec_text
    return text if text is not None and len(text.encode()) <= MAX_SPEC_BYTES else None


def file_metadata(
    digest: str | None,
    select: str | None,
    tied: Mapping[str, str],
    given: Mapping[str, str],
    spec: str | None = None,
) -> dict[str, str]:
    """All texts that go into a file.

    Args:
        digest: the plan's fingerprint, or None.
        select: the glob, or None.
        tied: names that are left out, with those whose tensors they share.
        given: the caller's own.
        spec: the text of the plan's spec, where the file is to carry it.

    Raises:
        FormatError: one of the caller's keys is kept for this package (code ``format``).
    """
    taken = [key for key in given if key.startswith(_OURS)]
    if taken:
        raise FormatError(
            Diagnostic(
                Code.FORMAT,
                f"the metadata key {taken[0]!r} is kept for this package",
                hint=f"choose a key that does not begin with {_OURS!r}",
            )
        )
    ours = {
        PLAN_KEY: digest,
        SELECT_KEY: select,
        SPEC_KEY: spec,
        TIED_KEY: json.dumps(tied, sort_keys=True, ensure_ascii=False) if tied else None,
    }
    return {**given, **{key: text for key, text in ours.items() if text is not None}}
