"""relay - hold the clients until the container listens, then carry their bytes.

Usage: relay [--door PATH] [--idle SECONDS] [--idle-mode traffic|connections] [--keep-awake HOURS]...
             [--allow NETWORK]... [--proxy-protocol v1|v2] [--exposed ADDRESS] [--udp-timeout SECONDS] [--data-timeout SECONDS]
             [--datagrams COUNT --within SECONDS] [--health PATH [--health-status STATUS] [--health-body TEXT]]
             [--path relay|kernel|tasks] PORT[/udp]...

The process of the proxy service (ExecStart=).  Knows from where each event of a service's life comes: systemd's signal, `run`,
time, and the carriers; hides waiting.  What the events mean is in relay_life.py.  The first PORT of the container belongs to the
first socket that systemd passed, and so on (sd_listen_fds(3)); those with the exposed address, which are of a unit of their own,
lead to the port on which they listen themselves.

It has no rights, and asks for the container at a socket of systemd's that only this service sees, the door: a connection to it
starts `run`, which answers there; with a timeout for data, a path for health, or a count of datagrams, it asks once a client has
sent what wakes.  The door is an option for the sake of release 0.1.0, whose relay waits for the container to be started with it:
where the unit is newer than the program, it ends at once and lets its clients wait in the kernel.
"""

import _signal  # the C part of `signal`, whose Python part takes as long to load as the interpreter itself
import _socket
import os
import select

from carriers import Tally
from carriers.clients import is_allowed, is_inside, number, parse_network, who_and_since, who_and_since_data
from carriers.ends import Listener
from carriers.streams import Streams
from control import ask_for_life, open_door
from loop import Loop
from own_sockets import passed_sockets
from process import say, usage
from relay_life import LONGEST_BACK_OFF, Life, never_kept
from relay_states import OVER, TERM


class Service:
    """A service and its carriers."""

    def __init__(self, loop: "Loop", carriers: "Sequence[Carrier]", door: "Optional[str]", idle: "Optional[float]",
                 counts_connections: "bool", who: "Callable[[Held, float], Tuple[str, float]]",
                 kept: "Callable[[], float]", attends: "bool" = False) -> "None":
        self.loop = loop
        self.carriers = carriers
        self.door = door
        self.unwoken: "Optional[Unwoken]" = None  # what tells of those that don't wake, where there may be some
        self.life = Life(carriers, idle, counts_connections, self.ask, who, kept, self.find if attends else None,
                         self.can_ask)
        self.seen_door = open_door() if attends else ""
        self.signals, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.watch(self.signals, self.hear_signals)
        _signal.set_wakeup_fd(signalled)
        _signal.signal(_signal.SIGTERM, lambda *_: None)

    def run(self) -> "None":
        """Serve from before the start of the workload to the end of its life."""
        while self.life.state != OVER:
            due = [self.life.pass_time()]
            if self.life.state == OVER:
                break
            due += [carrier.due() for carrier in self.carriers]
            if self.unwoken is not None:
                due.append(self.unwoken.see_to())
            self.loop.turn(min((seconds for seconds in due if seconds is not None), default=-1))
            for carrier in self.carriers:
                carrier.turn()
        if self.unwoken is not None:
            self.unwoken.end()

    def ask(self) -> "Client":
        """Return a connection to `run`, or to the door behind which it will be.  Raises OSError."""
        return self.heard(ask_for_life(self.door))

    def find(self) -> "Client":
        """Return a connection to a `run` that is there.  Raises OSError."""
        return self.heard(ask_for_life(None))

    def can_ask(self) -> "bool":
        """Return whether the door is open that this process sees, be there another one by now."""
        return self.seen_door != "" and open_door() == self.seen_door

    def heard(self, control: "Client") -> "Client":
        self.loop.watch(control.socket.fileno(), self.hear)
        return control

    def hear(self, descriptor: "int", _: "int") -> "None":
        control = self.life.control
        if control is not None:
            packet = control.receive()
            if not packet:
                self.loop.forget(descriptor)
            self.life.hear(packet)

    def hear_signals(self, descriptor: "int", _: "int") -> "None":
        self.loop.forget(descriptor)
        self.life.happen(TERM)


def main(argv: "Sequence[str]") -> "int":
    try:
        (door, idle, idle_mode, kept, allowed, header, exposed, udp_timeout, by, enough, probed, data_timeout,
         ports) = arguments(argv)
    except (IndexError, ValueError, OSError):
        return usage(__doc__)
    sockets = passed_sockets()
    own = [socket for socket in sockets if not exposed or socket.getsockname()[0] != exposed]
    listeners = [Listener(socket, ports[min(index, len(ports) - 1)][0]) for index, socket in enumerate(own) if ports]
    listeners += [Listener(socket, socket.getsockname()[1]) for socket in sockets if socket not in own]
    is_right = [socket.type == _socket.SOCK_DGRAM for socket in own] == [is_udp for _, is_udp in ports]
    loop = Loop()
    of_datagrams = [listener for listener in listeners if listener.socket.type == _socket.SOCK_DGRAM]
    of_streams = [listener for listener in listeners if listener not in of_datagrams]
    carriers: "List[Carrier]" = []
    by_data = data_timeout is not None or probed is not None
    attends = by_data or enough is not None
    who: "Callable[[Any, float], Tuple[str, float]]" = who_and_since_data if by_data else who_and_since
    tally = Tally()
    health = None
    if probed is not None:
        from carriers.health import Health  # only who declares it pays for it

        health = Health(*probed)
    if of_streams:
        streams = Streams(loop, of_streams, header, (lambda client: is_allowed(client, allowed)) if allowed else None,
                          data_timeout, health, tally)
        carriers.append(streams)
        if by == "kernel":
            from carriers import kernel  # only who declares it pays for it

            passing = kernel.Passing(loop)
            carriers.append(passing)
            streams.arriving.on_accepted = passing.accepted
        elif by == "tasks":
            from carriers.spread import Spread  # only who declares it pays for it

            streams.arriving.spread = Spread()
    if of_datagrams:
        from carriers import datagrams  # only who declares it pays for it

        who = datagrams.who_by(who)
        for listener in of_streams:  # the option of a socket unit is for all of its sockets
            if listener.socket.family != _socket.AF_UNIX:
                listener.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        few: "Optional[Few]" = None
        if enough is not None:
            from carriers.few import Few  # only who declares it pays for it

            few = Few(*enough)
        carriers.append(datagrams.Datagrams(loop, of_datagrams, udp_timeout, (
            lambda address: is_inside(number(address.partition("%")[0]), allowed)) if allowed else None, tally, few))
    service = Service(loop, carriers, door, idle, idle_mode == "connections", who, kept, attends)
    if is_right:
        service.life.begin(any_readable(listeners))
    else:
        say("{} sockets for {} ports, or in another order; the socket unit and its drop-ins need exactly one ListenStream= per "
            "port that the package declares, and one ListenDatagram= per port of UDP".format(len(own), len(ports)))
        service.life.give_up(LONGEST_BACK_OFF)
    if attends or allowed:
        from unwoken import Unwoken  # only who declares it pays for it, and not before the container was asked for

        service.unwoken = Unwoken(tally)
    service.run()
    return 0 if is_right else 1


def any_readable(listeners: "Sequence[Listener]") -> "bool":
    """Return whether a client is there; else the process was not begun for one, but to wake."""
    poll = select.poll()
    for listener in listeners:
        poll.register(listener.socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def arguments(argv: "Sequence[str]") -> "Arguments":
    door, idle, idle_mode, left = None, None, "traffic", list(argv)
    allowed: "List[Tuple[int, int]]" = []
    header: "Optional[Callable[[Socket], bytes]]" = None
    exposed, udp_timeout, by = "", 300.0, "relay"  # by: what carries the bytes
    data_timeout: "Optional[float]" = None
    path, status, body = "", 200, ""
    count, within = 0, 0.0
    kept = never_kept
    hours: "List[Hours]" = []
    while left and left[0].startswith("--"):
        option, value = left.pop(0), left.pop(0)
        if option == "--door":
            door = value
        elif option == "--idle":
            idle = float(value)
        elif option == "--idle-mode" and value in ("traffic", "connections"):
            idle_mode = value
        elif option == "--keep-awake":
            from hours import parse, until_their_end  # only who declares it pays for it

            hours.append(parse(value))
            kept = until_their_end(hours)
        elif option == "--allow":
            allowed.append(parse_network(value))
        elif option == "--exposed":
            exposed = value
        elif option == "--udp-timeout":
            udp_timeout = float(value)
        elif option == "--data-timeout":
            data_timeout = float(value)
        elif option == "--path" and value in ("relay", "kernel", "tasks"):
            by = value
        elif option == "--datagrams":
            count = int(value)
        elif option == "--within":
            within = float(value)
        elif option == "--health":
            path = value
        elif option == "--health-status":
            status = int(value)
        elif option == "--health-body":
            body = value
        elif option == "--proxy-protocol" and value in ("v1", "v2"):
            import proxy_protocol  # only who declares it pays for it

            header = getattr(proxy_protocol, value)
        else:
            raise ValueError(option)
    if not left and not exposed:
        raise ValueError("no port")
    words = [word.partition("/") for word in left]
    if not all(kind in ("", "udp") for _, _, kind in words):
        raise ValueError(left)
    ports = [(int(port), kind == "udp") for port, _, kind in words]
    enough = (count, within) if count else None
    probed = (path, status, body) if path else None
    return door, idle, idle_mode, kept, allowed, header, exposed, udp_timeout, by, enough, probed, data_timeout, ports


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Callable, List, Optional, Sequence, Tuple

    from carriers import Carrier, Held
    from carriers.few import Few
    from control import Client
    from hours import Hours
    from unwoken import Unwoken

    Arguments = Tuple[Optional[str], Optional[float], str, Callable[[], float], List[Tuple[int, int]],
                      Optional[Callable[[Socket], bytes]], str, float, str, Optional[Tuple[int, float]],
                      Optional[Tuple[str, int, str]], Optional[float], List[Tuple[int, bool]]]
