"""The kinds of value by which containers reach each other, and what is wrong with them in one container and in all of a call.

Knows what an exposed port, an address, an alias and a link may be, and which of them clash; hides how names are looked up.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ondemand_pkg import layout
from ondemand_pkg.declaration.values import Invalid, Value, array, check_text, expect, pattern
from ondemand_pkg.model import SOCKET_PROXYD, Exposed, Link

_HOST_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?"
ALIAS = pattern(_HOST_NAME, 'a host name, such as "database"')
EXPOSE_FORM = '"PORT", such as "8080", or "PORT/udp": a port of the container'
LINK_FORM = '"NAME" or "NAME:HOST", the declared name of a container and what it is called inside, such as "cache:redis"'
ADDRESS_FORM = f'an address of {layout.SHARED_RANGE}, such as "198.18.0.5"'
_LINK = re.compile(rf"([a-z0-9][a-z0-9.+-]*)(?::({_HOST_NAME}))?")


def _exposed(value: Any) -> Exposed:
    if type(value) is int:
        raise Invalid(value, f'write "{value}"', why="expected a string, not an integer")
    expect(value, str, EXPOSE_FORM)
    check_text(value, EXPOSE_FORM)
    match = re.fullmatch(r"([0-9]{1,5})(?:/(tcp|udp))?", value)
    if match is None or not 1 <= int(match[1]) <= 65535:
        raise Invalid(value, f"allowed: {EXPOSE_FORM}")
    return Exposed(int(match[1]), match[2] == "udp")


EXPOSED = Value(EXPOSE_FORM, _exposed, {"type": "string", "pattern": "^[0-9]{1,5}(/(tcp|udp))?$"})


def _expose(value: Any) -> tuple[Exposed, ...]:
    ports: tuple[Exposed, ...] = array(EXPOSED, 1).parse(value)
    for index, port in enumerate(ports):
        if port in ports[:index]:
            raise Invalid(str(port), "leave it out", f"[{index}]", "it is exposed already")
    return ports


EXPOSE = Value(f"an array of: {EXPOSE_FORM}", _expose, dict(array(EXPOSED, 1).schema))


def _address(value: Any) -> ipaddress.IPv4Address:
    expect(value, str, ADDRESS_FORM)
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise Invalid(value, f"allowed: {ADDRESS_FORM}") from None
    edges = (layout.SHARED_RANGE.network_address, layout.SHARED_RANGE.broadcast_address)
    if address not in layout.SHARED_RANGE or address in edges:
        raise Invalid(value, f"allowed: {ADDRESS_FORM}, but for its first and last one")
    return address


ADDRESS = Value(ADDRESS_FORM, _address, {"type": "string", "pattern": r"^198\.1[89]\."})


def _link(value: Any) -> Link:
    expect(value, str, LINK_FORM)
    match = _LINK.fullmatch(value)
    if match is None:
        raise Invalid(value, f"allowed: {LINK_FORM}")
    return Link(match[1], match[2] or "")


LINK = Value(LINK_FORM, _link, {"type": "string", "pattern": f"^{_LINK.pattern}$"})


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with that of another one, what is wrong with it, and what to do instead."""
    for key in ("address", "aliases"):
        if arguments.get(key) and not arguments.get("expose"):
            yield key, "nothing is exposed to other containers", f'write expose = ["8080"] too, or leave {key} out'
    if arguments.get("expose") and arguments.get("proxy") == SOCKET_PROXYD:
        yield "proxy", f'"{SOCKET_PROXYD}" does not support \'expose\'', "leave one of the two keys out"
    if arguments.get("allow") and arguments.get("expose") and not arguments.get("ports"):
        yield "allow", "it is about the clients of 'ports'; clients outside the host can't reach what is exposed", "leave it out"
    names: dict[str, Link] = {}
    for link in arguments.get("links", ()):
        name = link.name or link.target
        if name in names:
            yield ("links", f'"{names[name]}" and "{link}" have one name inside, {name}',
                   'give one another name, as in "cache:redis"')
        names[name] = link


def clashes(containers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what is wrong among the containers of a call, by their arguments: name, key, finding, remedy."""
    taken: dict[str, str] = {}
    for name, arguments in containers.items():
        if arguments.get("expose"):
            address = str(arguments.get("address") or layout.shared_address(name))
            if address in taken:
                yield (name, "address", f"it has the address {address}, as the container {taken[address]!r}",
                       f'give one of them another one by hand: address = "{_free(address, taken)}"')
            taken.setdefault(address, name)
    for name, arguments in containers.items():
        for link in arguments.get("links", ()):
            if link.target in containers and not containers[link.target].get("expose"):
                yield (name, "links", f'found "{link}"; the container {link.target!r} does not expose a port',
                       f'write expose = ["PORT"] into [container.{link.target}]')


def by_hand(names: Iterable[str]) -> dict[str, str]:
    """Return an address for each of some containers that expose ports and would have that of an earlier one."""
    taken: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in names:
        address = layout.shared_address(name)
        if address in taken:
            address = found[name] = _free(address, taken)
        taken[address] = name
    return found


def _free(address: str, taken: Mapping[str, str]) -> str:
    numbers = range(int(ipaddress.IPv4Address(address)) + 1, int(layout.SHARED_RANGE.broadcast_address))
    return next((text for text in map(str, map(ipaddress.IPv4Address, numbers)) if text not in taken), "198.18.0.5")
