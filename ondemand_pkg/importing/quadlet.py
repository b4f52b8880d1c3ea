"""Quadlet files: systemd units that describe a Podman container.

Knows systemd's syntax of units and what each key of [Container] becomes; hides Podman's names.
Source: podman-systemd.unit(5), systemd.syntax(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.importing import ports
from ondemand_pkg.importing.draft import UNKNOWN_VERSION, Draft, name_of, version_of
from ondemand_pkg.importing.mounts import of_text
from ondemand_pkg.importing.service import INSTEAD, name_of_path

_LARGEST_FILE = 2**20
_OPTIONS = {
    "HostName": "--hostname", "PidsLimit": "--pids-limit", "ShmSize": "--shm-size", "StopSignal": "--stop-signal",
    "LogDriver": "--log-driver", "CgroupsMode": "--cgroupns",
}
_LISTS = {
    "AddDevice": "--device", "AddHost": "--add-host", "Annotation": "--annotation", "DNS": "--dns", "DNSOption": "--dns-option",
    "DNSSearch": "--dns-search", "GroupAdd": "--group-add", "LogOpt": "--log-opt", "Sysctl": "--sysctl", "Ulimit": "--ulimit",
}
_INSTEAD = {
    "AutoUpdate": "an upgrade of the package brings another image",
    "ContainerName": "the container is called ondemand-NAME",
    "EnvironmentHost": "write what is needed into env",
    "IP": "the relay finds the container's address by itself",
    "Mount": "write the mount into volumes, or into create_args with --mount",
    "Network": INSTEAD["networks"],
    "Notify": "write how the container is known to be ready into ready",
    "PodmanArgs": "write the same options of 'docker create' into create_args",
    "Pull": INSTEAD["pull_policy"],
    "Secret": INSTEAD["secrets"],
    "Timezone": 'write TZ into env: env = { TZ = "Europe/Berlin" }',
    "UserNS": "write --userns=host into create_args, or leave it to the engine",
}
_OTHER_SECTIONS = {
    "Install": "the package enables the socket; the container is started by the first connection",
    "Service": "the package has units of its own; 'systemctl edit ondemand-NAME-container' adds to them",
    "Unit": "the package has units of its own; 'systemctl edit ondemand-NAME-container' adds to them",
    "Quadlet": "it is Quadlet's own",
}
_QUOTED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|((?:[^\s"\'\\]|\\.)+))', re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "s": " ", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def read(path: str) -> Draft:
    """Return the draft that a `.container` file becomes; raises DeclarationError for what is none."""
    return _Quadlet(path).draft


class _Quadlet:
    def __init__(self, path: str) -> None:
        self.path = path
        self.draft = Draft(name_of(Path(path).name.removesuffix(".container")))
        self.arrays: dict[str, list[str]] = {}
        found = False
        for line, section, key, value in _assignments(path):
            if section != "Container":
                self._other(line, section, key, value)
                continue
            found = True
            self._container(line, key, self._without_specifiers(line, key, value))
        if not found:
            raise DeclarationError([Fault(path, 0, "", "no Quadlet file: it has no section [Container]")])
        if "image" not in self.draft.values:
            raise DeclarationError([Fault(path, 0, "", "the section [Container] has no Image=; write one")])
        if "ports" not in self.draft.values:
            image = self.draft.values["image"].rpartition("/")[2].partition(":")[0]
            port = ports.WELL_KNOWN.get(image, 80)
            self.draft.values["ports"] = [f"127.0.0.1:{port}:{port}"]
            self.draft.remark("ports", "It publishes none: write the port on which the container listens.")
        self.draft.keep_what_is_valid(path)

    def note(self, line: int, what: str, instead: str) -> None:
        self.draft.note(f"{self.path}:{line}", what, instead)

    def _other(self, line: int, section: str, key: str, value: str) -> None:
        if (section, key) == ("Unit", "Description"):
            self.draft.values["description"] = value
        else:
            self.note(line, f"[{section}] {key}=", _OTHER_SECTIONS.get(section, "this section is not known"))

    def _without_specifiers(self, line: int, key: str, value: str) -> str:
        """Return a value whose `%%` is `%`; other specifiers stand for what only systemd knows."""
        if re.search(r"(?<!%)(?:%%)*%[A-Za-z]", value):
            self.note(line, f"{key}=", f"the specifiers in {value!r} are systemd's; write what they stand for")
        return value.replace("%%", "%")

    def _container(self, line: int, key: str, value: str) -> None:
        draft = self.draft
        if key == "Image":
            draft.values["image"] = value
            if value.endswith((".image", ".build")) or value.startswith("localhost/"):
                self.note(line, "Image=", "push it to a registry that the hosts reach, and write its name there into image")
                draft.values["image"] = value.removeprefix("localhost/").removesuffix(".image").removesuffix(".build")
            draft.values["version"] = version_of(value) or UNKNOWN_VERSION
            if version_of(value) is None:
                draft.remark("version", "The image's tag does not tell a version: write the one that is meant.")
        elif key in ("Exec", "Entrypoint"):
            draft.values["command" if key == "Exec" else "entrypoint"] = self.words(line, value)
        elif key in ("Environment", "Label"):
            pairs = [word.partition("=") for word in self.words(line, value)]
            draft.values.setdefault("env" if key == "Environment" else "labels", {}).update(
                {name: text for name, _, text in pairs})
        elif key == "EnvironmentFile":
            self.note(line, "EnvironmentFile=", f"write the lines of {value} into /etc/ondemand/{draft.name}.env on each host")
        elif key == "PublishPort":
            self._port(line, value)
        elif key == "Volume":
            self._volume(line, value)
        elif key == "Tmpfs":
            draft.add("tmpfs", value)
        elif key in ("AddCapability", "DropCapability"):
            draft.add("cap_add" if key == "AddCapability" else "cap_drop",
                      *(word.upper().removeprefix("CAP_") for word in value.split()))
        elif key == "User":
            draft.values["user"] = value + (f":{draft.values.pop('user').partition(':')[2]}" if "user" in draft.values else "")
        elif key == "Group":
            draft.values["user"] = f"{draft.values.get('user', '0').partition(':')[0]}:{value}"
        elif key == "WorkingDir":
            draft.values["workdir"] = value
        elif key == "Memory":
            draft.values["memory"] = value
        elif key == "StopTimeout":
            draft.values["stop_timeout"] = f"{value}s" if value.isdigit() else value
        elif key == "ReadOnly":
            if _is_true(value):
                draft.values["read_only"] = True
        elif key == "HealthCmd":
            draft.values["ready"] = {"exec": ["/bin/sh", "-c", value]}
        elif key in ("RunInit", "NoNewPrivileges"):
            if _is_true(value):
                draft.add("create_args", "--init" if key == "RunInit" else "--security-opt=no-new-privileges")
        elif key == "SeccompProfile":
            draft.add("create_args", f"--security-opt=seccomp={value}")
        elif key == "SecurityLabelDisable":
            if _is_true(value):
                draft.add("create_args", "--security-opt=label=disable")
        elif key in _OPTIONS:
            draft.add("create_args", f"{_OPTIONS[key]}={value}")
        elif key in _LISTS:
            draft.add("create_args", *(f"{_LISTS[key]}={word}" for word in self.words(line, value)))
        else:
            instead = _INSTEAD.get(key, "the check is asked at a wake until it succeeds, and not afterwards"
                                   if key.startswith("Health") else "write what it does into create_args")
            self.note(line, f"{key}=", instead)

    def _port(self, line: int, value: str) -> None:
        try:
            found = ports.short(value)
        except ValueError as error:
            self.note(line, "PublishPort=", f"{error}; write each of its ports into ports")
            return
        for port in found:
            if port.protocol == "tcp":
                self.draft.add("ports", str(port))
            else:
                self.note(line, f"PublishPort={value}",
                          f"only TCP can wake a container; write \"--publish={value}\" into create_args")

    def _volume(self, line: int, value: str) -> None:
        try:
            mount = of_text(value)
        except ValueError as error:
            self.note(line, "Volume=", str(error))
            return
        for text in mount.dropped:
            self.note(line, "Volume=", text)
        source = mount.source
        if source.endswith(".volume"):
            source = f"systemd-{source.removesuffix('.volume')}"
            self.note(line, f"Volume={value}", f"Podman's volume {source} is not Docker's: copy its data into the new one")
        elif not source:
            source = f"{self.draft.name}-{name_of_path(mount.target)}"
            self.note(line, f"Volume={value}", f"a nameless volume would be lost with its container; it is named {source}")
        elif source.startswith("."):
            source = str((Path(self.path).resolve().parent / source).resolve())
            self.note(line, f"Volume={value}", f"it is {source} in the declaration; put it there on each host")
        self.draft.add("volumes", ":".join([source, mount.target, *([",".join(mount.options)] if mount.options else [])]))

    def words(self, line: int, value: str) -> list[str]:
        """Return a value's words as systemd parts them: quotes, and escapes of C."""
        found: list[str] = []
        position, text, glued = 0, value.strip(), False
        while position < len(text):
            match = _QUOTED.match(text, position)
            if match is None:
                raise DeclarationError([Fault(self.path, line, "", "a quote has no other half; close it")])
            word = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]),
                          next(group for group in match.groups() if group is not None), flags=re.DOTALL)
            if glued and not match[0][:1].isspace():
                found[-1] += word
            else:
                found.append(word)
            glued, position = True, match.end()
        return found


def _is_true(value: str) -> bool:
    return value.lower() in ("1", "yes", "true", "on", "y", "t")


def _assignments(path: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, section, key and value of each assignment; an empty one resets what stands above, which is then left out."""
    found: list[tuple[int, str, str, str]] = []
    section = ""
    for line, text in _logical_lines(path):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise DeclarationError([Fault(path, line, "", f"{text[:60]!r} is neither [SECTION] nor KEY=VALUE")])
        key, value = key.strip(), value.strip()
        if not value:
            found = [one for one in found if one[1:3] != (section, key)]
        else:
            found.append((line, section, key, value))
    yield from found


def _logical_lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield each line, continued ones joined by a space, with the number of its first; comments are left out."""
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise DeclarationError([Fault(path, 0, "", f"can't be read: {error.strerror}; give a Compose file "
                                     "(compose.yaml) or a Quadlet file (NAME.container) of this machine")]) from None
    if len(raw) > _LARGEST_FILE:
        raise DeclarationError([Fault(path, 0, "", f"larger than {_LARGEST_FILE >> 20} MiB; import a smaller file")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DeclarationError([Fault(path, raw[:error.start].count(b"\n") + 1, "",
                                      "not UTF-8; save the file in that encoding")]) from None
    if "\0" in text:
        place = text[:text.index("\0")].count("\n") + 1
        raise DeclarationError([Fault(path, place, "", "a NUL can't stand in a unit; take it out")])
    parts: list[str] = []
    first = 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not parts):
            continue
        first = first if parts else number
        if stripped.endswith("\\"):
            parts.append(stripped[:-1].rstrip())
            continue
        yield first, " ".join([*parts, stripped]).strip()
        parts = []
    if parts:
        yield first, " ".join(parts)
