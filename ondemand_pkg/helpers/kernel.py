"""kernel - lead clients that the relay has accepted straight to the workload, past the relay (path = "kernel").

Usage: kernel [--allow NETWORK]... [ADDRESS:]PORT:INSIDE...
       kernel --clear

  --clear  remove what a process that was killed has left

The process of a unit of its own, started by the relay's connection to its socket, which nobody else can reach; it ends with the
life of the workload.  Knows when clients may be led there: while `run` says so and a relay is connected; hides where from the
events come.  Of the relay it believes only which clients it has accepted.  The rules are in kernel_table.py, the connections in
tracked.py.  Whatever can't be done is one line in the journal, and the relay serves everybody.
"""

import _socket
import select
import time

import words
from carriers.clients import is_inside, number, parse_network
from control import FIRST_SOCKET, LONGEST, Client
from engines import forwarding
from kernel_table import FRESH, PASSED, TRAFFIC, Table
from names import UNITS
from own_sockets import is_local
from process import Failure, say, usage
from tracked import Connections

TICK = 1.0  # seconds after which it is looked again whether clients reach the workload
ENDING = 1.0  # seconds for which connections may go on before a pause or a stop, as long as something moves on them
LOOK = 0.05  # seconds in which something moves
ASK = 5.0  # seconds after which it is asked again whether the workload is reached at an address of another kind
RECENT = 1.0  # seconds in which the answer comes
MOST = 512  # clients that are let in at once
LOOPBACK, LINKED = "lo\0", "ondemand\0"  # interfaces from which clients are the relay's; the other one is network.py's
REFUSED = "the kernel refuses it ({}); Linux 5.12 and newer with nf_tables can do it"
RELAY_SERVES = "path = \"kernel\" is not possible: {}; the relay forwards all connections"


class Kernel:
    """All that is done for one life of the workload."""

    def __init__(self, listener: "Socket", control: "Client", allowed: "Sequence[Tuple[int, int]]",
                 ports: "Sequence[Tuple[str, int, int]]") -> "None":
        self.listener = listener
        self.control = control
        self.allowed = allowed
        self.ports = ports  # addresses and ports that are listened on, and the workload's
        self.relay: "Optional[Socket]" = None
        self.is_ready = False  # the workload is, as `run` says
        self.is_given_up = False  # it was told why
        self.table: "Optional[Table]" = None
        self.early: "Dict[Tuple[str, str, int], None]" = {}  # clients that were accepted before it was there
        self.strangers: "Dict[Tuple[str, str, int], float]" = {}  # of a kind of address that the workload lacks, and when
        self.next_ask = 0.0  # for such an address
        self.addresses: "List[str]" = []  # of the workload; it may have a connection while there is no table
        self.connections: "Optional[Connections]" = None
        self.lost = 0  # connections that were led there, and dropped, until the last look
        self.is_suspected = False  # at the last look there were more of them
        self.traffic = self.fresh = 0  # until the relay has asked last
        self.next_look = 0.0
        self.is_mended = False

    def run(self) -> "None":
        """Serve to the end of the life of the workload."""
        while True:
            poll = select.poll()
            for descriptor in [self.listener.fileno(), self.control.socket.fileno()] + (
                    [self.relay.fileno()] if self.relay is not None else []):
                poll.register(descriptor, select.POLLIN)
            left = max(0.0, self.next_look - time.monotonic()) if self.table is not None else None
            found = {descriptor for descriptor, _ in poll.poll(None if left is None else int(1000 * left) + 1)}
            if self.control.socket.fileno() in found:
                packet = self.control.receive()
                if not packet:
                    break
                self.hear_run(packet)
            if self.relay is not None and self.relay.fileno() in found:
                self.hear_relay(self.relay)
            if self.listener.fileno() in found:
                self.accept()
            if self.table is not None and time.monotonic() >= self.next_look:
                self.next_look = time.monotonic() + TICK
                self.look_for_losses(self.table)
        self.withdraw()
        self.cut()

    # The relay

    def accept(self) -> "None":
        try:
            accepted, _ = self.listener._accept()  # type: ignore[attr-defined] # not in typeshed
        except OSError:
            return
        relay = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, accepted)
        self.lose_relay()
        self.relay = relay
        self.ask()

    def lose_relay(self) -> "None":
        """Nobody is led on while no relay says who was accepted."""
        if self.relay is not None:
            self.relay.close()
            self.relay = None
            self.early.clear()
            self.withdraw()

    def hear_relay(self, relay: "Socket") -> "None":
        clients: "Dict[Tuple[str, str, int], None]" = {}
        while len(clients) < MOST:
            try:
                packet = relay.recv(LONGEST, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if not packet:
                self.lose_relay()
                return
            told = packet.decode("ascii", "replace").split()
            if told[:1] == [words.ACCEPTED] and len(told) == 4 and told[3].isdigit():
                clients[told[1], told[2], int(told[3])] = None
            elif told == [words.STATUS]:
                self.answer(relay)
        if self.table is not None:
            self.let_in(self.table, clients)
        elif not self.is_given_up and len(self.early) < MOST:
            self.early.update(clients)

    def let_in(self, table: "Table", clients: "Iterable[Tuple[str, str, int]]") -> "None":
        try:
            table.let_in([known for known in map(self.known, clients) if known is not None])
        except OSError:
            pass  # there is no room for more: the relay has them

    def known(self, client: "Tuple[str, str, int]") -> "Optional[Tuple[str, str, int, str, int]]":
        """Return where in the workload a client belongs, None where it is the relay's."""
        source, address, port = client
        try:
            _, there = number(address), number(source)
            if self.allowed and not is_inside(there, self.allowed):
                return None
            inside = next((inside for host, listening, inside in self.ports if listening == port and host in ("", address)), 0)
            target = next((one for one in self.addresses if (":" in one) == (":" in source) == (":" in address)), "")
        except (OSError, ValueError):
            return None
        if inside and not target and len(self.strangers) < MOST:
            self.strangers[client] = time.monotonic()
            if time.monotonic() >= self.next_ask:
                self.next_ask = time.monotonic() + ASK
                self.control.tell(self.question())
        return (source, address, port, target, inside) if inside and target else None

    def answer(self, relay: "Socket") -> "None":
        """Say whether something has moved since that was asked last, and how many connections are open."""
        moved, count = 0, 0
        try:
            if self.table is not None:
                now = self.table.counted(TRAFFIC)
                moved, self.traffic, self.fresh = int(now != self.traffic), now, self.table.counted(FRESH)
            if self.connections is not None:
                count = sum(one.is_open for one in self.connections.all())
        except OSError:
            moved = 1  # nobody knows
        try:
            relay.send("{} {} {}".format(words.NUMBERS, moved, count).encode("ascii"), _socket.MSG_DONTWAIT)
        except OSError:
            pass

    # The workload

    def hear_run(self, packet: "Sequence[str]") -> "None":
        word = packet[0]
        if word == words.READY:
            self.is_ready = True
            self.ask()
        elif word == words.MOVED:
            self.withdraw()
            self.cut()
            self.ask()
        elif word == words.MAY and self.is_ready and self.relay is not None:
            if self.table is None:
                self.lead(packet[1].split(","))
            else:
                self.extend(self.table, [address for address in packet[1].split(",") if address not in self.addresses])
        elif word == words.CLOSE:
            if words.IDLE in packet[1:] and self.is_busy():
                self.control.tell(words.BUSY)
                return
            self.is_ready = False
            self.close(cuts=words.PAUSED in packet[1:])
            self.control.tell(words.CLOSED)

    def ask(self) -> "None":
        """Ask whether clients may be led to the workload: from the answer on, `run` waits before it stops or pauses it."""
        if self.is_ready and self.relay is not None and self.table is None and not self.is_given_up:
            self.control.tell(self.question())

    def question(self) -> "str":
        return "{} {}".format(words.PASSES, ",".join(str(inside) for _, _, inside in self.ports))

    def lead(self, addresses: "Sequence[str]") -> "None":
        try:
            if any(is_local(address) for address in addresses):
                raise Failure("the container has the host's own address")
            self.addresses = list(addresses)
            self.connections = Connections(self.addresses)
            self.connections.all()
            forwarding.remove()
            forwarding.let_through(self.ways())
            own = sorted({interface + "\0" for interface in map(interface_to, self.addresses) if interface})
            self.table = Table(UNITS, self.addresses, [LOOPBACK, LINKED, *forwarding.BRIDGES, *own])
        except (Failure, OSError) as error:
            self.give_up(str(error) if isinstance(error, Failure) else REFUSED.format(error.strerror))
        else:
            self.lost = self.traffic = self.fresh = 0
            self.is_suspected = False
            self.let_in(self.table, self.early)
        self.early.clear()

    def extend(self, table: "Table", addresses: "Sequence[str]") -> "None":
        """Lead clients to addresses at which the workload was not reached before, such as one of IPv6 that the kernel had not
        found to be unique yet."""
        try:
            for address in addresses:
                self.addresses.append(address)  # which is what self.connections has, too
                forwarding.let_through([way for way in self.ways() if way[0] == address])
                table.extend(address)
        except (Failure, OSError) as error:
            self.give_up(str(error))
        else:
            recent = time.monotonic() - RECENT
            self.let_in(table, [client for client, moment in self.strangers.items() if moment > recent])
        self.strangers.clear()

    def ways(self) -> "List[Tuple[str, int, int]]":
        return sorted({(address, port, inside) for address in self.addresses for _, port, inside in self.ports})

    def give_up(self, reason: "str") -> "None":
        self.is_given_up = True
        say(RELAY_SERVES.format(reason))
        self.withdraw()

    def withdraw(self) -> "None":
        """Lead nobody there from now on."""
        if self.table is not None:
            try:
                self.table.remove()
            except OSError:
                pass  # the table goes with its socket
            self.table.netlink.socket.close()
            self.table = None
        forwarding.remove()

    def is_busy(self) -> "bool":
        """Let nobody in, and see whether somebody has come since the relay has found that it is idle; then go on."""
        if self.table is None:
            return False
        try:
            self.table.let_nobody_in()
            if (self.table.counted(TRAFFIC), self.table.counted(FRESH)) == (self.traffic, self.fresh):
                return False
            self.table.go_on()
        except OSError:
            return False
        return True

    def close(self, cuts: "bool") -> "None":
        """Lead nobody there any more, and let what moves on connections come to its end, for a while."""
        table, self.table = self.table, None
        if table is not None:
            deadline, traffic = time.monotonic() + ENDING, -1
            try:
                # As a rule: connections that were led there are still counted.
                table.let_nobody_in()
                while time.monotonic() < deadline and self.connections is not None:
                    before, traffic = traffic, table.counted(TRAFFIC)
                    if before == traffic or not any(one.is_open for one in self.connections.all()):
                        break
                    time.sleep(LOOK)
            except OSError:
                pass
            self.table = table
        self.withdraw()
        if cuts:
            self.cut()

    def cut(self) -> "None":
        """Forget the connections to the workload: from now on the host refuses what comes on them."""
        if self.connections is not None:
            try:
                self.connections.cut(self.connections.all())
            except OSError as error:
                say("the kernel does not forget connections to the container ({})".format(error.strerror))

    def look_for_losses(self, table: "Table") -> "None":
        """Find that packets are dropped on their way, and leave the clients to the relay: they ask again by themselves."""
        try:
            fresh = table.counted(FRESH)
            lost = fresh - table.counted(PASSED)
            was_suspected, self.is_suspected = self.is_suspected, lost > self.lost
            if not (was_suspected and self.is_suspected):  # one alone may be under way just now
                return
            self.lost, self.is_suspected = lost, False
            if self.is_mended or forwarding.is_complete(self.ways()):
                self.give_up("a firewall drops what is forwarded to the container")
                return
            self.is_mended = True
            forwarding.remove()
            forwarding.let_through(self.ways())
        except Failure as error:
            self.give_up(str(error))
        except OSError as error:
            self.give_up("the kernel refuses it ({})".format(error.strerror))


def interface_to(address: "str") -> "str":
    """Return by which interface the host reaches an IPv4 address, nothing where that is not known (proc_net(5))."""
    if ":" in address:
        return ""
    wanted = int.from_bytes(_socket.inet_aton(address), "little")
    best, found = -1, ""
    with open("/proc/self/net/route") as lines:
        next(lines)
        for line in lines:
            name, destination, _, _, _, _, _, mask = line.split()[:8]
            if wanted & int(mask, 16) == int(destination, 16) and bin(int(mask, 16)).count("1") > best:
                best, found = bin(int(mask, 16)).count("1"), name
    return found


def parsed(argument: "str") -> "Tuple[str, int, int]":
    listen, _, inside = argument.rpartition(":")
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    return "" if host in ("0.0.0.0", "::") else host, int(port), int(inside)


def main(argv: "Sequence[str]") -> "int":
    if list(argv) == ["--clear"]:
        forwarding.remove()
        return 0
    left = list(argv)
    allowed: "List[Tuple[int, int]]" = []
    try:
        while left and left[0] == "--allow":
            allowed.append(parse_network(left[1]))
            left = left[2:]
        ports = sorted(map(parsed, left), key=lambda port: port[0] == "")  # an address before all addresses
        if not ports:
            raise ValueError("no port")
    except (IndexError, ValueError, OSError):
        return usage(__doc__)
    forwarding.remove()
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, FIRST_SOCKET)
    listener.setblocking(False)
    try:
        control = Client()
    except OSError:
        return 0  # its life is over by now
    Kernel(listener, control, allowed, ports).run()
    return 0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Dict, Iterable, List, Optional, Sequence, Tuple
