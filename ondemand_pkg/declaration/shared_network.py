"""What a container that has the network of another one may declare, and what is wrong among those that share one.

Knows what belongs to the network, and so to the container that made it; hides which options say that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.engines import create_options
from ondemand_pkg.model import ANY_ENGINE, Exposed

# Engines refuse these options for a container in the network of another one, whose names and addresses it has.
_OF_NETWORK = ("--add-host", "--dns", "--dns-option", "--dns-opt", "--dns-search", "--expose", "--hostname", "--ip", "--ip6",
               "--link", "--mac-address", "--network-alias", "--publish", "--publish-all")


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with ``network_of``, what is wrong with it, and what to do instead."""
    gateway = arguments.get("network_of")
    if not gateway:
        return
    for key in ("address", "aliases"):
        if arguments.get(key):
            yield key, f"its network, with the addresses and names in it, is that of {gateway!r}", "leave the key out"
    if arguments.get("links"):
        yield ("links", f"the names that it reaches are those of {gateway!r}, whose network it has",
               f"write links into [container.{gateway}]")
    for option in create_options.read(arguments.get("create_args", ()))[0]:
        if option.name == "--network":
            yield "create_args", f"--network and network_of both say which network it has: that of {gateway!r}", (
                "leave one of the two out")
        elif option.name in _OF_NETWORK:
            yield ("create_args", f"{option.name} is about its network, which is that of {gateway!r}",
                   f"write it into create_args of [container.{gateway}], or leave it out")
    if gateway in arguments.get("before", ()) and gateway in arguments.get("companion_of", ()):
        yield "before", f"{gateway!r} would wait for it, and it waits for the network of {gateway!r}", "leave it out"


def clashes(containers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what is wrong among the containers of a call, by their arguments: name, key, finding, remedy."""
    taken: dict[tuple[str, int, bool], str] = {}
    members = {name: arguments["network_of"] for name, arguments in containers.items() if arguments.get("network_of")}
    for name, gateway in members.items():
        other = containers.get(gateway)
        if other is None or gateway == name:
            continue  # one of another call; that of itself is a dependency cycle
        for reason, remedy in _unfit(gateway, other, containers[name]):
            yield name, "network_of", f'found "{gateway}"; {reason}', remedy
    for name in dict.fromkeys(name for member, gateway in members.items() for name in (gateway, member)):
        arguments = containers.get(name, {})
        for port, is_udp in _inside(arguments):
            first = taken.setdefault((members.get(name, name), port, is_udp), name)
            if first != name:
                yield (name, "expose" if Exposed(port, is_udp) in arguments.get("expose", ()) else "ports",
                       f"the container {first!r}, with which it shares a network, listens on port {port} too: one of them "
                       "can't", "let one of them listen on another port inside")


def _unfit(gateway: str, other: Mapping[str, Any], member: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield why a container can't give its network to another one."""
    if other.get("unit"):
        yield "it is an adopted service, whose network the engine does not know", "name a container"
    if other.get("network_of"):
        yield "that one has the network of another container itself", f'write network_of = "{other["network_of"]}"'
    if other.get("task"):
        yield "that one is a task, which ends before others start", "name a container that keeps running"
    networks = [option.value for option in create_options.read(other.get("create_args", ()))[0] if option.name == "--network"]
    if any(network == "host" or network.startswith("container:") for network in networks):
        yield "that one has no network of its own", f"leave --network out of create_args in [container.{gateway}]"
    engines = {one.get("engine", ANY_ENGINE) for one in (other, member)} - {ANY_ENGINE}
    if len(engines) > 1:
        yield "the two have different engines", "write one engine for both"


def _inside(arguments: Mapping[str, Any]) -> set[tuple[int, bool]]:
    """Return the ports on which a container listens inside, and whether each is of UDP."""
    return {(port.container, port.is_udp) for port in arguments.get("ports", ())} | {
        (one.port, one.is_udp) for one in arguments.get("expose", ())}
