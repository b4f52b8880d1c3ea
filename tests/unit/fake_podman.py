"""The fake engine as Podman: Docker's requests, but nobody listens to a container; its end is that of a process."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from engines import Engine
from engines.podman import Podman
from fake_docker import FakeDocker
from fake_engine import Workload


class FakePodman(FakeDocker):
    COMMAND = "podman"

    def engine(self) -> Engine:
        return Podman(self.path)

    def begin(self, name: str) -> None:
        super().begin(name)
        self.attached.set()

    def says(self, data: bytes, stream: int = 1) -> None:
        with self.reading:
            self.workload.written.append((stream, data))
            for reader in self.readers:
                self.send_to(reader, self.framed(stream, data))

    def ends(self, workload: Workload, status: int, out_of_memory: bool = False) -> None:
        super().ends(workload, status, out_of_memory)
        self.end_of_life(workload.life)

    def _details(self, workload: Workload) -> Any:
        if workload.is_running and self.lives[workload.life].poll() is not None:
            self.asked.append("await_end")  # whoever asks again and again until it knows
        return super()._details(workload)

    def answer_logs(self, connection: socket.socket, name: str, query: str) -> bool:
        if "follow=1" not in query:
            return super().answer_logs(connection, name, query)
        self.hear("written_since_start")
        with self.reading:  # what is written from here on comes as it is written
            self.send_to(connection, self.logged(name))
            self.readers.append(connection)
        return True

    def loses_readers(self) -> None:
        with self.reading:
            lost = self.readers.copy()
            self.readers.clear()
        for reader in lost:
            with contextlib.suppress(OSError):
                reader.close()
