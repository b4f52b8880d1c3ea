"""The objects that a declared container becomes in Kubernetes.

Knows which objects make a service of a pod; hides what is inside the pod (pods.py) and what scales it (keda.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ondemand_pkg.declaration.reader import Declared
from ondemand_pkg.errors import DeclarationError, Fault
from ondemand_pkg.exporting import keda
from ondemand_pkg.exporting.losses import Loss, Losses, declared_keys
from ondemand_pkg.exporting.object_names import is_annotation, is_label, object_name
from ondemand_pkg.exporting.pods import environment, pod
from ondemand_pkg.exporting.storage import storage
from ondemand_pkg.model import Container, UnixAddress

NAME_LABEL, VERSION_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/version"
# Keys that need no word where they are not in the manifest: they are of the package, or of how a host wakes.
_OF_PACKAGES = {"release", "maintainer", "homepage", "license", "depends", "changelog", "silence"}
_CARRIED = {"version", "description", "image", "ports", "command", "entrypoint", "env", "volumes", "purge_volumes", "user",
            "workdir", "memory", "cpus", "read_only", "tmpfs", "cap_drop", "cap_add", "labels", "stop_timeout", "create_args",
            "ready", "allow", "expose"}
_INSTEAD = {
    "pin": 'write the image with its digest: "NAME:TAG@sha256:..."',
    "bundle": "push the image to a registry that the cluster reaches",
    "udp_timeout": "the cluster's own connection tracking decides when a client of UDP is forgotten",
    "idle_mode": "what scales the Deployment decides what counts as idle",
    "idle_action": "Kubernetes has no pause; the pod is stopped",
    "wake_at": "a CronJob can scale the Deployment at these moments",
    "keep_awake": "a CronJob can scale the Deployment at the beginning and the end of these hours, as KEDA's scaler cron does",
    "replicas": "set the replicas of the Deployment; what scales it from 0 decides to how many",
    "node": "write a nodeSelector with the label kubernetes.io/hostname",
    "outbound": "write a NetworkPolicy that allows no egress",
    "wake_on": "what scales the Deployment decides what wakes it",
    "data_timeout": "what scales the Deployment decides what wakes it",
    "health": "nothing answers for a pod that sleeps; probes of Kubernetes ask one that runs",
    "schedule": "a CronJob with the same pod runs at these moments; its zone is that of spec.timeZone",
    "proxy": "a Service leads clients to the pod",
    "proxy_protocol": "a Service sends no such header; have the load balancer in front of it send it",
    "requires": "Kubernetes starts nothing in an order; the container has to wait for, or retry, what it needs",
    "network_of": "containers of one pod share a network: add this one to the pod of the other by hand",
    "excludes": "pods that need the same device of a node wait for each other by its resource limit",
    "excludes_timeout": "pods that need the same device of a node wait for each other by its resource limit",
    "links": "a Service is reached by the name of its container; use that name where another one is declared",
    "aliases": "a Service has one name; write one of the type ExternalName for each alias",
    "address": "a Service has an address of its own in the cluster",
    "log_limit": "the nodes' kubelet rotates logs (containerLogMaxSize)",
    "metrics": "the cluster's own monitoring takes their place",
}


def objects(declared: Iterable[Declared], with_keda: bool) -> tuple[list[dict[str, Any]], list[Loss]]:
    """Return the objects of declared containers, and what was not exported.

    Raises DeclarationError where two of them would have one name in Kubernetes.
    """
    declared = list(declared)
    _refuse_clashes(declared)
    found: list[dict[str, Any]] = []
    lost: list[Loss] = []
    for one in declared:
        losses = Losses(one)
        if one.container.adopted:
            adopted = one.container.adopted
            losses.add(adopted.kind, f"{adopted.a_title} stays on its host; an Endpoints object can lead a Service there")
            lost += losses.found
            continue
        for made in _objects(one.container, losses, with_keda):
            if made not in found:  # the claim of a volume that another container has too
                found.append(made)
        lost += losses.found
    return found, lost


def _refuse_clashes(declared: Iterable[Declared]) -> None:
    known: dict[str, Declared] = {}
    faults = []
    for one in declared:
        first = known.setdefault(object_name(one.container.name), one)
        if first is not one:
            faults.append(Fault(one.path, one.line(""), one.container.place,
                                f'its objects would be called "{object_name(one.container.name)}", like those of the container '
                                f"{first.container.name!r} ({first.path}:{first.line('')})", "rename one of them"))
    if faults:
        raise DeclarationError(faults)


def _objects(container: Container, losses: Losses, with_keda: bool) -> list[dict[str, Any]]:
    name = object_name(container.name)
    if name != container.name:
        losses.add("name", f'called "{name}" here: a Service can\'t be called "{container.name}"')
    for key in declared_keys(container):
        if key not in _CARRIED | _OF_PACKAGES and not (key == "idle" and with_keda):
            losses.add(key, _INSTEAD.get(key, "nothing in Kubernetes does this by itself"))
    kept = storage(container, losses)
    inner = pod(container, kept, losses)
    ports = _service_ports(container, losses)
    scaling = keda.objects(container, name, ports, losses) if with_keda and ports else []
    if not with_keda:
        losses.add("idle", "nothing scales the Deployment up or down by itself: run 'kubectl scale --replicas=1 "
                           f"deployment/{name}', or export with --scale-with keda")
    labels = {NAME_LABEL: name, **({VERSION_LABEL: container.version} if is_label(VERSION_LABEL, container.version) else {})}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(name, labels, container),
        "spec": {**_replicas(with_keda, bool(scaling)), "selector": {"matchLabels": {NAME_LABEL: name}},
                 # Two pods can't mount a claim of one node at once, and the next one would wait for it.
                 **({"strategy": {"type": "Recreate"}} if kept.claims else {}),
                 "template": {"metadata": {"labels": labels, **_annotations(container, losses)}, "spec": inner}}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels},
               "spec": {"selector": {NAME_LABEL: name}, "ports": ports}}
    return [*environment(container, losses), *kept.claims, deployment, *([service] if ports else []),
            *_network_policy(container, name, with_keda, losses), *scaling]


def _replicas(with_keda: bool, is_scaled: bool) -> dict[str, int]:
    """Return how many pods are wanted: nothing where an autoscaler says it, since each `kubectl apply` would undo that."""
    if is_scaled:
        return {}
    return {"replicas": 1 if with_keda else 0}


def _metadata(name: str, labels: dict[str, str], container: Container) -> dict[str, Any]:
    described = {"annotations": {"kubernetes.io/description": container.description}} if container.description else {}
    return {"name": name, "labels": labels, **described}


def _annotations(container: Container, losses: Losses) -> dict[str, Any]:
    """Return Docker's labels as annotations, whose values may be any text."""
    kept = {key: value for key, value in container.labels.items() if is_annotation(key)}
    for key in container.labels.keys() - kept.keys():
        losses.add("labels", f'neither labels nor annotations of Kubernetes can be called "{key}"')
    return {"annotations": kept} if kept else {}


def _service_ports(container: Container, losses: Losses) -> list[dict[str, Any]]:
    targets: dict[int, int] = {}
    of_udp: dict[int, int] = {}
    for port in container.ports:
        if isinstance(port.listen, UnixAddress):
            losses.add("ports", f'"{port}": a Service has no Unix socket; clients use port {port.container}')
            targets.setdefault(port.container, port.container)
            continue
        if port.listen.host is not None:
            losses.add("ports", f'"{port}": a Service has an address of its own in the cluster, not {port.listen.host}')
        found = of_udp if port.is_udp else targets
        if found.setdefault(port.listen.port, port.container) != port.container:
            losses.add("ports", f'"{port}": a Service has one port {port.listen.port}, which leads to '
                                f"{found[port.listen.port]}; write another one into its ports")
    for exposed in container.expose:
        found = of_udp if exposed.is_udp else targets
        if found.setdefault(exposed.port, exposed.port) != exposed.port:
            losses.add("expose", f'"{exposed}": a Service has one port {exposed}, which leads to {found[exposed.port]}; '
                                 "write another one into its ports")
    return [{"name": f"tcp-{number}", "port": number, "targetPort": target} for number, target in targets.items()] + [
        {"name": f"udp-{number}", "port": number, "targetPort": target, "protocol": "UDP"} for number, target in of_udp.items()]


def _network_policy(container: Container, name: str, with_keda: bool, losses: Losses) -> list[dict[str, Any]]:
    if not container.allow:
        return []
    peers: list[dict[str, Any]] = [{"ipBlock": {"cidr": str(network)}} for network in container.allow]
    if with_keda:
        peers.append({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": keda.NAMESPACE}}})
    losses.add("allow", "became a NetworkPolicy: the cluster's network has to enforce it, and clients from outside must keep "
                        "their address (externalTrafficPolicy: Local)"
                        + (", which they don't behind the interceptor" if with_keda else ""))
    return [{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name},
             "spec": {"podSelector": {"matchLabels": {NAME_LABEL: name}}, "policyTypes": ["Ingress"],
                      "ingress": [{"from": peers, "ports": [
                          *({"protocol": "TCP", "port": port} for port in container.targets),
                          *({"protocol": "UDP", "port": port} for port in container.udp_targets)]}]}}]
