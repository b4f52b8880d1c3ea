"""Quadlet files that belong together: one, or all of a directory.

Knows what files say of each other (pods, volumes, networks, images, dependencies, names in a network) and which containers a
connection can wake; hides what one file says of its container.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ondemand_pkg.declaration.fields import IMAGE
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.engines import create_options
from ondemand_pkg.errors import DeclarationError, Fault, OndemandError
from ondemand_pkg.importing import health_checks, ports
from ondemand_pkg.importing.draft import IDLE, Draft, name_of
from ondemand_pkg.importing.listen import Listening, Wish
from ondemand_pkg.importing.notes import Note, Weight
from ondemand_pkg.importing.quadlet import QuadletContainer, is_true
from ondemand_pkg.importing.quadlet_files import KINDS, QuadletFiles, is_template, template_of
from ondemand_pkg.importing.quadlet_roles import STRONG, Roles, is_task
from ondemand_pkg.importing.run_options import Source
from ondemand_pkg.importing.unit_files import Assignment, Unit

_OF_POD = {"PublishPort": "--publish", "AddHost": "--add-host", "DNS": "--dns", "DNSOption": "--dns-option",
           "DNSSearch": "--dns-search", "HostName": "--hostname", "ShmSize": "--shm-size"}  # what its first container takes over
_LEFT_OUT = ("a connection wakes a container: it publishes no TCP port, and neither an exposed one nor its health check says "
             "where it listens; write PublishPort=")


def is_quadlet(path: str) -> bool:
    """Tell whether a path is a Quadlet file, or a directory that has one of a container."""
    if os.path.isdir(path):
        return next(Path(path).rglob("*.container"), None) is not None
    return path.rpartition(".")[2] in KINDS


def read(path: str, allow_outside: bool = False) -> tuple[list[Draft], list[Note]]:
    """Return the drafts of a `.container` file or of a directory, and notes that belong to none of them.

    Unless ``allow_outside``, links that lead out of the directory are not followed.  Raises OndemandError where no container is
    left that a connection can wake.
    """
    if not os.path.isdir(path) and not path.endswith(".container"):
        raise OndemandError(f"{path}: only .container files of Quadlet, and directories with them, can be imported; import the "
                            "directory")
    project = Project(path, allow_outside)
    drafts = project.drafts()
    if not drafts:
        if project.is_one:
            raise OndemandError(f"{path}: it can't be woken:", *map(str, project.notes))
        raise OndemandError(f"{path}: none of its containers can be woken:", *map(str, project.notes))
    return drafts, project.notes


class Project:
    """The units of a directory, or one of them, and the drafts that they become."""

    def __init__(self, path: str, allow_outside: bool = False) -> None:
        self.path = path
        self._files = QuadletFiles(path, allow_outside)
        self.is_one = self._files.is_one
        self.notes = self._files.notes
        self.containers: list[QuadletContainer] = []
        self._by_unit: dict[str, QuadletContainer] = {}
        self._called: dict[str, str] = {}  # the declared name of each container, by that which the other engine gives it
        names = [Path(path).name] if self.is_one else [name for name in sorted(self._files.paths) if name.endswith(".container")]
        for name in names:
            if not is_template(name):
                self._take(name)
        self._instantiate([name for name in names if is_template(name)])

    def _take(self, name: str) -> None:
        """Read a container; in a directory, one that can't be read is left out."""
        try:
            unit = self._files.unit(name)
            assert unit is not None
            self.containers.append(QuadletContainer(unit))
        except DeclarationError as error:
            if self.is_one:
                raise
            self.notes += [Note(f"{fault.path}:{fault.line}", "left out", fault.message, Weight.LOSS) for fault in error.faults]

    def _instantiate(self, templates: Sequence[str]) -> None:
        """Read the instances of templates that systemd would make: by [Install], and those that another unit needs."""
        instances = {template: [one.unit.file_name for one in self.containers if template_of(one.unit.file_name) == template]
                     for template in templates}
        for template, found in instances.items():
            if default := self._default_instance(template):
                found.append(template.replace("@.", f"@{default}."))
        looked_at = 0
        while True:
            for name in [name for template in templates for name in dict.fromkeys(instances[template])]:
                if name not in {one.unit.file_name for one in self.containers}:
                    self._take(name)
            for one in self.containers[looked_at:]:
                for name, where in one.dependencies():
                    needed = name.removesuffix(".service") + ".container"
                    if template_of(needed) in instances and template_of(needed) != needed and where.key in STRONG:
                        instances[template_of(needed)].append(needed)
            if looked_at == len(self.containers):
                break
            looked_at = len(self.containers)
        for template in [template for template, found in instances.items() if not found]:
            text = f"a template becomes a container for each link to it: link it as {template.replace('@.', '@INSTANCE.')}"
            if self.is_one:
                raise OndemandError(f"{self.path}: {text}, and import that")
            self.notes.append(Note(str(self._files.paths[template]), "left out", text, Weight.LOSS))

    def _default_instance(self, template: str) -> str:
        try:
            unit = self._files.unit(template)
        except DeclarationError:
            return ""  # it is reported where it is an instance's
        return unit.last("Install", "DefaultInstance") if unit is not None else ""

    # --- the way of all containers -----------------------------------------------------------------------------

    def convert(self) -> None:
        """Fill the drafts of all containers with what their files say."""
        taken: set[str] = set()
        for one in self.containers:
            while one.draft.name in taken:
                one.draft.name += "-2"
            taken.add(one.draft.name)
        self._by_unit = {f"{one.service}.service": one for one in self.containers}
        self._by_unit |= {one.unit.file_name: one for one in self.containers}
        self._called |= {one.container_name: one.draft.name for one in self.containers}
        for one in self.containers:
            one.run.container = lambda name: f"ondemand-{self._called.get(name) or name_of(name)}"
            if not self.is_one:
                one.known_networks = {name for name in self._files.paths if name.endswith(".network")}
            one.convert(self._resource(one))
        by_name = {one.draft.name: one for one in self.containers}
        for one in self.containers:
            if one.run.network.startswith("container:"):
                one.shares = by_name.get(self._called.get(one.run.network.removeprefix("container:"), ""))

    def drafts(self) -> list[Draft]:
        """Return the drafts of what a connection can wake, and note what is left out."""
        self.convert()
        self._pods()
        self.containers = [one for one in self.containers if self._has_image(one)]
        roles = Roles(self.containers, self._needed)
        roles.settle()
        for one in roles.left_out:
            self._leave_out(one)
        roles.write()
        self._tell_dependencies()
        roles.require()
        for one in roles.kept:
            one.draft.keep_what_is_valid(one.unit.path)
        self._listen(roles.kept)
        for one in roles.kept:
            if roles.is_woken(one):
                one.draft.values["idle"] = IDLE
            one.draft.stack = "" if self.is_one else self._files.directory.name
        if roles.left_out and not self.is_one:
            self._count(roles.kept)
        for name in sorted(self._files.paths):
            if name.endswith(".kube") and not self.is_one:
                self.notes.append(Note(str(self._files.paths[name]), "[Kube]",
                                       "import its containers one by one: 'import -- podman run ...'"))
        return [one.draft for one in roles.kept if {"ports", "expose", "companion_of", "task"} & one.draft.values.keys()]

    def _listen(self, kept: Sequence[QuadletContainer]) -> None:
        """Move the port of a container that another one of the directory has."""
        def telling(one: QuadletContainer) -> Callable[[str, str], None]:
            return lambda what, text: one.draft.note(one.unit.path, what, text, Weight.LOSS)

        wishes = [Wish(one.draft.name, one.draft, [port for text in one.draft.values.pop("ports") for port in ports.short(text)],
                       telling(one)) for one in kept if all(map(_is_address, one.draft.values.get("ports", ["-"])))]
        Listening(wishes).write()

    def _count(self, woken: Sequence[QuadletContainer]) -> None:
        left_out = {one.draft.name for one in self.containers} - {one.draft.name for one in woken}
        lacking = [f"{one.draft.name} needs {len(needed)} that {'is' if len(needed) == 1 else 'are'} left out" for one in woken
                   if (needed := {other.draft.name for other, _ in self._needed(one)} & left_out)]
        self.notes.append(Note(self.path, f"{len(woken)} of {len(self.containers)} containers",
                               "; ".join(lacking) or "none of these needs the others", Weight.LOSS))

    def _has_image(self, one: QuadletContainer) -> bool:
        """A declaration without its image is none: in a directory, the container is left out."""
        image = one.unit.all("Container", "Image")
        try:
            IMAGE.parse(one.draft.values.get("image", ""))
        except Invalid as invalid:
            text = one.draft.values.get("image") or (image[-1].value if image else "")
            remedy = "write the tag that is meant in place of the variable" if "$" in text else str(invalid.mistakes[0])
            line = image[-1].line if image else 0
            fault = Fault(one.unit.path, line, "", f"Image= gives {text!r}", remedy)
            if self.is_one:
                raise DeclarationError([fault]) from None
            self.notes.append(Note(f"{fault.path}:{fault.line}", "left out", fault.message, Weight.LOSS))
            return False
        return True

    # --- what stands for another file --------------------------------------------------------------------------

    def _resource(self, one: QuadletContainer) -> Callable[[str, Assignment], str]:
        def resource(name: str, where: Assignment) -> str:
            kind = name.rpartition(".")[2]
            if kind not in ("volume", "network", "image", "build", "container") or "/" in name:
                return name
            unit = self._files.unit(name)
            if unit is None:
                one.note(where, f"there is no file {name} beside this one; import the directory that has it")
                stem = name.removesuffix(f".{kind}")
                return stem if kind in ("image", "build", "container") else f"systemd-{stem}"
            return self._meant(one, where, unit)

        return resource

    def _meant(self, one: QuadletContainer, where: Assignment, unit: Unit) -> str:
        """Return the image, volume, network or container that a unit stands for, and note what else it says."""
        section = unit.kind.capitalize()
        if unit.kind == "container":
            other = QuadletContainer(unit)
            self._called.setdefault(other.container_name, other.draft.name)
            return other.container_name
        if unit.kind in ("image", "build"):
            if unit.kind == "build":
                one.note(where, "images are not built on hosts; build it, push it to a registry that the hosts reach, and write "
                                "its name there into image")
            found = unit.all(section, "ImageTag")[:1] if unit.kind == "build" else unit.all(section, "ImageTag")[-1:]
            return found[0].value if found else unit.last(section, "Image")
        if unit.kind == "volume":
            device, kind = unit.last(section, "Device"), unit.last(section, "Type")
            if device.startswith("/") and (kind == "bind" or "bind" in unit.last(section, "Options").split(",")):
                return device
            for line in unit.assignments:
                if line.section == section and line.key not in ("VolumeName", "ServiceName"):
                    one.draft.note(line.place, f"[{section}] {line.key}=", "create the volume with this on each host first: "
                                                                             "'docker volume create'")
            return _resource_name(one, unit, unit.last(section, "VolumeName"))
        for line in unit.all(section, "Internal"):
            note = Note(line.place, "[Network] Internal=", "this isolation is lost: on the engine's bridge containers reach "
                        "other networks, and any container of the host reaches them", Weight.LOSS)
            if is_true(line.value) and note not in self.notes:
                self.notes.append(note)
        return _resource_name(one, unit, unit.last(section, "NetworkName"))

    # --- pods --------------------------------------------------------------------------------------------------

    def _pods(self) -> None:
        """Give a pod's ports to the container of it that seems to listen there: its other containers share that one's network."""
        pods: dict[str, list[QuadletContainer]] = {}
        for one in self.containers:
            for where in one.unit.all("Container", "Pod")[-1:]:
                if self._files.unit(where.value) is None:
                    one.note(where, f"there is no file {where.value} beside this one; import the directory that has it")
                else:
                    pods.setdefault(where.value, []).append(one)
        for name, members in pods.items():
            unit = self._files.unit(name)
            assert unit is not None
            if self.is_one and len(members) == 1:
                members[0].draft.remark("", f"It is of the pod {name}: containers in one pod share localhost.")
            numbers = [port.container for line in unit.all("Pod", "PublishPort") for port in _published(line.value)]
            first = max(members, key=lambda one: (bool(set(numbers) & set(_spoken_of(one))), -members.index(one)))
            self._take_over(unit, first, members)
            first.names += [unit.last("Pod", "PodName") or f"systemd-{unit.name}",
                            *(line.value for line in unit.all("Pod", "NetworkAlias"))]
            for member in members:
                member.networks = {line.value.partition(":")[0] for line in unit.all("Pod", "Network")}
            for member in members:
                if member is not first:
                    member.shares = first
                    member.draft.values["network_of"] = first.draft.name
                    member.draft.note(member.unit.path, "Pod=", f"containers in a pod share localhost: it uses the network of "
                                                                f"{first.draft.name}, which has the pod's ports")

    def _take_over(self, pod: Unit, first: QuadletContainer, members: Sequence[QuadletContainer]) -> None:
        for line in pod.assignments:
            if line.section != "Pod" or line.key in ("PodName", "ServiceName", "ExitPolicy", "Network", "NetworkAlias"):
                continue  # what others call it by is its first container's
            source = Source(line.place, f"[Pod] {line.key}=")
            if line.key in _OF_POD:
                first.run.take(_OF_POD[line.key], line.value, create_options.option(_OF_POD[line.key]), source)
            elif line.key == "Volume":
                for member in members:
                    member.run.take("--volume", line.value, create_options.option("--volume"), source)
            else:
                first.run.note(source, "a pod has no counterpart; set what it means with create_args")

    # --- what is left out ---------------------------------------------------------------------------------------

    def _leave_out(self, one: QuadletContainer) -> None:
        self.notes += one.draft.notes if self.is_one else []
        if one.run.network == "host":
            why = ("with the host's network its server listens by itself, and no connection can wake it; give it a network of "
                   "its own: write PublishPort= in place of Network=host")
        elif one.shares is not None:
            why = f"the network that it uses is that of {one.shares.draft.name}, which is left out"
        elif is_task(one):
            why = ("a task that runs to its end, and no container needs it: leave it to its timer, or declare it with task = "
                   "true and schedule")
        elif one.run.unwoken:
            why = f"only TCP and UDP can wake a container, and it publishes {', '.join(one.run.unwoken)} alone"
        else:
            why = _LEFT_OUT
        self.notes.append(Note(one.unit.path, "left out", why, Weight.LOSS))

    # --- dependencies and names --------------------------------------------------------------------------------

    def _needed(self, one: QuadletContainer) -> Iterator[tuple[QuadletContainer, Assignment]]:
        """Yield the containers of the project that a unit's dependencies name, each once, those that are only ordered last."""
        found: dict[str, tuple[QuadletContainer, Assignment]] = {}
        for name, where in sorted(one.dependencies(), key=lambda pair: pair[1].key == "After"):
            other = self._by_unit.get(name)
            if other is not None and other is not one and where.key in (*STRONG, "After"):
                found.setdefault(other.draft.name, (other, where))
        yield from found.values()

    def _tell_dependencies(self) -> None:
        for one in self.containers:
            for name, where in one.dependencies():
                beside = name.removesuffix(".service") + ".container"
                if self.is_one and beside in self._files.paths and where.key in STRONG:
                    one.note(where, f"{name} is {beside}; import the directory to have it woken first")
                elif where.key not in ("Before", "PartOf") and beside not in self._files.paths and name not in self._files.paths:
                    one.note(where, "the package has units of its own; 'systemctl edit ondemand-{name}-container' adds to them",
                             Weight.ROUTINE)


def _resource_name(one: QuadletContainer, unit: Unit, text: str) -> str:
    """Return the name of what a unit makes, as the container's command has it: its specifiers are those of the container."""
    text = text or (f"systemd-{unit.name[:-1]}-%i" if "@" in unit.name else f"systemd-{unit.name}")
    return one.unit.expanded(text, one.service)[0]


def _is_address(text: str) -> bool:
    """Tell whether a port of a declaration is one of an address of the host."""
    try:
        return bool(ports.short(text))
    except ValueError:
        return False


def _published(text: str) -> list[ports.Published]:
    try:
        return [port for port in ports.short(text.lower()) if port.protocol == "tcp"]
    except ValueError:
        return []


def _spoken_of(one: QuadletContainer) -> list[int]:
    """Return the ports on which a container listens by its own file: those that its health check asks."""
    return health_checks.ports(one.draft.values.get("ready", {}).get("exec", []))
