"""The kinds of value that describe a container: addresses, volumes, limits, readiness, options of `docker create`.

Knows what each may hold and what it means; hides how it is written.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Any

from ondemand_pkg.declaration.values import (
    ARGUMENT,
    SPAN,
    TIME_SPAN,
    Invalid,
    Parts,
    Value,
    array,
    check_text,
    expect,
    integer,
    line,
    pattern,
    time_span,
    toml_type,
)
from ondemand_pkg.model import (
    DEFAULT_READY_TIMEOUT,
    METRICS_DIRECTORY,
    IPNetwork,
    Port,
    Ready,
    ReadyKind,
    TcpAddress,
    UnixAddress,
    Volume,
)

_METRICS = pattern(r"(?:/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+", "true, false, or an absolute directory of plain characters")


def _metrics(value: Any) -> str:
    if type(value) is bool:
        return METRICS_DIRECTORY if value else ""
    return str(_METRICS.parse(value))


METRICS = Value(_METRICS.allowed, _metrics, {"anyOf": [{"type": "boolean"}, dict(_METRICS.schema)]})


def _cpus(value: Any) -> float:
    allowed = "a number of processors above 0, such as 1.5"
    if type(value) not in (int, float):
        raise Invalid(value, f"{toml_type(value)} stands where {allowed} is allowed")
    if not (math.isfinite(value) and 0.01 <= value <= 4096):
        raise Invalid(value, f"allowed: {allowed}, from 0.01 to 4096")
    return float(value)


CPUS = Value("a number of processors, such as 1.5", _cpus, {"type": "number", "minimum": 0.01, "maximum": 4096})

STOP_TIMEOUT = Value(SPAN, lambda value: math.ceil(time_span(value)), {"type": "string"})


def _idle(value: Any) -> float | None:
    return None if value == "never" else time_span(value)


IDLE = Value(f'"never", or {SPAN}', _idle, {"type": "string"})

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([bkmgt]?)i?b?", re.IGNORECASE)
LEAST_MEMORY = 6 * 1024**2  # the engine's own lower limit


def _memory(value: Any) -> int:
    allowed = 'a size as Docker writes it, such as "256m" or "1.5g", at least "6m"'
    expect(value, str, allowed)
    match = _SIZE.fullmatch(value)
    if match is None:
        raise Invalid(value, f"allowed: {allowed}")
    size = float(match[1]) * 1024 ** "bkmgt".index(match[2].lower() or "b")
    if not LEAST_MEMORY <= size < 2**63:
        raise Invalid(value, f"allowed: {allowed}")
    return int(size)


MEMORY = Value('a size as Docker writes it, such as "256m"', _memory, {"type": "string", "pattern": _SIZE.pattern})

PORT_FORM = '"[ADDRESS:]LISTEN:CONTAINER", such as "80:8080", "127.0.0.1:9000:9000", "[::1]:9001:9001" or "/run/web.sock:8080"'
LONGEST_SOCKET_PATH = 107  # sun_path less its final NUL, unix(7)


def _port_number(text: str, whole: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Invalid(whole, f"{text!r} is no port from 1 to 65535; allowed: {PORT_FORM}")
    return int(text)


def _port(value: Any) -> Port:
    if type(value) is int:
        raise Invalid(value, f'an integer stands where a string is allowed; write "{value}:{value}"')
    expect(value, str, PORT_FORM)
    check_text(value, PORT_FORM)
    head, colon, target = value.rpartition(":")
    if target.endswith("/udp"):
        raise Invalid(value, "UDP is not supported yet; allowed: TCP ports, " + PORT_FORM)
    if not colon or not head:
        raise Invalid(value, f"allowed: {PORT_FORM}")
    container = _port_number(target, value)
    if head.startswith("/"):
        # systemd strips white space at the end of a value.
        if (len(head.encode()) > LONGEST_SOCKET_PATH or head.endswith("/") or head != head.rstrip() or "//" in head
                or {".", ".."} & set(head.split("/"))):
            raise Invalid(value, f"the path of a socket is absolute, normalised, at most {LONGEST_SOCKET_PATH} bytes long "
                                 "and doesn't end in white space")
        return Port(UnixAddress(head), container)
    host, colon, port = head.rpartition(":")
    if not colon:
        return Port(TcpAddress(None, _port_number(port, value)), container)
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise Invalid(value, f"an IPv6 address stands in brackets; allowed: {PORT_FORM}")
    try:
        address = (ipaddress.IPv6Address(host[1:-1]) if host.startswith("[") else ipaddress.IPv4Address(host))
    except ValueError:
        raise Invalid(value, f"{host!r} is no IP address (a name is not allowed); allowed: {PORT_FORM}") from None
    if address.version == 6 and address.scope_id:
        raise Invalid(value, "an address with a zone is not allowed; listen on [::] and filter by firewall")
    return Port(TcpAddress(address, _port_number(port, value)), container)


PORT = Value(PORT_FORM, _port, {"type": "string", "pattern": r":[0-9]{1,5}$"})

VOLUME_FORM = '"NAME:/PATH" or "/HOST/PATH:/PATH", options such as ":ro" behind it'
_VOLUME_OPTIONS = {"ro", "rw", "z", "Z", "nocopy", "shared", "slave", "private", "rshared", "rslave", "rprivate"}


def _volume(value: Any) -> Volume:
    expect(value, str, VOLUME_FORM)
    check_text(value, VOLUME_FORM)
    parts = value.split(":")
    if len(parts) == 1 and value.startswith("/"):
        raise Invalid(value, f'a volume needs a name, or its data would be lost with the container; write "NAME:{value}"')
    if len(parts) not in (2, 3):
        raise Invalid(value, f"allowed: {VOLUME_FORM}")
    source, target = parts[:2]
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    if not source.startswith("/") and not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", source):
        raise Invalid(value, f"{source!r} is neither an absolute path nor the name of a volume; allowed: {VOLUME_FORM}")
    if not target.startswith("/") or target == "/":
        raise Invalid(value, f"{target!r} is not an absolute path below /; allowed: {VOLUME_FORM}")
    unknown = [option for option in options if option not in _VOLUME_OPTIONS]
    if unknown:
        raise Invalid(value, f"unknown option {unknown[0]!r}; allowed: {', '.join(sorted(_VOLUME_OPTIONS))}")
    return Volume(source, target, options)


VOLUME = Value(VOLUME_FORM, _volume, {"type": "string", "pattern": ":/"})


def _network(value: Any) -> IPNetwork:
    allowed = 'an address or a network, such as "10.0.0.0/8" or "::1"'
    expect(value, str, allowed)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise Invalid(value, f"allowed: {allowed}") from None
    raise Invalid(value, f'a bit is set behind the prefix; write "{meant}"')


NETWORK = Value('an address or a network, such as "10.0.0.0/8"', _network, {"type": "string"})

# Options that would take the container away from its units, and what to do instead.
_RESERVED_ARGS = {
    "--name": "the package names its container",
    "--rm": "the package removes its container",
    "--restart": "systemd starts and stops the container",
    "--cidfile": "the package finds its container by name",
    "--stop-timeout": "use the key stop_timeout",
    "--help": "it makes nothing",
    "--detach": "it is no option of 'docker create'; the package starts its container",
    "-d": "it is no option of 'docker create'; the package starts its container",
}


def _create_args(value: Any) -> tuple[str, ...]:
    arguments: tuple[str, ...] = array(ARGUMENT).parse(value)
    if arguments and not arguments[0].startswith("-"):
        raise Invalid(arguments[0], "the first argument is an option of 'docker create', such as \"--shm-size=64m\"", "[0]")
    for index, argument in enumerate(arguments):
        reason = _RESERVED_ARGS.get(argument.partition("=")[0])
        if reason:
            raise Invalid(argument, f"not allowed here: {reason}", f"[{index}]")
        if argument == "--":
            raise Invalid(argument, "not allowed here: the image would be taken for an argument", f"[{index}]")
    return arguments


CREATE_ARGS = Value("an array of options of 'docker create'", _create_args, dict(array(ARGUMENT).schema))

READY_FORM = ('"tcp", or a table with one of tcp = true, http = "/PATH" (status = 200), healthcheck = true, '
              'exec = ["COMMAND"], log = "TEXT", and timeout = "60s" beside it')
_URL_PATH = pattern(r"/[!-~]*", 'the path of a URL, such as "/healthz"')
_TRUE = Value("true", lambda value: value if value is True else _refuse(value, "allowed: true"), {"const": True})


def _refuse(value: Any, why: str) -> None:
    raise Invalid(value, why)


_READY_KINDS: Mapping[ReadyKind, tuple[Value, str]] = {
    ReadyKind.TCP: (_TRUE, ""),
    ReadyKind.HTTP: (_URL_PATH, "path"),
    ReadyKind.HEALTHCHECK: (_TRUE, ""),
    ReadyKind.EXEC: (array(ARGUMENT, 1), "argv"),
    ReadyKind.LOG: (line("a text of the log", 1000), "text"),
}


def _ready(value: Any) -> Ready:
    if value == "tcp":
        return Ready()
    if type(value) is str:
        raise Invalid(value, f"allowed: {READY_FORM}")
    expect(value, dict, READY_FORM)
    names = {kind.value: kind for kind in ReadyKind}
    chosen = [names[key] for key in value if key in names]
    if len(chosen) != 1:
        raise Invalid(value, f"allowed: {READY_FORM}")
    kind = chosen[0]
    others = {"timeout": TIME_SPAN, **({"status": integer(100, 599)} if kind is ReadyKind.HTTP else {})}
    arguments: dict[str, Any] = {"timeout": DEFAULT_READY_TIMEOUT}
    parts = Parts()
    for key, element in value.items():
        with parts.part(f".{key}"):
            if key == kind.value:
                checked = _READY_KINDS[kind][0].parse(element)
                if _READY_KINDS[kind][1]:
                    arguments[_READY_KINDS[kind][1]] = checked
            elif key in others:
                arguments[key] = others[key].parse(element)
            else:
                raise Invalid(element, f"unknown key; allowed: {', '.join([kind.value, *others])}")
    parts.check()
    return Ready(kind, **arguments)


READY = Value(READY_FORM, _ready, {
    "oneOf": [{"const": "tcp"}] + [
        {"type": "object", "additionalProperties": False, "required": [kind.value],
         "properties": {kind.value: dict(value.schema), "timeout": {"type": "string"},
                        **({"status": {"type": "integer"}} if kind is ReadyKind.HTTP else {})}}
        for kind, (value, _) in _READY_KINDS.items()],
})
