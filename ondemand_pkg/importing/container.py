"""A declaration from a container that is there.

Knows what `docker inspect` tells of how a container was made, and what of it comes from its image or is the engine's
default; hides the engine's names.  Source: the Engine API, ContainerInspect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ondemand_pkg.importing import gpus
from ondemand_pkg.importing.compose_service import INSTEAD
from ondemand_pkg.importing.draft import UNKNOWN_VERSION, Draft, name_of, version_of
from ondemand_pkg.importing.image import exposed
from ondemand_pkg.importing.ports import WOKEN_BY, settle_readiness

_NAMELESS = re.compile(r"[0-9a-f]{64}")
_SHM_SIZES = (64 * 2**20, 64 * 1024 * 1000)  # the engines' defaults
# What Podman tells of every container, whatever was asked for.
_OF_PODMAN = {"container=podman", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
# Names of HostConfig whose value is that of one option, each with the values that say nothing.
_OPTIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "CgroupParent": ("--cgroup-parent", ()), "CpuPeriod": ("--cpu-period", ()), "CpuQuota": ("--cpu-quota", ()),
    "CpuShares": ("--cpu-shares", ()), "CpusetCpus": ("--cpuset-cpus", ()), "CpusetMems": ("--cpuset-mems", ()),
    "IpcMode": ("--ipc", ("private", "shareable")), "MemoryReservation": ("--memory-reservation", ()),
    "MemorySwappiness": ("--memory-swappiness", (-1,)), "OomScoreAdj": ("--oom-score-adj", ()),
    "PidMode": ("--pid", ("private",)), "PidsLimit": ("--pids-limit", (-1,)), "Runtime": ("--runtime", ("runc", "oci")),
    "ShmSize": ("--shm-size", _SHM_SIZES), "UTSMode": ("--uts", ("private",)), "UsernsMode": ("--userns", ()),
}
_LISTS = {"Dns": "--dns", "DnsOptions": "--dns-option", "DnsSearch": "--dns-search", "ExtraHosts": "--add-host",
          "GroupAdd": "--group-add", "SecurityOpt": "--security-opt", "DeviceCgroupRules": "--device-cgroup-rule"}
_FLAGS = {"Init": "--init", "Privileged": "--privileged", "OomKillDisable": "--oom-kill-disable"}


def draft_of(details: Mapping[str, Any], image: Mapping[str, Any]) -> Draft:
    """Return a declaration of a container from what `docker inspect` tells of it and of its image ({} where that is gone)."""
    return _Inspected(details, image).draft


class _Inspected:
    def __init__(self, details: Mapping[str, Any], image: Mapping[str, Any]) -> None:
        name = str(details.get("Name") or "").lstrip("/")
        self.place = f"the container {name}"
        self.draft = Draft(name_of(name))
        self.config: Mapping[str, Any] = details.get("Config") or {}
        self.host: Mapping[str, Any] = details.get("HostConfig") or {}
        self.details = details
        self.is_podmans = "container=podman" in (self.config.get("Env") or ())
        self.inherited: Mapping[str, Any] = image.get("Config") or {}
        self._image(image)
        self._process()
        self._ports()
        self._mounts()
        self._limits()
        self._options()
        self._notes()
        self.draft.keep_what_is_valid(self.place)

    def note(self, what: str, instead: str) -> None:
        self.draft.note(self.place, what, instead)

    def own(self, key: str) -> Any:
        """Return a value of the configuration where it is not the image's."""
        value = self.config.get(key)
        return value if value and value != self.inherited.get(key) else None

    def _image(self, image: Mapping[str, Any]) -> None:
        reference = str(self.config.get("Image") or "")
        tags = image.get("RepoTags") or []
        if reference.startswith("sha256:") and tags:
            reference = tags[0]
        self.draft.values["image"] = reference
        version = version_of(reference) or version_of(
            f"x:{(self.inherited.get('Labels') or {}).get('org.opencontainers.image.version', '')}")
        self.draft.values["version"] = version or UNKNOWN_VERSION
        if version is None:
            self.draft.remark("version", "The image's tag is not a version: write the intended one.")
        if not image:
            self.note("image", "it is not on this machine, so settings that come from it could not be left out")

    def _process(self) -> None:
        values = self.draft.values
        entrypoint, command = (list(self.config.get(key) or ()) for key in ("Entrypoint", "Cmd"))
        # An entry point of its own, an empty one too, takes the image's command away: that counts then even where it is the same,
        # and where it is gone, the entry point does.
        has_own = entrypoint != (self.inherited.get("Entrypoint") or []) or (not command and bool(self.inherited.get("Cmd")))
        if has_own:
            values["entrypoint"] = entrypoint
        if command and (has_own or command != self.inherited.get("Cmd")):
            values["command"] = command
        from_image = set(self.inherited.get("Env") or ()) | (_OF_PODMAN if self.is_podmans else set())
        env = dict(line.partition("=")[::2] for line in self.config.get("Env") or () if line not in from_image)
        if env:
            values["env"] = env
        labels = self.config.get("Labels") or {}
        kept = {key: value for key, value in labels.items() if (self.inherited.get("Labels") or {}).get(key) != value}
        compose = [key for key in kept if key.startswith("com.docker.compose.")]
        if compose:
            self.note("labels com.docker.compose.*", "they are Compose's own; its file can be imported instead of the container")
        kept = {key: value for key, value in kept.items() if key not in compose}
        if kept:
            values["labels"] = kept
        for key, name in (("user", "User"), ("workdir", "WorkingDir")):
            if self.own(name) and not (self.is_podmans and self.config[name] == "/"):
                values[key] = self.config[name]
        if self.config.get("StopTimeout") is not None:
            values["stop_timeout"] = f"{max(1, int(self.config['StopTimeout']))}s"
        test = (self.config.get("Healthcheck") or {}).get("Test") or []
        if test[:1] == ["NONE"]:
            self.draft.add("create_args", "--no-healthcheck")
        elif test and self.config.get("Healthcheck") == self.inherited.get("Healthcheck"):
            values["ready"] = {"healthcheck": True}
        elif test:
            values["ready"] = {"exec": test[1:] if test[0] == "CMD" else ["/bin/sh", "-c", " ".join(test[1:])]}

    def _ports(self) -> None:
        bindings = self.host.get("PortBindings") or {}
        for target, found in bindings.items():
            number, _, protocol = target.partition("/")
            if protocol not in ("", *WOKEN_BY):
                self.note(f"port {target}",
                          f"only TCP and UDP can wake a container; write \"--publish={number}:{target}\" into create_args")
                continue
            for binding in found or ():
                host = "" if self.is_podmans and binding.get("HostIp") == "0.0.0.0" else binding.get("HostIp") or ""
                listen = binding.get("HostPort") or number
                address = f"[{host}]:" if ":" in host else f"{host}:" if host else ""
                self.draft.add("ports", f"{address}{listen}:{target.removesuffix('/tcp')}")
        settle_readiness(self.draft.values)
        if "ports" in self.draft.values:
            self.draft.remark("ports", f"Free them first: 'docker stop {str(self.details.get('Name')).lstrip('/')}'.")
            return
        found = [number for number, protocol in exposed(self.config) if protocol == "tcp"]
        self.draft.values["ports"] = [f"127.0.0.1:{number}:{number}" for number in found] or ["8080:80"]
        self.draft.remark("ports", "It publishes none; these are the ports that it exposes, for this host alone." if found else
                          "It neither publishes nor exposes a port: write the one on which it listens behind the colon.")

    def _mounts(self) -> None:
        for mount in self.details.get("Mounts") or ():
            kind, target = mount.get("Type"), str(mount.get("Destination"))
            options = [] if mount.get("RW", True) else ["ro"]
            if kind == "volume":
                source = str(mount.get("Name"))
                if mount.get("Driver", "local") != "local":
                    command = f"docker volume create --driver {mount['Driver']} {source}"
                    self.note(f"volume {source}", f"first create it on each host: '{command}'")
                if _NAMELESS.fullmatch(source):
                    self.note(f"volume at {target}", f"an anonymous volume ({source[:12]}...); the package keeps using it by "
                                                     "that name, on this host")
            elif kind == "bind":
                source = str(mount.get("Source"))
                if mount.get("Propagation") not in (None, "", "rprivate"):
                    options.append(str(mount["Propagation"]))
                if source.startswith("/"):
                    self.note(f"volume at {target}",
                              f"{source} is a path of this host; put it on each host that installs the package")
            else:
                continue
            self.draft.add("volumes", ":".join([source, target, *([",".join(options)] if options else [])]))
        for target, options_text in (self.host.get("Tmpfs") or {}).items():
            self.draft.add("tmpfs", f"{target}:{options_text}" if options_text else target)

    def _limits(self) -> None:
        values = self.draft.values
        if self.host.get("Memory"):
            values["memory"] = f"{self.host['Memory']}b"
            if self.host.get("MemorySwap") not in (None, 0, 2 * self.host["Memory"]):
                self.draft.add("create_args", f"--memory-swap={self.host['MemorySwap']}")
        if self.host.get("NanoCpus"):
            cpus = self.host["NanoCpus"] / 1e9
            values["cpus"] = int(cpus) if cpus == int(cpus) else cpus
        if self.host.get("ReadonlyRootfs"):
            values["read_only"] = True
        for key, name in (("cap_add", "CapAdd"), ("cap_drop", "CapDrop")):
            if self.host.get(name):
                values[key] = list(self.host[name])

    def _options(self) -> None:
        add = self.draft.add
        for name, (option, says_nothing) in _OPTIONS.items():
            value = self.host.get(name)
            if value and value not in says_nothing:
                add("create_args", f"{option}={value}")
        for name, option in _LISTS.items():
            add_all = [f"{option}={item}" for item in self.host.get(name) or ()]
            if add_all:
                add("create_args", *add_all)
        for name, option in _FLAGS.items():
            if self.host.get(name):
                add("create_args", option)
        for device in self.host.get("Devices") or ():
            add("create_args", f"--device={device['PathOnHost']}:{device['PathInContainer']}:{device['CgroupPermissions']}")
        for request in self.host.get("DeviceRequests") or ():
            try:
                add("create_args", gpus.option(
                    [capability for group in request.get("Capabilities") or () for capability in group],
                    request.get("DeviceIDs") or (), str(request.get("Count") or ""), str(request.get("Driver") or ""),
                    request.get("Options")))
            except ValueError as error:
                self.note("DeviceRequests", f"{error}; write what it needs into create_args")
        for limit in self.host.get("Ulimits") or ():
            add("create_args", f"--ulimit={limit['Name']}={limit['Soft']}:{limit['Hard']}")
        for name, value in (self.host.get("Sysctls") or {}).items():
            add("create_args", f"--sysctl={name}={value}")
        for key, option in (("Tty", "--tty"), ("OpenStdin", "--interactive")):
            if self.config.get(key):
                add("create_args", option)
        hostname = str(self.config.get("Hostname") or "")
        if hostname and not str(self.details.get("Id", "")).startswith(hostname):
            add("create_args", f"--hostname={hostname}")
        if self.own("StopSignal") and not (self.is_podmans and str(self.config["StopSignal"]) in ("15", "SIGTERM")):
            add("create_args", f"--stop-signal={self.config['StopSignal']}")
        log = self.host.get("LogConfig") or {}
        if log.get("Config") or log.get("Type") not in (None, "", "journald" if self.is_podmans else "json-file"):
            add("create_args", f"--log-driver={log['Type']}",
                *(f"--log-opt={key}={value}" for key, value in (log.get("Config") or {}).items()))

    def _notes(self) -> None:
        restart = (self.host.get("RestartPolicy") or {}).get("Name")
        if restart not in (None, "", "no"):
            self.note(f"restart {restart}", INSTEAD["restart"])
        if self.host.get("AutoRemove"):
            self.note("rm", "the package keeps its container, stopped")
        mode = self.host.get("NetworkMode")
        if mode not in (None, "", "default", "bridge"):
            self.note(f"network {mode}", INSTEAD["networks"])
        for name, key in (("Links", "external_links"), ("VolumesFrom", "volumes_from")):
            if self.host.get(name):
                self.note(name, INSTEAD[key])
