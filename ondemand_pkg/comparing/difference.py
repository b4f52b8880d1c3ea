"""What going from one package to another does to a host.

Knows which change of a package's content recreates the container, restarts the socket or waits for the next wake
(docs/packages.md; the maintainer scripts and `container` are what does it); hides how a package is taken apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ondemand_pkg import layout
from ondemand_pkg.engines.choice import DEFAULT
from ondemand_pkg.frozen import frozen
from ondemand_pkg.package import UNRECORDED, Entry, Kind, Package, Role

# What the packages of one format have and those of the other have not.
_OF_ONE_FORMAT = tuple(f"{directory}/" for directory in (layout.DOCUMENTS, layout.LINTIAN, layout.PRESETS))
_NOTHING_CUT = "none"
_SAME_VERSION = "both have the same version, so no package manager upgrades to the new one; raise release"


@frozen
class Change:
    """One value that differs; ``old`` or ``new`` None: it did not exist, or no longer exists."""

    what: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.old is None:
            return f"{self.what}: new: {_short(self.new)}" if self.new else f"{self.what}: new"
        if self.new is None:
            return f"{self.what}: removed" + (f": {_short(self.old)}" if self.old else "")
        return f"{self.what}: {_short(self.old)} -> {_short(self.new)}" if self.old or self.new else f"{self.what}: changed"


@frozen
class Difference:
    """What the step from one package to another does.

    ``container``, ``addresses``, ``socket_settings``, ``next_wake``, ``next_container``, ``files``, ``scripts`` and ``metadata``
    are the changes by what they do; ``old`` and ``new`` the versions, None where one side lacks the package; ``notes`` what else
    to know.  ``members`` are the changes of a stack's members by their versions, ``of_members`` the differences of those that are
    compared in the same call.
    """

    package: str
    old: str | None
    new: str | None
    container: tuple[Change, ...] = ()
    addresses: tuple[Change, ...] = ()
    socket_settings: tuple[Change, ...] = ()
    next_wake: tuple[Change, ...] = ()
    next_container: tuple[Change, ...] = ()
    files: tuple[Change, ...] = ()
    scripts: tuple[Change, ...] = ()
    metadata: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    members: tuple[Change, ...] = ()
    of_members: tuple[Difference, ...] = ()

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
            ("the members of the application", self.members),
            ("the container is recreated at the upgrade", self.container),
            ("the socket is restarted" if self.restarts_socket else closed, self.addresses),
            ("takes effect when the socket is next started", self.socket_settings),
            ("takes effect at the next wake", self.next_wake),
            ("counts for the next container that is made", self.next_container),
            ("files", self.files),
            ("maintainer scripts", self.scripts),
            ("package", self.metadata),
        ]

    def downtime(self) -> str:
        """Return what clients notice of the upgrade."""
        if self.members:
            told = {one.package: one.downtime() for one in self.of_members if one.old is not None and one.new is not None}
            if told:
                return "; ".join(f"{package}: {text}" for package, text in told.items())
            return "that of its members; compare their packages too"
        if self.restarts_socket:
            closed = "for a moment, nothing listens on the package's addresses; awake: the service is "
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
            yield f"{self.package}: {self.old}, missing on the new side; hosts keep it until it is removed"
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
                   for name in ("members", "container", "addresses", "socket_settings", "next_wake", "next_container", "files",
                                "scripts", "metadata")}
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
            found.append(Difference(name, before[name].full_version, None))
        elif name not in before:
            found.append(Difference(name, None, after[name].full_version))
        else:
            compare_one = _compared_stack if _members(before[name]) and _members(after[name]) else _compared
            found.append(compare_one(before[name], after[name], formats_differ))
    by_package = {difference.package: difference for difference in found if difference}
    return [replace(difference, of_members=tuple(by_package[layout.package_name(change.what)] for change in difference.members
                                                 if layout.package_name(change.what) in by_package)) for difference in found]


def _compared_stack(old: Package, new: Package, formats_differ: bool) -> Difference:
    metadata = list(_changes("", _metadata(old), _metadata(new)))
    if not formats_differ:
        metadata += _changes("", _relations(old), _relations(new))
    before, after = ({entry.path: _digest(entry) for entry in package.entries if entry.kind is not Kind.DIRECTORY
                      and entry.path != layout.stack(package.name)
                      and not (formats_differ and entry.path.startswith(_OF_ONE_FORMAT))} for package in (old, new))
    difference = Difference(old.name, old.full_version, new.full_version,
                            members=tuple(_changes("", _members(old), _members(new))),
                            files=tuple(_changes("", before, after, show=False)), metadata=tuple(metadata))
    return replace(difference, notes=(_SAME_VERSION,) if difference and old.full_version == new.full_version else ())


def _members(package: Package) -> dict[str, str]:
    """Return the members of a stack with their versions, nothing for any other package.  Raises ValueError."""
    for entry in package.entries:
        if entry.path == layout.stack(package.name):
            try:
                return {str(name): str(version) for name, version in json.loads(entry.data)["members"].items()}
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise ValueError(f"its {entry.path} is not what ondemand-pkg writes") from None
    return {}


def _compared(old: Package, new: Package, formats_differ: bool) -> Difference:
    before, after = _parts(old, formats_differ), _parts(new, formats_differ)
    both = [name for name in before.units if name in after.units]
    sockets, services = [
        [change for name in both if name.endswith(".socket") is of_socket
         for change in _settings(name, before.units[name], after.units[name])] for of_socket in (True, False)]
    old_files, new_files = (
        {**side.files, **{f"{layout.UNITS}/{name}": text for name, text in side.units.items() if name not in both}}
        for side in (before, after))
    helpers = _changes("helper ", before.helpers, after.helpers, show=False)
    metadata = list(_changes("", _metadata(old), _metadata(new)))
    if not formats_differ:
        metadata += _changes("", _relations(old), _relations(new))
    difference = Difference(
        old.name, old.full_version, new.full_version,
        container=tuple(_container(before.specification, after.specification)),
        addresses=tuple(_addresses(before.addresses, after.addresses)),
        socket_settings=tuple(sockets),
        next_wake=(*services, *helpers, *_read_at_a_wake(before.specification, after.specification)),
        next_container=tuple(_read_when_made(before.specification, after.specification)),
        files=tuple(_changes("", old_files, new_files, show=False)),
        scripts=() if formats_differ else tuple(_changes("", _scripts(old), _scripts(new), show=False)),
        metadata=tuple(metadata))
    return Difference(**{**vars(difference), "notes": tuple(_notes(difference, before, after))})


@frozen
class _Parts:
    """A package by what its parts do on a host."""

    specification: dict[str, Any]
    addresses: list[str]
    units: dict[str, str]
    helpers: dict[str, str]
    files: dict[str, str]
    configuration: dict[str, str]


def _parts(package: Package, formats_differ: bool) -> _Parts:
    helpers_directory = f"{layout.helpers(package.name)}/"
    specification: dict[str, Any] = {}
    units, helpers, files, configuration = {}, {}, {}, {}
    for entry in package.entries:
        name = entry.path.rpartition("/")[2]
        if entry.path == layout.specification(package.name):
            specification = _specification(entry)
        elif entry.path.startswith(helpers_directory):
            helpers[entry.path.removeprefix(helpers_directory)] = _digest(entry)
        elif entry.path.startswith(f"{layout.UNITS}/") and entry.kind is Kind.FILE and not entry.stored:
            units[name] = entry.data.decode("utf-8", "replace")
        elif entry.kind is not Kind.DIRECTORY and not (formats_differ and entry.path.startswith(_OF_ONE_FORMAT)):
            files[entry.path] = _digest(entry)
        if entry.role is Role.CONFIG:
            configuration[entry.path] = _digest(entry)
    if not specification:
        raise ValueError(f"it does not contain {layout.specification(package.name)}; "
                         "only packages built by ondemand-pkg can be compared")
    sockets = [text for name, text in units.items() if name.endswith(".socket")]
    addresses = [address for text in sockets for address in layout.listen_addresses(text)]
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
    if old["spec"] == new["spec"] or _is_adopted(new):  # nothing is made of it
        return
    keys = ("image", "command", "address", "aliases", "links")
    before, after = ({key: _text(side[key]) for key in keys if key in side} for side in (old, new))
    changes = [*_changes("", before, after), *_changes("env ", old["env"], new["env"]),
               *_changes("", _options(old), _options(new)), *_changes("volume at ", _volumes(old), _volumes(new))]
    yield from changes or [Change("order of volumes or options", "", "")]


def _read_at_a_wake(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield each value that a helper reads anew at each wake, and that is not part of the container."""
    before, after = ({key: _text(value) for key, value in ready.items()} if isinstance(ready, dict) else {}
                     for ready in (old.get("ready"), new.get("ready")))
    yield from _changes("ready ", before, after)
    if _is_adopted(new):
        before, after = ({key: _text(value) for key, value in {
            "unit": side.get("unit"), **side.get("adopted", {}), "address": side.get("address")}.items() if value}
            for side in (old, new))
        yield from _changes("", before, after)


def _read_when_made(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Yield each value that counts for a container that is made anew for another reason."""
    before, after = ({"log_limit": _text(side["log_limit"])} if "log_limit" in side else {} for side in (old, new))
    yield from _changes("", before, after)


def _is_adopted(specification: Mapping[str, Any]) -> bool:
    return "unit" in specification or "adopted" in specification


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
            "license": package.license, "homepage": package.homepage,
            "built by ondemand-pkg": package.built_by or UNRECORDED}


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
        yield _SAME_VERSION
    gone = [volume for target, volume in _volumes(old.specification).items()
            if target not in _volumes(new.specification) and not volume.startswith("/")]
    yield from (f"the volume {name} stays on the host; delete it with: {DEFAULT.command} {DEFAULT.remove_volume} {name}; "
                f"rm -rf {DEFAULT.volumes}/{name}"
                for name in (volume.split(":")[0] for volume in gone))
    for path, digest in old.configuration.items():
        if path in new.configuration and new.configuration[path] != digest:
            yield f"an edited {path} is kept: dpkg asks, rpm writes the new one to {path}.rpmnew"
    if difference.container and difference.old != difference.new:
        yield f"the old container is kept, stopped, as {old.specification['container']}.previous; a downgrade uses it again"


def _short(text: str | None) -> str:
    one_line = json.dumps(text or "", ensure_ascii=False)
    return one_line if len(one_line) <= 200 else one_line[:199] + '..."'
