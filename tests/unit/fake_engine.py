"""A Docker engine that does what a test tells it, faults included that a real one can't be made to show."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

Answer = tuple[int, Any]


def piece(data: bytes, stream: int = 1) -> bytes:
    """Return a piece of output as the engine sends it."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class FakeEngine:
    """One container, ``ondemand-x``; ``answers`` holds what requests get instead, by the end of their path."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "engine.sock")
        self.asked: list[str] = []
        self.sent: list[Any] = []
        self.state: dict[str, Any] = {"Running": False, "Paused": False, "Pid": os.getpid(), "ExitCode": 0,
                                      "OOMKilled": False, "StartedAt": "2025-03-01T10:20:30.5Z"}
        self.config: dict[str, Any] = {"Tty": False, "Labels": {"ondemand.spec": "f" * 64}}
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.output: list[bytes] = []  # what the next stream brings before it is held open
        self.log = b""
        self.streams: list[socket.socket] = []
        self.attached = threading.Event()
        self.started = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def exits(self, status: int, **state: Any) -> None:
        """Let the container end; its output ends with it."""
        self.state.update(Running=False, ExitCode=status, **state)
        for stream in self.streams:
            stream.close()
        self.streams.clear()

    def says(self, data: bytes, stream: int = 1) -> None:
        """Let the container write."""
        self.streams[-1].sendall(piece(data, stream))

    def close(self) -> None:
        self.exits(0)
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        request = connection.recv(65536).decode()
        method, target, _ = request.split(" ", 2)
        self.asked.append(f"{method} {target.partition('?')[0]}")
        body = request.partition("\r\n\r\n")[2]
        if body:
            self.sent.append(json.loads(body))
        verb = target.partition("?")[0].rpartition("/")[2]
        exec_answer = self.answers.get(f"exec/{verb}") if "/exec/" in target else None
        answer = exec_answer or self.answers.get(verb)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        streams = verb == "attach" or (verb == "start" and "/exec/" in target)
        if answer is not None:
            self._reply(connection, *answer)
        elif streams:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"".join(self.output))
            self.streams.append(connection)
            self.attached.set()
            return
        elif verb == "logs":
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + self.log)
        else:
            self._reply(connection, *self._usual(verb))
        connection.close()
        if verb == "start":
            self.started.set()

    def _usual(self, verb: str) -> Answer:
        if verb == "json":
            return 200, {"State": self.state, "Config": self.config, "HostConfig": {"NetworkMode": "host"}}
        if verb == "start":
            self.state["Running"] = True
        elif verb == "stop":
            self.exits(143)
        elif verb in ("pause", "unpause"):
            self.state["Paused"] = verb == "pause"
        return 204, None

    def _reply(self, connection: socket.socket, status: int, body: Any) -> None:
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        connection.sendall(f"HTTP/1.0 {status} X\r\n\r\n{text}".encode())
