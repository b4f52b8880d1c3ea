"""Options of `docker run` and `podman run`, on their way into a declaration.

Knows what each option becomes: a key, an option of `docker create`, or a note that says what to do instead; hides in which
file or command line it was.  Source: docker-run(1), podman-run(1).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ondemand_pkg.declaration import container_values
from ondemand_pkg.declaration import values as kinds
from ondemand_pkg.declaration.fields import BY_KEY
from ondemand_pkg.declaration.values import Invalid
from ondemand_pkg.engines import create_options
from ondemand_pkg.importing import health_checks, ports
from ondemand_pkg.importing.compose_service import INSTEAD, name_of_path
from ondemand_pkg.importing.draft import UNKNOWN_VERSION, Draft, version_of
from ondemand_pkg.importing.mounts import Mount, of_mapping, of_text
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.option_remedies import NOTES, ONLY_THERE, ROUTINE, SILENT
from ondemand_pkg.model import DEFAULT_READY_TIMEOUT

_OF_THE_ENGINE = ("", "bridge", "default", "private", "slirp4netns", "pasta", "podman")  # networks that are like the default one
_MOUNT_KEYS = {"src": "source", "destination": "target", "dst": "target", "readonly": "read_only", "ro": "read_only"}


@dataclass
class Source:
    """Where an option was: its place, and by which word notes speak of it."""

    place: str
    what: str


@dataclass
class RunOptions:
    """One container whose options are taken one after the other, and then as a whole by ``finish``.

    ``base`` is the directory that relative paths start from.  ``is_docker`` says whose command it was, ``container`` how a
    name of another container is called here.
    """

    draft: Draft
    base: Path
    is_docker: bool
    container: Callable[[str], str] = lambda name: f"ondemand-{name}"
    network: str = ""
    unwoken: list[str] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)
    _health: dict[str, tuple[str, Source]] = field(default_factory=dict)
    _read_only_tmpfs: bool = True

    def take(self, name: str, value: str, option: create_options.Option | None, source: Source) -> None:
        """Take one option; ``value`` of a switch is "true" or "false"."""
        handlers: Mapping[str, Callable[[str, Source], None]] = {
            "--env": self._env, "--label": self._label, "--publish": self._publish, "--expose": self._expose,
            "--volume": self._volume, "--mount": self._mount, "--tmpfs": self._tmpfs, "--network": self._network,
            "--secret": self._secret, "--cap-add": self._capability("cap_add"), "--cap-drop": self._capability("cap_drop"),
            "--user": self._text("user"), "--workdir": self._text("workdir"), "--memory": self._text("memory"),
            "--cpus": self._cpus, "--read-only": self._read_only, "--read-only-tmpfs": self._tmpfs_of_read_only,
            "--entrypoint": self._entrypoint, "--stop-timeout": self._stop_timeout, "--tz": self._zone,
            "--env-file": self._env_file, "--requires": self._requires,
        }
        if name in SILENT or f"{name}={value}" in SILENT:
            return
        if name in handlers:
            handlers[name](value, source)
        elif name.startswith("--health-") and name not in NOTES:
            self._health[name.removeprefix("--health-")] = value, source
        elif name == "--no-healthcheck":
            self._health["cmd"] = "none", source
        elif name in NOTES:
            if value != "false":
                self.note(source, NOTES[name].replace("{value}", value), Weight.ROUTINE if name in ROUTINE else Weight.CHANGED)
        elif name in ("--pid", "--ipc", "--uts") and value.startswith("container:"):
            self._pass_on(f"{name}=container:{self.container(value.partition(':')[2])}", option, source)
        elif name in ONLY_THERE and re.match(ONLY_THERE[name][0], value):
            if ONLY_THERE[name][1]:
                self.note(Source(source.place, f"{source.what.removesuffix('=')}={value}"), ONLY_THERE[name][1])
        elif option is not None and not option.takes_value:
            if value == "true":
                self._pass_on(name, option, source)
        else:
            self._pass_on(f"{name}={value}", option, source)

    def note(self, source: Source, instead: str, weight: Weight = Weight.CHANGED) -> None:
        """Say what was not imported as it was."""
        self.draft.note(source.place, source.what, instead, weight)

    def image(self, text: str, source: Source) -> None:
        """Take the image."""
        if text.startswith("localhost/"):
            self.note(source, f"push {text} to a registry that the hosts reach, and write its name there into image")
            text = text.removeprefix("localhost/")
        text = text.removeprefix("docker://")
        self.draft.values["image"] = text
        self.draft.values["version"] = version_of(text) or UNKNOWN_VERSION
        if version_of(text) is None:
            self.draft.remark("version", "The image's tag is not a version: write the intended one.")

    def finish(self) -> None:
        """Settle what several options say together."""
        values = self.draft.values
        self._readiness()
        if values.get("read_only") and not self.is_docker and self._read_only_tmpfs:
            taken = [mount.partition(":")[0] for mount in values.get("tmpfs", ())]
            taken += [volume.split(":")[1] for volume in values.get("volumes", ())]
            added = [path for path in ("/run", "/tmp", "/var/tmp") if path not in taken]
            self.draft.add("tmpfs", *added)
            if added:
                self.draft.remark("tmpfs", f"The other engine mounts {', '.join(added)} in each read-only container.")
        if self.network == "host" and values.pop("ports", None):
            self.draft.note(self.draft.name, "network host", "with the host's network, published ports have no meaning: the "
                                                             "server listens by itself")
        if "ports" not in values and self.exposed and not self.network:
            values["expose"] = list(dict.fromkeys(self.exposed))

    # --- keys that are keys of the declaration too -------------------------------------------------------------

    def _text(self, key: str) -> Callable[[str, Source], None]:
        def take(value: str, source: Source) -> None:
            self._set(key, value, source)

        return take

    def _set(self, key: str, value: Any, source: Source) -> None:
        """Set a key, where the reader would take the value."""
        try:
            BY_KEY[key].value.parse(value)
        except Invalid as invalid:
            self.note(source, f"found {value!r}; {invalid.mistakes[0]}")
            return
        if isinstance(value, list):
            self.draft.add(key, *value)
        else:
            self.draft.values[key] = value

    def _capability(self, key: str) -> Callable[[str, Source], None]:
        def take(value: str, source: Source) -> None:
            for word in value.replace(",", " ").split():
                self._set(key, [word.upper().removeprefix("CAP_")], source)

        return take

    def _env(self, value: str, source: Source) -> None:
        name, equals, text = value.partition("=")
        if not equals:
            self.note(source, f"{name} is taken from the environment of who starts it; write a line {name}=... into "
                              f"/etc/ondemand/{self.draft.name}.env on each host")
            return
        self.draft.values.setdefault("env", {})[name] = text

    def _label(self, value: str, source: Source) -> None:
        name, _, text = value.partition("=")
        if name == "io.containers.autoupdate":
            self.note(source, "an upgrade of the package brings another image")
            return
        self.draft.values.setdefault("labels", {})[name] = text

    def _publish(self, value: str, source: Source) -> None:
        body, slash, protocol = value.partition("/")
        try:
            found = ports.short(f"{body}{slash}{protocol.lower()}")
        except ValueError as error:
            self.note(source, f"{error}; write each of its ports into ports")
            return
        for port in found:
            if port.protocol not in ports.WOKEN_BY:
                self.unwoken.append(value)
                self.note(Source(source.place, f"{source.what.rstrip('=')}={value}"),
                          f"only TCP and UDP can wake a container; write \"--publish={value}\" into create_args")
                continue
            if port.listen is None:
                self.note(source, f"the engine would choose a port of the host; it listens on {port.container}")
            self.draft.add("ports", str(port))

    def _expose(self, value: str, source: Source) -> None:
        try:
            self.exposed += [port.inside for port in ports.short(value.lower()) if port.protocol in ports.WOKEN_BY]
        except ValueError as error:
            self.note(source, str(error))

    def _volume(self, value: str, source: Source) -> None:
        try:
            self._mounted(of_text(value), source, value)
        except ValueError as error:
            self.note(source, str(error))

    def _mounted(self, mount: Mount, source: Source, written: str) -> None:
        for text in mount.dropped:
            self.note(source, text)
        if mount.kind == "tmpfs":
            self._set("tmpfs", [mount.target + (f":{','.join(mount.options)}" if mount.options else "")], source)
            return
        origin, options = mount.source, list(mount.options)
        named = Source(source.place, f"{source.what}{written}" if source.what.endswith("=") else f"{source.what} {written}")
        if not origin:
            origin = f"{self.draft.name}-{name_of_path(mount.target)}"
            self.note(named, f"an anonymous volume would be lost with its container; named {origin} here")
        elif origin.startswith("."):
            origin = os.path.normpath(self.base / origin)
            self.note(named, f"it is {origin} in the declaration; put it there on each host")
        elif origin.startswith("~"):
            self.note(named, "~ is the home of whoever runs the command; write the path that is meant", Weight.LOSS)
            return
        else:
            self._data_of_the_other_engine(origin, named)
        self._set("volumes", [":".join([origin, mount.target, *([",".join(options)] if options else [])])], named)

    def _data_of_the_other_engine(self, origin: str, source: Source) -> None:
        if not self.is_docker and not origin.startswith("/"):
            self.note(source, f"Podman's volume {origin} is not Docker's: copy its data into the new one", Weight.LOSS)

    def _mount(self, value: str, source: Source) -> None:
        fields = [part.partition("=") for part in value.split(",")]
        keys: dict[str, Any] = {_MOUNT_KEYS.get(name, name): text if equals else "true" for name, equals, text in fields}
        groups: dict[str, dict[str, Any]] = {}
        for name, group, inner in (("bind-propagation", "bind", "propagation"), ("relabel", "bind", "selinux"),
                                   ("volume-nocopy", "volume", "nocopy"), ("tmpfs-size", "tmpfs", "size"),
                                   ("tmpfs-mode", "tmpfs", "mode")):
            if name in keys:
                text = keys.pop(name)
                if name == "relabel":
                    text = {"shared": "z", "private": "Z"}.get(text, text)
                groups.setdefault(group, {})[inner] = text
        if set(keys) - {"type", "source", "target", "read_only", "consistency"}:
            self._pass_on(f"--mount={value}", create_options.option("--mount"), source)
            return
        try:
            self._mounted(of_mapping({**keys, **groups}), source, value)
        except ValueError as error:
            self.note(source, str(error))

    def _tmpfs(self, value: str, source: Source) -> None:
        path, colon, options = value.partition(":")
        kept = [option for option in options.split(",") if option not in ("tmpcopyup", "notmpcopyup", "U", "")]
        if len(kept) < len([option for option in options.split(",") if option]):
            self.note(source, f"only {value!r} without tmpcopyup, notmpcopyup and U can be imported")
        self._set("tmpfs", [path + (colon + ",".join(kept) if kept else "")], source)

    def _cpus(self, value: str, source: Source) -> None:
        try:
            number = float(value)
        except ValueError:
            self.note(source, f"{value!r} is not a number; write cpus = 1.5")
            return
        self._set("cpus", int(number) if number.is_integer() else number, source)

    def _read_only(self, value: str, source: Source) -> None:
        if value == "true":
            self._set("read_only", True, source)

    def _tmpfs_of_read_only(self, value: str, source: Source) -> None:
        del source
        self._read_only_tmpfs = value == "true"

    def _entrypoint(self, value: str, source: Source) -> None:
        found: Any = None
        if not self.is_docker and value.startswith("["):
            try:
                found = json.loads(value)
            except ValueError:
                found = None
        self._set("entrypoint", found if isinstance(found, list) else [value] if value else [], source)
        if value == "":
            self.draft.values["entrypoint"] = []

    def _stop_timeout(self, value: str, source: Source) -> None:
        self._set("stop_timeout", f"{value}s" if value.isdigit() else value, source)

    def _zone(self, value: str, source: Source) -> None:
        if value == "local":
            self.note(source, 'it is the zone of each host; write the one that is meant: env = { TZ = "Europe/Berlin" }')
            return
        self.draft.values.setdefault("env", {})["TZ"] = value
        self.draft.remark("env", "TZ is the time zone; the image needs tzdata for it.")

    def _env_file(self, value: str, source: Source) -> None:
        self.note(source, f"write the lines of {value} into /etc/ondemand/{self.draft.name}.env on each host")

    def _requires(self, value: str, source: Source) -> None:
        for name in value.split(","):
            self._set("requires", [name], source)

    def _secret(self, value: str, source: Source) -> None:
        """A secret of the other engine: as a variable it belongs in the administrator's file, else it is a file."""
        name, *fields = value.split(",")
        keys = dict(part.partition("=")[::2] for part in fields)
        if keys.get("type") == "env":
            target = keys.get("target", name)
            self.draft.note(source.place, f"{source.what} {target} (of {name})", "write the secret's value, as a line "
                            "VARIABLE=..., into /etc/ondemand/{NAME}.env on each host", Weight.LOSS, self.draft.name)
            return
        target = keys.get("target", name)
        path = target if target.startswith("/") else f"/run/secrets/{target}"
        self.note(source, f"put the secret {name} into a file of each host, readable by the container's user, and mount it: "
                          f'volumes = ["/etc/ondemand/{self.draft.name}.{name}:{path}:ro"]', Weight.LOSS)

    # --- networks ------------------------------------------------------------------------------------------------

    def _network(self, value: str, source: Source) -> None:
        kind = value.partition(":")[0]
        if kind in _OF_THE_ENGINE:
            return
        if kind == "host" or kind == "none":
            self.network = kind
            self._pass_on(f"--network={kind}", create_options.option("--network"), source)
        elif kind == "container":
            self.network = value
            self.draft.values["network_of"] = self.container(value.partition(":")[2]).removeprefix("ondemand-")
        else:
            self.note(source, INSTEAD["networks"])

    # --- health, and what is passed on ---------------------------------------------------------------------------

    def _readiness(self) -> None:
        command, source = self._health.get("cmd", ("", Source("", "")))
        limit = health_checks.limit({key: value for key, (value, _) in self._health.items()})
        ready: dict[str, Any] = {}
        if command:
            argv = health_checks.argv(command, self.is_docker)
            if argv:
                ready = {"exec": argv}
            elif argv is None:
                self._pass_on("--no-healthcheck", create_options.option("--no-healthcheck"), source)
            else:
                self.note(source, f"{command!r} is not a command; write ready")
        for key, (_, place) in self._health.items():
            if key in ("interval", "timeout", "retries", "start-interval"):
                self.note(place, "the check is repeated at a wake until it succeeds, and not afterwards", Weight.ROUTINE)
            elif key.startswith("startup-") or key.startswith(("log-", "max-log")):
                self.note(place, "the check of ready is asked until it succeeds, within its timeout, and not afterwards")
        if ready or limit:
            self.wait(limit, ready)

    def wait(self, seconds: float, ready: dict[str, Any] | None = None) -> None:
        """Let clients wait so long, and no shorter than before, for what ``ready`` says, or was said already."""
        found = {**self.draft.values.get("ready", {}), **(ready or {})}
        before = kinds.time_span(found["timeout"]) if "timeout" in found else DEFAULT_READY_TIMEOUT
        if seconds > before:
            found["timeout"] = f"{int(seconds)}s"
        if found:
            self.draft.values["ready"] = found if len(found) > 1 or "timeout" not in found else {"tcp": True, **found}

    def _pass_on(self, argument: str, option: create_options.Option | None, source: Source) -> None:
        """Add an option to create_args, where the engine takes it with this value."""
        if option is None or "docker" not in option.engines:
            self.note(source, f"Docker has no such option; leave {argument.partition('=')[0]} out, or do without what it does")
            return
        try:
            container_values.CREATE_ARGS.parse([argument])
        except Invalid as invalid:
            self.note(source, f'"{argument}": {invalid.mistakes[0]}')
            return
        self.draft.add("create_args", argument)


def take_words(run: RunOptions, words: Sequence[str], source: Callable[[str], Source], engine: str,
               may_have_arguments: bool) -> int:
    """Take options from the words of a command line; return at which of them its arguments begin."""
    given, misread, end = create_options.read(words, may_have_arguments, of_run=True)
    for one in misread:
        run.note(source(words[one.index]), f"{one.finding}; {one.remedy}")
    for option in given:
        where = source(option.name)
        if engine not in option.option.engines:
            run.note(where, f"{engine.capitalize()} has no such option; it was left out")
            continue
        run.take(option.name, option.value, option.option, where)
    return end
