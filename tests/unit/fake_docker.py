"""The fake engine as Docker: HTTP on a Unix socket, JSON, process ids, and a command that creates containers."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from engines import Engine
from engines.docker import Docker
from fake_engine import Departure, FakeEngine, NotThere, Refusal, Workload

WORDS = {"attach": "output", "start": "begin", "stop": "stop", "pause": "freeze", "unpause": "thaw", "wait": "await_end",
         "exec": "run_inside", "logs": "written_since_start", "rename": "rename", "json": "look"}
COMMAND = """#!{python} -IS
import json, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({path!r})
    words = [word for word in sys.argv[1:] if not word.startswith("--host=")]
    stdin = sys.stdin.read() if "--env-file=/dev/stdin" in sys.argv else ""
    connection.sendall(b"POST /v1/command HTTP/1.0\\r\\n\\r\\n" + json.dumps([words, stdin]).encode())
    answer = connection.makefile().read()
if not answer:
    sys.exit("error during connect: EOF")
if " 500 " in answer.partition("\\n")[0]:
    sys.exit(json.loads(answer.partition("\\n\\n")[2])["message"])
"""


class FakeDocker(FakeEngine):
    COMMAND = "docker"

    def __init__(self, directory: Path) -> None:
        self.config: dict[str, Any] = {}  # of the container, beside the usual
        self.bodies: list[Any] = []  # of requests
        self.is_late_about_memory = False  # it says after the end that the memory was at its limit
        self.log_driver = "json-file"  # of containers that are made without one
        self.log_options: list[str] = []  # of the container that was made last
        self.volumes: dict[str, dict[str, str]] = {}  # the options of each, by its name
        self.lives: dict[str, subprocess.Popen[bytes]] = {}
        self.hanging: dict[int, subprocess.Popen[bytes]] = {}  # commands inside
        super().__init__(directory)

    def engine(self) -> Engine:
        return Docker(self.path)

    def put_command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        command = self.directory / "bin" / self.COMMAND
        command.parent.mkdir()
        command.write_text(COMMAND.format(python=sys.executable, path=self.path))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")

    def framed(self, stream: int, data: bytes) -> bytes:
        return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data

    def new_life(self) -> str:
        process = subprocess.Popen(["sleep", "1000"])
        self.lives[str(process.pid)] = process
        return str(process.pid)

    def end_of_life(self, life: str) -> None:
        self.lives[life].kill()
        self.lives[life].wait()

    def close(self) -> None:
        super().close()
        for process in [*self.lives.values(), *self.hanging.values()]:
            process.kill()
            process.wait()

    def answer(self, connection: socket.socket) -> None:
        request = connection.recv(65536).decode()
        if not request:  # it was connected for nothing
            return connection.close()
        method, target, _ = request.split(" ", 2)
        path, _, query = target.partition("?")
        if not path.startswith("/v"):  # release 0.1.0 names no version of the API
            path = "/v1" + path
        _, _, kind, name, verb = [*path.split("/", 4), "", "", ""][:5]
        text = request.partition("\r\n\r\n")[2]
        body = json.loads(text) if text else None
        if body is not None:
            self.bodies.append(body)
        try:
            if kind == "containers" and verb == "attach":
                self.hear("output")
                return self.goes_on(connection, b"HTTP/1.1 200 OK\r\n\r\n", self.readers)
            if kind == "events" and "oom" in query:  # a word that comes after the end
                return self.tells_of_memory(connection)
            if kind == "events":
                return self.goes_on(connection, b"HTTP/1.0 200 OK\r\n\r\n", self.attending)
            if kind == "exec" and verb == "start":
                return self._command_inside(connection, int(name))
            if verb == "logs":
                if self.answer_logs(connection, name, query):
                    return None
            else:
                self._reply(connection, 200, self._done(method, kind, name, verb, query, body))
        except Departure:
            pass
        except NotThere as error:
            self._reply(connection, 404, {"message": str(error)})
        except Refusal as error:
            self._reply(connection, 500, {"message": str(error)})
        connection.close()
        return None

    def answer_logs(self, connection: socket.socket, name: str, query: str) -> bool:
        """Send what was written; return whether the connection stays open."""
        self.hear("written_since_start")
        self.send_to(connection, self.logged(name))
        return False

    def tells_of_memory(self, connection: socket.socket) -> None:
        self.hear("events")
        event = b'{"status":"oom","Type":"container","Action":"oom"}\n' if self.is_late_about_memory else b""
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + event)
        connection.close()

    def logged(self, name: str) -> bytes:
        """Return the answer with what was written until now."""
        return b"HTTP/1.0 200 OK\r\n\r\n" + b"".join(self.framed(*piece) for piece in self.found(name).written)

    def _command_inside(self, connection: socket.socket, number: int) -> None:
        errand = self.sent[number]
        if errand.status is None:
            self.hanging[number] = subprocess.Popen(["sleep", "1000"])
        # What is written first may come together with the head.
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + (self.framed(1, errand.writes) if errand.writes else b""))
        if errand.status is None:
            self.hanging[number].wait()
            errand.killed.set()
        connection.close()

    def _done(self, method: str, kind: str, name: str, verb: str, query: str, body: Any) -> Any:
        """Do what is asked; return the answer's JSON."""
        if kind == "_ping":
            return None
        if kind == "info":
            if not self.log_driver:
                raise Refusal("no information")
            return {"LoggingDriver": self.log_driver}
        if kind == "command":
            return self._commanded(*body)
        if kind == "volumes":
            if name == "create":
                self.volumes[body["Name"]] = body["DriverOpts"]
                return {}
            if name not in self.volumes:
                raise NotThere("no such volume")
            return {"Driver": "local", "Options": self.volumes[name] or None, "Mountpoint": f"/engine/{name}/_data"}
        if kind == "images":
            self.hear("has_image")
            if "/".join([name, verb]).rpartition("/")[0] in self.images:
                return {}
            raise NotThere("no such image")
        if kind == "exec":
            process = self.hanging.get(int(name))
            status = self.end_of(int(name))
            return {"Running": status is None, "ExitCode": status, "Pid": process.pid if process else 0}
        if method == "DELETE":
            self.hear("remove")
            del self.workloads[self._checked(name)]
            return None
        self.hear(WORDS[verb])
        workload = self.found(name)
        if verb == "json":
            return self._details(workload)
        if verb == "exec":
            return {"Id": str(self.send(body["Cmd"]))}
        if verb == "start":
            self.begin(name)
        elif verb == "stop":
            self.stop(name)
        elif verb in ("pause", "unpause"):
            workload.is_paused = verb == "pause"
        elif verb == "wait":
            self.known.wait(10)
        elif verb == "rename":
            self.rename(name, query.partition("=")[2])
        return None

    def _checked(self, name: str) -> str:
        self.found(name)
        return name

    def _details(self, workload: Workload) -> Any:
        check = {"Healthcheck": {"Test": ["CMD", *self.own_check[0]], "Timeout": int(self.own_check[1] * 10**9)}} if (
            self.own_check) else {}
        started = datetime.datetime.fromtimestamp(workload.started, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "Id": workload.identity,
            "State": {"Running": workload.is_running, "Paused": workload.is_paused, "Dead": workload.is_spoilt,
                      "Pid": int(workload.life or 0),
                      "ExitCode": workload.status, "OOMKilled": workload.out_of_memory,
                      "StartedAt": started if workload.started else "0001-01-01T00:00:00Z"},
            "Config": {"Tty": False, "Labels": {"ondemand.spec": workload.specification}, **check, **self.config},
            "HostConfig": {"NetworkMode": "host", "Memory": workload.memory},
            "Mounts": [{"Type": "volume", "Name": name, "Destination": path} for name, path in workload.volumes]}

    def _commanded(self, argv: list[str], stdin: str) -> None:
        """Do what the command is called for."""
        if argv[0] == "load":
            self.hear("load")
            self.images.add(Path(argv[2]).read_text())
            return
        self.hear("make")
        given = [argument[2:].split("=", 1) for argument in argv[1:] if argument.startswith("--")]
        values = {key: value for key, value in given if key in ("name", "label")}
        pairs = [value for key, value in given if key == "env"] + stdin.splitlines()
        volumes = [(name, path) for key, value in given if key == "volume" for name, _, path in [value.partition(":")]]
        image = next(argument for argument in argv[1:] if not argument.startswith("--"))
        self.log_options = [value for key, value in given if key == "log-opt"]
        self.make(values["name"], Workload(
            values["label"].removeprefix("ondemand.spec="), volumes=[volume for volume in volumes if len(volume[0]) == 64],
            image=image, environment=dict(pair.split("=", 1) for pair in pairs)))

    def _reply(self, connection: socket.socket, status: int, body: Any) -> None:
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        with contextlib.suppress(OSError):  # whoever asked has ended
            connection.sendall(f"HTTP/1.0 {status} X\r\n\r\n{text}".encode())
