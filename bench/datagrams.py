"""How fast datagrams are carried to an awake service and back: beside docker-proxy and beside the container's own address.

Knows the ways and the load that each gets; hides the client.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from hosts.conftest import built
from hosts.machine import Machine, fresh

from . import kernel
from .measure import Bar, Table

SUITE = "trixie"
HERE, PROXY, DIRECT = "here, the package's relay", "docker-proxy", "the container's own address"
ECHO = """
import signal, socket, os
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 53))
while True:
    udp.sendto(*udp.recvfrom(65536))
"""
DECLARATION = f"""
[container.echo]
version = "1"
image = "servers:1"
ports = ["5301:53/udp"]
command = ["-c", '''{ECHO}''']
ready = {{ udp = {{ send = "3f", expect = "3f" }} }}
"""
CROWD = 32  # clients, each of which awaits its answer before it asks again
SECONDS = 2
SIZE = 100  # bytes of a datagram
MOST_RUNS = 10
# Some clients, each with a socket of its own, ask for some seconds; prints how many answers came, and the median of the seconds
# that one took.
_CLIENTS = """
import json, select, socket, statistics, sys, time
host, port, count, seconds, size = sys.argv[1], *map(int, sys.argv[2:])
poll, sockets, asked, times, question = select.epoll(), {}, {}, [], bytes(size)
for _ in range(count):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect((host, port))
    sockets[one.fileno()] = one
    poll.register(one.fileno(), select.EPOLLIN)
    one.send(question)
    asked[one.fileno()] = time.perf_counter()
begin = time.perf_counter()
while time.perf_counter() < begin + seconds:
    for number, _ in poll.poll(1):
        sockets[number].recv(65536)
        now = time.perf_counter()
        times.append(now - asked[number])
        asked[number] = now
        sockets[number].send(question)
print(json.dumps([len(times) / (time.perf_counter() - begin), statistics.median(times) if times else seconds]))
"""


def missing() -> str:
    """Return why this part can't run, or nothing."""
    return kernel.missing()


def facts() -> list[tuple[str, str]]:
    """Return the ways in one line each."""
    return [(HERE, 'ports = ["5301:53/udp"]'), (PROXY, "docker run --publish 5302:53/udp, asked at 127.0.0.1"),
            (DIRECT, "nothing between client and container")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    runs = min(runs, MOST_RUNS)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh(SUITE) as machine:
        machine.apt_install(built(Path(temporary), DECLARATION)["deb/echo"])
        machine.run("docker", "run", "--detach", "--name", "proxied", "--publish", "5302:53/udp", "servers:1", "-c", ECHO)
        targets = {HERE: ("127.0.0.1", 5301), PROXY: ("127.0.0.1", 5302)}
        _asked(machine, targets[HERE], 1, 1)
        targets[DIRECT] = machine.inspect("ondemand-echo")["NetworkSettings"]["IPAddress"], 53
        click.echo(f"datagrams: {runs} rounds of {SECONDS} s, {CROWD} clients and one, 3 ways", err=True)
        many, one = (_measured(machine, targets, runs, count) for count in (CROWD, 1))
        yield _compared(f"Datagrams: round trips per second, {CROWD} clients", {
            name: [rate for rate, _ in found] for name, found in many.items()}, "1/s")
        yield _delays({name: [1e6 * seconds for _, seconds in found] for name, found in one.items()})


def _asked(machine: Machine, target: tuple[str, int], count: int, seconds: int) -> tuple[float, float]:
    host, port = target
    rate, median = json.loads(machine.run("python3", "-c", _CLIENTS, host, str(port), str(count), str(seconds), str(SIZE)).stdout)
    return rate, median


def _measured(
    machine: Machine, targets: dict[str, tuple[str, int]], runs: int, count: int,
) -> dict[str, list[tuple[float, float]]]:
    """Return round trips a second, and the seconds that one took, of each way in each round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in targets}
    names = list(targets)
    for number in range(runs):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            found[name].append(_asked(machine, targets[name], count, SECONDS))
    return found


def _compared(title: str, rates: dict[str, list[float]], unit: str) -> Table:
    medians = {name: statistics.median(found) for name, found in rates.items()}
    rows = [[name, f"{medians[name]:.0f}", f"{min(found):.0f}", f"{max(found):.0f}", f"{medians[name] / medians[PROXY]:.2f}"]
            for name, found in rates.items()]
    return Table(title, ["", f"median [{unit}]", "min", "max", "ratio"], rows, [], [
        Bar(name, medians[name], min(found), max(found)) for name, found in rates.items()], unit)


def _delays(delays: dict[str, list[float]]) -> Table:
    """Compare what a way adds to the time of one client's round trip, round by round."""
    rows, bars = [], []
    for name, found in delays.items():
        more = [mine - base for mine, base in zip(found, delays[DIRECT], strict=True)]
        rows.append([name, f"{statistics.median(found):.0f}", f"{min(found):.0f}", f"{max(found):.0f}",
                     f"{statistics.median(more):.0f}"])
        bars.append(Bar(name, statistics.median(found), min(found), max(found)))
    return Table("Datagrams: one round trip of one client", ["", "median [us]", "min", "max", "added [us]"], rows, [], bars, "us")
