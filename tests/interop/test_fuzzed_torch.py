"""Files of torch.save are read or refused, whatever their bytes; INITCFG_FUZZ=20000 tries more of them."""

from __future__ import annotations

import functools
import io
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
import torch

from initcfg.api import load_manifest
from initcfg.errors import InitcfgError

if TYPE_CHECKING:
    from pathlib import Path

COUNT = int(os.environ.get("INITCFG_FUZZ", "150"))
KEYS = ["a.weight", "", "\n", "\ud800", "é", "state_dict", 0, None, ("a",)]


@functools.cache
def leaves() -> list[Any]:
    """Made inside the test: torch warns of some."""
    return [
        None,
        1,
        -1.5,
        "x",
        b"y",
        (),
        torch.zeros(2, 3),
        torch.zeros(3, 2).t(),
        torch.zeros(()),
        torch.zeros(0, 4),
        torch.zeros(1).expand(4, 2**30),
        torch.zeros(3, 3).to_sparse(),
        torch.zeros(3, dtype=torch.complex64),
        torch.zeros(3, dtype=torch.uint16),
        torch.zeros(3, device="meta"),
        torch.nn.Parameter(torch.zeros(2)),
        torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)]),
        torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8),
    ]


def content(rng: random.Random, depth: int = 0) -> Any:
    if depth == 3 or rng.random() < 0.3:
        return rng.choice(leaves())
    if rng.random() < 0.1:
        return [content(rng, depth + 1) for _ in range(rng.randrange(3))]
    if rng.random() < 0.3:
        return {rng.choice(KEYS[:6]): rng.choice(leaves()[6:]) for _ in range(rng.randrange(4))}
    return {rng.choice(KEYS): content(rng, depth + 1) for _ in range(rng.randrange(4))}


def saved(rng: random.Random) -> bytes:
    memory = io.BytesIO()
    try:
        torch.save(content(rng), memory, _use_new_zipfile_serialization=rng.random() < 0.8)
    except (NotImplementedError, RuntimeError):  # the old format has not every tensor
        return b""
    body = bytearray(memory.getvalue())
    for _ in range(rng.randrange(5) if rng.random() < 0.5 else 0):
        at = rng.randrange(len(body))
        match rng.randrange(3):
            case 0:
                body[at] = rng.randrange(256)
            case 1:
                del body[at : at + rng.randrange(9)]
            case _:
                body[at:at] = body[at : at + rng.randrange(9)]
    return bytes(body)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_torch_is_read_or_refused(tmp_path: Path) -> None:
    rng, path, valid = random.Random("pt"), tmp_path / "w.pt", 0
    for number in range(COUNT):
        path.write_bytes(saved(rng))
        try:
            load_manifest(path)
        except InitcfgError:
            continue
        except Exception as error:
            pytest.fail(f"{number}: {error!r}")
        valid += 1
    assert valid
