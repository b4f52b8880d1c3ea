"""One network for several booted hosts, and for nothing else: a bridge in a namespace of its own.

Knows which host has which address of 10.9.0.0/24; hides how the two ends of each cable are laid.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .machine import Machine


@contextmanager
def joined(machines: Mapping[str, Machine]) -> Iterator[str]:
    """Give each host the interface eth0 with its address, a key of ``machines``; yield the name of the bridge's namespace."""
    name = f"ondemand-lan-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "add", "bridge", "type", "bridge")
        _ip("-n", name, "link", "set", "bridge", "up")
        for number, (address, machine) in enumerate(machines.items()):
            _ip("-n", name, "link", "add", f"to-{number}", "type", "veth", "peer", "name", "eth0", "netns", str(machine.leader))
            _ip("-n", name, "link", "set", f"to-{number}", "master", "bridge", "up")
            machine.sh(f"ip address add {address}/24 dev eth0 && ip link set eth0 up")
        yield name
    finally:
        _ip("netns", "delete", name)


def _ip(*argv: str) -> None:
    subprocess.run(["ip", *argv], check=True, capture_output=True)
