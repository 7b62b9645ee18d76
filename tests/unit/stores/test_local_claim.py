"""Two runs in one process are two to the lock, because each opens the file for itself."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from initcfg.errors import Code, Diagnostic, OutputError
from initcfg.stores import local
from initcfg.stores.local import ClaimFile

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fcntl", reason="flock is POSIX")

OURS, OTHERS = "ours\n", "another set's\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "claim"


@pytest.fixture
def claim(path: Path) -> ClaimFile:
    return ClaimFile(path)


def anything(_: str | None) -> None:
    """Admits every run."""


def refusing(_: str | None) -> None:
    raise OutputError(Diagnostic(Code.OTHER_PLAN, "not here"))


def test_a_claim_stays_until_it_is_fulfilled(claim, path) -> None:
    assert claim.text() is None
    with claim.claiming(OURS, anything):
        assert claim.text() == OURS
    assert claim.text() == OURS
    with claim.claiming(OURS, anything) as hold:
        hold.release()
        assert claim.text() == OURS
    assert not path.exists()


def test_a_fulfilled_claim_goes_after_a_failure_too(claim, path) -> None:
    def fail() -> None:
        with claim.claiming(OURS, anything) as hold:
            hold.release()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not path.exists()


def test_runs_of_one_set_hold_it_together_and_the_last_removes_it(claim, path) -> None:
    with claim.claiming(OURS, anything) as first:
        first.release()
        with claim.claiming(OURS, anything) as second:
            second.release()
        assert claim.text() == OURS
    assert not path.exists()


def test_only_the_first_of_them_makes_room(claim) -> None:
    with claim.claiming(OURS, anything), claim.claiming(OURS, refusing):
        assert claim.text() == OURS


def test_a_run_of_another_set_is_refused_while_one_is_at_work(claim) -> None:
    with claim.claiming(OURS, anything):
        with pytest.raises(OutputError, match=r"to '.*' now") as caught, claim.claiming(OTHERS, anything):
            pass
        assert claim.text() == OURS
    assert caught.value.diagnostics[0].code is Code.OTHER_PLAN


def test_the_claim_of_a_run_that_has_ended_is_told_to_who_decides(claim) -> None:
    told = []
    with claim.claiming(OURS, told.append):
        pass
    with claim.claiming(OURS, told.append):
        pass
    with claim.claiming(OTHERS, told.append):
        assert claim.text() == OTHERS
    assert told == [None, OURS, OURS]


def test_a_refusal_leaves_the_claim_that_was_there_and_none_where_none_was(claim, path) -> None:
    with pytest.raises(OutputError, match="not here"), claim.claiming(OURS, refusing):
        pass
    assert not path.exists()
    with claim.claiming(OURS, anything):
        pass
    with pytest.raises(OutputError, match="not here"), claim.claiming(OTHERS, refusing):
        pass
    assert claim.text() == OURS


@pytest.mark.parametrize("text", ["precious", "precious\n"])
def test_a_file_that_has_another_name_too_is_no_claim(text, claim, path, tmp_path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text(text)
    path.hardlink_to(theirs)
    with pytest.raises(OutputError, match="no regular file of its own"), claim.claiming(OURS, anything):
        pass
    assert theirs.read_text() == text


def test_a_child_that_was_forked_meanwhile_holds_nothing_afterwards(claim) -> None:
    with claim.claiming(OURS, anything):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        with claim.claiming(OTHERS, anything):
            assert claim.text() == OTHERS
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_claim_that_is_written_in_pieces_is_whole(claim, monkeypatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    with claim.claiming(OURS, anything):
        assert claim.text() == OURS


def test_joining_needs_the_claim_of_the_set(claim) -> None:
    with pytest.raises(OutputError, match="no longer claimed"), claim.joining(OURS):
        pass
    with claim.claiming(OURS, anything), claim.joining(OURS):
        pass
    with pytest.raises(OutputError, match="taken over"), claim.joining(OTHERS):
        pass


def test_a_claim_without_its_newline_is_none(claim, path) -> None:
    path.write_text("half a cla")
    assert claim.text() is None
    with claim.claiming(OURS, anything):
        assert path.read_text() == OURS


def test_a_longer_claim_leaves_nothing_behind_a_shorter(claim, path) -> None:
    with claim.claiming(OTHERS * 20, anything):
        pass
    with claim.claiming(OURS, anything):
        assert path.read_text() == OURS


@pytest.mark.parametrize("what", ["link", "dangling", "folder", "fifo"])
@pytest.mark.parametrize(
    "attempt",
    [
        ClaimFile.text,
        lambda claim: claim.claiming(OURS, anything).__enter__(),
        lambda claim: claim.joining(OURS).__enter__(),
    ],
    ids=["text", "claiming", "joining"],
)
def test_what_is_no_regular_file_is_refused_and_left(what, attempt, claim, path, tmp_path) -> None:
    victim = tmp_path / "victim"
    if what == "link":
        victim.write_text("mine")
    match what:
        case "link" | "dangling":
            path.symlink_to(victim)
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
    with pytest.raises(OutputError, match="no regular file"):
        attempt(claim)
    assert os.path.lexists(path)
    assert victim.exists() == (what == "link")
    assert what != "link" or victim.read_text() == "mine"


@pytest.mark.parametrize("before", [None, OTHERS])
def test_a_claim_that_cannot_be_written_is_none(before, claim, path, monkeypatch) -> None:
    if before:
        path.write_text(before)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local.os, "write", full)  # type: ignore[attr-defined]
    with pytest.raises(OutputError, match="no space left"), claim.claiming(OURS, anything):
        pass
    assert not path.exists()


def test_who_waits_too_long_for_another_to_prepare_is_told(claim, monkeypatch) -> None:
    monkeypatch.setattr(local, "_PATIENCE_SECONDS", 0.05)

    def admit(_: str | None) -> None:
        with claim.claiming(OURS, anything):
            pass

    with pytest.raises(OutputError, match="has been preparing"), claim.claiming(OURS, admit):
        pass


@pytest.mark.parametrize("is_named", [True, False])
def test_a_wait_of_a_second_is_told_once_with_who_holds_the_lock(
    is_named, claim, path, monkeypatch, caplog
) -> None:
    """A foreign program holds the lock alone, as one that prepares the folder does."""
    monkeypatch.setattr(local, "_SILENT_SECONDS", 0.05)
    monkeypatch.setattr(local, "_PATIENCE_SECONDS", 0.3)
    if not is_named:
        monkeypatch.setattr(local, "lock_holders", lambda _: [])
    path.write_text(OTHERS)
    script = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.flock(f, 2); print(flush=True); input()"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as foreign:
        foreign.stdout.readline()
        is_named &= bool(local.lock_holders(path))  # type: ignore[attr-defined]  # a system may not tell
        who = f"(process {foreign.pid})" if is_named else "(the system does not say which"
        with pytest.raises(OutputError, match="has been preparing") as caught, claim.joining(OURS):
            pass
        foreign.stdin.write(b"\n")
    (told,) = caplog.messages
    assert who in told
    assert who in str(caught.value)
    assert "for 0 seconds at most" in told


def test_a_short_wait_is_silent(claim, caplog) -> None:
    with claim.claiming(OURS, anything), claim.claiming(OURS, anything):
        pass
    assert not caplog.messages


def test_a_claim_that_another_took_over_meanwhile_is_not_removed(claim, path) -> None:
    """Between the shared lock and the sole one there is a moment without any."""
    with claim.claiming(OURS, anything) as hold:
        hold.release()
        path.write_text(OTHERS)
    assert claim.text() == OTHERS


def test_a_file_that_was_replaced_meanwhile_is_not_removed(claim, path, tmp_path) -> None:
    with claim.claiming(OURS, anything) as hold:
        hold.release()
        other = tmp_path / "other"
        other.write_text(OURS)
        other.replace(path)
    assert claim.text() == OURS


def test_without_locks_the_text_keeps_two_sets_apart(claim, path, monkeypatch) -> None:
    def unable(*_, **__):
        raise local.LocksUnsupportedError  # type: ignore[attr-defined]

    monkeypatch.setattr(local, "try_lock", unable)
    told = []
    with (
        claim.claiming(OURS, told.append),
        claim.claiming(OURS, told.append),
        pytest.raises(OutputError, match="not here"),
        claim.claiming(OTHERS, refusing),
    ):
        pass
    assert claim.text() == OURS
    with claim.joining(OURS) as hold:
        hold.release()
    assert not path.exists()
