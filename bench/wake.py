"""How long the first request takes that wakes a container, beside other ways to have it answered.

Knows the ways, how each is put to sleep again, and that all are measured on one host; hides their units and names.
"""

from __future__ import annotations

import collections
import json
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
from hosts.conftest import built
from hosts.machine import Machine, fresh

from .measure import Alternative, Bar, Sample, Table, comparison, in_turns, ratio, verdict

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
HAND_RATIO, PAUSED_RATIO, UNPACKED_RATIO = 1.0, 0.15, 0.3  # to the wake by hand
TOLD = 50.0  # milliseconds from the end of a container that exits while it starts to the message
CROWDS, MOST_OTHERS, CROWD_RUNS = (200, 1000, 10_000), 1000, 3  # clients at once; the other way gets no more than so many
SETTLE = 0.5  # seconds; the engine tidies up behind a container after it calls it stopped
OK = "HTTP/1.1 200 OK"
IMAGE = "nginx:many"
# Debian's nginx takes 768 connections: all ways lead to one that takes the largest crowd.
MANY = """\
docker run --name many nginx:1.27 sh -c \
    "sed -i 's/worker_connections 768/worker_connections 19000/; 1i worker_rlimit_nofile 20000;' /etc/nginx/nginx.conf"
docker commit --change 'CMD ["nginx","-g","daemon off;"]' many nginx:many
docker rm many
"""
DECLARATION = """
[package]
version = "1"
[container.nginx]
image = "nginx:many"
ports = ["80:80"]
[container.paused]
image = "nginx:many"
ports = ["81:80"]
idle  = "1s"
idle_action = "pause"
[container.exits]
image = "nginx:many"
ports = ["82:80"]
command = ["sh", "-c", "sleep 0.2; date +%s%N; exit 3"]
"""
# Its image is in the package, of which systemd itself runs it.
UNPACKED_DECLARATION = """
[container.unpacked]
version = "1"
image = "nginx:many"
ports = ["83:80"]
engine = "systemd"
bundle = true
outbound = false
"""
EXITS = "ondemand-exits-container"
_AWAKE = "active,activating,deactivating,reloading"
_ON_HOST = Path(__file__).with_name("on_host.py")

PROXY_SOCKET = "[Socket]\nListenStream=8090\n[Install]\nWantedBy=sockets.target\n"
PROXY_SERVICE = """\
[Unit]
Requires=nginx-docker.service
After=nginx-docker.service
[Service]
ExecStart=/usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:8080
"""
DOCKER_SERVICE = """\
[Service]
ExecStart=/usr/bin/docker start -a nginx8080
ExecStartPost=/usr/local/bin/waitport 127.0.0.1 8080
ExecStop=/usr/bin/docker stop nginx8080
"""
WAITPORT = """\
#!/bin/sh
for i in $(seq 600); do
    nc -z "$1" "$2" && exit 0
    sleep 0.1
done
exit 1
"""


@dataclass(frozen=True)
class Way:
    """One way to a woken container: where its clients connect, what its units and other programs are called."""

    name: str
    port: int
    services: tuple[str, ...]
    socket: str
    programs: tuple[str, ...] = ()


HERE = Way("here, the package", 80, ("ondemand-nginx.service", "ondemand-nginx-container.service"), "ondemand-nginx.socket")
UNPACKED = Way('here, engine = "systemd"', 83, ("ondemand-unpacked.service", "ondemand-unpacked-container.service"),
               "ondemand-unpacked.socket", ("ondemand-image@unpacked.service",))
PUBLISHED = Way("units around docker start -a", 8090, ("nginx-proxy.service", "nginx-docker.service"), "nginx-proxy.socket",
                ("docker-proxy",))
BY_HAND = "by hand: docker start, request"
PAUSED = Way("here, from paused", 81, ("ondemand-paused.service", "ondemand-paused-container.service"), "ondemand-paused.socket")


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots a host, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return the ways in one line each."""
    return [(HERE.name, "ondemand-nginx.deb on port 80"),
            (UNPACKED.name, "ondemand-unpacked.deb on port 83: the image unpacked, and the relay in the path"),
            (PUBLISHED.name, "socket, systemd-socket-proxyd, wait until the port that docker publishes accepts"),
            (BY_HAND, "the container's own address, asked every 2 ms; nothing between client and container")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    click.echo(f"wake: boots a host ({SUITE}; the first time ever, it is made, which takes minutes)", err=True)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh(SUITE) as machine:
        bench = _Bench(machine)
        yield bench.prepare(Path(temporary))
        yield bench.first_requests(runs)
        yield bench.failures_told(runs)
        yield from bench.crowds(min(runs, CROWD_RUNS))


class _Bench:
    """The host with all ways on it, asleep between any two measurements."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.address = ""
        self.failures: collections.Counter[str] = collections.Counter()

    def prepare(self, directory: Path) -> Table:
        """Install every way; return what the host consists of."""
        machine = self.machine
        machine.sh(MANY)
        packages = built(directory, DECLARATION)
        os.environ["DOCKER_HOST"] = f"unix:///proc/{machine.leader}/root/run/docker.sock"
        packages.update(built(directory, UNPACKED_DECLARATION))
        machine.apt_install(*(packages[f"deb/{name}"] for name in ("nginx", "paused", "exits", "unpacked")))
        machine.run("docker", "create", "--name", "nginx8080", "-p", "8080:80", IMAGE)
        machine.write("/usr/local/bin/waitport", WAITPORT)
        machine.run("chmod", "755", "/usr/local/bin/waitport")
        texts = (PROXY_SOCKET, PROXY_SERVICE, DOCKER_SERVICE)
        for name, text in zip((PUBLISHED.socket, *PUBLISHED.services), texts, strict=True):
            machine.write(f"/etc/systemd/system/{name}", text)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", PUBLISHED.socket)
        machine.run("docker", "create", "--name", "by-hand", IMAGE)
        machine.run("docker", "start", "by-hand")
        # It gets the same address whenever no other container runs; who starts it by hand need not ask for it then.
        self.address = machine.inspect("by-hand")["NetworkSettings"]["IPAddress"]
        machine.run("docker", "stop", "by-hand")
        self.settle()
        return Table("The host", ["", ""], [
            ("Debian", machine.sh("cat /etc/debian_version").strip()),
            ("systemd", machine.sh("systemctl --version").split("(")[1].split(")")[0]),
            ("Docker", machine.run("docker", "version", "--format", "{{.Server.Version}}").stdout.strip()),
            ("Python", machine.sh("python3 --version").split()[1])])

    def on_host(self, *call: object) -> Any:
        """Call a function of what runs on the host."""
        return json.loads(self.machine.run("python3", "-c", _ON_HOST.read_text(), json.dumps(call), timeout=180).stdout)

    def settle(self) -> None:
        """Wait until no service and no container of any way runs, and the sockets listen."""
        services = " ".join((*HERE.services, *PUBLISHED.services, *UNPACKED.services, *UNPACKED.programs))
        awake = (f"systemctl list-units --no-legend --state={_AWAKE} {services} | grep -q . || "
                 "docker ps -q --filter status=running | grep -q .")
        self.machine.sh(f"while {awake}; do sleep 0.02; done", timeout=120)
        # Five starts within ten seconds are as many as systemd allows units that say nothing of it.
        self.machine.sh(f"systemctl reset-failed {services} {PUBLISHED.socket} 2>/dev/null; systemctl start {PUBLISHED.socket}")
        time.sleep(SETTLE)

    def sleep(self, way: Way) -> None:
        """Put a way to sleep as its administrator would."""
        self.machine.run("systemctl", "stop", way.services[-1])
        self.settle()

    def judged(self, name: str, seconds: float, answer: str) -> Sample:
        """Return the time of a request that was answered, None for another; what happened instead is told."""
        if answer == OK:
            return seconds
        self.failures[f"{name}: {answer or 'closed without a reply'}"] += 1
        return None

    def explain(self, way: Way) -> None:
        """Say what the journal holds of a failure of the package; that others fail is what is counted."""
        if way in (HERE, UNPACKED):
            units = [f"--unit={unit}" for unit in (way.socket, *way.services)]
            done = self.machine.run("journalctl", "--no-pager", "--output=short-precise", "--lines=60", *units)
            click.echo(done.stdout, err=True)

    def first_request(self, way: Way) -> Sample:
        """Measure one first request, and put the way to sleep again."""
        sample = self.judged(way.name, *self.on_host("first", "127.0.0.1", way.port))
        if sample is None:
            self.explain(way)
        self.sleep(way)
        return sample

    def by_hand(self) -> Sample:
        """Measure one start by hand, and stop the container again."""
        sample = self.judged(BY_HAND, *self.on_host("by_hand", "by-hand", self.address, 80))
        self.machine.run("docker", "stop", "by-hand")
        self.settle()
        return sample

    def first_requests(self, runs: int) -> Table:
        """Measure the first request of every way in turns."""
        click.echo(f"wake: {runs} rounds of 4 ways", err=True)
        ways = (HERE, UNPACKED, PUBLISHED)
        times = in_turns([Alternative(BY_HAND, self.by_hand),
                          *(Alternative(way.name, partial(self.first_request, way)) for way in ways)], runs)
        paused = [self.from_paused() for _ in range(runs + 1)][1:]
        times = {**times, PAUSED.name: paused}
        return comparison("The first request, from asleep to the whole reply", times, BY_HAND, [
            verdict("here to by hand", ratio(times[HERE.name], times[BY_HAND]), HAND_RATIO),
            verdict(f"{UNPACKED.name}, to by hand", ratio(times[UNPACKED.name], times[BY_HAND]), UNPACKED_RATIO),
            verdict("here, from paused, to by hand", ratio(paused, times[BY_HAND]), PAUSED_RATIO), *self.told_failures()])

    def from_paused(self) -> Sample:
        """Measure one request to a container that is paused, after the first of all has made it run."""
        sample = self.judged(PAUSED.name, *self.on_host("first", "127.0.0.1", PAUSED.port))
        self.machine.sh("until docker inspect --format '{{.State.Paused}}' ondemand-paused | grep -q true; do sleep 0.05; done")
        return sample

    def failures_told(self, runs: int) -> Table:
        """Measure how long it takes until the journal says why a container did not start: it prints when it ends."""
        told = []
        for _ in range(runs):
            self.on_host("first", "127.0.0.1", 82)
            self.machine.run("journalctl", "--sync")
            lines = self.machine.run("journalctl", f"--unit={EXITS}", "--output=json", "--grep=container exited before",
                                     "--lines=1").stdout
            entry = json.loads(lines)
            ended = int(re.findall(r"\d{16,}", entry["MESSAGE"])[-1]) / 1e6  # nanoseconds, its last output
            told.append(int(entry["__REALTIME_TIMESTAMP"]) / 1e3 - ended)
            self.machine.sh(f"systemctl stop ondemand-exits.service {EXITS}.service; rm -f /run/ondemand-exits/end")
        self.settle()
        rows = [["from its last output to the message in the journal",
                 *(f"{value:.1f}" for value in (statistics.median(told), min(told), max(told)))]]
        return Table("A container that exits while it starts", ["", "median [ms]", "min", "max"], rows,
                     [verdict("until it is in the journal", statistics.median(told), TOLD, " ms")])

    def told_failures(self) -> list[str]:
        """Return, once, what happened instead of answers."""
        told = [f"not answered: {what}, {count} times" for what, count in self.failures.items()]
        self.failures.clear()
        return told

    def crowds(self, runs: int) -> Iterator[Table]:
        """Let many clients wake each way at once, and look at the memory while it is awake and asleep."""
        self.machine.run("systemctl", "stop", PAUSED.socket, *PAUSED.services)
        sizes: dict[str, list[dict[str, int]]] = {way.name: [] for way in (HERE, PUBLISHED)}
        asleep: dict[str, list[int]] = {way.name: [] for way in (HERE, PUBLISHED)}
        for crowd in CROWDS:
            click.echo(f"wake: {runs} rounds of {crowd} clients", err=True)
            ways = (HERE, PUBLISHED) if crowd <= MOST_OTHERS else (HERE,)
            answered: dict[str, list[int]] = {way.name: [] for way in ways}
            lasts: dict[str, list[float]] = {way.name: [] for way in ways}
            for _ in range(runs):
                for way in ways:
                    asleep[way.name].append(len(self.on_host("memory", way.services, way.programs)))
                    good = self.crowd(way, crowd)
                    answered[way.name].append(len(good))
                    lasts[way.name].append(max(good, default=float("nan")))
                    self.on_host("first", "127.0.0.1", way.port)  # awake, should the crowd not have woken it
                    sizes[way.name].append(self.on_host("memory", way.services, way.programs))
                    self.sleep(way)
            rows = [[way.name, " ".join(map(str, answered[way.name])), " ".join(f"{last:.2f}" for last in lasts[way.name])]
                    for way in ways]
            yield Table(f"{crowd} clients at once wake the container, {runs} rounds",
                        ["", f"answered 200, of {crowd}", "until the last of them [s]"], rows, self.told_failures(),
                        [Bar(way.name, crowd - statistics.median(answered[way.name])) for way in ways] if len(ways) > 1 else (),
                        "clients that got no answer")
        found = {way.name: _sizes(sizes[way.name]) for way in (HERE, PUBLISHED)}
        yield Table("Memory of all helpers while awake", ["", "all [MiB]", "of it [MiB]", "processes asleep"],
                    [[name, f"{size:.1f}", each, str(max(asleep[name]))] for name, (size, each) in found.items()],
                    ["Proportional set size of what runs beside the container and its shim."],
                    [Bar(name, size) for name, (size, _) in found.items()], "MiB")

    def crowd(self, way: Way, count: int) -> list[float]:
        """Let clients wake a way at once; return the times of those that were answered."""
        outcomes = [self.judged(way.name, seconds, answer)
                    for answer, seconds in self.machine.timed_clients(count, ("127.0.0.1", way.port))]
        good = [outcome for outcome in outcomes if outcome is not None]
        if len(good) < count:
            self.explain(way)
        return good


def _sizes(rounds: Sequence[dict[str, int]]) -> tuple[float, str]:
    """Return the median size of all processes, and the last round's of each."""
    each = ", ".join(f"{_short(name)} {size / 1024:.1f}" for name, size in sorted(rounds[-1].items(), key=lambda item: -item[1]))
    return statistics.median(sum(found.values()) for found in rounds) / 1024, each


def _short(process: str) -> str:
    """Return the name of a process: its program, or the script that an interpreter runs."""
    words = process.split(" ")[1:]
    if Path(words[0]).name.startswith("python3"):
        script = next(word for word in words[1:] if not word.startswith("-"))
        return "/".join(Path(script).parts[-2:])
    return Path(words[0]).name
