"""How Docker is told to make a declared container.

Knows the option of `docker create` for each key, the digest by which a container is known to be made from just
that, and what else the helpers on the host need to know of it; hides the form in which they read it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ondemand_pkg.model import Container, ReadyKind


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
    return found + list(container.create_args)


def command(container: Container) -> list[str]:
    """Return what stands behind the image: Docker's --entrypoint takes one word, the others come first here."""
    return [*(container.entrypoint or ())[1:], *container.command]


def specification(container: Container) -> dict[str, Any]:
    """Return what the helpers need to make the container, and to see that it and what it requires are ready.

    ``spec`` is the SHA-256 of what the container is made from.
    """
    declared = {
        "container": container.container_name,
        **({"image": container.carried.name, "archive": container.image_archive} if container.carried else
           {"image": container.image}),
        "options": options(container),
        "volumes": [str(volume) for volume in container.volumes],
        "env": dict(sorted(container.env.items())),
        "command": command(container),
    }
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":")).encode("ascii")
    required = {"requires": list(container.requires)} if container.requires else {}
    return {**declared, "ready": readiness(container), **required, "spec": hashlib.sha256(canonical).hexdigest()}


def readiness(container: Container) -> dict[str, Any]:
    """Return what a check of the container's readiness must know beside its kind."""
    ready = container.ready
    found: dict[ReadyKind, dict[str, Any]] = {
        ReadyKind.HTTP: {"path": ready.path, "status": ready.status, "proxy_protocol": container.proxy_protocol},
        ReadyKind.EXEC: {"argv": list(ready.argv)},
        ReadyKind.LOG: {"text": ready.text},
    }
    return found.get(ready.kind, {})


def specification_file(container: Container) -> bytes:
    """Return the content of container.json, read by the helpers; ``spec`` stands last, where `run` finds it without a parser."""
    return (json.dumps(specification(container), indent=2, ensure_ascii=True) + "\n").encode("ascii")
