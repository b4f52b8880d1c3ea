"""A service of a Compose project that somebody brought up, with the services that it depends on.

Knows the labels by which Compose says what belongs together and what is started first; hides that one workload is several
containers.  Compose itself is not needed.  The container of the service is the workload: those before it are started with it, and
stopped once it has ended, unless others use them.
"""

import _signal
import os
import time

import programs
from names import WORKLOAD

from engines import EngineDown, EngineError, Pending
from engines.adopted import Adopted
from engines.docker import OF_CONTAINER
from engines.podman import Podman

LABELS = "com.docker.compose."
STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
UNCHECKED = (None, "", "none")  # what an engine says of the health of a container without a check
PATIENCE = 600.0  # seconds for all conditions together; the clients' own limit is the readiness check's
LOOK = 0.1  # seconds until a health check is looked at again, whose answer the engine has when it has it
SUCCESS = b"done"
NO_SERVICE = ("the Compose project {0} has no container of the service {1} on this host; run 'docker-compose up --no-start' in "
              "its directory, or declare another 'compose' or 'service'")


class Member:
    """A container of the project."""

    def __init__(self, listed: "Dict[str, Any]") -> "None":
        labels = listed.get("Labels") or {}
        self.identity = str(listed["Id"])
        self.service = str(labels.get(LABELS + "service", ""))
        number = str(labels.get(LABELS + "container-number", ""))
        self.number = int(number) if number.isdigit() else 1
        self.is_one_off = str(labels.get(LABELS + "oneoff", "")).lower() == "true"
        self.depends = parted(str(labels.get(LABELS + "depends_on", "")))
        self.is_running = listed.get("State") in ("running", "paused")
        self.is_paused = listed.get("State") == "paused"


class Project(Adopted):
    """The containers that have the project's label, whatever they are at the moment."""

    word = "compose"

    # What is known

    def members(self, patience: "Optional[float]" = None) -> "List[Member]":
        """Return the containers of the project, those of one number that run first, then the newest."""
        import json

        wanted = json.dumps({"label": ["{}project={}".format(LABELS, self.declared["compose"])]})
        filters = "".join(c if c.isalnum() else "%{:02X}".format(ord(c)) for c in wanted)
        listed = self.api.call("GET", "/containers/json?all=1&filters=" + filters, patience) or []
        found = [one for one in map(Member, listed) if one.service and not one.is_one_off]
        return sorted(found, key=lambda one: (one.number, not one.is_running))

    def found(self, patience: "Optional[float]" = None) -> "Optional[str]":
        return next((one.identity for one in self.members(patience) if one.service == self.declared["service"]), None)

    def peek(self, name: "str") -> "Optional[Seen]":
        return self.look(name)

    def missing(self) -> "str":
        return NO_SERVICE.format(self.declared["compose"], self.declared["service"])

    def in_order(self, members: "List[Member]") -> "List[List[Member]]":
        """Return the containers of the service and of those that it depends on, service by service, what is started first first.

        Raises EngineError where one of them has no container.
        """
        services: "Dict[str, List[Member]]" = {}
        for one in members:
            services.setdefault(one.service, []).append(one)
        order: "List[List[Member]]" = []
        left: "List[Tuple[str, bool]]" = [(self.declared["service"], False)]
        seen: "Set[str]" = set()
        while left:
            service, has_all = left.pop()
            if service not in services:
                raise EngineError(NO_SERVICE.format(self.declared["compose"], service))
            if has_all:
                order.append(services[service])
            elif service not in seen:
                seen.add(service)
                left.append((service, True))
                left += [(other, False) for other, _ in reversed(services[service][0].depends)]
        return order

    def against_it(self, seen: "Seen") -> "List[str]":
        said: "List[str]" = []
        try:
            order = self.in_order(self.members())
        except EngineError as error:
            return [str(error)]
        for one in (one for service in order for one in service):
            found = self.look(one.identity)
            said += [] if found is None else super().against_it(found)
        return said

    # A life

    def begin(self, name: "str") -> "Pending":
        return Errand(self.start)

    def start(self) -> "None":
        """Start everything in its order, each once what it depends on is as it wants it."""
        deadline, members = time.monotonic() + PATIENCE, self.members()
        order = self.in_order(members)
        for service in order:
            for other, condition in service[0].depends:
                for one in members:
                    if one.service == other:
                        self.await_condition(one, condition, deadline)
            for one in service:
                if one.is_paused:
                    super().thaw(one.identity)
                elif not one.is_running:
                    super().begin(one.identity).done()

    def await_condition(self, one: "Member", condition: "str", deadline: "float") -> "None":
        while condition == HEALTHY:
            seen = self.look(one.identity)
            health = ((seen.known["State"] if seen else {}).get("Health") or {}).get("Status")
            if seen is None or not seen.is_running:
                raise EngineError("the service {}, which must be healthy first, has ended".format(one.service))
            if health == "healthy":
                return
            if health in UNCHECKED or health == "unhealthy":
                raise EngineError("the service {}, which must be healthy first, {}".format(
                    one.service, "has no health check" if health in UNCHECKED else "is unhealthy"))
            if time.monotonic() > deadline:
                raise EngineError("the service {} did not get healthy within {:g} s".format(one.service, PATIENCE))
            time.sleep(LOOK)
        if condition == COMPLETED:
            patience = max(1.0, deadline - time.monotonic())
            status = self.api.call("POST", OF_CONTAINER.format(one.identity) + "/wait", patience)["StatusCode"]
            if status:
                raise EngineError("the service {}, which must succeed first, ended with status {}; see 'docker logs'".format(
                    one.service, status))

    def stop_rest(self, name: "str") -> "None":
        """Stop what the service depends on, once it has ended, in the reverse order; what others use goes on."""
        if self.is_left():
            return
        members = self.members()
        own = [one for one in members if one.service == self.declared["service"]]
        if not own or name not in (WORKLOAD, own[0].identity) or len({one.number for one in own}) != len(own):
            return  # somebody removes it, or makes it again, and what it depends on is wanted
        try:
            unused = self.unused(members)
        except EngineError:
            return  # a part of it is missing, which the next wake reports
        for one in unused:
            super().stop(one.identity)

    def unused(self, members: "List[Member]") -> "List[Member]":
        """Return those that run, may sleep with the service, in the order in which they do."""
        order = self.in_order(members)
        ours = {one.identity for service in order for one in service}
        kept = {one.service for one in members if one.is_running and one.identity not in ours}  # they keep what they depend on
        found: "List[Member]" = []
        for service in reversed(order):
            name = service[0].service
            needed = {other for one in members if one.service in kept for other, _ in one.depends}
            if name != self.declared["service"] and (name in needed or any(map(self.has_clients, service))):
                kept.add(name)
            else:
                found += [one for one in service if one.is_running]
        return found

    def has_clients(self, one: "Member") -> "bool":
        """Return whether somebody is connected to what the service no longer is."""
        from engines.networks import has_other_clients

        seen = self.look(one.identity) if one.is_running else None
        return seen is not None and seen.is_running and has_other_clients(int(seen.life), [], None)

    def freeze(self, name: "str") -> "None":
        """Pause the service, and then what it depends on; connections between them stay, and are no use."""
        members = self.members()
        needed = {other for one in members if one.is_running and one.service not in {
            two.service for service in self.in_order(members) for two in service} for other, _ in one.depends}
        for service in reversed(self.in_order(members)):
            for one in service:
                if one.is_running and not one.is_paused and one.service not in needed:
                    super().freeze(one.identity)

    def thaw(self, name: "str") -> "None":
        for service in self.in_order(self.members()):
            for one in service:
                if one.is_paused:
                    super().thaw(one.identity)


class ProjectAtDocker(Project):
    """One of Docker's."""


class ProjectAtPodman(Project, Podman):
    """One of Podman's."""


class Errand(Pending):
    """Work on several containers, done in a process of its own."""

    def __init__(self, work: "Callable[[], None]") -> "None":
        self.reading, writing = os.pipe2(os.O_CLOEXEC)
        self.child = os.fork()
        if self.child:
            os.close(writing)
            return
        try:
            _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
            os.write(writing, outcome_of(work))
        finally:
            os._exit(0)

    def fileno(self) -> "int":
        return self.reading

    def done(self) -> "None":
        told = b""
        block = os.read(self.reading, 65536)
        while block:
            told += block
            block = os.read(self.reading, 65536)
        os.close(self.reading)
        programs.wait(self.child)
        if told != SUCCESS:
            raise EngineError(told.decode("utf-8", "replace") or "the process that started the containers was killed")


def outcome_of(work: "Callable[[], None]") -> "bytes":
    try:
        work()
    except (EngineDown, EngineError) as error:
        return str(error).encode("utf-8", "replace")
    return SUCCESS


def parted(label: "str") -> "List[Tuple[str, str]]":
    """Return the services of a label, each with its condition: "db:service_healthy:false,cache:service_started:true"."""
    found = []
    for one in label.split(","):
        service, _, rest = one.strip().partition(":")
        if service:
            found.append((service, rest.partition(":")[0] or STARTED))
    return found


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set, Tuple

    from engines import Seen
