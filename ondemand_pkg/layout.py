"""Where a package of this project has its files on a host, and what is read back out of them.

Knows names and paths that builder, repository and host agree on; needs the standard library alone.
"""

from __future__ import annotations

import hashlib
import ipaddress

LIBEXEC = "/usr/libexec"
UNITS = "/usr/lib/systemd/system"
PRESETS = "/usr/lib/systemd/system-preset"
DOCUMENTS = "/usr/share/doc"
LINTIAN = "/usr/share/lintian"
DOORS = "/run/ondemand.doors"  # as in helpers/names.py
KERNEL_DOOR = "/run/ondemand.kernel"  # where each relay sees that of what leads clients past it; as in helpers/names.py
DOOR = "/run/ondemand.door"  # where each relay sees its own
PREFIX = "ondemand-"  # of every package of this project
ATTENDANTS = f"{LIBEXEC}/ondemand"  # as in helpers/names.py; no package has a directory of that name, which ends in a NAME
SHARED_RANGE = ipaddress.IPv4Network("198.18.0.0/15")  # of addresses at which containers reach each other; RFC 2544
SHARED_NAMESPACE = "/run/netns/ondemand"  # the network that has them
HOST_IN_SHARED = "169.254.77.1"  # the host's address in it, behind which all clients are


def package_name(name: str) -> str:
    """Return the name of the package of a declared container, and of its directories."""
    return PREFIX + name


def unit_stem(name: str) -> str:
    """Return the name of the units of a declared container, and of the container.

    Neither systemd (systemd.unit(5)) nor Docker allows ``+`` in a name, so ``_``, which no NAME holds, stands in.
    """
    return package_name(name).replace("+", "_")


def network_stem(name: str) -> str:
    """Return the name of the units by which other containers reach a declared one; no NAME holds an ``@``."""
    return "ondemand-net@" + name.replace("+", "_")


def wake_stem(name: str) -> str:
    """Return the name of the units that wake a declared container by the clock; no NAME holds an ``@``."""
    return "ondemand-wake@" + name.replace("+", "_")


def kernel_stem(name: str) -> str:
    """Return the name of the units by which the kernel leads clients to a declared container; no NAME holds an ``@``."""
    return "ondemand-kernel@" + name.replace("+", "_")


def apart_unit(name: str) -> str:
    """Return the unit that makes the network in which systemd runs an image; no NAME holds an ``@``."""
    return f"ondemand-apart@{name.replace('+', '_')}.service"


def apart(package: str) -> str:
    """Return where that network is."""
    return f"/run/netns/{package}"


def unpacked(package: str) -> str:
    """Return the directory of an unpacked image, as in helpers/engines/systemd.py."""
    return f"/var/lib/ondemand/systemd/{package.replace('+', '_')}"


def shared_address(name: str) -> str:
    """Return the address at which other containers reach a declared one, by its name alone: the same on every machine."""
    number = int.from_bytes(hashlib.sha256(name.encode("ascii")).digest()[:4], "big")
    return str(SHARED_RANGE[1 + number % (SHARED_RANGE.num_addresses - 2)])


def helpers(package: str) -> str:
    """Return the directory of a package's helpers."""
    return f"{LIBEXEC}/{package}"


def attendant(service: str, name: str) -> str:
    """Return the file by which a service finds a companion or a task of it, both by their declared names."""
    return f"{ATTENDANTS}/{service}/{name}"


def specification(package: str) -> str:
    """Return the file that tells a package's helpers what the container is made from."""
    return f"{helpers(package)}/container.json"


def stack(package: str) -> str:
    """Return the file that says of which members a stack is made."""
    return f"/usr/share/{package}/stack.json"


def documents(package: str) -> str:
    """Return the directory of a package's documents."""
    return f"{DOCUMENTS}/{package}"


def declaration(package: str) -> str:
    """Return the copy of the declaration that a package was built from."""
    return f"{documents(package)}/declaration.toml"


def overrides(package: str) -> str:
    """Return the file that says why lintian's doubts about a .deb are none."""
    return f"{LINTIAN}/overrides/{package}"


def listen_addresses(socket_unit: str) -> list[str]:
    """Return the addresses on which a socket unit, by its text, listens (systemd.socket(5), ListenStream=)."""
    return [line.partition("=")[2].strip() for line in socket_unit.split("\n") if line.startswith("ListenStream=")]
