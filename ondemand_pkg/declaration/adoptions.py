"""The keys of an adopted service: what is there already, and is woken and put to sleep as a container of a package is.

Knows which keys of a container hold for one, and its own; hides how values are written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from ondemand_pkg.declaration import refusals
from ondemand_pkg.declaration.fields import BY_KEY, FIELDS, Field
from ondemand_pkg.declaration.values import Invalid, Value, expect
from ondemand_pkg.model import Adopted, Port, Ready, ReadyKind, TcpAddress

DEFAULTS = {"stop_timeout": 90}  # seconds: systemd's own for units that name none
OTHER_KEYS = "nothing is made of an adopted service; leave it out"
KINDS = ("unit", "container", "compose")
_SHARED = ("description", "ports", "stop_timeout", "ready", "udp_timeout", "idle", "idle_mode", "idle_action", "wake_at",
           "keep_awake", "wake_on", "data_timeout", "health", "proxy_protocol", "requires", "allow", "metrics")
_NOT_OF_UNITS = ("engine",)
UNIT_FORM = 'the name of a service of systemd, such as "lxc@game.service"'
_UNIT = r"(?!-)[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\-]*)?"
LONGEST_UNIT = 255  # UNIT_NAME_MAX of systemd, less its final NUL
ADDRESS_FORM = 'an IP address, such as "10.0.3.5"'
_READY = (ReadyKind.TCP, ReadyKind.HTTP, ReadyKind.UDP)  # of a unit
PROJECT_FORM = 'the name of a Compose project, such as "shop"'
SERVICE_FORM = 'the name of a service of the project, such as "web"'
CONTAINER_FORM = 'the name of a container, such as "nextcloud"'


def _unit(value: Any) -> str:
    expect(value, str, UNIT_FORM)
    name = value.removesuffix(".service")
    if not re.fullmatch(_UNIT, name) or len(value) > LONGEST_UNIT:
        raise Invalid(value, f"allowed: {UNIT_FORM}")
    if name == value:
        kind = value.rpartition(".")[2]
        if kind in ("socket", "target", "timer", "slice", "mount", "scope", "path", "device", "swap", "automount"):
            raise Invalid(value, f"allowed: {UNIT_FORM}", why=f"a .{kind} is no service")
        raise Invalid(value, f'write "{value}.service"', why="the kind of unit is missing")
    if name.endswith("@"):
        raise Invalid(value, f'name one of its instances, as in "{name}NAME.service"', why="it is a template")
    if name.startswith("ondemand-"):
        raise Invalid(value, "name the unit of the server itself", why="it is a unit of a package of this project")
    return str(value)


def _container(value: Any) -> str:
    expect(value, str, CONTAINER_FORM)
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}", value):
        raise Invalid(value, f"allowed: {CONTAINER_FORM}")
    if value.startswith("ondemand-"):
        raise Invalid(value, "name one that no package of this project has made", why="it is a container of such a package")
    return str(value)


def _named(form: str, expression: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        expect(value, str, form)
        if not re.fullmatch(expression, value) or len(value) > 128:
            raise Invalid(value, f"allowed: {form}")
        return str(value)

    return parse


def _address(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    expect(value, str, ADDRESS_FORM)
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise Invalid(value, f"allowed: {ADDRESS_FORM}") from None
    if address.is_unspecified or address.is_multicast or getattr(address, "scope_id", None):
        raise Invalid(value, f"allowed: {ADDRESS_FORM}", why="nothing can be reached at it")
    return address


ADOPT_FIELDS: tuple[Field, ...] = (
    *(field for field in FIELDS if field.in_package and field.key not in _NOT_OF_UNITS),
    Field("unit", Value(UNIT_FORM, _unit, {"type": "string", "pattern": r"\.service$"}),
          "The unit that the first connection starts, and that is stopped without traffic: a daemon, a container of LXC or "
          "nspawn, or whatever else systemd starts. Nothing is made of it, and nothing is changed or removed.",
          '"lxc@game.service"'),
    Field("container", Value(CONTAINER_FORM, _container, {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_.-]+$"}),
          "The container of Docker or Podman, made by somebody else, that the first connection starts and that sleeps without "
          "traffic. It is looked for by this name at each wake, and never made, renamed, changed or removed.", '"nextcloud"'),
    Field("compose", Value(PROJECT_FORM, _named(PROJECT_FORM, r"[a-z0-9][a-z0-9_-]*"), {"type": "string"}),
          "The Compose project, brought up by somebody else, of which 'service' and what that depends on are started by the "
          "first connection and sleep without traffic. It is found by its labels at each wake, and never made or removed; "
          "Compose is not needed.", '"shop"'),
    Field("service", Value(SERVICE_FORM, _named(SERVICE_FORM, r"[a-zA-Z0-9._-]+"), {"type": "string"}),
          "The service of the project to which clients are forwarded.", '"web"'),
    Field("address", Value(ADDRESS_FORM, _address, {"type": "string"}), "Where the service is reached.", '"10.0.3.5"',
          "that of its own network, where it has one, else 127.0.0.1; of a container, its address at the engine"),
    *(BY_KEY[key] for key in _SHARED),
)


def settled(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as the model has them."""
    own = {key: arguments[key] for key in (*KINDS, "service") if key in arguments}
    return {**DEFAULTS, **{key: value for key, value in arguments.items() if key not in own}, "adopted": Adopted(**own)}


def contradictions(arguments: Mapping[str, Any], table: Collection[str]) -> Iterator[refusals.Contradiction]:
    """Yield each key whose value does not go with that of another one, what is wrong with it, and what to do instead.

    ``table`` has the keys that are written, those with a wrong value included.
    """
    given = [key for key in KINDS if key in table]
    if not given:
        yield "unit", "missing", ('write unit = "lxc@game.service", or container = "nextcloud" for one of Docker or Podman, or '
                                  'compose = "shop" and service = "web"')
    for key in given[1:]:
        yield key, f"{given[0]} is written too, and a service is one of them", "leave one of the two out"
    if "compose" in table and "service" not in table:
        yield "service", "missing", 'write service = "web": the service of the project to which clients are forwarded'
    if "service" in table and "compose" not in table:
        yield "service", "it belongs to a Compose project", 'write compose = "shop" too, or leave it out'
    ports: Sequence[Port] = arguments.get("ports", ())
    ready = arguments.get("ready", Ready())
    yield from refusals.sleep(arguments)
    if "unit" in given and ready.kind not in _READY:
        yield ("ready", f'"{ready.kind.value}" needs a container',
               'write "tcp", { http = "/PATH" } or { udp = { send = "HEX", expect = "HEX" } }')
    for port in ready.ports:
        if port not in {one.container for one in ports if not one.is_udp}:
            yield "ready", f"it waits for port {port}, to which none of ports leads", "write one of the service's ports"
    yield from refusals.datagrams(arguments, ports)
    yield from refusals.data(arguments)
    address = arguments.get("address")
    for port in ports:
        if address and isinstance(port.listen, TcpAddress) and port.listen.port == port.container and (
                port.listen.host == address or (port.listen.host is None and address.is_loopback)):
            yield ("address", f'systemd itself listens there for "{port}": clients would be led back to where they came from',
                   "listen on another port, or have the service listen on another one")
