"""What systemd can't do of a container whose image it runs itself.

Knows which keys and values need an engine, or are not supported yet without one; hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg.engines.systemd import SYSTEMD
from ondemand_pkg.model import ANY_ENGINE, RELAY, Ready, ReadyKind

WORD = SYSTEMD.word
LEAVE = f'leave it out, or write engine = "{ANY_ENGINE}"'
# Docker's own set without MKNOD, which makes devices; helpers/engines/image_unit.py has it too.
CAPABILITIES = {"ALL", "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "NET_RAW",
                "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
_NOT_YET = ("aliases", "companion_of", "excludes", "expose", "links", "network_of", "task")
_NEVER = {"labels": "a unit has no labels", "log_limit": "the output goes into the journal, which has limits of its own",
          "create_args": "no engine creates anything"}
_VOLUME_OPTIONS = ("ro", "rw", "nocopy")
_READY = (ReadyKind.TCP, ReadyKind.HTTP, ReadyKind.UDP, ReadyKind.LOG, ReadyKind.STARTED)


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with that of `engine`, what is wrong with it, and what to do instead."""
    if arguments.get("engine") != WORD:
        if "outbound" in arguments:
            yield "outbound", f'it is for engine = "{WORD}"', 'leave it out, or write create_args = ["--network=..."]'
        return
    if not arguments.get("bundle"):
        yield ("bundle", f'missing; with engine = "{WORD}", no engine pulls the image, and pulling it without one is not '
               "supported yet", "write bundle = true")
    if arguments.get("outbound", True):
        yield ("outbound", "connections from the container to other hosts are not supported yet", "write outbound = false")
    for key in _NOT_YET:
        if arguments.get(key):
            yield key, f'with engine = "{WORD}", it is not supported yet', LEAVE
    for volume in arguments.get("volumes", ()):
        for option in volume.options:
            if option not in _VOLUME_OPTIONS:
                yield "volumes", f'"{volume}": with engine = "{WORD}", the option {option!r} is not supported yet', LEAVE
    for key, why in _NEVER.items():
        if key in arguments and (arguments[key] or key == "log_limit"):
            yield key, f'with engine = "{WORD}", {why}', LEAVE
    if (kind := arguments.get("ready", Ready()).kind) not in _READY:
        yield "ready", f'with engine = "{WORD}", "{kind.value}" is not supported yet', (
            'write "tcp", { http = "/PATH" } or { log = "TEXT" }')
    if arguments.get("path", RELAY) != RELAY:
        yield "path", f'with engine = "{WORD}", the server has no address to which the kernel could lead clients', "leave it out"
    if arguments.get("proxy", RELAY) != RELAY:
        yield "proxy", f'with engine = "{WORD}", the server is reached in a network of its own', "leave it out"
    for capability in arguments.get("cap_add", ()):
        if capability.removeprefix("CAP_") not in CAPABILITIES:
            yield "cap_add", f'with engine = "{WORD}", {capability} is not supported yet', LEAVE
    if "ALL" in arguments.get("cap_add", ()):
        yield "cap_add", f'with engine = "{WORD}", ALL is not supported yet', "name the capabilities that are needed"
