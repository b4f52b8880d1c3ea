"""What has KEDA's HTTP add-on scale a Deployment from 0 at the first request, and back.

Knows its two objects (https://keda.sh/http-add-on/, InterceptorRoute v1beta1 of 0.14 and newer; https://keda.sh/docs/,
ScaledObject v1alpha1), and which containers speak HTTP; hides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ondemand_pkg.exporting.losses import Losses
from ondemand_pkg.model import Container, ReadyKind

NAMESPACE = "keda"  # where its Helm charts are installed as documented
SCALER = f"keda-add-ons-http-external-scaler.{NAMESPACE}:9090"
INTERCEPTOR = f"keda-add-ons-http-interceptor-proxy.{NAMESPACE}:8080"
CONCURRENT = 100  # requests for each pod, the add-on's own default
_HTTP_PORTS = {80, 3000, 5000, 8000, 8008, 8080, 8081, 8888, 9000, 9090}


def objects(container: Container, name: str, ports: Sequence[dict[str, Any]], losses: Losses) -> list[dict[str, Any]]:
    """Return what scales a container that speaks HTTP, the route first: the scaler asks for it; nothing for another one."""
    if container.udp_targets:
        losses.add("ports", "datagrams don't wake it: the add-on wakes HTTP alone"
                            + ("" if container.targets else "; one pod always runs"))
    if not container.targets:
        return []
    if container.ready.kind is not ReadyKind.HTTP and container.targets[0] not in _HTTP_PORTS:
        losses.add("ports", f"the add-on wakes HTTP alone, and nothing says that port {container.targets[0]} speaks it "
                            '(ready = { http = "/" } would): one pod always runs')
        return []
    port = next(one["port"] for one in ports if one["targetPort"] == container.targets[0])
    if len(container.targets) > 1:
        losses.add("ports", f"requests for port {port} wake it; connections to its other ports don't")
    losses.add("ports", f"clients reach it through the interceptor: lead them to {INTERCEPTOR}, and write the host names "
                        f"that they use into the InterceptorRoute {name}")
    if container.idle is None:
        losses.add("idle", "it is not set: KEDA scales to 0 after its own 300 s")
    route = {"apiVersion": "http.keda.sh/v1beta1", "kind": "InterceptorRoute", "metadata": {"name": name},
             "spec": {"target": {"service": name, "port": port}, "rules": [{"hosts": [name]}],
                      "scalingMetric": {"concurrency": {"targetValue": CONCURRENT}},
                      "timeouts": {"readiness": f"{max(1, math.ceil(container.ready.timeout))}s"}}}
    scaled = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
              "spec": {"scaleTargetRef": {"name": name}, "minReplicaCount": 0, "maxReplicaCount": 1,
                       **({} if container.idle is None else {"cooldownPeriod": max(1, math.ceil(container.idle))}),
                       "triggers": [{"type": "external-push",
                                     "metadata": {"scalerAddress": SCALER, "interceptorRoute": name}}]}}
    return [route, scaled]
