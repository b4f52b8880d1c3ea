"""A container that somebody made, at Docker or Podman: found by its name at each wake, then followed by its ID.

Knows what differs from one that the package makes: it has no label of the package's, its output stays where its engine writes
it, clients may come to it by other ways, and nothing of it is made, renamed, changed or removed.  Hides which engine has it.
"""

import json
import os

import programs
from names import DECLARATION, LEAVE, UNITS, WORKLOAD
from process import Failure

from engines import EngineDown, EngineError, Output
from engines.docker import Docker
from engines.podman import Podman, Watch, last_lines

PROXY = UNITS + ".service"  # it has a user of its own
OTHERS = (WORKLOAD + ".next", WORKLOAD + ".previous")  # of containers that packages make
DIGITS = frozenset("0123456789abcdef")  # of an ID
EVERYWHERE = ("", "0.0.0.0", "::")
ALWAYS = "always"  # the restart policy that starts a container whenever its engine starts
SYSTEMD_PATIENCE = 10.0  # seconds
NOT_THERE = ("the container {0} does not exist on this host; create it, or declare another 'container' (its name is in the last "
             "column of '{1} ps --all')")


class Adopted(Docker):
    """The container that the package names, whatever it is at the moment."""

    word = "container"
    makes = False

    def __init__(self) -> "None":
        super().__init__()
        with open(DECLARATION, "rb") as stream:
            declared = json.loads(stream.read().decode("ascii"))
        self.declared: "Dict[str, str]" = declared["adopted"]
        self.address: "str" = declared.get("address", "")
        self.ports: "List[int]" = declared["targets"]
        self.listens: "List[List[str]]" = declared["listens"]
        self.specification: "str" = declared["spec"]

    def load_rest(self) -> "None":
        super().load_rest()
        import engines.networks  # noqa: F401 # for is_used(): an upgrade may replace the files meanwhile

    # What is known

    def found(self, patience: "Optional[float]" = None) -> "Optional[str]":
        """Return by what the engine is to be asked for the container now, None where it is not there."""
        return self.declared["container"]

    def look(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Seen]":
        asked = None if name in OTHERS else self.found(patience) if name == WORKLOAD else name
        seen = super().look(asked, patience) if asked else None
        # An engine takes the beginning of an ID for the container too.
        if seen is None or asked not in (seen.identity, str(seen.known["Name"]).lstrip("/")):
            return None
        seen.specification, seen.volumes, seen.is_spoilt = self.specification, (), False
        return seen

    def peek(self, name: "str") -> "Optional[Seen]":
        asked = self.found() if name == WORKLOAD else name
        if asked is None or DIGITS.issuperset(asked):
            return self.look(name)
        seen = super().peek(asked)
        if seen is not None:
            seen.specification, seen.is_spoilt = self.specification, False
        return seen

    def addresses(self, seen: "Seen") -> "List[str]":
        if self.address:
            return [self.address]
        try:
            return super().addresses(seen)
        except Failure:
            mode = seen.known["HostConfig"]["NetworkMode"]
            raise Failure("the container {} has no address at which the host reaches it (network mode '{}'); connect it to a "
                          "network, or declare its 'address'".format(named(seen), mode)) from None

    def is_left(self) -> "bool":
        return os.path.exists(LEAVE)

    def is_used(self, life: "str") -> "bool":
        from engines.networks import has_other_clients

        user = programs.said(["systemctl", "show", "--property=UID", "--value", "--", PROXY], SYSTEMD_PATIENCE).strip()
        return has_other_clients(int(life), self.ports, int(user) if user.isdigit() else None)

    def last_words(self, name: "str") -> "bytes":
        return last_lines(self, name)

    # A life

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        return Watch(self, name, reads)

    def stop(self, name: "str") -> "None":
        seen = None if self.is_left() else self.look(name)
        if seen is not None:
            super().stop(seen.identity)

    def thaw(self, name: "str") -> "None":
        asked = self.found() if name == WORKLOAD else name
        if asked:
            super().thaw(asked)

    # What is there already

    def advice(self) -> "str":
        try:
            seen = self.look(WORKLOAD)
        except EngineDown:
            return ""  # whoever asks for advice says so
        if seen is None:
            return self.missing()
        return "\n".join(self.against_it(seen))

    def missing(self) -> "str":
        return NOT_THERE.format(self.declared["container"], self.COMMAND)

    def against_it(self, seen: "Seen") -> "List[str]":
        """Return what of a container's own settings would work against the package."""
        said, settings, name = [], seen.known["HostConfig"], named(seen)
        for port, bound in sorted((settings.get("PortBindings") or {}).items()):
            for one in bound or ():
                outside = "{}/{}".format(one.get("HostPort"), port.partition("/")[2])
                there = one.get("HostIp") or ""
                if any(outside == ours and (host == there or host in EVERYWHERE or there in EVERYWHERE)
                       for ours, host in self.listens):
                    said.append("the container {} publishes port {}, where this package listens, and only one of the two can; "
                                "create it again without that port, or build the package with another one".format(name, outside))
        if (settings.get("RestartPolicy") or {}).get("Name") == ALWAYS:
            said.append("the container {0} has the restart policy 'always': it runs from each start of the engine on, and sleeps "
                        "only once it was connected to; run '{1} update --restart=unless-stopped {0}'".format(name, self.COMMAND))
        return said

    def has_image(self, image: "str") -> "bool":
        return True  # none is needed

    def pull_by_hand(self, image: "str") -> "str":
        return ""

    def make(self, name: "str", wanted: "Wanted") -> "None":
        raise Failure(self.missing())

    def remove(self, name: "str") -> "None":
        """Leave it as it is, but let it go on where it sleeps paused: nobody would wake it any more."""
        seen = self.look(name)
        if seen is not None and seen.is_paused:
            self.thaw(seen.identity)


class AtDocker(Adopted):
    """One of Docker's."""


class AtPodman(Adopted, Podman):
    """One of Podman's."""


def named(seen: "Seen") -> "str":
    return str(seen.known["Name"]).lstrip("/")


def of_this_host(kinds: "Sequence[Tuple[str, Callable[[], Adopted]]]", is_there: "Callable[[str], bool]") -> "Adopted":
    """Return the engine that has the container: of two, the one that knows it; the first one where none does."""
    from outcome import begun

    found = [kind for word, kind in kinds if is_there(word)] or [kinds[0][1]]
    for kind in found[:-1]:
        engine = kind()
        try:
            if engine.look(begun() or WORKLOAD) is not None:
                return engine
        except (EngineDown, EngineError):
            continue
    return found[-1]()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Sequence, Tuple

    from engines import Seen, Wanted
