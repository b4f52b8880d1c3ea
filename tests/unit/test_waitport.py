"""What users may rely on of `waitport`: it tells the address once every port listens, looks at least every 10 ms, and ends
with a line that says what it waited for when the container exits or the time is up."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from helpers import load

DEAD = 2**22 + 1  # above the largest process id (proc(5), pid_max)


@pytest.fixture
def waitport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("waitport")
    monkeypatch.setattr(module, "STARTED", str(tmp_path / "started"))
    monkeypatch.setattr(module, "READY", str(tmp_path / "ready"))
    monkeypatch.delenv("MAINPID", raising=False)
    return module


def started(directory: Path, address: str = "127.0.0.1", pid: int | None = None) -> None:
    (directory / "started").write_text(f"ADDRESS={address}\nPID={os.getpid() if pid is None else pid}\n")


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    with socket.socket(family) as probe:
        probe.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("family", "address", "told"), [
    (socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")])
def test_the_address_is_passed_on_once_every_port_listens(
    waitport: ModuleType, tmp_path: Path, family: socket.AddressFamily, address: str, told: str,
) -> None:
    started(tmp_path, told)
    with socket.create_server((address, 0), family=family) as one, socket.create_server((address, 0), family=family) as two:
        assert waitport.main([str(listener.getsockname()[1]) for listener in (one, two)]) == 0
    assert (tmp_path / "ready").read_text() == f"ADDRESS={told}\nPID={os.getpid()}\n"
    assert not (tmp_path / "started").exists()


def test_a_port_that_listens_later_is_noticed(waitport: ModuleType, tmp_path: Path) -> None:
    started(tmp_path)
    port = free_port()
    listeners: list[socket.socket] = []
    refused = waitport.Probe.look

    def look(probe: object) -> bool:
        found = bool(refused(probe))
        if not found and not listeners:
            listeners.append(socket.create_server(("127.0.0.1", port)))
        return found

    waitport.Probe.look = look
    assert waitport.main(["--timeout", "60", str(port)]) == 0
    listeners[0].close()


def test_no_two_looks_are_more_than_ten_milliseconds_apart(
    waitport: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    started(tmp_path)
    pauses: list[float] = []
    clock = iter(range(10**6))
    monkeypatch.setattr(waitport.time, "monotonic", lambda: next(clock) / 1000)
    monkeypatch.setattr(waitport.time, "sleep", pauses.append)
    assert waitport.main(["--timeout", "0.3", str(free_port())]) == 1
    assert len(pauses) > 30 and max(pauses) <= 0.01


def test_a_silent_address_is_looked_at_again_within_ten_milliseconds(
    waitport: ModuleType, monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeouts: list[float] = []

    class Poll:
        def register(self, *_: object) -> None: ...

        def poll(self, milliseconds: float) -> list[object]:
            timeouts.append(milliseconds)
            return []

    class Silent(waitport.socket.socket):
        def connect_ex(self, _: object) -> int:
            return int(waitport.errno.EINPROGRESS)

    monkeypatch.setattr(waitport.select, "poll", Poll)
    monkeypatch.setattr(waitport.socket, "socket", Silent)
    probe = waitport.Probe("127.0.0.1", free_port())
    for _ in range(20):
        assert not probe.look()
    assert len(timeouts) == 20 and max(timeouts) <= 10
    if probe.attempt:
        probe.close()


def test_a_container_that_exits_is_told_at_once(waitport: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started(tmp_path, pid=DEAD)
    assert waitport.main([str(port := free_port())]) == 1
    assert capsys.readouterr().err == (
        f"ondemand-x: the container exited before it listened on 127.0.0.1:{port}; its output stands above in the journal, "
        "its exit status in 'systemctl status ondemand-x-container'\n")


def test_a_zombie_runs_no_more(waitport: ModuleType) -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not waitport.alive(child.pid)
    child.wait()
    assert waitport.alive(os.getpid())


def test_the_timeout_is_told_with_what_was_waited_for(
    waitport: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    started(tmp_path, "[::1]")
    assert waitport.main(["--timeout", "0.05", str(port := free_port(socket.AF_INET6))]) == 1
    assert capsys.readouterr().err == (
        f"ondemand-x: waited 0.05 s for the container to listen on [::1]:{port}, in vain (Connection refused); if it needs "
        'longer, declare ready = { tcp = true, timeout = "..." }\n')


def test_a_container_that_never_starts_was_told_already(
    waitport: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAINPID", str(DEAD))
    assert waitport.main(["80"]) == 1
    assert capsys.readouterr().err == ""


def test_a_container_that_ends_as_soon_as_it_listens_fails(
    waitport: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    started(tmp_path)
    listens = waitport.Probe.look

    def look_and_end(probe: object) -> bool:
        (tmp_path / "started").unlink()  # as `run` does where the container has ended
        return bool(listens(probe))

    monkeypatch.setattr(waitport.Probe, "look", look_and_end)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert waitport.main([str(listener.getsockname()[1])]) == 1
    assert "exited as soon as it listened" in capsys.readouterr().err


def test_it_waits_until_the_container_is_started(waitport: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def start_at_the_third_look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            started(tmp_path)

    monkeypatch.setattr(waitport.time, "sleep", start_at_the_third_look)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert waitport.main([str(listener.getsockname()[1])]) == 0
    assert max(looks) <= 0.01


@pytest.mark.parametrize("argv", [[], ["--timeout"], ["--timeout", "x", "80"], ["http"], ["--timeout", "5"]])
def test_a_call_that_makes_no_sense_shows_how_to_call_it(
    waitport: ModuleType, argv: list[str], capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        waitport.main(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "Usage: waitport [--timeout SECONDS] PORT...\n"
