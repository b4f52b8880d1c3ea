"""What a unit of systemd that is there already needs of a package: nothing but what the helpers know of it.

Knows what they read of the unit; hides the form.  It is no engine that a declaration may name: a table [adopt.NAME] means it.
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
    """Return the content of container.json; ``spec`` stands last, where `run` finds it without a parser."""
    adopted = resolved.container
    assert adopted.adopted is not None
    declared = {
        "container": adopted.container_name, "unit": adopted.adopted.unit, "address": str(adopted.address or ""),
        "targets": list(adopted.targets), "udp_targets": list(adopted.udp_targets),
        # Nothing is made of it.
        "image": "", "options": [], "volumes": [], "env": {}, "command": [],
    }
    spec = hashlib.sha256(json.dumps(declared, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
    required = {"requires": list(adopted.requires)} if adopted.requires else {}
    found = {**declared, "ready": readiness(adopted), **required, "built_by": __version__,
             "version": f"{adopted.version}-{adopted.release}", "spec": spec}
    return (json.dumps(found, indent=2, ensure_ascii=True) + "\n").encode("ascii")


UNIT = Engine(
    word="unit", title="systemd", command="systemctl", depends={DEB: (), RPM: ()}, wants=(), after=(), sockets=(), reserved={},
    remove_container="", remove_volume="", purge_volume="", volumes="", remove_image="", specification_file=specification_file)
