"""One service of a Compose project, on its way to a declaration.

Knows what each key of a service becomes: a key of the declaration, an option of `docker create`, or a note that says what
to do instead; hides both syntaxes of each.  Source: the Compose specification.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ondemand_pkg.declaration import values as kinds
from ondemand_pkg.importing import compose_devices, compose_secrets, ports
from ondemand_pkg.importing.compose_environment import ServiceEnvironment
from ondemand_pkg.importing.compose_file import ComposeFile
from ondemand_pkg.importing.compose_words import Spoken
from ondemand_pkg.importing.draft import Draft
from ondemand_pkg.importing.mounts import Mount, of_mapping, of_text
from ondemand_pkg.importing.notes import Weight
from ondemand_pkg.importing.ports import Published
from ondemand_pkg.importing.yaml_lines import Located
from ondemand_pkg.model import DEFAULT_READY_TIMEOUT

# Keys whose value is that of one option of `docker create`.
_OPTIONS = {
    "cgroup": "--cgroupns", "cgroup_parent": "--cgroup-parent", "cpu_period": "--cpu-period", "cpu_quota": "--cpu-quota",
    "cpu_rt_period": "--cpu-rt-period",
    "cpu_rt_runtime": "--cpu-rt-runtime", "cpu_shares": "--cpu-shares", "cpuset": "--cpuset-cpus", "domainname": "--domainname",
    "hostname": "--hostname", "isolation": "--isolation", "mac_address": "--mac-address",
    "mem_reservation": "--memory-reservation", "mem_swappiness": "--memory-swappiness", "memswap_limit": "--memory-swap",
    "oom_score_adj": "--oom-score-adj", "pids_limit": "--pids-limit", "platform": "--platform",
    "runtime": "--runtime", "shm_size": "--shm-size", "stop_signal": "--stop-signal", "userns_mode": "--userns", "uts": "--uts",
}
# Keys that are a list, or one item, of which each is an option.
_LISTS = {
    "device_cgroup_rules": "--device-cgroup-rule", "dns": "--dns", "dns_opt": "--dns-option",
    "dns_search": "--dns-search", "group_add": "--group-add", "security_opt": "--security-opt",
}
_FLAGS = {"init": "--init", "oom_kill_disable": "--oom-kill-disable", "privileged": "--privileged", "stdin_open": "--interactive",
          "tty": "--tty"}
_PAIRS = {"sysctls": "--sysctl", "annotations": "--annotation", "storage_opt": "--storage-opt"}
# Dealt with elsewhere.
_IGNORED = {"build", "container_name", "depends_on", "env_file", "environment", "expose", "extends", "image", "ipc", "links",
            "network_mode", "networks", "pid", "profiles"}
INSTEAD = {
    "attach": "the container's output goes to the journal",
    "blkio_config": "write options such as --blkio-weight into create_args",
    "cpu_count": "only for Windows",
    "cpu_percent": "only for Windows",
    "credential_spec": "only for Windows",
    "develop": "only for development; not needed on a host",
    "external_links": "write --add-host=NAME:host-gateway into create_args and let that container's package listen",
    "label_file": "write its lines into labels",
    "lifecycle": "run it in the container's entry point",
    "models": "declare the model server as a container of its own",
    "networks": "a container has the engine's bridge; others are reached through the host (--add-host in create_args)",
    "post_start": "run it in the container's entry point",
    "pre_start": "it does not run: declare each of its commands as a container with the same image and volumes, task = true, "
                 'when = "wake" and before = ["{NAME}"]',
    "pre_stop": "run it in the container's entry point",
    "provider": "declare what it provides as a container of its own",
    "pull_policy": "the image is pulled when the container is created and the host does not have it",
    "restart": "systemd starts the container at the next connection, no matter how it exited",
    "scale": "a declaration is one container; declare several, or balance in front of several hosts",
    "use_api_socket": "mount /var/run/docker.sock with a volume",
    "volumes_from": "write the other container's volumes into volumes",
}
# What everybody expects of a package, or that says nothing on a host.
_ROUTINE = {"attach", "cpu_count", "cpu_percent", "develop", "pull_policy", "restart"}
_LOSSES = {"pre_start"}  # without which it may not work
_SWARM = "it is Swarm's; a declaration is one container on each host that installs the package"


class ComposeService:
    """One service: its raw keys, and the draft that they become."""

    def __init__(self, name: str, keys: dict[str, Located], scope: ComposeFile, draft: Draft) -> None:
        self.name = name
        self.keys = keys
        self.scope = scope
        self.draft = draft
        self.published: list[Published] = []
        self.is_inside = False  # whether other containers alone reach it
        self.test: list[str] = []  # the words of its health check
        self.left_out: dict[str, str] = {}  # variables of the environment that seem to be secrets
        self.bound: list[str] = []  # what its volumes mount of the host
        self.mounted: list[str] = []  # the texts of its configuration files

    def note(self, located: Located, what: str, instead: str, weight: Weight = Weight.CHANGED) -> None:
        """Tell what was not carried over."""
        self.draft.note(located.place, what, instead, weight, self.name)

    def convert(self) -> None:
        """Fill the draft with everything but what needs the other services."""
        handlers: dict[str, Callable[[Located], None]] = {
            "cap_add": self._capabilities("cap_add"), "cap_drop": self._capabilities("cap_drop"), "devices": self._devices,
            "tmpfs": self._array("tmpfs"), "gpus": self._gpus, "extra_hosts": self._hosts,
            "command": self._arguments("command"), "entrypoint": self._arguments("entrypoint"),
            "cpus": lambda value: self.cpus(value),
            "deploy": self._deploy,
            "healthcheck": self._healthcheck, "labels": self._labels, "logging": self._logging,
            "mem_limit": self._text("memory"), "ports": self._ports, "read_only": self._read_only,
            "stop_grace_period": self._span("stop_timeout"), "ulimits": self._ulimits, "user": self._text("user"),
            "volumes": self._volumes, "working_dir": self._text("workdir"), "secrets": self._secrets, "configs": self._secrets,
        }
        environment = ServiceEnvironment(self.name, self.keys, self.scope, self.draft)
        self.left_out = environment.left_out
        if environment.kept:
            self.draft.values["env"] = environment.kept
        for key, value in self.keys.items():
            if key in _IGNORED or key.startswith("x-") or value.value is None:
                continue
            if key in handlers:
                handlers[key](value)
            elif key in _OPTIONS:
                self.draft.add("create_args", f"{_OPTIONS[key]}={self.scope.text(value)}")
            elif key in _LISTS:
                self.draft.add("create_args", *(f"{_LISTS[key]}={text}" for text in self.scope.texts(value)))
            elif key in _FLAGS:
                if self.scope.flag(value):
                    self.draft.add("create_args", _FLAGS[key])
            elif key in _PAIRS:
                self.draft.add("create_args", *(f"{_PAIRS[key]}={name}={text}" for name, text, _ in self.scope.pairs(value, "=")))
            else:
                weight = (Weight.ROUTINE if key in _ROUTINE else
                          Weight.CHANGED if key in INSTEAD and key not in _LOSSES else Weight.LOSS)
                self.note(value, key, INSTEAD.get(key, "unknown key; set it with create_args"), weight)

    # --- keys that are keys of the declaration too -------------------------------------------------------------

    def _text(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.values[key] = self.scope.text(value)

        return convert

    def _hosts(self, value: Located) -> None:
        # Engines before 2023 refuse an address in brackets.
        self.draft.add("create_args", *(f"--add-host={name}:{(text or '').removeprefix('[').removesuffix(']')}"
                                        for name, text, _ in self.scope.pairs(value, "=:")))

    def _array(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.add(key, *self.scope.texts(value))

        return convert

    def _capabilities(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.add(key, *(text.upper() for text in self.scope.texts(value)))

        return convert

    def _devices(self, value: Located) -> None:
        self.draft.add("create_args", *(compose_devices.device(self.scope, item)
                                        for item in self.scope.sequence(value, "devices")))

    def _gpus(self, value: Located) -> None:
        try:
            self.draft.add("create_args", *compose_devices.of_gpus(self.scope, value))
        except ValueError as error:
            self.note(value, "gpus", f"{error}; write --gpus into create_args")

    def _reserve(self, value: Located) -> None:
        for item in self.scope.sequence(value, "devices"):
            try:
                self.draft.add("create_args", compose_devices.reserved(self.scope, item))
            except ValueError as error:
                self.note(item, "deploy.resources.reservations.devices", f"{error}; write what it needs into create_args")

    def _arguments(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.values[key] = self.scope.arguments(value)

        return convert

    def _span(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.values[key] = span(self.scope.text(value))

        return convert

    def cpus(self, value: Located) -> None:
        """Take a number of processors."""
        text = self.scope.text(value)
        try:
            number = float(text)
        except ValueError:
            self.note(value, "cpus", f"{text!r} is not a number; write cpus = 1.5")
            return
        self.draft.values["cpus"] = int(number) if number.is_integer() else number

    def _read_only(self, value: Located) -> None:
        if self.scope.flag(value):
            self.draft.values["read_only"] = True

    def _labels(self, value: Located) -> None:
        self.draft.values.setdefault("labels", {}).update(
            {name: text or "" for name, text, _ in self.scope.pairs(value, "=")})

    # --- ports and volumes -------------------------------------------------------------------------------------

    def _ports(self, value: Located) -> None:
        for item in self.scope.sequence(value, "ports"):
            try:
                found = ports.of(item)
            except ValueError as error:
                self.note(item, "ports", f"{error}; write each of its ports into ports")
                continue
            for port in found:
                if port.protocol not in ports.WOKEN_BY:
                    self.note(item, f"ports {port}", f"only TCP and UDP can wake a container; write \"--publish={port}\" into "
                                                     "create_args, it is open while the container runs")
                    continue
                if port.listen is None:
                    self.note(item, f"ports {port.container}",
                              f"the engine would choose a port; it listens on {port.container}")
                self.published.append(port)

    def _volumes(self, value: Located) -> None:
        for item in self.scope.sequence(value, "volumes"):
            try:
                if isinstance(item.value, dict):
                    mount = of_mapping(self.scope.plain(item))
                else:
                    mount = of_text(self.scope.text(item))
            except ValueError as error:
                self.note(item, "volumes", str(error))
                continue
            self._mount(mount, item)

    def _mount(self, mount: Mount, item: Located) -> None:
        for text in mount.dropped:
            self.note(item, "volumes", text)
        if mount.kind == "tmpfs":
            self.draft.add("tmpfs", mount.target + (f":{','.join(mount.options)}" if mount.options else ""))
            return
        source = mount.source
        if mount.kind == "bind":
            source = self.scope.absolute(source)
            self.bound.append(source)
            if source != mount.source:
                self.note(item, f"volumes {mount.source} ({source})",
                          "put it at this path on each host, or write another one into the declaration", Weight.LOSS)
        elif not source:
            source = f"{self.draft.name}-{name_of_path(mount.target)}"
            self.note(item, f"volumes {mount.target}",
                      f"an anonymous volume would be lost with its container; named {source} here")
        else:
            source = self.scope.volume_name(source)
        self.draft.add("volumes", ":".join([source, mount.target, *([",".join(mount.options)] if mount.options else [])]))

    def _secrets(self, value: Located) -> None:
        """Mount a secret or a config that is a file of the host where Compose does."""
        kind = "secrets" if value is self.keys.get("secrets") else "configs"
        for item in self.scope.sequence(value, kind):
            one = compose_secrets.given(self.scope, kind, item)
            if one.file is None:
                self.note(item, f"{kind} {one.name}", compose_secrets.by_hand(one, self.draft.name), Weight.LOSS)
                continue
            self.draft.add("volumes", f"{one.file}:{one.target}:ro")
            self.note(item, f"{kind} {one.name}", f"the file {one.file} is mounted on {one.target}; put it there on each host")

    # --- limits, health, and what becomes options ------------------------------------------------------------------

    def _deploy(self, value: Located) -> None:
        for key, part in self.scope.mapping(value, "deploy").items():
            if key == "resources":
                self._resources(part)
            elif not (key == "replicas" and self.scope.text(part) == "1") and not key.startswith("x-"):
                self.note(part, f"deploy.{key}", _SWARM)

    def _resources(self, value: Located) -> None:
        for kind, limits in self.scope.mapping(value, "resources").items():
            for key, part in self.scope.mapping(limits, kind).items():
                if (kind, key) == ("limits", "memory"):
                    self.draft.values["memory"] = self.scope.text(part)
                elif (kind, key) == ("limits", "cpus"):
                    self.cpus(part)
                elif (kind, key) == ("limits", "pids"):
                    self.draft.add("create_args", f"--pids-limit={self.scope.text(part)}")
                elif (kind, key) == ("reservations", "memory"):
                    self.draft.add("create_args", f"--memory-reservation={self.scope.text(part)}")
                elif key == "devices":
                    self._reserve(part)
                else:
                    self.note(part, f"deploy.resources.{kind}.{key}", _SWARM)

    def _healthcheck(self, value: Located) -> None:
        keys = self.scope.mapping(value, "healthcheck")
        test = keys.get("test")
        arguments = [] if test is None else self.scope.texts(test)
        self.test = arguments
        if test is not None and not isinstance(test.value, list):
            arguments.insert(0, "CMD-SHELL")
        if ("disable" in keys and self.scope.flag(keys["disable"])) or arguments[:1] == ["NONE"]:
            self.draft.add("create_args", "--no-healthcheck")
            return
        by_form = {"CMD": arguments[1:], "CMD-SHELL": ["/bin/sh", "-c", " ".join(arguments[1:])]}
        left = by_form.get(arguments[0]) if arguments else None
        timing = [key for key in ("interval", "timeout", "retries", "start_period", "start_interval") if key in keys]
        if timing:
            self.note(keys[timing[0]], f"healthcheck.{', '.join(timing)}",
                      "the check is repeated at a wake until it succeeds or the time is over that Compose would give it, and not "
                      "afterwards", Weight.ROUTINE)
        ready: dict[str, Any] = {"healthcheck": True} if not left else {"exec": left}
        limit = self._start_limit(keys) if timing else 0
        if limit > DEFAULT_READY_TIMEOUT:
            ready["timeout"] = f"{math.ceil(limit)}s"
        if left is not None or arguments == []:
            self.draft.values["ready"] = ready

    def _start_limit(self, keys: Mapping[str, Located]) -> float:
        """Return after how many seconds Compose takes a container that never gets ready for unhealthy."""
        def seconds(key: str, default: float) -> float:
            try:
                return kinds.time_span(span(self.scope.text(keys[key]))) if key in keys else default
            except kinds.Invalid:
                return default

        retries = self.scope.text(keys["retries"]) if "retries" in keys else "3"
        return seconds("start_period", 0) + seconds("interval", 30) * (int(retries) if retries.isdigit() else 3)

    def _logging(self, value: Located) -> None:
        for key, part in self.scope.mapping(value, "logging").items():
            if key == "driver":
                self.draft.add("create_args", f"--log-driver={self.scope.text(part)}")
            elif key == "options" and part.value is not None:
                self.draft.add("create_args", *(f"--log-opt={name}={text or ''}"
                                                for name, text, _ in self.scope.pairs(part, "=")))

    def _ulimits(self, value: Located) -> None:
        for name, limit in self.scope.mapping(value, "ulimits").items():
            if isinstance(limit.value, dict):
                both = [self.scope.text(limit.value[key]) for key in ("soft", "hard") if key in limit.value]
            else:
                both = [self.scope.text(limit)]
            self.draft.add("create_args", f"--ulimit={name}={':'.join(both)}")

    # --- what needs the other services -----------------------------------------------------------------------------

    def exposed(self) -> Iterator[str]:
        """Yield the ports of `expose`."""
        value = self.keys.get("expose")
        if value is not None and value.value is not None:
            for text, item in self.scope.items(value):
                try:
                    yield from (port.inside for port in ports.short(text) if port.protocol in ports.WOKEN_BY)
                except ValueError as error:
                    self.note(item, "expose", str(error))

    def options(self) -> list[str]:
        """Return the options of `docker create` so far."""
        found: list[str] = self.draft.values.get("create_args", [])
        return found

    @functools.cached_property
    def spoken(self) -> Spoken:
        """What the converted service says of others."""
        values = self.draft.values
        commands = [*values.get("entrypoint", []), *values.get("command", [])]
        return Spoken({**values.get("env", {}), **self.left_out}, commands, self.mounted, self.test)


def span(text: str) -> str:
    """Return a duration of Compose ("1m30s", "1.5h", "10") as a declaration writes it ("1min 30s")."""
    if re.fullmatch(r"[0-9]+", text):
        return f"{text}s"
    parts = re.findall(r"([0-9.]+)(us|µs|ms|s|m|h|d)", text)
    return " ".join(number + {"m": "min"}.get(unit, unit) for number, unit in parts) or text


def name_of_path(path: str) -> str:
    """Return a name for a volume from where it is mounted."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", path.strip("/")) or "data"
