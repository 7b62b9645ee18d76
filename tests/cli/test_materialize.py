"""``initcfg materialize``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import Result
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import initcfg
from initcfg.cli.output import is_ours

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_the_file_holds_what_the_plan_makes(suffix: str, run: Run, folder: Path) -> None:
    result = run("materialize", "good.yaml", "-o", f"out{suffix}")
    assert (result.exit_code, result.stdout) == (0, "")
    expected = initcfg.materialize(initcfg.make_plan("good.yaml"))
    written = load_file(f"out{suffix}") if suffix == ".safetensors" else dict(np.load(f"out{suffix}"))
    for name, array in written.items():
        np.testing.assert_array_equal(array, expected[name])


def test_what_was_written_is_told_on_stderr(run: Run, folder: Path) -> None:
    result = run("materialize", "good.yaml", "-o", "out.safetensors")
    first, _, second = result.stderr.splitlines()
    assert first.startswith("out.safetensors: 6 parameters, 544 elements, 2.1 KiB in ")
    with safe_open("out.safetensors", "numpy") as file:
        assert second == f"fingerprint {file.metadata()['initcfg.plan']}"


def test_json_tells_it_on_stdout(run: Run, folder: Path) -> None:
    result = run("materialize", "good.yaml", "-o", "out.safetensors", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    facts = json.loads(result.stdout)
    assert facts["fingerprint"] == initcfg.make_plan("good.yaml").fingerprint
    assert (facts["file"], facts["parameters"], facts["elements"], facts["bytes"]) == (
        "out.safetensors",
        6,
        544,
        2176,
    )


def test_threads_do_not_change_a_byte(run: Run, folder: Path) -> None:
    for threads in ("1", "2", "5"):
        assert (
            run("materialize", "good.yaml", "-o", f"{threads}.safetensors", "--threads", threads).exit_code
            == 0
        )
    assert len({(folder / f"{threads}.safetensors").read_bytes() for threads in "125"}) == 1


def test_what_is_left_out_is_told(run: Run, folder: Path) -> None:
    result = run("materialize", "good.yaml", "-o", "out.safetensors")
    assert "head is tied to embedding and left out; --write-tied writes it\n" in result.stderr
    facts = json.loads(run("materialize", "good.yaml", "-o", "out.safetensors", "--format", "json").stdout)
    assert facts["left_out"] == {"head": "embedding"}
    assert "left out" not in run("materialize", "good.yaml", "-o", "out.npz").stderr


def test_many_ties_are_counted_rather_than_listed(run: Run, folder: Path) -> None:
    ties = "".join(f"  t{i}: {{shape: [1], tied_to: w}}\n" for i in range(12))
    text = f"initcfg: 1\nparams:\n  w: {{shape: [1], initializer: ones}}\n{ties}"
    (folder / "ties.yaml").write_text(text, encoding="utf-8")
    result = run("materialize", "ties.yaml", "-o", "ties.safetensors")
    assert result.stderr.count("is tied to w") == 5
    assert "and so are 7 more\n" in result.stderr


def test_a_tied_parameter_is_left_out_unless_wanted(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "without.safetensors")
    run("materialize", "good.yaml", "-o", "with.safetensors", "--write-tied")
    assert "head" not in load_file("without.safetensors")
    both = load_file("with.safetensors")
    np.testing.assert_array_equal(both["head"], both["embedding"])


@pytest.mark.parametrize("name", ["out.safetensors", "out.npz"])
def test_a_file_of_ours_is_replaced(name: str, run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", name)
    (folder / "good.yaml").write_text((folder / "good.yaml").read_text().replace("seed: 7", "seed: 8"))
    before = (folder / name).read_bytes()
    assert run("materialize", "good.yaml", "-o", name).exit_code == 0
    assert (folder / name).read_bytes() != before


@pytest.mark.parametrize("name", ["trained.safetensors", "trained.npz"])
def test_a_file_of_anybody_else_is_replaced_only_by_force(name: str, run: Run, folder: Path) -> None:
    if name.endswith(".npz"):
        np.savez(name, w=np.ones(3))
    else:
        save_file({"w": np.ones(3)}, name, {"format": "pt"})
    before = (folder / name).read_bytes()
    result = run("materialize", "good.yaml", "-o", name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error[output]: '{name}' exists, and does not say that initcfg wrote it")
    assert (folder / name).read_bytes() == before
    assert run("materialize", "good.yaml", "-o", name, "--force").exit_code == 0
    assert is_ours(folder / name)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b"\x05\0\0\0\0\0\0\0{}", b"PK\x05\x06" + bytes(18)],
)
def test_a_file_that_is_no_weights_file_is_not_ours(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert not is_ours(tmp_path / "file")


@pytest.mark.parametrize(
    ("target", "code"),
    [("out.bin", "format"), ("nowhere/out.npz", "output")],
)
def test_a_target_that_cannot_be_is_exit_2_before_anything_is_made(
    target: str, code: str, run: Run, folder: Path
) -> None:
    before = sorted(folder.iterdir())
    result = run("materialize", "good.yaml", "-o", target)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"error[{code}]" in result.stderr
    assert sorted(folder.iterdir()) == before
