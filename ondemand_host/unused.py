"""Which running containers nobody uses, and what they cost.

Knows that a container is in use to which a client has a connection, or sends something: not one that is busy with itself.  Hides
how that is seen (traffic.py) and who is asked for containers (engines.py).
"""

import os
import shutil
import subprocess
import time
from typing import List, NamedTuple, Optional, Tuple

from ondemand_host import engines, memory, systemd, traffic
from ondemand_host.engines import Container
from ondemand_host.errors import HostError
from ondemand_host.table import size
from ondemand_host.traffic import Traffic
from ondemand_host.visible import visible

BUILDER = "ondemand-pkg"
LEAST, MOST = 1.0, 30 * 86400.0  # seconds
MOST_NAMED = 3  # clients
OF_USERS = ("conmon", "rootlesskit")  # programs that hold the containers of users
_HOST = "this host"


class Observed(NamedTuple):
    """What was seen of one container; ``memory`` in bytes, None where it could not be measured."""

    container: "Container"
    traffic: "Traffic"
    memory: "Optional[int]"
    has_server: "bool"  # whether anything is there to connect to


class Findings(NamedTuple):
    """What a time of looking has shown; ``of_packages``: how many containers are on-demand already.

    ``not_seen``: who, and why.
    """

    seconds: "float"
    observed: "Tuple[Observed, ...]"
    of_packages: "int"
    not_seen: "Tuple[Tuple[str, str], ...]"

    @property
    def unused(self) -> "List[Observed]":
        """Those to which nobody came, but could."""
        return [one for one in self.observed if one.has_server and not one.traffic.is_any]


class Candidates(NamedTuple):
    """The containers that can be looked at, and those that can't."""

    containers: "Tuple[Container, ...]"
    of_packages: "int"
    not_seen: "Tuple[Tuple[str, str], ...]"


def candidates() -> "Candidates":
    """Return the containers that run.  Raises HostError where nobody else than root could see what reaches them."""
    if os.getuid() != 0:
        raise HostError("only root can see what reaches containers; run the command as root")
    networks = {_network("self"): _HOST}
    found: "List[Container]" = []
    not_seen: "List[Tuple[str, str]]" = []
    of_packages = 0
    for place in engines.sockets_of_engines():
        containers = engines.containers(place)
        if containers is None:
            not_seen.append((place, "no engine answers there"))
        for one in containers or ():
            if one.is_of_a_package:
                of_packages += 1
                continue
            owner = networks.setdefault(_network(str(one.process)), one.name)
            if owner == one.name:
                found.append(one)
            else:
                not_seen.append((one.name, "it shares the network of {}, where its clients can't be told apart".format(owner)))
    return Candidates(tuple(found), of_packages, tuple(not_seen + _of_users()))


def watch(chosen: "Candidates", seconds: "float") -> "Findings":
    """Look at containers for a time, or until Ctrl-C."""
    watching, traffics, not_seen = {}, {}, list(chosen.not_seen)
    for one in chosen.containers:
        try:
            watched = traffic.watched(one.process)
        except OSError as error:
            not_seen.append((one.name, "its network can't be entered ({})".format(error.strerror)))
            continue
        watching[watched] = traffics[one] = Traffic(udp_ports(one))
        for client, port in traffic.open_connections(one.process):
            traffics[one].holds(client, port)
    begin = time.monotonic()
    try:
        traffic.listen(watching, begin + seconds)
    except KeyboardInterrupt:
        pass  # what was seen until now
    lives = {(one.name, one.life) for place in engines.sockets_of_engines() for one in engines.containers(place) or ()}
    observed = []
    for one, seen in traffics.items():
        if (one.name, one.life) in lives:
            has_server = bool(udp_ports(one)) or traffic.has_server(one.process)
            observed.append(Observed(one, seen, memory.held_by(one.process), has_server))
        else:
            not_seen.append((one.name, "it ended or was started again meanwhile"))
    for watched in watching:
        watched.close()
    return Findings(time.monotonic() - begin, tuple(observed), chosen.of_packages, tuple(not_seen))


def seconds_of(text: "str") -> "float":
    """Return a time span as systemd.time(7) writes it.  Raises HostError."""
    try:
        told = systemd.output(["systemd-analyze", "timespan", "--", text])
        seconds = next(int(line.split()[1]) for line in told.splitlines() if line.split()[:1] in (["\u03bcs:"], ["us:"])) / 1e6
    except (HostError, StopIteration, ValueError, IndexError):
        seconds = 0.0
    if not LEAST <= seconds <= MOST:
        raise HostError("--for: {} is no time to look at containers; write one from 1s to 30d, such as 10min".format(repr(text)))
    return seconds


def declaration(name: "str") -> "Optional[str]":
    """Return the declaration that would make a container on-demand, None where the builder is not installed here.

    Raises HostError where it can't be made.
    """
    if shutil.which(BUILDER) is None:
        return None
    done = subprocess.run([BUILDER, "import", "--container", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["?"]
        raise HostError("{}: no declaration could be made: {}".format(name, said[-1].replace("error: ", "", 1)))
    return done.stdout.decode("utf-8", "replace")


def udp_ports(container: "Container") -> "List[int]":
    """Return the UDP ports that a container publishes, or that its image declares."""
    return [int(port.rpartition(">")[2].partition("/")[0]) for port in container.ports if port.endswith("/udp")]


def _network(process: "str") -> "str":
    """Return what tells a network namespace from others."""
    try:
        return os.readlink("/proc/{}/ns/net".format(process))
    except OSError:
        return process  # it has ended


def _of_users() -> "List[Tuple[str, str]]":
    """Return the users who have containers of their own, which no engine of root's knows."""
    users = set()
    for name in os.listdir("/proc"):
        try:
            with open("/proc/{}/comm".format(name)) as stream:
                if stream.read().strip() in OF_USERS:
                    users.add(os.stat("/proc/" + name).st_uid)
        except OSError:
            continue  # no process, or one that has ended
    return [("user {}".format(user), "containers of users were not looked at") for user in sorted(users - {0})]


def lines(findings: "Findings", paint: "Paint") -> "Iterator[str]":
    """Yield what is printed; what others wrote is visible in it."""
    used = [one for one in findings.observed if one.traffic.is_any]
    unreachable = [one for one in findings.observed if not one.has_server and not one.traffic.is_any]
    for title, group, tell in (("Nobody came to:", findings.unused, _ports), ("In use:", used, _use),
                               ("No connection can wake, as they listen nowhere:", unreachable, lambda one: "")):
        if group:
            yield paint(title, bold=True)
            rows = [(visible(one.container.name), "?" if one.memory is None else size(one.memory), visible(tell(one)))
                    for one in group]
            width = max(len(row[0]) for row in rows)
            for name, memory_held, told in rows:
                yield "  {}  {:>10}  {}".format(name.ljust(width), memory_held, told).rstrip()
    if findings.of_packages:
        yield "On-demand already, and not looked at: {} of packages; see 'ondemand status'".format(findings.of_packages)
    if findings.not_seen:
        yield paint("Not seen:", bold=True)
        for name, reason in findings.not_seen:
            yield "  {}: {}".format(visible(name), visible(reason))


def _ports(one: "Observed") -> "str":
    return "ports " + " ".join(one.container.ports) if one.container.ports else ""


def _use(one: "Observed") -> "str":
    seen = one.traffic
    clients = sorted(seen.clients, key=lambda client: (-seen.clients[client], client))
    more = len(clients) - MOST_NAMED
    counts = ((seen.connections, "new connections"), (seen.open_before, "open before"), (seen.datagrams, "datagrams"))
    told = ["{} {}".format(count, what) for count, what in counts if count]
    return "{}, {} from {}{}".format(", ".join(told), size(seen.bytes), ", ".join(clients[:MOST_NAMED]),
                                     " and {} more".format(more) if more > 0 else "")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from ondemand_host.table import Paint
