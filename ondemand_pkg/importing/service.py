"""One service of a Compose project, on its way to a declaration.

Knows what each key of a service becomes: a key of the declaration, an option of `docker create`, or a note that says what
to do instead; hides both syntaxes of each.  Source: the Compose specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ondemand_pkg.declaration import values as kinds
from ondemand_pkg.importing import ports
from ondemand_pkg.importing.draft import Draft
from ondemand_pkg.importing.located import Located
from ondemand_pkg.importing.mounts import Mount, of_mapping, of_text
from ondemand_pkg.importing.ports import Published
from ondemand_pkg.importing.scope import Scope

# Keys whose value is that of one option of `docker create`.
_OPTIONS = {
    "cgroup": "--cgroupns", "cgroup_parent": "--cgroup-parent", "cpu_period": "--cpu-period", "cpu_quota": "--cpu-quota",
    "cpu_rt_period": "--cpu-rt-period",
    "cpu_rt_runtime": "--cpu-rt-runtime", "cpu_shares": "--cpu-shares", "cpuset": "--cpuset-cpus", "domainname": "--domainname",
    "hostname": "--hostname", "ipc": "--ipc", "isolation": "--isolation", "mac_address": "--mac-address",
    "mem_reservation": "--memory-reservation", "mem_swappiness": "--memory-swappiness", "memswap_limit": "--memory-swap",
    "oom_score_adj": "--oom-score-adj", "pid": "--pid", "pids_limit": "--pids-limit", "platform": "--platform",
    "runtime": "--runtime", "shm_size": "--shm-size", "stop_signal": "--stop-signal", "userns_mode": "--userns", "uts": "--uts",
}
# Keys that are a list, or one item, of which each is an option.
_LISTS = {
    "device_cgroup_rules": "--device-cgroup-rule", "devices": "--device", "dns": "--dns", "dns_opt": "--dns-option",
    "dns_search": "--dns-search", "group_add": "--group-add", "security_opt": "--security-opt",
}
_FLAGS = {"init": "--init", "oom_kill_disable": "--oom-kill-disable", "privileged": "--privileged", "stdin_open": "--interactive",
          "tty": "--tty"}
_PAIRS = {"sysctls": ("--sysctl", "="), "annotations": ("--annotation", "="), "storage_opt": ("--storage-opt", "="),
          "extra_hosts": ("--add-host", ":")}
_IGNORED = {"image", "depends_on", "profiles", "extends", "expose", "build", "links", "network_mode"}  # dealt with elsewhere
INSTEAD = {
    "attach": "the container's output goes to the journal",
    "blkio_config": "write options such as --blkio-weight into create_args",
    "configs": "make it a file of the host and mount it with a volume",
    "container_name": "the container is called ondemand-NAME",
    "cpu_count": "it is for Windows alone",
    "cpu_percent": "it is for Windows alone",
    "credential_spec": "it is for Windows alone",
    "develop": "it is for development; nothing is needed on a host",
    "external_links": "write --add-host=NAME:host-gateway into create_args and let that container's package listen",
    "gpus": 'write "--gpus=all" into create_args',
    "label_file": "write its lines into labels",
    "lifecycle": "run it in the container's entry point",
    "models": "declare the model server as a container of its own",
    "networks": "a container has the engine's bridge; others are reached through the host (--add-host in create_args)",
    "post_start": "run it in the container's entry point",
    "pre_stop": "run it in the container's entry point",
    "provider": "declare what it provides as a container of its own",
    "pull_policy": "the image is pulled when the container is made and the host has it not",
    "restart": "systemd starts the container at the next connection, however it ended",
    "scale": "a declaration is one container; declare several, or balance in front of several hosts",
    "secrets": "make it a file of the host and mount it with a volume",
    "use_api_socket": "mount /var/run/docker.sock with a volume",
    "volumes_from": "write the other container's volumes into volumes",
}
_HOST_VARIABLE = re.compile(r"host|server|addr|endpoint|broker", re.IGNORECASE)
_SWARM = "it is Swarm's; a declaration is one container on each host that installs the package"


class Service:
    """One service: its raw keys, and the draft that they become."""

    def __init__(self, name: str, keys: dict[str, Located], scope: Scope, draft: Draft) -> None:
        self.name = name
        self.keys = keys
        self.scope = scope
        self.draft = draft
        self.published: list[Published] = []

    def note(self, line: int, what: str, instead: str) -> None:
        """Tell what was not carried over."""
        self.draft.note(self.scope.place(line), f"{self.name}.{what}", instead)

    def convert(self) -> None:
        """Fill the draft with everything but what needs the other services."""
        handlers: dict[str, Callable[[Located], None]] = {
            "cap_add": self._array("cap_add"), "cap_drop": self._array("cap_drop"), "tmpfs": self._array("tmpfs"),
            "command": self._arguments("command"), "entrypoint": self._arguments("entrypoint"),
            "cpus": lambda value: self.cpus(self.scope.text(value), value.line),
            "deploy": self._deploy, "env_file": self._env_file, "environment": self._environment,
            "healthcheck": self._healthcheck, "labels": self._labels, "logging": self._logging,
            "mem_limit": self._text("memory"), "ports": self._ports, "read_only": self._read_only,
            "stop_grace_period": self._span("stop_timeout"), "ulimits": self._ulimits, "user": self._text("user"),
            "volumes": self._volumes, "working_dir": self._text("workdir"), "secrets": self._secrets, "configs": self._secrets,
        }
        # The values of env_file come first: those of environment win.
        for key in sorted(self.keys, key=lambda key: key != "env_file"):
            value = self.keys[key]
            if key in _IGNORED or key.startswith("x-") or value.value is None:
                continue
            if key in handlers:
                handlers[key](value)
            elif key in _OPTIONS:
                self.draft.add("create_args", f"{_OPTIONS[key]}={self.scope.text(value)}")
            elif key in _LISTS:
                self.draft.add("create_args", *(f"{_LISTS[key]}={item}" for item, _ in self.scope.items(value)))
            elif key in _FLAGS:
                if self.scope.flag(value):
                    self.draft.add("create_args", _FLAGS[key])
            elif key in _PAIRS:
                option, sign = _PAIRS[key]
                self.draft.add("create_args", *(f"{option}={name}{sign}{text}" for name, text, _ in
                                                self.scope.pairs(value, "=:" if sign == ":" else "=")))
            else:
                self.note(value.line, key, INSTEAD.get(key, "this key is not known; write what it does into create_args"))

    # --- keys that are keys of the declaration too -------------------------------------------------------------

    def _text(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.values[key] = self.scope.text(value)

        return convert

    def _array(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.add(key, *(item for item, _ in self.scope.items(value)))

        return convert

    def _arguments(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.values[key] = self.scope.arguments(value)

        return convert

    def _span(self, key: str) -> Callable[[Located], None]:
        def convert(value: Located) -> None:
            self.draft.values[key] = span(self.scope.text(value))

        return convert

    def cpus(self, text: str, line: int) -> None:
        """Take a number of processors."""
        try:
            number = float(text)
        except ValueError:
            self.note(line, "cpus", f"{text!r} is no number; write cpus = 1.5")
            return
        self.draft.values["cpus"] = int(number) if number.is_integer() else number

    def _read_only(self, value: Located) -> None:
        if self.scope.flag(value):
            self.draft.values["read_only"] = True

    def _environment(self, value: Located) -> None:
        env = self.draft.values.setdefault("env", {})
        for name, text, line in self.scope.pairs(value, "="):
            if text is None:  # from the environment of who runs Compose
                text = self.scope.variables.get(name)
            if text is None:
                self.note(line, f"environment.{name}", "it has no value here; write it into /etc/ondemand/NAME.env on each host")
            else:
                env[name] = text

    def _env_file(self, value: Located) -> None:
        entries = value.value if isinstance(value.value, list) else [value]
        env = self.draft.values.setdefault("env", {})
        for entry in entries:
            required = True
            if isinstance(entry.value, dict):
                keys = entry.value
                required = "required" not in keys or self.scope.flag(keys["required"])
                entry = keys.get("path", Located(entry.line, ""))
            path = self.scope.text(entry)
            found = self.scope.variables_of(path)
            if found is None:
                if required:
                    self.note(entry.line, f"env_file {path}",
                              "it can't be read; write its lines into /etc/ondemand/NAME.env on each host")
                continue
            env |= found
            self.draft.remark("env", f"Those of {path} are among them; secrets belong in /etc/ondemand/{self.draft.name}.env on "
                                     "each host.")

    def _labels(self, value: Located) -> None:
        self.draft.values.setdefault("labels", {}).update(
            {name: text or "" for name, text, _ in self.scope.pairs(value, "=")})

    # --- ports and volumes -------------------------------------------------------------------------------------

    def _ports(self, value: Located) -> None:
        for item in self.scope.sequence(value, "ports"):
            try:
                if isinstance(item.value, dict):
                    part = {key: self.scope.text(inner) for key, inner in item.value.items() if not key.startswith("x-")}
                    found = ports.long(part.get("host_ip", ""), part.get("published", ""), part.get("target", ""),
                                       part.get("protocol", ""))
                    if part.get("mode") == "host" and "deploy" in self.keys:
                        self.note(item.line, "ports.mode", _SWARM)
                else:
                    found = ports.short(self.scope.text(item))
            except ValueError as error:
                self.note(item.line, "ports", f"{error}; write each of its ports into ports")
                continue
            for port in found:
                if port.protocol != "tcp":
                    self.note(item.line, f"ports {port}/{port.protocol}",
                              f"only TCP can wake a container; write \"--publish={port}/{port.protocol}\" into create_args, it "
                              "is open while the container runs")
                    continue
                if port.listen is None:
                    self.note(item.line, f"ports {port.container}",
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
                self.note(item.line, "volumes", str(error))
                continue
            self._mount(mount, item.line)

    def _mount(self, mount: Mount, line: int) -> None:
        for text in mount.dropped:
            self.note(line, "volumes", text)
        if mount.kind == "tmpfs":
            self.draft.add("tmpfs", mount.target + (f":{','.join(mount.options)}" if mount.options else ""))
            return
        source = mount.source
        if mount.kind == "bind":
            source = self.scope.absolute(source)
            if source != mount.source:
                self.note(line, f"volumes {mount.source}",
                          f"it is {source} in the declaration; put it there on each host, or write another path")
        elif not source:
            source = f"{self.draft.name}-{name_of_path(mount.target)}"
            self.note(line, f"volumes {mount.target}",
                      f"a nameless volume would be lost with its container; it is named {source}")
        else:
            source = self.scope.volume_name(source)
        self.draft.add("volumes", ":".join([source, mount.target, *([",".join(mount.options)] if mount.options else [])]))

    def _secrets(self, value: Located) -> None:
        """Mount a secret or a config that is a file of the host where Compose does."""
        kind = "secrets" if value is self.keys.get("secrets") else "configs"
        for item in self.scope.sequence(value, kind):
            short = not isinstance(item.value, dict)
            keys = {} if short else self.scope.plain(item)
            name = self.scope.text(item) if short else str(keys.get("source", ""))
            target = str(keys.get("target") or name)
            file = self.scope.file_of(kind, name)
            if file is None:
                self.note(item.line, f"{kind} {name}", INSTEAD[kind])
                continue
            if not target.startswith("/"):
                target = f"/run/secrets/{target}" if kind == "secrets" else f"/{target}"
            self.draft.add("volumes", f"{file}:{target}:ro")
            self.note(item.line, f"{kind} {name}", f"the file {file} is mounted on {target}; put it there on each host")

    # --- limits, health, and what becomes options ------------------------------------------------------------------

    def _deploy(self, value: Located) -> None:
        for key, part in self.scope.mapping(value, "deploy").items():
            if key == "resources":
                self._resources(part)
            elif not (key == "replicas" and self.scope.text(part) in ("0", "1")) and not key.startswith("x-"):
                self.note(part.line, f"deploy.{key}", _SWARM)

    def _resources(self, value: Located) -> None:
        for kind, limits in self.scope.mapping(value, "resources").items():
            for key, part in self.scope.mapping(limits, kind).items():
                if (kind, key) == ("limits", "memory"):
                    self.draft.values["memory"] = self.scope.text(part)
                elif (kind, key) == ("limits", "cpus"):
                    self.cpus(self.scope.text(part), part.line)
                elif (kind, key) == ("limits", "pids"):
                    self.draft.add("create_args", f"--pids-limit={self.scope.text(part)}")
                elif (kind, key) == ("reservations", "memory"):
                    self.draft.add("create_args", f"--memory-reservation={self.scope.text(part)}")
                else:
                    instead = INSTEAD["gpus"] if key == "devices" else _SWARM
                    self.note(part.line, f"deploy.resources.{kind}.{key}", instead)

    def _healthcheck(self, value: Located) -> None:
        keys = self.scope.mapping(value, "healthcheck")
        test = keys.get("test")
        arguments = [] if test is None else [text for text, _ in self.scope.items(test)]
        if test is not None and not isinstance(test.value, list):
            arguments.insert(0, "CMD-SHELL")
        if ("disable" in keys and self.scope.flag(keys["disable"])) or arguments[:1] == ["NONE"]:
            self.draft.add("create_args", "--no-healthcheck")
            return
        by_form = {"CMD": arguments[1:], "CMD-SHELL": ["/bin/sh", "-c", " ".join(arguments[1:])]}
        left = by_form.get(arguments[0]) if arguments else None
        timing = [key for key in ("interval", "timeout", "retries", "start_interval") if key in keys]
        if timing:
            self.note(keys[timing[0]].line, f"healthcheck.{', '.join(timing)}",
                      "the check is asked over and over at a wake until it succeeds, and not afterwards")
        ready: dict[str, Any] = {"healthcheck": True} if not left else {"exec": left}
        if "start_period" in keys:
            try:
                seconds = kinds.time_span(span(self.scope.text(keys["start_period"])))
            except kinds.Invalid:
                seconds = 0
            if seconds > 30:  # the default leaves room for half a minute and as much again
                ready["timeout"] = f"{int(2 * seconds)}s"
        if left is not None or arguments == []:
            self.draft.values["ready"] = ready

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

    def exposed(self) -> Iterator[int]:
        """Yield the ports of `expose`."""
        value = self.keys.get("expose")
        if value is not None and value.value is not None:
            for text, line in self.scope.items(value):
                try:
                    yield from (port.container for port in ports.short(text) if port.protocol == "tcp")
                except ValueError as error:
                    self.note(line, "expose", str(error))

    def mentioned(self, name: str) -> tuple[bool, list[int]]:
        """Tell whether environment or command speak of another service as a host, and of which ports.

        `//NAME`, `@NAME` and `NAME:PORT` are such words anywhere, the bare name where the variable is called after a host.
        """
        texts = [*self.draft.values.get("env", {}).items(), *(("", text) for text in self.draft.values.get("command", []))]
        if not any(name in text for _, text in texts):  # most often; a project has a pair for each two services
            return False, []
        pattern = re.compile(rf"(^|//|@|[^A-Za-z0-9_.@-]){re.escape(name)}(?::([0-9]{{1,5}}))?(?![A-Za-z0-9_.-])")
        found = [match for variable, text in texts for match in pattern.finditer(text)
                 if match[1] in ("//", "@") or match[2] or _HOST_VARIABLE.search(variable)]
        return bool(found), [int(match[2]) for match in found if match[2] and 0 < int(match[2]) < 65536]


def span(text: str) -> str:
    """Return a duration of Compose ("1m30s", "1.5h", "10") as a declaration writes it ("1min 30s")."""
    if re.fullmatch(r"[0-9]+", text):
        return f"{text}s"
    parts = re.findall(r"([0-9.]+)(us|µs|ms|s|m|h|d)", text)
    return " ".join(number + {"m": "min"}.get(unit, unit) for number, unit in parts) or text


def name_of_path(path: str) -> str:
    """Return a name for a volume from where it is mounted."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", path.strip("/")) or "data"
