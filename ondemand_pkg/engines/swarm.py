"""What Docker's swarm needs of a package: an engine that is a manager of one.

Knows what the helpers read of the service that is made there; hides the form.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

from ondemand_pkg import __version__
from ondemand_pkg.engines.docker import DOCKER, readiness
from ondemand_pkg.model import Resolved


def specification_file(resolved: Resolved) -> bytes:
    """Return the content of container.json; ``spec`` stands last, where `run` finds it without a parser."""
    container = resolved.container
    declared = {
        "container": container.container_name, "image": container.image, "options": [],
        "volumes": [str(volume) for volume in container.volumes], "env": dict(sorted(container.env.items())), "command": [],
        "swarm": {
            "replicas": container.replicas, "node": container.node, "ports": list(container.targets),
            "labels": dict(sorted(container.labels.items())),
            "entrypoint": list(container.entrypoint or ()), "command": list(container.command), "workdir": container.workdir,
            "user": container.user, "memory": container.memory, "cpus": container.cpus, "read_only": container.read_only,
            "tmpfs": list(container.tmpfs), "cap_drop": list(container.cap_drop), "cap_add": list(container.cap_add),
            "stop_timeout": container.stop_timeout,
        },
    }
    spec = hashlib.sha256(json.dumps(declared, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
    found = {**declared, "ready": readiness(container), "built_by": __version__,
             "version": f"{container.version}-{container.release}", "spec": spec}
    return (json.dumps(found, indent=2, ensure_ascii=True) + "\n").encode("ascii")


SWARM = dataclasses.replace(DOCKER, word="swarm", title="Docker Swarm", remove_container="service rm",
                            specification_file=specification_file)
