"""What is known of the memory of a workload."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import memory
import pytest

# A process and its child, each of which holds 20 MiB of its own; it says when both do.
HOLDERS = """
import os, sys
readable, writable = os.pipe()
child = os.fork()
block = bytearray(os.urandom(1)) * (20 << 20)
os.write(writable, b"x")
if child:
    os.read(readable, 1), os.read(readable, 1)
    print("both", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holders() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-ISc", HOLDERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"both\n"
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("large", [memory.LARGE, 0], ids=["by PSS", "by what it does not share"])
def test_what_a_process_and_its_children_hold_is_counted(holders: int, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(memory, "LARGE", large)
    monkeypatch.setattr(memory, "PATIENCE", 10.0)
    held = memory.held_by(holders)
    assert held is not None and 40 << 20 < held < 80 << 20


def test_what_takes_too_long_is_not_known(holders: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PATIENCE", -1.0)
    assert memory.held_by(holders) is None


def test_more_processes_than_are_looked_at_are_not_known(holders: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_PROCESSES", 0)
    assert memory.held_by(holders) is None


def test_a_process_that_has_ended_holds_nothing_that_is_known() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert memory.held_by(child) is None
