"""Where a container keeps its data in Kubernetes.

Knows what volumes and tmpfs of a declaration become; hides nothing of the containers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ondemand_pkg.exporting.losses import Losses
from ondemand_pkg.exporting.object_names import object_name
from ondemand_pkg.model import Container, Volume

CLAIM_SIZE = "1Gi"  # a declaration does not say how large a volume gets
_TMPFS_SIZE = re.compile(r"([0-9]+)([kmgKMG]?)")
_UNITS = {"": "", "k": "Ki", "m": "Mi", "g": "Gi"}
_UNNEEDED = {"rw", "ro"}


@dataclass
class Storage:
    """Volumes of a pod, where its container mounts them, and the claims that hold their data."""

    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)

    def mount(self, name: str, source: dict[str, Any], path: str, read_only: bool = False) -> None:
        """Mount a source, which may be mounted elsewhere too."""
        if all(volume["name"] != name for volume in self.volumes):
            self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})})


def storage(container: Container, losses: Losses) -> Storage:
    """Return what becomes of the volumes and the tmpfs of a container."""
    found = Storage()
    for volume in container.volumes:
        if volume.is_named:
            _claim(found, volume, losses)
        else:
            _host_directory(found, volume, losses)
        for option in volume.options:
            if option not in _UNNEEDED:
                losses.add("volumes", f'the option "{option}" of "{volume}" has no counterpart')
    for index, text in enumerate(container.tmpfs):
        path, _, options = text.partition(":")
        found.mount(f"tmpfs-{index}", {"emptyDir": {"medium": "Memory", **_size(text, options, losses)}}, path)
    if container.purge_volumes:
        losses.add("purge_volumes", "the storage class decides whether data outlive a deleted claim (reclaimPolicy)")
    return found


def _claim(found: Storage, volume: Volume, losses: Losses) -> None:
    name = object_name(volume.source)
    found.mount(name, {"persistentVolumeClaim": {"claimName": name}}, volume.target, "ro" in volume.options)
    if all(claim["metadata"]["name"] != name for claim in found.claims):
        found.claims.append({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": CLAIM_SIZE}}}})
    losses.add("volumes", f'"{volume.source}" becomes a claim of {CLAIM_SIZE}, change its size as needed; it begins empty, '
                          f"without what the image has at {volume.target}, and without the data of your hosts: copy them")


def _host_directory(found: Storage, volume: Volume, losses: Losses) -> None:
    name = object_name(f"host{volume.source}")
    found.mount(name, {"hostPath": {"path": volume.source}}, volume.target, "ro" in volume.options)
    losses.add("volumes", f'"{volume.source}" is looked for on whichever node the pod runs; put files into a ConfigMap or '
                          "Secret, data into a PersistentVolumeClaim")


def _size(text: str, options: str, losses: Losses) -> dict[str, str]:
    size = {}
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        match = _TMPFS_SIZE.fullmatch(value)
        if name == "size" and match:
            size["sizeLimit"] = match[1] + _UNITS[match[2].lower()]
        elif option not in _UNNEEDED:
            losses.add("tmpfs", f'the option "{option}" of "{text}" has no counterpart')
    return size
