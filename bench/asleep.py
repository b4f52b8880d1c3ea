"""What many services cost while they sleep: at a boot, in systemd's memory, in processes.

Knows that a host with them, one with as many of the smallest units that listen, and one without are booted in turns; hides
how they come onto the hosts.
"""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from hosts.machine import Machine, unbooted

from ondemand_pkg.contents.units import units
from ondemand_pkg.layout import UNITS
from ondemand_pkg.model import Container, Port, TcpAddress

from .measure import Bar, Table, verdict

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
CROWD, MOST_RUNS = 1000, 3
NONE, MANY, PLAIN = "no service", f"here, {CROWD} services asleep", f"{CROWD} sockets of one line"
BOOT, MEMORY = 2.0, 64.0  # times the boot of the smallest units, and KiB of systemd's, that a service may cost


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots hosts, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return what is compared in one line each."""
    return [(NONE, "the host as it is"), (MANY, f"the same with the {3 * CROWD} units of {CROWD} services, each socket enabled"),
            (PLAIN, "the same with units of ListenStream= alone, each with the service that it needs: what systemd itself takes")]


def tables(runs: int) -> Iterator[Table]:
    """Boot hosts, and yield what came out."""
    runs = min(runs, MOST_RUNS)
    click.echo(f"asleep: {runs} rounds of 3 boots", err=True)
    names = (NONE, PLAIN, MANY)
    boots: dict[str, list[float]] = {name: [] for name in names}
    sizes: dict[str, list[float]] = {name: [] for name in names}
    processes: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            with unbooted(SUITE) as machine:
                # Nobody reads the console, which is full after some hundred lines.
                machine.path("/etc/systemd/system.conf.d").mkdir(exist_ok=True)
                machine.path("/etc/systemd/system.conf.d/quiet.conf").write_text("[Manager]\nShowStatus=no\n")
                if name != NONE:
                    install(machine, services() if name == MANY else plain_sockets())
                machine.boot()
                boots[name].append(boot_time(machine))
                sizes[name].append(memory_of_systemd(machine))
                processes[name].append(int(machine.sh("ls -d /proc/[0-9]* | wc -l")))
                if name != NONE:
                    listening = int(machine.sh("ss -Hltn | grep -c ':20[0-9][0-9][0-9] '"))
                    assert listening == CROWD, f"{listening} sockets listen"
    middle = {name: (statistics.median(boots[name]), statistics.median(sizes[name])) for name in names}
    rows = [[name, f"{middle[name][0]:.2f}", f"{min(boots[name]):.2f}", f"{max(boots[name]):.2f}",
             f"{middle[name][1] / 1024:.1f}", str(statistics.median_low(processes[name]))] for name in names]
    boot, size = (after - before for before, after in zip(middle[NONE], middle[MANY], strict=True))
    least = middle[PLAIN][0] - middle[NONE][0]
    yield Table(f"{CROWD} services asleep on one host", ["", "boot [s]", "min", "max", "PID 1 [MiB]", "processes"], rows, [
        f"one of them, of the boot: {1000 * boot / CROWD:.2f} ms; one socket of one line: {1000 * least / CROWD:.2f} ms",
        verdict("the first to the second", boot / least, BOOT),
        verdict("one of them, of systemd's memory", size / CROWD, MEMORY, " KiB")],
        [Bar(name, middle[name][1] / 1024) for name in names], "MiB of PID 1")


def install(machine: Machine, found: Iterable[tuple[str, dict[str, str]]]) -> None:
    """Put units, by the socket unit among them, where packages would, and enable the sockets."""
    directory = machine.path(UNITS)
    wanted = machine.path("/etc/systemd/system/sockets.target.wants")
    wanted.mkdir(parents=True, exist_ok=True)
    for socket, texts in found:
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
        (wanted / socket).symlink_to(Path(UNITS) / socket)


def services() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the units of this project's services."""
    for number in range(CROWD):
        container = Container(f"web{number}", "nginx:1.27", "1", (Port(TcpAddress(None, 20000 + number), 80),))
        yield container.socket_unit, units(container)


def plain_sockets() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the smallest units that listen."""
    for number in range(CROWD):
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
