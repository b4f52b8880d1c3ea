"""Declarations, read from files.

Knows how a file's tables become containers and stacks, and how every fault of all files is found in one run; hides TOML.
"""

from __future__ import annotations

import errno
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ondemand_pkg import formats
from ondemand_pkg.declaration import adoptions, attendance, circles, exclusions, network_values, shared_network, text_file
from ondemand_pkg.declaration import fields as known_fields
from ondemand_pkg.declaration.fields import (
    BY_KEY,
    FIELDS,
    FOREIGN_KEYS,
    NOT_SUPPORTED,
    STACK_FIELDS,
    Field,
    contradictions,
    name_fault,
    nearest,
)
from ondemand_pkg.declaration.toml_faults import syntax_fault
from ondemand_pkg.declaration.toml_lines import KeyLines
from ondemand_pkg.declaration.values import Invalid, toml_type
from ondemand_pkg.errors import DeclarationError, Fault, joined
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import Container, Listen, Port, Stack, UnixAddress

LARGEST_FILE = 8 * 1024**2
TABLES = ("package", "container", "adopt", "stack")
_REMEDIES = {
    errno.ENOENT: "'ondemand-pkg init IMAGE -o FILE' writes a declaration",
    errno.EISDIR: "name the files in it",
    errno.EINVAL: "give a file of text, or /dev/stdin",
    errno.EACCES: "run as a user who may read it",
}
# Of such a key tomllib keeps every beginning, so that a file of 200 kB takes gigabytes.
_ENDLESS_KEY = re.compile(r"""(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){50}""")


class _LazyLines:
    """KeyLines of a text, worked out when the first fault asks for them: a file without faults pays nothing."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: KeyLines | None = None

    def get(self) -> KeyLines:
        if self._lines is None:
            self._lines = KeyLines(self._text)
        return self._lines


class _File:
    """One file on its way to containers; collects its faults."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.containers: list[Container] = []
        self.listening: list[tuple[str, tuple[Port, ...]]] = []
        self.requiring: dict[str, tuple[str, ...]] = {}
        self.reaching: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, str] = {}  # the kind of table that declares each service
        self.stacks: dict[str, dict[str, Any] | None] = {}  # the arguments of each, None where something is wrong with them
        self._lines = _LazyLines("")

    def line(self, *path: str) -> int:
        return self._lines.get().of(*path)

    def place(self, *path: str) -> str:
        return f"{self.path}:{self.line(*path)}"

    def place_of(self, name: str, *keys: str) -> str:
        """Return where a service is declared."""
        return self.place(self.tables[name], name, *keys)

    def noun(self, name: str) -> str:
        return "adopted service" if self.tables[name] == "adopt" else "container"

    def fault(self, finding: str, remedy: str, *path: str, where: str = "", found: Any = None) -> None:
        lines = self._lines.get()
        line = lines.of_value(found, *path) if found is not None else lines.of(*path)
        self.faults.append(Fault(self.path, line, ".".join(path) + where, finding, remedy))

    def read(self) -> None:
        document = self._parse()
        if document is None:
            return
        for key in document:
            if key in BY_KEY:
                self.fault("this key is outside any table", "write a line [container.NAME] above it", key)
            elif key not in TABLES:
                allowed = "allowed: [package], [container.NAME], [adopt.NAME], [stack.NAME]"
                self.fault("unknown table", joined(allowed, nearest(key, TABLES)), key)
        defaults = self._package(document.get("package", {}))
        kinds = {kind: document.get(kind, {}) for kind in TABLES[1:]}
        for kind, tables in kinds.items():
            if not isinstance(tables, dict):
                self.fault("", f"allowed: tables [{kind}.NAME]", kind)
        if not any(kinds.values()):
            self.fault("no container is declared", "write a table [container.NAME]")
        for kind, read in (("container", self._container), ("adopt", self._adoption), ("stack", self._stack)):
            if isinstance(kinds[kind], dict):
                every = {*BY_KEY, *(field.key for field in (*adoptions.ADOPT_FIELDS, *STACK_FIELDS))}
                if key := known_fields.key_for_name(kinds[kind], every):
                    self.fault(f"it has no name; {key!r} is taken for one", f"write [{kind}.NAME] instead of [{kind}]", kind)
                    continue
                for name, table in kinds[kind].items():
                    read(name, table, defaults)

    def _parse(self) -> dict[str, Any] | None:
        try:
            text = text_file.read(self.path, LARGEST_FILE, lambda number: _REMEDIES.get(number, ""), "split it",
                                  self._refuse_packages)
        except DeclarationError as error:
            self.faults += error.faults
            return None
        if endless := _ENDLESS_KEY.search(text):
            self.faults.append(Fault(self.path, text.count("\n", 0, endless.start()) + 1, "",
                                     "a dotted key with more than 50 parts", "no key of a declaration is that long, shorten it"))
            return None
        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            is_told = isinstance(error, tomllib.TOMLDecodeError | RecursionError)
            finding, remedy, line = syntax_fault(str(error) if is_told else "a number of thousands of digits", text)
            if self.path.endswith((".yaml", ".yml", ".container")):
                finding, line = "not a declaration", 0
                remedy = "'ondemand-pkg import' writes one from a Compose or Quadlet file"
            self.faults.append(Fault(self.path, line, "", finding, remedy))
            return None
        self._lines = _LazyLines(text)
        return document

    def _refuse_packages(self, raw: bytes) -> None:
        if package := formats.of_content(raw):
            raise DeclarationError([Fault(
                self.path, 0, "", f"a .{package.name} package, not a declaration", "give the declaration that it was built from; "
                "it holds a copy: /usr/share/doc/ondemand-NAME/declaration.toml")])

    def _package(self, table: Any) -> dict[str, Any]:
        if not isinstance(table, dict):
            self.fault("", "allowed: a table [package]", "package")
            return {}
        return self._fields(table, ("package",), [field for field in FIELDS if field.in_package])

    def _container(self, name: str, table: Any, defaults: dict[str, Any]) -> None:
        faults = len(self.faults)
        arguments = self._arguments(("container", name), table, defaults, FIELDS)
        if arguments is None:
            return
        if not {"ports", "expose", "companion_of", "task"} & table.keys():
            self.fault("missing", f"write ports = {BY_KEY['ports'].example}, expose = {BY_KEY['expose'].example} for other "
                       f"containers alone, or companion_of = {BY_KEY['companion_of'].example} where nothing connects to it",
                       "container", name, "ports")
        for key, why, remedy in contradictions(arguments):
            if key in arguments or key not in table:  # else its own value is wrong, which was told
                self.fault(why, remedy, "container", name, key)
        self._note("container", name, arguments)
        if len(self.faults) == faults:
            self.containers.append(Container(name=name, **arguments, **attendance.default_ready(arguments)))

    def _adoption(self, name: str, table: Any, defaults: dict[str, Any]) -> None:
        faults = len(self.faults)
        keys = [field.key for field in adoptions.ADOPT_FIELDS]
        arguments = self._arguments(("adopt", name), table, {key: value for key, value in defaults.items() if key in keys},
                                    adoptions.ADOPT_FIELDS)
        if arguments is None:
            return
        if "ports" not in table:
            self.fault("missing", f"write ports = {BY_KEY['ports'].example}", "adopt", name, "ports")
        for key, why, remedy in adoptions.contradictions(arguments, table):
            if key in arguments or key not in table:
                self.fault(why, remedy, "adopt", name, key)
        self._note("adopt", name, arguments)
        if len(self.faults) == faults:
            self.containers.append(Container(name=name, image="", **adoptions.settled(arguments)))

    def _note(self, kind: str, name: str, arguments: dict[str, Any]) -> None:
        """Note what is compared with other services of the call."""
        self.tables.setdefault(name, kind)
        self.reaching[name] = arguments
        self.listening.append((name, arguments.get("ports", ())))
        self.requiring[name] = arguments.get("requires", ())

    def _stack(self, name: str, table: Any, defaults: dict[str, Any]) -> None:
        faults = len(self.faults)
        keys = [field.key for field in STACK_FIELDS]
        arguments = self._arguments(("stack", name), table, {key: value for key, value in defaults.items() if key in keys},
                                    STACK_FIELDS)
        self.stacks[name] = arguments if len(self.faults) == faults else None

    def _arguments(self, path: tuple[str, str], table: Any, defaults: dict[str, Any],
                   fields: Sequence[Field]) -> dict[str, Any] | None:
        """Return the values of a table by their keys, None where it is no table."""
        kind, name = path
        wrong_name = name_fault(name)
        if wrong_name:
            self.fault(f"found the name {name!r}", wrong_name, *path)
        if not isinstance(table, dict):
            doubled = f"; write [{kind}.{name}] instead of [[{kind}.{name}]]" if isinstance(table, list) else ""
            self.fault("", f"expected a table [{kind}.{name}], not {toml_type(table)}{doubled}", *path)
            return None
        arguments = {**defaults, **self._fields(table, path, fields)}
        for field in fields:
            if field.required and field.key not in arguments and field.key not in table:
                also = " here or in [package]" if field.in_package else ""
                self.fault("missing", f"write {field.key} = {known_fields.suggested(field, table)}{also}", *path, field.key)
        return arguments

    def _fields(self, table: dict[str, Any], path: tuple[str, ...], fields: Iterable[Field]) -> dict[str, Any]:
        known = {field.key: field for field in fields}
        parsed = {}
        for key, raw in table.items():
            field = known.get(key)
            if field is None:
                self._unknown_key(key, raw, path, known)
                continue
            try:
                value = field.value.parse(raw)
            except Invalid as invalid:
                for mistake in invalid.mistakes:
                    self.fault(joined(f"found {show(mistake.found)}", mistake.why), mistake.remedy, *path, key,
                               where=mistake.where, found=mistake.found)
                continue
            parsed[key] = value
        return parsed

    def _unknown_key(self, key: str, raw: Any, path: tuple[str, ...], known: dict[str, Field]) -> None:
        if isinstance(raw, dict) and "image" in raw:
            self.fault("quote a name that contains a dot", f'write [container."{".".join((*path[1:], key))}"]', *path, key)
        elif path[0] == "adopt" and key in BY_KEY:
            self.fault("this key belongs to a container", adoptions.OTHER_KEYS, *path, key)
        elif key in BY_KEY:
            self.fault("this key belongs to a container", "move it to [container.NAME]", *path, key)
        elif key in NOT_SUPPORTED:
            self.fault("not supported yet", NOT_SUPPORTED[key], *path, key)
        elif key in FOREIGN_KEYS:
            self.fault("unknown key", FOREIGN_KEYS[key].replace("NAME", path[-1]), *path, key)
        else:
            self.fault("unknown key", nearest(key, known) or f"allowed: {', '.join(known)}", *path, key)


def show(value: Any) -> str:
    """Return a value as TOML writes it, so far as a message needs it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = value if len(value) <= 80 else value[:77] + "..."
        escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}"
                             for c in escaped) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(show(item) for item in value[:3]) + (", ...]" if len(value) > 3 else "]")
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {show(item)}" for key, item in list(value.items())[:3]) + " }"
    return str(value)


@frozen
class Declared:
    """A container and where it is declared."""

    container: Container
    path: str
    _file: _File

    def line(self, key: str) -> int:
        """Return the line of a key, from 1, or that of the container's table where it has not the key."""
        return self._file.line(self.container.table, self.container.name, key)


def read(paths: Iterable[str]) -> list[Container]:
    """Return the containers of some files, in their order; raises DeclarationError as ``read_declared`` does."""
    return [declared.container for declared in read_declared(paths)]


def read_declared(paths: Iterable[str]) -> list[Declared]:
    """Return the containers of some files, in their order, with their places; raises DeclarationError as ``read_site`` does."""
    return read_site(paths).declared


@frozen
class Site:
    """Everything that some files declare: the containers with their places, and the stacks."""

    declared: list[Declared]
    stacks: list[Stack]

    @property
    def packaged(self) -> list[Container | Stack]:
        """What becomes a package, in the order of declaration: containers first."""
        return [*(one.container for one in self.declared), *self.stacks]


def read_site(paths: Iterable[str]) -> Site:
    """Return what some files declare.

    Raises DeclarationError with every fault of all of them: their own, names declared twice, addresses on
    which two of them listen, dependency cycles, and members that no file declares.
    """
    files = []
    for path in dict.fromkeys(paths):
        file = _File(path)
        file.read()
        files.append(file)
    _find_clashes(files)
    _find_circles(files)
    _find_wrong_ways(files)
    stacks = list(_stacks(files))
    faults = [fault for file in files for fault in file.faults]
    if faults:
        raise DeclarationError(faults)
    return Site([Declared(container, file.path, file) for file in files for container in file.containers], stacks)


def _find_wrong_ways(files: list[_File]) -> None:
    """Find what is wrong with how containers reach each other."""
    places = {name: file for file in reversed(files) for name in file.reaching}
    reaching = {name: arguments for file in reversed(files) for name, arguments in file.reaching.items()}
    for name, key, finding, remedy in (*network_values.clashes(reaching), *shared_network.clashes(reaching),
                                       *exclusions.clashes(reaching)):
        places[name].fault(finding, remedy, places[name].tables[name], name, key)


def _stacks(files: list[_File]) -> Iterator[Stack]:
    """Yield the stacks once everything else is read; find members that no file declares, and stacks where none may be."""
    containers = {container.name: container for file in files for container in file.containers}
    known = {name for file in files for name in file.requiring}
    stacks = {name for file in files for name in file.stacks}
    for file in files:
        for name, arguments in file.reaching.items():
            named = [("requires", other, other) for other in arguments.get("requires", ())]
            named += [("network_of", other, other) for other in [arguments.get("network_of")] if other]
            named += [("links", link.target, str(link)) for link in arguments.get("links", ())]
            named += [(key, other, other) for key in ("companion_of", "before", "excludes") for other in arguments.get(key, ())]
            for key, other, written in named:
                if other in stacks - known:
                    file.fault(f'"{other}" is a stack', "name the members that are to be woken", file.tables[name], name, key,
                               found=written)
        for name, stack in file.stacks.items():
            members = (stack or {}).get("members", tuple(file.requiring))
            if not members and stack is not None:
                file.fault("the file declares no container", f"write members = {STACK_FIELDS[0].example}", "stack", name)
            for index, member in enumerate(members):
                reason = ("it is a member twice" if member in members[:index] else "" if member in known else
                          "a stack can't be a member of a stack" if member in stacks else "none of the given files declares it")
                if reason:
                    near = "" if member in known else nearest(member, known)
                    file.fault(f'found "{member}"; {reason}', near or "name containers of the files of this call, each once",
                               "stack", name, "members", where=f"[{index}]", found=member)
            if stack is not None and containers.keys() >= set(members):
                yield Stack(name=name, **{**stack, "members": tuple(containers[member] for member in members)})


def _find_clashes(files: list[_File]) -> None:
    """Find names declared twice and addresses that two containers listen on, those with other faults included."""
    names: dict[str, str] = {}
    taken: dict[int | str, list[tuple[Listen, str, _File]]] = {}
    for file in files:
        for name, ports in file.listening:
            if name in names:
                file.fault(f"the name is already declared at {names[name]}", "names must be unique within a site",
                           file.tables[name], name)
                continue
            names[name] = file.place_of(name)
            for index, port in enumerate(ports):
                slot = port.listen.path if isinstance(port.listen, UnixAddress) else port.listen.port
                for listen, other, other_file in taken.setdefault(slot, []):
                    if port.listen.overlaps(listen):
                        there = other_file.place_of(other, "ports")
                        file.fault(f'found "{port}"; the {other_file.noun(other)} {other!r} ({there}) already listens on '
                                   f'"{listen}"', "give one of them another address", file.tables[name], name, "ports",
                                   where=f"[{index}]", found=str(port))
                        break
                taken[slot].append((port.listen, name, file))
    for file in files:
        for name in file.stacks:
            if name in names:
                file.fault(f"the name is already declared at {names[name]}",
                           "names must be unique within a site, those of containers and stacks together", "stack", name)
            else:
                names[name] = file.place("stack", name)


def _find_circles(files: list[_File]) -> None:
    """Find containers that would wait for each other or keep each other awake, each circle once; unknown names end a search."""
    places = {name: file for file in reversed(files) for name in file.reaching}
    needing = attendance.needing({name: arguments for file in reversed(files) for name, arguments in file.reaching.items()})
    requiring = {name: tuple(others) for name, others in needing.items() if name in places}
    suspects = circles.on_circles(requiring)
    told: set[str] = set()
    for file in files:
        for name in file.requiring:
            circle = circles.shortest(name, suspects) if name in suspects and name not in told else []
            if circle and told.isdisjoint(circle):
                told.update(circle)
                way = circle if len(circle) <= 20 else [*circle[:10], f"({len(circle) - 11} more)", circle[-1]]
                other = [*circle, name][1]
                place, key = needing[name][other]
                does = "wait for the next one" if all(needing[one][after][1] != "companion_of" for one, after in zip(
                    circle, [*circle[1:], name], strict=True)) else "keep the next one awake"
                places[place].fault(f"dependency cycle {' -> '.join([*way, name])}: each would {does}",
                                    "leave one of these names out", places[place].tables[place], place, key,
                                    found=other if place == name else name)
