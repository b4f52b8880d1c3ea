"""What the helpers may rely on of the engine's answers, faults that a real engine can't be made to show included."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import ModuleType

import pytest
from helpers import load
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def engine() -> ModuleType:
    return load("engine.py")


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


def test_an_answer_is_parsed(engine: ModuleType, tmp_path: Path) -> None:
    asked: list[bytes] = []
    path = answering(tmp_path, b'HTTP/1.0 200 OK\r\nA: b\r\n\r\n{"Id": "\xc3\xa9"}', asked)
    assert engine.Engine(path).call("GET", "/x") == {"Id": "é"}
    assert asked == [b"GET /x HTTP/1.0\r\nHost: docker\r\n\r\n"]


@pytest.mark.parametrize(("body", "message"), [
    (b'{"message": "no such image"}', "no such image"), (b"page not found\n", "page not found"),
    (b"", "the engine answered 500"), (b"[]", "the engine answered 500")])
def test_a_refusal_is_told_in_the_engines_own_words(engine: ModuleType, tmp_path: Path, body: bytes, message: str) -> None:
    path = answering(tmp_path, b"HTTP/1.0 500 Oh\r\n\r\n" + body, [])
    with pytest.raises(engine.EngineError) as caught:
        engine.Engine(path).call("GET", "/x")
    assert (str(caught.value), caught.value.status) == (message, 500)


def test_what_is_not_there_is_none(engine: ModuleType, tmp_path: Path) -> None:
    assert engine.Engine(answering(tmp_path, b'HTTP/1.0 404 Not Found\r\n\r\n{"message": "none"}', [])).inspect("x") is None


def test_nobody_there_is_told_with_the_remedy(engine: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(engine.EngineDown, match="no Docker engine answers on .*sock .No such file.*systemctl status docker"):
        engine.Engine(str(tmp_path / "none.sock")).call("GET", "/x")
    assert not engine.Engine(str(tmp_path / "none.sock")).ping()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\nContent"])
def test_an_engine_that_hangs_up_is_down(engine: ModuleType, tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(engine.EngineDown, match="closed the connection"):
        engine.Engine(answering(tmp_path, answer, [])).call("GET", "/x")


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8), st.lists(st.integers(1, 30)))
def test_output_comes_out_as_it_went_in_however_it_is_cut(pieces: list[tuple[int, bytes]], cuts: list[int]) -> None:
    engine = load("engine.py")
    stream = b"".join(bytes([number, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for number, data in pieces)

    output, found, left = engine.Output(multiplexed=True), {1: b"", 2: b""}, stream
    for size in [*cuts, len(stream)]:
        for descriptor, data in output.feed(left[:size]):
            found[descriptor] += data
        left = left[size:]
    assert found == {number: b"".join(data for stream, data in pieces if stream == number) for number in (1, 2)}


def test_a_terminals_output_comes_raw(engine: ModuleType) -> None:
    output = engine.Output(multiplexed=False)
    assert [output.feed(data) for data in (b"first", b"", b"\x01\x00")] == [[(1, b"first")], [], [(1, b"\x01\x00")]]


def test_json_that_is_no_object_is_an_answer_too(engine: ModuleType, tmp_path: Path) -> None:
    assert engine.Engine(answering(tmp_path, b"HTTP/1.0 200 OK\r\n\r\n[1]", [])).call("GET", "/x") == [1]
