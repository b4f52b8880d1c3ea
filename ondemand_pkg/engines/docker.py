"""How Docker is told to make a declared container.

Knows the option of `docker create` for each key, the digest by which a container is known to be made from just
that, and what else the helpers on the host need to know of it; hides the form in which they read it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ondemand_pkg import __version__
from ondemand_pkg.engines import own_names
from ondemand_pkg.engines.engine import Engine
from ondemand_pkg.formats import DEB, RPM
from ondemand_pkg.model import Container, ReadyKind, Resolved


def options(container: Container) -> list[str]:
    """Return the options of `docker create`, those apart that the host completes (name, environment, volumes).

    Each is one argument, ``--option=value``, so that no value is taken for an option.
    """
    found: list[str] = [f"--label={key}={value}" for key, value in sorted(container.labels.items())]
    if container.user:
        found.append(f"--user={container.user}")
    if container.workdir:
        found.append(f"--workdir={container.workdir}")
    if container.memory is not None:
        found.append(f"--memory={container.memory}b")
    if container.cpus is not None:
        found.append(f"--cpus={container.cpus:.9g}")
    if container.read_only:
        found.append("--read-only")
    found += [f"--tmpfs={mount}" for mount in container.tmpfs]
    found += [f"--cap-drop={capability}" for capability in container.cap_drop]
    found += [f"--cap-add={capability}" for capability in container.cap_add]
    found.append(f"--stop-timeout={container.stop_timeout}")
    if container.entrypoint is not None:
        found.append(f"--entrypoint={container.entrypoint[0] if container.entrypoint else ''}")
    return found + own_names.options(container) + list(container.create_args)


def command(container: Container) -> list[str]:
    """Return what stands behind the image: Docker's --entrypoint takes one word, the others come first here."""
    return [*(container.entrypoint or ())[1:], *container.command]


def specification(resolved: Resolved) -> dict[str, Any]:
    """Return what the helpers need to make the container, and to see that it and what it requires are ready.

    ``spec`` is the SHA-256 of what the container is made from; ``built_by`` and ``version`` are no part of that, or
    each release of this program and of the package would recreate every container.  ``log_limit`` (bytes) is none either:
    containers that are there were made without one.
    """
    container, carried = resolved.container, resolved.carried
    declared = {
        "container": container.container_name,
        **({"image": carried.name, "archive": container.image_archive} if carried else
           {"image": container.image}),
        "options": options(container),
        "volumes": [str(volume) for volume in container.volumes],
        "env": dict(sorted(container.env.items())),
        "command": command(container),
        **({"address": container.shared_address, "aliases": list(container.aliases)} if container.expose else {}),
        **({"links": [str(link) for link in container.links]} if container.links else {}),
        **({"network_of": container.network_of} if container.network_of else {}),
    }
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":")).encode("ascii")
    required = {key: list(names) for key, names in (("requires", container.needs), ("companion_of", container.companion_of))
                if names}
    clients = {"with_clients": True} if container.companion_of and container.listens else {}
    task = {"task_before": list(container.before)} if container.task else {}
    if container.schedule:
        task["schedule"] = list(container.schedule)
    limited = {"log_limit": container.log_limit} if container.log_limit is not None else {}
    return {**declared, "ready": readiness(container), **required, **clients, **task, **limited, "built_by": __version__,
            "version": f"{container.version}-{container.release}",
            "spec": hashlib.sha256(canonical).hexdigest()}


def readiness(container: Container) -> dict[str, Any]:
    """Return what a check of the container's readiness must know beside its kind."""
    ready = container.ready
    found: dict[ReadyKind, dict[str, Any]] = {
        ReadyKind.HTTP: {"path": ready.path, "status": ready.status, "proxy_protocol": container.proxy_protocol},
        ReadyKind.EXEC: {"argv": list(ready.argv)},
        ReadyKind.LOG: {"text": ready.text},
        ReadyKind.UDP: {"send": ready.send.hex(), "expect": ready.expect.hex()},
    }
    return found.get(ready.kind, {})


def specification_file(resolved: Resolved) -> bytes:
    """Return the content of container.json, read by the helpers; ``spec`` stands last, where `run` finds it without a parser."""
    return (json.dumps(specification(resolved), indent=2, ensure_ascii=True) + "\n").encode("ascii")


DOCKER = Engine(
    word="docker", title="Docker",
    # Under the names that its packages have: Debian's, Docker's own, Microsoft's, Fedora's.  The client is a package of its
    # own in some of them.
    depends={
        DEB: ("docker.io | docker-ce | moby-engine", "docker-cli | docker-ce-cli | moby-cli | docker.io"),
        RPM: ("(docker-ce or moby-engine or docker)",),
    },
    wants=("docker.service",),
    after=("docker.service", "docker.socket"),
    sockets=("/run/docker.sock", "/var/run/docker.sock"),
    # They would take the container away from its units.
    reserved={
        "--name": "the package names its container",
        "--rm": "the package removes its container",
        "--restart": "systemd starts and stops the container",
        "--cidfile": "the package finds its container by name",
        "--stop-timeout": "use the key stop_timeout",
        "--help": "it would only print help",
        "--detach": "it is not an option of 'docker create'; the package starts its container",
        "-d": "it is not an option of 'docker create'; the package starts its container",
    },
    command="docker",
    remove_container="rm --force",
    remove_volume="volume rm",
    purge_volume='docker volume rm --force "$volume"',
    volumes="/var/lib/ondemand/volumes",
    remove_image="image rm",
    specification_file=specification_file,
)
