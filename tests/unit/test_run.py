"""What users may rely on of `run`: how a start, a sleep and a failure of the container go, and what is told of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, piece
from helpers import load

SPEC = "f" * 64


class Host:
    """A host on which `run` can be started; ``say`` and ``hear`` are those of waitport and the proxy."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = FakeEngine(directory)
        self.module = module = load("run")
        self.control = load("control.py")
        for name in ("CONTROL", "END"):
            monkeypatch.setitem(module.Server.__init__.__globals__, name, str(directory / name))
            monkeypatch.setattr(self.control, name, str(directory / name))
        self.declare(directory, {})
        monkeypatch.setitem(module.specification.__globals__, "DECLARATION", str(directory / "container.json"))
        real = module.Engine
        monkeypatch.setattr(module, "Engine", lambda: real(self.engine.path))
        monkeypatch.setattr(module, "Lock", contextlib.nullcontext)
        monkeypatch.setattr(module.Service, "heed_stop_requests", lambda _: None)
        monkeypatch.setitem(sys.modules, "record", record := load("record.py"))
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(str(directory / "journal"))
        self.journal.settimeout(10)
        monkeypatch.setattr(record, "JOURNAL", str(directory / "journal"))
        self.told: list[str] = []
        self.service: Any = None

    def declare(self, directory: Path, ready: dict[str, Any]) -> None:
        (directory / "container.json").write_text(json.dumps({"ready": ready, "spec": SPEC}))

    def run(self, script: Callable[[Any], None], *argv: str) -> int:
        """Run it to its end; ``script`` is what happens meanwhile, on a connection of another helper."""
        failures: list[BaseException] = []

        def act() -> None:
            self.engine.attached.wait(10)
            try:
                script(client := self.client())
                while words := client.receive():
                    self.told.append(" ".join(words))
            except BaseException as failure:
                failures.append(failure)
                self.engine.exits(99)

        thread = threading.Thread(target=act)
        self.service = service = self.module.Service(*self.module.arguments(list(argv)))
        thread.start()
        try:
            status = service.run()
        except (self.module.Failure, self.module.EngineError, self.module.EngineDown) as error:
            self.module.say(str(error))
            status = 1
        service.end(status)
        for connection in [service.control.listener, *service.control.clients.values()]:
            connection.close()
        thread.join()
        if failures:
            raise failures[0]
        return int(status)

    def recorded(self) -> dict[str, str]:
        """Return the next record, by its fields."""
        lines = self.journal.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def client(self) -> Any:
        client = self.control.Client()
        client.socket.settimeout(10)
        return client


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(tmp_path, monkeypatch)
    yield found
    found.engine.close()
    found.journal.close()


def until(client: Any, word: str) -> list[str]:
    """Hear until a word is told; return its packet."""
    while (words := client.receive())[0] != word:
        pass
    return list(words)


def test_a_container_that_exits_while_it_starts_is_told_with_its_last_words(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.says(b"bind: \xff address already in use\n", 2)
        host.engine.exits(3)

    assert host.run(script) == 3
    said = capfd.readouterr().err
    assert 'ondemand-x: the container exited before it was ready and said last: "bind: \ufffd address' in said
    assert host.told == ["failed 1"] and host.control.last_end()[0] == 1


def test_clients_are_turned_away_before_the_engine_knows_of_the_exit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = True
    monkeypatch.setattr(host.module, "alive", lambda _: alive)

    def script(client: Any) -> None:
        nonlocal alive
        until(client, "started")
        host.engine.answers["json"] = (500, {"message": "not yet"})
        alive = False
        host.engine.exits(3)
        assert until(client, "failed") == ["failed", "1"]

    assert host.run(script) == 1, "this engine never knows"
    assert host.recorded()["ONDEMAND_REASON"] == "the container exited before it was ready and said nothing"


def test_a_container_killed_for_want_of_memory_is_told_so(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.exits(137, OOMKilled=True)

    assert host.run(script) == 137
    assert "killed for want of memory; declare more with the key 'memory'" in capfd.readouterr().err
    assert host.told == ["failed 1"]


def test_what_waitport_waited_for_in_vain_is_told_at_once_with_the_last_words(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    def script(client: Any) -> None:
        until(client, "started")
        host.engine.says(b"still at it\n")
        client.tell("failed waited 1 s for a miracle")
        assert until(client, "failed") == ["failed", "1"], "before the container is stopped"
        host.engine.exits(0)

    assert host.run(script) == 1
    assert 'ondemand-x: waited 1 s for a miracle; it said last: "still at it"\n' in capfd.readouterr().err
    assert host.control.last_end()[0] == 1, "counted once"


def test_a_waitport_that_was_killed_fails_the_start_at_once(
    host: Host, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended, held = os.pipe()
    monkeypatch.setattr(host.module, "wait_beside", lambda _: ended)

    def script(client: Any) -> None:
        until(client, "started")
        os.close(held)
        assert until(client, "failed") == ["failed", "1"]

    assert host.run(script, "--", "80") == 1
    assert "ondemand-x: waitport was killed before the container was ready\n" in capfd.readouterr().err


def test_a_waitport_that_has_done_its_work_may_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, held = os.pipe()
    monkeypatch.setattr(host.module, "wait_beside", lambda _: ended)

    def script(client: Any) -> None:
        until(client, "started")
        client.tell("listens")
        os.close(held)
        until(client, "ready")
        host.engine.exits(0)

    assert host.run(script, "--", "80") == 0


def test_an_engine_that_came_back_is_asked_again_to_stop_the_container(host: Host) -> None:
    host.service = service = host.module.Service()
    service.stop_requests.append(None)
    host.engine.state["Running"] = True
    service.attach_again(paused=True)
    host.module.read_answer(service.stop_requests[-1])
    assert host.engine.asked[0].endswith("/unpause") and host.engine.asked[-1].endswith("/stop")
    service.control.listener.close()


def test_big_output_comes_through_whole(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
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
    assert host.told == ["stopping"] and "POST /containers/ondemand-x/pause" not in host.engine.asked


def test_an_idle_container_is_paused_and_woken_where_that_is_declared(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        for _ in range(2):
            client.tell("idle")
            assert client.receive() == ["paused"] and host.engine.state["Paused"]
            client.tell("wake")
            assert client.receive() == ["ready", "127.0.0.1"] and not host.engine.state["Paused"]
        host.engine.exits(0)

    assert host.run(script, "--pause") == 0
    assert [asked for asked in host.engine.asked if "start" in asked or "attach" in asked] == [
        "POST /containers/ondemand-x/attach", "POST /containers/ondemand-x/start"], "only once"


def test_a_paused_container_is_unpaused_before_it_is_stopped(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")
        until(client, "paused")
        # As systemd's signal has it: in the thread that hears of the container's end.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: host.service.request_stop())
    try:
        assert host.run(script, "--pause") == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [asked.rpartition("/")[2] for asked in host.engine.asked if asked.endswith(("pause", "stop"))] == [
        "pause", "unpause", "stop"]


def test_a_container_that_was_unpaused_by_hand_is_ready_all_the_same(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")
        until(client, "paused")
        host.engine.answers["unpause"] = 409, {"message": "Container is not paused"}
        client.tell("wake")
        until(client, "ready")
        host.engine.exits(0)

    assert host.run(script, "--pause") == 0


def test_where_the_host_cant_pause_the_container_is_stopped_and_that_is_told(
    host: Host, capfd: pytest.CaptureFixture[str],
) -> None:
    host.engine.answers["pause"] = 500, {"message": "no such file: freezer.state"}

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
        while not host.service.control.holders:
            time.sleep(0.001)
        client.tell("idle")
        assert client.receive() == ["ready", "127.0.0.1"] and host.engine.state["Running"]
        other.close()
        while host.service.control.holders:
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
    monkeypatch.setattr(host.module, "restart_service", lambda: restarts.append("restarted"))

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
def by_log(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host.declare(tmp_path, {"text": "ready to åccept"})
    monkeypatch.setitem(sys.modules, "logcheck", logcheck := load("logcheck.py"))
    monkeypatch.setitem(logcheck.readiness.__globals__, "DECLARATION", str(tmp_path / "container.json"))
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
    by_log.engine.state["Running"] = True
    by_log.engine.log = piece(b"ready to ") + piece("åccept".encode())

    def script(client: Any) -> None:
        assert until(client, "ready")
        by_log.engine.exits(0)

    assert by_log.run(script, "--log") == 0


@pytest.mark.parametrize("argv", [["x"], ["--require"], ["--pause", "--what"]])
def test_a_call_that_makes_no_sense_shows_how_to_call_it(host: Host, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert host.module.main(argv) == 2
    assert capsys.readouterr().err == "Usage: run [--pause] [--log] [--require NAME]... [--metrics DIRECTORY] [-- ARGUMENT...]\n"


@pytest.fixture
def proxied(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which the helper that connects is heard as the proxy too."""
    words = ("listens", "failed", "idle", "wake", "client", "answered")
    monkeypatch.setitem(host.module.Server.__init__.__globals__, "_allowed", lambda _: words)
    return host


def test_each_wake_is_recorded_with_its_own_client_those_of_a_paused_container_too(proxied: Host) -> None:
    def script(client: Any) -> None:
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        client.tell(f"client 192.0.2.1 {begin - 1000}")
        client.tell("listens")
        until(client, "ready")
        client.tell(f"answered {time.clock_gettime(time.CLOCK_BOOTTIME)}")
        first = proxied.recorded()
        assert first["MESSAGE"].startswith("woken by 192.0.2.1 in ") and int(first["ONDEMAND_TOTAL_MS"]) >= 1000 * 1000
        client.tell("idle")
        until(client, "paused")
        client.tell(f"client 192.0.2.2 {time.clock_gettime(time.CLOCK_BOOTTIME)}")
        client.tell("wake")
        until(client, "ready")
        client.tell("idle")  # before anything was answered
        until(client, "paused")
        second = proxied.recorded()
        assert second["ONDEMAND_CLIENT"] == "192.0.2.2" and "ONDEMAND_FIRST_BYTE_MS" not in second
        proxied.engine.exits(0)

    assert proxied.run(script, "--pause") == 0


def test_a_wake_of_which_no_client_is_known_is_recorded_after_a_moment(
    host: Host, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(host.module.Steps.see_to_record.__globals__, "CLIENT_PATIENCE", 0.01)

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        assert host.recorded()["MESSAGE"].startswith("woken without a client in ")
        host.engine.exits(0)

    assert host.run(script) == 0


def test_a_failed_wake_is_recorded_with_what_was_said_of_it(proxied: Host) -> None:
    def script(client: Any) -> None:
        client.tell(f"client 192.0.2.1 {time.clock_gettime(time.CLOCK_BOOTTIME) - 1000}")
        until(client, "started")
        proxied.engine.says(b"no disk\n", 2)
        proxied.engine.exits(3)

    assert proxied.run(script) == 3
    record = proxied.recorded()
    assert record["MESSAGE"] == "the wake by 192.0.2.1 failed" and record["ONDEMAND_FAILURES"] == "1"
    assert record["ONDEMAND_REASON"] == 'the container exited with status 3 before it was ready and said last: "no disk"'


def test_a_container_that_was_ready_and_ends_soon_is_recorded_as_both(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.exits(3)

    assert host.run(script) == 3
    assert host.recorded()["MESSAGE"].startswith("woken ")
    assert host.recorded()["ONDEMAND_REASON"] == "the container ended with status 3 soon after it was ready"
