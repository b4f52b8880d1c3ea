"""What a container that somebody made needs of a package: nothing but what the helpers know of it.

Knows what they read of the container; hides the form.  No declaration names this engine: a table [adopt.NAME] means it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from ondemand_pkg import __version__
from ondemand_pkg.engines.docker import readiness
from ondemand_pkg.engines.unit import UNIT
from ondemand_pkg.model import Port, Resolved, UdpAddress, UnixAddress


def specification_file(resolved: Resolved) -> bytes:
    """Return the content of container.json; ``spec`` stands last, where `run` finds it without a parser."""
    service = resolved.container
    assert service.adopted is not None
    declared = {
        "container": service.container_name, "adopted": {key: value for key, value in vars(service.adopted).items() if value},
        "address": str(service.address or ""), "targets": list(service.targets), "udp_targets": list(service.udp_targets),
        # Nothing is made of it.
        "image": "", "options": [], "volumes": [], "env": {}, "command": [],
    }
    spec = hashlib.sha256(json.dumps(declared, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
    found = {**declared, "listens": [entry for port in service.ports for entry in _listens(port)], "ready": readiness(service),
             **({"requires": list(service.requires)} if service.requires else {}), "built_by": __version__,
             "version": f"{service.version}-{service.release}", "spec": spec}
    return (json.dumps(found, indent=2, ensure_ascii=True) + "\n").encode("ascii")


def _listens(port: Port) -> list[list[str]]:
    """Return where systemd listens for it, as an engine writes what a container publishes: "80/tcp", and the address or ""."""
    listen = port.listen
    if isinstance(listen, UnixAddress):
        return []
    return [[f"{listen.port}/{'udp' if isinstance(listen, UdpAddress) else 'tcp'}", str(listen.host or "")]]


CONTAINER = dataclasses.replace(
    UNIT, word="container", title="Docker or Podman", command="docker (or podman)",
    # Whoever made it has installed the engine; an engine that sleeps is started by who connects.
    wants=("docker.socket", "podman.socket"), after=("docker.service", "docker.socket", "podman.socket"),
    specification_file=specification_file)
COMPOSE = dataclasses.replace(CONTAINER, word="compose")
