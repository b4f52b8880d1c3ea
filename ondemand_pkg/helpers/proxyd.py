"""proxyd - wait until the container listens, then become systemd-socket-proxyd.

Usage: proxyd --connections-max=N PORT

The process of the proxy service (ExecStart=) where the declaration says proxy = "systemd-socket-proxyd".  Starts beside the
container, so that nothing but the proxy itself is left to start once it listens.
"""

import os
import time

import words as spoken
from control import Client
from own_sockets import HELD, leads_back, passed_sockets
from process import say, usage

LOOK = 0.005  # seconds until it is looked again whether `run` is there
PROXIES = ("/usr/lib/systemd/systemd-socket-proxyd", "/lib/systemd/systemd-socket-proxyd")  # the last: hosts without merged /usr


def main(argv: "Sequence[str]") -> "int":
    if len(argv) != 2 or not argv[1].isdigit():
        return usage(__doc__)
    limit, port = argv
    own = passed_sockets()
    control, is_taken = connected(), False
    while True:
        words = control.receive()
        if not words and not is_taken:  # a `run` that was ending
            control.close()
            control = connected()
            continue
        is_taken = True
        if not words or words[0] == spoken.FAILED:
            return 1  # the container service has told why
        if words[0] == spoken.READY:
            address = "[{}]".format(words[1]) if ":" in words[1] else words[1]
            if any(leads_back(socket, words[1], int(port)) for socket in own):
                say(HELD.format("{}:{}".format(address, port)))
                return 1
            # The sockets are inherited, and the process keeps its number (sd_listen_fds(3)).
            proxy = PROXIES[0] if os.path.exists(PROXIES[0]) else PROXIES[1]
            os.execv(proxy, [proxy, limit, "{}:{}".format(address, port)])


def connected() -> "Client":
    """Return a connection to `run`; systemd stops this process where it never comes."""
    while True:
        try:
            return Client()
        except OSError:
            time.sleep(LOOK)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence
