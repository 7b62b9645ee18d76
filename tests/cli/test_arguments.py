"""Which files a command line means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from initcfg.cli.arguments import expanded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.yaml", "a.yaml", "c.json", "[a].yaml", "sub/deep/d.yaml", "sub/e.yaml", ".hidden.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["c.json", "a.yaml"], ["c.json", "a.yaml"]),
        (["nothing.yaml", "-", "sub"], ["nothing.yaml", "-", "sub"]),
        (["?.yaml"], ["a.yaml", "b.yaml"]),
        (["*.json", "./?.yaml"], ["c.json", "./a.yaml", "./b.yaml"]),
        (["sub/**/*.yaml"], ["sub/deep/d.yaml", "sub/e.yaml"]),
        (["sub/**"], ["sub/deep/d.yaml", "sub/e.yaml"]),
        (["[a].yaml"], ["[a].yaml"]),  # the file of that name, not a.yaml
        (["[ab].yaml"], ["a.yaml", "b.yaml"]),
        (["b.yaml", "?.yaml", "./b.yaml", "sub/../a.yaml", "-", "-"], ["b.yaml", "a.yaml", "-"]),
    ],
)
def test_patterns_are_expanded_and_each_file_is_meant_once(given: list[str], meant: list[str]) -> None:
    assert list(expanded(given)) == meant


def test_an_absolute_pattern_is_expanded(tmp_path: Path) -> None:
    assert expanded([f"{tmp_path}/?.yaml"]) == (f"{tmp_path}/a.yaml", f"{tmp_path}/b.yaml")


@pytest.mark.parametrize("pattern", ["*.toml", "sub/*/*/*.yaml", "su[a]b", "su?"])
def test_a_pattern_that_no_file_matches_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        expanded(["a.yaml", pattern])
    assert caught.value.message == f"no file matches the pattern {pattern!r}"


@pytest.mark.parametrize("args", [("manifest", "-"), ("new", "--manifest", "-")])
def test_weights_and_manifests_are_not_read_from_standard_input(
    args: tuple[str, ...], run: Callable[..., Result]
) -> None:
    result = run(*args, input="params: {w: {shape: [2]}}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "standard input is not read here; name a file" in result.stderr
