"""Whether the container answers a datagram as declared.

Knows what is sent and how the answer is judged; hides that either may get lost: the question is asked again and again.
"""

import _socket as socket
import errno
import os
import select
import time

LOOK = 0.002  # seconds between two looks
FIRST_PATIENCE, PATIENCE = 0.02, 1.0  # seconds until the question is asked again, doubled each time
LARGEST = 65536  # bytes of an answer


class UdpCheck:
    """One question, at each address of the container until one answers; ``address`` is that one then."""

    def __init__(self, addresses: "Sequence[str]", port: "int", declared: "Dict[str, Any]") -> "None":
        self.question, self.wanted = bytes.fromhex(declared["send"]), bytes.fromhex(declared["expect"])
        self.targets = [(address, port) for address in addresses]
        self.address = addresses[0]
        self.what = "answer a datagram on port {}/udp{}".format(
            port, " with {}".format(declared["expect"]) if self.wanted else "")
        self.last = "no answer"
        self.patience = FIRST_PATIENCE
        self.asked = 0.0  # when; 0: not yet
        self.sockets: "List[Socket]" = []

    def look(self) -> "bool":
        """Return whether the container has answered; come back after LOOK at most."""
        moment = time.monotonic()
        if not self.sockets or moment - self.asked >= self.patience:
            self.patience = min(2 * self.patience, PATIENCE) if self.asked else self.patience
            self.asked = moment
            self.ask()
        poll = select.poll()
        for one in self.sockets:
            poll.register(one, select.POLLIN)
        found = {descriptor for descriptor, _ in poll.poll(LOOK * 1000)}
        is_ready = any([self.hear(one) for one in self.sockets if one.fileno() in found])
        if is_ready:
            self.close()
        return is_ready

    def ask(self) -> "None":
        """Send the question; an answer to an earlier one counts as long as its socket is open."""
        try:
            if not self.sockets:
                for target in self.targets:
                    one = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM)
                    one.setblocking(False)
                    self.sockets.append(one)
                    one.connect(target)
        except OSError as error:
            self.last = error.strerror or str(error)
            self.close()
            return
        for one in self.sockets:
            try:
                one.send(self.question)
            except OSError as error:
                self.fail(error)

    def hear(self, one: "Socket") -> "bool":
        """Return whether the answer that has come is the wanted one."""
        try:
            answer = one.recv(LARGEST)
        except OSError as error:
            self.fail(error)
            return False
        self.last = 'the answer was "{}"'.format(answer[:40].hex())
        if answer[:len(self.wanted)] != self.wanted:
            return False
        self.address = self.targets[self.sockets.index(one)][0]
        return True

    def fail(self, error: "OSError") -> "None":
        """Note a refusal: nobody listens there yet, so the next question comes soon."""
        if error.errno not in (errno.EAGAIN, errno.EINTR):
            self.last = os.strerror(error.errno) if error.errno else str(error)
            self.patience = FIRST_PATIENCE

    def close(self) -> "None":
        for one in self.sockets:
            one.close()
        self.sockets = []


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Dict, List, Sequence
