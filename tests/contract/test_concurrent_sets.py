"""Runs at the same time, in processes of their own: a folder is wholly one plan's.

``INITCFG_PAIRS`` is how many pairs of runs race; the ordinary suite lets a few.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

import pytest

import initcfg
from initcfg.formats.index import INDEX_NAME

pytest.importorskip("fcntl", reason="flock is POSIX")

PAIRS = int(os.environ.get("INITCFG_PAIRS", "4"))
SCRIPT = Path(__file__).with_name("racing.py")
SHARDS = 8
SEEDS = (1, 2)
# About as long as a run takes.
SPREAD = 0.08


def spec(seed: int) -> dict[str, object]:
    """Eight layers of half a MiB, each a shard."""
    layer = {"repeat": {"i": SHARDS}, "params": {"w": {"shape": [256, 512], "initializer": "he_normal"}}}
    return {"initcfg": 1, "seed": seed, "layout": "in_out", "layers": {"h.{i}": layer}}


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    folder = tmp_path_factory.mktemp("specs")
    for seed in SEEDS:
        (folder / f"{seed}.json").write_text(json.dumps(spec(seed)))
    return {seed: str(folder / f"{seed}.json") for seed in SEEDS}


@dataclass
class Race:
    """Commands that have been loaded, and are started one by one."""

    commands: list[list[str]]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, delays: list[float], kill: tuple[int, float] | None = None) -> list[tuple[int, str]]:
        """Starts each after its delay, kills one of them; gives how each ended and what it said."""
        with ExitStack() as stack:
            for command in self.commands:
                line = [sys.executable, str(SCRIPT), *command]
                begun = subprocess.Popen(line, text=True, stdin=PIPE, stdout=PIPE, stderr=PIPE)
                self.processes.append(stack.enter_context(begun))
            for process in self.processes:
                assert process.stdout.readline() == "ready\n"
            events = [(delay, process, "go") for delay, process in zip(delays, self.processes, strict=True)]
            if kill is not None:
                events.append((delays[kill[0]] + kill[1], self.processes[kill[0]], "kill"))
            start = time.monotonic()
            for at, process, what in sorted(events, key=lambda event: event[0]):
                time.sleep(max(0.0, start + at - time.monotonic()))
                if what == "kill":
                    process.kill()
                else:
                    process.stdin.write("\n")
                    process.stdin.flush()
            said = [process.communicate(timeout=120)[1] for process in self.processes]
        return [(process.returncode, text) for process, text in zip(self.processes, said, strict=True)]


def materialize(source: str, folder: Path, *more: str) -> list[str]:
    return ["materialize", source, "-o", f"{folder}/", "--shard-size", "512KiB", *more]


def owner(folder: Path) -> int:
    """The seed of the one plan that all of the folder is of."""
    plans = {initcfg.make_plan(spec(seed)).fingerprint: seed for seed in SEEDS}
    seed = plans[json.loads((folder / INDEX_NAME).read_text())["metadata"]["initcfg.plan"]]
    initcfg.verify(folder, spec(seed)).require_equal()
    assert len(list(folder.iterdir())) == SHARDS + 1
    return seed


@pytest.mark.parametrize("number", range(PAIRS))
def test_of_two_runs_at_once_the_folder_is_wholly_one_plans(number: int, specs, tmp_path) -> None:
    chance = random.Random(number)
    seeds = (1, chance.choice(SEEDS)) if number % 3 else SEEDS
    forced = [chance.random() < 0.4 for _ in seeds]
    kill = (chance.randrange(2), chance.uniform(0, SPREAD)) if number % 4 == 3 else None
    folder = tmp_path / "out"
    commands = [
        materialize(specs[seed], folder, *(["--force"] if force else []))
        for seed, force in zip(seeds, forced, strict=True)
    ]
    ended = Race(commands).run([chance.uniform(0, SPREAD) for _ in seeds], kill)
    for at, (code, said) in enumerate(ended):
        assert code in ({0, 2, -9} if kill and kill[0] == at else {0, 2}), said
        if code == 2:
            assert said.count("error[other-plan]") == said.count("error[") == 1, said
            assert "help: " in said
    codes = [code for code, _ in ended]
    print(number, seeds, forced, kill, codes, [said.partition("\n")[0] for code, said in ended if code])
    if kill is None:
        assert 0 in codes
        assert len(set(seeds)) > 1 or codes == [0, 0]
    if 0 in codes and -9 not in codes:
        winners = {seed for seed, code in zip(seeds, codes, strict=True) if code == 0}
        assert owner(folder) in winners
    # Whatever was there: a run that may do it makes it whole.
    assert Race([materialize(specs[2], folder, "--force")]).run([0.0])[0][0] == 0
    assert owner(folder) == 2


def test_ranks_at_once_and_two_that_finalize_make_what_one_run_makes(specs, tmp_path) -> None:
    alone, folder = tmp_path / "alone", tmp_path / "out"
    initcfg.save_sharded(spec(1), alone, shard_size="512KiB")
    ranks = [materialize(specs[1], folder, "--rank", str(rank), "--world-size", "3") for rank in range(3)]
    finalizing = [["finalize", str(folder)] for _ in range(2)]
    early = Race([*ranks, *finalizing]).run([0.0, 0.01, 0.02, 0.03, 0.03])
    assert [code for code, _ in early[:3]] == [0, 0, 0]
    # While ranks write it says what is missing, and once they have ended it is done.
    for code, said in early[3:]:
        assert code == 0 or "error[unfinished]" in said
    late = Race(finalizing).run([0.0, 0.0])
    assert [code for code, _ in late] == [0, 0], late
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in alone.iterdir()
    }


def test_a_rank_of_another_plan_is_refused_while_ranks_are_not_finished(specs, tmp_path) -> None:
    folder = tmp_path / "out"
    ranks = [materialize(specs[seed], folder, "--rank", str(seed - 1), "--world-size", "2") for seed in SEEDS]
    codes = [code for code, _ in Race(ranks).run([0.0, 0.0])]
    assert sorted(codes) == [0, 2]


def test_a_folder_of_two_plans_is_found(tmp_path) -> None:
    """The planted fault: a shard of the other plan, under a name of this one."""
    for seed in SEEDS:
        initcfg.save_sharded(spec(seed), tmp_path / str(seed), shard_size="512KiB")
    assert owner(tmp_path / "1") == 1
    name = f"model-00003-of-{SHARDS:05}.safetensors"
    (tmp_path / "2" / name).replace(tmp_path / "1" / name)
    with pytest.raises(initcfg.FormatError, match="mixed"):
        owner(tmp_path / "1")
