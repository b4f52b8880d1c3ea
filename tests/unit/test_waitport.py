"""What users may rely on of `waitport`: it tells `run` once every port listens, looks at least every 10 ms, and tells it what
it waited for when the time is up."""

from __future__ import annotations

import _socket
import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import control
import declared
import pytest
import waitport as helper
from fake_docker import FakeDocker
from fake_engine import Errand, FakeEngine
from other_engine import FakeOther


class Run:
    """The side of `run`, in a thread: tells what it is told to, and hears."""

    def __init__(self, life: str) -> None:
        self.life = life
        self.server = control.Server()
        self.heard: list[str] = []
        self.over = False
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while not self.over:
            poll = select.poll()
            for descriptor in self.server.descriptors():
                poll.register(descriptor, select.POLLIN)
            self.heard += [words for descriptor, _ in poll.poll(10) if (words := self.server.heard(descriptor))]

    def started(self, address: str = "127.0.0.1") -> None:
        self.server.tell(f"started {address} {self.life}")

    def end(self) -> list[str]:
        """End, and return what was heard."""
        self.over = True
        self.thread.join()
        for descriptor in self.server.descriptors()[1:]:
            while words := self.server.heard(descriptor):
                self.heard.append(words)
            self.server.clients.pop(descriptor, None)
        self.server.close()
        return self.heard


@pytest.fixture
def waitport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(control, "CONTROL", str(tmp_path / "control"))
    return helper


@pytest.fixture(params=[FakeDocker, FakeOther])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeEngine]:
    found: FakeEngine = request.param(tmp_path)
    yield found
    found.close()


@pytest.fixture
def run(waitport: ModuleType, engine: FakeEngine) -> Iterator[Run]:
    service = Run(engine.starts())
    yield service
    service.end()


def free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    with socket.socket(family) as probe:
        probe.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_it_is_told_once_every_port_listens(
    waitport: ModuleType, run: Run, engine: FakeEngine, family: socket.AddressFamily, address: str,
) -> None:
    run.started(address)
    with socket.create_server((address, 0), family=family) as one, socket.create_server((address, 0), family=family) as two:
        assert waitport.main([str(listener.getsockname()[1]) for listener in (one, two)], engine.engine()) == 0
    assert run.end() == ["listens"]


def test_a_port_that_listens_later_is_noticed(
    waitport: ModuleType, run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch,
) -> None:
    run.started()
    port = free_port()
    listeners: list[socket.socket] = []
    refused = waitport.Probe.look

    def look(probe: object) -> bool:
        found = bool(refused(probe))
        if not found and not listeners:
            listeners.append(socket.create_server(("127.0.0.1", port)))
        return found

    monkeypatch.setattr(waitport.Probe, "look", look)
    assert waitport.main(["--timeout", "60", str(port)], engine.engine()) == 0
    listeners[0].close()


def test_no_two_looks_are_more_than_ten_milliseconds_apart(
    waitport: ModuleType, run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch,
) -> None:
    run.started()
    pauses: list[float] = []
    clock = iter(range(10**6))
    monkeypatch.setattr(waitport.time, "monotonic", lambda: next(clock) / 1000)
    monkeypatch.setattr(waitport.time, "sleep", pauses.append)
    assert waitport.main(["--timeout", "0.3", str(free_port())], engine.engine()) == 1
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

    class Silent(_socket.socket):
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


def test_a_container_that_exits_is_noticed_at_once_and_run_tells_it(
    waitport: ModuleType, run: Run, engine: FakeEngine, capsys: pytest.CaptureFixture[str],
) -> None:
    run.started()
    engine.dies()
    assert waitport.main([str(free_port())], engine.engine()) == 1
    assert run.end() == [] and capsys.readouterr().err == ""


def test_the_timeout_is_told_with_what_was_waited_for(waitport: ModuleType, run: Run, engine: FakeEngine) -> None:
    run.started("::1")
    assert waitport.main(["--timeout", "0.05", str(port := free_port(socket.AF_INET6))], engine.engine()) == 1
    assert run.end() == [
        f"failed timed out after 0.05 s waiting for the container to listen on [::1]:{port} (Connection refused); if it needs "
        'longer, declare ready = { tcp = true, timeout = "..." }']


def test_a_container_whose_text_was_seen_already_is_not_waited_for(waitport: ModuleType, run: Run, engine: FakeEngine) -> None:
    run.server.tell("ready 127.0.0.1")
    assert waitport.main([str(free_port())], engine.engine()) == 0


def declare(waitport: ModuleType, monkeypatch: pytest.MonkeyPatch, directory: Path, ready: dict[str, object]) -> None:
    """Let waitport find a declaration."""
    (directory / "container.json").write_text(json.dumps({"ready": ready}))
    monkeypatch.setattr(declared, "DECLARATION", str(directory / "container.json"))


def test_a_path_is_asked_once_its_port_listens(
    waitport: ModuleType, run: Run, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(waitport, monkeypatch, tmp_path, {"path": "/healthz", "status": 200, "proxy_protocol": ""})
    run.started()
    asked: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        while not asked:
            with listener.accept()[0] as connection:  # at first one that only looks whether somebody listens
                asked.extend(filter(None, [connection.recv(65536)]))
                if asked:
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, args=[listener])
        server.start()
        assert waitport.main(["--by", "http", str(listener.getsockname()[1])], engine.engine()) == 0
        server.join()
    assert run.end() == ["listens"] and asked[0].startswith(b"GET /healthz HTTP/1.1\r\n")


@pytest.mark.parametrize("kind", ["exec", "healthcheck"])
def test_a_command_in_the_container_is_run_until_it_succeeds(
    waitport: ModuleType, run: Run, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str,
) -> None:
    declare(waitport, monkeypatch, tmp_path, {"argv": ["check", "a b"]})
    engine.own_check = ["check", "a b"], 3.0
    engine.errands = [Errand(b"not yet\n", 1), Errand()]
    run.started()
    assert waitport.main(["--by", kind, "80"], engine.engine()) == 0
    assert run.end() == ["listens"] and [errand.argv for errand in engine.sent] == [["check", "a b"]] * 2


def test_a_text_that_run_has_seen_is_enough(
    waitport: ModuleType, run: Run, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(waitport, monkeypatch, tmp_path, {"text": "ready to accept"})
    run.started()
    threading.Timer(0.05, lambda: run.server.tell("ready 127.0.0.1")).start()
    assert waitport.main(["--by", "log", "80"], engine.engine()) == 0


def test_a_text_that_never_comes_is_told_when_the_time_is_up(
    waitport: ModuleType, run: Run, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    declare(waitport, monkeypatch, tmp_path, {"text": "ready to accept"})
    run.started()
    assert waitport.main(["--timeout", "0.05", "--by", "log", "80"], engine.engine()) == 1
    assert run.end() == ['failed timed out after 0.05 s waiting for the container to write "ready to accept" (not in its '
                         'output so far); if it needs longer, declare ready = { log = ..., timeout = "..." }']


def test_where_run_has_ended_it_has_told_why(
    waitport: ModuleType, engine: FakeEngine, capsys: pytest.CaptureFixture[str],
) -> None:
    assert waitport.main(["80"], engine.engine()) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("addresses", ["127.0.0.1", "127.0.0.1,::1"])
def test_one_port_is_enough_where_any_is_and_silent_ones_hold_nobody_up(
    waitport: ModuleType, run: Run, engine: FakeEngine, addresses: str,
) -> None:
    run.started(addresses)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = ["--need", "any", str(free_port()), str(listener.getsockname()[1])]
        assert waitport.main(argv, engine.engine()) == 0
    assert run.end() == ["listens" if addresses == "127.0.0.1" else "listens 127.0.0.1"]


def test_only_the_ports_that_are_named_are_waited_for(waitport: ModuleType, run: Run, engine: FakeEngine) -> None:
    run.started()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = str(listener.getsockname()[1])
        assert waitport.main(["--need", number, str(free_port()), number], engine.engine()) == 0
    assert run.end() == ["listens"]


def test_of_several_ports_the_silent_one_is_told_with_the_way_out(waitport: ModuleType, run: Run, engine: FakeEngine) -> None:
    run.started()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = ["--timeout", "0.05", str(listener.getsockname()[1]), str(port := free_port())]
        assert waitport.main(argv, engine.engine()) == 1
    assert run.end() == [
        f"failed timed out after 0.05 s waiting for the container to listen on 127.0.0.1:{port} (Connection refused); if it "
        'needs longer, declare ready = { tcp = true, timeout = "..." }; if it never does, ready = { tcp = "any" }']


def test_where_no_port_listens_all_are_told(waitport: ModuleType, run: Run, engine: FakeEngine) -> None:
    run.started()
    one, two = free_port(), free_port()
    assert waitport.main(["--timeout", "0.05", "--need", "any", str(one), str(two)], engine.engine()) == 1
    assert f"listen on 127.0.0.1:{one} or 127.0.0.1:{two} (" in run.end()[0]


@pytest.mark.parametrize("listening", ["127.0.0.1", "::1"])
def test_of_two_addresses_the_one_is_told_at_which_the_container_listens(
    waitport: ModuleType, run: Run, engine: FakeEngine, listening: str,
) -> None:
    run.started("127.0.0.1,::1")
    with socket.create_server((listening, 0), family=socket.AF_INET6 if ":" in listening else socket.AF_INET) as listener:
        assert waitport.main([str(listener.getsockname()[1])], engine.engine()) == 0
    assert run.end() == [f"listens {listening}"]


def test_it_waits_until_the_container_is_started(waitport: ModuleType, run: Run, engine: FakeEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Timer(0.05, run.started).start()
        assert waitport.main([str(listener.getsockname()[1])], engine.engine()) == 0
    assert run.end() == ["listens"]


@pytest.mark.parametrize("argv", [[], ["--timeout"], ["--timeout", "x", "80"], ["http"], ["--timeout", "5"], ["--by", "x", "80"],
                                  ["--need", "x", "80"]])
def test_a_call_that_makes_no_sense_shows_how_to_call_it(
    waitport: ModuleType, engine: FakeEngine, argv: list[str], capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        waitport.main(argv, engine.engine())
    assert caught.value.code == 2
    assert capsys.readouterr().err == ("Usage: waitport [--timeout SECONDS] [--by tcp|http|healthcheck|exec|log|udp] "
                                       "[--need any|PORT,...] [PORT[/udp]...]\n")
