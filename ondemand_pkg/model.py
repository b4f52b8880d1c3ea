"""A declared container, checked, and the names of everything that it becomes.

Knows what a declaration means once every value is valid; hides how it was written.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from ondemand_pkg.package import Stored

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_READY_TIMEOUT = 60.0
DEFAULT_STOP_TIMEOUT = 10
METRICS_DIRECTORY = "/var/lib/prometheus/node-exporter"  # of Debian's prometheus-node-exporter
RELAY, SOCKET_PROXYD = "relay", "systemd-socket-proxyd"


@dataclass(frozen=True)
class TcpAddress:
    """An address that a socket listens on; ``host`` None is every address of the machine, IPv4 and IPv6."""

    host: IPAddress | None
    port: int

    def __str__(self) -> str:
        if self.host is None:
            return str(self.port)
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"

    def overlaps(self, other: Listen) -> bool:
        """Whether the kernel would refuse one of the two while the other is taken.

        `[::]` and a bare port take IPv4 as well (systemd.socket(5), BindIPv6Only=).
        """
        if not isinstance(other, TcpAddress) or self.port != other.port:
            return False
        if self._takes_everything() or other._takes_everything():
            return True
        assert self.host is not None and other.host is not None
        if self.host.version != other.host.version:
            return False
        return self.host == other.host or self.host.is_unspecified or other.host.is_unspecified

    def _takes_everything(self) -> bool:
        return self.host is None or (self.host.version == 6 and self.host.is_unspecified)


@dataclass(frozen=True)
class UnixAddress:
    """The path of a Unix stream socket."""

    path: str

    def __str__(self) -> str:
        return self.path

    def overlaps(self, other: Listen) -> bool:
        """Whether the two are one path."""
        return self == other


Listen = TcpAddress | UnixAddress


@dataclass(frozen=True)
class Port:
    """What the host listens on, and the TCP port of the container that it leads to."""

    listen: Listen
    container: int

    def __str__(self) -> str:
        return f"{self.listen}:{self.container}"


class ReadyKind(enum.Enum):
    """How a container is known to be ready."""

    TCP = "tcp"
    HTTP = "http"
    HEALTHCHECK = "healthcheck"
    EXEC = "exec"
    LOG = "log"


@dataclass(frozen=True)
class Ready:
    """A readiness check; ``timeout`` in seconds."""

    kind: ReadyKind = ReadyKind.TCP
    timeout: float = DEFAULT_READY_TIMEOUT
    path: str = ""
    status: int = 200
    argv: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Volume:
    """A named volume or a directory of the host, and where the container sees it."""

    source: str
    target: str
    options: tuple[str, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether the engine keeps it under a name, not the host in a directory."""
        return not self.source.startswith("/")

    def __str__(self) -> str:
        return ":".join([self.source, self.target, *([",".join(self.options)] if self.options else [])])


@dataclass(frozen=True)
class Depends:
    """Relations that stand in the packages beside those that the builder works out, in each format's own syntax."""

    deb: tuple[str, ...] = ()
    rpm: tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """One entry of the package's changelog."""

    date: date
    version: str
    changes: tuple[str, ...]


def unit_stem(name: str) -> str:
    """Return the name of the units of a declared container, and of the container.

    Neither systemd (systemd.unit(5)) nor Docker allows ``+`` in a name, so ``_``, which no NAME holds, stands in.
    """
    return f"ondemand-{name}".replace("+", "_")


@dataclass(frozen=True)
class CarriedImage:
    """The image in a package: the name that the hosts' engines know it by, and its archive as `docker load` takes it."""

    name: str
    archive: Stored


@dataclass(frozen=True)
class Container:
    """One declared container.

    Each field but ``name`` and ``carried`` is the key of the declaration with the same name; ``memory`` is in bytes,
    ``stop_timeout`` and ``idle`` in seconds (``idle`` None: never stopped), ``metrics`` a directory, or empty.
    ``carried`` is the image that ``bundle`` asks for, once an engine has given it.
    """

    name: str
    image: str
    version: str
    ports: tuple[Port, ...]
    release: int = 1
    maintainer: str = ""
    homepage: str = ""
    license: str = ""
    depends: Depends = Depends()
    changelog: tuple[Release, ...] = ()
    description: str = ""
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    purge_volumes: bool = False
    user: str = ""
    workdir: str = ""
    memory: int | None = None
    cpus: float | None = None
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_timeout: int = DEFAULT_STOP_TIMEOUT
    create_args: tuple[str, ...] = ()
    ready: Ready = Ready()
    idle: float | None = None
    idle_mode: str = "traffic"
    idle_action: str = "stop"
    proxy: str = RELAY
    proxy_protocol: str = ""
    requires: tuple[str, ...] = ()
    allow: tuple[IPNetwork, ...] = ()
    metrics: str = ""
    pin: bool = False
    bundle: bool = False
    silence: Mapping[str, str] = field(default_factory=dict)
    carried: CarriedImage | None = None

    @property
    def pauses(self) -> bool:
        """Whether the container sleeps paused, not stopped."""
        return self.idle is not None and self.idle_action == "pause"

    @property
    def package_name(self) -> str:
        """The name of the package and of its directories."""
        return f"ondemand-{self.name}"

    @property
    def unit_stem(self) -> str:
        """The name of the units, and of the container."""
        return unit_stem(self.name)

    @property
    def socket_unit(self) -> str:
        """The unit that listens."""
        return f"{self.unit_stem}.socket"

    @property
    def proxy_unit(self) -> str:
        """The unit that the socket starts."""
        return f"{self.unit_stem}.service"

    @property
    def container_unit(self) -> str:
        """The unit that the proxy starts."""
        return f"{self.unit_stem}-container.service"

    @property
    def container_name(self) -> str:
        """The container's name at the engine."""
        return self.unit_stem

    @property
    def environment_file(self) -> str:
        """The administrator's file."""
        return f"/etc/ondemand/{self.name}.env"

    @property
    def libexec(self) -> str:
        """The directory of the helpers."""
        return f"/usr/libexec/{self.package_name}"

    @property
    def image_archive(self) -> str:
        """Where the package has the archive of its image, if it carries one."""
        return f"/usr/share/{self.package_name}/image.tar"

    @property
    def state_directory(self) -> str:
        """Where the state of the running service lies."""
        return f"/run/{self.package_name}"

    @property
    def state_of_packages(self) -> str:
        """Where packages of both formats note what outlives an upgrade."""
        return "/var/lib/ondemand"

    @property
    def preset_applied(self) -> str:
        """The file whose being there tells an .rpm that systemd's presets were applied."""
        return f"{self.state_of_packages}/{self.name}.preset"

    @property
    def metrics_file(self) -> str:
        """The file of the service's metrics, where it has one."""
        return f"{self.metrics}/{self.package_name}.prom"

    @property
    def targets(self) -> tuple[int, ...]:
        """The container's ports, each once, in the order of their first mention."""
        return tuple(dict.fromkeys(port.container for port in self.ports))
