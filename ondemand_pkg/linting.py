"""Declarations, held against the rules.

Knows how each rule finds what it warns of, in one declaration or across all of a call, and how findings are silenced; hides
the findings' forms.
"""

from __future__ import annotations

import itertools
import json
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ondemand_pkg.declaration.reader import Declared
from ondemand_pkg.declaration.rules import RULES, Rule, Severity
from ondemand_pkg.declaration.secret_names import is_secret
from ondemand_pkg.errors import Fault
from ondemand_pkg.model import Container, ReadyKind

_ENGINE_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock")
PAGE = "docs/rules.md"


@dataclass(frozen=True)
class Finding:
    """What a rule found; ``line`` counts from 1, ``message`` names finding and remedy."""

    path: str
    line: int
    container: str
    rule: Rule
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: container.{self.container}.{self.rule.key}: {self.message} [{self.rule.name}]"


def findings(declared: Sequence[Declared]) -> list[Finding]:
    """Return what the rules find in declarations that were read together, silenced findings left out, by file and line."""
    found: list[Finding] = []
    for one in declared:
        for name, what in _of_one(one.container):
            found += _finding(one, name, what)
    for one, name, what in _across(declared):
        found += _finding(one, name, what)
    return sorted(found, key=lambda finding: (finding.path, finding.line, finding.rule.name))


def _finding(one: Declared, name: str, what: str) -> Iterator[Finding]:
    rule = RULES[name]
    if name not in one.container.silence:
        remedy = rule.remedy.replace("NAME.env", f"{one.container.name}.env")
        yield Finding(one.path, one.line(rule.key), one.container.name, rule, f"{what}; {remedy}")


def _of_one(container: Container) -> Iterator[tuple[str, str]]:
    """Yield the rule and what was found."""
    reference, at, _ = container.image.partition("@")
    tag = reference.rpartition("/")[2].partition(":")[2]
    if not at and not container.pin and tag in ("", "latest"):
        yield "moving-tag", f'the image "{container.image}" is another one tomorrow'
    elif not at and not container.pin:
        yield "tag-not-pinned", f'the tag of "{container.image}" may be moved'
    passed = list(_passed(container))
    env = [*container.env.items(), *(value.partition("=")[::2] for name, value in passed if name == "--env")]
    secrets = [name for name, value in env if is_secret(name, value)]
    if secrets:
        yield "secret-in-env", f"{', '.join(secrets)} would be in the package for everybody to read"
    if container.memory is None and all(name != "--memory" for name, _ in passed):
        yield "no-memory-limit", "nothing limits its memory"
    if container.ready.kind is ReadyKind.TCP:
        yield "readiness-by-port", "it counts as ready as soon as its port takes connections"
    user = [container.user, *(value for name, value in passed if name == "--user")][-1]
    if user.partition(":")[0] in ("root", "0"):
        yield "runs-as-root", f'it runs as "{user}", whatever user its image has'
    if any(argument.partition("=")[0] == "--privileged" for argument in container.create_args):
        yield "privileged", "--privileged gives it the host"
    sources = [*(volume.source for volume in container.volumes),
               *(value.partition(":")[0] for name, value in passed if name == "--volume"),
               *(part.partition("=")[2] for name, value in passed if name == "--mount" for part in value.split(",")
                 if part.startswith(("source=", "src=")))]
    if any(posixpath.normpath(source) in _ENGINE_SOCKETS for source in sources):
        yield "engine-socket", "who takes the container over is root of the host"


def _passed(container: Container) -> Iterator[tuple[str, str]]:
    """Yield name and value of each option in create_args that says what a key says too; they have the last word."""
    names = {"-e": "--env", "-m": "--memory", "-u": "--user", "-v": "--volume"}
    for option, following in itertools.pairwise([*container.create_args, ""]):
        name, equals, value = option.partition("=")
        yield names.get(name, name), value if equals else following


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
    names = {one.container.name for one in declared}
    for one in declared:
        for name in one.container.requires:
            if name not in names:
                yield one, "requires-unknown", f"no file declares {name!r}"


def _text(faults: Sequence[Fault], found: Sequence[Finding]) -> str:
    del faults  # told as those of every command
    return "".join(f"{finding.rule.severity.value}: {finding}\n" for finding in found)


def _json(faults: Sequence[Fault], found: Sequence[Finding]) -> str:
    keys = ("path", "line", "key", "severity", "rule", "message")
    errors = [(fault.path, fault.line, fault.key, "error", None, fault.message) for fault in faults]
    others = [(finding.path, finding.line, f"container.{finding.container}.{finding.rule.key}", finding.rule.severity.value,
               finding.rule.name, finding.message) for finding in found]
    rows = [dict(zip(keys, row, strict=True)) for row in [*errors, *others]]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def _github(faults: Sequence[Fault], found: Sequence[Finding]) -> str:
    """Return workflow commands, which GitHub shows at the lines of a pull request."""
    rows = [("error", fault.path, fault.line, "declaration", f"{fault.key}: {fault.message}" if fault.key else fault.message)
            for fault in faults]
    rows += [("warning" if finding.rule.severity is Severity.WARNING else "notice", finding.path, finding.line, finding.rule.name,
              finding.message) for finding in found]
    return "".join(f"::{level} file={_property(path)},line={max(line, 1)},title={_property(title)}::{_data(message)}\n"
                   for level, path, line, title, message in rows)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


REPORTS: dict[str, Callable[[Sequence[Fault], Sequence[Finding]], str]] = {"text": _text, "json": _json, "github": _github}
