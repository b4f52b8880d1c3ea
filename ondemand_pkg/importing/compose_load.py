"""The files of a Compose project, made into one.

Knows which files Compose reads (several, an override beside the first, `COMPOSE_FILE`, `include`, `extends`), in which order
they are merged, and from which directory the paths of each lead; hides interpolation and tags.  Source: compose-go, loader/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.importing import compose_merge, compose_paths
from ondemand_pkg.importing.interpolation import Unset, interpolate
from ondemand_pkg.importing.notes import Note, Weight
from ondemand_pkg.importing.reach import OutOfReach, Reach, TooMuch
from ondemand_pkg.importing.variables import OUTSIDE, Variables
from ondemand_pkg.importing.yaml_lines import Located, documents, scalar_text

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")
TABLES = ("services", "volumes", "networks", "secrets", "configs", "models")
_DEEPEST_EXTENDS = 10
_MOST_FILES = 100
_EMPTY = Located(0, None)


@dataclass
class Loaded:
    """A project as its files say, merged: tables by name, and the rest of the top level in ``others``."""

    paths: Sequence[str]
    name: str
    tables: dict[str, dict[str, Located]]
    others: dict[str, Located]
    variables: Variables
    missing: dict[str, str] = field(default_factory=dict)  # variables that were not set, with the place of the first use
    notes: list[Note] = field(default_factory=list)


def load(paths: Sequence[str], environ: Mapping[str, str], reach: Reach) -> Loaded:
    """Return the project of some files, the first of which says where its directory is; raises DeclarationError."""
    return _Loader(paths, environ, reach).loaded()


class _Loader:
    def __init__(self, paths: Sequence[str], environ: Mapping[str, str], reach: Reach) -> None:
        self.reach = reach
        self.directory = os.path.dirname(paths[0])
        # Compose is run in the project's directory, wherever this is.
        self.variables = Variables(os.path.join(self.directory, ".env"), {**environ, "PWD": str(reach.directory)}, reach)
        self.notes = self.variables.notes
        self.missing: dict[str, str] = {}
        self.given = list(paths)
        self.paths = self._with_those_beside(list(paths))
        self._raw: dict[str, list[Located]] = {}
        self._files = 0

    def loaded(self) -> Loaded:
        """Return all files as one."""
        top = self._model(self.paths, self.directory, self.variables, (), is_given=True)
        keys: dict[str, Located] = top.value or {}
        name = scalar_text(keys["name"].value) if "name" in keys else self.variables.get(
            "COMPOSE_PROJECT_NAME", self.reach.directory.name)
        name = re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-") or "project"
        tables = {table: self._mapping(keys.get(table, _EMPTY), table) for table in TABLES}
        others = {key: value for key, value in keys.items() if key not in (*TABLES, "name", "version", "include")}
        return Loaded(self.paths, name, tables, others, self.variables, self.missing, self.notes)

    # --- which files -----------------------------------------------------------------------------------------------

    def _with_those_beside(self, paths: list[str]) -> list[str]:
        """Return the files that Compose would read where a person gives none: for one by such a name alone."""
        first = Path(paths[0])
        if len(paths) > 1 or first.name not in NAMES:
            return paths
        listed = self.variables.get("COMPOSE_FILE")
        if listed:
            found = [os.path.join(self.directory, part)
                     for part in listed.split(self.variables.get("COMPOSE_PATH_SEPARATOR") or ":")]
            if paths[0] in map(os.path.normpath, found) or any(same(paths[0], path) for path in found):
                self.notes.append(Note(paths[0], "COMPOSE_FILE", f"read too, as it asks: {', '.join(found)}", Weight.ROUTINE))
                return found
            self.notes.append(Note(paths[0], "COMPOSE_FILE", f"it names {listed}, which was not read: give those files"))
            return paths
        beside = [path for name in OVERRIDES if os.path.lexists(path := os.path.join(self.directory, name))]
        if beside:
            self.notes.append(Note(beside[0], "override", f"read too, as Compose does; to leave it out, import a copy of "
                                                          f"{first.name} under another name"))
        return [*paths, *beside[:1]]

    # --- one model of some files ------------------------------------------------------------------------------------

    def _model(self, paths: Sequence[str], directory: str, variables: Variables, including: tuple[str, ...],
               is_given: bool = False) -> Located:
        """Return files with one directory and one set of variables, merged."""
        found = Located(1, {}, paths[0])
        for path in paths:
            for document in self._documents(path, is_given and path in self.given, None):
                found = self._processed(found, document, directory, variables, (*including, os.path.realpath(path)))
        return self._with_environment(found, variables)

    def _documents(self, path: str, is_given: bool, asked: Located | None, key: str = "file") -> list[Located]:
        """Return the documents of a file; one that ``asked`` names, or COMPOSE_FILE, only where the project may reach."""
        try:
            if not is_given and not self.reach.is_inside(path):
                real = self.reach.real(path)
                self.notes.append(Note(asked.place if asked else path, f"{key} {path}", OUTSIDE.format(real)))
            if path not in self._raw:
                self._files += 1
                if self._files > _MOST_FILES:
                    raise TooMuch(f"more than {_MOST_FILES} files")
                self._raw[path] = documents(path, None if is_given else self._text(path, asked, key))
        except (OutOfReach, TooMuch) as error:
            if asked is None:
                raise DeclarationError([Fault(path, 0, "", str(error))]) from None
            self._fault(asked, f"{key} {path}: {error}")
        return self._raw[path]

    def _text(self, path: str, asked: Located | None, key: str) -> str:
        try:
            return self.reach.text(path)
        except DeclarationError as error:
            if asked is None:
                raise
            self._fault(asked, f"{key} {path}: {error.faults[0].finding}")

    def _processed(self, base: Located, document: Located, directory: str, variables: Variables,
                   including: tuple[str, ...]) -> Located:
        """Return what a document makes of what the files before it say."""
        if document.value is None:
            return base
        if not isinstance(document.value, dict):
            self._fault(document, "not a Compose file: it has no services", "write 'services:'")
        try:
            own = self._interpolated(document, variables)
            resets = compose_merge.tagged(own, self.reach.count)
            own = compose_merge.without_resets(own)
            own = self._with_includes(own, resets, directory, variables, including)
            base = compose_merge.without(base, resets)
            own = self._with_extends(own, resets, directory, variables)
            found = compose_merge.merged(base, own, self.reach.count)
        except compose_merge.Conflict as conflict:
            self._fault(conflict.located, str(conflict))
        except TooMuch as error:
            self._fault(document, str(error))
        return self._with_services(found, {
            name: service.holding(compose_merge.with_unique_items(service.value)) if isinstance(service.value, dict) else service
            for name, service in self._mapping(found.value.get("services", _EMPTY), "services").items()})

    def _with_services(self, top: Located, services: dict[str, Located]) -> Located:
        if "services" not in top.value:
            return top
        return top.holding({**top.value, "services": top.value["services"].holding(services)})

    def _with_environment(self, top: Located, variables: Variables) -> Located:
        """Give names without a value in `environment` that of the variables with which the file is read."""
        def filled(item: Located, name: str, form: str) -> Located:
            return Located(item.line, form + variables[name], item.path, is_own=False) if name in variables else item

        services = {}
        for name, service in self._mapping(top.value.get("services", _EMPTY), "services").items():
            found = service.value.get("environment", _EMPTY) if isinstance(service.value, dict) else _EMPTY
            if isinstance(found.value, dict):
                filling: list[Located] | dict[str, Located] = {
                    key: filled(item, key, "") if item.value is None else item for key, item in found.value.items()}
            elif isinstance(found.value, list):
                filling = [filled(item, item.value, f"{item.value}=") if isinstance(item.value, str) and "=" not in item.value
                           else item for item in found.value]
            else:
                services[name] = service
                continue
            services[name] = service.holding({**service.value, "environment": found.holding(filling)})
        return self._with_services(top, services)

    # --- variables -------------------------------------------------------------------------------------------------

    def _interpolated(self, document: Located, variables: Variables) -> Located:
        """Return a document with its variables replaced; what several places share is made once."""
        done: dict[int, Located] = {}

        def of(located: Located) -> Located:
            if id(located) not in done:
                value = located.value
                if isinstance(value, dict):
                    done[id(located)] = located.holding({name: of(item) for name, item in value.items()})
                elif isinstance(value, list):
                    done[id(located)] = located.holding([of(item) for item in value])
                else:
                    done[id(located)] = self._scalar(located, variables)
            return done[id(located)]

        return of(document)

    def _scalar(self, located: Located, variables: Variables) -> Located:
        raw = located.value
        if not isinstance(raw, str) or "$" not in raw or located.tag == "!reset":
            return located
        missing: set[str] = set()
        try:
            text = interpolate(raw, variables, missing)
            self.reach.count(len(text))
        except (Unset, TooMuch) as error:
            self._fault(located, str(error))
        for name in missing:
            self.missing.setdefault(name, located.place)
        try:
            is_own = interpolate(raw, {}, set()) == text
        except Unset:
            is_own = False
        return Located(located.line, text, located.path, is_own, located.tag, located.is_tagged)

    # --- include ---------------------------------------------------------------------------------------------------

    def _with_includes(self, own: Located, resets: list[compose_merge.Path], directory: str, variables: Variables,
                       including: tuple[str, ...]) -> Located:
        """Bring in the tables of the files that a file includes; where both have something, its own wins."""
        include = own.value.get("include", _EMPTY)
        if include.value is not None and not isinstance(include.value, list):
            self._fault(include, "include: a list is allowed here")
        for entry in include.value or ():
            keys = entry.value if isinstance(entry.value, dict) else {"path": entry}
            paths = [os.path.join(directory, text) for text in self._texts(keys.get("path", _EMPTY))]
            if not paths:
                self._fault(entry, "include without a path", "write the file's name")
            if os.path.realpath(paths[0]) in including:
                self._fault(entry, f"include forms a cycle: {paths[0]} includes itself")
            for path in paths:
                self._documents(path, False, entry, "include")
            where = os.path.join(directory, scalar_text(keys["project_directory"].value)) if "project_directory" in keys \
                else os.path.dirname(paths[0])
            files = [os.path.join(directory, text) for text in self._texts(keys.get("env_file", _EMPTY))]
            beneath = Variables.beneath(variables, files or [os.path.join(where, ".env")], self.reach)
            self.notes += beneath.notes
            found = self._model(paths, where, beneath, including)
            found = compose_paths.rebased(found, self._relative(where, directory))
            for table in TABLES:
                for name, value in self._mapping(found.value.get(table, _EMPTY), table).items():
                    mine = own.value.get(table, _EMPTY).value
                    if isinstance(mine, dict) and name in mine and mine[name].path == entry.path and table == "services":
                        self.notes.append(Note(mine[name].place, f"include {os.path.normpath(paths[0])}", "it has the "
                                               "service too: what is here is merged over that, as newer releases of Compose do; "
                                               "Compose 2.40 refuses it", service=name))
                    own = self._with_included(own, table, name, value, resets)
        return own

    def _with_included(self, own: Located, table: str, name: str, value: Located, resets: list[compose_merge.Path]) -> Located:
        mine = own.value.get(table, Located(value.line, None, value.path))
        mapping = self._mapping(mine, table)
        if name in mapping:
            value = compose_merge.without(value, [path[2:] for path in resets if path[:2] == (table, name)])
            value = compose_merge.merged(value, mapping[name], self.reach.count, (table, name))
        return own.holding({**own.value, table: mine.holding({**mapping, name: value})})

    def _relative(self, directory: str, base: str) -> str:
        return os.path.relpath(os.path.realpath(directory or "."), os.path.realpath(base or "."))

    # --- extends ---------------------------------------------------------------------------------------------------

    def _with_extends(self, own: Located, resets: list[compose_merge.Path], directory: str, variables: Variables) -> Located:
        services = self._mapping(own.value.get("services", _EMPTY), "services")
        done: dict[str, Located] = {}
        for name in services:
            self._extended(name, services, done, resets, directory, variables, 0)
        return self._with_services(own, {name: done.get(name, service) for name, service in services.items()})

    def _extended(self, name: str, services: Mapping[str, Located], done: dict[str, Located],
                  resets: list[compose_merge.Path], directory: str, variables: Variables, depth: int) -> Located:
        """Return a service with what it extends; ``done`` are those of the same file that are made."""
        if name in done:
            return done[name]
        service = services[name]
        keys = self._mapping(service, f"services.{name}")
        if "extends" in keys:
            extends = keys["extends"]
            if depth > _DEEPEST_EXTENDS:
                self._fault(extends, f"extends forms a cycle, or goes through more than {_DEEPEST_EXTENDS} services")
            base = self._base(name, extends, services, done, resets, directory, variables, depth)
            base = compose_merge.without(base, [path[2:] for path in resets if path[:2] == ("services", name)])
            own = service.holding({key: value for key, value in keys.items() if key != "extends"})
            service = compose_merge.merged(base, own, self.reach.count, ("services", name))
        done[name] = service
        return service

    def _base(self, name: str, extends: Located, services: Mapping[str, Located], done: dict[str, Located],
              resets: list[compose_merge.Path], directory: str, variables: Variables, depth: int) -> Located:
        keys = extends.value if isinstance(extends.value, dict) else {"service": extends}
        base_name = scalar_text(keys.get("service", Located(extends.line, name)).value)
        if "file" not in keys:
            if base_name not in services:
                self._fault(extends, f"extends the service {base_name!r}, which is not in {extends.path}")
            return self._extended(base_name, services, done, resets, directory, variables, depth + 1)
        path = os.path.join(directory, scalar_text(keys["file"].value))
        other = Located(1, {}, path)
        for document in self._documents(path, False, extends, "extends"):
            document = self._interpolated(document, variables)
            other_resets = compose_merge.tagged(document, self.reach.count)
            if isinstance(document.value, dict):
                other = compose_merge.merged(other, compose_merge.without_resets(document), self.reach.count)
        others = self._mapping(other.value.get("services", _EMPTY), "services")
        if base_name not in others:
            self._fault(extends, f"extends the service {base_name!r}, which is not in {path}")
        where = os.path.dirname(path)
        found = self._extended(base_name, others, {}, other_resets, where, variables, depth + 1)
        return compose_paths.rebased_service(found, self._relative(where, directory))

    # --- values ----------------------------------------------------------------------------------------------------

    def _texts(self, located: Located) -> list[str]:
        items = located.value if isinstance(located.value, list) else [] if located.value is None else [located]
        return [scalar_text(item.value) for item in items]

    def _mapping(self, located: Located, what: str) -> dict[str, Located]:
        if located.value is None:
            return {}
        if not isinstance(located.value, dict):
            if what == "services":
                self._fault(located, "not a Compose file: it has no services", "write 'services:'")
            self._fault(located, f"{what}: a mapping is allowed here")
        found: dict[str, Located] = located.value
        return found

    def _fault(self, located: Located, finding: str, remedy: str = "") -> NoReturn:
        raise DeclarationError([Fault(located.path or self.given[0], located.line, "", finding, remedy)])


def same(one: str, other: str) -> bool:
    """Tell whether two names are those of one file."""
    return os.path.realpath(one) == os.path.realpath(other)
