"""How a container reaches itself by the names under which others reach it.

Knows that these names lead to itself, not to the socket at which it is asked for: what it asks of itself while it starts, such as
a health check by its own name, would wait for its own readiness.  Hides in which networks an engine gives a container its name.
"""

from __future__ import annotations

import re

from ondemand_pkg.engines import create_options
from ondemand_pkg.model import Container

_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")  # RFC 1123, and what an engine takes
# With these it has another name, or none of its own.
_OTHERWISE = {"--hostname", "--uts"}
_WITHOUT_NAME = ("host", "none", "container:", "ns:")


def options(container: Container) -> list[str]:
    """Return the options by which a container that exposes ports knows itself.

    Its name becomes its host name, which engines lead to its own address, so that a server can listen there too; its aliases,
    and the name where that can't be, lead to its loopback.
    """
    if not container.expose:
        return []
    given = create_options.read(container.create_args)[0]
    networks = [option.value for option in given if option.name == "--network"]
    if any(network.startswith("container:") for network in networks):
        return []  # it has the names of that one
    is_named = _HOST_NAME.fullmatch(container.name) and not any(option.name in _OTHERWISE for option in given) and not any(
        network.startswith(_WITHOUT_NAME) for network in networks)
    first = f"--hostname={container.name}" if is_named else f"--add-host={container.name}:127.0.0.1"
    return [first, *(f"--add-host={alias}:127.0.0.1" for alias in container.aliases)]
