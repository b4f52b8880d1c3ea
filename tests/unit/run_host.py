"""A host on which `run` can be started in a test, with an engine that does what the test tells it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import control
import declared
import outcome
import pytest
import record
import run
import run_options
import starts
from fake_docker import FakeDocker
from fake_engine import SPEC, FakeEngine
from fake_podman import FakePodman
from other_engine import FakeOther

ENGINES = [FakeDocker, FakePodman, FakeOther]  # what holds for one holds for the others
LISTENED_TO = [FakeDocker, FakeOther]  # those to which `run` stays connected while the container runs


class Host:
    """A host on which `run` can be started; what is said and heard is that of waitport and the proxy."""

    def __init__(self, engine: FakeEngine, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        monkeypatch.setattr(control, "CONTROL", str(directory / "control"))
        for name in ("END", "AWAKE", "BEGUN", "OVER"):
            monkeypatch.setattr(outcome, name, str(directory / name.lower()))
        self.declare(directory, {})
        monkeypatch.setattr(declared, "DECLARATION", str(directory / "container.json"))
        monkeypatch.setattr(run, "Lock", contextlib.nullcontext)
        monkeypatch.setattr(starts, "LOCKS", str(directory))
        monkeypatch.setattr(starts, "STARTS", str(directory / "starts"))
        monkeypatch.setattr(run.Run, "heed_signals", lambda _: None)
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(str(directory / "journal"))
        self.journal.settimeout(10)
        monkeypatch.setattr(record, "JOURNAL", str(directory / "journal"))
        self.told: list[str] = []
        self.process: run.Run

    def declare(self, directory: Path, ready: dict[str, Any]) -> None:
        (directory / "container.json").write_text(json.dumps({"ready": ready, "spec": SPEC}))

    def make(self, argv: Sequence[str]) -> run.Run:
        return run.Run(self.engine.engine(), *run_options.arguments(list(argv)))

    def run(self, script: Callable[[Any], None], *argv: str) -> int:
        """Run it to its end; ``script`` is what happens meanwhile, on a connection of another helper."""
        failures: list[BaseException] = []

        def act() -> None:
            self.engine.attached.wait(10)
            try:
                script(client := self.client())
                while words := client.receive():
                    self.told.append(" ".join(words))
            except BaseException as failure:
                failures.append(failure)
                self.engine.exits(99)

        thread = threading.Thread(target=act)
        self.process = process = self.make(argv)
        thread.start()
        try:
            status = process.run()
        except Exception as error:
            status = process.fail(error)
        process.end()
        for connection in [*process.control.listeners.values(), *process.control.clients.values()]:
            connection.close()
        if process.vigil is not None:
            process.vigil.close()
        for descriptor in (process.signals, process.signalled, *process.spare_files):
            os.close(descriptor)
        thread.join()
        if failures:
            raise failures[0]
        return int(status)

    def term(self) -> None:
        """Let systemd ask to stop."""
        os.write(self.process.signalled, b"x")

    def recorded(self) -> dict[str, str]:
        """Return the next record, by its fields."""
        lines = self.journal.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def client(self) -> Any:
        client = control.Client()
        client.socket.settimeout(10)
        assert client.receive() == ["version", "2"]
        return client

    def close(self) -> None:
        self.engine.close()
        self.journal.close()


def until(client: Any, word: str) -> list[str]:
    """Hear until a word is told; return its packet."""
    while (words := client.receive())[0] != word:
        pass
    return list(words)
