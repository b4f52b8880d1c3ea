"""The pod of a container.

Knows which fields of a pod do what the keys of a declaration do; hides nothing of how pods are reached or scaled.
"""

from __future__ import annotations

from typing import Any

from ondemand_pkg.declaration.secret_names import is_secret
from ondemand_pkg.engines import references
from ondemand_pkg.exporting import pod_options
from ondemand_pkg.exporting.losses import Losses
from ondemand_pkg.exporting.object_names import is_environment_key, object_name, part_of_name
from ondemand_pkg.exporting.readiness import probes
from ondemand_pkg.exporting.storage import Storage
from ondemand_pkg.model import Container


def pod(container: Container, storage: Storage, losses: Losses) -> dict[str, Any]:
    """Return the specification of the pod that runs a container; what its options need is added to the storage."""
    name = object_name(container.name)
    image = references.full_name(container.image)
    inner: dict[str, Any] = {"name": name, "image": image}
    inner |= _command(container, losses)
    if container.workdir:
        inner["workingDir"] = container.workdir
    if container.targets or container.udp_targets:
        inner["ports"] = [*({"containerPort": port} for port in container.targets),
                          *({"containerPort": port, "protocol": "UDP"} for port in container.udp_targets)]
    inner["envFrom"] = [*([{"configMapRef": {"name": part_of_name(name, "env")}}] if container.env else []),
                        {"secretRef": {"name": part_of_name(name, "secret"), "optional": True}}]
    inner |= _limits(container)
    context = _security(container, losses)
    if context:
        inner["securityContext"] = context
    inner |= probes(container, losses)
    found: dict[str, Any] = {"automountServiceAccountToken": False, "enableServiceLinks": False,
                             "terminationGracePeriodSeconds": container.stop_timeout}
    pod_options.apply(container.create_args, found, inner, storage, losses)
    if storage.mounts:
        inner["volumeMounts"] = storage.mounts
    found["containers"] = [inner]
    if storage.volumes:
        found["volumes"] = storage.volumes
    return found


def environment(container: Container, losses: Losses) -> list[dict[str, Any]]:
    """Return the ConfigMap and the Secret with the container's variables, of which the Secret's have the last word.

    They are no `env` of the container, in whose values Kubernetes would replace $(NAME).
    """
    name = object_name(container.name)
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for key, value in container.env.items():
        if not is_environment_key(key):
            losses.add("env", f'Kubernetes takes no variable that is called "{key}"')
        elif is_secret(key, value):
            secret[key] = value
        else:
            plain[key] = value
    if secret:
        losses.add("env", f"{', '.join(secret)} went into the Secret {part_of_name(name, 'secret')}, in plain text as declared; "
                          "keep the manifest from others, or create the Secret from somewhere else")
    objects: list[dict[str, Any]] = []
    if container.env:
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": part_of_name(name, "env")}, "data": plain})
    # What is in /etc/ondemand/NAME.env on a host goes here.
    objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": part_of_name(name, "secret")}, "type": "Opaque",
                    "stringData": secret})
    return objects


def _command(container: Container, losses: Losses) -> dict[str, list[str]]:
    found = {}
    if container.entrypoint == ():
        losses.add("entrypoint", "Kubernetes can't take the image's entry point away; write the whole command into command")
    elif container.entrypoint:
        found["command"] = [_literal(word) for word in container.entrypoint]
    if container.command:
        found["args"] = [_literal(word) for word in container.command]
    return found


def _literal(word: str) -> str:
    """Return a word of a command in which Kubernetes replaces nothing: $(NAME) is a variable, $$ a dollar."""
    return word.replace("$(", "$$(")


def _limits(container: Container) -> dict[str, Any]:
    limits: dict[str, str] = {}
    if container.memory is not None:
        limits["memory"] = str(container.memory)
    if container.cpus is not None:
        limits["cpu"] = f"{max(1, round(container.cpus * 1000))}m"
    return {"resources": {"limits": limits}} if limits else {}


def _security(container: Container, losses: Losses) -> dict[str, Any]:
    context: dict[str, Any] = {}
    user, _, group = container.user.partition(":")
    if container.user and not (user.isdecimal() and (not group or group.isdecimal())):
        losses.add("user", f'Kubernetes takes numbers; look up those of "{container.user}" in the image and write them as '
                           "runAsUser and runAsGroup")
    elif container.user:
        context["runAsUser"] = int(user)
        if group:
            context["runAsGroup"] = int(group)
    if container.read_only:
        context["readOnlyRootFilesystem"] = True
    capabilities = {word: [name.removeprefix("CAP_") for name in names]
                    for word, names in (("drop", container.cap_drop), ("add", container.cap_add)) if names}
    if capabilities:
        context["capabilities"] = capabilities
    return context
