"""Options of `docker create` as fields of a pod.

Knows the options that Kubernetes has a field for; hides which field.  Every other one is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ondemand_pkg.engines import create_options
from ondemand_pkg.exporting.losses import Losses
from ondemand_pkg.exporting.storage import Storage

_SIZE = re.compile(r"([0-9]+)([bkmg]?)b?", re.IGNORECASE)
_UNITS = {"": "", "b": "", "k": "Ki", "m": "Mi", "g": "Gi"}


def apply(words: Sequence[str], pod: dict[str, Any], container: dict[str, Any], storage: Storage, losses: Losses) -> None:
    """Carry options over into a pod's specification, that of its container, and its storage."""
    for given in create_options.read(words)[0]:
        if given.option.takes_value:
            is_applied = given.name in _VALUES and _VALUES[given.name](given.value, pod, storage)
        else:
            is_applied = _apply_switch(given.name, given.value, container)
        if not is_applied:
            losses.add("create_args", f'"{given.name}={given.value}" is not exported; add to the manifest what does the same')


def _apply_switch(name: str, value: str, container: dict[str, Any]) -> bool:
    if value == "false":
        return True
    if name == "--privileged":
        container.setdefault("securityContext", {})["privileged"] = True
    elif name == "--interactive":
        container["stdin"] = True
    elif name == "--tty":
        container["tty"] = True
    else:
        return False
    return True


def _hostname(value: str, pod: dict[str, Any], _: Storage) -> bool:
    pod["hostname"] = value
    return True


def _shared_memory(value: str, _: dict[str, Any], storage: Storage) -> bool:
    match = _SIZE.fullmatch(value)
    if match is None:
        return False
    storage.mount("shm", {"emptyDir": {"medium": "Memory", "sizeLimit": match[1] + _UNITS[match[2].lower()]}}, "/dev/shm")
    return True


def _known_host(value: str, pod: dict[str, Any], _: Storage) -> bool:
    name, separator, address = value.partition("=" if "=" in value else ":")
    if not separator or address == "host-gateway":
        return False
    pod.setdefault("hostAliases", []).append({"ip": address.strip("[]"), "hostnames": [name]})
    return True


def _of_host(field: str) -> Callable[[str, dict[str, Any], Storage], bool]:
    def carry(value: str, pod: dict[str, Any], _: Storage) -> bool:
        if value != "host":
            return False
        pod[field] = True
        return True

    return carry


def _name_server(value: str, pod: dict[str, Any], _: Storage) -> bool:
    pod["dnsPolicy"] = "None"  # as with Docker, these alone are asked
    pod.setdefault("dnsConfig", {}).setdefault("nameservers", []).append(value)
    return True


def _sysctl(value: str, pod: dict[str, Any], _: Storage) -> bool:
    name, equals, number = value.partition("=")
    if not equals:
        return False
    pod.setdefault("securityContext", {}).setdefault("sysctls", []).append({"name": name, "value": number})
    return True


_VALUES: dict[str, Callable[[str, dict[str, Any], Storage], bool]] = {
    "--hostname": _hostname, "--shm-size": _shared_memory, "--add-host": _known_host, "--network": _of_host("hostNetwork"),
    "--pid": _of_host("hostPID"), "--ipc": _of_host("hostIPC"), "--dns": _name_server, "--sysctl": _sysctl,
}
