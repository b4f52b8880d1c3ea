"""What the limit of starts promises: only so many at one time, nobody left out, and nobody who waits for what hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import outcome
import pytest
import starts

HELPERS = Path(starts.__file__).parent
# Takes a place, says so, and gives it back, or ends, when it is told to.
PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
import starts
starts.LOCKS, starts.STARTS = sys.argv[2], sys.argv[2] + "/starts"
starts.places = lambda: 2
place = starts.Place()
print(place.take(lambda: None), flush=True)
sys.stdin.readline()
place.give_back()
print("given back", flush=True)
sys.stdin.readline()
"""


class Starting:
    """A process that starts a workload."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(HELPERS), str(directory)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def has_place(self) -> bool:
        """Wait until it has a place."""
        assert self.process.stdout is not None
        return self.process.stdout.readline() == "True\n"

    def give_back(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "given back\n"

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> starts.Place:
    """Return a place of this process, on a host where two may start."""
    monkeypatch.setattr(starts, "LOCKS", str(tmp_path))
    monkeypatch.setattr(starts, "STARTS", str(tmp_path / "starts"))
    monkeypatch.setattr(starts, "places", lambda: 2)
    monkeypatch.setattr(starts, "LOOK", 0.001)
    return starts.Place()


@pytest.fixture
def others(tmp_path: Path, place: starts.Place) -> Iterator[list[Starting]]:
    """Yield two others, which have both places."""
    found = [Starting(tmp_path) for _ in range(2)]
    assert all(one.has_place() for one in found)
    yield found
    for one in found:
        one.end()


@pytest.mark.parametrize("how", ["gives it back", "is killed"])
def test_one_more_waits_until_another_has_started_or_has_ended(place: starts.Place, others: list[Starting], how: str) -> None:
    looks: list[int] = []

    def heed() -> None:
        looks.append(1)
        if len(looks) == 20:
            if how == "is killed":
                others[0].process.send_signal(signal.SIGKILL)
            else:
                others[0].give_back()

    assert place.take(heed)
    assert len(looks) >= 20


def test_where_no_place_becomes_free_it_goes_on_without(
        place: starts.Place, others: list[Starting], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [outcome.now()]
    monkeypatch.setattr("starts.now", lambda: clock[0])

    def heed() -> None:
        clock[0] += 1.0

    begin = clock[0]
    assert not place.take(heed)
    assert clock[0] - begin >= starts.STANDSTILL
    assert place.descriptor is None


def test_it_waits_as_long_as_places_become_free_for_others(
        place: starts.Place, others: list[Starting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [outcome.now()]
    monkeypatch.setattr("starts.now", lambda: clock[0])
    passed: list[float] = []

    def heed() -> None:
        clock[0] += starts.STANDSTILL / 2
        passed.append(clock[0])
        if len(passed) < 10:  # another one took a place just now
            Path(tmp_path, "starts").write_text(f"{clock[0]:020.3f}")
        elif len(passed) == 10:
            others[1].give_back()

    assert place.take(heed)
    assert len(passed) >= 10


def test_the_place_is_given_back_once_it_is_ready_or_has_started_long_ago(
        place: starts.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("starts.time.monotonic", lambda: clock[0])
    assert place.take(lambda: None)
    assert place.see_to(is_ready=False) is None  # the engine is at work
    place.has_started()
    assert place.see_to(is_ready=False) == int(1000 * starts.HOLD) + 1
    assert place.descriptor is not None
    clock[0] += starts.HOLD
    assert place.see_to(is_ready=False) is None and place.descriptor is None

    assert place.take(lambda: None)
    place.has_started()
    assert place.see_to(is_ready=True) is None and place.descriptor is None


def test_a_large_host_starts_more_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert starts.places() == starts.FEWEST
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert starts.places() == 128
