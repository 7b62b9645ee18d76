"""Tasks run side by side and end in order."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import wait
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.generate import pool
from initcfg.generate.pool import Task, Workers, available_cpus, in_groups


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(threads) -> None:
    with Workers(threads) as workers:
        assert list(workers.in_order(Task(partial(int, number)) for number in range(100))) == list(range(100))


def test_tasks_are_read_only_a_little_ahead() -> None:
    read = []

    def tasks():
        for number in range(1000):
            read.append(number)
            yield Task(partial(int, number))

    with Workers(2) as workers:
        for number in workers.in_order(tasks()):
            assert len(read) <= number + 7
    assert len(read) == 1000


def test_large_results_are_held_one_at_a_time() -> None:
    alive = threading.Semaphore(0)
    most = 0

    def make(_) -> None:
        alive.release()

    with Workers(2) as workers:
        for _ in workers.in_order(Task(partial(make, number), holds=1 << 30) for number in range(20)):
            most = max(most, alive._value)
            alive.acquire()
    assert most <= 2


def test_some_tasks_run_in_the_calling_thread_in_their_order() -> None:
    seen = []

    def note(number: int) -> int:
        seen.append((number, threading.get_ident()))
        return number

    tasks = (Task(partial(note, number), here=number % 3 == 0) for number in range(50))
    with Workers(4) as workers:
        assert list(workers.in_order(tasks)) == list(range(50))
    here = [(number, thread) for number, thread in seen if number % 3 == 0]
    assert here == [(number, threading.get_ident()) for number in range(0, 50, 3)]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_error_ends_the_work(threads) -> None:
    ran = []

    def work(number: int) -> int:
        ran.append(number)
        if number == 3:
            raise ZeroDivisionError
        return number

    seen = []
    with pytest.raises(ZeroDivisionError), Workers(threads) as workers:
        seen.extend(workers.in_order(Task(partial(work, number)) for number in range(10_000)))
    assert len(ran) < 30


def test_an_interrupt_drops_what_has_not_begun_and_waits_for_the_rest(monkeypatch) -> None:
    begun = threading.Semaphore(0)
    release = threading.Event()
    ended = []

    def work(number: int) -> int:
        begun.release()
        release.wait(10)
        ended.append(number)
        return number

    def interrupted():
        for number in range(4):
            yield Task(partial(work, number))
        assert begun.acquire(timeout=10)
        assert begun.acquire(timeout=10)
        raise KeyboardInterrupt

    # It waits after it has dropped what has not begun; only then may the first two go on.
    monkeypatch.setattr(pool, "wait", lambda futures: (release.set(), wait(futures)))
    with pytest.raises(KeyboardInterrupt), Workers(2) as workers:
        list(workers.in_order(interrupted()))
    assert sorted(ended) == [0, 1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("initcfg")]


@pytest.mark.parametrize("count", [0, 1])
def test_a_lone_task_runs_in_the_calling_thread(count) -> None:
    with Workers(3) as workers:
        assert list(workers.in_order([Task(threading.get_ident)] * count)) == [threading.get_ident()] * count


def test_nothing_runs_any_more_when_the_results_are_closed() -> None:
    running = []

    def work(number: int) -> int:
        running.append(number)
        time.sleep(0.02)
        running.remove(number)
        return number

    with Workers(3) as workers:
        results = workers.in_order(Task(partial(work, number)) for number in range(20))
        assert next(results) == 0
        results.close()
        assert running == []


@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_runs_any_more_when_a_run_has_failed(threads) -> None:
    running = []

    def work(number: int) -> int:
        running.append(number)
        time.sleep(0.02)
        running.remove(number)
        return number

    def failing(done: int, total: int) -> None:
        raise ZeroDivisionError

    with Workers(threads) as workers:
        with pytest.raises(ZeroDivisionError):
            workers.run((Task(partial(work, number)) for number in range(20)), 190, failing)
        assert running == []


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_threads_are_a_positive_integer(threads) -> None:
    with pytest.raises(ValueError, match="threads must be a whole number of 1 or more"):
        Workers(threads)


def test_threads_may_be_a_numpy_integer() -> None:
    with Workers(np.int64(2)):  # type: ignore[arg-type]
        pass


def test_by_default_there_is_a_thread_for_each_cpu_that_may_be_used(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 7}, raising=False)
    assert available_cpus() == 3
    with Workers() as workers:
        assert workers.threads == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told_the_sum_and_the_total(threads) -> None:
    told = []
    tasks = [Task(partial(int, number)) for number in (1, 2, 3)]
    with Workers(threads) as workers:
        workers.run(tasks, 6, lambda done, total: told.append((done, total)))
        workers.run(tasks, 6, None)
    assert told == [(1, 6), (3, 6), (6, 6)]


@given(st.lists(st.integers(0, 20)), st.integers(1, 30))
def test_groups_are_as_large_as_the_limit_lets_them(sizes: list[int], limit: int) -> None:
    groups = list(in_groups(sizes, int, limit))
    assert [size for group in groups for size in group] == sizes
    assert all(sum(group) <= limit or len(group) == 1 for group in groups)
    assert all(sum(group) + after[0] > limit for group, after in pairwise(groups))
