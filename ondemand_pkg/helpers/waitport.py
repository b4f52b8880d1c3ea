"""waitport - hold the proxy back until the container is ready.

Usage: waitport [--timeout SECONDS] [--by tcp|http|healthcheck|exec|log|udp] [--need any|PORT,...] [PORT[/udp]...]

Runs next to `run`, begins as a copy of its process, and learns from it the workload's address once that is started.
Checks every 2 ms whether the container still runs, and whether every PORT (with --need, one of them or those) accepts a TCP
connection at the container's own address; then reports to `run`.  The engine is not queried: a published port would accept
before the container listens, and an inspection costs more than a connection attempt.

Of the other kinds of readiness, which container.json holds, `http` asks the first PORT, `healthcheck` and `exec` run a command
in the container, `udp` asks the first PORT/udp, and `log` is seen by `run`, which carries the output.
"""

import _socket as socket  # the module `socket` takes as long to load as the interpreter itself
import errno
import os
import select
import sys
import time

import listening
import words
from control import Client
from names import WORKLOAD
from process import Failure, usage

LOOK = 0.002  # seconds between two looks
END_LOOK = 0.01  # the same where only the container's end is to be noticed
UDP = "/udp"  # behind a port
PATIENCE = 1.0  # seconds for which one unanswered attempt to connect may grow


def main(argv: "Sequence[str]", engine: "Engine", workload: "str" = WORKLOAD) -> "int":
    timeout, kind, ports, needed, of_udp = arguments(argv)
    form = 'ready = {{ {}, timeout = "..." }}'.format(FORMS[kind] if needed == ports else "tcp = ...")
    # What it loads is there before the container is started.
    make_checks = maker_of_checks(kind, needed, of_udp, engine, workload)
    try:
        control = Client()
    except OSError:
        return 1  # the container's own process has ended, and reported why
    told = control.receive()
    while told and told[0] == words.GREETING:
        told = control.receive()
    if not told or told[0] != words.STARTED:
        return 0 if told and told[0] == words.READY else 1  # `run` has seen the text in its log already
    addresses, life = told[1].split(","), told[2]
    if engine.has_replicas:
        from replicas import watch

        return watch(engine, workload, control, timeout, kind, ports, needed)

    deadline = time.monotonic() + timeout
    try:
        choice = Choice(addresses, needed[:1] or ports)
        is_open = len(addresses) > 1 and kind != "log"
        if ports and (is_open or not needed) and not passed(choice, engine, life, deadline, timeout, form):
            return 1
        if kind == "tcp" and len(needed) > 1:
            form += '; if it never does, ready = { tcp = "any" }'
        for check in make_checks([choice.address] if ports else addresses, control):
            if not passed(check, engine, life, deadline, timeout, form):
                return 1
            choice.address = getattr(check, "address", choice.address)
    except Failure as failure:
        control.tell("{} {}".format(words.FAILED, failure))  # `run` reports it, followed by the container's last output
        return 1
    control.tell(words.LISTENS if len(addresses) == 1 else "{} {}".format(words.LISTENS, choice.address))
    return 0


def passed(check: "Check", engine: "Engine", life: "str", deadline: "float", timeout: "float", form: "str") -> "bool":
    """Wait for a check; return False where the container has ended, which `run` reports.  Raises Failure at the deadline."""
    while not check.look():
        if not engine.is_alive(life):
            return False
        if time.monotonic() > deadline:
            where = listening.instead(engine.process(life), check.ports) if isinstance(check, (Choice, Probe)) else ""
            raise Failure('timed out after {:g} s waiting for the {} to {} ({}); {}if it needs longer, '
                          'declare {}'.format(timeout, engine.kind, check.what, check.last, where, form))
    return True


FORMS = {"tcp": "tcp = true", "http": "http = ...", "healthcheck": "healthcheck = true", "exec": "exec = ...", "log": "log = ...",
         "udp": "udp = ..."}


def arguments(argv: "Sequence[str]") -> "Tuple[float, str, List[int], List[int], List[int]]":
    """Return the timeout, the kind of check, all ports of TCP, those that must listen, and the ports of UDP.

    None must listen where one of all is enough.
    """
    timeout, kind, need, words = 60.0, "tcp", "", list(argv)
    try:
        while words and words[0].startswith("--"):
            option, value = words.pop(0), words.pop(0)
            if option == "--timeout":
                timeout = float(value)
            elif option == "--by" and value in FORMS:
                kind = value
            elif option == "--need":
                need = value
            else:
                raise ValueError(option)
        of_udp = [int(word[:-len(UDP)]) for word in words if word.endswith(UDP)]
        ports = [int(word) for word in words if not word.endswith(UDP)]
        if (kind in ("tcp", "http") and not ports) or (kind == "udp" and not of_udp):
            raise ValueError("no port")
        needed = [] if need == "any" else [int(port) for port in need.split(",")] if need else ports
        return timeout, kind, ports, needed, of_udp
    except (IndexError, ValueError):
        sys.exit(usage(__doc__))


def maker_of_checks(kind: "str", ports: "List[int]", of_udp: "List[int]", engine: "Engine",
                    workload: "str") -> "Callable[[List[str], Client], Sequence[Check]]":
    """Return what returns the checks to be passed, one after the other, by the container's addresses and the control socket.

    Of several addresses the first one is meant, but for `udp`, which finds out the one that answers.
    """
    if kind == "tcp":
        return lambda addresses, control: [Probe(addresses[0], port) for port in ports]
    if kind == "healthcheck":
        import execcheck

        return lambda addresses, control: [execcheck.health_check(engine, workload)]
    from declared import readiness

    wanted = readiness()
    if kind == "log":
        return lambda addresses, control: [LogCheck(control, wanted["text"])]
    if kind == "exec":
        import execcheck

        return lambda addresses, control: [execcheck.ExecCheck(engine, workload, wanted["argv"])]
    if kind == "udp":
        from udpcheck import UdpCheck

        return lambda addresses, control: [UdpCheck(addresses, of_udp[0], wanted)]
    from httpcheck import HttpCheck

    return lambda addresses, control: [Probe(addresses[0], ports[0]), HttpCheck(addresses[0], ports[0], wanted)]


class Choice:
    """Which of its addresses a container listens at, on one of some ports: a server may know IPv6 alone where there are both."""

    def __init__(self, addresses: "List[str]", ports: "List[int]") -> "None":
        self.address = addresses[0]
        self.ports = ports
        self.probes = [Probe(address, port) for address in addresses for port in ports]
        self.what = "listen on {}".format(" or ".join(show(*probe.target) for probe in self.probes))

    @property
    def last(self) -> "str":
        return self.probes[0].last

    def look(self) -> "bool":
        """Return whether one takes a connection; come back after one look at each at most."""
        for probe in self.probes:
            if probe.look():
                self.address = probe.target[0]
                return True
        return False


class LogCheck:
    """A text of the container's output, which `run` looks for."""

    def __init__(self, control: "Client", text: "str") -> "None":
        self.control = control
        self.what = 'write "{}"'.format(text)
        self.last = "not in its output so far"
        self.poll = select.poll()
        self.poll.register(control.socket, select.POLLIN)

    def look(self) -> "bool":
        """Return whether `run` has seen it; come back after END_LOOK at most."""
        if not self.poll.poll(END_LOOK * 1000):
            return False
        told = self.control.receive()
        if not told:
            sys.exit(1)  # `run` has ended, and reported why
        return told[0] == words.READY


class Probe:
    """Attempts to connect to one address, each look a slice of it.

    A refusal is followed by a new attempt at the next look.  An attempt that gets no answer (the first packet is
    lost while the interface comes up) is given up for a new one after 10 ms, then 20 ms, doubling to a second:
    the kernel itself would send the packet again only after a second.
    """

    def __init__(self, address: "str", port: "int") -> "None":
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.target = (address, port)
        self.ports = [port]
        self.what = "listen on {}".format(show(address, port))
        self.patience = 0.01
        self.attempt: "Optional[Socket]" = None
        self.since = 0.0
        self.last = "no answer"

    def look(self) -> "bool":
        """Return whether the address took a connection; come back after one look at most."""
        attempt, code = self.attempt, errno.EINPROGRESS
        if attempt is None:
            self.attempt = attempt = socket.socket(self.family, socket.SOCK_STREAM)
            attempt.setblocking(False)
            self.since = time.monotonic()
            code = attempt.connect_ex(self.target)
        if code == errno.EINPROGRESS:
            poll = select.poll()
            poll.register(attempt, select.POLLOUT)
            if poll.poll(LOOK * 1000):
                code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            elif time.monotonic() - self.since < self.patience:
                return False
            else:
                self.patience = min(2 * self.patience, PATIENCE)
                self.last = "no answer"
                self.close()
                return False
        self.close()
        if code == 0:
            return True
        self.last = os.strerror(code)
        time.sleep(LOOK)
        return False

    def close(self) -> "None":
        if self.attempt is not None:
            self.attempt.close()
        self.attempt = None


def show(address: "str", port: "int") -> "str":
    return "[{}]:{}".format(address, port) if ":" in address else "{}:{}".format(address, port)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Callable, List, Optional, Sequence, Tuple, Union

    from engines import Engine
    from execcheck import ExecCheck
    from httpcheck import HttpCheck
    from udpcheck import UdpCheck

    Check = Union["Choice", "Probe", "LogCheck", ExecCheck, HttpCheck, UdpCheck]
