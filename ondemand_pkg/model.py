"""A declared container, checked, and the names of everything that it becomes.

Knows what a declaration means once every value is valid; hides how it was written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import field

from ondemand_pkg import layout
from ondemand_pkg.adopted import Adopted as Adopted
from ondemand_pkg.frozen import frozen
from ondemand_pkg.listening import Exposed as Exposed
from ondemand_pkg.listening import Listen as Listen
from ondemand_pkg.listening import Port as Port
from ondemand_pkg.listening import TcpAddress as TcpAddress
from ondemand_pkg.listening import UdpAddress as UdpAddress
from ondemand_pkg.listening import UnixAddress as UnixAddress
from ondemand_pkg.package import Stored
from ondemand_pkg.parts import DEFAULT_READY_TIMEOUT as DEFAULT_READY_TIMEOUT
from ondemand_pkg.parts import Depends as Depends
from ondemand_pkg.parts import Link as Link
from ondemand_pkg.parts import Ready as Ready
from ondemand_pkg.parts import ReadyKind as ReadyKind
from ondemand_pkg.parts import Release as Release
from ondemand_pkg.parts import Volume as Volume
from ondemand_pkg.waking import CONNECTION, DEFAULT_DATA_TIMEOUT, Datagrams, Health
from ondemand_pkg.week import Hours as Hours

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_STOP_TIMEOUT = 10
DEFAULT_TASK_TIMEOUT = 1800.0
EACH_VERSION, EACH_WAKE = "version", "wake"  # when a task runs
DEFAULT_LOG_LIMIT = 10 * 1024**2  # bytes
DEFAULT_UDP_TIMEOUT = 300.0
DEFAULT_EXCLUDES_TIMEOUT = 120.0
METRICS_DIRECTORY = "/var/lib/prometheus/node-exporter"  # of Debian's prometheus-node-exporter
RELAY, SOCKET_PROXYD = "relay", "systemd-socket-proxyd"
KERNEL = "kernel"  # what carries clients' bytes, besides the relay
ANY_ENGINE = "any"


@frozen
class Container:
    """One declared container, or ``adopted`` is what is there already; then ``image`` is empty.

    Each field but ``name`` is the key of the declaration with the same name; ``memory`` is in bytes, ``stop_timeout``,
    ``task_timeout``, ``excludes_timeout``, ``udp_timeout``, ``data_timeout`` and ``idle`` in seconds (``idle`` None: never
    stopped), ``log_limit`` in bytes (None: no limit), ``metrics`` a directory, or empty.
    """

    name: str
    image: str
    version: str
    ports: tuple[Port, ...] = ()
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
    log_limit: int | None = DEFAULT_LOG_LIMIT
    create_args: tuple[str, ...] = ()
    ready: Ready = Ready()
    udp_timeout: float = DEFAULT_UDP_TIMEOUT
    idle: float | None = None
    idle_mode: str = "traffic"
    idle_action: str = "stop"
    wake_at: tuple[str, ...] = ()
    keep_awake: tuple[Hours, ...] = ()
    wake_on: str | Datagrams = CONNECTION
    data_timeout: float = DEFAULT_DATA_TIMEOUT
    health: Health | None = None
    proxy: str = RELAY
    path: str = RELAY
    proxy_protocol: str = ""
    requires: tuple[str, ...] = ()
    expose: tuple[Exposed, ...] = ()
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None
    aliases: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    companion_of: tuple[str, ...] = ()
    network_of: str = ""
    excludes: tuple[str, ...] = ()
    excludes_timeout: float = DEFAULT_EXCLUDES_TIMEOUT
    before: tuple[str, ...] = ()
    task: bool = False
    when: str = EACH_VERSION
    task_timeout: float = DEFAULT_TASK_TIMEOUT
    schedule: tuple[str, ...] = ()
    allow: tuple[IPNetwork, ...] = ()
    metrics: str = ""
    pin: bool = False
    bundle: bool = False
    engine: str = ANY_ENGINE
    outbound: bool = True
    replicas: int = 1
    node: str = ""
    adopted: Adopted | None = None
    silence: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The kind of table that declares it."""
        return "adopt" if self.adopted else "container"

    @property
    def place(self) -> str:
        """The dotted path of that table."""
        return f"{self.table}.{self.name}"

    @property
    def pauses(self) -> bool:
        """Whether the container sleeps paused, not stopped."""
        return self.idle is not None and self.idle_action == "pause"

    @property
    def needs(self) -> tuple[str, ...]:
        """The containers that are woken first and kept awake; a companion of the one whose network it has keeps that not."""
        gateway = (self.network_of,) if self.network_of and self.network_of not in self.companion_of else ()
        return tuple(dict.fromkeys((*self.requires, *gateway)))

    @property
    def depended_on(self) -> tuple[str, ...]:
        """The containers without whose packages this one's can't be installed."""
        return tuple(dict.fromkeys((*self.requires, *((self.network_of,) if self.network_of else ()))))

    @property
    def listens(self) -> bool:
        """Whether systemd listens for it; else nothing connects to it, and it has no socket, proxy or door."""
        return bool(self.ports or self.expose)

    @property
    def is_started_by_others(self) -> bool:
        """Whether other services start it: a companion or a task."""
        return bool(self.companion_of or self.task)

    @property
    def attendances(self) -> dict[str, str]:
        """What it is, in the words of helpers/attending.py, to each service that it is started for, by its declared name."""
        if self.task:
            return dict.fromkeys(self.before, f"task {self.when} {self.version}-{self.release}")
        return {name: "companion before" if name in self.before else "companion" for name in self.companion_of}

    @property
    def told(self) -> dict[str, str]:
        """The same, and what those that it excludes are told of that."""
        return {**self.attendances, **{name: f"excludes {self.excludes_timeout:g}" for name in self.excludes}}

    @property
    def package_name(self) -> str:
        """The name of the package and of its directories."""
        return layout.package_name(self.name)

    @property
    def unit_stem(self) -> str:
        """The name of the units, and of the container."""
        return layout.unit_stem(self.name)

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
        """The unit that the proxy asks for."""
        return f"{self.unit_stem}-container.service"

    @property
    def door_unit(self) -> str:
        """The socket unit of the container's service, at which the relay asks for it."""
        return f"{self.unit_stem}-container.socket"

    @property
    def door(self) -> str:
        """Where that socket is; nobody but root can come there."""
        return f"{layout.DOORS}/{self.package_name}/socket"

    @property
    def has_door(self) -> bool:
        """Whether the proxy asks for the container, and is not started together with it."""
        return self.listens and self.proxy == RELAY

    @property
    def kernel_ports(self) -> tuple[Port, ...]:
        """Those whose clients the kernel may lead past the relay: of TCP, and not of loopback alone."""
        if self.path != KERNEL or self.proxy_protocol:
            return ()
        return tuple(port for port in self.ports if isinstance(port.listen, TcpAddress)
                     and not (port.listen.host and port.listen.host.is_loopback))

    @property
    def kernel_unit(self) -> str:
        """The unit of what lets the kernel do so."""
        return f"{layout.kernel_stem(self.name)}.service"

    @property
    def kernel_socket_unit(self) -> str:
        """The socket unit at which the relay says whom it has accepted."""
        return f"{layout.kernel_stem(self.name)}.socket"

    @property
    def kernel_door(self) -> str:
        """Where that socket is; nobody but root can come there."""
        return f"{layout.DOORS}/{self.package_name}/kernel"

    @property
    def attends(self) -> bool:
        """Whether the relay waits for more than a connection or a datagram before it asks for the container."""
        return self.wake_on != CONNECTION or self.health is not None

    @property
    def enabled_unit(self) -> str:
        """The one unit that presets and the administrator enable, nothing where other services start it."""
        return self.socket_unit if self.listens else self.timer_unit if self.schedule else ""

    @property
    def how_often(self) -> str:
        """How often a task runs where it is started: once for a version, or each time."""
        return EACH_WAKE if self.schedule else self.when

    @property
    def timer_unit(self) -> str:
        """The unit that wakes it by the clock, or runs it."""
        return f"{layout.wake_stem(self.name)}.timer"

    @property
    def waker_unit(self) -> str:
        """The unit that the timer starts."""
        return f"{layout.wake_stem(self.name)}.service"

    @property
    def wakes(self) -> tuple[str, ...]:
        """The moments of the calendar at which it is woken without a client."""
        return tuple(dict.fromkeys((*self.wake_at, *(hours.event for hours in self.keep_awake))))

    @property
    def with_socket(self) -> tuple[str, ...]:
        """The units that run while the socket listens, and are started and stopped with it."""
        return (*((self.door_unit,) if self.has_door else ()), *((self.timer_unit,) if self.wakes else ()),
                *((self.kernel_socket_unit,) if self.kernel_ports else ()))

    @property
    def closed_by_upgrade(self) -> tuple[str, ...]:
        """Those of them that an upgrade stops and starts; a relay that waits for data, or is awake, would see no new door."""
        kept = {*((self.door_unit,) if self.attends else ()), self.kernel_socket_unit}
        return tuple(unit for unit in self.with_socket if unit not in kept)

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
        return layout.helpers(self.package_name)

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
    def engine_record(self) -> str:
        """Where the host notes which engine has the container."""
        return f"{self.state_of_packages}/{self.name}.engine"

    @property
    def done_record(self) -> str:
        """Where the host notes the versions whose task has succeeded."""
        return f"{self.state_of_packages}/{self.name}.done"

    @property
    def metrics_file(self) -> str:
        """The file of the service's metrics, where it has one."""
        return f"{self.metrics}/{self.package_name}.prom"

    @property
    def targets(self) -> tuple[int, ...]:
        """The container's TCP ports, each once, in the order of their first mention."""
        return self._inside(is_udp=False)

    @property
    def udp_targets(self) -> tuple[int, ...]:
        """The container's UDP ports, each once, in the order of their first mention."""
        return self._inside(is_udp=True)

    def _inside(self, is_udp: bool) -> tuple[int, ...]:
        return tuple(dict.fromkeys([*(port.container for port in self.ports if port.is_udp is is_udp),
                                    *(one.port for one in self.expose if one.is_udp is is_udp)]))

    @property
    def shared_address(self) -> str:
        """The address at which other containers reach what is exposed."""
        return str(self.address or layout.shared_address(self.name))

    @property
    def exposed(self) -> tuple[Listen, ...]:
        """What is listened on for other containers."""
        address = ipaddress.IPv4Address(self.shared_address)
        return tuple((UdpAddress if one.is_udp else TcpAddress)(address, one.port) for one in self.expose)

    @property
    def network_unit(self) -> str:
        """The unit that makes the network of what is exposed."""
        return f"{layout.network_stem(self.name)}.service"

    @property
    def exposed_socket_unit(self) -> str:
        """The unit that listens for other containers: a unit has one network only."""
        return self.second_socket_unit if self.ports else self.socket_unit

    @property
    def second_socket_unit(self) -> str:
        """The unit that listens for other containers where another one listens for clients of the host."""
        return f"{layout.network_stem(self.name)}.socket"


@frozen
class Stack:
    """One declared stack: containers that are one application to whoever installs it.

    Each field but ``name`` is the key of the declaration with the same name; ``members`` in their declared order.
    """

    name: str
    version: str
    members: tuple[Container, ...]
    release: int = 1
    maintainer: str = ""
    homepage: str = ""
    license: str = ""
    depends: Depends = Depends()
    changelog: tuple[Release, ...] = ()
    description: str = ""
    silence: Mapping[str, str] = field(default_factory=dict)

    @property
    def package_name(self) -> str:
        """The name of the package and of its directories."""
        return layout.package_name(self.name)


@frozen
class CarriedImage:
    """The image in a package: the name that the hosts' engines know it by, and its archive as `docker load` takes it."""

    name: str
    archive: Stored


@frozen
class Resolved:
    """A container once an engine has answered what `pin` and `bundle` ask: only that is packed.

    ``container.image`` has the digest that its tag means where it is to be pinned; ``carried`` is the image where it is bundled.
    """

    container: Container
    carried: CarriedImage | None = None

    def __post_init__(self) -> None:
        if self.container.bundle is (self.carried is None):
            raise ValueError(f"{self.container.name}: its image has to be carried where it is bundled, and only there")
        if self.container.pin and "@" not in self.container.image:
            raise ValueError(f"{self.container.name}: its image {self.container.image} is not pinned")
