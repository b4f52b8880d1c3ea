"""The timing diagram of one wake, drawn from a real one, above that of units around `docker start -a` on the same host.

Knows which moments of a wake systemd, the engine and the wake's own record tell; hides how an SVG is written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from hosts.conftest import built
from hosts.machine import Failed, Machine, fresh

from .plot import OTHERS, OURS
from .wake import DOCKER_SERVICE, PROXY_SERVICE, PROXY_SOCKET, WAITPORT

WOKEN = "03eb855e60674ca096582626136989ec"  # the record of a wake, docs/status.md
DECLARATION = '[container.nginx]\nversion = "1"\nimage = "nginx:1.27"\nports = ["80:80"]\n'
WIDTH, LEFT, RIGHT, ROW = 980, 250, 30, 24  # pixels
IDLE, WAITING = "#555555", "#BBBBBB"

# Runs on the host: asks once; prints when it began and when the first byte came (CLOCK_MONOTONIC), and the wall clock's lead.
_CLIENT = """
import socket, sys, time
begin = time.monotonic()
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60) as connection:
    connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
print(begin, time.monotonic(), time.time() - time.monotonic())
"""


@dataclass(frozen=True)
class Span:
    """What one takes part in, and the milliseconds since the client connected in which it does."""

    who: str
    begin: float
    end: float
    colour: str
    does: str


@dataclass(frozen=True)
class Wake:
    """One wake: its title, its spans, and when the first byte was there (milliseconds)."""

    title: str
    spans: tuple[Span, ...]
    total: float


def _stamp(machine: Machine, unit: str, name: str) -> float:
    """Return a moment of a unit in seconds of CLOCK_MONOTONIC."""
    return int(machine.run("systemctl", "show", "--value", f"--property={name}TimestampMonotonic", unit).stdout) / 1e6


def _client(machine: Machine, port: int) -> tuple[float, float, float]:
    begin, end, lead = machine.run("python3", "-c", _CLIENT, str(port)).stdout.split()
    return float(begin), float(end), float(lead)


def ours(machine: Machine) -> Wake:
    """Wake the package's container, and put it to sleep again."""
    begin, _, _ = _client(machine, 80)
    relay, run = (1000 * (_stamp(machine, f"ondemand-nginx{part}.service", "ExecMainStart") - begin)
                  for part in ("", "-container"))
    record: dict[str, str] = {}
    while int(record.get("__MONOTONIC_TIMESTAMP", 0)) / 1e6 < begin:  # it is written once the first byte is on its way
        machine.run("journalctl", "--sync")
        said = machine.run("journalctl", "--output=json", "--lines=1", f"MESSAGE_ID={WOKEN}").stdout
        record = json.loads(said or "{}")
    queued, engine, ready, first = (float(record[f"ONDEMAND_{name}_MS"])
                                    for name in ("QUEUED", "ENGINE_START", "READY", "FIRST_BYTE"))
    started, is_ready, total = queued + engine, queued + engine + ready, queued + engine + ready + first
    machine.run("systemctl", "stop", "ondemand-nginx-container.service")
    return Wake(f"This package: {total:.0f} ms", (
        Span("client", 0, total, WAITING, "connected at once; waits"),
        Span("systemd", 0, max(relay, run), IDLE, "starts both services"),
        Span("relay", relay, is_ready, WAITING, "accepts and holds the clients"),
        Span("relay", is_ready, total, OURS, ""),
        Span("run", run, queued, OURS, f"queued {queued:.0f}: compares the label, attaches"),
        Span("engine", queued, started, OURS, f"engine start {engine:.0f}"),
        Span("waitport", started, is_ready, OURS, f"ready {ready:.0f}: looks every 2 ms"),
        Span("container", started, total, OURS, f"first byte {first:.0f}"),
    ), total)


def theirs(machine: Machine) -> Wake:
    """Wake the container of the units around `docker start -a`, and put it to sleep again."""
    try:
        begin, end, lead = _client(machine, 8090)
    except Failed:
        _stop_theirs(machine)
        raise
    proxy, docker, active = (1000 * (_stamp(machine, unit, name) - begin) for unit, name in (
        ("nginx-proxy.service", "ExecMainStart"), ("nginx-docker.service", "ExecMainStart"),
        ("nginx-docker.service", "ActiveEnter")))
    wall = machine.run("date", "--date", machine.inspect("nginx8080")["State"]["StartedAt"], "+%s.%N").stdout
    started, total = 1000 * (float(wall) - lead - begin), 1000 * (end - begin)
    _stop_theirs(machine)
    return Wake(f"Units around docker start -a: {total:.0f} ms", (
        Span("client", 0, total, WAITING, "connected at once; waits"),
        Span("systemd", 0, docker, IDLE, "starts the container's unit"),
        Span("docker start -a, engine", docker, started, OTHERS, f"starts the container: {started - docker:.0f}"),
        Span("wait script", docker, active, OTHERS, f"content after {active - docker:.0f}: docker-proxy holds the port open"),
        Span("container", started, total, OTHERS, f"nobody asks it for {total - started:.0f}"),
        Span("systemd-socket-proxyd", proxy, total, OTHERS, f"connected to docker-proxy; first byte after {total - proxy:.0f}"),
    ), total)


def _stop_theirs(machine: Machine) -> None:
    machine.run("systemctl", "stop", "nginx-docker.service")
    machine.sh("systemctl reset-failed 'nginx-*'; systemctl start nginx-proxy.socket", check=False)


def median(machine: Machine, wake: Callable[[Machine], Wake], runs: int) -> Wake:
    """Return the wake that took the median time, of so many after one that warms up; say how many clients got no answer."""
    found: list[Wake] = []
    lost = 0
    while len(found) <= runs:
        try:
            found.append(wake(machine))
        except Failed:
            lost += 1
            if lost > 2 * runs:
                raise
        machine.sh("while docker ps --quiet | grep -q .; do sleep 0.05; done; sleep 0.5")
    if lost:
        click.echo(f"{wake.__name__}: {lost} more clients got no answer", err=True)
    return sorted(found[1:], key=lambda one: one.total)[runs // 2]


def draw(wakes: Sequence[Wake]) -> str:
    """Return an SVG."""
    scale = (WIDTH - LEFT - RIGHT) / max(wake.total for wake in wakes)
    lines, top = list[str](), 10.0
    for wake in wakes:
        who = list(dict.fromkeys(span.who for span in wake.spans))
        lines.append(f'<text x="10" y="{top + 16:.0f}" font-weight="bold">{wake.title}</text>')
        top += 28
        for number, name in enumerate(who):
            lines.append(f'<text x="{LEFT - 10}" y="{top + ROW * number + 16:.0f}" text-anchor="end">{name}</text>')
        for span in wake.spans:
            y, x, width = top + ROW * who.index(span.who), LEFT + span.begin * scale, max(1.5, (span.end - span.begin) * scale)
            lines.append(f'<rect x="{x:.1f}" y="{y + 3:.0f}" width="{width:.1f}" height="{ROW - 6}" fill="{span.colour}"/>')
            # In the bar where it has room, else beside it, on the side that has.
            inside = width > 6.6 * len(span.does)
            left = not inside and x + width + 6.6 * len(span.does) > WIDTH
            place = x + 6 if inside else x - 6 if left else x + width + 6
            colour = "white" if inside and span.colour == OURS else "black"
            lines.append(f'<text x="{place:.1f}" y="{y + 16:.0f}" text-anchor="{"end" if left else "start"}" fill="{colour}">'
                         f"{span.does}</text>")
        top += ROW * len(who) + 14
    lines.append(f'<line x1="{LEFT}" y1="{top:.0f}" x2="{WIDTH - RIGHT}" y2="{top:.0f}" stroke="black"/>')
    for time in range(0, int(max(wake.total for wake in wakes)) + 1, 100):
        x = LEFT + time * scale
        lines.append(f'<line x1="{x:.1f}" y1="{top:.0f}" x2="{x:.1f}" y2="{top + 5:.0f}" stroke="black"/>')
        lines.append(f'<text x="{x:.1f}" y="{top + 20:.0f}" text-anchor="middle">{time}</text>')
    top += 40
    lines.append(f'<text x="{LEFT}" y="{top - 2:.0f}">milliseconds since the client connected</text>')
    body = "\n".join(lines)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 8:.0f}" width="{WIDTH}" '
            f'font-family="sans-serif" font-size="12">\n<title>Two wakes, phase by phase</title>\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')


@click.command()
@click.option("--runs", default=9, show_default=True, help="How often each is woken; the median one is drawn.")
@click.argument("path", type=click.Path(path_type=Path))
def main(runs: int, path: Path) -> None:
    """Boot a host, wake a container both ways, and write the diagram to PATH."""
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh("trixie") as machine:
        machine.apt_install(built(Path(temporary), DECLARATION)["deb/nginx"])
        machine.run("docker", "create", "--name", "nginx8080", "-p", "8080:80", "nginx:1.27")
        machine.write("/usr/local/bin/waitport", WAITPORT)
        machine.run("chmod", "755", "/usr/local/bin/waitport")
        for name, text in (("proxy.socket", PROXY_SOCKET), ("proxy.service", PROXY_SERVICE), ("docker.service", DOCKER_SERVICE)):
            machine.write(f"/etc/systemd/system/nginx-{name}", text)
        machine.sh("systemctl daemon-reload && systemctl start nginx-proxy.socket")
        wakes = [median(machine, wake, runs) for wake in (ours, theirs)]
    for wake in wakes:
        click.echo(wake)
    path.write_text(draw(wakes), encoding="utf-8")


if __name__ == "__main__":
    main()
