"""What `run` does for clients that come to the workload past the relay (path = "kernel").

Knows to which addresses they may be led, and that nobody may come there any more before the workload is stopped or paused: a
connection to a paused one is completed by the kernel, and hangs.  Hides how that is waited for.
"""

import _socket
import select
import time

import words
from own_sockets import family_of

PATIENCE = 3.0  # seconds in which `kernel` says that it is done; one that does not is left alone
CONNECT = 0.3  # seconds for one attempt to connect


def reachable(addresses: "Sequence[str]", address: "str", ports: "str") -> "str":
    """Return the addresses at which the workload listens on some ports: the one that it is known for, and maybe another."""
    wanted = [int(port) for port in ports.split(",") if port.isdigit()]
    others = [other for other in addresses if other != address and all(listens(other, port) for port in wanted)]
    return ",".join([address] + others)


def listens(address: "str", port: "int") -> "bool":
    try:
        client = _socket.socket(family_of(address), _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    except OSError:
        return False
    try:
        client.settimeout(CONNECT)
        client.connect((address, port))
    except OSError:
        return False
    finally:
        client.close()
    return True


def close(control: "Server", *why: "str") -> "bool":
    """Wait until nobody is led to the workload any more; return whether that goes on, because it is not idle."""
    deadline = time.monotonic() + PATIENCE
    for descriptor in list(control.passing):
        control.answer(descriptor, " ".join((words.CLOSE,) + why))
    waiting = set(control.passing)
    busy: "Set[int]" = set()
    while waiting and time.monotonic() < deadline:
        poll = select.poll()
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(max(0, int(1000 * (deadline - time.monotonic())))):
            word = control.heard(descriptor)
            if word == words.BUSY:
                busy.add(descriptor)
            if word in (words.CLOSED, words.BUSY) or descriptor not in control.clients:
                waiting.discard(descriptor)
    control.passing = busy
    return bool(busy)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence, Set

    from control import Server
