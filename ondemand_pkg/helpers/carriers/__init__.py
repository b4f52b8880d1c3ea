"""What carries bytes between clients and the workload: the one interface by which a service knows its carriers.

Knows what a carrier offers; hides how it carries.  The service owns the life, the carriers own the bytes, and idleness is decided
on the numbers of all of them.
"""


# What a carrier does with clients that come.
ACCEPT = "accept"  # it accepts them
HOLD = "hold"  # it accepts them where they would be lost in the kernel, and holds them
WATCH = "watch"  # it says that one is there, as long as that is so
IGNORE = "ignore"  # nothing; they wait in the kernel

# What clients did that woke nothing.
CLOSED = "closed"  # they sent nothing, where only data wakes
PROBED = "probed"  # they asked for the health alone
REFUSED = "refused"  # they are not allowed
FEW = "few"  # they sent fewer datagrams than wake it


class Tally:
    """How many clients woke nothing since that was asked last, by what they did, and who the last one was."""

    def __init__(self) -> "None":
        self.noted: "Dict[str, Tuple[int, str]]" = {}

    def note(self, kind: "str", who: "str") -> "None":
        self.noted[kind] = self.noted.get(kind, (0, ""))[0] + 1, who

    def take(self) -> "Dict[str, Tuple[int, str]]":
        noted, self.noted = self.noted, {}
        return noted


class Carrier:
    """One way for bytes.

    Where not every connection wakes, a client that has sent nothing, or asks for the health alone, is not one that it holds: it
    neither tells of it nor counts it.

    It calls ``on_client(client)`` with each client that it holds (its socket, where it has one), ``on_wanted()`` where it watches
    and a client waits, ``on_doubt()`` where the workload takes nobody at its address, and ``on_answer()`` at the first byte of
    the workload that goes to a client after ``await_answer``.
    """

    on_client: "Callable[[Held], None]"
    on_wanted: "Callable[[], None]"
    on_doubt: "Callable[[], None]"
    on_answer: "Callable[[], None]"

    def heed(self, what: "str") -> "None":
        """Accept clients, hold them, watch for them, or ignore them, as it does at first."""
        raise NotImplementedError

    def lead_to(self, address: "Optional[Tuple[int, str]]") -> "None":
        """Lead clients to the workload at an address, (family, host); hold those that it has not taken where that is None."""
        raise NotImplementedError

    def refuse(self) -> "None":
        """From now on reset the connection of every client that is accepted."""
        raise NotImplementedError

    def reset_held(self) -> "None":
        """Reset the connections of all clients that are not led on."""
        raise NotImplementedError

    def end(self) -> "None":
        """End all connections to the workload, which reads nothing any more."""
        raise NotImplementedError

    def await_answer(self) -> "None":
        """Look out for the workload's first byte."""
        raise NotImplementedError

    def connections(self) -> "int":
        """Return how many clients are led to the workload."""
        raise NotImplementedError

    def waiting(self) -> "int":
        """Return how many clients are accepted, and not led to the workload yet."""
        raise NotImplementedError

    def unfinished(self) -> "int":
        """Return of how many connections the workload's side has not ended yet."""
        raise NotImplementedError

    def first_held(self) -> "Optional[Held]":
        """Return the client that is held longest, None where none is."""
        raise NotImplementedError

    def keeping(self) -> "int":
        """Return how many of those that are led to the workload keep it awake where open connections do."""
        return self.connections()

    def asking(self) -> "bool":
        """Return whether a client has sent something to which the workload has not answered a byte yet."""
        return False

    def silent(self) -> "int":
        """Return how many clients are here that wake nothing, or nothing yet, where not every connection wakes."""
        return 0

    def has_moved(self) -> "bool":
        """Return whether bytes that count as traffic have moved since this was asked last."""
        raise NotImplementedError

    def lost(self) -> "int":
        """Return how much of what clients sent was dropped, in datagrams."""
        return 0

    def due(self) -> "Optional[float]":
        """Return in how many seconds it wants its turn, None where only a descriptor can wake it."""
        raise NotImplementedError

    def turn(self) -> "None":
        """Do what is due."""
        raise NotImplementedError


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Callable, Dict, Optional, Tuple, Union

    from carriers.datagrams import Session

    Held = Union[Socket, Session]
