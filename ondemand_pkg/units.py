"""The systemd units of a declared container.

Knows which units there are and what they say; hides their templates.
"""

from __future__ import annotations

from ondemand_pkg.model import RELAY, Container, TcpAddress, UnixAddress, unit_stem
from ondemand_pkg.templates import render

DIRECTORY = "/usr/lib/systemd/system"
PRESET_DIRECTORY = "/usr/lib/systemd/system-preset"
FILES = 524288  # that a process of the proxy may open: the hard limit that systemd gives to every service
PROXYD_FILES = 6  # that systemd-socket-proxyd opens for one connection
PULL_TIMEOUT = 1800  # seconds that making the container may take at a wake, the pull of its image included


def title(container: Container) -> str:
    """Return what the units call the container in their descriptions."""
    return container.description or f"On-demand container {container.name}"


def units(container: Container) -> dict[str, str]:
    """Return the text of each unit, by its name."""
    values = {
        "c": container,
        "title": title(container),
        "files": FILES,
        "connections": FILES // PROXYD_FILES - 1,
        "relays": container.proxy == RELAY,
        "pauses": container.pauses,
        "unit_stem": unit_stem,
        "pull_timeout": PULL_TIMEOUT,
        "ready_timeout": f"{container.ready.timeout:g}",
        "has_tcp": any(isinstance(port.listen, TcpAddress) for port in container.ports),
        "has_address": any(isinstance(port.listen, TcpAddress) and port.listen.host for port in container.ports),
        "has_path": any(isinstance(port.listen, UnixAddress) for port in container.ports),
    }
    return {
        container.socket_unit: render("units/ondemand.socket.j2", **values),
        container.proxy_unit: render("units/ondemand.service.j2", **values),
        container.container_unit: render("units/ondemand-container.service.j2", **values),
    }


def preset(container: Container) -> tuple[str, str]:
    """Return name and text of the preset that enables the socket (systemd.preset(5)).

    The 80 puts it before the `disable *` with which distributions end and behind an administrator's own.
    """
    return f"80-{container.package_name}.preset", render("units/80-ondemand.preset.j2", c=container)
