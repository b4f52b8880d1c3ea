"""How fast an awake service is for a client outside of the host: past the relay, through it, and beside others.

Knows the ways, and that all get the same load from one client in a network of its own; hides namespaces and the tools that make
the load.  The relay's own numbers, of clients on the host, are in relay.py.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from hosts.conftest import built
from hosts.machine import Machine, fresh

from .measure import Bar, Table, verdict

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "wrk")
HERE, RELAY, PROXYD, DIRECT = 'here, path = "kernel"', "here, the relay", "systemd-socket-proxyd", "the container's own address"
DECLARATION = """
[package]
version = "1.27.0"
[container.led]
image = "nginx:1.27"
ports = ["8001:80"]
path = "kernel"
[container.relayed]
image = "nginx:1.27"
ports = ["8002:80"]
[container.proxied]
image = "nginx:1.27"
ports = ["8003:80"]
proxy = "systemd-socket-proxyd"
"""
PORTS = {HERE: ("led", 8001), RELAY: ("relayed", 8002), PROXYD: ("proxied", 8003)}
HOST = "192.0.2.1"
OUTSIDE = f"""
ip netns add outside
ip link add outside0 type veth peer name inside0 netns outside
ip address add {HOST}/24 dev outside0
ip link set outside0 up
ip -n outside address add 192.0.2.2/24 dev inside0
ip -n outside link set inside0 up
ip -n outside link set lo up
ip -n outside route add default via {HOST}
"""
CROWDS = (32, 400)  # connections
LOAD_SECONDS = 3
BULK = 400  # MB of a download
DOWNLOADS = 4  # one after the other, for one takes no longer than a moment in which something else runs
LEAST = 0.95  # of the container's own address, which is aimed at
MOST_RUNS = 12


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots a host, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return the ways in one line each."""
    return [(HERE, "after one request of the client: the first connection of an address in each minute is the relay's"),
            (RELAY, "the default of a declaration"), (PROXYD, 'proxy = "systemd-socket-proxyd"'),
            (DIRECT, "by a route through the host, for which Docker's own drop is lifted")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    runs = min(runs, MOST_RUNS)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh(SUITE) as machine:
        packages = built(Path(temporary), DECLARATION)
        machine.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
        machine.sh(OUTSIDE)
        targets = {}
        for name, (container, port) in PORTS.items():
            _ask(machine, f"{HOST}:{port}")
            machine.run("docker", "exec", f"ondemand-{container}", "sh", "-c",
                        f"head -c {BULK}000000 /dev/zero >/var/www/html/bulk")
            targets[name] = f"{HOST}:{port}"
        address = machine.inspect("ondemand-led")["NetworkSettings"]["IPAddress"]
        machine.run("iptables", "--insert", "DOCKER-USER", "--destination", address, "--protocol", "tcp", "--dport", "80",
                    "--match", "conntrack", "!", "--ctstate", "DNAT", "--jump", "ACCEPT")
        targets[DIRECT] = f"{address}:80"
        for connections in CROWDS:
            click.echo(f"kernel: {runs} rounds of {LOAD_SECONDS} s, {connections} connections, 4 ways", err=True)
            yield _measured(machine, targets, runs, connections)
        click.echo(f"kernel: {runs} rounds of a download, 4 ways", err=True)
        yield _measured(machine, targets, runs, 0)


def _ask(machine: Machine, target: str) -> None:
    machine.run("ip", "netns", "exec", "outside", "curl", "-sS", "--max-time", "60", "-o", "/dev/null", f"http://{target}/")


def _measured(machine: Machine, targets: dict[str, str], runs: int, connections: int) -> Table:
    """Compare requests per second over connections that are kept, or of a download where there are none."""
    rates: dict[str, list[float]] = {name: [] for name in targets}
    errors: dict[str, int] = dict.fromkeys(targets, 0)
    names = list(targets)
    for number in range(runs):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            _ask(machine, targets[name])
            rate, failed = _load(machine, targets[name], connections) if connections else (_bulk(machine, targets[name]), 0)
            rates[name].append(rate)
            errors[name] += failed
    medians = {name: statistics.median(found) for name, found in rates.items()}
    unit = "1/s" if connections else "MB/s"
    # Round by round: on a machine that does something else too, rounds differ by more than ways.
    ratios = {name: statistics.median(mine / base for mine, base in zip(found, rates[DIRECT], strict=True))
              for name, found in rates.items()}
    rows = [[name, f"{medians[name]:.0f}", f"{min(found):.0f}", f"{max(found):.0f}", f"{ratios[name]:.2f}"]
            for name, found in rates.items()]
    notes = [verdict("here to the container's own address", ratios[HERE], LEAST, least=True)]
    if connections:
        notes.append(f"errors: {', '.join(f'{name} {count}' for name, count in errors.items())}")
    title = f"From outside: requests per second, {connections} connections" if connections else (
        f"From outside: one download of {BULK} MB")
    return Table(title, ["", f"median [{unit}]", "min", "max", "ratio in a round"], rows, notes,
                 [Bar(name, medians[name], min(found), max(found)) for name, found in rates.items()], unit)


def _load(machine: Machine, target: str, connections: int) -> tuple[float, int]:
    """Return requests per second, and errors."""
    # In the network of the client alone: the host's root file system has no such tool.
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{LOAD_SECONDS}", f"http://{target}/"]
    said = subprocess.run(["nsenter", f"--net=/proc/{machine.leader}/root/run/netns/outside", *wrk], check=True,
                          capture_output=True, text=True).stdout
    (rate,) = re.findall(r"Requests/sec:\s+([0-9.]+)", said)
    found = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return float(rate), sum(map(int, found.groups())) if found else 0


def _bulk(machine: Machine, target: str) -> float:
    """Return megabytes per second of a download."""
    said = machine.run("ip", "netns", "exec", "outside", "curl", "-sS", "-w", "%{speed_download}\\n",
                       *DOWNLOADS * ["-o", "/dev/null", f"http://{target}/bulk"]).stdout
    return statistics.mean(map(float, said.split())) / 1e6
