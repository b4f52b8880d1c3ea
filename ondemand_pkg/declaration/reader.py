"""Declarations, read from files.

Knows how a file's tables become containers and how every fault of all files is found in one run; hides TOML.
"""

from __future__ import annotations

import difflib
import errno
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondemand_pkg.declaration import writer
from ondemand_pkg.declaration.fields import BY_KEY, FIELDS, FOREIGN_KEYS, Field, contradictions, name_fault
from ondemand_pkg.declaration.lines import KeyLines
from ondemand_pkg.declaration.values import Invalid, toml_type
from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.model import Container, Listen, Port, TcpAddress

LARGEST_FILE = 8 * 1024**2
TABLES = ("package", "container")
_REMEDIES = {
    errno.ENOENT: "; 'ondemand-pkg init IMAGE -o FILE' writes a declaration",
    errno.EISDIR: "; name the files in it",
    errno.EACCES: "; be the user who may read it",
}
# By which bytes a package is known: ar(5), and the lead of an .rpm.
PACKAGE_MAGICS = {b"!<arch>\n": "deb", b"\xed\xab\xee\xdb": "rpm"}


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
        self._lines = _LazyLines("")

    def line(self, *path: str) -> int:
        return self._lines.get().of(*path)

    def place(self, *path: str) -> str:
        return f"{self.path}:{self.line(*path)}"

    def fault(self, message: str, *path: str, where: str = "", found: Any = None) -> None:
        lines = self._lines.get()
        line = lines.of_value(found, *path) if found is not None else lines.of(*path)
        self.faults.append(Fault(self.path, line, ".".join(path) + where, message))

    def read(self) -> None:
        document = self._parse()
        if document is None:
            return
        for key in document:
            if key in BY_KEY:
                self.fault("this key stands above every table; write a line [container.NAME] above it", key)
            elif key not in TABLES:
                self.fault(f"unknown table; allowed: [package], [container.NAME]{nearest(key, TABLES)}", key)
        defaults = self._package(document.get("package", {}))
        containers = document.get("container", {})
        if not isinstance(containers, dict):
            self.fault("allowed: tables [container.NAME]", "container")
        elif not containers:
            self.fault("no container is declared; write a table [container.NAME]")
        else:
            for name, table in containers.items():
                self._container(name, table, defaults)

    def _parse(self) -> dict[str, Any] | None:
        try:
            with Path(self.path).open("rb") as stream:
                raw = stream.read(LARGEST_FILE + 1)
        except OSError as error:
            self.faults.append(Fault(self.path, 0, "", f"can't be read: {error.strerror}{_REMEDIES.get(error.errno or 0, '')}"))
            return None
        package = next((name for magic, name in PACKAGE_MAGICS.items() if raw.startswith(magic)), "")
        if package:
            self.faults.append(Fault(self.path, 0, "", f"a .{package}, no declaration; name the file that it was built from, "
                                     "which it holds as /usr/share/doc/ondemand-NAME/declaration.toml"))
            return None
        if len(raw) > LARGEST_FILE:
            self.faults.append(Fault(self.path, 0, "", f"larger than {LARGEST_FILE // 1024**2} MiB; split it"))
            return None
        try:
            text = raw.decode("utf-8-sig")  # some editors put a mark of three bytes before the text
        except UnicodeDecodeError as error:
            self.faults.append(Fault(self.path, raw[:error.start].count(b"\n") + 1, "",
                                     "not UTF-8; save the file in that encoding"))
            return None
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            message, line = _syntax_fault(str(error), text)
            if self.path.endswith((".yaml", ".yml", ".container")):
                message, line = "no declaration; 'ondemand-pkg import' writes one from a Compose or Quadlet file", 0
            self.faults.append(Fault(self.path, line, "", message))
            return None
        self._lines = _LazyLines(text)
        return document

    def _package(self, table: Any) -> dict[str, Any]:
        if not isinstance(table, dict):
            self.fault("allowed: a table [package]", "package")
            return {}
        return self._fields(table, ("package",), [field for field in FIELDS if field.in_package])

    def _container(self, name: str, table: Any, defaults: dict[str, Any]) -> None:
        path = ("container", name)
        wrong_name = name_fault(name)
        if wrong_name:
            self.fault(f"found the name {name!r}; {wrong_name}", *path)
        if not isinstance(table, dict):
            self.fault(f"{toml_type(table)} stands where a table [container.{name}] is allowed", *path)
            return
        faults = len(self.faults)
        arguments = {**defaults, **self._fields(table, path, FIELDS)}
        for field in FIELDS:
            if field.required and field.key not in arguments and field.key not in table:
                also = " here or in [package]" if field.in_package else ""
                self.fault(f"missing; write {field.key} = {field.example}{also}", *path, field.key)
        for key, why in contradictions(arguments):
            self.fault(why, *path, key)
        self.listening.append((name, arguments.get("ports", ())))
        self.requiring[name] = arguments.get("requires", ())
        if not wrong_name and len(self.faults) == faults:
            self.containers.append(Container(name=name, **arguments))

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
                for finding in invalid.findings:
                    self.fault(f"found {show(finding.found)}; {finding.why}", *path, key,
                               where=finding.where, found=finding.found)
                continue
            parsed[key] = value
        return parsed

    def _unknown_key(self, key: str, raw: Any, path: tuple[str, ...], known: dict[str, Field]) -> None:
        if isinstance(raw, dict) and "image" in raw:
            self.fault(f'a name with a dot stands in quotes; write [container."{".".join((*path[1:], key))}"]', *path, key)
        elif key in BY_KEY:
            self.fault("this key belongs to a container; move it to [container.NAME]", *path, key)
        elif key in FOREIGN_KEYS:
            self.fault(f"unknown key; {FOREIGN_KEYS[key].replace('NAME', path[-1])}", *path, key)
        else:
            near = nearest(key, known)
            allowed = "" if near else f"; allowed: {', '.join(known)}"
            self.fault(f"unknown key{near}{allowed}", *path, key)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question for the nearest known word, or nothing where none is near."""
    matches = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), 1, 0.6)
    return f'; did you mean "{matches[0]}"?' if matches else ""


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


def _syntax_fault(message: str, text: str) -> tuple[str, int]:
    """Part tomllib's message from the line that it names, and add what to do where that can be seen."""
    stem, _, place = message.rpartition(" (at ")
    if not stem:
        return f"no valid TOML: {message}", 0
    told = f"no valid TOML: {stem[0].lower()}{stem[1:]}"
    if place.startswith("end of document"):
        return f"{told}, at the end of the file", text.count("\n") + 1
    line = int(place.removeprefix("line ").split(",")[0])
    column = int(place.rstrip(")").rpartition("column ")[2])
    return f"{told}, at column {column}{_remedy(stem, text.split(chr(10))[line - 1:][:1], column)}", line


def _remedy(stem: str, lines: list[str], column: int) -> str:
    if stem.startswith("Cannot declare"):
        return "; it is declared above; give this one another name, or write its keys there"
    if stem.startswith("Cannot overwrite"):
        return "; the key stands above too; leave one of the two out"
    rest = lines[0][column - 1:].strip() if lines else ""
    if rest[:1] in tuple("\u201c\u201d\u201e\u2018\u2019"):
        return "; write straight quotes"
    bare = re.match(r"[A-Za-z][^\s#\"']*", rest) if stem.startswith("Invalid value") else None
    return f"; a text stands in quotes: {writer.value(bare[0])}" if bare else ""


@dataclass(frozen=True)
class Declared:
    """A container and where it is declared."""

    container: Container
    path: str
    _file: _File

    def line(self, key: str) -> int:
        """Return the line of a key, from 1, or that of the container's table where it has not the key."""
        return self._file.line("container", self.container.name, key)


def read(paths: Iterable[str]) -> list[Container]:
    """Return the containers of some files, in their order; raises DeclarationError as ``read_declared`` does."""
    return [declared.container for declared in read_declared(paths)]


def read_declared(paths: Iterable[str]) -> list[Declared]:
    """Return the containers of some files, in their order, with their places.

    Raises DeclarationError with every fault of all of them: their own, names declared twice, addresses on
    which two of them listen, and containers that require each other in a circle.
    """
    files = []
    for path in dict.fromkeys(paths):
        file = _File(path)
        file.read()
        files.append(file)
    _find_clashes(files)
    _find_circles(files)
    faults = [fault for file in files for fault in file.faults]
    if faults:
        raise DeclarationError(faults)
    return [Declared(container, file.path, file) for file in files for container in file.containers]


def _find_clashes(files: list[_File]) -> None:
    """Find names declared twice and addresses that two containers listen on, those with other faults included."""
    names: dict[str, _File] = {}
    taken: dict[int | str, list[tuple[Listen, str, _File]]] = {}
    for file in files:
        for name, ports in file.listening:
            if name in names:
                file.fault(f"the name is declared at {names[name].place('container', name)} too; "
                           "a site has one container of a name", "container", name)
                continue
            names[name] = file
            for index, port in enumerate(ports):
                slot = port.listen.port if isinstance(port.listen, TcpAddress) else port.listen.path
                for listen, other, other_file in taken.setdefault(slot, []):
                    if port.listen.overlaps(listen):
                        file.fault(f'found "{port}"; the container {other!r} ({other_file.place("container", other, "ports")}) '
                                   f'listens on "{listen}" already; give one of them another address',
                                   "container", name, "ports", where=f"[{index}]", found=str(port))
                        break
                taken[slot].append((port.listen, name, file))


def _find_circles(files: list[_File]) -> None:
    """Find containers that would wait for each other, each circle once; names of other declarations end a search."""
    requiring = {name: required for file in reversed(files) for name, required in file.requiring.items()}
    told: set[str] = set()
    for file in files:
        for name in file.requiring:
            circle = _circle(name, requiring)
            if circle and told.isdisjoint(circle):
                told.update(circle)
                file.fault(f"found a circle, {' -> '.join([*circle, name])}, in which each would wait for the next one; "
                           "leave one of these names out", "container", name, "requires", found=[*circle, name][1])


def _circle(start: str, requiring: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the shortest way from a name back to itself, without its last step, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for name in requiring.get(way[-1], ()):
            if name == start:
                return way
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []
