"""The on-demand services of this host: what each one does just now and how its wakes went.

Knows the files that services leave in /run, and what they mean together with what systemd, the kernel, the journal and the engine
report; hides where each of that is available, and says what this user may not learn.
"""

import math
import os
import socket
import time
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ondemand_host import engines, sockets, systemd
from ondemand_host.places import Installed, chosen
from ondemand_host.stacks import Application, applications
from ondemand_host.systemd import Record, Sleep, Unit, Unwoken

FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.1, 30.0  # seconds in which clients are rejected, as helpers/relay_life.py has it
WAITING = "waiting for "  # how the status text of one begins that waits for another to sleep (helpers/exclusion.py)
COMPANION_BACK_OFF = 1.0  # seconds until a companion that has ended is started again, as helpers/companions.py has it
ASK_TIMEOUT = 1.0  # seconds in which a proxy answers with its numbers
JOURNAL, IDLE, CONTAINERS = "journal", "idle_left", "containers"  # what a user may not be allowed to read
CLOCK_BOOTTIME = 7  # Python names it from 3.7 on
_RUNNING = {"active": "awake", "reloading": "awake", "activating": "starting", "deactivating": "stopping"}


class Statistics(NamedTuple):
    """How long wakes took, in milliseconds, and how many they were."""

    p50: "int"
    p99: "int"
    wakes: "int"


class Service(NamedTuple):
    """One service.

    ``state`` is one of asleep, awake, paused, starting, stopping, failing, disabled (it does not listen, as an administrator
    wants it), closed (it does not listen, though enabled) and unmanaged (the container runs without its service: somebody
    started it at the engine).  ``idle_left`` in seconds; None: not awake, never, or not to be read.  ``next_attempt`` in seconds
    since the epoch; ``failures`` None: not to be read.  ``built_by`` is the release of ondemand-pkg whose helpers are installed,
    ``version`` the package's own, both None where the package (of 0.1.0) does not say.  ``enabled``: whether it listens after the
    next boot.  ``without_proxy``: its container service was started by hand, so nothing counts its traffic.
    ``companion_of``: the services that a companion, which does not listen, is started for; ``task_before``: those that a task is,
    ``schedule``: the moments at which one runs by the clock; ``enabled`` is then its timer's.
    ``given_back`` is how many bytes of memory one that sleeps has given back, None where that was not measured.
    ``unwoken`` tells of clients that woke nothing, by the field of the journal that has their count; empty: none, or not to be
    read.
    ``waits_for`` is the service that excludes it and that is awake, until which it is not started; empty: none.
    ``next_by_clock``: when the clock wakes it next, or runs a task, in seconds since the epoch.
    ``dropped`` is how many datagrams the kernel has dropped since it listens, and how many the proxy since the last wake.
    """

    name: "str"
    state: "str"
    ports: "Tuple[str, ...]"
    connections: "int"
    idle_left: "Optional[float]" = None
    last_wake: "Optional[Record]" = None
    wake_time: "Optional[Statistics]" = None
    failures: "Optional[int]" = None
    failures_in_a_row: "int" = 0
    last_failure: "Optional[Record]" = None
    next_attempt: "Optional[float]" = None
    built_by: "Optional[str]" = None
    enabled: "bool" = True
    without_proxy: "bool" = False
    stem: "str" = ""
    version: "Optional[str]" = None
    companion_of: "Tuple[str, ...]" = ()
    task_before: "Tuple[str, ...]" = ()
    dropped: "Tuple[int, int]" = (0, 0)
    schedule: "Tuple[str, ...]" = ()
    last_sleep: "Optional[Sleep]" = None
    given_back: "Optional[int]" = None
    unwoken: "Mapping[str, Unwoken]" = {}
    waits_for: "str" = ""
    next_by_clock: "Optional[float]" = None


class Survey(NamedTuple):
    """The services and stacks, and what of them this user could not read (JOURNAL, IDLE, CONTAINERS)."""

    services: "Tuple[Service, ...]"
    not_readable: "Tuple[str, ...]" = ()
    applications: "Tuple[Application, ...]" = ()


def survey(wanted: "Sequence[str]") -> "Survey":
    """Return the services and stacks of the given names, or all; those of a stack are its members.

    Raises HostError where there is none of a name, or no systemd.
    """
    systemd.require_systemd()
    packages, stacks = chosen(wanted)
    units = systemd.units([engines.DOCKER] + [unit for package in packages for unit in (
        package.socket, package.shared_socket, package.proxy, package.container, package.timer) + (
            (package.unit,) if package.unit else ())])
    readable = systemd.journal_is_readable()
    records: "Dict[str, List[Record]]" = {}
    sleeps: "Dict[str, List[Sleep]]" = {}
    if readable and packages:
        wakes, ends = systemd.history([package.name for package in packages] if wanted else ())
        for record in wakes:
            records.setdefault(record.name, []).append(record)
        for end in ends:
            sleeps.setdefault(end.name, []).append(end)
    unwoken = systemd.unwoken([package.proxy for package in packages if package.keeps_account]) if readable else {}
    engine_runs = units.get(engines.DOCKER, Unit()).active in _RUNNING
    running = engines.running() if packages and engine_runs else set()
    if running is not None:
        running |= {package.stem for package in packages if package.adopted and engines.runs(package.adopted, engine_runs)}
    addresses = {address for unit in units.values() for address in unit.listen}
    shared = {address for address in addresses if sockets.is_of_containers(address)}
    counts = {**sockets.connections(addresses - shared), **sockets.connections_of_containers(shared)}
    found = [_service(package, units, counts, records.get(package.name, []), sleeps.get(package.name, []), readable,
                      running or set())._replace(unwoken=unwoken.get(package.proxy, {})) for package in packages]
    hidden = ((JOURNAL, not readable), (IDLE, os.getuid() != 0), (CONTAINERS, running is None))
    return Survey(tuple(found), tuple(what for what, is_hidden in hidden if is_hidden) if found else (),
                  applications(stacks, found))


def _service(package: "Installed", units: "Dict[str, Unit]", counts: "Dict[str, int]", past: "List[Record]",
             sleeps: "List[Sleep]", readable: "bool", running: "Set[str]") -> "Service":
    listening, container = units.get(package.socket, Unit()), units.get(package.container, Unit())
    proxy, listen = units.get(package.proxy, Unit()), listening.listen + units.get(package.shared_socket, Unit()).listen
    in_a_row, ended = last_end(package.state)
    starter = listening if package.listens else units.get(package.timer, Unit()) if package.schedule else None
    runs = units.get(package.unit, Unit()).active in _RUNNING if package.unit else package.stem in running
    state = state_of(starter, container, in_a_row, runs)
    wakes, failures = [one for one in past if not one.failed], [one for one in past if one.failed]
    now = time.time()
    idle_left, dropped = numbers(os.path.join(package.state, "control")) if state == "awake" and os.getuid() == 0 else (None, 0)
    return Service(
        name=package.name, state=state, ports=listen, connections=sum(counts[one] for one in listen),
        idle_left=idle_left, dropped=(sockets.drops(listening.listen), dropped),
        last_wake=wakes[0] if wakes else None, wake_time=statistics([one.total for one in wakes if one.total is not None]),
        failures=len(failures) if readable else None,
        # The file of the last end is older than a container that is ready.
        failures_in_a_row=0 if state in ("awake", "paused") else in_a_row,
        last_failure=failures[0] if failures else None,
        next_attempt=now + max(0.0, ended + back_off_after(in_a_row, not package.companion_of)
                               - time.clock_gettime(CLOCK_BOOTTIME))
        if state == "failing" else None, built_by=package.built_by,
        enabled=starter is None or starter.file_state.startswith("enabled"), schedule=package.schedule,
        without_proxy=state == "awake" and package.listens and proxy.active not in _RUNNING, stem=package.stem,
        version=package.version, companion_of=package.companion_of,
        waits_for=container.status[len(WAITING):] if state == "starting" and container.status.startswith(WAITING) else "",
        task_before=package.task_before, last_sleep=sleeps[0] if sleeps else None,
        given_back=next((one.given_back for one in sleeps if one.given_back is not None), None) if state == "asleep" else None,
        next_by_clock=units.get(package.timer, Unit()).elapses)


def state_of(listening: "Optional[Unit]", container: "Unit", failures_in_a_row: "int", is_running: "bool" = False) -> "str":
    """Return the state of a service; ``is_running`` is the engine's word about its container.

    ``listening`` is None for one that has no socket.
    """
    if container.active in _RUNNING:
        is_paused = container.active == "active" and container.status == "paused"  # helpers/run.py
        return "paused" if is_paused else _RUNNING[container.active]
    if is_running:
        return "unmanaged"
    if listening is not None and listening.active not in ("active", "activating", "reloading"):
        return "closed" if listening.file_state.startswith("enabled") else "disabled"
    return "failing" if failures_in_a_row else "asleep"


def last_end(state_directory: "str") -> "Tuple[int, float]":
    """Return how many starts in a row had failed when the container last ended, and when that was (CLOCK_BOOTTIME)."""
    try:
        with open(os.path.join(state_directory, "end")) as stream:
            count, when = stream.read().split()
        return int(count), float(when)
    except (OSError, ValueError):
        return 0, 0.0


def back_off_after(failures: "int", rejects: "bool" = True) -> "float":
    """Return for how many seconds clients are rejected, or a companion is left alone, after so many failures in a row."""
    return max(0.0 if rejects else COMPANION_BACK_OFF, min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2.0 ** min(failures - 1, 16)))


def statistics(milliseconds: "Sequence[int]") -> "Optional[Statistics]":
    """Return the percentiles of some numbers by the nearest rank: each is one of the numbers."""
    if not milliseconds:
        return None
    ordered = sorted(milliseconds)
    p50, p99 = (ordered[math.ceil(share * len(ordered) / 100) - 1] for share in (50, 99))
    return Statistics(p50, p99, len(ordered))


def numbers(control: "str") -> "Tuple[Optional[float], int]":
    """Ask a proxy for how many seconds its container stays awake without traffic, and how many datagrams were dropped.

    None: for ever, or it does not answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.settimeout(ASK_TIMEOUT)
            channel.connect(control)
            channel.send(b"status")
            while True:
                words = channel.recv(1024).decode("utf-8", "replace").split()
                if not words:
                    return None, 0
                if words[0] == "numbers":
                    return None if words[1] == "-" else float(words[1]), int(words[3]) if len(words) > 3 else 0
    except (OSError, ValueError, IndexError):
        return None, 0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Set
