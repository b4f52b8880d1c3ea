"""Where the host listens for a container, and to which of its ports each address leads.

Knows how addresses are written, and which of them exclude each other; hides nothing.
"""

from __future__ import annotations

import ipaddress

from ondemand_pkg.frozen import frozen

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen
class _InternetAddress:
    """Where something listens; ``host`` None is every address of the machine, IPv4 and IPv6."""

    host: IPAddress | None
    port: int

    def __str__(self) -> str:
        return self.address

    @property
    def address(self) -> str:
        """The address without its protocol."""
        host = f"[{self.host}]" if self.host is not None and self.host.version == 6 else self.host
        return str(self.port) if host is None else f"{host}:{self.port}"

    def overlaps(self, other: Listen) -> bool:
        """Whether the kernel has only one of the two at a time; `[::]` and a bare port take IPv4 as well."""
        if not isinstance(other, type(self)) or self.port != other.port:
            return False
        one, another = self.host, other.host
        if one is None or another is None or any(host.version == 6 and host.is_unspecified for host in (one, another)):
            return True  # systemd.socket(5), BindIPv6Only=
        return one.version == another.version and (one == another or one.is_unspecified or another.is_unspecified)


@frozen
class TcpAddress(_InternetAddress):
    """An address that takes connections."""


@frozen
class UdpAddress(_InternetAddress):
    """An address that takes datagrams."""

    def __str__(self) -> str:
        return f"{self.address}/udp"


@frozen
class UnixAddress:
    """The path of a Unix stream socket."""

    path: str

    def __str__(self) -> str:
        return self.path

    def overlaps(self, other: Listen) -> bool:
        """Whether the two are one path."""
        return self == other


Listen = TcpAddress | UdpAddress | UnixAddress


@frozen
class Exposed:
    """A port of the container that other containers reach, under the same number at an address of its own."""

    port: int
    is_udp: bool = False

    def __str__(self) -> str:
        return f"{self.port}/udp" if self.is_udp else str(self.port)


@frozen
class Port:
    """What the host listens on, and the port of the container that it leads to: one of UDP from an address of UDP."""

    listen: Listen
    container: int

    @property
    def is_udp(self) -> bool:
        """Whether datagrams come here, not connections."""
        return isinstance(self.listen, UdpAddress)

    @property
    def inside(self) -> str:
        """The port of the container with its protocol, where that is not TCP."""
        return f"{self.container}/udp" if self.is_udp else str(self.container)

    def __str__(self) -> str:
        listen = self.listen.address if isinstance(self.listen, UdpAddress) else self.listen
        return f"{listen}:{self.inside}"
