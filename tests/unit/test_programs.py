"""What helpers may rely on when they start other programs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import programs
import pytest


@pytest.fixture
def reaped() -> Iterator[None]:
    """Let the kernel reap children, as `run` does while its container is awake."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


def children() -> str:
    with open(f"/proc/self/task/{os.getpid()}/children") as stream:
        return stream.read()


@pytest.mark.parametrize(("argv", "succeeds"), [(["true"], True), (["false"], False), (["/nothing/here"], False)])
def test_whether_a_program_succeeded_is_known(argv: list[str], succeeds: bool) -> None:
    assert programs.wait(programs.start(argv)) == succeeds


@pytest.mark.usefixtures("reaped")
def test_where_the_kernel_reaps_it_a_program_is_awaited_all_the_same() -> None:
    readable, writable = os.pipe()
    assert programs.wait(programs.start(["sh", "-c", "sleep 0.1; echo done >&2"], writable))
    os.close(writable)
    assert os.read(readable, 100) == b"done\n"
    os.close(readable)


def test_nothing_of_this_process_goes_on_in_a_program(tmp_path: Path) -> None:
    readable, writable = os.pipe()
    with (tmp_path / "kept-to-itself").open("w"):
        assert programs.wait(programs.start(["sh", "-c", "ls -l /proc/self/fd >&2"], writable))
    os.close(writable)
    listed = os.read(readable, 10000).decode()
    assert "pipe:" in listed and "kept-to-itself" not in listed
    os.close(readable)


def test_one_that_nobody_waits_for_leaves_no_child_behind() -> None:
    before = children()
    programs.start_alone(["sleep", "0"])
    programs.start_alone(["/nothing/here"])
    assert children() == before
