"""apart - make the network in which an image runs, or remove it.

Usage: apart up|down

  up    make it, unless it is there (for the unit that the service needs)
  down  remove it (for maintainer scripts)

Knows a network namespace in which nothing is but the loopback interface: no packet leaves it or comes into it.  The helpers are
a part of it, and so reach the server at its loopback addresses.  Hides that it gets its name once it is complete.
"""

import os

from names import PACKAGE
from network import DIRECTORY, call
from process import Failure, Lock, say, usage

PATH = os.path.join(DIRECTORY, PACKAGE)
UNFINISHED = PACKAGE + "@new"  # no NAME holds an @


def main(argv: "Sequence[str]") -> "int":
    if list(argv) not in (["up"], ["down"]):
        return usage(__doc__)
    try:
        with Lock():
            if argv[0] == "down":
                forget(PACKAGE)
            if not os.path.exists(PATH):
                forget(UNFINISHED)
                if argv[0] == "up":
                    up()
    except (Failure, OSError) as error:
        say("the network of the image can't be {}: {}".format("made" if argv[0] == "up" else "removed", error))
        return 1
    return 0


def up() -> "None":
    call(["ip", "netns", "add", UNFINISHED])
    call(["ip", "-netns", UNFINISHED, "link", "set", "lo", "up"])
    # As Docker has it: a server that is not root may listen on any port.
    call(["nsenter", "--net=" + os.path.join(DIRECTORY, UNFINISHED), "sh", "-c",
          "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start"])
    with open(PATH, "w"):
        pass
    call(["mount", "--bind", os.path.join(DIRECTORY, UNFINISHED), PATH])
    forget(UNFINISHED)


def forget(namespace: "str") -> "None":
    if os.path.exists(os.path.join(DIRECTORY, namespace)):
        call(["ip", "netns", "delete", namespace])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence
