"""Services of which one at most is awake: whoever has clients stays, whoever has none makes room at once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from requirements import need

from .conftest import TOOLS, built
from .machine import Machine, fresh

# Answers at once, or holds a client of /hold until a file is there; notes whether it ever ran beside another one.
MODEL = r"""
import os, signal, socket, sys, threading, time
name = os.environ["NAME"]
card = "/shared/card"
try:
    os.close(os.open(card, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    open("/shared/both", "a").write(name)
def end(*_):
    time.sleep(0.3)
    os.unlink(card)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
def answer(peer):
    with peer:
        if b"/hold" in peer.recv(65536):
            open("/shared/held", "w").close()
            while not os.path.exists("/shared/go"):
                time.sleep(0.05)
        try:
            peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + name.encode())
        except OSError:
            pass
listener = socket.create_server(("", 80), backlog=100)
while True:
    threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()
"""


def model(name: str, port: int, rest: str) -> str:
    return (f'[container.{name}]\nimage = "servers:1"\nversion = "1"\nenv = {{ NAME = "{name}" }}\nstop_timeout = "5s"\n'
            f'volumes = ["/srv/shared:/shared"]\nports = ["{port}:80"]\ncommand = ["-c", \'\'\'{MODEL}\'\'\']\n{rest}\n')


# c does not know that it is excluded; b would sleep paused.
SITES = [model("a", 8080, 'excludes = ["b"]\nexcludes_timeout = "30s"') + model(
    "b", 8081, 'idle = "1h"\nidle_action = "pause"'), model("c", 8082, ""), model(
    "d", 8083, 'excludes = ["a", "b", "c"]\nexcludes_timeout = "3s"')]


@pytest.fixture(scope="module", params=["forky", "trixie+podman"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need(*TOOLS, root=True)
    with fresh(request.param) as machine:
        machine.sh("mkdir -p /srv/shared")
        for site in SITES:
            packages = built(tmp_path_factory.mktemp("site"), site)
            machine.apt_install(*(path for name, path in packages.items() if name.startswith("deb/")))
        yield machine


def ask(machine: Machine, port: int, path: str = "/") -> str:
    return machine.run("curl", "-sS", "--max-time", "100", f"http://127.0.0.1:{port}{path}", check=False).stdout


def begin(machine: Machine, port: int, path: str = "/") -> subprocess.Popen[str]:
    return machine.start("curl", "-sS", "--max-time", "100", f"http://127.0.0.1:{port}{path}")


def said(client: subprocess.Popen[str]) -> str:
    return client.communicate(timeout=110)[0]


def awake(machine: Machine) -> str:
    engine = "podman" if machine.has_podman else "docker"
    return machine.sh(f"{engine} ps --filter status=running --filter status=paused --format '{{{{.Names}}}}' | sort").replace(
        "ondemand-", "").strip()


def never_both(machine: Machine) -> None:
    assert machine.sh("cat /srv/shared/both 2>/dev/null || true") == ""


def asleep(machine: Machine) -> None:
    machine.sh("systemctl stop 'ondemand-*-container.service'; rm -f /srv/shared/*")
    assert awake(machine) == ""


def in_use(machine: Machine, port: int) -> subprocess.Popen[str]:
    client = begin(machine, port, "/hold")
    machine.sh("until [ -e /srv/shared/held ]; do sleep 0.05; done")
    return client


def test_one_that_nobody_uses_makes_room_at_once(host: Machine) -> None:
    asleep(host)
    for name, port in (("a", 8080), ("b", 8081), ("a", 8080), ("b", 8081)):
        assert ask(host, port) == name and awake(host) == name
    never_both(host)


def test_one_that_sleeps_paused_is_stopped(host: Machine) -> None:
    asleep(host)
    assert ask(host, 8081) == "b"
    host.run("python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); "
             "s.connect('/run/ondemand-b/control'); s.send(b'idle'); "
             "exec(\"while not s.recv(4096).startswith(b'paused'): pass\")")
    assert ask(host, 8080) == "a" and awake(host) == "a"
    never_both(host)


def test_one_in_use_is_waited_for_and_all_clients_are_answered(host: Machine) -> None:
    asleep(host)
    user = in_use(host, 8081)
    clients = [begin(host, 8080) for _ in range(5)]
    host.sh("until journalctl -u ondemand-a-container | grep -q \"waiting for 'b' to sleep\"; do sleep 0.1; done")
    assert awake(host) == "b"
    assert "StatusText=waiting for b\n" in host.sh("systemctl show --property=StatusText ondemand-a-container")
    host.sh("touch /srv/shared/go")
    assert said(user) == "b" and [said(client) for client in clients] == ["a"] * 5
    assert awake(host) == "a"
    never_both(host)


def test_a_client_is_reset_with_the_reason_once_the_time_is_up(host: Machine) -> None:
    asleep(host)
    user = in_use(host, 8082)
    assert ask(host, 8083) == "" and awake(host) == "c"
    assert "the service 'c', which can't be awake at the same time, was in use for 3 s" in host.journal(
        "ondemand-d-container.service")
    host.sh("touch /srv/shared/go")
    assert said(user) == "c"
    host.sh("for i in $(seq 100); do curl -sS --max-time 60 http://127.0.0.1:8083/ && exit 0; sleep 0.3; done; exit 1")
    assert awake(host) == "d"
    assert ask(host, 8082) == "c" and awake(host) == "c", "it counts in both directions"
    never_both(host)


def test_all_of_them_woken_at_once_are_answered_one_after_the_other(host: Machine) -> None:
    asleep(host)
    clients = {(name, number): begin(host, port) for number in range(3) for name, port in (("a", 8080), ("b", 8081))}
    assert {key: said(client) for key, client in clients.items()} == {key: key[0] for key in clients}
    never_both(host)


def test_one_whose_run_was_killed_is_waited_for_until_it_has_ended(host: Machine) -> None:
    asleep(host)
    assert ask(host, 8081) == "b"
    host.sh("kill -9 $(systemctl show -p MainPID --value ondemand-b-container)")
    assert ask(host, 8080) == "a" and awake(host) == "a"
    never_both(host)


def test_nothing_of_it_stays_when_the_packages_go(host: Machine) -> None:
    host.run("apt-get", "-y", "purge", "ondemand-a", "ondemand-b", "ondemand-c", "ondemand-d")
    assert host.sh("ls -d /run/ondemand* /usr/libexec/ondemand* 2>/dev/null || true") == ""
