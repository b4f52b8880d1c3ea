"""What users may rely on of `run`: how a start, a sleep and a failure of the container go, whatever the engine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import control
import outcome
import pytest
import run
from fake_docker import FakeDocker
from fake_engine import NAME
from run_host import ENGINES, LISTENED_TO, Host, until


@pytest.fixture(params=ENGINES)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(request.param(tmp_path), tmp_path, monkeypatch)
    yield found
    found.close()


@pytest.fixture(params=LISTENED_TO)
def listening_host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(request.param(tmp_path), tmp_path, monkeypatch)
    yield found
    found.close()


def test_a_container_that_exits_while_it_starts_is_told_with_its_last_words(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.says(b"bind: \xff address already in use\n", 2)
        host.engine.exits(3)

    assert host.run(script) == 3
    said = capfd.readouterr().err
    assert 'ondemand-x: the container exited before it was ready; last output: "bind: \ufffd address' in said
    assert host.told == ["failed 1"] and outcome.last_end()[0] == 1


def test_clients_are_turned_away_before_the_engine_knows_of_the_exit(host: Host) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.refuses["look"] = "not yet"
        host.engine.dies()
        assert until(client, "failed") == ["failed", "1"]

    assert host.run(script) == 1, "this engine never knows"
    assert host.recorded()["ONDEMAND_REASON"] == "the container exited before it was ready; no output"


def test_an_engine_that_learns_late_of_the_exit_is_awaited(host: Host) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.dies()
        assert until(client, "failed") == ["failed", "1"], "before the engine knows"
        host.engine.hears("await_end")
        host.engine.exits(3)

    assert host.run(script) == 3
    assert host.recorded()["ONDEMAND_REASON"] == "the container exited with status 3 before it was ready; no output"


def test_a_container_that_ran_out_of_memory_is_reported(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.exits(137, out_of_memory=True)

    assert host.run(script) == 137
    assert "the container ran out of memory and was killed; raise 'memory'" in capfd.readouterr().err
    assert host.told == ["failed 1"]


def test_a_container_that_ran_out_of_memory_is_reported_though_the_engine_learns_of_it_after_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    engine = FakeDocker(tmp_path)
    engine.workload.memory, engine.is_late_about_memory = 32 << 20, True
    host = Host(engine, tmp_path, monkeypatch)

    def script(client: Any) -> None:
        until(client, "started")
        engine.exits(137)

    assert host.run(script) == 137
    assert "the container ran out of memory and was killed; raise 'memory'" in capfd.readouterr().err
    host.close()


def test_what_waitport_waited_for_in_vain_is_told_at_once_with_the_last_words(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.says(b"still at it\n")
        client.tell("failed timed out after 1 s waiting for a miracle")
        assert until(client, "failed") == ["failed", "1"], "before the container is stopped"
        host.engine.exits(0)

    assert host.run(script) == 1
    assert 'ondemand-x: timed out after 1 s waiting for a miracle; last output: "still at it"\n' in capfd.readouterr().err
    assert outcome.last_end()[0] == 1, "counted once"


@pytest.mark.parametrize(("has_proxy", "starts"), [(False, 1), (True, 0)])
def test_what_needs_its_proxy_has_it_started_where_none_has_come(
    host: Host, monkeypatch: pytest.MonkeyPatch, has_proxy: bool, starts: int,
) -> None:
    started: list[float] = []
    monkeypatch.setattr(run, "PROXY_PATIENCE", 0.1)
    monkeypatch.setattr(run, "start_proxy", lambda: started.append(time.monotonic()))
    monkeypatch.setattr(control.Server, "has_proxy", lambda _: has_proxy)

    def script(client: Any) -> None:
        until(client, "started")
        client.tell("listens")
        until(client, "ready")
        time.sleep(0.5)
        host.engine.exits(0)

    assert host.run(script, "--with-proxy") == 0
    assert len(started) == starts


def test_a_waitport_that_was_killed_fails_the_start_at_once(
    host: Host, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, held = os.pipe()
    monkeypatch.setattr(run, "wait_beside", lambda *_: (0, ended))

    def script(client: Any) -> None:
        until(client, "started")
        os.close(held)
        assert until(client, "failed") == ["failed", "1"]

    assert host.run(script, "--", "80") == 1
    said = capfd.readouterr().err
    assert "ondemand-x: the readiness check (waitport) was killed before the container was ready; no output\n" in said


def test_a_waitport_that_has_done_its_work_may_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, held = os.pipe()
    monkeypatch.setattr(run, "wait_beside", lambda *_: (0, ended))

    def script(client: Any) -> None:
        until(client, "started")
        client.tell("listens")
        os.close(held)
        until(client, "ready")
        host.engine.exits(0)

    assert host.run(script, "--", "80") == 0


def test_a_workload_that_is_left_as_it_is_is_not_stopped_with_its_service(
    listening_host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = listening_host
    monkeypatch.setattr("engines.Engine.is_left", lambda _: True)

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.term()

    assert host.run(script) == 0
    assert host.engine.workload.is_running and "stop" not in host.engine.asked


def test_an_engine_that_came_back_is_asked_again_to_stop_the_container(
    listening_host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = listening_host
    monkeypatch.setattr("run_life.STOP_RETRY", 1000.0)

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.refuses["stop"] = "shutting down"  # and nobody is there who would do it
        client.tell("idle")
        until(client, "stopping")
        host.engine.hears("stop")
        host.engine.loses_readers()
        host.engine.hears("stop", 2)
        del host.engine.refuses["stop"]
        host.engine.exits(143)

    assert host.run(script) == 0
    assert [word for word in host.engine.asked if word == "stop"] == ["stop"] * 2


def test_the_container_goes_on_while_its_engine_is_away_and_its_output_comes_again_with_the_engine(
    listening_host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    host = listening_host

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.says(b"before\n")
        host.engine.goes_away()
        host.engine.comes_back()
        assert host.engine.attached.wait(10)
        host.engine.says(b"after\n")
        client.tell("idle")

    assert host.run(script) == 0
    assert host.told == ["stopping"] and capfd.readouterr().out == "before\nafter\n"
    assert [word for word in host.engine.asked if word in ("begin", "output", "stop")] == ["output", "begin", "output", "stop"]


def test_an_engine_that_stays_away_is_a_failure(
    listening_host: Host, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    host = listening_host
    monkeypatch.setattr(run, "ENGINE_RETURN", 0.0)

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.goes_away()
        until(client, "failed")
        host.engine.comes_back()

    assert host.run(script) == 1
    said = capfd.readouterr().err
    assert f"ondemand-x: the {host.engine.engine().title} engine went away and did not come back within 0 s: " in said


@pytest.mark.parametrize("status", [137, 143])
def test_a_container_that_is_killed_or_stopped_by_hand_soon_after_it_was_ready_is_no_failed_start(
    host: Host, status: int,
) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.exits(status)

    assert host.run(script) == status
    assert host.told == [] and outcome.last_end()[0] == 0


def test_a_container_that_ends_by_a_signal_for_want_of_memory_is_a_failed_start(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.exits(137, out_of_memory=True)

    assert host.run(script) == 137
    assert host.told == ["failed 1"] and outcome.last_end()[0] == 1


@pytest.mark.parametrize("pauses", [False, True])
def test_a_container_that_is_removed_by_hand_soon_after_it_was_ready_is_no_failed_start(
    host: Host, pauses: bool, capfd: pytest.CaptureFixture[str],
) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        if pauses:
            client.tell("idle")
            until(client, "paused")
        life = host.engine.workload.life
        del host.engine.workloads[NAME]
        host.engine.end_of_life(life)
        host.engine.loses_readers()

    assert host.run(script, *(["--pause"] if pauses else [])) == 137
    assert host.told == [] and outcome.last_end()[0] == 0
    assert "ondemand-x: the container was removed while it ran; the next connection creates it again\n" in capfd.readouterr().err


def test_a_container_that_is_restarted_by_hand_is_another_life(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.end_of_life(host.engine.workload.life)
        if not host.engine.readers:  # `run` sees the end itself, and asks the engine
            host.engine.hears("await_end")
        host.engine.begin(NAME)
        host.engine.loses_readers()

    assert host.run(script) == 0
    assert host.told == [] and outcome.last_end()[0] == 0


def test_a_container_that_was_renamed_while_it_was_awake_is_put_to_sleep_all_the_same(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.rename(NAME, "elsewhere")
        client.tell("idle")

    assert host.run(script) == 0
    assert not host.engine.workloads["elsewhere"].is_running and host.told == ["stopping"]


@pytest.mark.parametrize("moment", ["declared_workload", "load", "attend"])
def test_whatever_goes_wrong_in_run_is_a_failed_start(
    host: Host, moment: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(run.Run, moment, fail)
    process = run.Run(host.engine.engine())
    client = control.Client()
    with pytest.raises(OSError, match="Too many") as error:
        process.run()
    while moment != "declared_workload" and not host.engine.workload.life:  # the engine was asked to begin, and does
        time.sleep(0.001)
    assert process.fail(error.value) == 1
    process.end()
    process.control.close()
    assert client.receive() == ["version", "2"]
    assert until(client, "failed") == ["failed", "1"], "at once"
    reason = "the program 'run' of this package failed: OSError: [Errno 24] Too many open files (test_run.py:"
    assert f"ondemand-x: {reason}" in capfd.readouterr().err
    assert outcome.last_end()[0] == 1 and host.recorded()["ONDEMAND_REASON"].startswith(reason)


def test_big_output_comes_through_whole(listening_host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    host = listening_host

    def script(client: Any) -> None:
        until(client, "started")
        for _ in range(64):
            host.engine.says(b"x" * 65535 + b"\n")
        client.tell("listens")
        until(client, "ready")
        host.engine.exits(0)

    assert host.run(script) == 0
    assert len(capfd.readouterr().out) == 64 * 65536


def test_an_idle_container_is_stopped(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")

    assert host.run(script) == 0
    assert host.told == ["stopping"] and "freeze" not in host.engine.asked


def test_an_idle_container_is_paused_and_woken_where_that_is_declared(listening_host: Host) -> None:
    host = listening_host

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        for _ in range(2):
            client.tell("idle")
            assert client.receive() == ["paused"] and host.engine.workload.is_paused
            client.tell("wake")
            assert client.receive() == ["ready", "127.0.0.1"] and not host.engine.workload.is_paused
        host.engine.exits(0)

    assert host.run(script, "--pause") == 0
    assert [word for word in host.engine.asked if word in ("output", "begin")] == ["output", "begin"], "only once"


def test_a_paused_container_is_unpaused_before_it_is_stopped(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")
        until(client, "paused")
        host.term()

    assert host.run(script, "--pause") == 0
    assert [word for word in host.engine.asked if word in ("freeze", "thaw", "stop")] == ["freeze", "thaw", "stop"]


def test_a_container_that_was_unpaused_by_hand_is_ready_all_the_same(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")
        until(client, "paused")
        host.engine.refuses["thaw"] = "it is not paused"
        client.tell("wake")
        until(client, "ready")
        host.engine.exits(0)

    assert host.run(script, "--pause") == 0


def test_where_the_host_cant_pause_the_container_is_stopped_and_that_is_told(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    host.engine.refuses["freeze"] = "no such file: freezer.state"

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")

    assert host.run(script, "--pause") == 0
    said = capfd.readouterr().err
    assert "ondemand-x: the container can't be paused (no such file: freezer.state); it is stopped instead\n" in said
    assert host.told == ["stopping"]


def test_a_container_that_another_one_requires_is_not_put_to_sleep(host: Host) -> None:
    def script(client: Any) -> None:
        other = host.client()
        other.tell("hold")
        client.tell("listens")
        assert until(other, "ready") and until(client, "ready")
        while not host.process.control.holders:
            time.sleep(0.001)
        client.tell("idle")
        assert client.receive() == ["ready", "127.0.0.1"] and host.engine.workload.is_running
        other.close()
        while host.process.control.holders:
            time.sleep(0.001)
        client.tell("idle")
        until(client, "stopping")

    assert host.run(script) == 0


def test_a_paused_container_wakes_for_one_that_requires_it(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")
        until(client, "paused")
        other = host.client()
        other.tell("hold")
        assert until(other, "ready")
        host.engine.exits(0)

    assert host.run(script, "--pause") == 0


def test_where_another_container_is_declared_meanwhile_the_service_of_a_paused_one_is_started_anew(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    restarts: list[str] = []
    monkeypatch.setattr(run, "restart_service", lambda: restarts.append("restarted"))

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")
        until(client, "paused")
        (tmp_path / "container.json").write_text(json.dumps({"spec": "e" * 64}))
        client.tell("wake")
        until(client, "renewing")
        host.engine.exits(0)

    assert host.run(script, "--pause") == 0
    assert restarts == ["restarted"]


@pytest.fixture
def by_log(host: Host, tmp_path: Path) -> Host:
    host.declare(tmp_path, {"text": "ready to åccept"})
    return host


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_text_that_makes_it_ready_may_come_in_pieces_and_among_other_bytes(by_log: Host, size: int) -> None:
    text = b"\xff\xfe ready to ready to " + "åccept".encode() + b" clients"

    def script(client: Any) -> None:
        until(client, "started")
        for start in range(0, len(text), size):
            by_log.engine.says(text[start:start + size])
            by_log.engine.says(b"stderr has a stream of its own", 2)
        assert until(client, "ready")
        by_log.engine.exits(0)

    assert by_log.run(script, "--log") == 0


def test_half_of_the_text_in_each_stream_is_not_the_text(by_log: Host) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        by_log.engine.says(b"ready to ")
        by_log.engine.says("åccept".encode(), 2)
        by_log.engine.exits(3)

    assert by_log.run(script, "--log") == 3
    assert by_log.told == ["failed 1"]


def test_a_container_that_runs_already_is_ready_where_its_log_has_the_text(by_log: Host) -> None:
    by_log.engine.starts()
    by_log.engine.workload.written = [(1, b"ready to "), (2, b"among others"), (1, "åccept".encode())]

    def script(client: Any) -> None:
        assert until(client, "ready")
        by_log.engine.exits(0)

    assert by_log.run(script, "--log") == 0


@pytest.mark.parametrize("argv", [["x"], ["--require"], ["--pause", "--what"]])
def test_a_call_that_makes_no_sense_shows_how_to_call_it(host: Host, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(argv, host.engine.engine()) == 2
    assert capsys.readouterr().err == (
        "Usage: run [--pause] [--log] [--require NAME]... [--network-of NAME] [--exclude NAME SECONDS]... [--metrics DIRECTORY]\n"
        "           [--companion [--with-clients]] [--with-proxy] [--started] [-- ARGUMENT...]\n")
