"""What users may rely on of Podman, where it is not Docker: nobody stays connected to its service, which ends unless asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import EngineDown, podman_api
from engines.docker import began
from engines.podman import Podman, full_name
from fake_engine import NAME
from fake_podman import FakePodman
from run_host import Host, until


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    found = Host(FakePodman(tmp_path), tmp_path, monkeypatch)
    yield found
    found.close()


@pytest.mark.parametrize(("image", "full"), [
    ("nginx", "docker.io/library/nginx"), ("nginx:1.27", "docker.io/library/nginx:1.27"),
    ("site/web:2", "docker.io/site/web:2"), ("registry.example/web:2", "registry.example/web:2"),
    ("registry:5000/web", "registry:5000/web"), ("localhost/web:2", "localhost/web:2"),
    ("nginx:1.27@sha256:" + "a" * 64, "docker.io/library/nginx@sha256:" + "a" * 64),
    ("registry:5000/web@sha256:" + "a" * 64, "registry:5000/web@sha256:" + "a" * 64)])
def test_an_image_is_asked_for_by_its_full_name(image: str, full: str) -> None:
    assert full_name(image) == full


def test_an_image_that_no_registry_has_is_found_under_the_name_that_loading_gives_it(tmp_path: Path) -> None:
    engine = FakePodman(tmp_path)
    engine.images = {"localhost/site/web:2", "docker.io/library/nginx:1.27"}
    asked = Podman(engine.path)
    assert asked.name_of("site/web:2") == "localhost/site/web:2" and asked.name_of("nginx:1.27") == "docker.io/library/nginx:1.27"
    assert asked.name_of("other:1") == "docker.io/library/other:1" and not asked.has_image("other:1")
    engine.close()


def test_nobody_is_connected_to_the_service_while_the_container_runs_and_its_end_is_seen_without_it(host: Host) -> None:
    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        host.engine.goes_away()
        assert not host.engine.readers
        time.sleep(0.1)
        host.engine.comes_back()
        host.engine.exits(0)

    assert host.run(script) == 0
    assert "output" not in host.engine.asked and "written_since_start" not in host.engine.asked


def test_a_text_in_the_log_is_awaited_and_the_log_is_left_then(host: Host, tmp_path: Path) -> None:
    host.declare(tmp_path, {"text": "ready to accept"})

    def script(client: Any) -> None:
        until(client, "started")
        while not host.engine.readers:
            time.sleep(0.01)
        host.engine.says(b"it is ready to acc")
        host.engine.says(b"ept clients\n")
        until(client, "ready")
        assert host.engine.readers[-1].recv(1) == b"", "nobody reads any more"
        host.engine.exits(0)

    assert host.run(script, "--log") == 0


def test_a_stop_that_breaks_off_with_the_service_is_asked_for_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, broken = host.engine.answer, list[bytes]()

    def once(connection: Any) -> None:
        import socket

        if not broken and b"/stop " in connection.recv(200, socket.MSG_PEEK):
            broken.append(connection.recv(65536))
            connection.close()
        else:
            answer(connection)

    monkeypatch.setattr(host.engine, "answer", once)

    def script(client: Any) -> None:
        client.tell("listens")
        until(client, "ready")
        client.tell("idle")

    assert host.run(script) == 0
    assert len(broken) == 1 and host.engine.asked.count("stop") == 1


def test_a_container_that_is_paused_already_is_fine(tmp_path: Path) -> None:
    engine = FakePodman(tmp_path)
    engine.begin(NAME)
    engine.workload.is_paused = True
    engine.refuses["freeze"] = "it is paused"
    Podman(engine.path).freeze(NAME)
    engine.close()


def test_without_the_service_and_without_the_command_it_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineDown, match=r"no Podman engine answers on .*/none.sock \(No such file.*podman.*is not installed.*"
                                         "systemctl status podman.socket', or install podman"):
        Podman(str(tmp_path / "none.sock")).look(NAME)


def test_the_command_serves_where_the_service_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for the command takes the socket that it is handed, and hands nothing of ours on."""
    (tmp_path / "podman").write_text(
        "#!/usr/bin/env -S python3 -IS\nimport os, socket, sys\n"
        "assert sys.argv[1:3] == ['system', 'service'] and os.environ['LISTEN_PID'] == str(os.getpid())\n"
        "assert 'NOTIFY_SOCKET' not in os.environ and not os.path.exists('/proc/self/fd/4')\n"
        "connection = socket.socket(fileno=3).accept()[0]\nconnection.recv(65536)\n"
        "connection.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n')\n")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setattr(podman_api, "LOCKS", str(tmp_path / "run"))
    assert Podman(str(tmp_path / "none.sock")).answers()
    assert not list((tmp_path / "run").iterdir()), "nobody else can reach it"


@pytest.mark.parametrize("text", ["2025-03-01T10:00:30.5Z", "2025-03-01T11:30:30.5+01:30", "2025-03-01T05:00:30.500000-05:00"])
def test_the_hosts_own_time_zone_is_understood(text: str) -> None:
    assert began(text) == 1740823230.5
    assert began("0001-01-01T00:00:00Z") == 0.0
