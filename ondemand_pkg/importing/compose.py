"""Compose files.

Knows what a project is (services, `extends`, `depends_on`, names by which services reach each other) and how it becomes
containers of a site; hides YAML and each service's keys.  Source: the Compose specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ondemand_pkg.declaration import network_values
from ondemand_pkg.importing import compose_attendance, compose_dependencies, compose_load, compose_network, compose_ports
from ondemand_pkg.importing import draft as drafts
from ondemand_pkg.importing.attendance import Attendance
from ondemand_pkg.importing.compose_file import EMPTY, ComposeFile
from ondemand_pkg.importing.compose_mounted import Mounted
from ondemand_pkg.importing.compose_namespaces import Namespaces
from ondemand_pkg.importing.compose_network import Networks
from ondemand_pkg.importing.compose_service import ComposeService
from ondemand_pkg.importing.draft import IDLE, Draft
from ondemand_pkg.importing.listen import MOST_PORTS, Listening, Wish
from ondemand_pkg.importing.notes import Note, Weight, named
from ondemand_pkg.importing.ports import WOKEN_BY, at_bridge, settle_readiness
from ondemand_pkg.importing.reach import Reach
from ondemand_pkg.importing.yaml_lines import Located

MOST_ACQUAINTED = 100  # services; where there are more, a container has the names of those that it speaks of alone
# Each service is held against every other one, and each port.
_MOST_SERVICES = 500


def read(paths: Sequence[str], environ: Mapping[str, str], allow_outside: bool,
         profiles: Sequence[str] = (), ask: compose_ports.Ask | None = None) -> tuple[list[Draft], list[Note]]:
    """Return a draft for each service of a Compose project, and notes on what belongs to none.

    ``paths`` are its files in the order in which they are merged. Variables come from ``environ`` and from `.env` beside the
    first one.  Unless ``allow_outside``, no other file is read than those in its directory.  Where there are ``profiles``,
    services that have others only are left out.  ``ask`` tells of images.  Raises DeclarationError for what is no Compose file.
    """
    return _Project(paths, environ, allow_outside, profiles, ask).drafts()


class _Project:
    def __init__(self, paths: Sequence[str], environ: Mapping[str, str], allow_outside: bool, profiles: Sequence[str],
                 ask: compose_ports.Ask | None) -> None:
        self.reach = Reach(Path(paths[0]).parent, allow_outside)
        self.loaded = compose_load.load(paths, environ, self.reach)
        self.notes = self.loaded.notes
        self.variables = self.loaded.variables
        self.scope = ComposeFile(self.loaded, self.reach)
        self.raw = self.loaded.tables["services"]
        if not self.raw:
            self.scope.fault(EMPTY, "not a Compose file: it has no services", "write 'services:'")
        if len(self.raw) > _MOST_SERVICES:
            self.scope.fault(next(iter(self.raw.values())), f"more than {_MOST_SERVICES} services",
                             "split the file and import each part")
        self.profiles = list(profiles) or [
            name.strip() for name in self.variables.get("COMPOSE_PROFILES", "").split(",") if name.strip()]
        self.ask = ask
        self.services: dict[str, ComposeService] = {}
        self.left_out: dict[str, ComposeService] = {}
        self.unwanted: dict[str, str] = {}  # why, by the name
        self.roles: dict[str, Attendance] = {}  # of services to which nothing connects
        self.known: dict[str, list[str]] = {}
        self.namespaces = Namespaces(self.services, self._ports_of)

    def drafts(self) -> tuple[list[Draft], list[Note]]:
        """Return what the project becomes."""
        for name, located in self.raw.items():
            keys = self.scope.mapping(located, f"services.{name}")
            if not self._is_wanted(keys):
                self.unwanted[name] = "it has none of the chosen profiles"
                continue
            if (place := self._none_of_it(keys)) is not None:
                self.unwanted[name] = "the project runs none of it"
                self.notes.append(Note(place, "", "left out: the project runs none of it; for a package of it, remove this line",
                                       Weight.CHANGED, name))
                continue
            service = ComposeService(name, keys, self.scope, Draft(self._unused_name(name)))
            if service.draft.name != name:
                service.note(located, "name",
                             f"a container's name has lower-case letters, digits and '.+-'; it is {service.draft.name}")
            self.services[name] = service
        self.dependencies = {name: compose_dependencies.of(self.scope, service.keys) for name, service in self.services.items()}
        compose_dependencies.refuse_cycles(self.scope, self.services, self.dependencies)
        mounted = Mounted(self.reach)
        for name, service in self.services.items():
            self._image(name, service)
            service.convert()
            service.mounted = mounted.texts(service.bound)
            self._same_targets(service)
            self._tell_routine(service)
        self.networks = Networks(self.scope, {name: service.keys for name, service in self.services.items()})
        self.speakers = self.networks.speakers({name: service.spoken.has for name, service in self.services.items()})
        self._alternatives()
        self.namespaces.apply()
        self._leave_out(self.namespaces.left_out)
        self._publish()
        if sum(len(service.published) for service in self.services.values()) > MOST_PORTS:
            self.scope.fault(EMPTY, f"more than {MOST_PORTS} ports", "split the file and import each part")
        Listening(Wish(service.name, service.draft, service.published, self._tell_port(service))
                  for service in self.services.values()).write()
        for service in self.services.values():
            self._ready(service)
        self._depend()
        for name, role in self.roles.items():
            is_awaited = any(other not in self.roles for other in role.before)
            compose_attendance.write(self.services[name], role, lambda other: self.services[other].draft.name, self.raw[name],
                                     is_awaited)
        self.notes += compose_network.lost(self.networks, self.services, self.scope.path)
        self._tell_rest()
        exposing = [service.draft for service in self.services.values() if "expose" in service.draft.values]
        by_name = {draft.name: draft for draft in exposing}
        for name, address in network_values.by_hand(by_name).items():
            by_name[name].values["address"] = address
        for name, service in self.services.items():
            for key in ("env", "aliases"):
                if not service.draft.values.get(key, True):
                    del service.draft.values[key]
            service.draft.keep_what_is_valid(self.raw[name].place)
            if name not in self.roles:
                service.draft.values["idle"] = IDLE
            service.draft.stack = self.loaded.name
        for name in self.variables.secrets_in(service.draft.values for service in self.services.values()):
            self.notes.append(Note(self.scope.path, f"${name}", "it seems to be a secret, and its value is in the declaration "
                                   "now; take it out, and write it into "
                                   + named("/etc/ondemand/{NAME}.env on each host", [
                                       service.draft.name for service in self.services.values()
                                       if self.variables.is_in(name, service.draft.values)]), Weight.LOSS))
        return [service.draft for service in self.services.values()], self.notes

    def _tell_routine(self, service: ComposeService) -> None:
        keys = service.keys
        if names := self.scope.texts(keys.get("profiles", EMPTY)):
            service.note(keys["profiles"], "profiles", f"install the package only on hosts that want {', '.join(names)}")
        if "container_name" in keys:
            service.note(keys["container_name"], "container_name", "the container is called ondemand-{NAME}; others of the "
                         "project reach it by its old name too", Weight.ROUTINE)
        if "networks" in keys:
            service.note(keys["networks"], "networks", "a package has the engine's bridge; names lead to the host, whose sockets "
                         "wake", Weight.ROUTINE)

    def _tell_rest(self) -> None:
        for table, located in self.loaded.others.items():
            if not table.startswith("x-"):
                self.notes.append(Note(located.place, table, "unknown table"))
        for name, place in sorted(self.scope.missing.items()):
            self.notes.append(Note(place, f"${name}", "it is not set and has no default; left empty here", Weight.LOSS))
        self._tables()

    def _alternatives(self) -> None:
        """Leave out services that have a port of another one and no profile in common with it, unless profiles are chosen."""
        if self.profiles:
            return
        taken: dict[str, ComposeService] = {}
        for service in list(self.services.values()):
            own = {*self.scope.texts(service.keys.get("profiles", EMPTY))}
            for port in service.published:
                other = taken.setdefault(f"{port.host}:{port.listen or port.container}/{port.protocol}", service)
                others = {*self.scope.texts(other.keys.get("profiles", EMPTY))}
                if other is not service and own and others and not own & others:
                    self.notes.append(Note(self.raw[service.name].place, "",
                                           f"left out: its port {port} is that of {other.name}, the alternative by profile; "
                                           f"import it with --profile {min(own)}", Weight.LOSS, service.name))
                    self.unwanted[service.name] = "it is an alternative that was left out"
                    del self.services[service.name]
                    break

    def _is_wanted(self, keys: Mapping[str, Located]) -> bool:
        """Tell whether a service has no profile, or one that is wanted."""
        of_service = self.scope.texts(keys.get("profiles", EMPTY))
        return not self.profiles or not of_service or "*" in self.profiles or bool({*self.profiles} & {*of_service})

    def _none_of_it(self, keys: Mapping[str, Located]) -> str | None:
        """Return where a service says that none of it runs."""
        deploy = keys.get("deploy")
        counts = [keys.get("scale"), deploy.value.get("replicas") if deploy and isinstance(deploy.value, dict) else None]
        return next((count.place for count in counts if count is not None and count.value is not None
                     and self.scope.text(count) == "0"), None)

    def _unused_name(self, name: str) -> str:
        found = drafts.name_of(name)
        taken = {service.draft.name for service in self.services.values()}
        number = 2
        while found in taken:
            found, number = f"{drafts.name_of(name)}-{number}", number + 1
        return found

    def _same_targets(self, service: ComposeService) -> None:
        """Refuse two mounts on one path, as Compose and the engine do."""
        values = service.draft.values
        targets = [*(volume.split(":")[1] for volume in values.get("volumes", ())),
                   *(mount.partition(":")[0] for mount in values.get("tmpfs", ()))]
        for target in targets:
            if targets.count(target) > 1:
                key = service.keys.get("volumes", service.keys.get("tmpfs", EMPTY))
                self.scope.fault(key, f"{service.name} has two mounts on {target}", "leave one of them out")

    # --- image, profiles, network ------------------------------------------------------------------------------------

    def _image(self, name: str, service: ComposeService) -> None:
        image = service.keys.get("image")
        build = service.keys.get("build")
        values = service.draft.values
        if image is not None and image.value is not None:
            values["image"] = self.scope.text(image)
        if build is not None:
            values.setdefault("image", f"{self.scope.project}-{drafts.name_of(name)}")
            service.note(build, "build", f"hosts don't build images: build {values['image']} and push it to a registry they "
                                              "reach, then write its name there into image")
        if "image" not in values:
            self.scope.fault(self.raw[name], f"the service {name!r} has neither image nor build", "write its image")
        version = drafts.version_of(values["image"])
        values["version"] = version or drafts.UNKNOWN_VERSION
        if version is None:
            service.draft.remark("version", "The image's tag is not a version: write the intended one.")

    def _tables(self) -> None:
        """Tell which properties of volumes are left out."""
        for name, located in self.loaded.tables["volumes"].items():
            for key, value in self.scope.mapping(located, name).items():
                is_default = (key, value.value) == ("driver", "local") or value.value is None
                if key not in ("name", "external", "labels") and not is_default and not key.startswith("x-"):
                    self.notes.append(Note(located.place, f"volumes.{name}.{key}",
                                           f"first create the volume on each host with 'docker volume create': "
                                           f"{self.scope.volume_name(name)}"))

    # --- ports -------------------------------------------------------------------------------------------------------

    def _ports_of(self, service: ComposeService) -> list[str]:
        """Return the ports of a service that are known without `ports`, as `expose` writes them."""
        if service.name in self.known:
            return self.known[service.name]
        spoken_of = [port for other in self.speakers[service.name] if other in self.services
                     for port in self.services[other].spoken.mentioned(self.networks.names(service.name, other))[1]]
        values = service.draft.values
        found = [*service.exposed(), *map(str, spoken_of[:1 if not service.published else None]),
                 *map(str, compose_ports.of_words(values.get("labels", {}), values.get("env", {})))]
        if not found and not service.published:
            asked, why = compose_ports.of_health_check(service.test), "its health check asks"
            if not asked:
                asked, why = compose_ports.of_image(values["image"], self.ask)
            if asked:
                found = list(map(str, asked))
                service.draft.remark("expose", f"The port is the one that {why}.")
        self.known[service.name] = list(dict.fromkeys(found))
        return self.known[service.name]

    def _tell_port(self, service: ComposeService) -> Callable[[str, str], None]:
        place = service.keys.get("ports", self.raw[service.name])
        return lambda what, text: service.note(place, what, text, Weight.LOSS)

    def _publish(self) -> None:
        """Give each service its ports: those that it publishes, and those by which other services reach it."""
        users: dict[str, list[ComposeService]] = {name: [] for name in self.services}
        for name, service in self.services.items():
            for other in self.dependencies[name]:
                if other in users:
                    users[other].append(service)
        for name in users:
            users[name] += [self.services[other] for other in self.speakers[name] if other in self.services
                            and self.services[other].spoken.mentioned(self.networks.names(name, other))[0]]
        for name, service in self.services.items():
            known = self._ports_of(service)
            service.is_inside = not service.published and name not in self.roles
            inside = [*(port.inside for port in service.published if port.protocol in WOKEN_BY), *known]
            if name not in self.roles and inside and (service.is_inside or users[name]):
                service.draft.values["expose"] = list(dict.fromkeys(inside))
        for name, service in self.services.items():
            if name in self.roles:
                continue
            is_for_all = service.is_inside and len(self.services) <= MOST_ACQUAINTED
            for viewer in self.services.values() if is_for_all else dict.fromkeys(users[name]):
                self._introduce(service, viewer)
            self._introduce_to_itself(service)

    def _introduce(self, service: ComposeService, viewer: ComposeService) -> None:
        """Give a container the names of another one."""
        names = self.networks.names(service.name, viewer.name)
        has_own_network = any(option.startswith("--network=") for option in viewer.options())
        if viewer is service or not names or has_own_network or "expose" not in service.draft.values:
            return
        target = service.draft.name
        linked = [alias for name, alias in self.networks.links(viewer.name) if name == service.name and alias != target]
        viewer.draft.add("links", target, *(f"{target}:{alias}" for alias in dict.fromkeys(linked)))
        service.draft.add("aliases", *(name for name in names if name != target and name not in linked))

    def _introduce_to_itself(self, service: ComposeService) -> None:
        """Give a container its own names, where it uses them."""
        names = [name for name in self.networks.names(service.name, service.name) if service.spoken.speaks_of_itself(name)]
        for name in names:
            if not any(option.startswith("--hostname=") for option in service.options()):
                service.draft.add("create_args", f"--hostname={name}")
            elif f"--hostname={name}" not in service.options():
                service.draft.add("create_args", f"--add-host={name}:127.0.0.1")

    def _ready(self, service: ComposeService) -> None:
        """Take one port for enough where no health check says more: of several, some may stay silent for ever."""
        if said := settle_readiness(service.draft.values):
            service.note(service.keys.get("ports", self.raw[service.name]), "ports", said)

    # --- what is left out --------------------------------------------------------------------------------------------

    def _leave_out(self, reasons: Mapping[str, str]) -> None:
        """Take out the services that nothing can wake; ``reasons`` are those of services that can't be kept for others' sake."""
        spoken_of: dict[str, list[str]] = {name: [] for name in self.services}
        for other, speakers in self.speakers.items():
            for name in speakers:
                if name in spoken_of and not self.dependencies[name] and self.services[name].spoken.mentioned(
                        self.networks.names(other, name))[0]:
                    spoken_of[name].append(other)
        needed = {name: on or spoken_of.get(name, []) for name, on in self.dependencies.items()}
        while True:
            without_port = [service for service in self.services.values()
                            if not service.published and not self._ports_of(service) or service.name in reasons]
            self.roles = compose_attendance.roles(self.services, [one for one in without_port if one.name not in reasons],
                                                  needed, self._is_task, self.speakers)
            self.roles |= {name: role for name, role in self.namespaces.roles.items() if name in self.services}
            without_role = [service for service in without_port if service.name not in self.roles]
            if not without_role:
                break
            for service in without_role:
                self.left_out[service.name] = service
                del self.services[service.name]
        for name, service in self.left_out.items():
            self.notes += service.draft.notes
            reason = reasons.get(name) or (
                "left out: a task that runs to its end; run it in the entry point of what waits for it, or leave it to Compose"
                if self._is_task(name) else
                f"left out: no port of it is known, and 'restart: {compose_attendance.restart(service)}' says that it may end, "
                "so it can't be a companion; declare it as a task (task = true), or leave it to Compose"
                if compose_attendance.restart(service) and self.dependencies[name] else
                "left out: no port of it is known, so no connection could wake it; if it has one, "
                "write 'expose:' into the service, else leave it to Compose or to a unit")
            self.notes.append(Note(self.raw[name].place, "", reason + self._needs(service), Weight.LOSS, name))
        if self.left_out:
            self.notes.append(Note(self.scope.path, "services", self._counted(), Weight.LOSS))

    def _is_task(self, name: str) -> bool:
        return compose_dependencies.is_awaited_to_its_end(self.scope, name, self.dependencies) or (
            name in self.raw and compose_attendance.is_job(name, self.services.get(name) or self.left_out.get(name)))

    def _needs(self, service: ComposeService) -> str:
        """Say what a service needs to go on under Compose, beside packages."""
        if service.keys.get("network_mode"):
            return ""
        others = [other for other in self.services.values()
                  if other.name in self.dependencies[service.name] or service.name in self.speakers[other.name]]
        hosts = [f"{name}:host-gateway" for other in others for name in self.networks.names(other.name, service.name)]
        ports = [f'ports = ["{at_bridge(port)}"] in [container.{other.draft.name}]'
                 for other in others if not other.published for port in self._ports_of(other)]
        here = {volume.partition(":")[0] for volume in service.draft.values.get("volumes", ())}
        shared = sorted({volume.partition(":")[0] for other in self.services.values()
                         for volume in other.draft.values.get("volumes", ())
                         if not volume.startswith("/") and volume.partition(":")[0] in here})
        parts = [*([f"extra_hosts: [{', '.join(hosts)}]"] if hosts else []), *ports,
                 *(f"the volume {name} as external" for name in shared)]
        return f"; there it needs {' and '.join(parts)}" if parts else ""

    def _counted(self) -> str:
        """Count what is in the declaration, and name what will miss the rest."""
        missing = {name: [other for other in self.dependencies[name] if other in self.left_out and not self._is_task(other)]
                   for name in self.services}
        lacking = [f"{name} needs {', '.join(others)}" for name, others in missing.items() if others]
        return f"{len(self.services)} of {len(self.services) + len(self.left_out)} are in the declaration" + (
            f"; {'; '.join(lacking)}, which {'is' if len(lacking) == 1 and lacking[0].count(',') == 0 else 'are'} left out"
            if lacking else "")

    # --- dependencies ------------------------------------------------------------------------------------------------

    def _needed_of(self, name: str, seen: set[str]) -> Iterator[str]:
        """Yield what a service depends on, and instead of a task that is left out what that depends on."""
        for other in self.dependencies.get(name, ()):
            if other in self.services:
                yield other
            elif other in self.left_out and self._is_task(other) and other not in seen:
                seen.add(other)
                yield from self._needed_of(other, seen)

    def _depend(self) -> None:
        for name, service in self.services.items():
            needed = [*self._needed_of(name, set()), *self.namespaces.needed.get(name, ())]
            role = self.roles.get(name)
            for other in dict.fromkeys(needed):
                if other not in self.roles and (role is None or other not in role.companion_of):
                    service.draft.add("requires", self.services[other].draft.name)
            for other, located in self.dependencies[name].items():
                if other in self.services:
                    continue
                task = self._is_task(other) and other in self.left_out
                service.note(located, f"depends_on {other}",
                             f"{self.unwanted[other]}, so nothing waits for it" if other in self.unwanted else
                             "a task that is left out, so nothing waits for it: what it depends on is woken first" if task else
                             "it was left out, so nothing waits for it" if other in self.raw else
                             "the project has no service of this name", Weight.LOSS)
