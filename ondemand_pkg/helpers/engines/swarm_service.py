"""What a service of Docker's swarm is made from, as its engine reads it.

Knows the part of container.json that is for a swarm, and the engine's form of a service (Engine API, "Create a service"); hides
that form.  Its ports are published by the nodes on which tasks run, each task at ports of its own, which the engine chooses.
"""

import json

from names import DECLARATION

OF_VERSIONS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-~^_:"
SECOND = 10 ** 9  # in the engine's unit of time, and of processors


def declared() -> "Dict[str, Any]":
    with open(DECLARATION, "rb") as stream:
        return dict(json.loads(stream.read().decode("ascii")))


def made_from(name: "str", wanted: "Wanted", labels: "Dict[str, str]", replicas: "int") -> "Dict[str, Any]":
    """Return a service with so many tasks, that has these labels itself; its containers have the declared ones."""
    own = declared()["swarm"]
    environment = dict(wanted.environment, **wanted.secret_environment)
    container = {
        "Image": wanted.image, "Labels": own["labels"], "Env": ["{}={}".format(*pair) for pair in sorted(environment.items())],
        "Mounts": [mount(volume) for volume in wanted.volumes] + [temporary(one) for one in own["tmpfs"]],
        "StopGracePeriod": own["stop_timeout"] * SECOND,
    }
    for key, value in (("Command", own["entrypoint"]), ("Args", own["command"]), ("Dir", own["workdir"]), ("User", own["user"]),
                       ("ReadOnly", own["read_only"]), ("CapabilityAdd", own["cap_add"]), ("CapabilityDrop", own["cap_drop"])):
        if value:
            container[key] = value
    limits = {}
    if own["memory"]:
        limits["MemoryBytes"] = own["memory"]
    if own["cpus"]:
        limits["NanoCPUs"] = int(own["cpus"] * SECOND)
    placement = {"Constraints": ["node.hostname==" + own["node"]]} if own["node"] else {}
    return {
        "Name": name, "Labels": labels,
        "TaskTemplate": {"ContainerSpec": container, "Resources": {"Limits": limits}, "Placement": placement,
                         "RestartPolicy": {"Condition": "any", "Delay": SECOND}},
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first" if wanted.volumes else "start-first"},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [
            {"Protocol": "tcp", "TargetPort": port, "PublishMode": "host"} for port in own["ports"]]},
    }


def is_newer(version: "str", other: "str") -> "bool":
    """Return whether a version of this package comes after another one, as the host's package manager has it.

    The other one is a label, which anybody may have written who rules a manager: what is no version is older than every one.
    """
    import shutil
    import subprocess

    if version == other or not is_version(other):
        return version != other
    if shutil.which("dpkg"):
        return subprocess.call(["dpkg", "--compare-versions", version, "gt", other]) == 0
    script = '%{{lua: print(rpm.vercmp("{}", "{}"))}}'.format(version, other)
    return subprocess.Popen(["rpm", "--eval", script], stdout=subprocess.PIPE).communicate()[0].strip() == b"1"


def is_version(text: "str") -> "bool":
    return 0 < len(text) <= 200 and all(one in OF_VERSIONS for one in text)


def mount(volume: "str") -> "Dict[str, Any]":
    """Return SOURCE:TARGET[:ro] as the engine has it."""
    source, target, *options = volume.split(":")
    return {"Type": "bind" if source.startswith("/") else "volume", "Source": source, "Target": target,
            "ReadOnly": "ro" in ",".join(options).split(",")}


def temporary(one: "str") -> "Dict[str, Any]":
    return {"Type": "tmpfs", "Target": one}


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    from engines import Wanted
