"""What going from one package to another does to a host.

Knows which change of a package's content recreates the container, restarts the socket or waits for the next wake
(docs/packages.md; the maintainer scripts and `container` are what does it); hides how a package is taken apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ondemand_pkg.package import Entry, Kind, Package, Role

_UNITS = "/usr/lib/systemd/system/"
_HELPERS = "/usr/libexec/"
# What the packages of one format have and those of the other have not.
_OF_ONE_FORMAT = ("/usr/share/doc/", "/usr/share/lintian/", "/usr/lib/systemd/system-preset/")
_NOTHING_CUT = "none"


@dataclass(frozen=True)
class Change:
    """One value that differs; ``old`` or ``new`` None: it was not there, or is there no more."""

    what: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.what}: new: {_short(self.new)}" if self.new else f"{self.what}: new"
        if self.new is None:
            return f"{self.what}: gone" + (f": {_short(self.old)}" if self.old else "")
        return f"{self.what}: {_short(self.old)} -> {_short(self.new)}" if self.old or self.new else f"{self.what}: changed"


@dataclass(frozen=True)
class Difference:
    """What the step from one package to another does.

    ``container``, ``addresses``, ``socket_settings``, ``next_wake``, ``files``, ``scripts`` and ``metadata`` are the changes
    by what they do; ``old`` and ``new`` the versions, None where one side lacks the package; ``notes`` what else is to be known.
    """

    package: str
    old: str | None
    new: str | None
    container: tuple[Change, ...] = ()
    addresses: tuple[Change, ...] = ()
    socket_settings: tuple[Change, ...] = ()
    next_wake: tuple[Change, ...] = ()
    files: tuple[Change, ...] = ()
    scripts: tuple[Change, ...] = ()
    metadata: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def restarts_socket(self) -> bool:
        """Whether an address is new to a package that is installed: systemd opens it only at a start of the unit."""
        return self.old is not None and any(change.new is not None for change in self.addresses)

    def __bool__(self) -> bool:
        return self.old is None or self.new is None or any(changes for _, changes in self.groups())

    def groups(self) -> list[tuple[str, tuple[Change, ...]]]:
        """Return the changes under a heading that says what they do."""
        closed = "the addresses below are closed once the service has stopped"
        return [
            ("the container is recreated at the upgrade", self.container),
            ("the socket is restarted" if self.restarts_socket else closed, self.addresses),
            ("takes effect, at the latest, when the socket is started the next time", self.socket_settings),
            ("takes effect at the next wake", self.next_wake),
            ("files", self.files),
            ("maintainer scripts", self.scripts),
            ("package", self.metadata),
        ]

    def downtime(self) -> str:
        """Return what clients notice of the upgrade."""
        if self.restarts_socket:
            closed = "for a moment nobody listens on any address of the package; awake: the service is "
            # A new container is waiting for its first client; else systemd restarts, with the socket, what requires it.
            return closed + ("stopped, open connections end, and the first new one wakes the new container" if self.container else
                             "restarted, and open connections end")
        if self.container:
            return ("asleep: none; awake: the service is stopped, open connections end, and new ones are held until the new "
                    "container is ready")
        return _NOTHING_CUT

    def lines(self) -> Iterator[str]:
        """Yield the difference as an administrator reads it."""
        if self.old is None:
            yield f"{self.package}: new, {self.new}"
            return
        if self.new is None:
            yield f"{self.package}: {self.old} is not on the new side; hosts keep it until it is removed"
            return
        if not self:
            return
        yield f"{self.package}: {self.old} -> {self.new}" if self.old != self.new else f"{self.package}: {self.old}"
        for heading, changes in self.groups():
            if changes:
                yield f"  {heading}:"
                yield from (f"    {change}" for change in changes)
        yield f"  downtime: {self.downtime()}"
        yield from (f"  note: {note}" for note in self.notes)

    def as_json(self) -> dict[str, Any]:
        """Return the difference as plain values; the keys are documented in docs/commands.md."""
        changes = {name: [vars(change) for change in getattr(self, name)]
                   for name in ("container", "addresses", "socket_settings", "next_wake", "files", "scripts", "metadata")}
        return {"package": self.package, "old": self.old, "new": self.new,
                "container_recreated": bool(self.container) and self.old is not None and self.new is not None,
                "socket_restarted": self.restarts_socket, "downtime": self.downtime(), "changes": changes,
                "notes": list(self.notes)}


def compare(old: Sequence[Package], new: Sequence[Package], formats_differ: bool = False) -> list[Difference]:
    """Return what going from some packages to others does, one Difference for each name, those that differ in nothing too.

    Where the formats differ, scripts, relations and the documents that only one format has are left out.  Raises ValueError
    for a package that does not hold what packages of this project hold.
    """
    before = {package.name: package for package in old}
    after = {package.name: package for package in new}
    found = []
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            found.append(Difference(name, _version(before[name]), None))
        elif name not in before:
            found.append(Difference(name, None, _version(after[name])))
        else:
            found.append(_compared(before[name], after[name], formats_differ))
    return found


def _compared(old: Package, new: Package, formats_differ: bool) -> Difference:
    before, after = _parts(old, formats_differ), _parts(new, formats_differ)
    sockets, services = [
        [change for name in before.units | after.units if name.endswith(".socket") is of_socket
         for change in _settings(name, before.units.get(name, ""), after.units.get(name, ""))] for of_socket in (True, False)]
    helpers = _changes("helper ", before.helpers, after.helpers, show=False)
    metadata = list(_changes("", _metadata(old), _metadata(new)))
    if not formats_differ:
        metadata += _changes("", _relations(old), _relations(new))
    difference = Difference(
        old.name, _version(old), _version(new),
        container=tuple(_container(before.specification, after.specification)),
        addresses=tuple(_addresses(before.addresses, after.addresses)),
        socket_settings=tuple(sockets),
        next_wake=(*services, *helpers),
        files=tuple(_changes("", before.files, after.files, show=False)),
        scripts=() if formats_differ else tuple(_changes("", _scripts(old), _scripts(new), show=False)),
        metadata=tuple(metadata))
    return Difference(**{**vars(difference), "notes": tuple(_notes(difference, before, after))})


def _version(package: Package) -> str:
    return f"{package.version}-{package.release}"


@dataclass(frozen=True)
class _Parts:
    """A package by what its parts do on a host."""

    specification: dict[str, Any]
    addresses: list[str]
    units: dict[str, str]
    helpers: dict[str, str]
    files: dict[str, str]
    configuration: dict[str, str]


def _parts(package: Package, formats_differ: bool) -> _Parts:
    helpers_directory = f"{_HELPERS}{package.name}/"
    specification: dict[str, Any] = {}
    units, helpers, files, configuration = {}, {}, {}, {}
    for entry in package.entries:
        name = entry.path.rpartition("/")[2]
        if entry.path == f"{helpers_directory}container.json":
            specification = _specification(entry)
        elif entry.path.startswith(helpers_directory):
            helpers[name] = _digest(entry)
        elif entry.path.startswith(_UNITS) and entry.kind is Kind.FILE and not entry.stored:
            units[name] = entry.data.decode("utf-8", "replace")
        elif entry.kind is not Kind.DIRECTORY and not (formats_differ and entry.path.startswith(_OF_ONE_FORMAT)):
            files[entry.path] = _digest(entry)
        if entry.role is Role.CONFIG:
            configuration[entry.path] = _digest(entry)
    if not specification:
        raise ValueError(f"it holds no {helpers_directory}container.json; ondemand-pkg has not made it")
    sockets = [text for name, text in units.items() if name.endswith(".socket")]
    addresses = [line.partition("=")[2] for text in sockets for line in text.split("\n") if line.startswith("ListenStream=")]
    return _Parts(specification, addresses, units, helpers, files, configuration)


def _specification(entry: Entry) -> dict[str, Any]:
    try:
        found = json.loads(entry.data)
        if not all(isinstance(found[key], kind) for key, kind in
                   {"image": str, "options": list, "volumes": list, "env": dict, "command": list, "spec": str}.items()):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"its {entry.path} is not what ondemand-pkg writes") from None
    return dict(found)


def _digest(entry: Entry) -> str:
    """Return a text that differs where two entries differ."""
    return f"{entry.kind.value} {entry.mode:o} {entry.owner} {entry.group} {entry.target} {entry.sha256()}"


def _container(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield each value that makes the container another one: those that the label ondemand.spec stands for."""
    if old["spec"] == new["spec"]:
        return
    before, after = ({key: _text(side[key]) for key in ("image", "command")} for side in (old, new))
    changes = [*_changes("", before, after), *_changes("env ", old["env"], new["env"]),
               *_changes("", _options(old), _options(new)), *_changes("volume at ", _volumes(old), _volumes(new))]
    yield from changes or [Change("order of volumes or options", "", "")]


def _options(specification: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of `docker create`, those that stand several times as one value."""
    found: dict[str, list[str]] = {}
    for option in specification["options"]:
        name, _, value = str(option).partition("=")
        if name in ("--label", "--tmpfs"):
            key, _, value = value.partition("=" if name == "--label" else ":")
            name = f"{name} {key}"
        found.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in found.items()}


def _volumes(specification: Mapping[str, Any]) -> dict[str, str]:
    return {str(volume).split(":")[1]: str(volume) for volume in specification["volumes"]}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _addresses(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    yield from (Change(address, "", None) for address in old if address not in new)
    yield from (Change(address, None, "") for address in new if address not in old)


def _settings(unit: str, old: str, new: str) -> Iterator[Change]:
    """Yield each setting of a unit that differs, addresses apart."""
    yield from _changes(f"{unit}: ", _by_setting(old), _by_setting(new))


def _by_setting(text: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#") and key != "ListenStream":
            found.setdefault(f"{key}=", []).append(value.strip())
    return {key: " | ".join(values) for key, values in found.items()}


def _metadata(package: Package) -> dict[str, str]:
    return {"summary": package.summary, "description": " ".join(package.description), "maintainer": package.maintainer,
            "license": package.license, "homepage": package.homepage}


def _scripts(package: Package) -> dict[str, str]:
    return {name: text.rstrip() for name, text in package.scripts.items()}  # as an .rpm keeps them


def _relations(package: Package) -> dict[str, str]:
    return {kind: ", ".join(sorted(relations)) for kind, relations in package.relations.items()}


def _changes(prefix: str, old: Mapping[str, str], new: Mapping[str, str], show: bool = True) -> list[Change]:
    """Return what differs between two mappings; where not ``show``, without the values."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        if before != after:
            if not show:
                before, after = None if before is None else "", None if after is None else ""
            found.append(Change(prefix + key, before, after))
    return found


def _notes(difference: Difference, old: _Parts, new: _Parts) -> Iterator[str]:
    if difference and difference.old == difference.new:
        yield "both have the same version: no package manager takes the new one for an upgrade; raise release"
    gone = [volume for target, volume in _volumes(old.specification).items()
            if target not in _volumes(new.specification) and not volume.startswith("/")]
    yield from (f"the volume {volume.split(':')[0]} stays on the host; 'docker volume rm {volume.split(':')[0]}' deletes it"
                for volume in gone)
    for path, digest in old.configuration.items():
        if path in new.configuration and new.configuration[path] != digest:
            yield f"an edited {path} is kept: dpkg asks, rpm writes the new one to {path}.rpmnew"
    if difference.container and difference.old != difference.new:
        yield f"the container from before stays, stopped, as {old.specification['container']}.previous; a downgrade takes it back"


def _short(text: str | None) -> str:
    one_line = json.dumps(text or "", ensure_ascii=False)
    return one_line if len(one_line) <= 200 else one_line[:199] + '..."'
