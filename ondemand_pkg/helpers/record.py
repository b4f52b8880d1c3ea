"""The journal's records of wakes and of sleep.

Knows the fields of a record, what each of its numbers counts, and the journal's native protocol
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/); hides them from `run`.

A wake is a dict of its steps, each a time (CLOCK_BOOTTIME, seconds): "begun", the process of `run` was made; "connected", the
client that woke came to be connected to the host; "told", the engine was told to start the container; "started", it said that it
has; "ready", the container was found ready; "answered", its first byte went out to a client.  "client" is who that client is.
"""

import _socket
import struct

from memory import held_by
from names import NAME, PACKAGE, UNITS
from outcome import begin_of_process, now

JOURNAL = "/run/systemd/journal/socket"
WOKEN = "03eb855e60674ca096582626136989ec"
FAILED = "44e9934b34144a52873bc6774228defd"
ASLEEP = "f95973dafd264499bbf0f7751b3597c4"
# How a container fell asleep: without traffic, stopped or paused; or it was stopped for another reason, or ended.
IDLE, PAUSED, ENDED = "idle", "paused", "ended"
HOW = {IDLE: "no traffic", PAUSED: "no traffic, paused", ENDED: "it was stopped, or ended"}
STEPS = ("told", "started", "ready", "answered")
PHASES = {"told": ("QUEUED", "queued"), "started": ("ENGINE_START", "engine"), "ready": ("READY", "ready"),
          "answered": ("FIRST_BYTE", "first byte")}
CONNECTIONS_EVERY = 30.0  # seconds after which the count of connections in the metrics is renewed
FURTHEST = 1e10  # seconds that no host has run
LONGEST_REASON = 2000  # characters; a datagram holds some 200 kB
INFO, WARNING = 6, 4  # syslog(3)


class Account:
    """What is told of one life of the container, which may wake more than once."""

    def __init__(self, control: "Server", metrics_directory: "Optional[str]") -> "None":
        self.last: "Wake" = {}  # the last one, as far as it is known
        self.control = control
        self.metrics: "Optional[Metrics]" = None
        self.next_count = 0.0
        self.how = ENDED
        self.held: "Optional[int]" = None  # bytes of memory, when it was put to sleep
        if metrics_directory:
            from metrics import Metrics  # only who declares it pays for it

            self.metrics = Metrics(metrics_directory)

    def wake(self, told: "Mapping[str, Any]") -> "None":
        """The container is awake, unless it failed; ``told`` holds the steps, "client" and "answered" in words of the proxy."""
        self.last = steps(told)
        if "ready" in self.last:
            milliseconds = woken(self.last)
            if self.metrics is not None:
                self.metrics.woken(milliseconds / 1000)

    def due(self) -> "Optional[int]":
        """Ask for what the metrics need; return after how many milliseconds to come back, or None."""
        if self.metrics is None:
            return None
        moment = now()
        if moment >= self.next_count:
            self.next_count = moment + CONNECTIONS_EVERY
            self.control.ask()
        return int(1000 * (self.next_count - moment)) + 1

    def counted(self, words: "str") -> "None":
        """The proxy has told its numbers."""
        try:
            connections = int(words.split()[1])
        except (IndexError, ValueError):
            return
        if self.metrics is not None:
            self.metrics.connected(connections)

    def measure(self, process: "Optional[int]") -> "None":
        """The container is about to be stopped for want of traffic; its memory is that of a process and its descendants."""
        self.how = IDLE
        self.held = held_by(process) if process is not None else None

    def sleep(self) -> "None":
        """The container sleeps paused."""
        asleep(self.last, PAUSED, None)
        if self.metrics is not None:
            self.metrics.ended(0)

    def end(self, reason: "str", failures: "int") -> "None":
        """The container has ended; so many starts in a row have failed, this one too (0: it did not fail)."""
        if failures:
            failed(self.last, reason, failures)
        asleep(self.last, self.how, self.held)
        if self.metrics is not None:
            self.metrics.ended(failures)


def steps(told: "Mapping[str, Any]") -> "Wake":
    """Return a wake of what was told of it; wrong words of the proxy, which has no rights, are left out."""
    wake = {step: told[step] for step in ("begun", "told", "started", "ready") if step in told}
    wake.setdefault("begun", begin_of_process())
    try:
        client, connected = told.get("client", "").split()
        if client.isprintable():
            wake.update(connected=moment(connected), client=client)
    except ValueError:
        pass
    try:
        wake["answered"] = moment(told.get("answered", ""))
    except ValueError:
        pass
    return wake


def moment(text: "str") -> "float":
    """Return a time; raise ValueError for what is none."""
    found = float(text)
    if not 0 <= found < FURTHEST:  # "nan" included
        raise ValueError(text)
    return found


def phases(wake: "Wake") -> "List[Tuple[str, int]]":
    """Return (step, milliseconds) of each phase that came to its end; they add up to the whole.

    Who connected after the engine was told is not who woke the container: without a client the first phase begins with `run`.
    """
    begin = before = wake["connected"] if has_client(wake) else wake["begun"]
    found = []
    for step in STEPS:
        if step not in wake:
            break
        now = max(before, wake[step])
        found.append((step, round(1000 * (now - begin)) - round(1000 * (before - begin))))
        before = now
    return found


def has_client(wake: "Wake") -> "bool":
    return "connected" in wake and wake["connected"] <= wake.get("told", wake["connected"])


def woken(wake: "Wake") -> "int":
    """Tell of a container that was woken; return the milliseconds that it took."""
    parts = phases(wake)
    total = sum(milliseconds for _, milliseconds in parts)
    text = "woken {} in {} ms ({})".format(
        "by " + wake["client"] if has_client(wake) else "without a client", total,
        ", ".join("{} {}".format(PHASES[step][1], milliseconds) for step, milliseconds in parts))
    send([("MESSAGE", text), ("MESSAGE_ID", WOKEN), ("PRIORITY", INFO)] + numbers(wake, parts, total))
    return total


def failed(wake: "Wake", reason: "str", failures: "int") -> "None":
    """Tell of a container that could not be woken, for so many times in a row."""
    parts = phases(wake)
    text = "the wake{} failed{}".format(" by " + wake["client"] if has_client(wake) else "",
                                        ", {} in a row".format(failures) if failures > 1 else "")
    send([("MESSAGE", text), ("MESSAGE_ID", FAILED), ("PRIORITY", WARNING), ("ONDEMAND_REASON", reason[:LONGEST_REASON]),
          ("ONDEMAND_FAILURES", failures)] + numbers(wake, parts, None))


def asleep(wake: "Wake", how: "str", held: "Optional[int]") -> "None":
    """Tell that a container sleeps which was woken, and how many bytes of memory that gives back, where that is known."""
    if "ready" not in wake:
        return
    awake = max(0, round(1000 * (now() - wake["ready"])))
    text = "asleep after {} awake: {}".format(span(awake / 1000), HOW[how])
    fields = whose() + [("ONDEMAND_HOW", how), ("ONDEMAND_AWAKE_MS", awake)]
    if held is not None:
        text += "; {:.1f} MiB of memory given back".format(held / 1048576)
        fields.append(("ONDEMAND_GIVEN_BACK_BYTES", held))
    send([("MESSAGE", text), ("MESSAGE_ID", ASLEEP), ("PRIORITY", INFO)] + fields)


def span(seconds: "float") -> "str":
    """Return a time span as systemd writes one, in its two largest units."""
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            return "{}{} {}{}".format(int(seconds // size), unit, int(seconds % size // small), small_unit)
    return "{:.1f}s".format(seconds)


def whose() -> "Fields":
    return [("SYSLOG_IDENTIFIER", PACKAGE), ("ONDEMAND_NAME", NAME), ("ONDEMAND_UNIT", UNITS + ".service")]


def numbers(wake: "Wake", parts: "List[Tuple[str, int]]", total: "Optional[int]") -> "Fields":
    fields = whose()
    if has_client(wake):
        fields.append(("ONDEMAND_CLIENT", wake["client"]))
    fields += [("ONDEMAND_{}_MS".format(PHASES[step][0]), milliseconds) for step, milliseconds in parts]
    if total is not None:
        fields.append(("ONDEMAND_TOTAL_MS", total))
    return fields


def serialized(fields: "Fields") -> "bytes":
    """Return fields as the journal takes them; a value with a line's end in it is preceded by its length."""
    data = b""
    for key, value in fields:
        written = str(value).encode("utf-8", "replace")
        if b"\n" in written:
            data += key.encode("ascii") + b"\n" + struct.pack("<Q", len(written)) + written + b"\n"
        else:
            data += key.encode("ascii") + b"=" + written + b"\n"
    return data


def send(fields: "Fields") -> "None":
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        channel.sendto(serialized(fields), JOURNAL)
    except OSError:
        pass  # no journal, no record; nothing else depends on it
    channel.close()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Tuple

    from control import Server
    from metrics import Metrics

    Wake = Dict[str, Any]
    Fields = List[Tuple[str, object]]
