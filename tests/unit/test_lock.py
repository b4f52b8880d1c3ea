"""What the helpers' lock promises: one helper at a time, and nobody without rights who could hold it."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import holders
import process
import pytest

OF_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may open the lock; run as root")
HOLD = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); time.sleep(1000)"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the helpers' directory, which everybody may open."""
    here = tmp_path / "helpers"
    here.mkdir()
    monkeypatch.setattr(process, "HERE", str(here))
    monkeypatch.setattr(process, "LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(process, "LOCK", str(tmp_path / "locks/x.lock"))
    return here


@pytest.fixture
def lock(directory: Path) -> Path:
    return directory.parent / "locks/x.lock"


@pytest.fixture
def holder(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a user without rights who holds a lock on the helpers' directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    script = 'flock --shared "$0" && echo && exec sleep 1000'
    held = subprocess.Popen(["sh", "-c", script, str(descriptor)], pass_fds=[descriptor], stdout=subprocess.PIPE, text=True,
                            user=65534)
    os.close(descriptor)
    assert held.stdout is not None
    held.stdout.readline()
    yield held
    held.kill()
    held.wait()


@OF_ROOT
def test_nobody_without_rights_can_hold_it(holder: subprocess.Popen[str], capfd: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    with process.Lock():
        pass
    assert time.monotonic() - begin < 2
    assert f"(process {holder.pid}) holds a lock on " in capfd.readouterr().err


def test_nobody_else_can_open_it(lock: Path) -> None:
    with process.Lock():
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600 and stat.S_IMODE(lock.parent.stat().st_mode) == 0o700


def test_one_at_a_time(lock: Path) -> None:
    order = []

    def second() -> None:
        with process.Lock():
            order.append("second")

    with process.Lock():
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_who_waits_for_one_that_is_removed_takes_the_next(lock: Path) -> None:
    done = threading.Event()

    def second() -> None:
        with process.Lock():
            with lock.open() as stream, pytest.raises(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            done.set()

    with process.Lock():
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        process.remove_lock()
        assert not lock.parent.exists()
    thread.join()
    assert done.is_set()


@OF_ROOT
def test_a_helper_of_the_first_release_is_waited_for(directory: Path, lock: Path) -> None:
    released = 0.0
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    child = subprocess.Popen(["sleep", "0.5"], pass_fds=[descriptor])  # it holds the lock on
    os.close(descriptor)
    begin = time.monotonic()
    with process.Lock():
        released = time.monotonic() - begin
    child.wait()
    assert 0.3 < released < 5


def test_a_helper_that_does_not_end_is_named(
    lock: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(holders, "SILENCE", 0.1)
    monkeypatch.setattr(holders, "PATIENCE", 0.3)
    lock.parent.mkdir()
    lock.touch()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(process.Failure, match=rf"\(process {holder.pid}\) has been at work on this container for 0.3 s"):
            with process.Lock():
                pass
    finally:
        holder.kill()
        holder.wait()
    assert f"(process {holder.pid}), which is at work on this container\n" in capfd.readouterr().err
    with process.Lock():
        pass
