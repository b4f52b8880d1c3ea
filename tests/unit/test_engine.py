"""What the helpers may rely on of Docker's answers, faults that a real engine can't be made to show included."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import EngineDown, docker, docker_api, processes
from fake_docker import FakeDocker
from fake_engine import NAME, Errand
from hypothesis import given
from hypothesis import strategies as st


def answering(directory: Path, answer: bytes, asked: list[bytes]) -> str:
    """Listen on a Unix socket, give one answer and close; return the socket's path."""
    path = str(directory / "engine.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            asked.append(connection.recv(65536))
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return path


def test_an_answer_is_parsed(tmp_path: Path) -> None:
    asked: list[bytes] = []
    path = answering(tmp_path, b'HTTP/1.0 200 OK\r\nA: b\r\n\r\n{"Id": "\xc3\xa9"}', asked)
    assert docker_api.Api(path).call("GET", "/x") == {"Id": "é"}
    assert asked == [b"GET /v1.41/x HTTP/1.0\r\nHost: docker\r\n\r\n"]


@pytest.mark.parametrize(("body", "message"), [
    (b'{"message": "no such image"}', "no such image"), (b"page not found\n", "page not found"),
    (b"", "the engine answered with status 500"), (b"[]", "the engine answered with status 500")])
def test_a_refusal_is_told_in_the_engines_own_words(tmp_path: Path, body: bytes, message: str) -> None:
    path = answering(tmp_path, b"HTTP/1.0 500 Oh\r\n\r\n" + body, [])
    with pytest.raises(docker_api.Refused) as caught:
        docker_api.Api(path).call("GET", "/x")
    assert (str(caught.value), caught.value.status) == (message, 500)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert docker.Docker(answering(tmp_path, b'HTTP/1.0 404 Not Found\r\n\r\n{"message": "none"}', [])).inspect("x") is None


def test_nobody_there_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineDown, match="no Docker engine answers on .*sock .No such file.*systemctl status docker"):
        docker_api.Api(str(tmp_path / "none.sock")).call("GET", "/x")
    assert not docker.Docker(str(tmp_path / "none.sock")).answers()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\nContent"])
def test_an_engine_that_hangs_up_is_down(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(EngineDown, match="closed the connection"):
        docker_api.Api(answering(tmp_path, answer, [])).call("GET", "/x")


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8), st.lists(st.integers(1, 30)))
def test_output_comes_out_as_it_went_in_however_it_is_cut(pieces: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(bytes([number, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for number, data in pieces)

    output, found, left = docker_api.Pieces(is_multiplexed=True), {1: b"", 2: b""}, stream
    for size in [*cuts, len(stream)]:
        for descriptor, data in output.feed(left[:size]):
            found[descriptor] += data
        left = left[size:]
    assert found == {number: b"".join(data for stream, data in pieces if stream == number) for number in (1, 2)}


def test_a_terminals_output_comes_raw() -> None:
    output = docker_api.Pieces(is_multiplexed=False)
    assert [output.feed(data) for data in (b"first", b"", b"\x01\x00")] == [[(1, b"first")], [], [(1, b"\x01\x00")]]


def test_json_that_is_no_object_is_an_answer_too(tmp_path: Path) -> None:
    assert docker_api.Api(answering(tmp_path, b"HTTP/1.0 200 OK\r\n\r\n[1]", [])).call("GET", "/x") == [1]


def test_a_zombie_runs_no_more() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(child.pid)
    child.wait()
    assert processes.is_alive(os.getpid())


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDocker]:
    found = FakeDocker(tmp_path)
    yield found
    found.close()


def test_a_command_inside_is_asked_for_with_both_of_its_streams(fake: FakeDocker) -> None:
    fake.errands = [Errand()]
    fake.engine().run_inside(NAME, ["pg_isready", "-h", "a b"]).output.close()
    assert fake.bodies[0] == {"AttachStdout": True, "AttachStderr": True, "Cmd": ["pg_isready", "-h", "a b"]}


@pytest.mark.parametrize(("declared", "shell", "argv"), [
    (["CMD", "check", "a b"], None, ["check", "a b"]), (["CMD-SHELL", "x || exit 1"], None, ["/bin/sh", "-c", "x || exit 1"]),
    (["CMD-SHELL", "check"], ["/bin/bash", "-ec"], ["/bin/bash", "-ec", "check"])])
def test_the_images_own_check_is_run_as_the_engine_runs_it(
    fake: FakeDocker, declared: list[str], shell: list[str] | None, argv: list[str],
) -> None:
    fake.config = {"Healthcheck": {"Test": declared, "Timeout": 3 * 10**9, "Interval": 3600 * 10**9}, "Shell": shell}
    assert fake.engine().own_check(NAME) == (argv, 3.0)


@pytest.mark.parametrize("declared", [None, {}, {"Test": []}, {"Test": ["NONE"]}, {"Test": ["CMD"]}])
def test_an_image_may_be_without_a_check(fake: FakeDocker, declared: dict[str, Any] | None) -> None:
    fake.config = {"Healthcheck": declared}
    assert fake.engine().own_check(NAME) is None


@pytest.mark.parametrize(("limit", "is_late", "found"), [(1 << 20, True, True), (1 << 20, False, False), (0, True, False)])
def test_an_engine_that_says_late_why_a_container_was_killed_is_asked_again_where_it_has_a_limit(
    fake: FakeDocker, limit: int, is_late: bool, found: bool,
) -> None:
    fake.workload.memory, fake.is_late_about_memory = limit, is_late
    fake.begin(NAME)
    fake.exits(137)
    seen = fake.engine().look(NAME)
    assert seen is not None and not seen.out_of_memory
    assert fake.engine().ran_out_of_memory(seen) is found
    assert ("events" in fake.asked) is bool(limit)
