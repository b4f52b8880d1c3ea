"""What can be wrong with the way from clients to a service: shared ports of UDP, the kernel path, and the clock that wakes.

Knows what each of them needs, and what happens without it; hides where that is seen.  Looks only.
"""

from ondemand_host import checks, sockets
from ondemand_host.checks import WARNING, Trouble
from ondemand_host.systemd import Unit

RUNS = ("active", "activating", "reloading")
IMPOSSIBLE = "path = \"kernel\" is not possible"  # as helpers/kernel.py says it
RELAY_HAS_ALL = "the relay forwards all connections"


def sharing(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that no other socket takes the datagrams: the kernel lets several have one address where they agree."""
    for address in sockets.shared(units.get(package.socket, Unit()).listen):
        yield Trouble(WARNING, "another socket has {} too, and the one that was opened last gets all datagrams".format(address),
                      "ss --udp --listening --processes --numeric shows whose; give one of the two another port")


def passing(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check what leads clients past the relay; without it they are served all the same."""
    if not package.kernel_units:
        return
    door, helper = package.kernel_units
    for name in (door, helper):
        unit = units.get(name, Unit())
        if unit.load != "loaded":
            is_masked = unit.load == "masked"
            yield Trouble(WARNING, "{} is {}, so {}".format(name, "masked" if is_masked else "missing", RELAY_HAS_ALL),
                          "systemctl unmask {}".format(name) if is_masked else "systemctl daemon-reload, and if that does not "
                          "help, install the package again")
            return
        for trouble in checks.unit_file(package, name, unit):
            yield trouble
    if units.get(package.socket, Unit()).active in RUNS and units.get(door, Unit()).active not in RUNS:
        yield Trouble(WARNING, "{} does not listen, so {}".format(door, RELAY_HAS_ALL), "systemctl start {}".format(door))
    said = checks.said(["journalctl", "--boot", "--unit", helper, "--output=cat", "--lines=50", "--no-pager"])
    last = said.rpartition("Started ")[2]  # since its last start
    for line in last.splitlines():
        why = line.partition(": ")[2]  # behind the name of the service
        if why.startswith(IMPOSSIBLE):
            yield Trouble(WARNING, why, "see what docs/firewall.md says of path = \"kernel\"; the next wake tries again")


def waking(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check the timer that wakes without a client."""
    unit, name = units.get(package.timer, Unit(load="not-found")), package.timer
    if package.schedule or unit.load == "not-found":
        return
    if unit.load == "masked":
        yield Trouble(WARNING, "{} is masked, so the clock does not wake it".format(name), "systemctl unmask {}".format(name))
    elif unit.active not in RUNS and units.get(package.socket, Unit()).active in RUNS:
        yield Trouble(WARNING, "{} does not run, so the clock does not wake it".format(name), "systemctl start {}".format(name))


OF_SERVICE = (sharing, passing, waking)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator

    from ondemand_host.places import Installed
