"""The devices of a Compose service.

Knows Compose's forms of devices and GPUs; hides which keys each has.
Source: the Compose specification (devices, gpus, deploy.resources.reservations.devices).
"""

from __future__ import annotations

from ondemand_pkg.importing import gpus
from ondemand_pkg.importing.compose_file import ComposeFile
from ondemand_pkg.importing.yaml_lines import Located


def device(scope: ComposeFile, item: Located) -> str:
    """Return the option that hands over a device of the host."""
    if not isinstance(item.value, dict):
        return f"--device={scope.text(item)}"
    parts = (scope.text(item.value[key]) for key in ("source", "target", "permissions") if key in item.value)
    return "--device=" + ":".join(part for part in parts if part)


def of_gpus(scope: ComposeFile, located: Located) -> list[str]:
    """Return the options for the value of `gpus`: "all", or a list of requests.  Raises ValueError for another one."""
    if isinstance(located.value, list):
        return [_request(scope, item, ["gpu"]) for item in located.value]
    if scope.text(located) != "all":
        raise ValueError(f"{scope.text(located)!r} is neither all nor a list")
    return [gpus.option(["gpu"])]


def reserved(scope: ComposeFile, item: Located) -> str:
    """Return the option for a reservation of devices.  Raises ValueError where they are no GPUs."""
    return _request(scope, item, [])


def _request(scope: ComposeFile, item: Located, implied: list[str]) -> str:
    keys = scope.mapping(item, "a request for devices")
    count = scope.text(keys["count"]) if "count" in keys else ""
    return gpus.option(
        [*implied, *(scope.texts(keys["capabilities"]) if "capabilities" in keys else [])],
        scope.texts(keys["device_ids"]) if "device_ids" in keys else (), "" if count == "all" else count,
        scope.text(keys["driver"]) if "driver" in keys else "",
        {name: text or "" for name, text, _ in scope.pairs(keys["options"], "=")} if "options" in keys else None)
