"""A claim is read back; whatever else a file may hold is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.sharding.claims import SetClaim

CLAIM = SetClaim("0" * 64, "1" * 64, 3)


def text(**changes: object) -> str:
    return json.dumps(
        {key: value for key, value in (json.loads(CLAIM.text) | changes).items() if value != "-"}
    )


def test_a_claim_is_one_line_that_is_read_back() -> None:
    assert CLAIM.text.count("\n") == 1
    assert CLAIM.text.endswith("\n")
    assert SetClaim.parse(CLAIM.text) == CLAIM


def test_a_set_and_its_claim_agree(shards) -> None:
    made = shards()
    assert SetClaim.of(made) == SetClaim(made.fingerprint, made.digest, 8, made.spec)


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        "[" * 100_000,
        '{"shards": ' + "9" * 5000 + "}",
        text(version=2),
        text(version="1"),
        text(format="initcfg.plan"),
        text(shards=True),
        text(shards=0),
        text(shards=-1),
        text(shards=10**12),
        text(shards=3.0),
        text(plan=None),
        text(set=1),
        text(set="-"),
        text(more=1),
        "\x00" * 100 + "\n",
        "\ud800",
    ],
)
def test_a_text_that_is_no_claim_is_none(hostile: str) -> None:
    assert SetClaim.parse(hostile) is None


@given(st.text())
def test_any_text_is_a_claim_or_none(hostile: str) -> None:
    assert SetClaim.parse(hostile) is None
