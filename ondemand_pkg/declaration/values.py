"""The kinds of value that a key of the declaration takes.

Knows, for each kind, how a TOML value becomes a checked Python value, what is allowed, and how JSON Schema
says so; hides the patterns behind ``parse``.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from ondemand_pkg.model import (
    DEFAULT_READY_TIMEOUT,
    METRICS_DIRECTORY,
    Depends,
    IPNetwork,
    Port,
    Ready,
    ReadyKind,
    Release,
    TcpAddress,
    UnixAddress,
    Volume,
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a value.

    ``where`` is the path below the key (``[2]``, ``.timeout``), ``found`` what stands there, ``why`` what is
    allowed instead.
    """

    found: Any
    why: str
    where: str = ""


class Invalid(ValueError):
    """A value that is not allowed, by everything that is wrong in it."""

    def __init__(self, found: Any, why: str, where: str = "") -> None:
        super().__init__(why)
        self.findings: tuple[Finding, ...] = (Finding(found, why, where),)


class Parts:
    """The parts of a value, each checked by itself, so that what is wrong in all of them is told at once."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    @contextlib.contextmanager
    def part(self, where: str) -> Iterator[None]:
        """Keep what the block finds wrong in the part that stands at ``where``."""
        try:
            yield
        except Invalid as invalid:
            self._findings += [replace(finding, where=where + finding.where) for finding in invalid.findings]

    def check(self) -> None:
        """Raise Invalid if something is wrong in any part."""
        if self._findings:
            invalid = Invalid(self._findings[0].found, self._findings[0].why)
            invalid.findings = tuple(self._findings)
            raise invalid


@dataclass(frozen=True)
class Value:
    """A kind of value: ``parse`` turns what TOML gave into what the model holds, or raises Invalid."""

    allowed: str
    parse: Callable[[Any], Any]
    schema: Mapping[str, Any] = field(default_factory=dict)


def toml_type(value: Any) -> str:
    """Name the TOML type of a value, with its article."""
    names = {bool: "a boolean", str: "a string", int: "an integer", float: "a float", list: "an array",
             dict: "a table", date: "a date", datetime: "a date and time"}
    return names.get(type(value), f"a {type(value).__name__}")


def _expect(value: Any, kind: type, allowed: str) -> None:
    if type(value) is not kind:
        raise Invalid(value, f"{toml_type(value)} stands where {allowed} is allowed")


def check_text(value: str, allowed: str) -> None:
    """Refuse what no unit file, control field or package header can carry.

    Control characters and line separators end a line somewhere; systemd takes a line with a noncharacter for
    invalid UTF-8 and ignores it (unichar_is_valid); bidirectional controls show another text than the one that is there.
    """
    for character in value:
        code = ord(character)
        if (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or code & 0xFFFE == 0xFFFE
                or 0xFDD0 <= code <= 0xFDEF or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069 or code == 0xFEFF):
            raise Invalid(value, f"U+{code:04X} can't stand in it; allowed: {allowed}")


def pattern(expression: str, allowed: str, flags: int = 0) -> Value:
    """A string that matches a regular expression as a whole."""
    compiled = re.compile(expression, flags)

    def parse(value: Any) -> str:
        if type(value) in (int, float) and compiled.fullmatch(str(value)):
            raise Invalid(value, f'{toml_type(value)} stands where a string is allowed; write "{value}"')
        _expect(value, str, allowed)
        check_text(value, allowed)
        if not compiled.fullmatch(value):
            raise Invalid(value, f"allowed: {allowed}")
        return str(value)

    return Value(allowed, parse, {"type": "string", "pattern": f"^(?:{expression})$"})


def line(allowed: str, longest: int) -> Value:
    """One line of text, of at most ``longest`` characters, without white space around it."""

    def parse(value: Any) -> str:
        _expect(value, str, allowed)
        check_text(value, allowed)
        if not value.strip() or value != value.strip() or len(value) > longest:
            raise Invalid(value, f"allowed: {allowed}, 1 to {longest} characters, no white space around it")
        return str(value)

    return Value(allowed, parse, {"type": "string", "minLength": 1, "maxLength": longest})


def _argument(value: Any) -> str:
    _expect(value, str, "a string")
    if "\0" in value:
        raise Invalid(value, "allowed: a string without NUL")
    return str(value)


ARGUMENT = Value("a string", _argument, {"type": "string"})


def array(item: Value, minimum: int = 0) -> Value:
    """An array of values of one kind, each at most once unless it is an argument."""

    def parse(value: Any) -> tuple[Any, ...]:
        allowed = f"an array of: {item.allowed}"
        if type(value) is not list:
            hint = f"; write [{_toml(value)}]" if type(value) is str else ""
            raise Invalid(value, f"{toml_type(value)} stands where {allowed} is allowed{hint}")
        if len(value) < minimum:
            raise Invalid(value, f"allowed: {allowed}, at least {minimum}")
        parsed, parts = [], Parts()
        for index, element in enumerate(value):
            with parts.part(f"[{index}]"):
                parsed.append(item.parse(element))
        parts.check()
        return tuple(parsed)

    schema: dict[str, Any] = {"type": "array", "items": dict(item.schema)}
    if minimum:
        schema["minItems"] = minimum
    return Value(f"an array of: {item.allowed}", parse, schema)


def _toml(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def mapping(key: Value, item: Value) -> Value:
    """A table from keys of one kind to values of one kind."""
    allowed = f"a table of {key.allowed} = {item.allowed}"

    def parse(value: Any) -> dict[str, Any]:
        _expect(value, dict, allowed)
        parsed, parts = {}, Parts()
        for name, element in value.items():
            with parts.part(f".{name}"):
                key.parse(name)
                if type(element) in (int, float, bool):
                    written = str(element).lower() if type(element) is bool else str(element)
                    raise Invalid(element, f'{toml_type(element)} stands where {item.allowed} is allowed; '
                                           f'write "{written}"')
                parsed[name] = item.parse(element)
        parts.check()
        return parsed

    return Value(allowed, parse, {"type": "object", "additionalProperties": dict(item.schema)})


def integer(lowest: int, highest: int) -> Value:
    """A whole number within bounds."""
    allowed = f"an integer from {lowest} to {highest}"

    def parse(value: Any) -> int:
        _expect(value, int, allowed)
        if not lowest <= value <= highest:
            raise Invalid(value, f"allowed: {allowed}")
        return int(value)

    return Value(allowed, parse, {"type": "integer", "minimum": lowest, "maximum": highest})


def _boolean(value: Any) -> bool:
    _expect(value, bool, "true or false")
    return bool(value)


BOOLEAN = Value("true or false", _boolean, {"type": "boolean"})

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


def choice(*words: str) -> Value:
    """One of some words."""
    allowed = " or ".join(f'"{word}"' for word in words)

    def parse(value: Any) -> str:
        _expect(value, str, allowed)
        if value not in words:
            raise Invalid(value, f"allowed: {allowed}")
        return str(value)

    return Value(allowed, parse, {"enum": list(words)})


# systemd.time(7), "Parsing Time Spans"
_SECONDS = {
    "usec": 1e-6, "us": 1e-6, "µs": 1e-6, "msec": 1e-3, "ms": 1e-3,
    "seconds": 1, "second": 1, "sec": 1, "s": 1, "": 1,
    "minutes": 60, "minute": 60, "min": 60, "m": 60,
    "hours": 3600, "hour": 3600, "hr": 3600, "h": 3600,
    "days": 86400, "day": 86400, "d": 86400, "weeks": 604800, "week": 604800, "w": 604800,
}
_SPAN_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]*)")
SPAN = 'a time span above 0 as systemd writes it, such as "10s", "1min 30s" or "2h"'


def time_span(value: Any) -> float:
    """Return a time span in seconds (systemd.time(7)); raise Invalid."""
    _expect(value, str, SPAN)
    position, total = 0, 0.0
    text = value.rstrip()
    while position < len(text):
        part = _SPAN_PART.match(text, position)
        if part is None or part[2] not in _SECONDS:
            raise Invalid(value, f"allowed: {SPAN}")
        total += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if not 0 < total < 1e9:
        raise Invalid(value, f"allowed: {SPAN}")
    return total


TIME_SPAN = Value(SPAN, time_span, {"type": "string"})
STOP_TIMEOUT = Value(SPAN, lambda value: math.ceil(time_span(value)), {"type": "string"})


def _idle(value: Any) -> float | None:
    return None if value == "never" else time_span(value)


IDLE = Value(f'"never", or {SPAN}', _idle, {"type": "string"})

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([bkmgt]?)i?b?", re.IGNORECASE)
LEAST_MEMORY = 6 * 1024**2  # the engine's own lower limit


def _memory(value: Any) -> int:
    allowed = 'a size as Docker writes it, such as "256m" or "1.5g", at least "6m"'
    _expect(value, str, allowed)
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
    _expect(value, str, PORT_FORM)
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
    _expect(value, str, VOLUME_FORM)
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
    _expect(value, str, allowed)
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise Invalid(value, f"allowed: {allowed}, no bit set behind the prefix") from None


NETWORK = Value('an address or a network, such as "10.0.0.0/8"', _network, {"type": "string"})

# Options that would take the container away from its units, and what to do instead.
_RESERVED_ARGS = {
    "--name": "the package names its container",
    "--rm": "the package removes its container",
    "--restart": "systemd starts and stops the container",
    "--cidfile": "the package finds its container by name",
    "--stop-timeout": "use the key stop_timeout",
    "--help": "it makes nothing",
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
    _expect(value, dict, READY_FORM)
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

_DEB_NAME = r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?"
_DEB_ONE = rf"{_DEB_NAME}(?: \((?:<<|<=|=|>=|>>) [A-Za-z0-9.+~:-]+\))?"
DEB_RELATION = pattern(rf"{_DEB_ONE}(?: \| {_DEB_ONE})*", 'a Debian relation, such as "foo (>= 1) | bar"')
RPM_RELATION = pattern(r"\([!-~ ]+\)|[A-Za-z0-9_/][A-Za-z0-9_.+()/:-]*(?: (?:<|<=|=|>=|>) [A-Za-z0-9._+~^:-]+)?",
                       'an RPM dependency, such as "foo >= 1" or "(foo or bar)"')


def _depends(value: Any) -> Depends:
    allowed = '{ deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }'
    _expect(value, dict, allowed)
    relations = {"deb": array(DEB_RELATION), "rpm": array(RPM_RELATION)}
    parsed, parts = {}, Parts()
    for key, element in value.items():
        with parts.part(f".{key}"):
            if key not in relations:
                raise Invalid(element, f"unknown key; allowed: {allowed}")
            parsed[key] = relations[key].parse(element)
    parts.check()
    return Depends(**parsed)


DEPENDS = Value('{ deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }', _depends, {
    "type": "object", "additionalProperties": False,
    "properties": {"deb": dict(array(DEB_RELATION).schema), "rpm": dict(array(RPM_RELATION).schema)},
})

VERSION = pattern(r"[0-9][A-Za-z0-9.+~]*", "a version of digits, letters, '.', '+' and '~' that begins with a digit "
                                           "(a '-' would part the release in both formats)")
_RELEASE_VERSION = pattern(r"[0-9][A-Za-z0-9.+~]*-[0-9]+", 'VERSION-RELEASE, such as "1.27.0-1"')


def _date(value: Any) -> date:
    if type(value) is not date or value.year < 1990:
        raise Invalid(value, "allowed: a date without quotes, such as 2025-03-01")
    return value


_DATE = Value("a date without quotes, such as 2025-03-01", _date, {"type": "string"})
_CHANGES = array(line("one line that says what changed", 500), 1)
CHANGELOG_FORM = '{ date = 2025-03-01, version = "1.27.0-1", changes = ["..."] }'


def _release(value: Any) -> Release:
    _expect(value, dict, CHANGELOG_FORM)
    if set(value) != {"date", "version", "changes"}:
        raise Invalid(value, f"allowed: {CHANGELOG_FORM}")
    parsed, parts = {}, Parts()
    for key, kind in (("date", _DATE), ("version", _RELEASE_VERSION), ("changes", _CHANGES)):
        with parts.part(f".{key}"):
            parsed[key] = kind.parse(value[key])
    parts.check()
    return Release(**parsed)


RELEASE_ENTRY = Value(CHANGELOG_FORM, _release, {
    "type": "object", "additionalProperties": False, "required": ["date", "version", "changes"],
    "properties": {"date": dict(_DATE.schema), "version": dict(_RELEASE_VERSION.schema),
                   "changes": dict(_CHANGES.schema)},
})
