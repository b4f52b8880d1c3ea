"""On which addresses of the host the containers of a project listen.

Knows that all of them share the host's addresses, so that of two with one port one is moved; hides how a free port is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from ondemand_pkg.declaration.container_values import PORT
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing.draft import Draft
from ondemand_pkg.importing.ports import BRIDGE, Published
from ondemand_pkg.model import TcpAddress, UdpAddress

MOST_PORTS = 1000


@frozen
class Wish:
    """What a container publishes: its name in the project, its draft, the ports, and how a change of one is reported."""

    name: str
    draft: Draft
    published: list[Published]
    tell: Callable[[str, str], None]


class Listening:
    """Gives each container its ``ports``; of two that would listen on one address the later, or that on the bridge, is moved."""

    def __init__(self, wishes: Iterable[Wish]) -> None:
        self._wishes = wishes
        self._taken: defaultdict[int, list[tuple[TcpAddress | UdpAddress, str]]] = defaultdict(list)
        self._tried: dict[tuple[str, int, str], tuple[int, str]] = {}  # the next free one, and who has that which is wanted

    def write(self) -> None:
        """Write all ports."""
        everything = [(wish, port) for wish in self._wishes for port in dict.fromkeys(wish.published)]
        for wish, port in sorted(everything, key=lambda one: one[1].host == BRIDGE):
            try:
                listen, holder = self._free(port)
            except (Invalid, ValueError) as error:
                wish.tell(f"ports {port}", str(error))
                continue
            self._taken[listen.port].append((listen, wish.name))
            moved = replace(port, listen=listen.port) if holder else port
            wish.draft.add("ports", str(moved))
            if holder:
                wish.tell(f"ports {port}", f"{holder!r} already listens there; changed to {moved}, tell its clients")

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
