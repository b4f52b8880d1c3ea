"""The connections that the kernel leads to a workload past the relay, as it tracks them.

Knows which of all tracked connections they are: those whose answers come from the workload, though they were made to another
address; hides nf_conntrack's messages.
"""

import _socket
import struct

from kernel_table import IPV6, protocol_of
from netlink import Netlink, attribute, attributes, nested, number

GET, DELETE = 1 << 8 | 1, 1 << 8 | 2
ORIGINAL, REPLY, PROTOCOL, ID, FILTER = 1, 2, 4, 12, 25
OF_REPLY = 2  # attribute of a filter
BY_SOURCE = 1  # what a filter looks at
OVER = 6  # states from here on (LAST_ACK, TIME_WAIT, CLOSE) have nothing more to carry
SYN_SENT_TOO = 9  # but this one is at the beginning


class Tracked:
    """One connection."""

    def __init__(self, known: "Dict[int, bytes]") -> "None":
        self.original, self.identity = known[ORIGINAL], known.get(ID, b"")
        state = attributes(attributes(known.get(PROTOCOL, b"")).get(1, b"")).get(1, b"\0")[0]
        self.is_open = 0 < state < OVER or state == SYN_SENT_TOO


class Connections:
    """All that lead to a workload at some addresses.  Every method raises OSError where the kernel refuses."""

    def __init__(self, addresses: "Sequence[str]") -> "None":
        self.netlink = Netlink()
        self.addresses = addresses

    def all(self) -> "List[Tracked]":
        return [one for address in self.addresses for one in self._of(address)]

    def _of(self, address: "str") -> "List[Tracked]":
        of = protocol_of(address)
        source, destination = (3, 4) if of is IPV6 else (1, 2)
        reply = nested(REPLY, nested(1, attribute(source, of.packed(address))))
        wanted = reply + nested(FILTER, number(1, 0), attribute(OF_REPLY, struct.pack("=I", BY_SOURCE)))
        found = []
        for content in self.netlink.all(GET, of.family, wanted):
            known = attributes(content)
            if ORIGINAL in known and REPLY in known:
                ends = attributes(attributes(known[ORIGINAL]).get(1, b""))
                answering = attributes(attributes(known[REPLY]).get(1, b""))
                if answering.get(source) == of.packed(address) and ends.get(destination) not in (None, of.packed(address)):
                    found.append(Tracked(known))
        return found

    def cut(self, connections: "Sequence[Tracked]") -> "None":
        """Forget connections: what comes on them meets the host itself, which refuses it."""
        for one in connections:
            family = _socket.AF_INET if 1 in attributes(attributes(one.original).get(1, b"")) else _socket.AF_INET6
            body = nested(ORIGINAL, one.original) + (attribute(ID, one.identity) if one.identity else b"")
            try:
                self.netlink.order(DELETE, family, body)
            except FileNotFoundError:
                pass  # it has ended meanwhile


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Sequence
