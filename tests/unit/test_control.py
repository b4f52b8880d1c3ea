"""What the helpers may rely on of what they tell each other."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import load


@pytest.fixture
def control(tmp_path: Path) -> ModuleType:
    module = load("control.py")
    module.CONTROL = str(tmp_path / "control")
    module.END = str(tmp_path / "end")
    module.OVER = str(tmp_path / "over")
    return module


def heard(server: Any, descriptors: list[int]) -> list[str]:
    return [words for descriptor in descriptors if (words := server.heard(descriptor))]


def test_who_comes_late_is_told_the_last_that_was_said(control: ModuleType) -> None:
    server = control.Server()
    server.tell("started 172.17.0.2 42")
    server.tell("ready 172.17.0.2")
    client = control.Client()
    server.heard(server.listener.fileno())
    assert client.receive() == ["ready", "172.17.0.2"]
    server.tell("stopping")
    assert client.receive() == ["stopping"]


def test_who_comes_while_it_stops_knows_that_the_next_life_is_meant_for_it(control: ModuleType) -> None:
    server = control.Server()
    server.tell("stopping")
    client = control.Client()
    server.heard(server.listener.fileno())
    assert client.receive() == ["leaving"]


def test_the_end_of_run_is_heard_as_an_end(control: ModuleType) -> None:
    server = control.Server()
    client = control.Client()
    server.heard(server.listener.fileno())
    for connection in server.clients.values():
        connection.close()
    assert client.receive() == []


def test_where_run_is_not_there_nobody_is_reached(control: ModuleType) -> None:
    with pytest.raises(OSError):
        control.Client()
    control.Server().listener.close()
    with pytest.raises(OSError):
        control.Client()


def test_only_what_a_helper_may_say_is_heard(control: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    server = control.Server()
    client = control.Client()
    server.heard(server.listener.fileno())
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
    server.heard(server.listener.fileno())
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
    assert control.last_end() == (0, 0.0)
    control.tell_end(3)
    count, when = control.last_end()
    assert count == 3 and control.begin_of_process() < when <= time.clock_gettime(control.CLOCK_BOOTTIME)


def test_a_life_is_over_once_that_was_told_after_its_end(control: ModuleType) -> None:
    assert not control.is_over()
    control.tell_end(1)
    assert not control.is_over()
    control.tell_over()
    assert control.is_over()
    later = Path(control.OVER).stat().st_mtime_ns + 1
    control.tell_end(2)
    os.utime(control.END, ns=(later, later))
    assert not control.is_over()


def test_an_end_that_can_not_be_read_is_none(control: ModuleType) -> None:
    Path(control.END).write_text("rubbish\n")
    assert control.last_end() == (0, 0.0)


def test_who_may_ask_is_told_the_proxys_numbers(control: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_allowed", lambda _: ("status", "numbers"))
    server = control.Server()
    server.tell("ready 172.17.0.2")
    proxy, asker = control.Client(), control.Client()
    for _ in range(2):
        server.heard(server.listener.fileno())
    of_proxy, of_asker = server.clients
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
        server.heard(server.listener.fileno())
    asker.tell("status")
    server.heard(list(server.clients)[1])
    server.tell("started 172.17.0.2 42")
    assert waitport.receive() == ["started", "172.17.0.2", "42"]
