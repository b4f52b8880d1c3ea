"""The table of one service in the kernel: clients that it leads straight to the workload.

Knows which packets are led there: new connections from outside of a source that was let in, to the very address and port at which
it was; and which packets are traffic.  Hides nf_tables.  The table is owned: others can neither change nor delete it, and it is
gone when this process is.

Who is let in is in it for a minute, and only letting in makes that longer: DNAT comes before the host's INPUT rules, so a
firewall is asked again each minute, by the connection that goes to the listening socket then.
"""

import _socket
import struct

from netlink import CREATE, TABLES, Netlink, attribute, attributes, nested, number, text

STAY = 60000  # milliseconds for which a source is let in
MOST = 65536  # sources at a time; a connection of one more goes through the relay
AT_ONCE = 200  # elements of a message
INET = 1  # NFPROTO_INET
OWNED = 2  # NFT_TABLE_F_OWNER
IS_MAP, HAS_TIMEOUT = 0x8, 0x10  # flags of sets
NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_RULE, DELETE_RULE, NEW_SET = 0, 2, 3, 6, 8, 9  # kinds of messages
NEW_ELEMENT, DELETE_ELEMENT, NEW_OBJECT, GET_OBJECT = 12, 14, 18, 19
PREROUTING, FORWARD = 0, 2
BEFORE_OTHERS = -101  # of those who rewrite destinations, at -100
BEHIND_FILTERS = 20
COUNTER = 1  # the kind of an object
# Counters: packets with data, new connections that were led to the workload, and those of them that no filter has dropped.
TRAFFIC, FRESH, PASSED = "traffic", "fresh", "passed"
TCP = 6
OPENING, OPENING_OF = 0x02, 0x12  # of these flags of TCP (SYN, ACK), the one of a connection's first packet
PUSH = 0x08  # of the flags of TCP: it ends what a program has sent at once; neither acknowledgements nor keep-alive have it
DESTINATION_REWRITTEN = 0x20  # of a connection's status
FIRST = 8  # NFT_REG32_00, the first register of four bytes
NAME, L4, FAMILY = 6, 16, 15  # keys of the expression `meta`


class Protocol:
    """What differs between the two kinds of addresses."""

    def __init__(self, family: "int", number: "int", source: "int", length: "int", kind: "int", letters: "str") -> "None":
        self.family = family  # of sockets
        self.number = number  # NFPROTO_IPV4 or NFPROTO_IPV6
        self.source = source  # where it is in the header; the destination's is behind it
        self.length = length
        self.kind = kind  # by which nft shows it
        self.set = "let-in-" + letters

    def packed(self, address: "str") -> "bytes":
        return _socket.inet_pton(self.family, address)


IPV4 = Protocol(_socket.AF_INET, 2, 12, 4, 7, "ip")
IPV6 = Protocol(_socket.AF_INET6, 10, 8, 16, 8, "ip6")
PORT = 13  # by which nft shows a port


def protocol_of(address: "str") -> "Protocol":
    return IPV6 if ":" in address else IPV4


class Table:
    """The table of one service, which leads nobody anywhere until somebody is let in.  Raises OSError where the kernel can't."""

    def __init__(self, name: "str", addresses: "Sequence[str]", interfaces: "Sequence[str]" = ()) -> "None":
        """Make it for a workload at some addresses; ``interfaces`` are those from which clients are the relay's, by their names,
        or by the beginnings of names where no NUL is behind them."""
        self.netlink = Netlink()
        self.name = name
        changes: "List[Tuple[int, int, int, bytes]]" = [
            (NEW_TABLE, CREATE, INET, text(1, name) + number(2, OWNED)),
            self._counter(TRAFFIC), self._counter(FRESH), self._counter(PASSED),
            self._chain("lead", "nat", PREROUTING, BEFORE_OTHERS), self._chain("count", "filter", FORWARD, BEHIND_FILTERS),
            # Most packets of a download are of no interest, and cost no more than this.
            self._rule("count", _meta(L4) + _compare(0, bytes([TCP])), _flags(PUSH | OPENING, 0), _accept())]
        self.outside = b"".join(_interface_is_not(one) for one in interfaces)
        self.leading: "List[Tuple[int, int, int, bytes]]" = []
        self.netlink.change([*changes, *(change for address in addresses for change in self._to(address))])

    def extend(self, address: "str") -> "None":
        """Lead clients to one more address of the workload, of another kind."""
        self.netlink.change(self._to(address))

    def _to(self, address: "str") -> "List[Tuple[int, int, int, bytes]]":
        of = protocol_of(address)
        to = _load(1, of.source + of.length, of.length, FIRST) + _compare(0, of.packed(address))
        back = _load(1, of.source, of.length, FIRST) + _compare(0, of.packed(address))
        lead = self._rule("lead", self.outside, _is_tcp(of), _load_ends(of), _lookup(of), _objref(FRESH), _dnat(of))
        self.leading.append(lead)
        return [self._set(of), lead, *(self._rule("count", _was_rewritten(), _is_tcp(of), *expressions) for expressions in (
            (to, _flags(PUSH, PUSH), _objref(TRAFFIC)), (back, _flags(PUSH, PUSH), _objref(TRAFFIC)),
            (to, _flags(OPENING_OF, OPENING), _objref(PASSED))))]

    def let_in(self, clients: "Sequence[Tuple[str, str, int, str, int]]") -> "None":
        """Lead new connections for a minute: of a source, to an address and a port, to an address and a port of the workload."""
        for of in (IPV4, IPV6):
            elements = [self._element(of, *client) for client in clients if protocol_of(client[0]) is of]
            for at in range(0, len(elements), AT_ONCE):
                body = text(1, self.name) + text(2, of.set) + nested(3, *elements[at:at + AT_ONCE])
                # What is there already is not changed by being added.
                self.netlink.change([(NEW_ELEMENT, CREATE, INET, body), (DELETE_ELEMENT, 0, INET, body),
                                     (NEW_ELEMENT, CREATE, INET, body)])

    def counted(self, counter: "str") -> "int":
        """Return how many packets a counter has seen."""
        content = self.netlink.ask(TABLES << 8 | GET_OBJECT, INET, text(1, self.name) + text(2, counter) + number(3, COUNTER))
        data = attributes(attributes(content)[4])
        return int(struct.unpack(">Q", data[2])[0])

    def let_nobody_in(self) -> "None":
        """Lead no new connection there; what moves on the others is still counted."""
        self.netlink.change([(DELETE_RULE, 0, INET, text(1, self.name) + text(2, "lead"))])

    def go_on(self) -> "None":
        """Lead new connections there again."""
        self.netlink.change(self.leading)

    def remove(self) -> "None":
        """Lead nobody there any more; those who were led there stay."""
        self.netlink.change([(DELETE_TABLE, 0, INET, text(1, self.name))])

    def _counter(self, name: "str") -> "Tuple[int, int, int, bytes]":
        return NEW_OBJECT, CREATE, INET, text(1, self.name) + text(2, name) + number(3, COUNTER) + nested(4)

    def _chain(self, name: "str", kind: "str", hook: "int", priority: "int") -> "Tuple[int, int, int, bytes]":
        return NEW_CHAIN, CREATE, INET, text(1, self.name) + text(3, name) + nested(
            4, number(1, hook), number(2, priority & 0xFFFFFFFF)) + text(7, kind)

    def _set(self, of: "Protocol") -> "Tuple[int, int, int, bytes]":
        return NEW_SET, CREATE, INET, b"".join((
            text(1, self.name), text(2, of.set), number(3, IS_MAP | HAS_TIMEOUT),
            number(4, of.kind << 12 | of.kind << 6 | PORT), number(5, 2 * of.length + 4),
            number(6, of.kind << 6 | PORT), number(7, of.length + 4), nested(9, number(1, MOST)), number(10, of.number)))

    def _rule(self, chain: "str", *expressions: "bytes") -> "Tuple[int, int, int, bytes]":
        return NEW_RULE, CREATE | 0x800, INET, text(1, self.name) + text(2, chain) + nested(4, *expressions)

    def _element(self, of: "Protocol", source: "str", address: "str", port: "int", target: "str", inside: "int") -> "bytes":
        key = of.packed(source) + of.packed(address) + struct.pack(">HH", port, 0)
        data = of.packed(target) + struct.pack(">HH", inside, 0)
        return nested(1, nested(1, attribute(1, key)), nested(2, attribute(1, data)), attribute(4, struct.pack(">Q", STAY)))


def _expression(name: "str", *attributes: "bytes") -> "bytes":
    return nested(1, text(1, name), nested(2, *attributes))


def _meta(key: "int") -> "bytes":
    return _expression("meta", number(1, FIRST), number(2, key))


def _compare(how: "int", value: "bytes") -> "bytes":
    return _expression("cmp", number(1, FIRST), number(2, how), nested(3, attribute(1, value)))


def _interface_is_not(name: "str") -> "bytes":
    """Match packets that come by no interface of a name, or of a beginning of one where that has no NUL."""
    return _meta(NAME) + _compare(1, name.encode("utf-8"))


def _is_tcp(of: "Protocol") -> "bytes":
    return _meta(FAMILY) + _compare(0, bytes([of.number])) + _meta(L4) + _compare(0, bytes([TCP]))


def _load(base: "int", offset: "int", length: "int", register: "int") -> "bytes":
    return _expression("payload", number(1, register), number(2, base), number(3, offset), number(4, length))


def _load_ends(of: "Protocol") -> "bytes":
    words = of.length // 4
    return b"".join((_load(1, of.source, of.length, FIRST), _load(1, of.source + of.length, of.length, FIRST + words),
                     _load(2, 2, 2, FIRST + 2 * words)))


def _lookup(of: "Protocol") -> "bytes":
    return _expression("lookup", text(1, of.set), number(2, FIRST), number(3, FIRST), number(4, of.number))


def _dnat(of: "Protocol") -> "bytes":
    port = FIRST + of.length // 4
    return _expression("nat", number(1, 1), number(2, of.number), number(3, FIRST), number(4, FIRST), number(5, port),
                       number(6, port))


def _masked(mask: "bytes", wanted: "bytes") -> "bytes":
    """Match where of some bits these are set."""
    return _expression("bitwise", number(1, FIRST), number(2, FIRST), number(3, len(mask)), nested(4, attribute(1, mask)),
                       nested(5, attribute(1, bytes(len(mask))))) + _compare(0, wanted)


def _was_rewritten() -> "bytes":
    return _expression("ct", number(1, FIRST), number(2, 2)) + _masked(*2 * [struct.pack("=I", DESTINATION_REWRITTEN)])


def _flags(mask: "int", wanted: "int") -> "bytes":
    return _load(2, 13, 1, FIRST) + _masked(bytes([mask]), bytes([wanted]))


def _accept() -> "bytes":
    return _expression("immediate", number(1, 0), nested(2, nested(2, number(1, 1))))


def _objref(name: "str") -> "bytes":
    return _expression("objref", number(1, COUNTER), text(2, name))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence, Tuple
