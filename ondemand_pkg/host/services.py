"""The on-demand services of this host: what each one does just now and how its wakes went.

Knows the files that packages bring and that services leave in /run, and what they mean together with what systemd, the kernel and
the journal tell; hides where each is to be had, and says what this user may not learn.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.host import sockets, systemd
from ondemand_pkg.host.systemd import Record, Unit

LIBEXEC, RUN = Path("/usr/libexec"), Path("/run")
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.1, 30.0  # seconds in which clients are turned away, as templates/libexec/relay has it
ASK_TIMEOUT = 1.0  # seconds in which a proxy tells its numbers
JOURNAL, IDLE = "journal", "idle_left"  # what a user may not be allowed to read
_RUNNING = {"active": "awake", "reloading": "awake", "activating": "starting", "deactivating": "stopping"}


@dataclass(frozen=True)
class Statistics:
    """How long wakes took, in milliseconds, and how many they were."""

    p50: int
    p99: int
    count: int


@dataclass(frozen=True)
class Service:
    """One service.

    ``state`` is one of asleep, awake, paused, starting, stopping, failing, disabled (it does not listen, as an administrator
    wants it) and closed (it does not listen, though enabled).  ``idle_left`` in seconds; None: not awake, never, or not to be
    read.  ``next_attempt`` in seconds since the epoch; ``failures`` None: not to be read.
    """

    name: str
    state: str
    ports: tuple[str, ...]
    connections: int
    idle_left: float | None = None
    last_wake: Record | None = None
    wake_time: Statistics | None = None
    failures: int | None = None
    failures_in_a_row: int = 0
    last_failure: Record | None = None
    next_attempt: float | None = None


@dataclass(frozen=True)
class Survey:
    """The services, and what of them this user could not read (JOURNAL, IDLE)."""

    services: tuple[Service, ...]
    not_readable: tuple[str, ...] = field(default=())


def survey(wanted: Sequence[str]) -> Survey:
    """Return the services of the given names, or all.  Raises OndemandError where there is none of a name, or no systemd."""
    systemd.require_systemd()
    stems = installed(LIBEXEC)
    unknown = [name for name in wanted if name not in stems]
    if unknown:
        known = f"known are: {', '.join(sorted(stems))}" if stems else "none is installed"
        raise OndemandError(f"no on-demand service of this host is called {' or '.join(map(repr, unknown))}; {known}")
    names = sorted(set(wanted) or stems)
    units = systemd.units([stems[name] + ending for name in names for ending in (".socket", "-container.service")])
    readable = systemd.journal_is_readable()
    records: dict[str, list[Record]] = {}
    if readable and names:
        for record in systemd.records(wanted):
            records.setdefault(record.name, []).append(record)
    found, counts = [], sockets.connections({address for unit in units.values() for address in unit.listen})
    for name in names:
        socket_unit = units.get(f"{stems[name]}.socket", Unit())
        state_directory = RUN / f"ondemand-{name}"
        container_unit = units.get(f"{stems[name]}-container.service", Unit())
        in_a_row, ended = last_end(state_directory)
        state = state_of(socket_unit, container_unit, in_a_row)
        past = records.get(name, [])
        wakes, failures = [one for one in past if not one.failed], [one for one in past if one.failed]
        found.append(Service(
            name=name, state=state, ports=socket_unit.listen, connections=sum(counts[one] for one in socket_unit.listen),
            idle_left=idle_left(state_directory / "control") if state == "awake" and os.getuid() == 0 else None,
            last_wake=wakes[0] if wakes else None, wake_time=statistics([one.total for one in wakes if one.total is not None]),
            failures=len(failures) if readable else None, failures_in_a_row=in_a_row,
            last_failure=failures[0] if failures else None,
            next_attempt=time.time() + max(0.0, ended + back_off_after(in_a_row) - time.clock_gettime(time.CLOCK_BOOTTIME))
            if state == "failing" else None))
    hidden = [what for what, is_hidden in ((JOURNAL, not readable), (IDLE, os.getuid() != 0)) if is_hidden]
    return Survey(tuple(found), tuple(hidden) if found else ())


def installed(libexec: Path) -> dict[str, str]:
    """Return the stem of the units of each installed service, by its name."""
    found = {}
    for path in libexec.glob("ondemand-*/container.json"):
        try:
            found[path.parent.name.removeprefix("ondemand-")] = str(json.loads(path.read_bytes())["container"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # removed meanwhile, or of somebody else
    return found


def state_of(socket_unit: Unit, container_unit: Unit, failures_in_a_row: int) -> str:
    """Return the state of a service."""
    if container_unit.active in _RUNNING:
        is_paused = container_unit.active == "active" and container_unit.status == "paused"  # templates/libexec/run
        return "paused" if is_paused else _RUNNING[container_unit.active]
    if socket_unit.active not in ("active", "activating", "reloading"):
        return "closed" if socket_unit.file_state.startswith("enabled") else "disabled"
    return "failing" if failures_in_a_row else "asleep"


def last_end(state_directory: Path) -> tuple[int, float]:
    """Return how many starts in a row had failed when the container last ended, and when that was (CLOCK_BOOTTIME)."""
    try:
        count, when = (state_directory / "end").read_text().split()
        return int(count), float(when)
    except (OSError, ValueError):
        return 0, 0.0


def back_off_after(failures: int) -> float:
    """Return for how many seconds clients are turned away after so many failures in a row."""
    return min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures - 1, 16))


def statistics(milliseconds: Sequence[int]) -> Statistics | None:
    """Return the percentiles of some numbers by the nearest rank: each is one of the numbers."""
    if not milliseconds:
        return None
    ordered = sorted(milliseconds)
    p50, p99 = (ordered[math.ceil(share * len(ordered) / 100) - 1] for share in (50, 99))
    return Statistics(p50, p99, len(ordered))


def idle_left(control: Path) -> float | None:
    """Ask a proxy for how many seconds its container stays awake without traffic; None: for ever, or nobody tells."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.settimeout(ASK_TIMEOUT)
            channel.connect(str(control))
            channel.send(b"status")
            while packet := channel.recv(1024):
                words = packet.decode("utf-8", "replace").split()
                if words[0] == "numbers":
                    return None if words[1] == "-" else float(words[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
