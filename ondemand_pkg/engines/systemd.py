"""What systemd needs of a package whose image it runs itself: no engine, but an image that the package brings.

Knows what the helpers read of the container, and how new systemd must be; hides the form.
"""

from __future__ import annotations

import hashlib
import json

from ondemand_pkg import __version__
from ondemand_pkg.engines.docker import readiness
from ondemand_pkg.engines.engine import Engine
from ondemand_pkg.formats import DEB, RPM
from ondemand_pkg.model import Resolved


def specification_file(resolved: Resolved) -> bytes:
    """Return the content of container.json; ``spec`` stands last, where `run` finds it without a parser.

    Without the image it is what `check` looks at, which asks no engine for it.
    """
    container, carried = resolved.container, resolved.carried
    declared = {
        "container": container.container_name, "image": carried.name if carried else container.image,
        "archive": container.image_archive,
        "options": [], "volumes": [str(volume) for volume in container.volumes],
        "env": dict(sorted(container.env.items())), "command": list(container.command),
        "systemd": {
            "title": container.description or f"On-demand container {container.name}",
            "entrypoint": None if container.entrypoint is None else list(container.entrypoint),
            "command": list(container.command), "workdir": container.workdir,
            "memory": container.memory, "cpus": container.cpus, "read_only": container.read_only,
            "tmpfs": list(container.tmpfs), "cap_drop": [name.removeprefix("CAP_") for name in container.cap_drop],
            "cap_add": [name.removeprefix("CAP_") for name in container.cap_add], "stop_timeout": container.stop_timeout,
            **({"user": container.user} if container.user else {}),
        },
    }
    spec = hashlib.sha256(json.dumps(declared, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
    required = {"requires": list(container.requires)} if container.requires else {}
    found = {**declared, "ready": readiness(container), **required, "built_by": __version__,
             "version": f"{container.version}-{container.release}", "spec": spec}
    return (json.dumps(found, indent=2, ensure_ascii=True) + "\n").encode("ascii")


SYSTEMD = Engine(
    # The first release that gives a service processes of its own (PrivatePIDs=).
    word="systemd", title="systemd", command="systemctl", depends={DEB: ("systemd (>= 257)",), RPM: ("systemd >= 257",)},
    wants=(), after=(), sockets=(), reserved={}, remove_container="", remove_volume="", purge_volume=":",
    volumes="/var/lib/ondemand/volumes", remove_image="", specification_file=specification_file)
