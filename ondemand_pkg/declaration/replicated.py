"""What a service of a swarm can't have.

Knows which keys and values are for one host alone, or are not supported yet for several; hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.declaration import values
from ondemand_pkg.engines.swarm import SWARM
from ondemand_pkg.model import ANY_ENGINE, RELAY, Ready, ReadyKind

WORD = SWARM.word
REPLICAS = values.integer(1, 1000)
NODE = values.pattern(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62})", "the hostname of a node, as the swarm lists it")
SHORTEST_IDLE = 30.0  # seconds
_WITH = f'with engine = "{WORD}", '
LEAVE = f'leave it out, or write engine = "{ANY_ENGINE}"'
_NEVER = {
    "bundle": "each node pulls the image for itself, from a registry",
    "create_args": "nothing is made by the engine's create command",
    "log_limit": "the log driver is chosen by each node's engine",
    "purge_volumes": "volumes are kept by the node on which the service ran",
    "requires": "what is required would run on one host alone",
    "links": "the address of another container is one host's alone",
    "expose": "the address for other containers is one host's alone",
    "aliases": "the names for other containers are one host's alone",
    "companion_of": "what it accompanies runs on one host alone",
    "network_of": "tasks run on other hosts than the container whose network they would have",
    "excludes": "what it excludes runs on one host alone",
    "task": "it would run on every host",
}


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with that of `engine`, what is wrong with it, and what to do instead."""
    if arguments.get("engine") != WORD:
        for key in ("replicas", "node"):
            if key in arguments:
                yield key, f'it is for engine = "{WORD}"', "leave it out"
        return
    for key, why in _NEVER.items():
        if key in arguments and (arguments[key] or key == "log_limit"):
            yield key, _WITH + why, LEAVE
    if arguments.get("idle_action") == "pause":
        yield "idle_action", _WITH + "tasks can't be paused", 'write "stop", or leave it out'
    if (idle := arguments.get("idle")) is not None and idle < SHORTEST_IDLE:
        yield "idle", _WITH + "hosts agree on idleness, which takes a while", f'write "{SHORTEST_IDLE:g}s" or longer'
    if arguments.get("path", RELAY) != RELAY:
        yield "path", _WITH + "the relay spreads clients over the tasks, which the kernel does not", "leave it out"
    if arguments.get("proxy", RELAY) != RELAY:
        yield "proxy", _WITH + "the relay spreads clients over the tasks", "leave it out"
    if (kind := arguments.get("ready", Ready()).kind) not in (ReadyKind.TCP, ReadyKind.HTTP):
        yield "ready", f'{_WITH}"{kind.value}" can\'t be asked of tasks on other hosts', 'write "tcp" or { http = "/PATH" }'
    if any(port.is_udp for port in arguments.get("ports", ())):
        yield "ports", _WITH + "ports of UDP are not supported yet", "declare the ports of TCP alone"
    if arguments.get("volumes") and (arguments.get("replicas", 1) != 1 or not arguments.get("node")):
        yield ("volumes", _WITH + "a task that moves to another node finds no data there",
               'write node = "HOSTNAME" and replicas = 1, or leave it out')
