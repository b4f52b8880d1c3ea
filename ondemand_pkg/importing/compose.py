"""Compose files.

Knows what a project is (services, `extends`, `depends_on`, names by which services reach each other) and how it becomes
containers of a site; hides YAML and each service's keys.  Source: the Compose specification.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ondemand_pkg.declaration.container_values import PORT
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.importing import draft as drafts
from ondemand_pkg.importing.draft import Draft, Note
from ondemand_pkg.importing.interpolation import dotenv
from ondemand_pkg.importing.located import Located, load, scalar_text
from ondemand_pkg.importing.ports import BRIDGE, WELL_KNOWN, Published
from ondemand_pkg.importing.scope import Scope
from ondemand_pkg.importing.service import Service
from ondemand_pkg.model import TcpAddress

_TOP = {"name", "services", "volumes", "networks", "secrets", "configs", "version"}
_DEEPEST_EXTENDS = 10
# Each service is held against every other one, and each port.
_MOST_SERVICES, _MOST_PORTS = 500, 1000
_MERGED_LISTS = ("environment", "labels", "ports", "volumes", "expose", "cap_add", "cap_drop", "devices", "dns", "env_file",
                 "tmpfs")


def read(path: str, environ: Mapping[str, str]) -> tuple[list[Draft], list[Note]]:
    """Return a draft for each service of a Compose file, and notes on what belongs to none.

    Variables come from ``environ`` and from `.env` beside the file.  Raises DeclarationError for what is no Compose file.
    """
    return _Project(path, environ).drafts()


class _Project:
    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        document = load(path)
        variables = {**_dotenv(Path(path).parent / ".env"), **environ}
        directory = Path(path).resolve().parent.name
        top: dict[str, Located] = document.value if isinstance(document.value, dict) else {}
        self.scope = Scope(path, "", variables, top)
        name = self.scope.text(top["name"]) if "name" in top else variables.get("COMPOSE_PROJECT_NAME", directory)
        self.scope.project = re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-") or "project"
        services = top.get("services")
        if services is None or not isinstance(services.value, dict) or not services.value:
            self.scope.fault(services.line if services else 0, "no Compose file: it has no services; write a mapping 'services:'")
        if len(services.value) > _MOST_SERVICES:
            self.scope.fault(services.line, f"more than {_MOST_SERVICES} services; part the file, and import each part")
        self.raw: dict[str, Located] = services.value
        self.notes: list[Note] = []
        self.services: dict[str, Service] = {}

    def drafts(self) -> tuple[list[Draft], list[Note]]:
        """Return what the project becomes."""
        for name, located in self.raw.items():
            keys = self._extended(name, located, self.scope, 0)
            draft = Draft(self._unused_name(name))
            service = Service(name, keys, self.scope, draft)
            if draft.name != name:
                service.note(located.line, "name",
                             f"a container's name has lower-case letters, digits and '.+-'; it is {draft.name}")
            self.services[name] = service
        self._find_cycles()
        for name, service in self.services.items():
            self._image(name, service)
            service.convert()
            self._profiles(service)
            self._network_mode(service)
        self._publish()
        self._listen()
        self._depend()
        for table, located in self.scope.top.items():
            if table not in _TOP and not table.startswith("x-"):
                self.notes.append(Note(self.scope.place(located.line), table, "import the files that it names too"
                                       if table == "include" else "this table is not known"))
        for name, line in sorted(self.scope.missing.items()):
            self.notes.append(Note(self.scope.place(line), f"${name}", "it is not set and has no default; it is empty here"))
        self._tables()
        for name, service in self.services.items():
            if not service.draft.values.get("env", True):
                del service.draft.values["env"]
            service.draft.keep_what_is_valid(self.scope.place(self.raw[name].line))
        return [service.draft for service in self.services.values()], self.notes

    def _unused_name(self, name: str) -> str:
        found = drafts.name_of(name)
        taken = {service.draft.name for service in self.services.values()}
        number = 2
        while found in taken:
            found, number = f"{drafts.name_of(name)}-{number}", number + 1
        return found

    # --- extends -----------------------------------------------------------------------------------------------------

    def _extended(self, name: str, located: Located, scope: Scope, depth: int) -> dict[str, Located]:
        """Return a service's keys, those that it extends among them; its own win, lists and mappings are joined."""
        own = scope.mapping(located, f"services.{name}")
        if "extends" not in own:
            return own
        extends = own["extends"]
        if depth > _DEEPEST_EXTENDS:
            scope.fault(extends.line, f"extends leads in a circle, or through more than {_DEEPEST_EXTENDS} services")
        keys = extends.value if isinstance(extends.value, dict) else {"service": extends}
        base_scope = scope
        if "file" in keys:
            path = os.path.join(os.path.dirname(scope.path), scope.text(keys["file"]))
            document = load(path)
            top = document.value if isinstance(document.value, dict) else {}
            base_scope = Scope(path, scope.project, scope.variables, top)
        base_name = scope.text(keys.get("service", Located(extends.line, name)))
        base = base_scope.mapping(base_scope.top.get("services", Located(0, None)), "services").get(base_name)
        if base is None:
            scope.fault(extends.line, f"extends the service {base_name!r}, which is not in {base_scope.path}")
        found = dict(self._extended(base_name, base, base_scope, depth + 1))
        for key, value in own.items():
            before = found.get(key)
            if before is not None and isinstance(before.value, dict) and isinstance(value.value, dict):
                value = Located(value.line, {**before.value, **value.value})
            elif before is not None and key in _MERGED_LISTS:
                value = Located(value.line, [*_as_list(before), *_as_list(value)])
            found[key] = value
        return found

    # --- image, profiles, network ------------------------------------------------------------------------------------

    def _image(self, name: str, service: Service) -> None:
        image = service.keys.get("image")
        build = service.keys.get("build")
        values = service.draft.values
        if image is not None and image.value is not None:
            values["image"] = self.scope.text(image)
        if build is not None:
            values.setdefault("image", f"{self.scope.project}-{drafts.name_of(name)}")
            service.note(build.line, "build", f"hosts build nothing: build {values['image']} and push it to a registry that they "
                                              "reach, then write its name there into image")
        if "image" not in values:
            self.scope.fault(self.raw[name].line, f"the service {name!r} has neither image nor build; write its image")
        version = drafts.version_of(values["image"])
        values["version"] = version or drafts.UNKNOWN_VERSION
        if version is None:
            service.draft.remark("version", "The image's tag does not tell a version: write the one that is meant.")

    def _profiles(self, service: Service) -> None:
        profiles = service.keys.get("profiles")
        if profiles is not None and profiles.value:
            names = ", ".join(text for text, _ in self.scope.items(profiles))
            service.note(profiles.line, "profiles", f"install the package only on hosts that want {names}")

    def _network_mode(self, service: Service) -> None:
        mode = service.keys.get("network_mode")
        if mode is not None and self.scope.text(mode) not in ("bridge", "default"):
            service.note(mode.line, f"network_mode {self.scope.text(mode)}",
                         "the container has a network of its own, in which the relay reaches it; write each port into ports")

    def _tables(self) -> None:
        """Tell which properties of volumes are left out."""
        for name, located in self.scope.mapping(self.scope.top.get("volumes", Located(0, None)), "volumes").items():
            for key, value in self.scope.mapping(located, name).items():
                is_default = (key, value.value) == ("driver", "local") or value.value is None
                if key not in ("name", "external", "labels") and not is_default and not key.startswith("x-"):
                    self.notes.append(Note(self.scope.place(located.line), f"volumes.{name}.{key}",
                                           f"make the volume on each host with 'docker volume create' before: "
                                           f"{self.scope.volume_name(name)}"))

    # --- ports -------------------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Give each service its ports: those that it publishes, else those by which other services reach it."""
        for name, service in list(self.services.items()):
            if service.published:
                continue
            spoken_of = [port for other in self.services.values() if other is not service for port in other.mentioned(name)[1]]
            image = service.draft.values["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
            found = [*service.exposed()] or spoken_of[:1] or [port for known, port in WELL_KNOWN.items() if known == image]
            line = self.raw[name].line
            if not found:
                self.notes += service.draft.notes
                self.notes.append(Note(
                    self.scope.place(line), name, "left out: it has no port, so that no connection could wake it; if it has one, "
                    "write 'expose:' into the service, else leave it to Compose or to a unit"))
                del self.services[name]
                continue
            service.published = [Published(BRIDGE, port, port) for port in dict.fromkeys(found)]
            service.draft.remark("ports", f"Not published in Compose: other containers alone reach {BRIDGE}, the host on the "
                                          "engine's bridge.")
        dependencies = {name: self._dependencies(service) for name, service in self.services.items()}
        for name, service in self.services.items():
            users = [user for other, user in self.services.items()
                     if user is not service and (name in dependencies[other] or user.mentioned(name)[0])]
            reachable = {port.container for port in service.published
                         if port.host in ("", "0.0.0.0", BRIDGE) and port.listen in (None, port.container)}
            inside = dict.fromkeys(port.container for port in service.published)
            if users and not reachable >= set(inside):
                missing = [port for port in inside if port not in reachable]
                service.published += [Published(BRIDGE, port, port) for port in missing]
                service.draft.remark("ports", f"Other containers of the project reach {BRIDGE}, the host on the engine's bridge.")
            for user in users:
                user.draft.add("create_args", f"--add-host={name}:host-gateway")
                if "Names of other containers lead to the host, whose sockets wake them." not in user.draft.remarks.get(
                        "create_args", []):
                    user.draft.remark("create_args", "Names of other containers lead to the host, whose sockets wake them.")

    def _listen(self) -> None:
        """Write the ports; of two that would listen on one address, the later one, or the one on the bridge, is moved."""
        taken: defaultdict[int, list[tuple[TcpAddress, str]]] = defaultdict(list)
        everything = [(name, service, port)
                      for name, service in self.services.items() for port in dict.fromkeys(service.published)]
        if len(everything) > _MOST_PORTS:
            self.scope.fault(0, f"more than {_MOST_PORTS} ports; part the file, and import each part")
        for name, service, port in sorted(everything, key=lambda one: one[2].host == BRIDGE):
            line = service.keys["ports"].line if "ports" in service.keys else self.raw[name].line
            first = None
            try:
                listen = PORT.parse(str(port)).listen
                while other := next((who for address, who in taken[listen.port] if address.overlaps(listen)), None):
                    first = first or other
                    if listen.port == 65535:
                        raise ValueError("no port is free above it")
                    listen = replace(listen, port=listen.port + 1)
            except (Invalid, ValueError) as error:
                service.note(line, f"ports {port}", str(error))
                continue
            moved = Published(port.host, listen.port, port.container) if first else port
            if first:
                service.note(line, f"ports {port}",
                             f"{first!r} listens there too; it became {moved}, which its clients must be told")
            taken[listen.port].append((listen, name))
            service.draft.add("ports", str(moved))

    # --- dependencies ------------------------------------------------------------------------------------------------

    def _dependencies(self, service: Service) -> dict[str, Located]:
        """Return what a service depends on, links included, each with where it says so."""
        found: dict[str, Located] = {}
        for key in ("depends_on", "links"):
            located = service.keys.get(key)
            if located is not None and isinstance(located.value, dict):
                found |= located.value
            elif located is not None and located.value is not None:
                found |= {self.scope.text(item).partition(":")[0]: Located(item.line, None)
                          for item in self.scope.sequence(located, key)}
        return found

    def _find_cycles(self) -> None:
        """Refuse services that depend on each other in a circle, as Compose does."""
        done: set[str] = set()
        for start in self.services:
            path: list[str] = []
            todo = [(start, False)]
            while todo:
                name, is_left = todo.pop()
                if is_left:
                    done.add(path.pop())
                    continue
                if name in path:
                    circle = [*path[path.index(name):], name]
                    located = self._dependencies(self.services[path[-1]])[name]
                    self.scope.fault(located.line, "services depend on each other in a circle: "
                                     f"{' -> '.join(circle)}; take one of the dependencies out")
                if name in done or name not in self.services:
                    continue
                path.append(name)
                todo.append((name, True))
                todo += [(other, False) for other in self._dependencies(self.services[name])]

    def _depend(self) -> None:
        for service in self.services.values():
            for name, located in self._dependencies(service).items():
                other = self.services.get(name)
                if other is None:
                    instead = ("it was left out, nothing waits for it" if name in self.raw
                               else "no service of this name is in the file")
                    service.note(located.line, f"depends_on {name}", instead)
                    continue
                condition = located.value.get("condition") if isinstance(located.value, dict) else None
                if condition is not None and self.scope.text(condition) == "service_completed_successfully":
                    service.note(condition.line, f"depends_on.{name}.condition",
                                 "a task that runs to its end belongs into the container's entry point, or a unit of its own")
                    continue
                service.draft.add("requires", other.draft.name)
            links = service.keys.get("links")
            for item in links.value if links is not None and isinstance(links.value, list) else ():
                name, _, alias = self.scope.text(item).partition(":")
                if alias and alias != name:
                    service.draft.add("create_args", f"--add-host={alias}:host-gateway")


def _as_list(located: Located) -> list[Located]:
    """Return either syntax of a list or a mapping as the items of a list; a null value stays a bare name."""
    if isinstance(located.value, list):
        return located.value
    if isinstance(located.value, dict):
        return [Located(item.line, name if item.value is None else f"{name}={scalar_text(item.value)}")
                for name, item in located.value.items()]
    return [located]


def _dotenv(path: Path) -> dict[str, str]:
    try:
        return dotenv(path.read_text(encoding="utf-8")) if path.stat().st_size < 2**20 else {}
    except (OSError, UnicodeDecodeError):
        return {}
