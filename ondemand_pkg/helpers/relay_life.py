"""One life of a service, from its first client to its end: what the relay does at each event.

Knows the actions of relay_states.py, which event a word of `run` is, and how long each state may last; hides nothing of the
connections, which are the carriers'.  Sleeps nowhere and reads no socket: relay.py brings the events.
"""

import _socket
import time

import words
from carriers import ACCEPT, HOLD, IGNORE, WATCH
from outcome import begin_of_process, last_end, now
from process import say
from relay_states import (
    ACCEPTING,
    ALONE,
    ATTENDING,
    BEGIN,
    CALLING,
    CLIENT,
    DOUBT,
    DRAINED,
    DRAINING,
    END,
    EXPIRED,
    FAIL,
    FAILED_BEFORE,
    GIVE_UP,
    GREETED,
    HELD,
    HOLDING,
    MET,
    MOVED,
    PARTING,
    PARTING_BROKEN,
    PARTING_STOPPED,
    PAUSES,
    QUIET,
    READY,
    RENEW,
    SERVING,
    SILENCE,
    STOP,
    TABLE,
    UNANSWERED,
    UNREACHABLE,
    WANTED,
    WATCHING,
)
from states import Machine

ANSWER_PATIENCE = 300.0  # seconds for which a client that has asked for something waits; browsers give up after so many
START_PATIENCE = 90.0  # seconds in which `run` must answer: at a boot the engine may start first
UNITS_PATIENCE = 0.1  # seconds until the next process looks for another way to `run`
LIFE_LOOK = 1.0  # seconds after which it is looked again whether silent clients are left, or a `run` was started without this
LAST_WORDS = 5.0  # seconds in which clients may take what an ended workload has sent
SHORTEST_LOOK, LONGEST_LOOK = 0.05, 60.0  # seconds after which it is looked again whether traffic has ceased
FIRST_BACK_OFF, LONGEST_BACK_OFF = 0.1, 30.0  # seconds; doubled with each failed start
MOST_CALLS = 4  # for `run`, in a row without a word, until one that says nothing has failed
TICK = 0.01  # seconds: the longest that a client may seem to have come too late by the kernel's clock

PARTINGS = (PARTING, PARTING_BROKEN, PARTING_STOPPED)


def never_kept() -> "float":
    return 0.0


class Life(Machine):
    """What clients notice of the workload's life.

    ``ask`` asks for a `run` and returns the connection to it, or raises OSError; ``who`` returns who a client is and since when
    it waits, by its socket; ``kept`` for how many seconds from now on it stays awake without traffic because of the hour.  Where
    only data wakes, ``find`` returns a connection to a `run` that is there, or raises OSError, and ``can_ask`` whether one can be
    asked for.
    """

    TABLE = TABLE

    def __init__(self, carriers: "Sequence[Carrier]", idle: "Optional[float]", counts_connections: "bool",
                 ask: "Callable[[], Client]", who: "Callable[[Held, float], Tuple[str, float]]",
                 kept: "Callable[[], float]" = never_kept, find: "Optional[Callable[[], Client]]" = None,
                 can_ask: "Callable[[], bool]" = lambda: True) -> "None":
        super().__init__(CALLING)
        self.carriers = carriers
        self.idle = idle  # seconds; None: never
        self.counts_connections = counts_connections  # an open connection keeps it awake
        self.ask = ask
        self.who = who
        self.kept = kept
        self.find = find
        self.can_ask = can_ask
        self.next_look = 0.0  # for a `run`, while it attends
        self.waker: "Optional[Tuple[str, float]]" = None  # who has sent the data that wake, and when
        self.was_kept = False  # when traffic was looked for last
        self.control: "Optional[Client]" = None
        self.calls = 0  # for `run`, in a row without a word
        self.has_waker = False  # `run` was told of the first client
        self.wanted: "Optional[float]" = None  # when it was seen that a client waits for what sleeps
        self.failures = 0  # starts in a row, as `run` tells of the last one
        self.deadline: "Optional[float]" = None  # of the state
        self.quiet_since = 0.0
        self.heeded = IGNORE  # what the carriers do with clients that come
        for carrier in carriers:
            carrier.on_client = self.meet
            carrier.on_wanted = self.miss
            carrier.on_answer = self.answered
            carrier.on_doubt = self.doubt
            carrier.await_answer()

    # Events

    def happen(self, event: "str", *values: "Any") -> "None":
        super().happen(event, *values)
        self.settle()

    def settle(self) -> "None":
        """Let the carriers do as the state has it."""
        wanted = ACCEPT if self.state in ACCEPTING else WATCH if self.state in WATCHING else (
            HOLD if self.state in HOLDING else IGNORE)
        if wanted != self.heeded:
            self.heeded = wanted
            for carrier in self.carriers:
                carrier.heed(wanted)

    def begin(self, is_for_clients: "bool" = True) -> "None":
        """Ask for the first life; where only data wakes, that waits for them, if it is clients for whom the process begins."""
        is_silent = self.find is not None and is_for_clients
        # Who can't ask for a life accepts nobody: clients outlive the process in the kernel.
        self.happen(BEGIN if not is_silent else SILENCE if self.can_ask() else UNREACHABLE)

    def give_up(self, seconds: "float") -> "None":
        """The service can't be served at all, for reasons that were told."""
        self.happen(GIVE_UP, seconds)

    def hear(self, packet: "Sequence[str]") -> "None":
        """Heed what `run` says of the workload; nothing is its end."""
        word = packet[0] if packet else ""
        if not packet:
            if self.control is not None:
                self.control.close()
            self.control = None
            self.happen(END if self.state != CALLING else FAILED_BEFORE if self.has_failed_before() else UNANSWERED)
        elif word in (words.GREETING, words.STARTED):
            self.happen(GREETED)
        elif word == words.READY:
            self.happen(READY, packet[1])
        elif word == words.MOVED:
            self.happen(MOVED, packet[1])
        elif word == words.PAUSED:
            self.happen(PAUSES)
        elif word == words.RENEWING:
            self.happen(RENEW)
        elif word in (words.STOPPING, words.LEAVING):
            self.happen(STOP)
        elif word == words.FAILED:
            self.failures = int(packet[1])
            self.happen(FAIL)
        elif word == words.YIELD:
            if self.state == SERVING and not self.connections() and not self.waiting():
                self.happen(QUIET)
        elif word == words.STATUS:
            self.tell(self.numbers())

    def meet(self, client: "Held") -> "None":
        """A carrier holds a client."""
        self.happen(CLIENT, client)

    def doubt(self) -> "None":
        """A carrier's clients are not taken by the workload."""
        self.happen(DOUBT)

    def miss(self) -> "None":
        """A carrier has seen that a client waits in the kernel."""
        self.happen(WANTED)

    def pass_time(self) -> "Optional[float]":
        """See to what time alone brings; return in how many seconds to come back at the latest, None where nothing is due."""
        moment = time.monotonic()
        is_due = self.deadline is not None and moment >= self.deadline
        if self.state == DRAINING and not any(carrier.connections() or carrier.waiting() for carrier in self.carriers):
            self.happen(DRAINED)
        elif self.state in PARTINGS and (is_due or not any(carrier.unfinished() for carrier in self.carriers)):
            self.deadline = None
            attends = self.state == PARTING and self.silent() and self.can_ask()
            self.happen(HELD if self.waiting() else SILENCE if attends else DRAINED)
        elif self.state == ATTENDING and moment >= self.next_look:
            self.look_for_life()
        elif is_due:
            self.deadline = None
            self.happen(EXPIRED)
        elif self.state == SERVING and self.idle is not None:
            self.look_for_traffic()
            if moment - self.quiet_since >= self.patience():
                self.happen(QUIET)
        if self.deadline is not None:
            return max(0.0, self.deadline - time.monotonic())
        if self.state == ATTENDING:
            return max(0.0, self.next_look - time.monotonic())
        if self.state == SERVING and self.idle is not None:
            return max(SHORTEST_LOOK, min(self.idle / 4, LONGEST_LOOK))
        return None

    # What is known

    def look_for_traffic(self) -> "None":
        """Note whether there was any until now."""
        has_moved = [carrier.has_moved() for carrier in self.carriers]
        was_kept, self.was_kept = self.was_kept, self.kept() > 0
        is_kept = was_kept or self.was_kept
        is_kept = is_kept or self.counts_connections and any(carrier.keeping() for carrier in self.carriers)
        if any(has_moved) or is_kept or self.waiting():
            self.quiet_since = time.monotonic()

    def patience(self) -> "float":
        """Return for how long nothing must move until the workload is put to sleep: longer while a client waits for an answer,
        be it that the workload waits for another one that is just waking."""
        assert self.idle is not None
        return max(self.idle, ANSWER_PATIENCE) if any(carrier.asking() for carrier in self.carriers) else self.idle

    def waiting(self) -> "int":
        return sum(carrier.waiting() for carrier in self.carriers)

    def silent(self) -> "int":
        return sum(carrier.silent() for carrier in self.carriers)

    def connections(self) -> "int":
        return sum(carrier.connections() for carrier in self.carriers)

    def look_for_life(self) -> "None":
        """See whether another service, the clock or an administrator has woken the workload, and whether a client is left."""
        self.next_look = time.monotonic() + LIFE_LOOK
        assert self.find is not None
        try:
            self.control = self.find()
        except OSError:
            if not self.silent() or not self.can_ask():
                self.happen(ALONE)
        else:
            self.happen(MET)

    def numbers(self) -> "str":
        """Return for how long the workload will stay awake without traffic, and how many connections are open;
        and how many datagrams were dropped, if some were."""
        left = "-"
        if self.idle is not None:
            self.look_for_traffic()
            left = "{:.1f}".format(max(0.0, self.patience() - (time.monotonic() - self.quiet_since)) + self.kept())
        lost = sum(carrier.lost() for carrier in self.carriers)
        return "{} {} {}{}".format(words.NUMBERS, left, self.connections() + self.waiting(), " {}".format(lost) if lost else "")

    def has_failed_before(self) -> "bool":
        """Return whether the start that was asked for has failed without a word.

        A connection without a word ends when nothing is left of the life that it met, and by then that life has left behind how
        it went.  If that was one that began before this process, the next one is still to be asked for.
        """
        count, when = last_end()
        if count and when > begin_of_process():
            self.failures = count
        return self.failures > 0 or self.calls >= MOST_CALLS

    # Actions

    def tell(self, packet: "str") -> "None":
        if self.control is not None:
            self.control.tell(packet)

    def call(self) -> "None":
        """Ask for a life of the workload."""
        self.deadline = self.deadline or time.monotonic() + START_PATIENCE
        self.calls += 1
        try:
            self.control = self.ask()
        except OSError as error:
            say("the container can't be asked for ({}); the next process tries again".format(error.strerror))
            self.happen(UNREACHABLE)
        else:
            self.greet()

    def greet(self) -> "None":
        self.tell("{} {}".format(words.GREETING, words.VERSION))

    def call_for(self, client: "Held") -> "None":
        """Ask for a life for a client that has sent something."""
        self.wanted = now()
        self.waker = self.who(client, self.wanted)
        self.call()

    def await_greeting(self, client: "Held") -> "None":
        """A client has sent something, and `run` was found already."""
        self.wanted = now()
        self.waker = self.who(client, self.wanted)
        self.deadline = time.monotonic() + START_PATIENCE

    def attend(self) -> "None":
        """Wait for data, or for the end of all who send none."""
        self.deadline = None
        self.calls = 0
        self.has_waker, self.wanted, self.waker = False, None, None
        self.next_look = time.monotonic() + LIFE_LOOK
        held = next((client for client in (carrier.first_held() for carrier in self.carriers) if client is not None), None)
        if held is not None:  # it has sent something meanwhile
            self.happen(CLIENT, held)

    def cut_and_attend(self) -> "None":
        self.cut()
        for carrier in self.carriers:
            carrier.await_answer()
        self.attend()

    def await_ready(self) -> "None":
        self.deadline = None  # `run` has its own, and ends

    def await_units(self) -> "None":
        self.deadline = time.monotonic() + UNITS_PATIENCE

    def note(self, client: "Held") -> "None":
        """Tell who has woken the workload: the first client."""
        if not self.has_waker:
            self.has_waker = True
            # A client that this process was started for had come before it.
            who, since = self.waker or self.who(client, begin_of_process() if self.wanted is None else self.wanted)
            if self.wanted is not None and self.find is None and since < self.wanted + TICK:
                since = min(since, self.wanted)
            self.tell("{} {} {:.4f}".format(words.CLIENT, who, since))

    def wake(self) -> "None":
        self.wanted = now()
        self.tell(words.WAKE)

    def note_and_wake(self, client: "Held") -> "None":
        self.wanted = now()
        self.note(client)
        self.tell(words.WAKE)

    def answered(self) -> "None":
        """The workload's first byte is on its way to a client."""
        self.tell("{} {:.4f}".format(words.ANSWERED, now()))

    def lead(self, address: "str") -> "None":
        self.deadline = None
        self.calls = 0
        self.quiet_since = time.monotonic()
        for held in [carrier.first_held() for carrier in self.carriers]:
            if held is not None:
                self.note(held)
        for carrier in self.carriers:
            carrier.lead_to((_socket.AF_INET6 if ":" in address else _socket.AF_INET, address))

    def ask_where(self) -> "None":
        self.tell(words.WHERE)

    def ask_for_sleep(self) -> "None":
        self.tell(words.IDLE)

    def rest(self) -> "None":
        """It sleeps paused: nothing in it reads or ends a connection any more."""
        self.deadline = None
        self.calls = 0
        for carrier in self.carriers:
            carrier.lead_to(None)
            carrier.end()
            carrier.await_answer()
        self.has_waker, self.waker = False, None
        if self.waiting():
            self.happen(WANTED)

    def part(self) -> "None":
        for carrier in self.carriers:
            carrier.lead_to(None)
        self.deadline = time.monotonic() + LAST_WORDS

    def turn_away(self) -> "None":
        """Reset who is held: it would wait for nothing."""
        self.deadline = None
        for carrier in self.carriers:
            carrier.lead_to(None)
            carrier.refuse()
            carrier.reset_held()

    def cut(self) -> "None":
        for carrier in self.carriers:
            carrier.end()

    def cut_and_turn_away(self) -> "None":
        self.cut()
        self.turn_away()

    def cut_and_call(self) -> "None":
        """Ask for the next life: those who are held came for one."""
        self.cut()
        for carrier in self.carriers:
            carrier.await_answer()
        self.has_waker, self.wanted, self.waker = False, now(), None
        self.call()

    def refuse(self) -> "None":
        """Reset every client for a while."""
        self.turn_away()
        self.deadline = time.monotonic() + back_off_after(max(1, self.failures))

    def refuse_for(self, seconds: "float") -> "None":
        self.turn_away()
        self.deadline = time.monotonic() + seconds

    def cut_and_refuse(self) -> "None":
        self.cut()
        self.refuse()


def back_off_after(failures: "int") -> "float":
    """Return for how many seconds clients are reset after so many failed starts in a row."""
    return float(min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** min(failures - 1, 16)))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Sequence, Tuple

    from carriers import Carrier, Held
    from control import Client
