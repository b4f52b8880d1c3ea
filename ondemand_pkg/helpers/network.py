"""network - make the network in which on-demand containers reach each other, or remove it.

Usage: network up|down

  up    make it, unless it is there (for the unit that the socket needs)
  down  remove it, unless another package needs it (for maintainer scripts)

Knows a network namespace of its own, in which a range of addresses is local, and the two interfaces by which the host reaches
it; hides that all packages share it: whichever comes first makes it, and the last one removes it.  There is no way out of it: a
packet from outside of the host, whatever routes led it here, gets no answer.
"""

import fcntl
import os
import subprocess

from names import HERE, LOCKS, PACKAGE
from process import Failure, say, tidy_locks, usage

RANGE = "198.18.0.0/15"  # of RFC 2544; ondemand_pkg/layout.py has it too
HOST, INSIDE, PREFIX = "169.254.77.1", "169.254.77.2", 30
NAMESPACE, UNFINISHED = "ondemand", "ondemand.new"
DIRECTORY = "/run/netns"
PATH = os.path.join(DIRECTORY, NAMESPACE)
INTERFACE = "ondemand"
LOCK_OF_ALL = "network"  # no package's lock is called so: theirs end in .lock
# Of systemd's own network: rpm may run scriptlets in namespaces of their own (rpm-plugin-unshare(8)).
AT_HOME = ["nsenter", "--target=1", "--net", "--mount", "--"]


def main(argv: "Sequence[str]") -> "int":
    if list(argv) not in (["up"], ["down"]):
        return usage(__doc__)
    os.makedirs(LOCKS, 0o700, exist_ok=True)
    lock = os.open(os.path.join(LOCKS, LOCK_OF_ALL), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if argv[0] == "up":
            up()
        elif not needed_by_others():
            down()
            os.unlink(os.path.join(LOCKS, LOCK_OF_ALL))
            tidy_locks()
    except (Failure, OSError) as error:
        say("the network of linked containers can't be {}: {}".format("made" if argv[0] == "up" else "removed", error))
        return 1
    return 0


def up() -> "None":
    """Make the network under another name, and give it its own once it is complete: who finds it can use it."""
    if os.path.exists(PATH):
        return
    forget(UNFINISHED)
    call(["ip", "netns", "add", UNFINISHED])
    call(["ip", "-batch", "-"], [
        "link add {} type veth peer name clients netns {}".format(INTERFACE, UNFINISHED),
        "address add {}/{} dev {}".format(HOST, PREFIX, INTERFACE),
        "link set {} up".format(INTERFACE),
        "route replace {} via {}".format(RANGE, INSIDE)])
    call(["ip", "-netns", UNFINISHED, "-batch", "-"], [
        "link set lo up",
        "address add {}/{} dev clients".format(INSIDE, PREFIX),
        "link set clients up",
        "route add local {} dev lo".format(RANGE)])
    with open(PATH, "w"):
        pass
    call(["mount", "--bind", os.path.join(DIRECTORY, UNFINISHED), PATH])
    call(["ip", "netns", "delete", UNFINISHED])


def down() -> "None":
    forget(UNFINISHED)
    forget(NAMESPACE)


def forget(namespace: "str") -> "None":
    """Remove a namespace, and the interfaces with it."""
    if os.path.exists(os.path.join(DIRECTORY, namespace)):
        call(["ip", "netns", "delete", namespace])
    if os.path.exists("/sys/class/net/" + INTERFACE):
        call(["ip", "link", "delete", INTERFACE])


def needed_by_others() -> "bool":
    libexec = os.path.dirname(HERE)
    return any(name.startswith("ondemand-") and name != PACKAGE and os.path.exists(os.path.join(libexec, name, "network"))
               for name in os.listdir(libexec))


def call(argv: "List[str]", lines: "Sequence[str]" = ()) -> "None":
    """Run a program with some lines as its input.  Raises Failure where it fails."""
    try:
        done = subprocess.Popen(AT_HOME + argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError as error:
        raise Failure("{} is not installed".format(error.filename)) from None
    said = done.communicate("".join(line + "\n" for line in lines).encode("ascii"))[0]
    if done.returncode:
        raise Failure("'{}' failed: {}".format(" ".join(argv), " ".join(said.decode("utf-8", "replace").split())))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence
