"""What an engine would refuse of a container, or what would leave it without clients, though each of its values is valid.

Knows which values of one container exclude each other; hides which of them are in create_args.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ondemand_pkg.declaration.attendance import has_no_ports
from ondemand_pkg.engines import create_options
from ondemand_pkg.engines.choice import ENGINES, WORDS
from ondemand_pkg.model import ANY_ENGINE, Port, Ready, ReadyKind, TcpAddress, UdpAddress
from ondemand_pkg.waking import DATA, Datagrams

UDP_READY = ('write ready = { udp = { send = "HEX", expect = "HEX" } }, { log = "TEXT" }, { exec = ["COMMAND"] }, '
             '{ healthcheck = true } or "started"')
Contradiction = tuple[str, str, str]  # the key, what is wrong with it, what to do instead


def of_container(arguments: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Yield what contradicts in the values of a container, by key, as the reader has parsed them."""
    options = create_options.read(arguments.get("create_args", ()))[0]
    ports: Sequence[Port] = arguments.get("ports", ())
    yield from _engines(arguments.get("engine", ANY_ENGINE), options)
    yield from _mounts(arguments, options)
    yield from _networks(ports, bool(ports or arguments.get("expose")), options)
    if "log_limit" in arguments and any(option.name in ("--log-driver", "--log-opt") for option in options):
        yield ("log_limit", "create_args says already where the container's output goes", "leave one of the two out")
    ready = arguments.get("ready")
    for port in ready.ports if ready is not None else ():
        if port not in {one.container for one in ports if not one.is_udp}:
            yield ("ready", f"it waits for port {port}, to which none of ports leads", "write one of the container's ports")
    yield from datagrams(arguments, ports)
    yield from data(arguments)
    if ready is not None and ready.kind is ReadyKind.HEALTHCHECK:
        for option in options:
            if is_off(option):
                yield ("create_args",
                       f"{option.name} switches off the health check that ready = {{ healthcheck = true }} waits for",
                       "leave it out, or write another kind of ready")


def sleep(arguments: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Find what says how the container sleeps that never does."""
    if arguments.get("idle_action") == "pause" and arguments.get("idle") is None:
        yield "idle_action", '"pause" needs an idle time', 'write idle = "10min" too, or leave the key out'
    if "keep_awake" in arguments and arguments.get("idle") is None and not has_no_ports(arguments):
        yield "keep_awake", "without an idle time the container never falls asleep once it is awake", (
            'write idle = "10min" too, or wake_at instead')


def data(arguments: Mapping[str, Any]) -> Iterator[Contradiction]:
    """Find a time to wait for data where nothing waits for it."""
    if "data_timeout" in arguments and arguments.get("wake_on") != DATA and not has_no_ports(arguments):
        yield "data_timeout", "nothing waits for data, since a connection wakes the container", (
            'leave it out, or write wake_on = "data" too')


def datagrams(arguments: Mapping[str, Any], ports: Sequence[Port]) -> Iterator[Contradiction]:
    """Find what needs a port of UDP, or one of TCP, and has none."""
    kinds = {one.is_udp for one in (*ports, *arguments.get("expose", ()))}
    has_udp, has_tcp = True in kinds, False in kinds
    ready = arguments.get("ready", Ready())
    if has_udp and not has_tcp and arguments.get("wake_on") == DATA:
        yield "wake_on", "a datagram is data in itself, and all of its ports are of UDP", "leave it out"
    if has_udp and not has_tcp and arguments.get("health") is not None:
        yield "health", "it answers requests of HTTP, and all of its ports are of UDP", "leave it out"
    if has_udp and not has_tcp:
        if ready.kind in (ReadyKind.TCP, ReadyKind.HTTP):
            found = f"{ready.kind.value!r} connects to a TCP port, and all of its ports are of UDP".replace("'", '"')
            yield "ready", found if "ready" in arguments else f"missing; its default {found}", UDP_READY
        if arguments.get("proxy_protocol"):
            yield "proxy_protocol", "it is for connections, and all of its ports are of UDP", "leave it out"
    if not has_udp:
        if isinstance(arguments.get("wake_on"), Datagrams):
            yield "wake_on", "it counts datagrams, and none of its ports is of UDP", 'leave it out, or write wake_on = "data"'
        if ready.kind is ReadyKind.UDP:
            yield "ready", "none of its ports is of UDP", 'write ports = ["53:53/udp"], or another kind of ready'
        if "udp_timeout" in arguments:
            yield "udp_timeout", "none of its ports is of UDP", 'leave it out, or write ports = ["53:53/udp"]'


def is_off(option: create_options.Given) -> bool:
    """Tell whether an option switches the health check off."""
    return (option.name == "--no-healthcheck" and option.value == "true") or (
        option.name == "--health-cmd" and option.value.lower() == "none")


def _engines(engine: str, options: Sequence[create_options.Given]) -> Iterator[Contradiction]:
    """Find options that the declared engine does not take, or of which no engine takes all."""
    left = {one.word for one in ENGINES} if engine == ANY_ENGINE else {engine}
    for option in options:
        if not left & option.option.engines:
            takers = " and ".join(WORDS[word].title for word in sorted(option.option.engines))
            yield ("create_args", f"only {takers} takes {option.told!r}",
                   "leave it out" if engine == ANY_ENGINE else
                   f"leave it out, or write engine = {' or '.join(map(repr, sorted(option.option.engines)))}".replace("'", '"'))
            return
        left &= option.option.engines


def _networks(ports: Sequence[Port], is_reached: bool, options: Sequence[create_options.Given]) -> Iterator[Contradiction]:
    listening = {(port.listen.port, port.is_udp) for port in ports if isinstance(port.listen, TcpAddress | UdpAddress)}
    for option in options:
        if option.name == "--publish" and (found := _published(option.value)) in listening:
            yield ("create_args", f"the engine would listen on {found[0]} too, on which systemd listens for the container",
                   "leave --publish out: ports forwards to the container without it")
    networks = [option.value for option in options if option.name == "--network"]
    if is_reached and "none" in networks:
        yield ("create_args", "a container with --network=none has no address: nothing can be forwarded to its ports",
               "leave it out")


def _published(binding: str) -> tuple[int, bool]:
    """Return the port of the host on which `--publish` lets the engine listen, 0 for none, and whether it is of UDP."""
    host = re.fullmatch(r"(?:.*:)?([0-9]+):[0-9]+(?:/(tcp|udp))?", binding)
    return (int(host[1]), host[2] == "udp") if host else (0, False)


def _mounts(arguments: Mapping[str, Any], options: Sequence[create_options.Given]) -> Iterator[Contradiction]:
    """Find two mounts on one path; a temporary file system that is declared twice as the same is one."""
    found = [("volumes", str(volume), volume.target) for volume in arguments.get("volumes", ())]
    found += [("tmpfs", mount, mount.partition(":")[0]) for mount in dict.fromkeys(arguments.get("tmpfs", ()))]
    found += [("create_args", f"{option.name}={option.value}", target) for option in options if (target := mounted_at(option))]
    taken: dict[str, tuple[str, str]] = {}
    for key, written, target in found:
        path = re.sub("/+", "/", target).rstrip("/") or "/"
        if path in taken:
            other_key, other = taken[path]
            place = "" if other_key == key else f" in {other_key}"
            yield key, f'"{written}" and "{other}"{place} are mounted on one path, {path}', "leave one of the two out"
        else:
            taken[path] = key, written


def mounted_at(option: create_options.Given) -> str:
    """Return the path in the container on which an option mounts something, or nothing."""
    if option.name == "--tmpfs":
        return option.value.partition(":")[0]
    if option.name == "--volume":
        parts = option.value.split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    if option.name == "--mount":
        fields = [part.partition("=") for part in option.value.split(",")]
        return next((value for name, _, value in fields if name in ("target", "destination", "dst")), "")
    return ""
