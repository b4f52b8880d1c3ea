"""What many services cost while they sleep: at a boot, in systemd's memory, in processes.

Knows that a host with them, one with as many of the smallest units that listen, and one without are booted in turns; hides
how they come onto the hosts.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import statistics
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from hosts.machine import Machine, unbooted

from ondemand_pkg.contents import helper_files
from ondemand_pkg.contents.units import units
from ondemand_pkg.declaration.network_values import by_hand
from ondemand_pkg.layout import UNITS
from ondemand_pkg.model import Container, Exposed, Port, TcpAddress

from .measure import Bar, Table, verdict

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
CROWD, LINKED, MOST_RUNS = 1000, 300, 3
NONE, MANY, PLAIN = "no service", f"here, {CROWD} services asleep", f"{CROWD} sockets of one line"
EXPOSING, FEWER = f"here, {LINKED} services that other containers reach", f"{LINKED} sockets of one line"
BOOT, MEMORY = 2.0, 64.0  # times the boot of the smallest units, and KiB of systemd's, that a service may cost
OF_HOST, OF_NETWORK = "ss -Hltn | grep -c ':20[0-9][0-9][0-9] '", "ip netns exec ondemand ss -Hltn | grep -c ':80 '"
Units = Iterable[tuple[str, dict[str, str]]]  # the socket unit among some, and their texts


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots hosts, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return what is compared in one line each."""
    return [(NONE, "the host as it is"), (MANY, f"the same with the {3 * CROWD} units of {CROWD} services, each socket enabled"),
            (PLAIN, "the same with units of ListenStream= alone, each with the service that it needs: what systemd itself takes"),
            (EXPOSING, f"the host with {LINKED} services, each with `expose` and an address of its own"),
            (FEWER, "the same with so many units of ListenStream= alone")]


def tables(runs: int) -> Iterator[Table]:
    """Boot hosts, and yield what came out."""
    runs = min(runs, MOST_RUNS)
    click.echo(f"asleep: {runs} rounds of 6 boots", err=True)
    yield table(runs, CROWD, (PLAIN, plain_sockets), (MANY, services), f"{CROWD} services asleep on one host", OF_HOST)
    yield table(runs, LINKED, (FEWER, plain_sockets), (EXPOSING, exposing),
                f"{LINKED} services asleep on one host, which other containers reach", OF_NETWORK)


def table(runs: int, count: int, plain: tuple[str, Callable[[int], Units]], here: tuple[str, Callable[[int], Units]],
          title: str, listening: str) -> Table:
    """Boot a host without services, one with so many of the smallest units, and one with so many services, in turns."""
    ways: dict[str, Callable[[int], Units]] = {NONE: lambda _: (), **dict((plain, here))}
    boots: dict[str, list[float]] = {name: [] for name in ways}
    sizes: dict[str, list[float]] = {name: [] for name in ways}
    processes: dict[str, list[int]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, found in ways.items():
            with unbooted(SUITE) as machine:
                # Nobody reads the console, which is full after some hundred lines.
                machine.path("/etc/systemd/system.conf.d").mkdir(exist_ok=True)
                machine.path("/etc/systemd/system.conf.d/quiet.conf").write_text("[Manager]\nShowStatus=no\n")
                install(machine, found(count))
                machine.boot()
                boots[name].append(boot_time(machine))
                sizes[name].append(memory_of_systemd(machine))
                processes[name].append(int(machine.sh("ls -d /proc/[0-9]* | wc -l")))
                if name != NONE:
                    found_there = int(machine.sh(listening if name == here[0] else OF_HOST))
                    assert found_there == count, f"{found_there} sockets listen"
    middle = {name: (statistics.median(boots[name]), statistics.median(sizes[name])) for name in ways}
    rows = [[name, f"{middle[name][0]:.2f}", f"{min(boots[name]):.2f}", f"{max(boots[name]):.2f}",
             f"{middle[name][1] / 1024:.1f}", str(statistics.median_low(processes[name]))] for name in ways]
    boot, size = (after - before for before, after in zip(middle[NONE], middle[here[0]], strict=True))
    least = middle[plain[0]][0] - middle[NONE][0]
    return Table(title, ["", "boot [s]", "min", "max", "PID 1 [MiB]", "processes"], rows, [
        f"one of them, of the boot: {1000 * boot / count:.2f} ms; one socket of one line: {1000 * least / count:.2f} ms",
        verdict("the first to the second", boot / least, BOOT),
        verdict("one of them, of systemd's memory", size / count, MEMORY, " KiB")],
        [Bar(name, middle[name][1] / 1024) for name in ways], "MiB of PID 1")


def install(machine: Machine, found: Units) -> None:
    """Put units, and other files by their path, where packages would, and enable the sockets."""
    directory = machine.path(UNITS)
    wanted = machine.path("/etc/systemd/system/sockets.target.wants")
    wanted.mkdir(parents=True, exist_ok=True)
    for socket, texts in found:
        for name, text in texts.items():
            path = machine.path(name) if name.startswith("/") else directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o755 if path.suffix == "" else 0o644)
        (wanted / socket).symlink_to(Path(UNITS) / socket)


def services(count: int) -> Units:
    """Yield the units of this project's services."""
    for number in range(count):
        container = Container(f"web{number}", "nginx:1.27", "1", (Port(TcpAddress(None, 20000 + number), 80),))
        yield container.socket_unit, units(container)


def exposing(count: int) -> Units:
    """Yield the units of services that other containers reach, each with the helpers that make their network."""
    clashing = by_hand(f"web{number}" for number in range(count))
    for number in range(count):
        name = f"web{number}"
        address = ipaddress.IPv4Address(clashing[name]) if name in clashing else None
        container = Container(name, "nginx:1.27", "1", expose=(Exposed(80),), address=address)
        modules = {path: text.decode("utf-8") for path, text in helper_files.modules(container).items()}
        yield container.socket_unit, {**units(container), **{
            f"{container.libexec}/{path}": text for path, text in {**modules, **helper_files.programs(container)}.items()}}


def plain_sockets(count: int) -> Units:
    """Yield the smallest units that listen."""
    for number in range(count):
        yield f"plain{number}.socket", {f"plain{number}.socket": f"[Socket]\nListenStream={20000 + number}\n",
                                        f"plain{number}.service": "[Service]\nExecStart=/bin/true\n"}


def boot_time(machine: Machine) -> float:
    """Return the seconds from the start of PID 1 to the end of the boot."""
    said = machine.run("systemctl", "show", "-P", "UserspaceTimestampMonotonic", "-P", "FinishTimestampMonotonic").stdout
    begin, end = sorted(int(word) for word in said.split())
    return (end - begin) / 1e6


def memory_of_systemd(machine: Machine) -> float:
    """Return the proportional set size of PID 1 in KiB."""
    return float(machine.sh("grep ^Pss: /proc/1/smaps_rollup").split()[1])
