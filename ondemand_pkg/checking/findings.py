"""Declarations, held against the rules.

Knows how each rule finds what it warns of, in one declaration or across all of a call, and how findings are silenced; hides
the findings' forms.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from ondemand_host.visible import as_json, visible
from ondemand_pkg.declaration.reader import Declared
from ondemand_pkg.declaration.rules import RULES, Rule, Severity
from ondemand_pkg.declaration.secret_names import in_words, is_secret
from ondemand_pkg.engines import create_options, references
from ondemand_pkg.engines.choice import ENGINES, engines_of
from ondemand_pkg.errors import Fault, joined
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import (
    ANY_ENGINE,
    KERNEL,
    SOCKET_PROXYD,
    Container,
    Port,
    ReadyKind,
    TcpAddress,
    UdpAddress,
    UnixAddress,
)
from ondemand_pkg.waking import DATA

_ENGINE_SOCKETS = tuple(path for engine in ENGINES for path in engine.sockets)
_VARIABLE = re.compile(r"\$\{[A-Za-z_]|^\$[A-Z_][A-Z0-9_]*$")  # others are more likely part of a password
# Of the protocols whose server speaks first.
_SPEAKS_FIRST = {21: "FTP", 22: "SSH", 23: "Telnet", 25: "SMTP", 110: "POP3", 119: "NNTP", 143: "IMAP", 587: "SMTP",
                 3306: "MySQL", 5900: "VNC"}
_OF_UNITS = {"readiness-by-port": 'write ready = { http = "/healthz" }'}  # what to do where there is no image
PAGE = "docs/rules.md"


@frozen
class Finding:
    """What a rule found, and what to do about it.

    ``line`` counts from 1, ``place`` is the path of the table, and ``of_key`` a key that is not the rule's own.
    """

    path: str
    line: int
    container: str
    place: str
    rule: Rule
    finding: str
    remedy: str
    of_key: str = ""

    @property
    def message(self) -> str:
        """Finding and remedy, as one text."""
        return joined(self.finding, self.remedy)

    @property
    def key(self) -> str:
        """The dotted path of the key that it points at."""
        return f"{self.place}.{self.of_key or self.rule.key}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.key}: {self.message} [{self.rule.name}]"


def findings(declared: Sequence[Declared]) -> list[Finding]:
    """Return what the rules find in declarations that were read together, silenced findings left out, by file and line."""
    found: list[Finding] = []
    for one in declared:
        for name, what in _of_one(one.container):
            found += _finding(one, name, what)
        for key, what in _secrets(one.container):
            found += _finding(one, "secret-in-arguments", what, key)
    for one, name, what in _across(declared):
        found += _finding(one, name, what)
    return sorted(found, key=lambda finding: (finding.path, finding.line, finding.rule.name))


def _finding(one: Declared, name: str, what: str, key: str = "") -> Iterator[Finding]:
    rule = RULES[name]
    if name not in one.container.silence:
        remedy = _OF_UNITS.get(name, rule.remedy) if one.container.adopted and one.container.adopted.unit else rule.remedy
        remedy = remedy.replace("NAME.env", f"{one.container.name}.env")
        yield Finding(one.path, one.line(key or rule.key), one.container.name, one.container.place, rule, what, remedy, key)


def _of_one(container: Container) -> Iterator[tuple[str, str]]:
    """Yield the rule and what was found."""
    yield from _of_any(container)
    if not container.adopted:
        yield from _of_made(container)


def _of_any(container: Container) -> Iterator[tuple[str, str]]:
    if container.ready.kind is ReadyKind.TCP and container.listens:
        needs_all = not container.ready.is_any and len({*container.targets, *container.udp_targets}) > 1
        yield "readiness-by-port", (
            "it counts as ready once all its ports accept connections, and fails if one never does" if needs_all else
            "it counts as ready as soon as its port accepts connections")
    if container.path == KERNEL:
        staying = [str(port) for port in container.ports if port not in container.kernel_ports]
        yield "stays-on-relay", (
            "with proxy_protocol, all connections stay on the relay: the kernel writes no header" if container.proxy_protocol else
            f"{' and '.join(staying)} {'stays' if len(staying) == 1 else 'stay'} on the relay, and so does "
            "the first connection of an address in each minute" if staying else
            "the first connection of an address in each minute stays on the relay, whose address the container sees then")
    if container.proxy == SOCKET_PROXYD:
        yield "proxy-under-selinux", "its clients lose their connections on hosts where SELinux is enforcing"
    speaking = sorted({port for port in container.targets if port in _SPEAKS_FIRST}) if container.wake_on == DATA else []
    if speaking:
        yield "speaks-first", "clients of {} never wake it: they send nothing until the server has spoken".format(
            " and ".join(f"port {port} ({_SPEAKS_FIRST[port]})" for port in speaking))


def _of_made(container: Container) -> Iterator[tuple[str, str]]:
    image = references.parsed(container.image)
    if not image.digest and not container.pin and image.version == "latest":
        yield "moving-tag", f'"{container.image}" can be another image tomorrow'
    elif not image.digest and not container.pin:
        yield "tag-not-pinned", f'the tag of "{container.image}" can move to another image'
    passed = create_options.read(container.create_args)[0]
    env = [*container.env.items(), *(option.value.partition("=")[::2] for option in passed if option.name == "--env")]
    secrets = [name for name, value in env if is_secret(name, value)]
    if secrets:
        yield "secret-in-env", f"{', '.join(secrets)} would be in the package, where anyone can read it"
    literal = [name for name, value in env if _VARIABLE.search(value)]
    if literal:
        yield "literal-variable", f"nothing replaces the variables in {', '.join(literal)}"
    if container.memory is None and all(option.name != "--memory" for option in passed):
        yield "no-memory-limit", "it has no memory limit"
    user = [container.user, *(option.value for option in passed if option.name == "--user")][-1]
    if user.partition(":")[0] in ("root", "0"):
        yield "runs-as-root", f'it runs as "{user}", overriding the user of its image'
    if any(option.name == "--privileged" and option.value == "true" for option in passed):
        yield "privileged", "--privileged gives it full control of the host"
    sources = [*(volume.source for volume in container.volumes), *filter(None, map(_mounted, passed))]
    own = _own_socket(container, passed)
    if own:
        yield "own-socket", f"with the host's network, {own} of the container is where systemd listens"
    if any(posixpath.normpath(source) in _ENGINE_SOCKETS for source in sources):
        yield "engine-socket", "anyone who takes over the container is root on the host"
    engines = engines_of(container)
    if container.engine == ANY_ENGINE and len(engines) == 1:
        yield "one-engine", f"an option that only {engines[0].title} takes makes the package {engines[0].title}'s alone"
    for option in passed:
        older = [command for command in create_options.commands() for engine in engines
                 if command.startswith(f"{engine.word} ") and command not in option.option.commands]
        if older:
            yield "newer-option", f"{create_options.titles(older)} does not have {option.told}"


def _mounted(option: create_options.Given) -> str:
    """Return what an option mounts from the host, or nothing."""
    if option.name == "--volume":
        return option.value.partition(":")[0]
    parts = option.value.split(",") if option.name == "--mount" else []
    return next((part.partition("=")[2] for part in parts if part.startswith(("source=", "src="))), "")


def _secrets(container: Container) -> Iterator[tuple[str, str]]:
    """Yield each key, less env, whose value seems to hold secrets, and what was found."""
    passed = create_options.read(container.create_args)[0]
    labels = {"labels": container.labels,
              "create_args": dict(option.value.partition("=")[::2] for option in passed if option.name == "--label")}
    found = {"entrypoint": [*in_words(container.entrypoint or ())], "command": [*in_words(container.command)],
             "ready": [*in_words(container.ready.argv)],
             "create_args": [name for option in passed if option.name == "--health-cmd" for name in in_words([option.value])],
             "labels": []}
    for key, pairs in labels.items():
        found[key] += [name for name, value in pairs.items() if is_secret(name, value)]
    for key, names in found.items():
        if names:
            yield key, f"the value of {', '.join(dict.fromkeys(names))} would be in the package, where anyone can read it"


def _own_socket(container: Container, passed: Sequence[create_options.Given]) -> str:
    """Return a port of the container at which nothing but a socket of its own unit could be reached, or nothing."""
    networks = [option.value for option in passed if option.name == "--network"]
    if not any("host" in (value, *_of_list(value, "name")) for value in networks):
        return ""
    # The addresses at which the helpers would reach it.
    taken = [next((port for port in container.ports for other in container.ports
                   if other.listen.overlaps(_address_of(port, host))), None)
             for host in ("127.0.0.1", "::1")]
    return f'port {taken[0].container} ("{taken[0]}")' if all(taken) and taken[0] else ""


def _address_of(port: Port, host: str) -> TcpAddress | UdpAddress:
    """Return where the helpers would reach the container's port, were the host's address its own."""
    return (UdpAddress if port.is_udp else TcpAddress)(ipaddress.ip_address(host), port.container)


def _of_list(value: str, key: str) -> list[str]:
    """Return the values of a key in an option that is a list, such as name=host,alias=web."""
    return [part.partition("=")[2] for part in value.split(",") if part.startswith(f"{key}=")]


def _across(declared: Sequence[Declared]) -> Iterator[tuple[Declared, str, str]]:
    """Yield what can be seen only where several declarations are looked at together."""
    users: defaultdict[str, list[Declared]] = defaultdict(list)
    for one in declared:
        for source in dict.fromkeys(volume.source for volume in one.container.volumes if "ro" not in volume.options):
            if posixpath.normpath(source) not in _ENGINE_SOCKETS:
                users[source].append(one)
    for source, containers in users.items():
        for one in containers[1:]:
            first = containers[0]
            yield one, "shared-volume", (f'"{source}" is written to by the container {first.container.name!r} '
                                         f"({first.path}:{first.line('volumes')}) too")
    by_name = {one.container.name: one for one in declared}
    for one in declared:
        for name in one.container.depended_on:
            if name in by_name:
                if name in one.container.requires and not _reaches(one.container, by_name[name].container):
                    yield one, "required-unreachable", f"{name!r} listens on this host's loopback addresses only"
            elif near := [known for known in by_name if known != one.container.name and _is_misspelt(name, known)]:
                yield one, "requires-misspelt", f"none of the files declares {name!r}, but one declares {near[0]!r}"
            else:
                yield one, "requires-unknown", f"none of the files declares {name!r}"
        for name in one.container.attendances:
            if name not in by_name:
                yield one, "service-unknown", f"none of the files declares {name!r}"
        for link in one.container.links:
            if link.target not in by_name:
                yield one, "links-unknown", f"none of the files declares {link.target!r}"


def _reaches(container: Container, required: Container) -> bool:
    """Tell whether a container may reach one that it requires: by an address of the host, or past all of them."""
    own = {option.name for option in create_options.read(container.create_args)[0]}
    listening = [port.listen for port in required.ports]
    return "--network" in own or not listening or any(
        isinstance(listen, UnixAddress) or listen.host is None or not listen.host.is_loopback for listen in listening)


def _is_misspelt(name: str, known: str) -> bool:
    """Tell whether two names differ in one letter, or in the order of two; a number is another name, not a misspelling."""
    if name.rstrip("0123456789") == known.rstrip("0123456789"):
        return False
    if len(name) == len(known):
        differing = [index for index, pair in enumerate(zip(name, known, strict=True)) if pair[0] != pair[1]]
        return len(differing) == 1 and len(name) > 2 or len(differing) == 2 and (
            name[differing[0]], name[differing[1]]) == (known[differing[1]], known[differing[0]])
    shorter, longer = sorted((name, known), key=len)
    return len(shorter) > 2 and any(longer[:index] + longer[index + 1:] == shorter for index in range(len(longer)))


def _text(faults: Sequence[Fault], found: Sequence[Finding]) -> str:
    del faults  # told as those of every command
    return "".join(f"{finding.rule.severity.value}: {visible(str(finding))}\n" for finding in found)


def _json(faults: Sequence[Fault], found: Sequence[Finding]) -> str:
    keys = ("path", "line", "key", "severity", "rule", "message", "remedy")
    errors = [(fault.path, fault.line, fault.key, "error", None, fault.message, fault.remedy) for fault in faults]
    others = [(finding.path, finding.line, finding.key, finding.rule.severity.value, finding.rule.name, finding.message,
               finding.remedy) for finding in found]
    rows = [dict(zip(keys, row, strict=True)) for row in [*errors, *others]]
    return as_json(rows) + "\n"


def _github(faults: Sequence[Fault], found: Sequence[Finding]) -> str:
    """Return workflow commands, which GitHub shows at the lines of a pull request."""
    rows = [("error", fault.path, fault.line, "declaration", f"{fault.key}: {fault.message}" if fault.key else fault.message)
            for fault in faults]
    rows += [(_LEVELS[finding.rule.severity], finding.path, finding.line, finding.rule.name,
              finding.message) for finding in found]
    return "".join(f"::{level} file={_property(path)},line={max(line, 1)},title={_property(title)}::{_data(message)}\n"
                   for level, path, line, title, message in rows)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}  # as workflow commands call them


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


REPORTS: dict[str, Callable[[Sequence[Fault], Sequence[Finding]], str]] = {"text": _text, "json": _json, "github": _github}
