"""Services of a Compose project that live in another container's network, processes or memory, or in the host's.

Knows which of these modes a package can keep, which ports move with them, and what is lost; hides how each is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ondemand_pkg.importing.attendance import Attendance
from ondemand_pkg.importing.compose_service import ComposeService
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.ports import Published, short

_UNTUNNELLED = "left out: in a network of its own its traffic would not go through {}"


class Namespaces:
    """The modes of all services of a project; ``left_out`` are services that can't be kept, each with the reason."""

    def __init__(self, services: Mapping[str, ComposeService], ports_of: Callable[[ComposeService], list[str]]) -> None:
        self._services = services
        self._ports_of = ports_of
        self.left_out: dict[str, str] = {}
        self.roles: dict[str, Attendance] = {}  # of those behind a gateway that have no port, and of gateways without one
        self.needed: dict[str, list[str]] = {}  # by service, others that run before it

    def apply(self) -> None:
        """Write what is kept, and move ports from a gateway to those behind it."""
        for service in self._services.values():
            for key, option in (("pid", "--pid"), ("ipc", "--ipc")):
                self._shared(service, key, option)
        behind: dict[str, list[ComposeService]] = {}
        for service in self._services.values():
            if target := self._network(service):
                behind.setdefault(target, []).append(service)
        for target, members in behind.items():
            self._behind(target, members)

    def _mode(self, service: ComposeService, key: str) -> tuple[str, str]:
        value = service.keys.get(key)
        kind, _, target = (service.scope.text(value) if value is not None else "").partition(":")
        return kind, target

    def _named(self, kind: str, target: str) -> ComposeService | None:
        """Return the service of `service:NAME`, or of `container:NAME` where the project has it."""
        if kind == "service":
            return self._services.get(target)
        return next((one for one in self._services.values()
                     if "container_name" in one.keys and one.scope.text(one.keys["container_name"]) == target), None)

    def _shared(self, service: ComposeService, key: str, option: str) -> None:
        kind, target = self._mode(service, key)
        if not kind:
            return
        value = service.keys[key]
        other = self._named(kind, target) if target else None
        if other is not None:
            service.draft.add("create_args", f"{option}=container:ondemand-{other.draft.name}")
            self.needed.setdefault(service.name, []).append(other.name)
        elif kind == "service":
            service.note(value, f"{key} {kind}:{target}", f"left out: the project has no service {target!r}", Weight.LOSS)
        else:
            service.draft.add("create_args", f"{option}={service.scope.text(value)}")
            if target:
                service.note(value, f"{key} {kind}:{target}", f"the container {target} must run when this one is started")

    def _network(self, service: ComposeService) -> str:
        """Take a service's network mode; return the service whose network it shares."""
        kind, target = self._mode(service, "network_mode")
        if kind in ("", "bridge", "default", "none"):
            return ""
        value = service.keys["network_mode"]
        other = self._named(kind, target) if target else None
        if other is not None:
            return other.name
        if kind in ("service", "container"):
            self.left_out[service.name] = _UNTUNNELLED.format(target) + ", which is not in the project"
            return ""
        what = f"network_mode {service.scope.text(value)}"
        if kind == "host":
            if not service.published and not self._ports_of(service):
                return ""  # to be kept where it becomes a companion
            known = service.published or [port for text in self._ports_of(service) for port in short(text)]
            service.published = [Published("", port.listen or port.container, port.container, port.protocol) for port in known]
            service.note(value, what, "it gets a network of its own, as systemd listens on its ports: it neither sees the host's "
                         "interfaces nor broadcasts, and is reached on the listed ports alone", Weight.LOSS)
        else:
            service.note(value, what, "the container has the engine's bridge", Weight.LOSS)
        return ""

    def _behind(self, target: str, members: list[ComposeService]) -> None:
        """Give those behind a gateway its network, and their ports, of which the gateway publishes some."""
        gateway = self._services[target]
        ports = {member.name: [*dict.fromkeys([*(port.inside for port in member.published), *self._ports_of(member)])]
                 for member in members}
        theirs = {port for found in ports.values() for port in found}
        own = [port for port in gateway.published if port.inside not in theirs]
        of_gateway = self._ports_of(gateway)
        of_gateway[:] = [port for port in of_gateway if port not in theirs]
        reached = tuple(name for name, found in ports.items() if found)
        if own or of_gateway:
            self.roles |= {name: Attendance((), (target,)) for name, found in ports.items() if not found}
        elif reached:
            self.roles |= {name: Attendance((), reached) for name in (target, *ports) if name not in reached}
        else:
            self.left_out[target] = f"left out: neither it nor those behind it ({', '.join(ports)}) have a known port"
            self.left_out |= {name: _UNTUNNELLED.format(target) + ", which has no port that could wake it" for name in ports}
            return
        for member in members:
            found = [port for port in gateway.published if port.inside in ports[member.name]]
            member.published = found or member.published
            member.draft.values["network_of"] = gateway.draft.name
            if found:
                where = member.keys["network_mode"]
                member.note(where, f"network_mode service:{target}",
                            f"its ports {', '.join(map(str, found))} moved here from {target}: they wake both")
        gateway.published = own
