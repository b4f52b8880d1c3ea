"""The words that the helpers of one service say to each other.

Knows each word, who may say it, and the version of them all; hides nothing.  A packet is a word and, behind a space, what it is
about.

Version 2.  Release 0.1.0 speaks version 1, which is the same without the greeting.
"""

VERSION = 2

# Either side's first packet, "version NUMBER"; who says none speaks version 1.
GREETING = "version"

# From `run` to all who listen.
STARTED = "started"  # ADDRESS[,ADDRESS] LIFE: the engine has started the workload; LIFE is the engine's token of this life
READY = "ready"  # ADDRESS: clients may come (said again where it was asked to sleep and must not)
MOVED = "moved"  # ADDRESS: it is ready, and has another address now
PAUSED = "paused"  # it sleeps until a client wants it
RENEWING = "renewing"  # its service is started again for the clients that wait
STOPPING = "stopping"  # it was asked to stop
LEAVING = "leaving"  # what a helper that comes after STOPPING hears
FAILED = "failed"  # COUNT: so many starts in a row have failed, this one too
STATUS = "status"  # the proxy shall say its NUMBERS
#        YIELD       # the proxy shall ask for sleep where it has no connections
MAY = "may"  # ADDRESS[,ADDRESS], to `kernel`: it may lead clients past the relay, to these
CLOSE = "close"  # [idle] [paused], to `kernel`: the workload is about to sleep, or to be stopped; `run` waits until it is CLOSED
# The end of the connection is the end of the workload.

# To `run`.
LISTENS = "listens"  # [ADDRESS], from waitport: the workload is ready, at that of two addresses
#        FAILED      # REASON, from waitport: its time is up
IDLE = "idle"  # from the proxy: no traffic for as long as was declared
WHERE = "where"  # from the proxy: the workload takes nobody at its address
WAKE = "wake"  # from the proxy: a client wants what sleeps paused
HOLD = "hold"  # from the `run` of another service, which requires this one for as long as its connection lasts
YIELD = "yield"  # from the `run` of another service, which can't be awake at the same time: sleep where nobody uses it
CLIENT = "client"  # WHO CONNECTED, from the proxy: the client that woke, and when it was connected (CLOCK_BOOTTIME, seconds)
ANSWERED = "answered"  # WHEN, from the proxy: the workload's first byte went to a client
#        MOVED       # ADDRESS, from replicas.py: other tasks of the workload are ready now
NUMBERS = "numbers"  # IDLE-LEFT CONNECTIONS [DROPPED], from the proxy: seconds, or "-" for ever; passed on to those who asked
PASSES = "passes"  # PORT[,PORT], from `kernel`: may it lead clients to these ports of the workload, past the relay?
CLOSED = "closed"  # from `kernel`: nobody is led there any more
BUSY = "busy"  # from `kernel`, where it was asked because of idleness: somebody has come meanwhile, and it goes on

# From the proxy to `kernel`, which answers STATUS by NUMBERS: whether something has moved, 0 or 1, and open connections.
ACCEPTED = "accepted"  # SOURCE ADDRESS PORT: a client came from there to an address and a port of the host

OF_ROOT = (GREETING, LISTENS, MOVED, FAILED, IDLE, WHERE, WAKE, HOLD, YIELD, STATUS, PASSES, CLOSED, BUSY)
OF_PROXY = (GREETING, IDLE, WHERE, WAKE, CLIENT, ANSWERED, NUMBERS)


def parted(packet: "str") -> "Tuple[str, str]":
    """Return the word of a packet, and what it is about."""
    word, _, about = packet.partition(" ")
    return word, about


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple
