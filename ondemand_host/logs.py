"""Where the output of a service is.

Knows that the container's output and the messages of the service's units are in the journal; hides how they are selected.
"""


def command(packages: "Sequence[Installed]", lines: "str", since: "Optional[str]", follow: "bool") -> "List[str]":
    """Return the command that shows what the units of some services wrote, in one order."""
    argv = ["journalctl", "--no-pager", "--lines=" + lines]
    argv += ["--since=" + since] if since else []
    argv += ["--follow"] if follow else []
    return argv + ["--unit=" + unit for package in packages for unit in (package.socket, package.proxy, package.container)]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence

    from ondemand_host.places import Installed
