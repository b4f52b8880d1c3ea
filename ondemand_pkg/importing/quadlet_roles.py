"""What the containers of Quadlet files are to each other.

Knows which of them a connection wakes, which run next to others or before them, what each requires, and by which names they find
each other; hides what their files say of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ondemand_pkg.engines import references
from ondemand_pkg.importing import health_checks, ports
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.quadlet import QuadletContainer
from ondemand_pkg.importing.unit_files import Assignment

STRONG = ("Requires", "BindsTo", "Requisite", "Wants", "Upholds")  # what a container needs; After= alone only orders
Needed = Callable[[QuadletContainer], Iterable[tuple[QuadletContainer, Assignment]]]


class Roles:
    """The containers that arrive in the declaration, once ``settle`` has said what each of them is."""

    def __init__(self, containers: Sequence[QuadletContainer], needed: Needed) -> None:
        self.kept = list(containers)
        self.left_out: list[QuadletContainer] = []
        self._needed = needed
        self._companions: dict[str, list[QuadletContainer]] = {}  # of whom, by the declared name of the companion
        self._tasks: dict[str, list[QuadletContainer]] = {}  # before whom

    def settle(self) -> None:
        """Find the ports of all, and leave out what is neither woken by a connection nor runs with what is."""
        for one in self.kept:
            self._find_ports(one)
        while True:
            self._companions, self._tasks = {}, {}
            lost = [one for one in self.kept if not self.is_woken(one) and not self._has_a_role(one)
                    or one.shares is not None and one.shares not in self.kept]
            if not lost:
                break
            self.left_out += lost
            self.kept = [one for one in self.kept if one not in lost]

    @staticmethod
    def is_woken(one: QuadletContainer) -> bool:
        """Tell whether a connection wakes a container."""
        return "ports" in one.draft.values or "expose" in one.draft.values

    def write(self) -> None:
        """Write what each container is into its draft, and the names by which they find each other."""
        for one in self.kept:
            if one.draft.name in self._companions:
                self._write_companion(one, self._companions[one.draft.name])
            elif one.draft.name in self._tasks:
                self._write_task(one, self._tasks[one.draft.name])
        self._names()
        for one in self.kept:
            if self.is_woken(one):
                self._ready(one)

    # --- ports -------------------------------------------------------------------------------------------------

    def _find_ports(self, one: QuadletContainer) -> None:
        """Find the port of a container that publishes none in what its file says, or others say of it."""
        values = one.draft.values
        if self.is_woken(one) or one.run.network or one.shares is not None or is_task(one):
            return
        image = references.parsed(values.get("image", "")).name
        found = (health_checks.ports(values.get("ready", {}).get("exec", [])) or list(self._spoken_of(one)) or
                 ([ports.WELL_KNOWN[image]] if image in ports.WELL_KNOWN else []))
        if found:
            values["expose"] = [str(port) for port in dict.fromkeys(found)]
            one.draft.remark("expose", "It publishes none; it listens there by its health check, what others say of it, or its "
                                       "image.")

    def _spoken_of(self, one: QuadletContainer) -> Iterator[int]:
        for other in self._speakers(one):
            for name in one.names:
                yield from (int(number) for number in re.findall(rf"(?<![\w.-]){re.escape(name)}:([0-9]{{1,5}})(?![0-9])",
                                                                 _words(other)) if 0 < int(number) < 65536)

    def _speakers(self, one: QuadletContainer) -> list[QuadletContainer]:
        """Return the others in a container's networks that may speak of it."""
        spoken = re.compile("|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-])" for name in one.names))
        return [other for other in self.kept
                if other is not one and other.networks & one.networks and spoken.search(_words(other))]

    # --- what nothing connects to ------------------------------------------------------------------------------

    def _has_a_role(self, one: QuadletContainer) -> bool:
        """Take a container without a port for a task or a companion, where the files say of whom."""
        if one.run.network in ("host", "none"):
            return False
        dependents = [other for other in self.kept if other is not one
                      and any(needed is one and where.key in STRONG for needed, where in self._needed(other))]
        if is_task(one):
            if dependents:
                self._tasks[one.draft.name] = dependents
            return bool(dependents)
        if one.shares is not None:
            companion_of = [one.shares]
        elif self._speakers(one):
            return False  # a server whose port is not known
        else:
            companion_of = [other for other in dependents if self.is_woken(other)] or self._accompanied(one)
        if companion_of:
            self._companions[one.draft.name] = companion_of
        return bool(companion_of)

    def _accompanied(self, one: QuadletContainer) -> list[QuadletContainer]:
        """Return with whom a container runs that needs others, and no other one it: those that clients of the host reach."""
        direct = self._reached([one], depth=1)
        fronts = [other for other in self.kept if "ports" in other.draft.values and other is not one]
        needed = self._reached([one])
        return [] if not direct else ([other for other in fronts if other in direct]
                                      or [other for other in fronts if other not in needed])

    def _reached(self, start: Sequence[QuadletContainer], depth: int = 1000) -> list[QuadletContainer]:
        found: list[QuadletContainer] = []
        left = list(start)
        while left and depth:
            left = [other for one in left for other, where in self._needed(one) if where.key in STRONG and other not in found]
            found += left
            depth -= 1
        return found

    def _write_companion(self, one: QuadletContainer, companion_of: Sequence[QuadletContainer]) -> None:
        values = one.draft.values
        values["companion_of"] = [other.draft.name for other in companion_of]
        awaiting = [other.draft.name for other in companion_of if any(needed is one for needed, _ in self._needed(other))]
        if awaiting and one.shares is None:
            values["before"] = awaiting
        if "exec" not in (ready := values.pop("ready", {})) and "healthcheck" not in ready and "log" not in ready:
            ready = {}
        values |= {"ready": ready} if ready else {}
        one.draft.note(one.unit.path, "companion", f"nothing connects to it: it runs while {' or '.join(values['companion_of'])} "
                                                   "is awake")

    def _write_task(self, one: QuadletContainer, before: Sequence[QuadletContainer]) -> None:
        values = one.draft.values
        values.pop("ready", None)
        values |= {"task": True, "before": [other.draft.name for other in before]}
        one.draft.note(one.unit.path, "[Service] Type=oneshot", "a task that runs to its end: once for each version, before "
                       f"{' and '.join(values['before'])}; write when = \"wake\" where it has to run at each wake")

    # --- dependencies ------------------------------------------------------------------------------------------

    def require(self) -> None:
        """Write what each container requires."""
        arrived = {one.draft.name: one for one in self.kept}
        for one in self.kept:  # without the container whose network it has, it has none to start in
            if one.shares is not None and "companion_of" not in one.draft.values:
                one.draft.add("requires", one.shares.draft.name)
        for is_order in (False, True):
            for one in self.kept:
                for other, where in self._needed(one):
                    if (where.key == "After") is is_order:
                        self._require(one, other, where, arrived)

    def _require(self, one: QuadletContainer, other: QuadletContainer, where: Assignment,
                 arrived: Mapping[str, QuadletContainer]) -> None:
        if other.draft.name not in arrived:
            one.note(where, f"{other.draft.name} is left out, so nothing waits for it", Weight.LOSS)
        elif not self.is_woken(other) or other.draft.name in one.draft.values.get("companion_of", ()):
            return
        elif not self._starts(other, one, arrived):
            one.draft.add("requires", other.draft.name)
        elif where.key != "After":
            one.note(where, f"{other.draft.name} needs this one already: a dependency cycle; left out here")

    def _starts(self, start: QuadletContainer, goal: QuadletContainer, arrived: Mapping[str, QuadletContainer]) -> bool:
        """Tell whether a wake of one container starts another one."""
        seen, left = set[str](), [start.draft.name]
        while left:
            name = left.pop()
            if name == goal.draft.name:
                return True
            if name not in seen and name in arrived:
                seen.add(name)
                left += arrived[name].draft.values.get("requires", ())
                left += [helper for helper, services in {**self._companions, **self._tasks}.items()
                         if any(service.draft.name == name for service in services)]
        return False

    # --- names -------------------------------------------------------------------------------------------------

    def _names(self) -> None:
        """Let the containers of one network find each other."""
        for one in self.kept:
            users = [other for other in self.kept if other is not one and other.networks & one.networks
                     and not other.run.network and other.shares is None]
            inside = ports.inside(one.draft.values)
            if not self.is_woken(one) or one.run.network or one.shares is not None or not inside or not users:
                continue
            one.draft.values["expose"] = inside
            one.draft.add("aliases", *(name for name in one.names if name != one.draft.name))
            if not one.draft.values["aliases"]:
                del one.draft.values["aliases"]
            for other in users:
                if one.draft.name not in other.draft.values.get("before", ()) or "companion_of" in other.draft.values:
                    other.draft.add("links", one.draft.name)

    def _ready(self, one: QuadletContainer) -> None:
        if said := ports.settle_readiness(one.draft.values):
            one.draft.note(one.unit.path, "ports", said)


def is_task(one: QuadletContainer) -> bool:
    """Tell whether a container runs to its end."""
    return one.unit.last("Service", "Type").lower() == "oneshot"


def _words(one: QuadletContainer) -> str:
    return "\n".join([*one.draft.values.get("env", {}).values(), *one.draft.values.get("command", ())])
