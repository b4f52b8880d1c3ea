"""What users may rely on of the checks behind `ready = { http ... }`, `{ exec ... }` and `{ healthcheck ... }`."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import execcheck
import httpcheck
import pytest
from fake_docker import FakeDocker
from fake_engine import NAME, Errand, FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from other_engine import FakeOther
from process import Failure

DECLARED = {"path": "/healthz", "status": 200, "proxy_protocol": ""}


@contextlib.contextmanager
def server(*answers: bytes | Callable[[socket.socket], object]) -> Iterator[tuple[int, list[bytes]]]:
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
        assert passed(httpcheck.HttpCheck("127.0.0.1", port, {**DECLARED, "path": "/a?b=%20$c"})) == []
    head = asked[0].decode().split("\r\n")
    assert head[:2] == ["GET /a?b=%20$c HTTP/1.1", f"Host: localhost:{port}"] and "Connection: close" in head


def test_any_other_status_is_waited_over_and_told() -> None:
    with server(b"HTTP/1.1 503 Busy\r\n\r\n", b"HTTP/1.0 404\n", b"HTTP/1.1 204 OK\r\n\r\n") as (port, _):
        assert passed(httpcheck.HttpCheck("127.0.0.1", port, {**DECLARED, "status": 204})) == ["status 503", "status 404"]


def test_what_is_no_answer_is_told_as_what_it_is() -> None:
    with server(b"", b"220 \xffmail\r\n", b"HTTP/1.1 200 OK\r\n") as (port, _):
        assert passed(httpcheck.HttpCheck("127.0.0.1", port, DECLARED)) == [
            "the connection was closed without an answer", r'the answer is not HTTP: "220 \xffmail"']


def test_a_slow_answer_in_pieces_is_waited_for_and_not_asked_for_twice() -> None:
    looked = threading.Event()

    def slowly(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 2")
        looked.wait(10)
        connection.sendall(b"00 OK\r\n")

    with server(slowly) as (port, asked):
        check = httpcheck.HttpCheck("127.0.0.1", port, DECLARED)
        for _ in range(5):
            assert not check.look()
        looked.set()
        passed(check)
    assert len(asked) == 1


def test_a_request_without_an_answer_is_given_up_for_a_new_one_that_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpcheck, "PATIENCE", 0.02)
    given_up = threading.Event()
    with server(lambda _: given_up.wait(10) and None, b"HTTP/1.1 200 OK\r\n") as (port, _):
        check = httpcheck.HttpCheck("127.0.0.1", port, DECLARED)
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
        check = httpcheck.HttpCheck("127.0.0.1", port, DECLARED)
        assert not check.look() and check.last == "Connection refused"


@pytest.mark.parametrize(("version", "head"), [
    ("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")])
def test_a_server_that_expects_the_proxy_protocol_is_told_of_a_health_check(version: str, head: bytes) -> None:
    with server(b"HTTP/1.1 200 OK\r\n") as (port, asked):
        passed(httpcheck.HttpCheck("127.0.0.1", port, {**DECLARED, "proxy_protocol": version}))
    assert asked[0].startswith(head + b"GET ")


ANSWERS = st.tuples(st.sampled_from([b"HTTP/1.1", b"HTTP/", b"HTTP"]), st.sampled_from([b" ", b"\t ", b"\n", b""]) | st.binary(),
                    st.sampled_from([b"200", b"0200 OK", b"2000", b"404", b"-200"])).map(b"".join)


@given(ANSWERS | st.binary(max_size=400))
def test_no_answer_breaks_the_check_and_only_one_with_the_wanted_status_passes_it(answer: bytes) -> None:
    check = httpcheck.HttpCheck("127.0.0.1", 80, DECLARED)
    check.connection, check.answer = socket.socket(), answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", lambda _: None)
        passes = check.judge()
    assert passes == bool(re.match(rb"[^\S\n]*HTTP/\S*[^\S\n]+0*200(\s|$)", answer))
    assert "\n" not in check.last


@pytest.fixture(params=[FakeDocker, FakeOther])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeEngine]:
    found: FakeEngine = request.param(tmp_path)
    yield found
    found.close()


def test_a_command_that_succeeds_is_enough(engine: FakeEngine) -> None:
    engine.errands = [Errand(b"accepting connections\n")]
    assert passed(execcheck.ExecCheck(engine.engine(), NAME, ["pg_isready", "-h", "a b"])) == []
    assert [errand.argv for errand in engine.sent] == [["pg_isready", "-h", "a b"]]


def test_a_failing_command_is_told_with_its_status_and_the_last_line_of_its_output(engine: FakeEngine) -> None:
    engine.errands = [Errand(b"x" * 100000 + b"\nno \xff response\n\n", 2, looks=1), Errand()]
    assert passed(execcheck.ExecCheck(engine.engine(), NAME, ["pg_isready"])) == ['exit status 2, "no \ufffd response"']
    assert len(engine.sent) == 2


def test_a_refusal_of_the_engine_is_told_and_tried_again(engine: FakeEngine) -> None:
    engine.refuses["run_inside"] = "it is paused"
    check = execcheck.ExecCheck(engine.engine(), NAME, ["true"])
    assert not check.look() and check.last == "it is paused"
    assert not check.look() and engine.asked == ["run_inside"] * 2


def test_an_engine_that_is_away_is_told_and_asked_again(engine: FakeEngine) -> None:
    engine.errands = [Errand()]
    check = execcheck.ExecCheck(engine.engine(), NAME, ["true"])
    engine.goes_away()
    assert not check.look() and "No such file" in check.last
    engine.comes_back()
    assert passed(check) == []


def test_a_command_that_hangs_is_killed_and_run_again(engine: FakeEngine) -> None:
    engine.errands = [Errand(status=None), Errand()]
    check = execcheck.ExecCheck(engine.engine(), NAME, ["sleep", "1000"], 0.02)
    while check.last == "it has not run yet":
        assert not check.look()
    assert check.last == "still running after 0.02 s"
    assert engine.sent[0].killed.wait(10)
    check.longest = 30.0
    assert passed(check) == []


def test_the_images_own_check_is_run_for_as_long_as_it_may_take(engine: FakeEngine) -> None:
    engine.own_check = ["check", "a b"], 3.0
    check = execcheck.health_check(engine.engine(), NAME)
    assert (check.argv, check.longest) == (["check", "a b"], 3.0)


def test_an_image_without_a_check_is_a_failure_that_names_the_remedy(engine: FakeEngine) -> None:
    with pytest.raises(Failure, match="the image has no health check; declare another readiness check"):
        execcheck.health_check(engine.engine(), NAME)
