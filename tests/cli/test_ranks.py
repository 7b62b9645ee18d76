"""Which rank a process is, from its options and from what a launcher has set."""

from __future__ import annotations

import click
import pytest

from initcfg.cli.materialize import find_rank, lone_process
from initcfg.sharding import Rank

SRUN = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "3", "SLURM_NTASKS": "64", "SLURM_STEP_NUM_TASKS": "8"}
BATCH = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "64"}


@pytest.mark.parametrize(
    ("environment", "rank", "source"),
    [
        (SRUN, Rank(3, 8), "SLURM_PROCID and SLURM_STEP_NUM_TASKS say"),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, Rank(1, 2), "SLURM_PROCID and SLURM_NTASKS say"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Rank(1, 2), "RANK and WORLD_SIZE say"),
        (BATCH | {"RANK": "1", "WORLD_SIZE": "2"}, Rank(1, 2), "RANK and WORLD_SIZE say"),
        (SRUN | {"RANK": "3", "WORLD_SIZE": "8"}, Rank(3, 8), "RANK and WORLD_SIZE say"),
        (
            SRUN | {"RANK": "1", "WORLD_SIZE": "32"},
            Rank(1, 32),
            "RANK and WORLD_SIZE say (SLURM_PROCID and SLURM_STEP_NUM_TASKS say otherwise)",
        ),
        (SRUN | {"RANK": "1"}, Rank(3, 8), "SLURM_PROCID and SLURM_STEP_NUM_TASKS say"),
        (
            SRUN | {"RANK": "0", "WORLD_SIZE": "1"},
            Rank(3, 8),
            "SLURM_PROCID and SLURM_STEP_NUM_TASKS say (RANK and WORLD_SIZE say otherwise)",
        ),
    ],
)
def test_a_launcher_says_which_rank_this_is(environment, rank, source) -> None:
    assert find_rank(None, None, environment) == (rank, source)


@pytest.mark.parametrize(
    "environment", [{}, {"SLURM_NTASKS": "4"}, {"WORLD_SIZE": "1"}, {"RANK": "0", "WORLD_SIZE": "1"}, BATCH]
)
def test_a_process_alone_and_a_batch_script_are_no_rank(environment) -> None:
    assert find_rank(None, None, environment) is None


def test_a_batch_script_of_many_tasks_is_told_that_it_is_alone() -> None:
    assert "the job has 64 tasks, but srun has not" in lone_process(BATCH)
    for environment in ({}, SRUN, BATCH | {"SLURM_NTASKS": "1"}, {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}):
        assert lone_process(environment) is None


def test_an_indexed_job_needs_to_be_told_how_many_it_has() -> None:
    environment = {"JOB_COMPLETION_INDEX": "5"}
    assert find_rank(None, 8, environment) == (Rank(5, 8), "JOB_COMPLETION_INDEX says")
    with pytest.raises(click.UsageError, match="JOB_COMPLETION_INDEX is given, but not --world-size"):
        find_rank(None, None, environment)


def test_with_an_option_the_launcher_that_agrees_is_believed() -> None:
    pod = {"JOB_COMPLETION_INDEX": "3", "RANK": "0", "WORLD_SIZE": "1"}
    assert find_rank(None, 4, pod) == (
        Rank(3, 4),
        "JOB_COMPLETION_INDEX says (RANK and WORLD_SIZE say otherwise)",
    )
    assert find_rank(None, 4, {"RANK": "1", "WORLD_SIZE": "4"}) == (Rank(1, 4), "RANK says")


def test_the_command_line_comes_before_the_launcher() -> None:
    assert find_rank(1, 2, SRUN) == (Rank(1, 2), None)
    assert find_rank(None, 16, SRUN) == (
        Rank(3, 16),
        "SLURM_PROCID says (SLURM_PROCID and SLURM_STEP_NUM_TASKS say otherwise)",
    )
    assert find_rank(0, 1, SRUN) is None


@pytest.mark.parametrize(
    ("number", "world_size", "environment", "message"),
    [
        (1, None, {}, "--rank is given, but not --world-size"),
        (1, None, SRUN, "--rank is given, but not --world-size"),
        (None, 4, {}, "--world-size is given, but not --rank"),
        (None, None, {"RANK": "3"}, "RANK is given, but not --world-size: each process needs both"),
        (None, None, {"WORLD_SIZE": "4"}, "WORLD_SIZE is given, but neither RANK nor --rank"),
        (0, 10**9, {}, "there may be 1,048,576 ranks at most"),
        (4, 4, {}, "there is no rank 4"),
        (-1, 4, {}, "there is no rank -1"),
        (0, 0, {}, "there is no rank 0"),
        (None, None, {"RANK": "one", "WORLD_SIZE": "2"}, "RANK is 'one', not a whole number"),
        (None, None, {"RANK": "1", "WORLD_SIZE": ""}, "WORLD_SIZE is '', not a whole number"),
        (None, None, {"RANK": "2", "WORLD_SIZE": "2"}, "there is no rank 2"),
    ],
)
def test_what_is_no_rank_is_refused(number, world_size, environment, message) -> None:
    with pytest.raises(click.UsageError, match=message):
        find_rank(number, world_size, environment)
