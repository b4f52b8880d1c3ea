"""On which addresses of the host the services of a Compose project listen.

Knows that all of them share the host's addresses, so that of two with one port one is moved; hides how a free port is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from ondemand_pkg.declaration.container_values import PORT
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.importing.compose_service import ComposeService
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.ports import BRIDGE, Published
from ondemand_pkg.importing.yaml_lines import Located
from ondemand_pkg.model import TcpAddress, UdpAddress

MOST_PORTS = 1000


class Listening:
    """Gives each service its ``ports``; of two that would listen on one address the later, or that on the bridge, is moved."""

    def __init__(self, services: Iterable[ComposeService], place_of: Callable[[str], Located]) -> None:
        self._services = services
        self._place_of = place_of
        self._taken: defaultdict[int, list[tuple[TcpAddress | UdpAddress, str]]] = defaultdict(list)
        self._tried: dict[tuple[str, int, str], tuple[int, str]] = {}  # the next free one, and who has that which is wanted

    def write(self) -> None:
        """Write all ports."""
        everything = [(service, port) for service in self._services for port in dict.fromkeys(service.published)]
        for service, port in sorted(everything, key=lambda one: one[1].host == BRIDGE):
            item = service.keys.get("ports", self._place_of(service.name))
            try:
                listen, holder = self._free(port)
            except (Invalid, ValueError) as error:
                service.note(item, f"ports {port}", str(error), Weight.LOSS)
                continue
            self._taken[listen.port].append((listen, service.name))
            moved = replace(port, listen=listen.port) if holder else port
            service.draft.add("ports", str(moved))
            if holder:
                service.note(item, f"ports {port}", f"{holder!r} already listens there; changed to {moved}, tell its clients",
                             Weight.LOSS)

    def _free(self, port: Published) -> tuple[TcpAddress | UdpAddress, str]:
        """Return where a port can listen, and who has the place that it should have."""
        wanted = PORT.parse(str(port)).listen
        number, holder = self._tried.get((port.host, wanted.port, port.protocol), (wanted.port, ""))
        listen = replace(wanted, port=number)
        while other := next((who for address, who in self._taken[listen.port] if address.overlaps(listen)), ""):
            holder = holder or other
            if listen.port == 65535:
                raise ValueError("no port is free above it")
            listen = replace(listen, port=listen.port + 1)
        if holder:
            self._tried[port.host, wanted.port, port.protocol] = listen.port, holder
        return listen, holder
