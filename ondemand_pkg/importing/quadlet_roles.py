"""What the containers of Quadlet files are to each other.

Knows which of them a connection wakes, which run next to others or before them, what each requires, and by which names they find
each other; hides what their files say of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from ondemand_pkg.engines import references
from ondemand_pkg.importing import attendance, health_checks, ports
from ondemand_pkg.importing.attendance import Attendance
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.quadlet import QuadletContainer
from ondemand_pkg.importing.unit_files import Assignment

STRONG = ("Requires", "BindsTo", "Requisite", "Wants", "Upholds")  # what a container needs; After= alone only orders
_NAME = re.compile(r"(?<![\w.-])([\w.-]*\w)(?::([0-9]{1,5})(?![0-9]))?")
Needed = Callable[[QuadletContainer], Iterable[tuple[QuadletContainer, Assignment]]]


class Roles:
    """The containers that arrive in the declaration, once ``settle`` has said what each of them is."""

    def __init__(self, containers: Sequence[QuadletContainer], needed: Needed) -> None:
        self.kept = list(containers)
        self.left_out: list[QuadletContainer] = []
        self._needed = {one.draft.name: list(needed(one)) for one in containers}
        self._roles: dict[str, Attendance] = {}
        self._words: dict[str, str] = {}

    def settle(self) -> None:
        """Find the ports of all, and leave out what is neither woken by a connection nor runs with what is."""
        self._words = {one.draft.name: "\n".join([*one.draft.values.get("env", {}).values(),
                                                  *one.draft.values.get("command", ())]) for one in self.kept}
        members: dict[str, list[QuadletContainer]] = {}
        for one in self.kept:
            for network in one.networks:
                members.setdefault(network, []).append(one)
        named = {network: _Names(found, self._words) for network, found in members.items()}
        for one in self.kept:
            self._find_ports(one, named)
        while True:
            self._roles = self._found(named)
            kept = {one.draft.name for one in self.kept}
            lost = [one for one in self.kept if not self.is_woken(one) and one.draft.name not in self._roles
                    or one.shares is not None and one.shares.draft.name not in kept]
            if not lost:
                break
            self.left_out += lost
            names = {one.draft.name for one in lost}
            self.kept = [one for one in self.kept if one.draft.name not in names]

    def _found(self, named: Mapping[str, _Names]) -> dict[str, Attendance]:
        """Take containers without a port for tasks or companions, where the files say of whom."""
        by_name = {one.draft.name: one for one in self.kept}
        silent = [one for one in self.kept if not self.is_woken(one)]
        dependencies = {name: [other.draft.name for other, where in self._needed[name]
                               if where.key in STRONG and other.draft.name in by_name] for name in by_name}
        settled = {one.draft.name: Attendance((), (one.shares.draft.name,)) for one in silent
                   if one.shares is not None and one.shares.draft.name in by_name and not is_task(one)}
        free = [one for one in silent if one.shares is None and one.run.network in ("", "host", "none")]
        awaited = {name for needed in dependencies.values() for name in needed}  # another oneshot may be a timer's
        speakers = {one.draft.name: any(named[network].speakers(one) & by_name.keys() for network in one.networks)
                    for one in free}
        return attendance.roles(
            by_name, {one.draft.name for one in self.kept if "ports" in one.draft.values}, {one.draft.name for one in silent},
            dependencies, [one.draft.name for one in free if is_task(one) and one.draft.name in awaited],
            [one.draft.name for one in free if not is_task(one) and not speakers[one.draft.name]], settled)

    @staticmethod
    def is_woken(one: QuadletContainer) -> bool:
        """Tell whether a connection wakes a container."""
        return "ports" in one.draft.values or "expose" in one.draft.values

    def write(self) -> None:
        """Write what each container is into its draft, and the names by which they find each other."""
        for one in self.kept:
            role = self._roles.get(one.draft.name)
            if role is not None and role.companion_of:
                self._write_companion(one, role)
            elif role is not None:
                self._write_task(one, role.before)
        self._names()
        for one in self.kept:
            if self.is_woken(one):
                self._ready(one)

    # --- ports -------------------------------------------------------------------------------------------------

    def _find_ports(self, one: QuadletContainer, named: Mapping[str, _Names]) -> None:
        """Find the port of a container that publishes none in what its file says, or others say of it."""
        values = one.draft.values
        if self.is_woken(one) or one.run.network or one.shares is not None or is_task(one):
            return
        image = references.parsed(values.get("image", "")).name
        found = (health_checks.ports(values.get("ready", {}).get("exec", []))
                 or [port for network in sorted(one.networks) for port in named[network].ports(one)]
                 or ([ports.WELL_KNOWN[image]] if image in ports.WELL_KNOWN else []))
        if found:
            values["expose"] = [str(port) for port in dict.fromkeys(found)]
            one.draft.remark("expose", "It publishes none; it listens there by its health check, what others say of it, or its "
                                       "image.")

    # --- what nothing connects to ------------------------------------------------------------------------------

    def _write_companion(self, one: QuadletContainer, role: Attendance) -> None:
        values = one.draft.values
        values["companion_of"] = list(role.companion_of)
        if before := [name for name in role.before if name != values.get("network_of")]:
            values["before"] = before
        if "exec" not in (ready := values.pop("ready", {})) and "healthcheck" not in ready and "log" not in ready:
            ready = {}
        values |= {"ready": ready} if ready else {}
        runs = f"it runs while {' or '.join(role.companion_of)} is awake"
        if any(name not in self._roles for name in role.before):
            one.draft.note(one.unit.path, "companion", f"no port of it is known, so nothing can connect to it, and {runs}; if it "
                           "has one, write ExposeHostPort=", Weight.LOSS)
        else:
            one.draft.note(one.unit.path, "companion", f"nothing connects to it: {runs}")

    def _write_task(self, one: QuadletContainer, before: Sequence[str]) -> None:
        values = one.draft.values
        values.pop("ready", None)
        values |= {"task": True, "before": list(before)}
        one.draft.note(one.unit.path, "[Service] Type=oneshot", "a task that runs to its end: once for each version, before "
                       f"{' and '.join(before)}; write when = \"wake\" where it has to run at each wake")

    # --- dependencies ------------------------------------------------------------------------------------------

    def require(self) -> None:
        """Write what each container requires."""
        self._helpers: dict[str, list[str]] = {}
        for helper, role in self._roles.items():
            for name in role.companion_of or role.before:
                self._helpers.setdefault(name, []).append(helper)
        arrived = {one.draft.name: one for one in self.kept}
        for is_order in (False, True):
            for one in self.kept:
                for other, where in self._needed[one.draft.name]:
                    if (where.key == "After") is is_order:
                        self._require(one, other, where, arrived)

    def _require(self, one: QuadletContainer, other: QuadletContainer, where: Assignment,
                 arrived: Mapping[str, QuadletContainer]) -> None:
        if other.draft.name not in arrived:
            one.note(where, f"{other.draft.name} is left out, so nothing waits for it", Weight.LOSS)
        elif (not self.is_woken(other) or other.draft.name in one.draft.values.get("companion_of", ())
              or other.draft.name == one.draft.values.get("network_of")):
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
                left += [arrived[name].draft.values.get("network_of", "")]
                left += self._helpers.get(name, ())
        return False

    # --- names -------------------------------------------------------------------------------------------------

    def _names(self) -> None:
        """Let the containers of one network find each other."""
        members: dict[str, list[QuadletContainer]] = {}
        for one in self.kept:
            for network in one.networks:
                members.setdefault(network, []).append(one)
        for one in self.kept:
            users = list({other.draft.name: other for network in sorted(one.networks) for other in members[network]
                          if other is not one and not other.run.network and other.shares is None}.values())
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



class _Names:
    """Who of a network speaks of whom, and of which ports."""

    def __init__(self, members: Sequence[QuadletContainer], words: Mapping[str, str]) -> None:
        wanted = {name for one in members for name in one.names}
        self._speakers: dict[str, set[str]] = {}
        self._ports: dict[str, list[tuple[str, int]]] = {}
        for one in members:
            for match in _NAME.finditer(words[one.draft.name]):
                if match[1] in wanted:
                    self._speakers.setdefault(match[1], set()).add(one.draft.name)
                    if match[2] and 0 < int(match[2]) < 65536:
                        self._ports.setdefault(match[1], []).append((one.draft.name, int(match[2])))

    def speakers(self, one: QuadletContainer) -> set[str]:
        """Return the declared names of those that speak of a container."""
        found = set[str]().union(*(self._speakers.get(name, ()) for name in one.names))
        return found - {one.draft.name}

    def ports(self, one: QuadletContainer) -> list[int]:
        """Return the ports of a container of which others speak."""
        return [port for name in one.names for speaker, port in self._ports.get(name, ()) if speaker != one.draft.name]
