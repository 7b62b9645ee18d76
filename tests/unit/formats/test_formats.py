"""The suffix chooses the format."""

from __future__ import annotations

from pathlib import Path

import pytest

from initcfg.errors import FormatError
from initcfg.formats import FORMATS, format_of


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.npz", "npz"),
        (Path("x/b.safetensors"), "safetensors"),
        ("C.SafeTensors", "safetensors"),
        ("v1.5.npz", "npz"),
    ],
)
def test_the_suffix_chooses_the_format(path, name) -> None:
    assert format_of(path).name == name


FOR_A_FILE = (
    "end the file name in .safetensors or .npz; for a folder of shards write -o DIR/, in Python save_sharded"
)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("a.bin", FOR_A_FILE),
        ("a", FOR_A_FILE),
        ("a.safetensor", "did you mean '.safetensors'?"),
        (".npz", FOR_A_FILE),
    ],
)
def test_an_unknown_suffix_is_refused_with_the_known_ones(path, hint) -> None:
    with pytest.raises(FormatError) as caught:
        format_of(path)
    assert caught.value.diagnostics[0].hint == hint


def test_rows_are_keyed_by_their_suffix() -> None:
    assert all(row.suffix == suffix and suffix.startswith(".") for suffix, row in FORMATS.items())
