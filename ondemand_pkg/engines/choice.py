"""Which engine a container has.

Knows every engine; hides how one is chosen.
"""

from __future__ import annotations

import dataclasses

from ondemand_pkg.engines import create_options
from ondemand_pkg.engines.adopted import COMPOSE, CONTAINER
from ondemand_pkg.engines.docker import DOCKER
from ondemand_pkg.engines.engine import Engine
from ondemand_pkg.engines.podman import PODMAN
from ondemand_pkg.engines.swarm import SWARM
from ondemand_pkg.engines.systemd import SYSTEMD
from ondemand_pkg.engines.unit import UNIT
from ondemand_pkg.formats import DEB, RPM
from ondemand_pkg.model import ANY_ENGINE, Adopted, Container

ENGINES = (DOCKER, PODMAN)
# What asks them on a host (helpers/engines): a container may stay with another engine than the declared one.
_MAKERS = ("beside", "chosen", "docker", "docker_api", "docker_volumes", "podman", "podman_api", "processes")
_ADOPTING = {"unit": ("chosen", "networks", "processes", "unit"),
             "container": ("adopted", "beside", "chosen", "docker", "docker_api", "networks", "podman", "podman_api",
                           "processes")}
_ADOPTING["compose"] = (*_ADOPTING["container"], "compose")
_SWARMING = ("chosen", "docker", "docker_api", "processes", "swarm", "swarm_service")
_UNPACKING = ("chosen", "image_unit", "image_user", "image_volumes", "manager", "processes", "systemd", "unit", "unpacking")

# Whichever a host has when the container is first made, Docker where it has both.
ANY = dataclasses.replace(
    DOCKER, word=ANY_ENGINE, title="Docker or Podman",
    depends={
        DEB: tuple(f"{relation} | podman" for relation in DOCKER.depends[DEB]),
        RPM: tuple(f"{relation.removesuffix(')')} or podman)" for relation in DOCKER.depends[RPM]),
    },
    # The sockets alone: whoever connects starts the engine that has the container, and no other one.
    wants=("docker.socket", "podman.socket"),
    after=("docker.service", "docker.socket", "podman.socket"),
    sockets=DOCKER.sockets + PODMAN.sockets,
    reserved={**PODMAN.reserved, **DOCKER.reserved},
    command="docker (or podman)",
)
WORDS = {engine.word: engine for engine in (ANY, *ENGINES, SYSTEMD, SWARM)}
DEFAULT = ANY


def engine_of(container: Container) -> Engine:
    """Return the engine that a container is made by; an option that one engine alone takes is a choice too."""
    if container.adopted:
        return _adopting(container.adopted)
    found = engines_of(container)
    return found[0] if len(found) == 1 else ANY


def _adopting(adopted: Adopted) -> Engine:
    return {"unit": UNIT, "container": CONTAINER, "compose": COMPOSE}[adopted.kind]


def modules_of(container: Container) -> tuple[str, ...]:
    """Return the modules of the helpers that ask the engine of a container."""
    if container.adopted:
        return _ADOPTING[container.adopted.kind]
    return _UNPACKING if is_unpacked(container) else _SWARMING if is_replicated(container) else _MAKERS


def is_unpacked(container: Container) -> bool:
    """Return whether systemd itself runs the image, without an engine."""
    return engine_of(container) is SYSTEMD


def is_replicated(container: Container) -> bool:
    """Return whether it is a service of a swarm, which many hosts share."""
    return engine_of(container) is SWARM


def engines_of(container: Container) -> list[Engine]:
    """Return the engines by which a container may be made; that alone which knows what is there already."""
    if container.adopted:
        return [_adopting(container.adopted)]
    if container.engine != ANY_ENGINE:
        return [WORDS[container.engine]]
    options = create_options.read(container.create_args)[0] if container.create_args else []
    return [engine for engine in ENGINES if all(engine.word in option.option.engines for option in options)]
