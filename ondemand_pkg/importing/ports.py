"""Published ports, as Compose, Quadlet and `docker run` write them.

Knows both syntaxes, ranges included; hides which of them was used.
Source: Compose specification, "ports"; docker-run(1), --publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.frozen import frozen
from ondemand_pkg.importing.yaml_lines import Located, scalar_text

WOKEN_BY = ("tcp", "udp")  # the protocols that wake a container
BRIDGE = "172.17.0.1"  # the host's address on the engine's default bridge, unless daemon.json sets another
STARTED = ("it counts as ready once it is started, as no port of UDP can be asked by connecting; if datagrams get lost then, "
           'write ready = { udp = { send = "HEX", expect = "HEX" } }')
_MOST = 100  # ports of one range
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
# Servers that listen without an EXPOSE in their Compose file; the ports that IANA or their makers give them.
WELL_KNOWN = {
    "postgres": 5432, "postgis": 5432, "pgvector": 5432, "timescaledb": 5432, "mysql": 3306, "mariadb": 3306, "redis": 6379,
    "valkey": 6379, "keydb": 6379, "memcached": 11211, "mongo": 27017, "mongodb": 27017, "rabbitmq": 5672, "elasticsearch": 9200,
    "opensearch": 9200, "influxdb": 8086, "clickhouse-server": 8123, "nginx": 80, "httpd": 80, "caddy": 80, "minio": 9000,
    "registry": 5000, "eclipse-mosquitto": 1883, "meilisearch": 7700, "nats": 4222, "vault": 8200, "consul": 8500, "etcd": 2379,
}


@frozen
class Published:
    """One port: where the host listens (``listen`` None: the engine would choose), and the container's port."""

    host: str
    listen: int | None
    container: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        """Return it as a declaration writes it; without a port of its own it listens on the container's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        both = f"{self.listen or self.container}:{self.container}" + ("" if self.protocol == "tcp" else f"/{self.protocol}")
        return f"{host}:{both}" if host else both

    @property
    def inside(self) -> str:
        """The container's port, as `expose` writes it."""
        return str(self.container) if self.protocol == "tcp" else f"{self.container}/{self.protocol}"


def of(item: Located) -> list[Published]:
    """Return the ports of an item of `ports`, in either syntax; raises ValueError."""
    if not isinstance(item.value, dict):
        return short(scalar_text(item.value))
    part = {key: scalar_text(inner.value) for key, inner in item.value.items() if not isinstance(inner.value, list | dict)}
    return long(part.get("host_ip", ""), part.get("published", ""), part.get("target", ""), part.get("protocol", ""))


def short(text: str) -> list[Published]:
    """Return the ports of `[[HOST:][LISTEN]:]CONTAINER[/PROTOCOL]`; raises ValueError."""
    body, _, protocol = text.partition("/")
    head, colon, container = body.rpartition(":")
    host, _, listen = head.rpartition(":") if colon else ("", "", "")
    return list(_pairs(host.strip("[]"), listen, container, protocol, text))


def long(host: str, published: str, target: str, protocol: str) -> list[Published]:
    """Return the ports of a mapping of `host_ip`, `published`, `target` and `protocol`; raises ValueError."""
    return list(_pairs(host.strip("[]"), published, target, protocol, f"{published}:{target}"))


def at_bridge(inside: str) -> str:
    """Return the item of `ports` that forwards a port to the container's under the same number, for containers of the bridge."""
    port, = short(inside)
    return str(Published(BRIDGE, None, port.container, port.protocol))


def inside(values: Mapping[str, Any]) -> list[str]:
    """Return the ports on which a container listens for others, each once."""
    published = (str(port).rpartition(":")[2].removesuffix("/tcp") for port in values.get("ports", ()))
    return list(dict.fromkeys([*published, *values.get("expose", ())]))


def settle_readiness(values: dict[str, Any]) -> str:
    """Say when a container is ready of which no health check says it; return what there is to be said of that, or nothing.

    One port of several is enough: some may stay silent for ever.  One of UDP ports alone is ready once it is started.
    """
    ready = values.get("ready", {"tcp": True})
    found = [port for port in inside(values) if not port.endswith("/udp")]
    if ready == "started" or not isinstance(ready, dict) or ready.get("tcp") is not True or not inside(values):
        return ""
    if not found:
        values["ready"] = "started"
        return STARTED
    if len(found) > 1:
        values["ready"] = {**ready, "tcp": "any"}
        return (f"one of {', '.join(found)} that listens makes it ready, as no health check says more; write those that clients "
                "need into ready = { tcp = [...] }")
    return ""


def _pairs(host: str, listen: str, container: str, protocol: str, whole: str) -> Iterator[Published]:
    protocol = protocol.lower() or "tcp"
    inside = _numbers(container, whole)
    outside = _numbers(listen, whole) if listen else None
    if outside is not None and len(inside) == 1:  # the engine takes the first that is free
        yield Published(host, outside[0], inside[0], protocol)
        return
    if len(inside) > _MOST:
        raise ValueError(f"{whole!r}: more than {_MOST} ports; a declaration lists each of them")
    if outside is None:
        yield from (Published(host, None, port, protocol) for port in inside)
    elif len(inside) == len(outside):
        yield from (Published(host, *pair, protocol) for pair in zip(outside, inside, strict=True))
    else:
        raise ValueError(f"{whole!r}: the two ranges differ in length")


def _numbers(text: str, whole: str) -> range:
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{whole!r}: {text!r} is neither a port nor a range of ports")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last < 65536:
        raise ValueError(f"{whole!r}: {text!r} is not between 1 and 65535")
    return range(first, last + 1)
