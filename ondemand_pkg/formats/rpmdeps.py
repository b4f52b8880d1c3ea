"""The dependencies of an .rpm.

Knows how a relation is written, which dependencies rpmbuild adds by itself, and their order; hides the sense flags.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


class Sense(enum.IntFlag):
    """How a dependency is meant (rpmds.h, rpmsenseFlags)."""

    LESS = 1 << 1
    GREATER = 1 << 2
    EQUAL = 1 << 3
    POSTTRANS = 1 << 5
    PRETRANS = 1 << 7
    INTERP = 1 << 8
    SCRIPT_PRE = 1 << 9
    SCRIPT_POST = 1 << 10
    SCRIPT_PREUN = 1 << 11
    SCRIPT_POSTUN = 1 << 12
    TRIGGERPOSTUN = 1 << 18
    RPMLIB = 1 << 24
    CONFIG = 1 << 28


class Dependency(NamedTuple):
    """One dependency; the order of the fields is the order in which rpm sorts dependencies.

    A rich dependency has its whole text as its name.
    """

    name: str
    version: str = ""
    sense: int = 0


INTERPRETER = "/bin/sh"
# The scriptlets by their section in a spec file, each with what its interpreter is required for.
SCRIPTS: Mapping[str, Sense] = {
    "pretrans": Sense.PRETRANS,
    "pre": Sense.SCRIPT_PRE,
    "post": Sense.SCRIPT_POST,
    "preun": Sense.SCRIPT_PREUN,
    "postun": Sense.SCRIPT_POSTUN,
    "posttrans": Sense.POSTTRANS,
    "transfiletriggerpostun": Sense(0),
}
_SENSES = {"<": Sense.LESS, "<=": Sense.LESS | Sense.EQUAL, "=": Sense.EQUAL,
           ">=": Sense.GREATER | Sense.EQUAL, ">": Sense.GREATER}
_RELATION = re.compile(r"(?P<name>[A-Za-z0-9_/][^\s<>=,()]*(?:\([^\s<>=,()]*\))*)"
                       r"(?: +(?P<sense><=|>=|[<=>]) +(?P<version>[A-Za-z0-9._+~^:-]+))?")


def parse(relation: str, rich: bool = True) -> Dependency:
    """Return `systemd`, `foo >= 1:2-3` or, where ``rich``, `(a or b)` as a Dependency.

    Raises ValueError for anything else (rpm's docs/manual/dependencies.md and boolean_dependencies.md).
    """
    if rich and _is_rich(relation):
        return Dependency(relation)
    match = _RELATION.fullmatch(relation)
    if not match:
        raise ValueError(f"{relation!r} is not a relation of an .rpm")
    return Dependency(match["name"], match["version"] or "", _SENSES[match["sense"]] if match["sense"] else 0)


def text(dependency: Dependency) -> str:
    """Return a dependency as ``parse`` reads it; raises ValueError for a sense that has no sign."""
    sense = Sense(dependency.sense) & (Sense.LESS | Sense.GREATER | Sense.EQUAL)
    signs = {value: sign for sign, value in _SENSES.items()}
    if sense and sense not in signs:
        raise ValueError(f"its relation to {dependency.name!r} is damaged: less and greater at once")
    return f"{dependency.name} {signs[sense]} {dependency.version}" if sense else dependency.name


def _is_rich(relation: str) -> bool:
    """Tell whether parentheses enclose the whole relation and each has its counterpart."""
    depth = 0
    for position, character in enumerate(relation):
        depth += (character == "(") - (character == ")")
        if depth <= 0 and position < len(relation) - 1:
            return False
    return depth == 0 and relation.startswith("(")


def sort(dependencies: Iterable[Dependency]) -> list[Dependency]:
    """Return dependencies as rpmbuild stores them: sorted, each once."""
    return sorted(set(dependencies))


def interpreters(scripts: Iterable[str]) -> list[Dependency]:
    """Return what the scriptlets require."""
    return [Dependency(INTERPRETER, sense=Sense.INTERP | SCRIPTS[name]) for name in scripts]


def config(name: str, version: str) -> Dependency:
    """Return what a package with a configuration file both provides and requires."""
    return Dependency(f"config({name})", version, Sense.CONFIG | Sense.EQUAL)


def is_automatic(dependency: Dependency, package: str) -> bool:
    """Tell whether a dependency is one that rpmbuild, or the writer, adds by itself to the package of that name."""
    return (bool(dependency.sense & (Sense.RPMLIB | Sense.INTERP | Sense.CONFIG)) or dependency.name.startswith("rpmlib(")
            or dependency.name == package)


def features(dependencies: Collection[Dependency]) -> list[Dependency]:
    """Return what the package asks of rpm itself, so that an rpm too old for it refuses it.

    Each feature stands with the rpm that brought it (rpm's lib/rpmds.c, rpmlibProvides).
    """
    needed = {
        "CompressedFileNames": "3.0.4-1",
        "FileDigests": "4.6.0-1",
        "PayloadFilesHavePrefix": "4.0-1",
        "PayloadIsXz": "5.2-1",
    }
    if any(dependency.name.startswith("(") for dependency in dependencies):
        needed["RichDependencies"] = "4.12.0-1"
    if any("~" in dependency.version for dependency in dependencies):
        needed["TildeInVersions"] = "4.10.0-1"
    if any("^" in dependency.version for dependency in dependencies):
        needed["CaretInVersions"] = "4.15.0-1"
    return [Dependency(f"rpmlib({feature})", version, Sense.RPMLIB | Sense.LESS | Sense.EQUAL)
            for feature, version in needed.items()]
