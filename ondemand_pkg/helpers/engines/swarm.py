"""Docker's swarm, through the engine of one of its managers: a service of the site, which many hosts wake and put to sleep.

Knows how the service is scaled by versioned updates, and by which labels hosts tell each other that they need it awake; hides the
engine's JSON.  What the service is made from is in swarm_service.py, where its tasks listen in replicas.py.

A host holds the service awake by a label of its own.  Whoever takes the last of these labels away scales it to 0 in the same
update, which the engine refuses where anybody else has changed the service meanwhile: no client of another host is lost.
"""

import os
import time

from declared import read_environment, specification
from names import HERE, WORKLOAD
from process import say

from engines import EngineDown, EngineError, Output, Pending, Seen
from engines.docker_api import Api, AtSocket, Refused
from engines.processes import at_its_end

SOCKET = "/run/docker.sock"
LABEL = "ondemand.spec"
AWAKE = "ondemand.awake."  # with a node's ID behind it: the life for which that host holds the service awake
HOST = "ondemand.host."  # with a node's ID behind it: the version of the package that this host has
PATIENCE = 30.0  # seconds
TRIES = 100  # of an update that others come before, in a row
DIFFERS = ("the service {0} was made from another version of this package, or another environment file, and stays as it is; "
           "'{1}/container renew' on this host changes it")
ELECTION = ("have a leader", "has no leader", "Unavailable", "DeadlineExceeded", "deadline exceeded", "transport is closing",
            "connection refused", "lost leader")
ELECTION_PATIENCE = 20.0  # seconds, in which managers that are enough have a new leader
ELECTION_LOOK = 0.1
SEQUENCE = "out of sequence"
NO_MANAGER = "this host is no manager of a swarm; run 'docker swarm init', or 'docker swarm join' with a manager's token ({})"
NO_LEADER = "the swarm has no leader: more than half of its managers must be there ({})"
EVENTS = "/events?filters=%7B%22type%22%3A%5B%22service%22%5D%2C%22service%22%3A%5B%22{}%22%5D%7D"
EVENTS_OF_TASKS = ("/events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%5D%2C"
                   "%22label%22%3A%5B%22com.docker.swarm.service.id%3D{}%22%5D%7D")
TASKS = "/tasks?filters=%7B%22service%22%3A%5B%22{}%22%5D%7D"


class Swarm(AtSocket):
    """The swarm of which this host is a manager."""

    word, title, place = "swarm", "Docker", SOCKET
    has_own_network = True  # the tasks listen at ports of nodes that no socket unit has
    has_replicas = True

    def __init__(self) -> "None":
        self.api = Api(SOCKET)
        self.node = ""  # this host's ID
        self.insists = False  # the service is changed whatever other hosts have
        self.wait_until = 0.0  # when a swarm without a leader has failed
        self.is_led = False  # replicas.py is at work
        self.ended, self.held = -1, -1  # a pipe whose end is that of this host's life

    # The service

    def call(self, method: "str", target: "str", body: "Any" = None, patience: "Optional[float]" = None) -> "Any":
        """Ask the engine as its Api does; a host that can't rule a swarm says what to do.

        While a client waits for the start, the managers have a while to elect another leader.
        """
        while True:
            try:
                return self.api.call(method, target, patience, body)
            except Refused as error:
                text = str(error)
                is_passing = error.status in (500, 503) and any(word in text for word in ELECTION)
                if not is_passing or time.monotonic() > self.wait_until:
                    self.refuse(error, text)
            time.sleep(ELECTION_LOOK)

    def refuse(self, error: "Refused", text: "str") -> "None":
        """Raise an error in our words where there are some, else in the engine's."""
        if error.status in (500, 503) and any(word in text for word in ELECTION):
            raise EngineError(NO_LEADER.format(text)) from None
        if error.status == 503:
            raise EngineError(NO_MANAGER.format(text)) from None
        raise error

    def service(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Dict[str, Any]]":
        if name.startswith(WORKLOAD + "."):
            return None  # no service is made under another name
        try:
            return dict(self.call("GET", "/services/" + name, patience=patience))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def change(self, name: "str", how: "Callable[[Dict[str, Any]], bool]") -> "None":
        """Change the service by a versioned update; ``how`` changes what is wanted of it, and returns whether it has.

        Where somebody else has changed it meanwhile, it is read again.  A service that is not there is fine.
        """
        for _ in range(TRIES):
            found = self.service(name)
            if found is None:
                return
            wanted = found["Spec"]
            if not how(wanted):
                return
            target = "/services/{}/update?version={}".format(found["ID"], found["Version"]["Index"])
            try:
                self.call("POST", target, wanted)
                return
            except Refused as error:
                if SEQUENCE not in str(error):
                    raise
        raise EngineError("the service {} is changed all the time; this host's change was never in time".format(name))

    def own(self) -> "str":
        """Return this host's ID in the swarm."""
        if not self.node:
            self.node = self.call("GET", "/info")["Swarm"].get("NodeID") or ""
            if not self.node:
                raise EngineError(NO_MANAGER.format("it is in no swarm"))
        return self.node

    def members(self, alive: "bool" = False) -> "Dict[str, str]":
        """Return the address of each node of the swarm by its ID, of those alone that are there where that is asked."""
        found = {}
        for node in self.call("GET", "/nodes"):
            if alive and (node.get("Status") or {}).get("State") == "down":
                continue
            address = str((node.get("Status") or {}).get("Addr") or "")
            if address in ("", "0.0.0.0", "::"):  # some releases do not know that of a manager
                address = str((node.get("ManagerStatus") or {}).get("Addr") or "").rpartition(":")[0].strip("[]")
            found[str(node["ID"])] = address
        return found

    def others(self, labels: "Mapping[str, str]", kind: "str") -> "List[str]":
        """Return the other nodes that have a label of a kind, and are in the swarm; one that is down holds nothing awake."""
        own = self.own()
        found = {label[len(kind):] for label in labels if label.startswith(kind)} - {own}
        return sorted(found & set(self.members(alive=kind == AWAKE))) if found else []

    # What is known

    def look(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Seen]":
        found = self.service(name, patience)
        if found is None:
            return None
        labels = found["Spec"].get("Labels") or {}
        life = labels.get(AWAKE + self.own(), "") if replicas_of(found["Spec"]) else ""
        return Seen(bool(life), False, labels.get(LABEL, ""), life, known=found, identity=found["ID"])

    def peek(self, name: "str") -> "Optional[Seen]":
        """Return the same, as if the service were what is declared here: a wake changes nothing of it, an upgrade does."""
        self.wait_until = time.monotonic() + ELECTION_PATIENCE
        seen = self.look(name)
        if seen is None or not seen.specification:
            return seen
        declared = specification(read_environment())
        if seen.specification != declared:
            say(DIFFERS.format(name, HERE))
        # This host's part of it begins anew, whatever is left of one before.
        return Seen(False, False, declared, known=seen.known, identity=seen.identity)

    def is_alive(self, life: "str") -> "bool":
        try:
            seen = self.look(WORKLOAD, PATIENCE)
        except (EngineDown, EngineError):
            return True  # its tasks go on without a manager
        return seen is not None and seen.life == life

    def descriptor_of_end(self, life: "str") -> "Optional[int]":
        if self.ended < 0:
            return at_its_end()
        return os.dup(self.ended)

    def ends_here(self) -> "None":
        """This host's part in the life of the service is over."""
        if self.held >= 0:
            os.close(self.held)
            self.held = -1

    def addresses(self, seen: "Seen") -> "List[str]":
        # replicas.py finds those of the tasks and tells them, at the start and later.
        self.wait_until = 0.0
        first, self.is_led = not self.is_led, True
        return ["-"] if first else []

    def tasks(self, name: "str") -> "List[Dict[str, Any]]":
        """Return the tasks of the service, those that have ended too, so far as the swarm remembers them."""
        return list(self.call("GET", TASKS.format(name), patience=PATIENCE) or ())

    def tasks_by_hand(self) -> "str":
        return "docker service ps --no-trunc " + WORKLOAD

    def inside(self, task: "Mapping[str, Any]") -> "str":
        """Return the address of a task's container where it runs on this host and has one that this host reaches, else ""."""
        identity = (task["Status"].get("ContainerStatus") or {}).get("ContainerID")
        if not identity or task.get("NodeID") != self.own():
            return ""
        try:
            found = self.call("GET", "/containers/{}/json".format(identity), patience=PATIENCE)
        except Refused:
            return ""
        networks = (found["NetworkSettings"].get("Networks") or {}).values()
        return next((str(network["IPAddress"]) for network in networks if network.get("IPAddress")), "")

    def events(self, name: "str") -> "Socket":
        """Return a connection to which something comes when tasks of the service begin or end on this host."""
        return self.api.send("GET", EVENTS_OF_TASKS.format(name))

    # A life

    def begin(self, name: "str") -> "Pending":
        from engines.swarm_service import declared

        own, self.is_led = declared(), False
        label, token, replicas = AWAKE + self.own(), os.urandom(8).hex(), int(own["swarm"]["replicas"])
        own_version = str(own["version"])

        def hold(wanted: "Dict[str, Any]") -> "bool":
            wanted["Labels"] = dict(wanted.get("Labels") or {}, **{label: token, HOST + self.own(): own_version})
            if not replicas_of(wanted):
                wanted["Mode"]["Replicated"]["Replicas"] = replicas
            return True

        return Change(self, name, hold)

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        return Ending(self, name)

    def let_go(self, wanted: "Dict[str, Any]") -> "bool":
        """Hold the service awake no longer; scale it to 0 where nobody else does."""
        labels = dict(wanted.get("Labels") or {})
        is_held = labels.pop(AWAKE + self.own(), None) is not None
        if self.others(labels, AWAKE):
            wanted["Labels"] = labels
            return is_held
        wanted["Labels"] = {label: value for label, value in labels.items() if not label.startswith(AWAKE)}
        was_awake = replicas_of(wanted) > 0
        wanted["Mode"]["Replicated"]["Replicas"] = 0
        return was_awake or is_held

    def begin_stop(self, name: "str") -> "Pending":
        return Change(self, name, self.let_go)

    def stop(self, name: "str") -> "None":
        self.change(name, self.let_go)

    def await_end(self, name: "str", patience: "float") -> "None":
        return

    def forget_end(self, name: "str") -> "None":
        return

    # Made and removed

    def has_image(self, image: "str") -> "bool":
        return True  # each node gets it when it has a task

    def make(self, name: "str", wanted: "Wanted") -> "None":
        """Make the service, asleep; change one that is there, by the engine's own rolling update."""
        from engines.swarm_service import declared, is_newer, made_from

        own_version = str(declared()["version"])
        is_there = self.service(name) is not None
        if not is_there:
            try:
                self.call("POST", "/services/create", made_from(name, wanted, {LABEL: wanted.specification}, 0))
                return
            except Refused as error:
                if error.status != 409:  # another host has made it meanwhile
                    raise

        def renew(found: "Dict[str, Any]") -> "bool":
            labels = found.get("Labels") or {}
            versions = {labels[HOST + other] for other in self.others(labels, HOST)}
            if not self.insists and not all(is_newer(own_version, version) for version in versions):
                say(DIFFERS.format(name, HERE))
                return False
            labels = dict(found.get("Labels") or {}, **{LABEL: wanted.specification})
            found.update(made_from(name, wanted, labels, replicas_of(found)))
            return True

        self.change(name, renew)

    def joins(self, name: "str") -> "None":
        from engines.swarm_service import declared

        label, version = HOST + self.own(), str(declared()["version"])

        def register(wanted: "Dict[str, Any]") -> "bool":
            is_new = (wanted.get("Labels") or {}).get(label) != version
            wanted["Labels"] = dict(wanted.get("Labels") or {}, **{label: version})
            return is_new

        self.change(name, register)

    def remove(self, name: "str") -> "None":
        """Remove the service, unless another member of the swarm has the package too."""
        left: "List[str]" = []
        found = self.service(name)
        if found is None:
            return

        def leave(wanted: "Dict[str, Any]") -> "bool":
            labels = dict(wanted.get("Labels") or {})
            left[:] = self.others(labels, HOST)
            self.let_go(wanted)
            labels = dict(wanted.get("Labels") or {})
            is_known = labels.pop(HOST + self.own(), None) is not None
            wanted["Labels"] = labels
            return is_known  # by a versioned update: a host that comes to have the package at this moment is seen

        self.change(name, leave)
        if left:
            say("the service {} is kept: {} of the swarm's nodes have this package too ({})".format(
                name, len(left), ", ".join(left)))
            return
        try:
            self.call("DELETE", "/services/" + found["ID"])  # not one that somebody makes under this name meanwhile
        except Refused as error:
            if error.status != 404:
                raise

    def clear(self, names: "Sequence[str]") -> "None":
        return

    def pull_by_hand(self, image: "str") -> "str":
        return "docker pull " + image

    def rename_by_hand(self, old: "str", new: "str") -> "str":
        return ""  # nothing renames a service

    def remove_by_hand(self, names: "Sequence[str]") -> "str":
        return "docker service rm " + WORKLOAD


class Change(Pending):
    """A change of the service that takes some milliseconds; what came of it is told when that is asked."""

    def __init__(self, engine: "Swarm", name: "str", how: "Callable[[Dict[str, Any]], bool]") -> "None":
        self.error: "Optional[EngineError]" = None
        try:
            engine.change(name, how)
        except EngineError as error:
            self.error = error
        self.end = at_its_end()

    def fileno(self) -> "int":
        return self.end

    def done(self) -> "None":
        os.close(self.end)
        if self.error is not None:
            raise self.error


class Ending(Output):
    """The end of this host's part in a life of the service, as the engine's events tell it; tasks write elsewhere."""

    is_in_journal = True

    def __init__(self, engine: "Swarm", name: "str") -> "None":
        self.engine = engine
        engine.ended, engine.held = os.pipe2(os.O_CLOEXEC)
        self.connection = engine.api.send("GET", EVENTS.format(name))
        self.life = ""

    def begins(self, seen: "Seen") -> "None":
        self.life = seen.life

    def fileno(self) -> "int":
        return self.connection.fileno()

    def read(self) -> "Optional[List[Tuple[int, bytes]]]":
        try:
            is_over = not self.connection.recv(65536)
        except OSError:
            is_over = True
        if is_over:
            return None  # the engine has gone, and may come back
        if self.life and not self.engine.is_alive(self.life):
            self.engine.ends_here()
            return None
        return []

    def has_more(self) -> "bool":
        return False

    def close(self) -> "None":
        self.connection.close()
        self.engine.ends_here()
        if self.engine.ended >= 0:
            os.close(self.engine.ended)
            self.engine.ended = -1


def replicas_of(wanted: "Mapping[str, Any]") -> "int":
    return int(((wanted.get("Mode") or {}).get("Replicated") or {}).get("Replicas") or 0)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

    from engines import Wanted
