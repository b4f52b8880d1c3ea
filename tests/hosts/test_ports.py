"""A port behind which something is wrong takes no other port, and no host, with it."""

from __future__ import annotations

import time

import pytest

from .conftest import built
from .machine import Machine

SITE = r'''
[package]
version = "1"

[container.itself]
image       = "servers:1"
ports       = ["8001:8001"]
env         = { PORTS = "8001" }
create_args = ["--network=host"]

[container.crossed]
image       = "servers:1"
ports       = ["127.0.0.1:8002:8003", "[::1]:8002:8003", "8003:8002"]
env         = { PORTS = "8004" }
create_args = ["--network=host"]
ready       = { log = "listening" }

[container.proxied]
image       = "servers:1"
ports       = ["8005:8005"]
env         = { PORTS = "8005" }
create_args = ["--network=host"]
proxy       = "systemd-socket-proxyd"

[container.moves]
image = "servers:1"
ports = ["8008:80"]

[container.jammed]
image   = "servers:1"
ports   = ["8006:81", "8007:80"]
command = ["-c", """
import socket
deaf, listener = (socket.create_server(("", port), backlog=1) for port in (81, 80))
while True:
    connection = listener.accept()[0]
    connection.recv(65536)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
    connection.close()
"""]
'''
# Keeps connections open until standard input ends.
_KEPT = """
import socket, sys
kept = [socket.create_connection(("127.0.0.1", 8006)) for _ in range(300)]
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def site(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    packages = built(tmp_path_factory.mktemp("site"), SITE)
    host.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
    return host


@pytest.mark.parametrize(("name", "port", "own"), [("itself", 8001, "127.0.0.1:8001"), ("crossed", 8002, "127.0.0.1:8003"),
                                                   ("proxied", 8005, "127.0.0.1:8005")])
def test_no_helper_connects_to_a_socket_of_its_own_service(site: Machine, name: str, port: int, own: str) -> None:
    begin = time.monotonic()
    assert site.run("curl", "--silent", "--max-time", "20", f"http://127.0.0.1:{port}/", check=False).returncode in (52, 56)
    assert time.monotonic() - begin < 15
    said = site.journal(f"ondemand-{name}-container.service")
    assert f"systemd itself listens on {own}, where the container would be reached" in said
    assert "listen on another port with 'ports'" in said and "waitport" not in said
    pid = site.sh(f"systemctl show --property=MainPID --value ondemand-{name}.service").strip()
    assert int(site.sh(f"ls /proc/{pid}/fd 2>/dev/null | wc -l") if pid != "0" else 0) < 50
    site.sh(f"until ! docker ps --quiet --filter name=ondemand-{name}\\$ | grep -q .; do sleep 0.1; done", timeout=30)


def test_connections_to_a_port_whose_server_never_accepts_hold_up_no_other_port(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8007/") == "200"
    kept = site.start("python3", "-c", _KEPT)
    assert kept.stdout is not None and kept.stdout.readline() == "connected\n"
    for _ in range(20):
        assert site.get("http://127.0.0.1:8007/", "--max-time", "3") == "200"
    kept.communicate()
    for _ in range(20):
        assert site.get("http://127.0.0.1:8007/", "--max-time", "3") == "200"


def test_a_container_in_another_network_is_reached_at_its_new_address(site: Machine) -> None:
    assert site.get("http://127.0.0.1:8008/") == "200"
    site.sh("docker network create elsewhere; docker network disconnect bridge ondemand-moves; "
            "docker network connect elsewhere ondemand-moves")
    begin = time.monotonic()
    assert site.clients(20, ("127.0.0.1", 8008)) == ["HTTP/1.0 200 OK"] * 20
    assert site.clients(20, ("127.0.0.1", 8008)) == ["HTTP/1.0 200 OK"] * 20
    assert time.monotonic() - begin < 15
    assert "the container has another address now: 172." in site.journal("ondemand-moves-container.service")
