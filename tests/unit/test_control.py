"""What the helpers may rely on of what they tell each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import control as helper
import outcome
import pytest


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(helper, "CONTROL", str(tmp_path / "control"))
    monkeypatch.setattr(outcome, "END", str(tmp_path / "end"))
    monkeypatch.setattr(outcome, "OVER", str(tmp_path / "over"))
    monkeypatch.setattr(outcome, "AWAKE", str(tmp_path / "awake"))
    monkeypatch.setattr(outcome, "BEGUN", str(tmp_path / "begun"))
    return helper


def greeted(client: Any) -> bool:
    """Return whether `run` says first which version of the words it speaks."""
    return bool(client.receive() == ["version", "2"])


def heard(server: Any, descriptors: list[int]) -> list[str]:
    return [words for descriptor in descriptors if (words := server.heard(descriptor))]


def test_who_comes_late_is_told_the_last_that_was_said(control: ModuleType) -> None:
    server = control.Server()
    server.tell("started 172.17.0.2 42")
    server.tell("ready 172.17.0.2")
    client = control.Client()
    server.heard(next(iter(server.listeners)))
    assert greeted(client) and client.receive() == ["ready", "172.17.0.2"]
    server.tell("stopping")
    assert client.receive() == ["stopping"]


def test_who_comes_while_it_stops_knows_that_the_next_life_is_meant_for_it(control: ModuleType) -> None:
    server = control.Server()
    server.tell("stopping")
    client = control.Client()
    server.heard(next(iter(server.listeners)))
    assert greeted(client) and client.receive() == ["leaving"]


def test_run_answers_at_the_door_of_systemd_and_by_its_name(control: ModuleType, tmp_path: Path) -> None:
    door = str(tmp_path / "door")
    code = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
listener.listen()
assert listener.fileno() == 3
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
sys.path.insert(0, sys.argv[2])
import control
control.CONTROL = sys.argv[1] + ".control"
server = control.Server()
print("there", flush=True)
for descriptor in server.listeners:
    os.set_blocking(descriptor, True)
    server.heard(descriptor)
input()
"""
    argv = [sys.executable, "-c", code, door, str(Path(helper.__file__).parent)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None and process.stdout.readline() == "there\n"
        first, second = control.ask_for_life(door), control.Client(door + ".control")
        assert greeted(first) and greeted(second)
        process.stdin.close()
    assert first.receive() == second.receive() == []


def test_where_there_is_no_door_a_run_is_asked_by_its_name(control: ModuleType, tmp_path: Path) -> None:
    server = control.Server()
    for door in (None, str(tmp_path / "door")):
        client = control.ask_for_life(door)
        server.heard(next(iter(server.listeners)))
        assert greeted(client)
    server.close()
    with pytest.raises(OSError):
        control.ask_for_life(str(tmp_path / "door"))


def test_at_any_moment_a_run_is_there_by_its_name_while_the_next_one_comes(control: ModuleType) -> None:
    first = control.Server()
    second = control.Server()
    client = control.Client()
    second.heard(next(iter(second.listeners)))
    assert greeted(client)
    first.close()
    assert control.Client()


def test_the_end_of_run_is_heard_as_an_end(control: ModuleType) -> None:
    server = control.Server()
    client = control.Client()
    server.heard(next(iter(server.listeners)))
    for connection in server.clients.values():
        connection.close()
    assert greeted(client) and client.receive() == []


def test_where_run_is_not_there_nobody_is_reached(control: ModuleType) -> None:
    with pytest.raises(OSError):
        control.Client()
    control.Server().close()
    with pytest.raises(OSError):
        control.Client()


def test_only_what_a_helper_may_say_is_heard(control: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    server = control.Server()
    client = control.Client()
    server.heard(next(iter(server.listeners)))
    client.tell("nonsense")
    client.tell("idle")
    (descriptor,) = server.clients
    monkeypatch.setattr(control, "_allowed", lambda _: ("idle",))
    assert heard(server, [descriptor, descriptor]) == ["idle"]


def test_nobody_else_is_listened_to(control: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    server = control.Server()
    server.tell("ready 172.17.0.2")
    monkeypatch.setattr(control, "_allowed", lambda _: ())
    client = control.Client()
    server.heard(next(iter(server.listeners)))
    assert client.receive() == [] and not server.clients


@pytest.mark.parametrize(("line", "ours"), [
    ("0::/system.slice/ondemand-x.service\n", True),
    ("1:name=systemd:/system.slice/ondemand-x.service\n", True),
    ("0::/machine.slice/host/system.slice/ondemand-x.service\n", True),
    ("0::/system.slice/ondemand-y.service\n", False),
    ("0::/system.slice/ondemand-x-container.service\n", False),
    ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/ondemand-x.service\n", False),
])
def test_a_process_of_a_user_is_none_of_the_service_whatever_its_unit_is_called(
    control: ModuleType, line: str, ours: bool,
) -> None:
    assert control.is_of_service(line) == ours


def test_the_last_end_is_known_with_its_time(control: ModuleType) -> None:
    assert outcome.last_end() == (0, 0.0)
    outcome.tell_end(3)
    count, when = outcome.last_end()
    assert count == 3 and outcome.begin_of_process() < when <= time.clock_gettime(outcome.CLOCK_BOOTTIME)


def test_a_life_is_over_once_that_was_told_after_its_end(control: ModuleType) -> None:
    assert outcome.is_over()
    outcome.tell_end(1)
    assert not outcome.is_over()
    outcome.tell_over(failed=False)
    assert outcome.is_over()
    later = Path(vars(outcome)["OVER"]).stat().st_mtime_ns + 1
    outcome.tell_end(2)
    os.utime(vars(outcome)["END"], ns=(later, later))
    assert not outcome.is_over()


@pytest.mark.parametrize(("awake", "told", "failed", "count"), [
    (False, None, True, 3),  # it was killed, or can't run at all
    (False, None, False, 2),  # systemd stopped it
    (False, 4, True, 4),  # it has counted by itself
    (True, None, True, 2)])  # the workload was ready
def test_a_life_that_ended_without_a_word_before_it_was_ready_is_a_failed_start(
    control: ModuleType, awake: bool, told: int | None, failed: bool, count: int,
) -> None:
    outcome.tell_end(2)
    outcome.tell_over(failed=False)
    later = os.stat(vars(outcome)["OVER"]).st_mtime_ns + 1
    if awake:
        outcome.tell_awake()
    if told is not None:
        outcome.tell_end(told)
        os.utime(vars(outcome)["END"], ns=(later, later))
    outcome.tell_over(failed)
    assert outcome.last_end()[0] == count and not os.path.exists(vars(outcome)["AWAKE"])


def test_an_end_that_can_not_be_read_is_none(control: ModuleType) -> None:
    Path(vars(outcome)["END"]).write_text("rubbish\n")
    assert outcome.last_end() == (0, 0.0)


def test_who_may_ask_is_told_the_proxys_numbers(control: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_allowed", lambda _: ("status", "numbers"))
    server = control.Server()
    server.tell("ready 172.17.0.2")
    proxy, asker = control.Client(), control.Client()
    for _ in range(2):
        server.heard(next(iter(server.listeners)))
    of_proxy, of_asker = server.clients
    assert greeted(proxy) and greeted(asker)
    assert proxy.receive() == asker.receive() == ["ready", "172.17.0.2"]
    asker.tell("status")
    assert server.heard(of_asker) == "status" and proxy.receive() == ["status"]
    proxy.tell("numbers 12.5 3")
    server.heard(of_proxy)
    assert asker.receive() == ["numbers", "12.5", "3"]


def test_nobody_is_asked_for_numbers_before_the_container_is_ready(
    control: ModuleType, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "_allowed", lambda _: ("status",))
    server = control.Server()
    waitport, asker = control.Client(), control.Client()
    for _ in range(2):
        server.heard(next(iter(server.listeners)))
    asker.tell("status")
    server.heard(list(server.clients)[1])
    server.tell("started 172.17.0.2 42")
    assert greeted(waitport) and waitport.receive() == ["started", "172.17.0.2", "42"]


def test_who_does_not_listen_holds_nobody_up(control: ModuleType) -> None:
    server = control.Server()
    deaf, other = control.Client(), control.Client()
    for _ in range(2):
        server.heard(next(iter(server.listeners)))
    assert greeted(other)
    for number in range(5000):
        server.tell(f"started 172.17.0.2 {number}")
        assert other.receive()[2] == str(number)
    assert len(server.clients) == 1
    deaf.close()
