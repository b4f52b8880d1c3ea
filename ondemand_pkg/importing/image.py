"""A declaration from what an image says of itself.

Knows which parts of an image's configuration mean something to a declaration (OCI image specification, "config" and
"annotations"); hides the engine's names for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.engines import references
from ondemand_pkg.importing.draft import UNKNOWN_VERSION, Draft, name_of, version_of

_LABEL = "org.opencontainers.image."
_PORT = re.compile(r"[0-9]{1,5}")
_DIGITS = "0123456789"


def name_of_image(reference: str) -> str:
    """Return the name of a container for an image: the last part of its path."""
    return name_of(references.parsed(reference).name)


def offline(reference: str) -> Draft:
    """Return the smallest declaration of an image of which nothing is known but its name."""
    draft = Draft(name_of_image(reference))
    _image(draft, reference, {})
    _idle(draft)
    draft.values["ports"] = ["8080:80"]
    draft.remark("ports", "The image was not inspected: [ADDRESS:]LISTEN:CONTAINER; write its port behind the "
                          "colon.")
    draft.remark("volumes", 'volumes = ["NAME:/PATH"]        # what shall outlive the container')
    return draft


def draft_of(reference: str, attributes: Mapping[str, Any]) -> Draft:
    """Return a declaration of an image, ``attributes`` being what `docker inspect` tells of it."""
    draft = Draft(name_of_image(reference))
    config = attributes.get("Config") or {}
    labels = config.get("Labels") or {}
    _image(draft, reference, labels)
    digests = attributes.get("RepoDigests") or []
    if digests and "@" not in reference:
        draft.remark("image", f"A tag can move; this digest is always the same image: {digests[0]}")
    for key, label in (("description", "description"), ("license", "licenses"), ("homepage", "url")):
        value = str(labels.get(_LABEL + label) or "").strip()
        if value:
            draft.values[key] = value
    _ports(draft, config)
    for path in sorted(config.get("Volumes") or {}):
        draft.add("volumes", f"{draft.name}-{'-'.join(path.strip('/').split('/')) or 'data'}:{path}")
        draft.remarks["volumes"] = ["The image's volumes; with names, they outlive the container."]
    user = config.get("User") or ""
    draft.remark("user", f"The image runs as {user}." if user else
                 'The image runs as root; where it can do without: user = "1000:1000"')
    if config.get("StopSignal"):
        draft.remark("stop_timeout", f"The image is stopped with {config['StopSignal']} and killed after 10 s by default: "
                                     'stop_timeout = "30s"')
    test = (config.get("Healthcheck") or {}).get("Test") or []
    if test and test[0] != "NONE":
        draft.values["ready"] = {"healthcheck": True}
        draft.remark("ready", "The image has a health check: clients wait until it succeeds.")
    draft.remark("memory", 'memory = "256m"')
    _idle(draft)
    draft.keep_what_is_valid(f"the image {reference}")
    return draft


def _image(draft: Draft, reference: str, labels: Mapping[str, Any]) -> None:
    draft.values["image"] = reference
    label = str(labels.get(_LABEL + "version") or "").removeprefix("v")
    version = version_of(reference) or (version_of(f"x:{label}") if label[:1] in tuple(_DIGITS) else None)
    draft.values["version"] = version or UNKNOWN_VERSION
    if version is None:
        draft.remark("version", "Neither the tag nor a label gives a version: write the intended one.")


def _idle(draft: Draft) -> None:
    draft.values["idle"] = "10min"
    draft.remark("idle", "Asleep after this long without traffic; without this line it stays awake once woken.")


def exposed(config: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield number and protocol of each port of an image's or a container's configuration, by number."""
    ports = config.get("ExposedPorts") or {}
    found = [(port.partition("/")[0], port.partition("/")[2] or "tcp") for port in ports if isinstance(port, str)]
    # Whatever builder made the image: what is no port can't be listened on.
    yield from sorted((int(number), protocol) for number, protocol in found if _PORT.fullmatch(number))


def _ports(draft: Draft, config: Mapping[str, Any]) -> None:
    for number, protocol in exposed(config):
        if protocol == "tcp":
            draft.add("ports", f"{number}:{number}")
        else:
            advice = f'write "{number}:{number}/udp" into ports where clients use it'
            draft.note("the image", f"port {number}/{protocol}",
                       advice if protocol == "udp" else "only TCP and UDP can wake a container")
    if "ports" in draft.values:
        draft.remark("ports", "The ports that the image exposes: [ADDRESS:]LISTEN:CONTAINER.")
    else:
        draft.values["ports"] = ["8080:80"]
        draft.remark("ports", "The image exposes no port: write the one on which it listens behind the colon.")
