"""``materialize`` into a folder, and ``finalize``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

import initcfg
from initcfg.formats.index import INDEX_NAME

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]
LAUNCHERS = (
    "SLURM_JOB_ID",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_STEP_NUM_TASKS",
    "RANK",
    "WORLD_SIZE",
    "JOB_COMPLETION_INDEX",
)
SMALL = ("--shard-size", "700B")


@pytest.fixture(autouse=True)
def _without_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("output", ["out", "out/", "new/out"])
def test_a_folder_gets_shards_and_their_index(output: str, run: Run, folder: Path) -> None:
    result = run("materialize", "good.yaml", "-o", output, *SMALL)
    assert result.exit_code == 0, result.stderr
    shards = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    assert names(folder / output) == [*shards, INDEX_NAME]
    assert f"{output.rstrip('/')}: 3 shards, " in result.stderr
    assert "head is tied to embedding and left out" in result.stderr
    assert "fingerprint " in result.stderr
    assert result.stdout == ""
    assert run("verify", output, "good.yaml").exit_code == 0


def test_one_shard_is_the_default_for_a_small_model(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "out")
    assert names(folder / "out") == ["model-00001-of-00001.safetensors", INDEX_NAME]


def test_a_second_run_makes_only_what_is_missing_and_says_so(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "out", *SMALL)
    (folder / "out" / "model-00002-of-00003.safetensors").unlink()
    result = run("materialize", "good.yaml", "-o", "out", *SMALL)
    assert "2 of them were there already" in result.stderr


def test_json_tells_it_on_stdout(run: Run, folder: Path) -> None:
    result = run("materialize", "good.yaml", "-o", "out", *SMALL, "--format", "json")
    told = json.loads(result.stdout)
    assert told["folder"] == "out"
    assert told["index"] == f"out/{INDEX_NAME}"
    assert told["fingerprint"] == initcfg.make_plan("good.yaml").fingerprint
    assert (told["rank"], told["world_size"]) == (None, 1)
    assert told["left_out"] == {"head": "embedding"}
    assert told["removed_first"] is False
    assert [shard["file"] for shard in told["shards"]] == names(folder / "out")[:3]
    assert [shard["bytes"] for shard in told["shards"]] == [
        (folder / "out" / shard["file"]).stat().st_size for shard in told["shards"]
    ]
    assert told["bytes"] == sum(shard["bytes"] for shard in told["shards"]) == sum(told["loads"])
    assert all(shard["made"] for shard in told["shards"])
    assert result.stderr == ""


def test_another_set_is_refused_unless_forced_and_other_files_stay(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "out", *SMALL)
    (folder / "out" / "config.json").write_text("{}")
    before = names(folder / "out")
    result = run("materialize", "good.yaml", "-o", "out", "--set", "seed=8")
    assert result.exit_code == 2
    assert "error[other-plan]" in result.stderr
    assert "--force" in result.stderr
    assert names(folder / "out") == before
    assert run("materialize", "good.yaml", "-o", "out", "--set", "seed=8", "--force").exit_code == 0
    assert names(folder / "out") == ["config.json", "model-00001-of-00001.safetensors", INDEX_NAME]


def test_ranks_without_a_shard_are_counted(run: Run, folder: Path) -> None:
    told = run("materialize", "good.yaml", "-o", "out", "--rank", "0", "--world-size", "2").stderr
    assert "1 of 2 ranks has nothing to write: there are fewer shards" in told


def test_ranks_and_finalize(run: Run, folder: Path) -> None:
    for rank in (1, 0):
        result = run(
            "materialize", "good.yaml", "-o", "out", *SMALL, "--rank", str(rank), "--world-size", "2"
        )
        assert f"this is rank {rank} of 2; --rank 0 --world-size 1 writes everything" in result.stderr
        assert "initcfg finalize out" in result.stderr
        if rank:
            early = run("finalize", "out")
            assert early.exit_code == 1
            assert "error[unfinished]" in early.stderr
    result = run("finalize", "out")
    assert result.exit_code == 0
    assert f"out/{INDEX_NAME}: 3 shards" in result.stderr
    assert run("verify", "out", "good.yaml").exit_code == 0
    told = json.loads(run("finalize", "out", "--format", "json").stdout)
    assert told["shards"] == 3
    assert told["index"] == f"out/{INDEX_NAME}"
    assert told["fingerprint"] == initcfg.make_plan("good.yaml").fingerprint


def test_a_launcher_is_obeyed_and_named(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    result = run("materialize", "good.yaml", "-o", "out", *SMALL, "--format", "json")
    assert [json.loads(result.stdout)[key] for key in ("rank", "world_size")] == [1, 2]
    result = run("materialize", "good.yaml", "-o", "out", *SMALL)
    assert "rank 1 of 2, as SLURM_PROCID and SLURM_STEP_NUM_TASKS say" in result.stderr


def test_a_launcher_does_not_concern_a_file(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run("materialize", "good.yaml", "-o", "w.safetensors").exit_code == 0


def test_a_batch_script_that_forgot_srun_is_told(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}.items():
        monkeypatch.setenv(name, value)
    result = run("materialize", "good.yaml", "-o", "out")
    assert "srun has not started this process, so it writes everything" in result.stderr
    assert INDEX_NAME in names(folder / "out")


def test_uneven_ranks_are_told_with_a_size_that_evens_them(run: Run, folder: Path) -> None:
    layer = {"repeat": {"i": 60}, "params": {"w": {"shape": [64, 64], "initializer": "ones"}}}
    (folder / "even.json").write_text(json.dumps({"initcfg": 1, "layers": {"h.{i}": layer}}))
    command = ("materialize", "even.json", "-o", "out", "--rank", "0", "--world-size", "2", "--force")
    result = run(*command, "--shard-size", "330kB")
    assert "the fullest rank writes 33% more than the average" in result.stderr
    assert "--shard-size 49kB" in result.stderr
    assert "average" not in run(*command, "--shard-size", "49kB").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "w.safetensors", "--shard-size", "5GB"), "--shard-size is for a folder of shards"),
        (("-o", "w.safetensors", "--rank", "0"), "--rank is for a folder of shards"),
        (("-o", "w.npz", "--world-size", "2"), "--world-size is for a folder of shards"),
        (("-o", "out", "--shard-size", "5 apples"), "--shard-size: a shard size is a number of bytes"),
        (("-o", "out", "--shard-size", "0"), "--shard-size: a shard size is a number of bytes"),
        (("-o", "out", "--rank", "2", "--world-size", "2"), "there is no rank 2"),
        (("-o", "out", "--rank", "1"), "--rank is given, but not --world-size"),
        (("-o", "out", "--rank", "x"), "'x' is not a valid integer"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_makes_nothing(arguments, message, run: Run, folder: Path) -> None:
    before = names(folder)
    result = run("materialize", "good.yaml", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert names(folder) == before


def test_a_file_in_the_place_of_the_folder_is_refused(run: Run, folder: Path) -> None:
    (folder / "out").write_text("mine")
    result = run("materialize", "good.yaml", "-o", "out/")
    assert result.exit_code == 2
    assert "error[output]" in result.stderr
    assert "something else stands there" in result.stderr
    assert (folder / "out").read_text() == "mine"


@pytest.mark.parametrize("where", ["nowhere", "bad.yaml"])
def test_finalize_of_what_is_no_set_is_an_error(where: str, run: Run, folder: Path) -> None:
    result = run("finalize", where)
    assert result.exit_code == (1 if where == "nowhere" else 2)
    assert "error[" in result.stderr


def test_save_and_save_sharded_name_each_other(folder: Path) -> None:
    with pytest.raises(initcfg.InitcfgError) as caught:
        initcfg.save("good.yaml", "out")
    assert "save_sharded" in caught.value.diagnostics[0].hint
    with pytest.raises(initcfg.InitcfgError) as caught:
        initcfg.save_sharded("good.yaml", "out.safetensors")
    assert "save writes one file" in caught.value.diagnostics[0].hint
    assert not (folder / "out.safetensors").exists()
