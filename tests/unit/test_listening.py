"""What an administrator is told of a container that listens elsewhere, on real sockets in a network of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import listening
import pytest
from requirements import need

SERVE = """
import socket, sys
kept = []
for host, port in zip(sys.argv[1::2], sys.argv[2::2]):
    kept.append(socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[Callable[..., int]]:
    """Return what starts a process that listens where it is told, in a network of its own."""
    need("unshare", "ip", root=True)
    processes = []

    def start(*where: str) -> int:
        script = 'ip link set lo up; exec "$@"'
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-c", SERVE, *where],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process.pid

    yield start
    for process in processes:
        process.communicate()


@pytest.mark.parametrize(("where", "expected"), [
    ([], "it does not listen on any port so far; "),
    (["127.0.0.1", "80"], "it listens on 127.0.0.1:80, which only the container"),
    (["::1", "80"], "it listens on [::1]:80, which only the container"),
    (["0.0.0.0", "8080"], "it listens on 8080: correct its port"),
    (["::", "9000", "0.0.0.0", "8080"], "it listens on 8080, 9000: correct its port in 'ports'"),
    (["127.0.0.11", "40000"], "it does not listen on any port so far; ")])
def test_where_it_listens_instead_is_said_with_what_to_do(server: Callable[..., int], where: list[str], expected: str) -> None:
    assert listening.instead(server(*where), [80]).startswith(expected)


def test_nothing_is_said_of_the_hosts_own_network_or_of_what_has_ended(server: Callable[..., int]) -> None:
    assert [listening.instead(process, [80]) for process in (os.getpid(), None, 2**22 + 1)] == ["", "", ""]


def test_many_ports_are_cut_short(server: Callable[..., int]) -> None:
    many = [word for port in range(9001, 9021) for word in ("0.0.0.0", str(port))]
    assert "it listens on 9001, 9002, 9003, 9004, 9005, ...: " in listening.instead(server(*many), [80])
