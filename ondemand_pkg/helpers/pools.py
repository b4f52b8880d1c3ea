"""Whether a container that is awake holds a connection to this package's one open, as a pool does, though nothing is sent.

Knows which packages link to this one, and the kernel's tables of TCP sockets in their containers' networks; hides how those are
found.  A container's connections to itself don't count, nor do those of one that sleeps paused.
"""

import _socket
import os
import sys

from attending import attendants
from linked import LINKS, links_of, own_host
from names import HERE, NAME, units_of

ESTABLISHED = "01"  # TCP_ESTABLISHED in include/net/tcp_states.h
MAPPED = "0000000000000000FFFF0000"  # what stands before an IPv4 address in an IPv6 socket


def is_held(engine: "Engine", here: "str" = HERE) -> "bool":
    """Return whether a linked container that is awake has a connection open; raises EngineDown and EngineError."""
    own = own_host(here)
    if own is None:
        return False
    companions = attendants()  # they end with this one
    for name in linkers(here):
        if name in companions:
            continue
        seen = engine.look(units_of(name))
        if seen is not None and seen.is_running and not seen.is_paused and is_connected(seen.life, own[0]):
            return True
    return False


def linkers(here: "str") -> "List[str]":
    """Return the declared names of the other containers of this host that reach this one."""
    libexec, found = os.path.dirname(here), []
    for package in sorted(os.listdir(libexec)):
        directory = os.path.join(libexec, package)
        if directory != here and os.path.exists(os.path.join(directory, LINKS)):
            if any(target == NAME for target, _ in links_of(directory)):
                found.append(package[len("ondemand-"):])
    return found


def is_connected(process: "str", address: "str") -> "bool":
    """Return whether there is a connection to an address in the network of a process."""
    number = "{:08X}".format(int.from_bytes(_socket.inet_aton(address), sys.byteorder))
    wanted = {number, MAPPED + number}
    for table in ("tcp", "tcp6"):
        try:
            with open("/proc/{}/net/{}".format(process, table)) as lines:
                for line in lines:
                    words = line.split()
                    if words[3] == ESTABLISHED and words[2].partition(":")[0] in wanted:
                        return True
        except OSError:
            pass  # it has ended, or its kernel has no IPv6
    return False


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from engines import Engine
