"""What users may rely on of the checks behind `ready = { http ... }`, `{ exec ... }` and `{ healthcheck ... }`."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine, piece
from helpers import load
from hypothesis import given
from hypothesis import strategies as st

HTTP = load("httpcheck.py")
DECLARED = {"path": "/healthz", "status": 200, "proxy_protocol": ""}


@contextlib.contextmanager
def server(*answers: bytes | Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """Answer one connection after the other; yield the port and what was asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            with contextlib.suppress(OSError), listener.accept()[0] as connection:
                asked.append(connection.recv(65536))
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], asked
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def passed(check: Any) -> list[str]:
    """Look until the check passes; return what was seen last before, each once."""
    seen = [check.last]
    while not check.look():
        if check.last != seen[-1]:
            seen.append(check.last)
    return seen[1:]


def test_a_path_is_asked_as_a_client_on_the_host_would_ask() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        assert passed(HTTP.HttpCheck("127.0.0.1", port, {**DECLARED, "path": "/a?b=%20$c"})) == []
    head = asked[0].decode().split("\r\n")
    assert head[:2] == ["GET /a?b=%20$c HTTP/1.1", f"Host: localhost:{port}"] and "Connection: close" in head


def test_any_other_status_is_waited_over_and_told() -> None:
    with server(b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.0 404\n", b"HTTP/1.1 204 OK\r\n\r\n") as (port, _):
        assert passed(HTTP.HttpCheck("127.0.0.1", port, {**DECLARED, "status": 204})) == ["status 503", "status 404"]


def test_what_is_no_answer_is_told_as_what_it_is() -> None:
    with server(b"", b"220 \xffmail\r\n", b"HTTP/1.1 200 OK\r\n") as (port, _):
        assert passed(HTTP.HttpCheck("127.0.0.1", port, DECLARED)) == [
            "the connection was closed without an answer", r'an answer that is no HTTP: "220 \xffmail"']


def test_a_slow_answer_in_pieces_is_waited_for_and_not_asked_for_twice() -> None:
    looked = threading.Event()

    def slowly(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 2")
        looked.wait(10)
        connection.sendall(b"00 OK\r\n")

    with server(slowly) as (port, asked):
        check = HTTP.HttpCheck("127.0.0.1", port, DECLARED)
        for _ in range(5):
            assert not check.look()
        looked.set()
        passed(check)
    assert len(asked) == 1


def test_a_request_without_an_answer_is_given_up_for_a_new_one_that_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HTTP, "PATIENCE", 0.02)
    given_up = threading.Event()
    with server(lambda _: given_up.wait(10) and None, b"HTTP/1.1 200 OK\r\n") as (port, _):
        check = HTTP.HttpCheck("127.0.0.1", port, DECLARED)
        while check.last == "no answer":
            assert not check.look()
        assert check.last == "no answer within 0.02 s" and check.patience == 0.04
        check.patience = 60.0
        given_up.set()
        passed(check)


def test_a_refused_connection_is_tried_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        check = HTTP.HttpCheck("127.0.0.1", port, DECLARED)
        assert not check.look() and check.last == "Connection refused"


@pytest.mark.parametrize(("version", "head"), [
    ("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")])
def test_a_server_that_expects_the_proxy_protocol_is_told_of_a_health_check(version: str, head: bytes) -> None:
    with server(b"HTTP/1.1 200 OK\r\n") as (port, asked):
        passed(HTTP.HttpCheck("127.0.0.1", port, {**DECLARED, "proxy_protocol": version}))
    assert asked[0].startswith(head + b"GET ")


@given(st.binary(max_size=400))
def test_no_answer_breaks_the_check(answer: bytes) -> None:
    check = HTTP.HttpCheck("127.0.0.1", 80, DECLARED)
    check.connection, check.answer = socket.socket(), answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTP.time, "sleep", lambda _: None)
        assert check.judge() in (True, False)
    assert "\n" not in check.last


class Exec:
    """A fake engine in whose container commands run, and the module of the check."""

    def __init__(self, directory: Path) -> None:
        self.engine = FakeEngine(directory)
        self.module = load("execcheck.py")
        self.engine.answers["exec"] = 201, {"Id": "7"}

    def check(self, *argv: str, longest: float = 30.0) -> Any:
        return self.module.ExecCheck(list(argv), longest, self.module.Engine(self.engine.path))


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Exec]:
    found = Exec(tmp_path)
    yield found
    found.engine.close()


def stream(container: Exec, data: bytes) -> None:
    """Let the next command write, and end."""
    container.engine.output = [piece(data)] if data else []
    container.engine.attached.clear()

    def end() -> None:
        container.engine.attached.wait(10)
        container.engine.streams.pop().close()

    threading.Thread(target=end).start()


def test_a_command_that_succeeds_is_enough(container: Exec) -> None:
    container.engine.answers["exec/json"] = 200, {"Running": False, "ExitCode": 0}
    stream(container, b"accepting connections\n")
    assert passed(container.check("pg_isready", "-h", "a b")) == []
    assert container.engine.sent[0] == {"AttachStdout": True, "AttachStderr": True, "Cmd": ["pg_isready", "-h", "a b"]}


def test_a_failing_command_is_told_with_its_status_and_the_last_line_of_its_output(container: Exec) -> None:
    container.engine.answers["exec/json"] = [(200, {"Running": True, "ExitCode": None}), (200, {"Running": False, "ExitCode": 2})]
    stream(container, b"x" * 100000 + b"\nno \xff response\n\n")
    check = container.check("pg_isready")
    while check.last == "it was not run yet":
        assert not check.look()
    assert check.last == 'exit status 2, "no \ufffd response"'


def test_a_refusal_of_the_engine_is_told_and_tried_again(container: Exec) -> None:
    container.engine.answers["exec"] = 409, {"message": "Container is paused"}
    check = container.check("true")
    assert not check.look() and check.last == "Container is paused"
    assert not check.look() and len(container.engine.asked) == 2


def test_a_command_that_hangs_is_killed_and_run_again(container: Exec) -> None:
    with subprocess.Popen(["sleep", "1000"]) as hanging:
        container.engine.answers["exec/json"] = 200, {"Running": True, "ExitCode": None, "Pid": hanging.pid}
        check = container.check("sleep", "1000", longest=0.02)
        while check.last == "it was not run yet":
            assert not check.look()
        try:
            assert check.last == "no end within 0.02 s" and hanging.wait(10) == -signal.SIGKILL
        finally:
            hanging.terminate()
    container.engine.answers["exec/json"] = 200, {"Running": False, "ExitCode": 0}
    stream(container, b"")
    assert passed(check) == []


@pytest.mark.parametrize(("declared", "shell", "argv"), [
    (["CMD", "check", "a b"], None, ["check", "a b"]), (["CMD-SHELL", "x || exit 1"], None, ["/bin/sh", "-c", "x || exit 1"]),
    (["CMD-SHELL", "check"], ["/bin/bash", "-ec"], ["/bin/bash", "-ec", "check"])])
def test_the_images_own_check_is_run_as_the_engine_runs_it(
    container: Exec, declared: list[str], shell: list[str] | None, argv: list[str],
) -> None:
    container.engine.config.update(Healthcheck={"Test": declared, "Timeout": 3 * 10**9, "Interval": 3600 * 10**9}, Shell=shell)
    check = container.module.health_check(container.module.Engine(container.engine.path))
    assert (check.argv, check.longest) == (argv, 3.0)


@pytest.mark.parametrize("declared", [None, {}, {"Test": []}, {"Test": ["NONE"]}, {"Test": ["CMD"]}])
def test_an_image_without_a_check_is_a_failure_that_names_the_remedy(container: Exec, declared: dict[str, Any] | None) -> None:
    container.engine.config["Healthcheck"] = declared
    with pytest.raises(container.module.Failure, match="its image has no health check; declare another kind of readiness"):
        container.module.health_check(container.module.Engine(container.engine.path))
