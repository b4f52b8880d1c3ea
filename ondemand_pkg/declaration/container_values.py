"""The kinds of value that describe a container: addresses, volumes, limits, readiness, options of `docker create`.

Knows what each may hold and what it means; hides how it is written.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Any

from ondemand_pkg.declaration import capabilities
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
from ondemand_pkg.engines import create_options
from ondemand_pkg.engines.choice import DEFAULT, WORDS
from ondemand_pkg.model import (
    DEFAULT_READY_TIMEOUT,
    METRICS_DIRECTORY,
    IPNetwork,
    Port,
    Ready,
    ReadyKind,
    TcpAddress,
    UdpAddress,
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
        raise Invalid(value, f"expected {allowed}, not {toml_type(value)}")
    if not 0.01 <= value <= 4096:  # nor is "nan" between them
        raise Invalid(value, f"allowed: {allowed}, from 0.01 to 4096")
    return float(value)


CPUS = Value("a number of processors, such as 1.5", _cpus, {"type": "number", "minimum": 0.01, "maximum": 4096})

STOP_TIMEOUT = Value(SPAN, lambda value: math.ceil(time_span(value)), {"type": "string"})

UDP_TIMEOUT = Value(SPAN, time_span, {"type": "string"})

_IDLE_FORM = f'"never", or {SPAN}'


def _idle(value: Any) -> float | None:
    return None if value == "never" else time_span(value, _IDLE_FORM)


IDLE = Value(_IDLE_FORM, _idle, {"type": "string"})

_SIZE = r"([0-9]+(?:\.[0-9]+)?) ?([bkmgt]?)i?b?"
LEAST_MEMORY = 6 * 1024**2  # the engine's own lower limit


def _size(value: Any, least: int, allowed: str) -> int:
    expect(value, str, allowed)
    match = re.fullmatch(_SIZE, value, re.IGNORECASE)
    if match is None:
        raise Invalid(value, f"allowed: {allowed}")
    size = float(match[1]) * 1024 ** "bkmgt".index(match[2].lower() or "b")
    if not least <= size < 2**63:
        raise Invalid(value, f"allowed: {allowed}")
    return int(size)


def _memory(value: Any) -> int:
    return _size(value, LEAST_MEMORY, 'a size as Docker writes it, such as "256m" or "1.5g", at least "6m"')


MEMORY = Value('a size as Docker writes it, such as "256m"', _memory, {"type": "string", "pattern": _SIZE})

LEAST_LOG = 64 * 1024  # bytes: room for the lines that a failed start quotes, in each of two files


def _log_limit(value: Any) -> int | None:
    return None if value == "none" else _size(value, LEAST_LOG, '"none", or a size such as "10m" or "1g", at least "64k"')


LOG_LIMIT = Value('"none", or a size such as "10m"', _log_limit, {"type": "string", "pattern": f"none|{_SIZE}"})

PORT_FORM = ('"[ADDRESS:]LISTEN:CONTAINER", such as "80:8080", "127.0.0.1:9000:9000", "[::1]:9001:9001", "53:53/udp" or '
             '"/run/web.sock:8080"')
LONGEST_SOCKET_PATH = 107  # sun_path less its final NUL, unix(7)


def _port_number(text: str, whole: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Invalid(whole, f"allowed: {PORT_FORM}", why=f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _port(value: Any) -> Port:
    if type(value) is int:
        raise Invalid(value, f'write "{value}:{value}"', why="expected a string, not an integer")
    expect(value, str, PORT_FORM)
    check_text(value, PORT_FORM)
    head, colon, target = value.removesuffix("/tcp").rpartition(":")
    kind = UdpAddress if target.endswith("/udp") else TcpAddress
    target = target.removesuffix("/udp")
    if not colon or not head:
        raise Invalid(value, f"allowed: {PORT_FORM}")
    container = _port_number(target, value)
    if head.startswith("/"):
        if kind is UdpAddress:
            raise Invalid(value, "leave /udp out, or write a port instead of the path", why="a Unix socket takes connections")
        # systemd strips white space at the end of a value.
        if (len(head.encode()) > LONGEST_SOCKET_PATH or head.endswith("/") or head != head.rstrip() or "//" in head
                or {".", ".."} & set(head.split("/"))):
            raise Invalid(value, f"the path of a socket must be absolute, normalised, at most {LONGEST_SOCKET_PATH} bytes long "
                                 "and must not end in white space")
        return Port(UnixAddress(head), container)
    host, colon, port = head.rpartition(":")
    if not colon:
        return Port(kind(None, _port_number(port, value)), container)
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise Invalid(value, f"allowed: {PORT_FORM}", why="write an IPv6 address in brackets")
    try:
        address = (ipaddress.IPv6Address(host[1:-1]) if host.startswith("[") else ipaddress.IPv4Address(host))
    except ValueError:
        raise Invalid(value, f"allowed: {PORT_FORM}", why=f"{host!r} is not an IP address (host names are not allowed)") from None
    if address.version == 6 and address.scope_id:
        raise Invalid(value, "listen on [::] and filter by firewall", why="an address with a zone is not allowed")
    return Port(kind(address, _port_number(port, value)), container)


PORT = Value(PORT_FORM, _port, {"type": "string", "pattern": r":[0-9]{1,5}(/tcp|/udp)?$"})

VOLUME_FORM = '"NAME:/PATH" or "/HOST/PATH:/PATH", optionally followed by options such as ":ro"'
_OF_DIRECTORIES = {"shared", "slave", "private", "rshared", "rslave", "rprivate"}
_VOLUME_OPTIONS_OF_WHICH_ONE: tuple[set[str], ...] = ({"ro", "rw"}, {"z", "Z"}, _OF_DIRECTORIES)
_VOLUME_OPTIONS = {"nocopy"}.union(*_VOLUME_OPTIONS_OF_WHICH_ONE)


def _volume(value: Any) -> Volume:
    expect(value, str, VOLUME_FORM)
    check_text(value, VOLUME_FORM)
    parts = value.split(":")
    if len(parts) == 1 and value.startswith("/"):
        raise Invalid(value, f'write "NAME:{value}"', why="an anonymous volume would lose its data with the container")
    if len(parts) not in (2, 3):
        raise Invalid(value, f"allowed: {VOLUME_FORM}")
    source, target = parts[:2]
    options = tuple(parts[2].split(",")) if len(parts) == 3 else ()
    if not source.startswith("/") and not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", source):
        raise Invalid(value, f"allowed: {VOLUME_FORM}", why=f"{source!r} is neither an absolute path nor the name of a volume")
    if not target.startswith("/") or target == "/":
        raise Invalid(value, f"allowed: {VOLUME_FORM}", why=f"{target!r} is not an absolute path below /")
    unknown = [option for option in options if option not in _VOLUME_OPTIONS]
    if unknown:
        raise Invalid(value, f"allowed: {', '.join(sorted(_VOLUME_OPTIONS))}", why=f"unknown option {unknown[0]!r}")
    for group in _VOLUME_OPTIONS_OF_WHICH_ONE:
        if len(both := [option for option in options if option in group]) > 1:
            raise Invalid(value, "leave one of the two out", why=f"the options {both[0]!r} and {both[1]!r} exclude each other")
    wrong = _OF_DIRECTORIES if not source.startswith("/") else {"nocopy"}
    if misplaced := [option for option in options if option in wrong]:
        kind = "a directory of the host" if wrong is _OF_DIRECTORIES else "a named volume"
        raise Invalid(value, "leave it out", why=f"the option {misplaced[0]!r} is only for {kind}")
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
    raise Invalid(value, f'write "{meant}"', why="it has bits set beyond its prefix length")


NETWORK = Value('an address or a network, such as "10.0.0.0/8"', _network, {"type": "string"})

ENGINE_FORM = " or ".join(f'"{word}"' for word in WORDS)


def _engine(value: Any) -> str:
    expect(value, str, ENGINE_FORM)
    if value not in WORDS:
        raise Invalid(value, f"allowed: {ENGINE_FORM}")
    return str(value)


ENGINE = Value(ENGINE_FORM, _engine, {"enum": list(WORDS)})


def _create_args(value: Any) -> tuple[str, ...]:
    arguments: tuple[str, ...] = array(ARGUMENT).parse(value)
    given, misread, _ = create_options.read(arguments)
    mistakes = [(option.index, f"not allowed here: {DEFAULT.reserved[option.name]}", "") for option in given
                if option.name in DEFAULT.reserved]
    mistakes += [(one.index, f"not allowed here: {DEFAULT.reserved[one.name]}", "") if one.name in DEFAULT.reserved else
                 (one.index, one.remedy, one.finding) for one in misread]
    mistakes += [(option.index, remedy, f"{option.name} does not take {option.value!r}") for option in given
                 if option.name in ("--cap-add", "--cap-drop") and (remedy := capabilities.fault(option.value))]
    parts = Parts()
    for index, remedy, why in sorted(mistakes):
        with parts.part(f"[{index}]"):
            raise Invalid(arguments[index], remedy, why=why)
    parts.check()
    return arguments


CREATE_ARGS = Value("an array of options of 'docker create'", _create_args, dict(array(ARGUMENT).schema))

READY_FORM = ('"tcp", "started", or a table with one of tcp = true, "any" or ["PORT"], http = "/PATH" (status = 200), '
              'healthcheck = true, exec = ["COMMAND"], log = "TEXT", udp = { send = "HEX", expect = "HEX" }, started = true, and '
              'optionally timeout = "60s"')
_URL_PATH = pattern(r"/[!-~]*", 'the path of a URL, such as "/healthz"')
_TRUE = Value("true", lambda value: value if value is True else _refuse(value, "allowed: true"), {"const": True})


def _refuse(value: Any, remedy: str) -> None:
    raise Invalid(value, remedy)


def _ready_tcp(value: Any) -> tuple[tuple[int, ...], bool]:
    allowed = 'true for all ports, "any" for one of them, or an array of ports of the container, such as ["8080"]'
    if value is True or value == "any":
        return (), value == "any"
    if type(value) is not list or not value:
        raise Invalid(value, f"allowed: {allowed}")
    parts, found = Parts(), []
    for index, port in enumerate(value):
        with parts.part(f"[{index}]"):
            text = str(port) if type(port) in (str, int) else ""
            if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
                raise Invalid(port, f"allowed: {allowed}", why="it is not a port from 1 to 65535")
            found.append(int(text))
    parts.check()
    return tuple(dict.fromkeys(found)), False


_READY_TCP = Value('true, "any" or an array of ports', _ready_tcp, {
    "anyOf": [{"enum": [True, "any"]}, {"type": "array", "minItems": 1, "items": {"type": ["string", "integer"]}}]})

MOST_OF_QUESTION = 1232  # bytes that get through any network in one piece
_HEX = pattern(f"(?:[0-9a-fA-F]{{2}}){{0,{MOST_OF_QUESTION}}}", 'bytes in hexadecimal digits, such as "ffffffff54"')


def _ready_udp(value: Any) -> tuple[bytes, bytes]:
    allowed = 'a table { send = "HEX", expect = "HEX" }: the bytes of a question, and those with which its answer begins'
    expect(value, dict, allowed)
    parts, found = Parts(), {"send": b"", "expect": b""}
    for key, element in value.items():
        with parts.part(f".{key}"):
            if key not in found:
                raise Invalid(element, "allowed: send, expect", why="unknown key")
            found[key] = bytes.fromhex(_HEX.parse(element))
    parts.check()
    if "send" not in value:
        raise Invalid(value, f"allowed: {allowed}", why="send is missing")
    return found["send"], found["expect"]


_READY_UDP = Value('{ send = "HEX", expect = "HEX" }', _ready_udp, {
    "type": "object", "additionalProperties": False, "required": ["send"],
    "properties": {key: dict(_HEX.schema) for key in ("send", "expect")}})

_READY_KINDS: Mapping[ReadyKind, tuple[Value, str]] = {
    ReadyKind.TCP: (_READY_TCP, ""),
    ReadyKind.HTTP: (_URL_PATH, "path"),
    ReadyKind.HEALTHCHECK: (_TRUE, ""),
    ReadyKind.EXEC: (array(ARGUMENT, 1), "argv"),
    ReadyKind.LOG: (line("a line that the container logs", 1000), "text"),
    ReadyKind.STARTED: (_TRUE, ""),
    ReadyKind.UDP: (_READY_UDP, ""),
}


def _ready(value: Any) -> Ready:
    if value == "tcp":
        return Ready()
    if value == "started":
        return Ready(ReadyKind.STARTED)
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
                if kind is ReadyKind.TCP:
                    arguments["ports"], arguments["is_any"] = checked
                elif kind is ReadyKind.UDP:
                    arguments["send"], arguments["expect"] = checked
                elif _READY_KINDS[kind][1]:
                    arguments[_READY_KINDS[kind][1]] = checked
            elif key in others:
                arguments[key] = others[key].parse(element)
            else:
                raise Invalid(element, f"allowed: {', '.join([kind.value, *others])}", why="unknown key")
    parts.check()
    return Ready(kind, **arguments)


READY = Value(READY_FORM, _ready, {
    "oneOf": [{"enum": ["tcp", "started"]}] + [
        {"type": "object", "additionalProperties": False, "required": [kind.value],
         "properties": {kind.value: dict(value.schema), "timeout": {"type": "string"},
                        **({"status": {"type": "integer"}} if kind is ReadyKind.HTTP else {})}}
        for kind, (value, _) in _READY_KINDS.items()],
})
