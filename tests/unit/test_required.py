"""What users may rely on of `requires`: another container is awaited until it is ready, and given up when it can't be had."""

from __future__ import annotations

import json
import select
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import control
import outcome
import pytest
import required as helper
from process import Failure


class Other:
    """The `run` of the container "db"."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control, "CONTROL", str(directory / "db/control"))
        monkeypatch.setattr(outcome, "END", str(directory / "db/end"))
        self.server: Any = None
        self.heard: list[str] = []

    def starts(self, *told: str) -> None:
        """Come up, hear one that holds it, tell, and end where the last that is told is a failure."""
        self.server = control.Server()

        def serve() -> None:
            while not self.server.holders:
                poll = select.poll()
                for descriptor in self.server.descriptors():
                    poll.register(descriptor, select.POLLIN)
                self.heard += [words for descriptor, _ in poll.poll(1000) if (words := self.server.heard(descriptor))]
            for words in told:
                self.server.tell(words)
            if told[-1] in ("failed 1", "stopping"):
                if told[-1] == "failed 1":
                    outcome.tell_end(1)
                for connection in [*self.server.listeners.values(), *self.server.clients.values()]:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()


@pytest.fixture
def required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "db").mkdir()
    monkeypatch.setattr(helper, "HELPERS", f"{tmp_path}/")
    monkeypatch.setattr(helper, "STATE", f"{tmp_path}/")
    return helper


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Other:
    return Other(tmp_path, monkeypatch)


@pytest.fixture
def wakes(required: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(required, "wake", found.append)
    return found


def test_it_is_awaited_until_it_is_ready_and_held(required: ModuleType, other: Other, wakes: list[str]) -> None:
    other.starts("started 172.17.0.2 42", "ready 172.17.0.2")
    connection = required.await_ready("db", False)
    assert other.heard == ["hold"] and wakes == []
    connection.close()


def test_it_may_come_later(required: ModuleType, other: Other, wakes: list[str]) -> None:
    threading.Timer(0.05, other.starts, ["ready 172.17.0.2"]).start()
    required.await_ready("db", False).close()
    assert wakes == []


@pytest.mark.parametrize(("requires", "way"), [
    ({"db": ["web"]}, "web -> db -> web"),
    ({"db": ["cache"], "cache": ["web"]}, "web -> db -> cache -> web"),
    ({"db": ["cache", "queue"], "cache": ["queue"], "queue": ["cache", "web"]}, "web -> db -> queue -> web"),
])
def test_a_circle_over_packages_built_apart_is_told_with_its_way(
    required: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: dict[str, list[str]], way: str,
) -> None:
    declare(tmp_path, requires)
    monkeypatch.setattr(required, "NAME", "web")
    with pytest.raises(Failure) as told:
        required.refuse_cycle(["db"])
    assert str(told.value) == (f"dependency cycle ({way}): none of these containers can start; "
                               "install one of the packages without its 'requires'")


@pytest.mark.parametrize("requires", [{}, {"db": []}, {"db": ["cache", "queue"], "cache": ["queue"], "queue": []},
                                      {"db": ["cache"], "cache": ["db"]}])
def test_requirements_that_lead_not_back_are_no_circle(
    required: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: dict[str, list[str]],
) -> None:
    declare(tmp_path, requires)
    monkeypatch.setattr(required, "NAME", "web")
    required.refuse_cycle(["db"])


def waking(wakes: list[str], other: Other) -> Callable[[str], None]:
    """Return what wakes the other container, and notes that."""
    def wake(name: str) -> None:
        wakes.append(name)
        other.starts("ready 172.17.0.2")

    return wake


def declare(directory: Path, requires: dict[str, list[str]]) -> None:
    for name, others in requires.items():
        (directory / name).mkdir(exist_ok=True)
        (directory / name / "container.json").write_text(json.dumps({"requires": others} if others else {}))


def test_one_that_was_just_put_to_sleep_is_woken_once_more(
    required: ModuleType, other: Other, wakes: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    other.starts("stopping")
    monkeypatch.setattr(required, "wake", waking(wakes, other))
    required.await_ready("db", False).close()
    assert wakes == ["db"]


def test_one_that_nobody_has_woken_is_woken(required: ModuleType, wakes: list[str], monkeypatch: pytest.MonkeyPatch,
                                            other: Other) -> None:
    monkeypatch.setattr(required, "wake", waking(wakes, other))
    required.await_ready("db", True).close()
    assert wakes == ["db"]


def test_one_that_fails_is_given_up_with_the_place_of_its_reason(
    required: ModuleType, other: Other, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(required, "last_end", lambda _: outcome.last_end())
    other.starts("failed 1")
    with pytest.raises(Failure, match="the required container 'db' could not be started; see 'journalctl -u "
                                      "ondemand-db-container'$"):
        required.await_ready("db", False)


def test_one_that_never_comes_is_given_up(required: ModuleType, wakes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(required, "PATIENCE", 0.05)
    monkeypatch.setattr(required, "SURPRISE", 0.02)
    with pytest.raises(Failure, match="could not be started"):
        required.await_ready("db", False)
    assert wakes == ["db"]


def test_one_that_is_not_installed_is_told_with_the_remedy(required: ModuleType) -> None:
    with pytest.raises(Failure, match="the required container 'c\\+\\+' is not installed; install ondemand-c\\+\\+"):
        required.await_ready("c++", False)
