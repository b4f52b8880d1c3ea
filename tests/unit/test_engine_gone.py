"""What users may rely on where the engine refuses, hangs or goes away, whatever the engine."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import children
import container
import other_engine
import outcome
import pytest
import run
import run_life
import vigil
from engines import EngineLeft, docker, docker_api
from fake_docker import FakeDocker
from fake_engine import NAME
from process import ENGINE_LEFT, Failure
from run_host import ENGINES, LISTENED_TO, Host, until


@pytest.fixture(params=ENGINES)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(request.param(tmp_path), tmp_path, monkeypatch)
    monkeypatch.setattr(run_life, "STOP_RETRY", 0.02)
    monkeypatch.setattr(vigil, "OUTPUT_PATIENCE", 0.1)
    monkeypatch.setattr(vigil, "LIFE_LOOK", 0.02)
    monkeypatch.setattr(vigil, "END_PATIENCE", 0.2)
    yield found
    found.close()


@pytest.fixture(params=LISTENED_TO)
def fallible_host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """Return one whose engine takes its workloads with it."""
    found = Host(request.param(tmp_path), tmp_path, monkeypatch)
    yield found
    found.close()


def awake(client: Any) -> None:
    until(client, "started")  # before, nobody can have seen it listen
    listens(client)


def listens(client: Any) -> None:
    client.tell("listens")
    until(client, "ready")


# Refusing


def test_an_engine_that_refuses_to_stop_the_container_is_asked_until_it_does(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    def script(client: Any) -> None:
        awake(client)
        host.engine.refuses["stop"] = "containerd is not there"
        client.tell("idle")
        host.engine.hears("stop", 3)
        del host.engine.refuses["stop"]

    assert host.run(script) == 0
    assert host.told == ["stopping"] and not host.engine.workload.is_running
    said = "ondemand-x: the container can't be stopped yet (containerd is not there); the engine is asked again\n"
    assert capfd.readouterr().err.count(said) == 1


def test_the_same_where_it_was_not_ready_in_time(host: Host) -> None:
    host.engine.refuses["stop"] = "containerd is not there"

    def script(client: Any) -> None:
        until(client, "started")
        client.tell("failed it takes too long")
        host.engine.hears("stop", 3)
        del host.engine.refuses["stop"]

    assert host.run(script) == 1


def test_a_container_whose_process_is_dead_has_ended_whatever_the_engine_says(host: Host) -> None:
    """The engine refuses the stop, takes the container for running, and closes nothing."""
    def script(client: Any) -> None:
        awake(client)
        host.engine.refuses["stop"] = "containerd is not there"
        client.tell("idle")
        host.engine.hears("stop")
        host.engine.end_of_life(host.engine.workload.life)

    began = time.monotonic()
    assert host.run(script) in (0, 128 + 9)
    assert time.monotonic() - began < 5
    assert host.told == ["stopping"] and outcome.last_end()[0] == 0 and host.engine.workload.is_running


def test_a_container_that_dies_while_it_starts_is_told_though_the_engine_never_knows(host: Host) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.end_of_life(host.engine.workload.life)
        assert until(client, "failed") == ["failed", "1"]

    assert host.run(script) == 128 + 9


def test_the_container_of_a_life_that_the_engine_takes_for_running_is_started(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    host.engine.end_of_life(host.engine.starts())
    begun = host.engine.asked.count("begin")

    def script(client: Any) -> None:
        awake(client)
        host.engine.exits(0)

    assert host.run(script) == 0
    assert host.engine.asked.count("stop") == 1 and host.engine.asked.count("begin") == begun + 1
    assert "engine does not know yet that the container has ended\n" in capfd.readouterr().err


def test_where_the_engine_never_knows_that_is_told_with_the_remedy(
    host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "ENGINE_RETURN", 0.1)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    host.engine.refuses["stop"] = "containerd is not there"
    host.engine.end_of_life(host.engine.starts())
    process = run.Run(host.engine.engine())
    with pytest.raises(Failure, match="takes the container for running, though its process has ended; restart the engine"):
        process.run()
    process.control.close()


def test_a_container_that_is_dead_is_not_stopped_after_its_life(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container, "STATE", str(tmp_path / "nothing"))
    monkeypatch.setattr(container, "WORKLOAD", NAME)
    life = host.engine.starts()
    assert container.stop(host.engine.engine()) == 0 and host.engine.asked.count("stop") == 1
    life = host.engine.starts()
    host.engine.end_of_life(life)
    assert container.stop(host.engine.engine()) == 0 and host.engine.asked.count("stop") == 1


# Hanging


@pytest.mark.parametrize("words", [("look",), ("await_end",), ("stop",), ("look", "await_end", "stop")], ids="+".join)
def test_a_container_that_ends_under_an_engine_that_hangs_has_ended(
    host: Host, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "ENGINE_RETURN", 0.3)

    def script(client: Any) -> None:
        awake(client)
        host.engine.hangs |= set(words)
        client.tell("idle")
        host.engine.hears("stop")
        host.engine.end_of_life(host.engine.workload.life)

    began = time.monotonic()
    host.run(script)
    assert time.monotonic() - began < 8
    assert host.told == ["stopping"] and outcome.last_end()[0] == 0


def test_a_pause_that_hangs_becomes_a_stop(
    host: Host, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    for module in (docker, other_engine):
        monkeypatch.setattr(module, "PATIENCE", 0.1)

    def script(client: Any) -> None:
        awake(client)
        host.engine.hangs.add("freeze")
        client.tell("idle")

    assert host.run(script, "--pause") == 0
    assert host.told == ["stopping"] and "the container can't be paused (" in capfd.readouterr().err


# Going away


@pytest.mark.parametrize("word", ["look", "output", "begin"])
def test_a_start_over_which_the_engine_goes_away_is_asked_for_again(host: Host, word: str) -> None:
    if word == "output" and host.engine.engine().word == "podman":
        word = "begin"  # nobody asks for its output
    host.engine.leaves[word] = 1

    def script(client: Any) -> None:
        while host.engine.leaves[word]:
            time.sleep(0.001)
        host.engine.attached.wait(10)
        awake(client)
        host.engine.exits(0)

    assert host.run(script) == 0
    assert host.told == [] and outcome.last_end()[0] == 0


def test_a_container_that_a_restarted_engine_has_killed_before_it_was_seen_to_run_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine has answered the start, and the next one is asked how it went."""
    engine = FakeDocker(tmp_path)
    host = Host(engine, tmp_path, monkeypatch)
    hear, lives = engine.hear, iter([True])

    def hear_next(word: str) -> None:
        if word == "look" and engine.workload.is_running and next(lives, False):
            engine.leaves_for_good()
            engine.workload.status, engine.workload.life = 137, ""
            engine.comes_back()
        hear(word)

    monkeypatch.setattr(engine, "hear", hear_next)

    def script(client: Any) -> None:
        while engine.asked.count("begin") < 2:
            time.sleep(0.001)
        awake(client)
        engine.exits(0)

    assert host.run(script) == 0
    assert host.told == [] and outcome.last_end()[0] == 0
    host.close()


def test_a_container_that_is_being_made_when_the_engine_goes_away_is_made_once_it_is_back(
    host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    workload = host.engine.workloads.pop(NAME)
    attempts = []

    def make() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise EngineLeft("it went away")
        host.engine.workloads[NAME] = workload

    monkeypatch.setattr(run, "make_container", make)

    def script(client: Any) -> None:
        awake(client)
        host.engine.exits(0)

    assert host.run(script) == 0
    assert len(attempts) == 2 and host.told == [] and outcome.last_end()[0] == 0


def test_a_container_that_the_engine_has_made_in_part_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(FakeDocker(tmp_path), tmp_path, monkeypatch)
    host.engine.workload.is_spoilt = True
    monkeypatch.setattr(run, "make_container", lambda: setattr(host.engine.workload, "is_spoilt", False))

    def script(client: Any) -> None:
        awake(client)
        assert not host.engine.workload.is_spoilt
        host.engine.exits(0)

    assert host.run(script) == 0
    host.close()


@pytest.mark.parametrize(("status", "error"), [(1, children.Told), (ENGINE_LEFT, EngineLeft)])
def test_whether_the_engine_went_away_while_the_container_was_made_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception],
) -> None:
    monkeypatch.setattr(children, "HERE", str(tmp_path))
    (tmp_path / "container").write_text(f"#!/bin/sh\necho 'ondemand-x: for a reason' >&2; exit {status}\n")
    (tmp_path / "container").chmod(0o755)
    with pytest.raises(error, match="^for a reason$"):
        children.make_container()


def test_clients_of_a_start_are_held_while_the_engine_restarts_and_the_container_is_started_again(
    fallible_host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    host = fallible_host

    def script(client: Any) -> None:
        first = until(client, "started")
        for _ in range(2):
            host.engine.restarts()
            assert until(client, "started") != first
        late = host.client()
        assert until(late, "started")[2] == host.engine.workload.life, "the first life is forgotten"
        listens(client)
        host.engine.exits(0)

    assert host.run(script) == 0
    assert host.told == [] and host.engine.asked.count("begin") == 3 and outcome.last_end()[0] == 0
    said = "the engine went away while the container was starting; it is started again once the engine is back\n"
    assert capfd.readouterr().err.count(said) == 2


def test_a_container_that_outlives_the_engine_while_it_starts_is_awaited_as_before(fallible_host: Host) -> None:
    host = fallible_host

    def script(client: Any) -> None:
        until(client, "started")
        host.engine.goes_away()
        host.engine.comes_back()
        host.engine.attached.wait(10)
        listens(client)
        host.engine.exits(0)

    assert host.run(script) == 0
    assert host.told == [] and host.engine.asked.count("begin") == 1


def test_clients_of_a_start_are_held_no_longer_than_the_container_may_take(
    fallible_host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = fallible_host
    monkeypatch.setattr(run, "wait_beside", lambda *_: (0, os.pipe()[0]))
    monkeypatch.setattr(run, "end_child", lambda *_: None)

    def script(client: Any) -> None:
        until(client, "started")
        host.engine.leaves_for_good()
        assert until(client, "failed") == ["failed", "1"]
        host.engine.comes_back()

    began = time.monotonic()
    assert host.run(script, "--", "--timeout", "0.5", "80") == 1
    assert 0.4 < time.monotonic() - began < 5


def test_a_service_that_is_stopped_while_the_engine_is_awaited_ends(fallible_host: Host) -> None:
    host = fallible_host

    def script(client: Any) -> None:
        until(client, "started")
        host.engine.leaves_for_good()
        host.term()

    assert host.run(script) == 0
    host.engine.comes_back()
    assert host.told == [] and outcome.last_end()[0] == 0


def test_a_container_that_the_engine_takes_along_soon_after_it_was_ready_is_no_failed_start(fallible_host: Host) -> None:
    host = fallible_host

    def script(client: Any) -> None:
        awake(client)
        host.engine.restarts()
        host.engine.workload.status = 1

    assert host.run(script) in (1, 143)
    assert host.told == [] and outcome.last_end()[0] == 0


def test_the_readiness_check_of_a_start_that_is_begun_again_says_nothing_more() -> None:
    ended, held = os.pipe()
    child = subprocess.Popen(["sleep", "1000"], pass_fds=[held])
    os.close(held)
    children.end_child(child.pid, ended)
    assert child.wait() == -9


@pytest.mark.parametrize(("answer", "has_left"), [
    (b"", True), (b"HTTP/1.0 200 OK\r\n\r\n", True), (b'HTTP/1.0 200 OK\r\n\r\n{"Type":"daemon"}', True),
    (b'HTTP/1.0 403 Forbidden\r\n\r\n{"message":"no events for you"}', False)])
def test_an_answer_that_ends_is_the_end_of_the_engine(answer: bytes, has_left: bool) -> None:
    ours, engine = socket.socketpair()
    events = docker_api.Events(ours)
    assert not events.has_left()
    engine.sendall(answer)
    assert not events.has_left(), "it goes on"
    engine.close()
    assert events.has_left() == has_left
    events.close()
