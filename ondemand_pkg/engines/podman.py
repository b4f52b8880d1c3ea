"""What Podman needs of a package.

Knows its packages, units and sockets; hides nothing.  It makes a container from the same options as Docker.
"""

from __future__ import annotations

import dataclasses

from ondemand_pkg.engines.docker import DOCKER
from ondemand_pkg.formats import DEB, RPM

PODMAN = dataclasses.replace(
    DOCKER, word="podman", title="Podman",
    depends={DEB: ("podman",), RPM: ("podman",)},
    # The service is started beside the helpers, which need not wait until it runs; it ends by itself when nobody asks.
    wants=("podman.socket", "podman.service"),
    after=("podman.socket",),
    sockets=("/run/podman/podman.sock", "/var/run/podman/podman.sock"),
    reserved={
        **{option: reason.replace("'docker create'", "'podman create'") for option, reason in DOCKER.reserved.items()},
        "--replace": "the package replaces its container",
    },
    command="podman",
    remove_container="rm --force",
    remove_volume="volume rm",
    # With --force, containers that use it would go, whoever made them.
    purge_volume='if podman volume exists "$volume"; then podman volume rm "$volume"; fi',
    remove_image="image rm",
)
