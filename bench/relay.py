"""How fast an awake service is through the relay, beside systemd's proxy and beside the container's own address.

Knows the ways and the load that each gets; hides the tools that make the load.
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
HERE, PROXYD, DIRECT = "here, the package's relay", "systemd-socket-proxyd", "the container's own address"
DECLARATION = """
[package]
version = "1.27.0"
[container.relayed]
image = "nginx:1.27"
ports = ["8001:80"]
[container.proxied]
image = "nginx:1.27"
ports = ["8002:80"]
proxy = "systemd-socket-proxyd"
"""
IDLE_DECLARATION = """
[container.idle{number}]
image = "nginx:1.27"
ports = ["{port}:80"]
command = ["sh", "-c", '''
sed -i 's/worker_connections 768/worker_connections 19000/; 1i worker_rlimit_nofile 20000;' /etc/nginx/nginx.conf
exec nginx -g 'daemon off;'''']
"""
PORTS = {HERE: ("relayed", 8001), PROXYD: ("proxied", 8002)}
CROWDS = {32: 1.2, 400: 1.2}  # connections, and the least ratio to systemd's proxy that is aimed at
LOAD_SECONDS = 3
BULK, BULK_RATIO = 400, 0.9  # MB of a download, and the least ratio to systemd's proxy that is aimed at
SILENT = 500  # connections: nginx as Debian configures it takes 768
MOST_RUNS = 5
# Connections in all, and the memory that may hold them.  Three relays: of this machine's files one process may open as many as
# connections are wanted here, and a relayed connection takes two.
IDLE, IDLE_RELAYS, IDLE_MEMORY = 20_000, 3, 200.0
IDLE_PORT = 8010


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots a host, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return the ways in one line each."""
    return [(HERE, "the default of a declaration"), (PROXYD, 'proxy = "systemd-socket-proxyd", to the container\'s own address'),
            (DIRECT, "nothing between client and container")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    runs = min(runs, MOST_RUNS)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh(SUITE) as machine:
        idle = "".join(IDLE_DECLARATION.format(number=number, port=IDLE_PORT + number) for number in range(IDLE_RELAYS))
        packages = built(Path(temporary), DECLARATION + idle)
        machine.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
        targets = {}
        for name, (container, port) in PORTS.items():
            machine.get(f"http://127.0.0.1:{port}/")
            machine.run("docker", "exec", f"ondemand-{container}", "sh", "-c",
                        f"head -c {BULK}000000 /dev/zero >/var/www/html/bulk")
            targets[name] = f"127.0.0.1:{port}"
        targets[DIRECT] = f"{machine.inspect('ondemand-relayed')['NetworkSettings']['IPAddress']}:80"
        for connections, aim in CROWDS.items():
            click.echo(f"relay: {runs} rounds of {LOAD_SECONDS} s, {connections} connections, 3 ways", err=True)
            yield _load(machine, targets, connections, aim, runs)
        click.echo(f"relay: {runs} rounds of a download, 3 ways", err=True)
        yield _bulk(machine, targets, runs)
        yield _silent(machine)
        yield _idle(machine)


def _load(machine: Machine, targets: dict[str, str], connections: int, aim: float, runs: int) -> Table:
    """Requests per second over connections that are kept."""
    rates: dict[str, list[float]] = {name: [] for name in targets}
    errors: dict[str, int] = dict.fromkeys(targets, 0)
    for _ in range(runs):
        for name, target in targets.items():
            # In the network of the host alone: its root file system has no such tool.
            wrk = ["wrk", "-t1", f"-c{connections}", f"-d{LOAD_SECONDS}", f"http://{target}/"]
            said = subprocess.run(["nsenter", "-t", str(machine.leader), "-n", *wrk], check=True, capture_output=True,
                                  text=True).stdout
            rates[name] += [float(rate) for rate in re.findall(r"Requests/sec:\s+([0-9.]+)", said)]
            found = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
            errors[name] += sum(map(int, found.groups())) if found else 0
    return _compared(f"Requests per second, {connections} connections", rates, "1/s", aim,
                     [f"errors: {', '.join(f'{name} {count}' for name, count in errors.items())}"])


def _bulk(machine: Machine, targets: dict[str, str], runs: int) -> Table:
    """Megabytes per second of one download."""
    rates: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(runs):
        for name, target in targets.items():
            said = machine.run("curl", "-sS", "-o", "/dev/null", "-w", "%{speed_download}", f"http://{target}/bulk").stdout
            rates[name].append(float(said) / 1e6)
    return _compared(f"One download of {BULK} MB", rates, "MB/s", BULK_RATIO, [])


def _compared(title: str, rates: dict[str, list[float]], unit: str, aim: float, notes: list[str]) -> Table:
    medians = {name: statistics.median(found) for name, found in rates.items()}
    rows = [[name, f"{medians[name]:.0f}", f"{min(found):.0f}", f"{max(found):.0f}", f"{medians[name] / medians[PROXYD]:.2f}"]
            for name, found in rates.items()]
    told = verdict("here to systemd's proxy", medians[HERE] / medians[PROXYD], aim, least=True)
    return Table(title, ["", f"median [{unit}]", "min", "max", "ratio"], rows, [told, *notes],
                 [Bar(name, medians[name], min(found), max(found)) for name, found in rates.items()], unit)


_CONNECT = """
import socket, sys
kept = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
for connection in kept:
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    connection.recv(65536)
print("connected", flush=True)
sys.stdin.read()
"""


def _silent(machine: Machine) -> Table:
    """Memory of the proxy process, without connections and with many that are silent."""
    rows = []
    for name, (container, port) in PORTS.items():
        machine.run("systemctl", "stop", f"ondemand-{container}-container")
        machine.get(f"http://127.0.0.1:{port}/")
        before = _size(machine, container)
        client = machine.start("python3", "-c", _CONNECT, str(port), str(SILENT))
        assert client.stdout is not None
        client.stdout.readline()
        after = _size(machine, container)
        client.communicate()
        rows.append([name, f"{before / 1024:.1f}", f"{after / 1024:.1f}", f"{(after - before) / SILENT:.1f}"])
    return Table(f"Memory of the proxy process (proportional set size), {SILENT} silent connections",
                 ["", "none [MiB]", f"{SILENT} [MiB]", "each [KiB]"], rows)


_HOLD = """
import socket, sys
kept = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
print("connected", flush=True)
sys.stdin.readline()
for connection in kept:
    connection.sendall(b"HEAD / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(sum(connection.recv(65536).startswith(b"HTTP/1.1 200") for connection in kept), flush=True)
"""


def _idle(machine: Machine) -> Table:
    """Memory of the relays that hold very many connections, each of which is asked for an answer then."""
    each = [IDLE // IDLE_RELAYS + (number < IDLE % IDLE_RELAYS) for number in range(IDLE_RELAYS)]
    click.echo(f"relay: {IDLE} idle connections", err=True)
    before = _idle_sizes(machine, IDLE_RELAYS) if _woken(machine) else []
    clients = [machine.start("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec python3 -c "$@"', "sh", _HOLD, str(IDLE_PORT + number),
                             str(count)) for number, count in enumerate(each)]
    for client in clients:
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
    after = _idle_sizes(machine, IDLE_RELAYS)
    answered = sum(int(client.communicate("\n", timeout=120)[0]) for client in clients)
    size = sum(after) / 1024
    return Table(f"{IDLE} open idle connections, over {IDLE_RELAYS} relays: proportional set size of all",
                 ["", "none [MiB]", f"{IDLE} [MiB]", "each [KiB]", "answered then"],
                 [[HERE, f"{sum(before) / 1024:.1f}", f"{size:.1f}", f"{(sum(after) - sum(before)) / IDLE:.2f}", str(answered)]],
                 [verdict(f"{IDLE} connections", size, IDLE_MEMORY, " MiB")])


def _woken(machine: Machine) -> bool:
    return all(machine.get(f"http://127.0.0.1:{IDLE_PORT + number}/") == "200" for number in range(IDLE_RELAYS))


def _idle_sizes(machine: Machine, count: int) -> list[int]:
    return [_size(machine, f"idle{number}") for number in range(count)]


def _size(machine: Machine, container: str) -> int:
    """Return the proportional set size of a proxy's process in KiB."""
    said = machine.sh(f"grep ^Pss: /proc/$(systemctl show -P MainPID ondemand-{container})/smaps_rollup")
    return int(said.split()[1])
