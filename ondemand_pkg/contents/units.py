"""The systemd units of a declared container.

Knows which units there are and what they say; hides their templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ondemand_pkg import layout
from ondemand_pkg.contents.rendering import render
from ondemand_pkg.engines.choice import engine_of, is_replicated, is_unpacked
from ondemand_pkg.model import RELAY, Container, Listen, TcpAddress, UdpAddress, UnixAddress

FILES = 524288  # that a process of the proxy may open: the hard limit that systemd gives to every service
PROXYD_FILES = 6  # that systemd-socket-proxyd opens for one connection
TURN_TIMEOUT = 3600  # seconds for which a task may wait for those before it (helpers/task.py)
DATAGRAMS = "1M"  # of the kernel's memory for datagrams that come before the relay runs; the kernel doubles it
PULL_TIMEOUT = 1800  # seconds that making the container may take at a wake, the pull of its image included


def title(container: Container) -> str:
    """Return what the units call the container in their descriptions."""
    return container.description or f"On-demand {'service' if container.adopted else 'container'} {container.name}"


def units(container: Container) -> dict[str, str]:
    """Return the text of each unit, by its name."""
    values = {
        "c": container,
        "engine": engine_of(container),
        "title": title(container),
        "files": FILES,
        "connections": FILES // PROXYD_FILES - 1,
        "relays": container.proxy == RELAY,
        "pauses": container.pauses,
        "unit_stem": layout.unit_stem,
        "door_seen": layout.DOOR,
        "kernel_seen": layout.KERNEL_DOOR,
        "pull_timeout": PULL_TIMEOUT,
        "ready_timeout": f"{container.ready.timeout:g}",
        "turn_timeout": TURN_TIMEOUT,
        "datagrams": DATAGRAMS,
        "namespace": layout.SHARED_NAMESPACE,
        "host_in_shared": layout.HOST_IN_SHARED,
        "is_replicated": is_replicated(container),
        "apart": layout.apart(container.package_name) if is_unpacked(container) else "",
        "apart_unit": layout.apart_unit(container.name),
    }
    door = {container.door_unit: render("units/ondemand-container.socket.j2", **values)} if container.has_door else {}
    proxy = {container.proxy_unit: render("units/ondemand.service.j2", **values)} if container.listens else {}
    return {
        **dict(_socket_units(container, values)),
        **door,
        **({container.kernel_socket_unit: render("units/ondemand-kernel.socket.j2", **values),
            container.kernel_unit: render("units/ondemand-kernel.service.j2", **values)} if container.kernel_ports else {}),
        **proxy,
        container.container_unit: render("units/ondemand-container.service.j2", **values),
        **({container.network_unit: render("units/ondemand-net.service.j2", **values)} if container.expose else {}),
        **({values["apart_unit"]: render("units/ondemand-apart.service.j2", **values)} if values["apart"] else {}),
        **({container.timer_unit: render("units/ondemand-wake.timer.j2", **values),
            container.waker_unit: render("units/ondemand-wake.service.j2", **values)} if container.wakes else {}),
        **({container.timer_unit: render("units/ondemand-wake.timer.j2", **values)} if container.schedule else {}),
    }


def _socket_units(container: Container, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what listens: a unit for the host's addresses, one for other containers; the first of the two is the enabled one."""
    of_host = [port.listen for port in container.ports]
    for listening, is_shared in ((of_host, False), (list(container.exposed), True)):
        if listening:
            unit = container.exposed_socket_unit if is_shared else container.socket_unit
            yield unit, render(
                "units/ondemand.socket.j2", **values, unit=unit, listening=list(map(_listen, listening)), is_shared=is_shared,
                is_second=unit != container.socket_unit,
                has_tcp=any(isinstance(address, TcpAddress) for address in listening),
                has_udp=any(isinstance(address, UdpAddress) for address in listening),
                has_address=any(not isinstance(address, UnixAddress) and address.host for address in listening),
                has_path=any(isinstance(address, UnixAddress) for address in listening))


def _listen(address: Listen) -> tuple[str, str]:
    """Return what a socket unit says of an address: the setting and its value."""
    return ("ListenDatagram", address.address) if isinstance(address, UdpAddress) else ("ListenStream", str(address))


def preset(container: Container) -> tuple[str, str]:
    """Return name and text of the preset that enables the socket or the timer (systemd.preset(5)).

    The 80 puts it before the `disable *` with which distributions end and behind an administrator's own.
    """
    return f"80-{container.package_name}.preset", render("units/80-ondemand.preset.j2", c=container)
