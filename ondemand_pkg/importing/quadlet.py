"""Quadlet files: systemd units that describe a Podman container.

Knows which option of `podman run` each key of [Container] is, as Podman's generator does; hides the units that belong together
and what options become.  Source: podman-systemd.unit(5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ondemand_pkg.engines import create_options
from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.importing import health_checks
from ondemand_pkg.importing.draft import Draft, name_of
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.quadlet_files import OUTSIDE
from ondemand_pkg.importing.run_options import RunOptions, Source, take_words
from ondemand_pkg.importing.unit_files import Assignment, Unit, with_variables, words

_LAST = {  # keys of which the last one counts
    "CgroupsMode": "--cgroups", "Entrypoint": "--entrypoint", "HealthCmd": "--health-cmd", "HealthInterval": "--health-interval",
    "HealthLogDestination": "--health-log-destination", "HealthMaxLogCount": "--health-max-log-count",
    "HealthMaxLogSize": "--health-max-log-size", "HealthOnFailure": "--health-on-failure", "HealthRetries": "--health-retries",
    "HealthStartPeriod": "--health-start-period", "HealthStartupCmd": "--health-startup-cmd",
    "HealthStartupInterval": "--health-startup-interval", "HealthStartupRetries": "--health-startup-retries",
    "HealthStartupSuccess": "--health-startup-success", "HealthStartupTimeout": "--health-startup-timeout",
    "HealthTimeout": "--health-timeout", "HostName": "--hostname", "IP": "--ip", "IP6": "--ip6", "LogDriver": "--log-driver",
    "Memory": "--memory", "PidsLimit": "--pids-limit", "Pull": "--pull", "Retry": "--retry", "RetryDelay": "--retry-delay",
    "ShmSize": "--shm-size", "StopSignal": "--stop-signal", "StopTimeout": "--stop-timeout", "SubGIDMap": "--subgidname",
    "SubUIDMap": "--subuidname", "Timezone": "--tz", "UserNS": "--userns", "WorkingDir": "--workdir",
}
_ALL = {  # keys of which each is a value
    "AddHost": "--add-host", "DNS": "--dns", "DNSOption": "--dns-option", "DNSSearch": "--dns-search", "ExposeHostPort":
        "--expose",
    "GroupAdd": "--group-add", "Network": "--network", "NetworkAlias": "--network-alias", "PublishPort": "--publish",
    "Tmpfs": "--tmpfs", "Ulimit": "--ulimit", "Volume": "--volume",
}
_WORDS = {"AddCapability": "--cap-add", "AddDevice": "--device", "DropCapability": "--cap-drop", "GIDMap": "--gidmap",
          "LogOpt": "--log-opt", "Sysctl": "--sysctl", "UIDMap": "--uidmap"}
_ARGUMENTS = {"EnvironmentFile": "--env-file", "Mount": "--mount", "Secret": "--secret"}
_PAIRS = {"Annotation": "--annotation", "Environment": "--env", "Label": "--label"}
_LEADING_TO_DATA = {"Volume", "Mount", "Tmpfs", "PublishPort", "AddDevice"}
_SWITCHES = {"EnvironmentHost": "--env-host", "HttpProxy": "--http-proxy", "ReadOnly": "--read-only",
             "ReadOnlyTmpfs": "--read-only-tmpfs", "RunInit": "--init"}
_SECURITY = {"Mask": "mask={}", "SeccompProfile": "seccomp={}", "SecurityLabelFileType": "label=filetype:{}",
             "SecurityLabelLevel": "label=level:{}", "SecurityLabelType": "label=type:{}", "Unmask": "unmask={}"}
_SECURITY_SWITCHES = {"NoNewPrivileges": "no-new-privileges", "SecurityLabelDisable": "label=disable",
                      "SecurityLabelNested": "label=nested"}
ELSEWHERE = {"Image", "Exec", "User", "Group", "Pod", "PodmanArgs", "Notify", "ContainerName", "ServiceName", "StartWithPod"}
INSTEAD = {
    "AutoUpdate": "an upgrade of the package brings another image",
    "ContainersConfModule": "settings of containers.conf have no counterpart; write options into create_args",
    "GlobalArgs": "they are for the whole command; the package asks the engine by its socket",
    "ReloadCmd": "the package's units have no reload; 'docker exec ondemand-{name} ...' runs a command in the container",
    "ReloadSignal": "the package's units have no reload; 'docker kill --signal=... ondemand-{name}' sends it",
    "RemapGid": "user namespaces are a setting of the engine", "RemapUid": "user namespaces are a setting of the engine",
    "RemapUidSize": "user namespaces are a setting of the engine", "RemapUsers": "user namespaces are a setting of the engine",
    "Rootfs": "a declaration needs an image: 'docker import' makes one of a directory",
    "VolatileTmp": 'write tmpfs = ["/tmp"]',
}
OPTIONS = (*_LAST, *_ALL, *_WORDS, *_ARGUMENTS, *_PAIRS, *_SWITCHES, *_SECURITY, *_SECURITY_SWITCHES)  # the keys that are options
_OTHER_SECTIONS = {
    "Install": "the package enables the socket; the container is started by the first connection",
    "Service": "the package has units of its own; 'systemctl edit ondemand-{name}-container' adds to them",
    "Unit": "the package has units of its own; 'systemctl edit ondemand-{name}-container' adds to them",
    "Quadlet": "it is Quadlet's own",
}
_DEPENDENCIES = {"Requires", "After", "BindsTo", "Wants", "Requisite", "PartOf", "Before", "Upholds"}
Resource = Callable[[str, Assignment], str]


class QuadletContainer:
    """One `.container` file on its way to a draft; ``draft`` has no ports where the file names none."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        if "Container" not in unit.sections:
            near = [section for section in unit.sections if section.lower() == "container"]
            raise DeclarationError([Fault(unit.path, 0, "", "not a Quadlet file: it has no section [Container]",
                                          f"found [{near[0]}], but upper and lower case differ" if near else "")])
        if not unit.last("Container", "Image") and not unit.last("Container", "Rootfs"):
            raise DeclarationError([Fault(unit.path, 0, "", "the section [Container] has no Image=", "write one")])
        self.service = unit.service("Container")
        self.draft = Draft(name_of(self.service))
        self.run = RunOptions(self.draft, Path(unit.path).parent.resolve(), is_docker=False)
        self.known_networks: set[str] = set()  # by the names of their files
        self.shares: QuadletContainer | None = None  # the network of whom it uses, in a pod
        # The name that the other engine gives the container, those by which others find it, and the networks where they do.
        template, at, instance = self.service.partition("@")
        self.container_name = self._expanded(unit.last("Container", "ContainerName")) or (
            f"systemd-{template}_{instance}" if at else f"systemd-{self.service}")
        self.names = [self.container_name, *(self._expanded(one.value) for one in unit.all("Container", "NetworkAlias"))]
        self.networks = {one.value.partition(":")[0] for one in unit.all("Container", "Network")}
        self._variables: dict[str, str] = {}
        for one in unit.all("Service", "Environment"):
            self._variables |= {name: self._expanded(value) for name, _, value in (word.partition("=") for word in one.words())}

    def convert(self, resource: Resource) -> None:
        """Fill the draft; ``resource`` says what a name of another Quadlet file, such as data.volume, stands for."""
        for path in self.unit.outside:
            self.draft.note(path, "link", OUTSIDE, Weight.LOSS)
        for one in self.unit.assignments:
            if one.section != "Container":
                self._other(one)
            elif one.key in INSTEAD:
                self.note(one, INSTEAD[one.key])
            elif one.key not in ELSEWHERE and self._options_of(one) is None:
                self.note(one, "unknown key, for which Podman refuses the file; set what it means with create_args")
        for option, value, one in self.options(resource):
            self.run.take(option, value, create_options.option(option, of_run=True), Source(one.place, f"{one.key}="))
        self._words_of_podman()
        image = self.unit.all("Container", "Image")
        if image:
            self.run.image(self._value(resource(self._expanded(image[-1].value), image[-1]), image[-1]),
                           Source(image[-1].place, "Image="))
        for one in self.unit.all("Container", "Exec")[-1:]:
            self.draft.values["command"] = [self._value(word, one) for word in one.words()]
        self.run.finish()
        self._start_limit()
        self._notify()

    def options(self, resource: Resource) -> Iterator[tuple[str, str, Assignment]]:
        """Yield the options of `podman run` that the keys are, and where they are written; a switch has "true" or "false"."""
        of_many = {**_ALL, **_WORDS, **_ARGUMENTS, **_PAIRS, "Mask": "", "Unmask": ""}
        last = {one.key: one for one in self.unit.assignments if one.section == "Container"}
        pairs: dict[tuple[str, str], tuple[str, Assignment]] = {}
        for one in self.unit.assignments:
            if one.section != "Container" or (one.key not in of_many and last[one.key] is not one):
                continue
            if one.key == "NetworkAlias" and self.known_networks:
                continue  # the others of its networks have it
            for option, word in self._options_of(one) or ():
                text = self._expanded(word, one)
                if one.key in _PAIRS:
                    name, equals, rest = text.partition("=")
                    pairs[one.key, name] = f"{name}{equals}{rest}", one
                    continue
                if one.key in ("Volume", "Network", "Mount"):
                    text = self._with_resource(text, one, resource)
                    if one.key == "Network" and word.partition(":")[0] in self.known_networks:
                        continue  # the others in it are reached by the host
                if one.key in _LEADING_TO_DATA and (unknown := with_variables(text, self._variables)[1]):
                    self.note(one, f"{self._only_there(unknown)}; it was left out: write it into the declaration with the value "
                                   "that is meant", Weight.LOSS)
                    continue
                yield option, self._value(text, one), one
        for (key, name), (text, one) in pairs.items():
            value, unknown = with_variables(text, self._variables)
            if unknown and key == "Environment":
                self.note(one, f"{name} has the value of {', '.join(unknown)}, which only the host knows{self._of_files()}; "
                               f"write {name}=... into /etc/ondemand/{self.draft.name}.env there", Weight.LOSS)
                continue
            yield _PAIRS[key], value, one
        if user := self.unit.all("Container", "User"):
            group = self._expanded(self.unit.last("Container", "Group"), user[-1])
            yield "--user", self._expanded(user[-1].value, user[-1]) + (f":{group}" if group else ""), user[-1]

    def note(self, one: Assignment, instead: str, weight: Weight = Weight.CHANGED) -> None:
        """Say what was not imported as it was."""
        what = f"{one.key}=" if one.section == "Container" else f"[{one.section}] {one.key}="
        self.draft.note(one.place, what, instead.replace("{name}", self.draft.name), weight)

    def _options_of(self, one: Assignment) -> list[tuple[str, str]] | None:
        """Return the options of an assignment, its value parted as Quadlet parts that of its key; None for a key without one."""
        key, value = one.key, one.value
        if key in _LAST or key in _ALL:
            return [({**_LAST, **_ALL}[key], value)]
        if key in _WORDS:
            return [(_WORDS[key], word) for word in map(self._without_dash(one), one.words(unescapes=False))]
        if key in _ARGUMENTS or key in _PAIRS:
            return [({**_ARGUMENTS, **_PAIRS}[key], word) for word in one.words()]
        if key in _SWITCHES:
            return [(_SWITCHES[key], "true" if is_true(value) else "false")]
        if key in ("Mask", "Unmask"):
            return [("--security-opt", _SECURITY[key].format(word)) for word in one.words()]
        if key in _SECURITY:
            return [("--security-opt", _SECURITY[key].format(value))]
        if key in _SECURITY_SWITCHES:
            return [("--security-opt", _SECURITY_SWITCHES[key])] if is_true(value) else []
        return None

    def _without_dash(self, one: Assignment) -> Callable[[str], str]:
        """A device that may be missing begins with a dash."""
        def part(word: str) -> str:
            if one.key == "AddDevice" and word.startswith("-"):
                self.note(one, f"{word[1:]} may be missing there; Docker needs it on each host")
                return word[1:]
            return word

        return part

    def _with_resource(self, text: str, one: Assignment, resource: Resource) -> str:
        """Return a value in which another Quadlet file is replaced by what it stands for."""
        if one.key == "Mount":
            fields = [field.partition("=") for field in text.split(",")]
            return ",".join(name + equals + (resource(value, one) if name in ("source", "src") else value)
                            for name, equals, value in fields)
        name, colon, rest = text.partition(":")
        found = resource(name, one)
        if one.key == "Network" and name.endswith(".container"):
            found = f"container:{found}"
        return found + colon + rest

    # --- what systemd makes of values --------------------------------------------------------------------------

    def _expanded(self, text: str, one: Assignment | None = None) -> str:
        """Return a text with its specifiers resolved."""
        found, doubtful = self.unit.expanded(text, self.service)
        for specifier in doubtful if one is not None else ():
            assert one is not None
            meant = self.unit.expanded(specifier, self.service)[0]
            self.note(one, f"{specifier} differs between hosts and users; it is {meant!r} in the declaration, as in units of the "
                           "system: write the path that is meant")
        return found

    def _value(self, text: str, one: Assignment) -> str:
        """Return a word of the command with its variables replaced."""
        if one.key in ("Exec", "PodmanArgs", "Image"):
            text = self._expanded(text, one)
        found, unknown = with_variables(text, self._variables)
        if unknown:
            self.note(one, f"{self._only_there(unknown)}; write it in place of {text!r}")
        return found

    def _only_there(self, unknown: Sequence[str]) -> str:
        names = ", ".join(f"${name}" for name in dict.fromkeys(unknown))
        return f"the value of {names} is known on the host only{self._of_files()}"

    def _of_files(self) -> str:
        files = [one.value.lstrip("-") for one in self.unit.all("Service", "EnvironmentFile")]
        return f" ({', '.join(files)})" if files else ""

    # --- what is no option -------------------------------------------------------------------------------------

    def _words_of_podman(self) -> None:
        for one in self.unit.all("Container", "PodmanArgs"):
            arguments = [self._value(word, one) for word in one.words()]
            take_words(self.run, arguments, _source_of(one), "podman", may_have_arguments=False)

    def _notify(self) -> None:
        for one in self.unit.all("Container", "Notify")[-1:]:
            if one.value.lower() == "healthy":
                ready = self.draft.values.get("ready", {})
                if "exec" not in ready:  # the check is the image's
                    self.draft.values["ready"] = {"healthcheck": True} | {
                        key: value for key, value in ready.items() if key == "timeout"}
            elif is_true(one.value):
                self.note(one, "the container says by itself when it is ready, which Docker does not pass on; write into ready "
                               "how else it is known")

    def _start_limit(self) -> None:
        for one in self.unit.all("Service", "TimeoutStartSec")[-1:]:
            self.run.wait(min(health_checks.seconds(one.value), 86400))

    def _other(self, one: Assignment) -> None:
        if (one.section, one.key) == ("Unit", "Description"):
            self.draft.values["description"] = self._expanded(one.value)
        elif one.section == "Unit" and one.key in _DEPENDENCIES:
            return  # what they lead to is known where all files are
        elif (one.section, one.key) in (("Service", "TimeoutStartSec"), ("Service", "Environment")):
            return
        elif (one.section, one.key) == ("Service", "EnvironmentFile"):
            self.note(one, "its variables are for the command of the unit, not for the container")
        else:
            self.note(one, _OTHER_SECTIONS.get(one.section, "unknown section"), Weight.ROUTINE)

    def dependencies(self) -> Iterator[tuple[str, Assignment]]:
        """Yield the units that this one names in [Unit], and where."""
        for one in self.unit.assignments:
            if one.section == "Unit" and one.key in _DEPENDENCIES:
                yield from ((name, one) for name in words(self._expanded(one.value)))


def _source_of(one: Assignment) -> Callable[[str], Source]:
    return lambda word: Source(one.place, f"PodmanArgs={word}")


def is_true(value: str) -> bool:
    """Tell whether a value switches on."""
    return value.lower() in ("1", "yes", "true", "on", "y", "t")
