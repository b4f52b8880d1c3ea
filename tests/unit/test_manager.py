"""systemd is asked to start a unit by its socket as by its command, and what it answers is understood."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engines import EngineDown, EngineError, manager

UNIT = "ondemand-image@x.service"
OURS = "/job/1"
Serve = Callable[..., None]
OK = b"OK 0123\r\n"


def message(kind: int, member: str, body: bytes, order: str = "little") -> bytes:
    def number(value: int) -> bytes:
        return value.to_bytes(4, "little" if order == "little" else "big")

    fields = bytes((3, 1)) + b"s\0" + number(len(member)) + member.encode() + b"\0"
    head = (b"l" if order == "little" else b"B") + bytes((kind, 0, 1)) + number(len(body)) + number(7) + number(len(fields))
    return manager.padded(head + fields, 8) + body


def text(value: str, order: str) -> bytes:
    return len(value).to_bytes(4, "little" if order == "little" else "big") + value.encode() + b"\0"


def answer(order: str = "little") -> bytes:
    """Return what says which job is ours."""
    return message(2, "x", text(OURS, order), order)


def removed(unit: str, result: str, order: str = "little", job: str = "/job/1") -> bytes:
    body = b"".join(manager.padded(text(word, order), 4) for word in (job, unit))
    return message(4, "JobRemoved", bytes(4) + body + text(result, order), order)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Serve, list[bytes]]]:
    monkeypatch.setattr(manager, "SOCKET", str(tmp_path / "private"))
    heard: list[bytes] = []
    threads: list[threading.Thread] = []

    def begin(*pieces: bytes) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(manager.SOCKET)
        listener.listen()

        def answer() -> None:
            with listener, listener.accept()[0] as client:
                heard.append(client.recv(65536))
                for index, piece in enumerate(pieces):
                    client.sendall(piece)
                    if piece == OK:
                        heard.append(client.recv(65536))
                        assert index == 0

        threads.append(threading.Thread(target=answer))
        threads[0].start()

    yield begin, heard
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_unit_that_is_started_is_done_when_its_own_job_is(serve: tuple[Serve, list[bytes]], order: str) -> None:
    begin, heard = serve
    other = removed(UNIT, "canceled", order, "/job/0") + answer(order) + removed("another.service", "failed", order, "/job/12")
    whole = other + removed(UNIT, "canceled", order, "/job/10") + removed(UNIT, "done", order)
    begin(OK, *(whole[index:index + 1] for index in range(len(whole))))
    manager.Job(UNIT).done()
    lines, asked = heard
    assert lines.startswith(b"\0AUTH EXTERNAL ") and lines.endswith(b"\r\nBEGIN\r\n") and asked.startswith(b"l\x01")
    fields = int.from_bytes(asked[12:16], "little")
    assert len(asked) == 16 + -(-fields // 8) * 8 + int.from_bytes(asked[4:8], "little")
    assert asked.endswith(b"replace\0") and UNIT.encode() in asked and b"StartUnit" in asked


@pytest.mark.parametrize(("answer", "told"), [
    (answer() + removed(UNIT, "failed"), f"systemd did not start {UNIT}: failed; see 'journalctl -u {UNIT}'"),
    (message(3, "x", manager.text("Unit x.service not found.")), "not found")])
def test_what_systemd_refuses_is_told(serve: tuple[Serve, list[bytes]], answer: bytes, told: str) -> None:
    serve[0](OK, answer)
    with pytest.raises(EngineError, match=told):
        manager.Job(UNIT).done()


@pytest.mark.parametrize("answer", [b"", answer() + removed(UNIT, "done")[:-1], b"l\x04\0\1\xff\xff\xff\x7f" + bytes(8)])
def test_a_manager_that_goes_away_or_says_no_message_is_down(serve: tuple[Serve, list[bytes]], answer: bytes) -> None:
    serve[0](OK, answer)
    with pytest.raises(EngineDown, match="systemd does not answer"):
        manager.Job(UNIT).done()


def test_without_the_socket_the_command_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(manager, "SOCKET", str(tmp_path / "none"))
    with pytest.raises(OSError, match="No such file"):
        manager.Job(UNIT)


@pytest.mark.parametrize("line", [b"", b"REJECTED EXTERNAL\r\n"])
def test_a_manager_that_lets_nobody_in_leaves_the_command(serve: tuple[Serve, list[bytes]], line: bytes) -> None:
    serve[0](line)
    with pytest.raises(OSError, match=r"REJECTED|closed the connection"):
        manager.Job(UNIT)
