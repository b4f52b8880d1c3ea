"""Probes from how a container is known to be ready.

Knows which probe does what `ready` does, and where none does; hides nothing.
"""

from __future__ import annotations

import math
from typing import Any

from ondemand_pkg.exporting.losses import Losses
from ondemand_pkg.model import Container, ReadyKind

PROBE_TIMEOUT = 5  # seconds; the default of 1 is short for a command
LOOK_AGAIN = 10  # seconds between two probes of what was ready once
_ACCEPTED = range(200, 400)  # the statuses that an HTTP probe takes


def probes(container: Container, losses: Losses) -> dict[str, Any]:
    """Return the probes of a container; none where nothing of it can be probed."""
    if not container.targets and container.ready.kind is not ReadyKind.EXEC:
        if container.udp_targets:
            losses.add("ready", "no probe asks a port of UDP: the pod counts as ready as soon as it runs")
        return {}
    check = {**_check(container, losses), "timeoutSeconds": PROBE_TIMEOUT}
    return {"startupProbe": {**check, "periodSeconds": 1, "failureThreshold": max(1, math.ceil(container.ready.timeout))},
            "readinessProbe": {**check, "periodSeconds": LOOK_AGAIN}}


def _check(container: Container, losses: Losses) -> dict[str, Any]:
    ready = container.ready
    if ready.kind is ReadyKind.EXEC:
        return {"exec": {"command": list(ready.argv)}}
    port = container.targets[0]
    if ready.kind is ReadyKind.HTTP:
        if ready.status not in _ACCEPTED:
            losses.add("ready", f"a probe takes the statuses 200 to 399, not {ready.status}; the port is probed instead")
            return {"tcpSocket": {"port": port}}
        if ready.status != 200:
            losses.add("ready", f"a probe takes every status from 200 to 399, not {ready.status} alone")
        return {"httpGet": {"path": ready.path, "port": port}}
    if ready.kind is ReadyKind.HEALTHCHECK:
        losses.add("ready", "Kubernetes does not know the image's health check; write its command into the probes as exec. The "
                            f"port {port} is probed instead")
    elif ready.kind is ReadyKind.LOG:
        losses.add("ready", f"no probe reads the log; the port {port} is probed instead")
    elif ready.kind is ReadyKind.UDP:
        losses.add("ready", f"no probe asks a port of UDP; the port {port} is probed instead")
    elif len(container.targets) > 1:
        losses.add("ready", f"a container has one probe: of the ports, {port} is probed")
    return {"tcpSocket": {"port": port}}
