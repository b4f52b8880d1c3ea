"""Services of the host of which one at most may be awake, such as those that share a graphics card.

Knows how this one gets its turn: a lock for each two of them, which ends with the process, taken in one order on the whole
host so that none waits for another without end; and that something of the other's life may be left although its process has
ended.  Hides how the other one is asked to sleep.  Loaded only where a package, or another one of it, declares that.
"""

import _socket
import os
import time

import words
from attending import EXCLUDES, attendants
from control import LONGEST, Client
from names import LOCKS, NAME
from outcome import tell_begun
from process import Failure, is_locked, notify, say
from required import STATE

LOOK = 0.02  # seconds until it is tried again
REST = 3600.0  # seconds that are left for the start itself, which has its own limits
ASK = 0.2  # seconds until it is asked again to sleep: its last client may have gone
PAIR = "{}/{}:{}.pair"  # no NAME has a colon in it
BEGUN = "/begun"  # there, in the directory of a service, as long as something of its life may run


class Exclusion:
    """The turn of one service among those that exclude it, and that it excludes."""

    def __init__(self, declared: "Mapping[str, float]", service: "str" = NAME) -> "None":
        self.service = service
        others = {name: told for name, told in attendants(service).items() if told[0] == EXCLUDES and len(told) == 2}
        self.others = {name: float(told[1]) for name, told in others.items()}  # how long each is waited for, in seconds
        self.others.update(declared)
        self.locks: "List[int]" = []

    def hold(self, heed: "Callable[[], None]") -> "None":
        """Wait until all others sleep, and keep them from waking; ``heed`` is called again and again.  Raises Failure."""
        if self.locks:
            return  # as long as this process lives
        begin = time.monotonic()
        notify("EXTEND_TIMEOUT_USEC={:.0f}".format((max(self.others.values()) + REST) * 1000000))
        try:
            for path, name in sorted((PAIR.format(LOCKS, *sorted((self.service, name))), name) for name in self.others):
                self.take(path, Other(name), begin + self.others[name], heed)
        except BaseException:
            self.release()
            raise
        if self.locks:
            tell_begun("")  # of no workload yet

    def take(self, path: "str", other: "Other", deadline: "float", heed: "Callable[[], None]") -> "None":
        self.locks.append(opened(path))
        is_told = False
        while not is_locked(self.locks[-1]) or other.is_left():
            if time.monotonic() > deadline:
                raise Failure("the service {0!r}, which can't be awake at the same time, was in use for {1:g} s; put it to sleep "
                              "with 'ondemand sleep {0}', or declare a longer excludes_timeout".format(
                                  other.name, self.others[other.name]))
            if not is_told:
                is_told = True
                notify("STATUS=waiting for {}".format(other.name))  # `ondemand status` reads it
                say("waiting for {!r} to sleep: one of the two can be awake".format(other.name))
            other.ask()
            heed()
            time.sleep(LOOK)
        if is_told:
            notify("STATUS=")
        other.close()

    def release(self) -> "None":
        while self.locks:
            os.close(self.locks.pop())


class Other:
    """One of the others, as it is asked to sleep."""

    def __init__(self, name: "str") -> "None":
        self.name = name
        self.control: "Optional[Client]" = None
        self.next = 0.0

    def is_left(self) -> "bool":
        return os.path.exists(STATE + self.name + BEGUN)

    def ask(self) -> "None":
        """Ask it to sleep as soon as nobody uses it; nobody waits for what it says to that."""
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + ASK
        try:
            if self.control is None:
                self.control = Client(STATE + self.name + "/control")
            while self.control.socket.recv(LONGEST, _socket.MSG_DONTWAIT):
                pass
            self.close()  # it has ended
        except BlockingIOError:
            assert self.control is not None
            self.control.tell(words.YIELD)
        except OSError:
            self.close()

    def close(self) -> "None":
        if self.control is not None:
            self.control.close()
            self.control = None


def opened(path: "str") -> "int":
    """Return a descriptor of a lock that nobody but root can open."""
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            os.makedirs(LOCKS, 0o700, exist_ok=True)


def forget(service: "str" = NAME) -> "None":
    """Remove the locks of a service whose package goes."""
    try:
        names = os.listdir(LOCKS)
    except OSError:
        return
    for name in names:
        if name.endswith(".pair") and service in name[:-len(".pair")].split(":"):
            os.unlink(os.path.join(LOCKS, name))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Mapping, Optional
