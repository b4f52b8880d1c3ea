"""Every order of events between the relay, `run`, systemd, an engine and clients, searched.

Knows how the two programs' own lives (relay_life, run_life: their tables and their actions) are put into a world without sockets
and clocks, what systemd does with connections to the door, what may happen next, and what must hold always; hides copies and the
walk.  A world is walked breadth first, so
that what is found is a shortest way to it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest import mock

import relay_life
import relay_states
import run_life
import run_states
import words
from carriers import ACCEPT, HOLD, IGNORE, WATCH
from engines import Engine, EngineError, Pending, Seen

Thing = TypeVar("Thing")
DOWN, STARTS, UP, FROZEN, DEAD = "down", "starts", "up", "frozen", "dead"
# What no life may wait for.
FROM_OUTSIDE = ("a client connects", "a client sends", "a client asks", "somebody", "it ends", "the engine breaks", "the image")


@dataclass(frozen=True)
class Scenario:
    """What does not change while a world is walked."""

    pauses: bool = False
    can_freeze: bool = True
    is_declared: bool = True  # the workload that is woken from a pause is still the declared one
    greets: bool = True  # `run` is not one of release 0.1.0
    is_held: bool = False  # another service requires it
    restarts: bool = False  # the engine goes away with the workload before it is ready, and comes back
    refuses: bool = False  # the engine refuses to stop it, once
    breaks: bool = False  # the engine fails, or goes away and comes back
    stops: int = 1  # times that somebody stops the services
    clients: int = 1
    is_slow: bool = False  # `run` may come so late that clients are reset
    fails: bool = True  # the workload may fail by itself
    by_data: bool = False  # not every connection wakes it: only data do
    enough: int = 0  # clients send datagrams, so many of one wake it, with `by_data` more than one; 0: they connect
    probes: bool = False  # with `by_data`: a client may ask for the health alone, and a silent one wakes it in time
    wakes: int = 0  # times that it is woken without a client
    yields: int = 0  # times that a service that it excludes asks for its place


class Wrong(AssertionError):
    """Something that must always hold does not; the text says what, and by which way."""


class Connection:
    """A connection between a relay and a `run`: what is on its way in both directions."""

    def __init__(self) -> None:
        self.to_relay: list[str] = []
        self.to_run: list[str] = []
        self.is_open = True  # at the side of `run`
        self.is_kept = True  # at the side of the relay

    def tell(self, packet: str) -> None:
        if self.is_open and not packet.startswith(words.GREETING):  # nobody asks for it
            self.to_run.append(packet)

    def close(self) -> None: ...


class Carrier:
    """The clients that a relay has accepted."""

    def __init__(self, by_data: bool, spoken: set[int], enough: int = 0) -> None:
        self.by_data = by_data
        self.enough = enough
        self.few: dict[int, int] = {}  # datagrams of each client
        self.spoken = spoken  # the clients that have sent something
        self.mute: list[int] = []  # those that are not led on because they have not
        self.answered: list[int] = []  # those of them that have asked for the health, and have their answer
        self.probing: set[int] = set()  # the clients that have asked for the health, or are about to
        self.heeds = IGNORE
        self.refusing = False
        self.address: Any = None
        self.held: list[int] = []
        self.led: list[int] = []
        self.lost: list[int] = []
        self.on_client: Any = None
        self.on_wanted: Any = None
        self.on_answer: Any = None

    def heed(self, what: str) -> None:
        self.heeds = what

    def take(self, client: int, takes: bool) -> None:
        """Accept a client, which the workload takes, or not yet."""
        if self.refusing:
            self.lost.append(client)
            return
        if self.enough and self.is_known(client):
            return
        if not self.counts(client) and self.address is None:
            self.mute.append(client)
            if client in self.probing:
                self.probe(client)
            return
        self.held.append(client)
        if self.counts(client):
            self.on_client(client)
        if takes:
            self.lead_on()

    def is_known(self, client: int) -> bool:
        """Count a datagram; return whether its client has sent others, and see then whether they are enough."""
        count = self.few[client] = self.few.get(client, 0) + 1
        is_new = client not in self.mute + self.held + self.led
        if count == self.enough and self.by_data and is_new:
            self.spoken.add(client)
        elif count == self.enough and self.by_data:
            is_led = client not in self.mute
            self.hear(client)
            if is_led:
                self.on_client(client)
        return not is_new

    def forget(self, clients: list[int]) -> None:
        """Their sessions are over: what they have sent counts no more."""
        if self.enough:
            for client in clients:
                self.few.pop(client, None)
                self.spoken.discard(client)

    def counts(self, client: int) -> bool:
        return not self.by_data or client in self.spoken

    def close_silent(self) -> None:
        self.forget([self.mute.pop(0)])

    def hear(self, client: int) -> None:
        """A client has sent something."""
        self.spoken.add(client)
        if client in self.mute:
            self.mute.remove(client)
            self.held.append(client)
            self.on_client(client)

    def probe(self, client: int) -> None:
        """A client asks for the health."""
        self.probing.add(client)
        if client in self.mute:
            self.mute.remove(client)
            self.answered.append(client)

    def lead_on(self) -> None:
        if self.address is not None:
            self.led += self.held
            self.held = []

    def lead_to(self, address: Any) -> None:
        self.address = address
        if address is not None:
            self.held += self.mute
            self.mute = []
        else:
            mute = [client for client in self.held if not self.counts(client)]
            self.mute += [client for client in mute if client not in self.probing]
            self.answered += [client for client in mute if client in self.probing]
            self.held = [client for client in self.held if self.counts(client)]
        self.lead_on()

    def refuse(self) -> None:
        self.refusing = True

    def reset_held(self) -> None:
        self.lost += self.held + self.mute
        self.forget(self.held + self.mute)
        self.held, self.mute = [], []

    def end(self) -> None:
        self.forget(self.led)
        self.led = []

    def await_answer(self) -> None: ...

    def connections(self) -> int:
        return len(self.led)

    def keeping(self) -> int:
        return len(self.led)

    def asking(self) -> bool:
        return False

    def silent(self) -> int:
        return len(self.mute) + len(self.answered)

    def waiting(self) -> int:
        return sum(map(self.counts, self.held))

    def unfinished(self) -> int:
        return len(self.led)

    def first_held(self) -> Any:
        return next(filter(self.counts, self.held), None)

    def has_moved(self) -> bool:
        return any(map(self.counts, self.led))


class Told(Pending):
    def __init__(self, engine: Workload) -> None:
        self.engine = engine

    def fileno(self) -> int:
        return 0

    def done(self) -> None:
        if self.engine.refuses:
            raise EngineError("not now")


class Workload(Engine):
    """An engine with one workload."""

    title = "model"

    def __init__(self, can_freeze: bool) -> None:
        self.can_freeze = can_freeze
        self.now = DOWN
        self.status = 0
        self.is_asked_to_stop = False
        self.refuses = False

    def begin_stop(self, name: str) -> Pending:
        self.is_asked_to_stop = True
        return Told(self)

    def freeze(self, name: str) -> None:
        if not self.can_freeze:
            raise EngineError("no freezer")
        if self.now == UP:
            self.now = FROZEN

    def thaw(self, name: str) -> None:
        if self.now == FROZEN:
            self.now = UP


class Control:
    """The side of `run` of all connections."""

    def __init__(self, is_held: bool, greets: bool) -> None:
        self.connection: Connection | None = None
        self.greets = greets
        self.last = ""
        self.holders = {99} if is_held else set()
        self.passing: set[int] = set()  # nobody leads clients past the relay here

    def tell(self, packet: str, later: str = "") -> None:
        self.last = later or packet
        if self.connection is not None:
            self.connection.to_relay.append(packet)

    def has_proxy(self) -> bool:
        return self.connection is not None

    def answer(self, descriptor: int, packet: str) -> None:
        if self.connection is not None:
            self.connection.to_relay.append(packet)


class Nothing:
    """Steps of a wake, and required services, of which nothing matters here."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _ignored


def _twin(thing: Thing) -> Thing:
    """Return a shallow copy; copy.copy() asks first how."""
    twin = object.__new__(type(thing))
    twin.__dict__.update(thing.__dict__)
    return twin


def _ignored(*_: object, **__: object) -> None: ...


@dataclass
class World:
    """Everything at one moment."""

    scenario: Scenario
    relay: Any = None
    carrier: Carrier = field(default_factory=lambda: Carrier(False, set()))
    sent: dict[int, int] = field(default_factory=dict)  # datagrams of each client
    run: Any = None
    control: Any = None
    engine: Workload = field(default_factory=lambda: Workload(True))
    queue: list[int] = field(default_factory=list)  # clients in the kernel
    clients: int = 0
    spoken: set[int] = field(default_factory=set)
    wakes: int = 0
    yields: int = 0
    is_called: bool = False  # systemd was asked to start the relay, which does not run
    stops: int = 0
    kills: int = 0
    restarts: int = 0
    refusals: int = 0
    named: Connection | None = None  # to the name of `run`, where only data wakes; it has not accepted it
    door: list[Connection] = field(default_factory=list)  # connections to it that nobody has accepted
    has_door: bool = True
    is_active: bool = False  # something is left of the service of `run`
    is_wanted: bool = False  # systemd starts it, once nothing of it is left
    failures: int = 0
    has_failed: bool = False  # something went wrong, or somebody stopped or killed something: clients may be reset

    def clone(self) -> World:
        """Return a world of its own that is like this one; copy.deepcopy() takes forty times as long."""
        other = _twin(self)
        other.queue = list(self.queue)
        other.engine = _twin(self.engine)
        other.carrier = _twin(self.carrier)
        other.carrier.few, other.sent = dict(self.carrier.few), dict(self.sent)
        other.spoken = other.carrier.spoken = set(self.spoken)
        other.carrier.mute = list(self.carrier.mute)
        other.carrier.answered, other.carrier.probing = list(self.carrier.answered), set(self.carrier.probing)
        other.carrier.held, other.carrier.led, other.carrier.lost = list(self.carrier.held), list(self.carrier.led), []
        connections: dict[int, Connection] = {}

        def cloned(connection: Connection | None) -> Any:
            if connection is not None and id(connection) not in connections:
                twin = connections[id(connection)] = _twin(connection)
                twin.to_relay, twin.to_run = list(connection.to_relay), list(connection.to_run)
            return connections.get(id(connection))

        other.named = cloned(self.named)
        other.door = [cloned(connection) for connection in self.door]
        if self.relay is not None:
            other.relay = _twin(self.relay)
            other.relay.carriers = [other.carrier]
            other.relay.control = cloned(self.relay.control)
            other.relay.ask = other.ask
            other.relay.find = other.find if self.scenario.by_data else None
            other.carrier.on_client, other.carrier.on_wanted = other.relay.meet, other.relay.miss
        if self.control is not None:
            other.control = _twin(self.control)
            other.control.connection = cloned(self.control.connection)
        if self.run is not None:
            other.run = _twin(self.run)
            other.run.engine, other.run.control = other.engine, other.control
            other.run.stops = [Told(other.engine) for _ in self.run.stops[-1:]]
        return other

    # What may happen

    def choices(self) -> Iterator[tuple[str, Callable[[], None]]]:
        if self.clients < self.scenario.clients:
            yield "a client connects", self.connect
        for client, count in sorted(self.sent.items()):
            if count < 2 * self.scenario.enough:  # once it is forgotten or answered, it may still send enough
                yield f"a client sends one more ({client})", functools.partial(self.send, client)
        if self.scenario.by_data:
            yield from self.choices_by_data()
        elif self.relay is None and self.queue:
            yield "systemd starts the relay, and run with it", lambda: self.start_relay(True)
            if self.is_active:
                yield "systemd starts the relay, while it takes run for active", lambda: self.start_relay(False)
        if self.relay is not None:
            yield from self.choices_of_relay(self.relay)
        if self.run is not None:
            yield from self.choices_of_run(self.run)
        elif self.is_active:
            yield "nothing is left of run's service", self.end_service
        elif self.is_wanted or (self.door and self.has_door):
            yield "systemd starts run", self.start_run
        if self.stops < self.scenario.stops:
            if self.run is not None:
                yield "somebody stops the container's service", lambda: self.stop(False)
            if self.relay is not None:
                yield "somebody stops both services", lambda: self.stop(True)

    def choices_by_data(self) -> Iterator[tuple[str, Callable[[], None]]]:
        if self.relay is None and (self.queue or self.is_called):
            yield "systemd starts the relay", lambda: self.start_relay(self.is_wanted)
        for client in sorted({*self.queue, *self.carrier.mute} - self.spoken - self.carrier.probing):
            if not self.scenario.enough:
                yield f"a client sends data ({client})", functools.partial(self.carrier.hear, client)
        if self.carrier.mute and self.scenario.enough:
            if self.carrier.heeds != HOLD:  # while it starts, nobody is forgotten
                yield "a client that has sent too few is forgotten", self.carrier.close_silent
        elif self.carrier.mute and not self.scenario.probes:
            yield "a client that sends nothing is closed", self.carrier.close_silent
        elif self.carrier.mute:
            yield "a client that sends nothing has waited long enough", lambda: self.carrier.hear(self.carrier.mute[0])
        if self.scenario.probes:
            yield from self.choices_by_probes()
        if self.wakes < self.scenario.wakes:
            yield "somebody wakes it without a client", self.wake
        if self.run is not None and self.run.state == run_states.AWAKE and self.control.connection is None and self.relay is None:
            yield "run has the relay started", self.call_relay

    def choices_by_probes(self) -> Iterator[tuple[str, Callable[[], None]]]:
        for client in sorted({*self.queue, *self.carrier.mute} - self.spoken - self.carrier.probing):
            yield f"a client asks for the health ({client})", functools.partial(self.carrier.probe, client)
        if self.carrier.answered:
            yield "a client that has the relay's answer goes", lambda: self.carrier.answered.clear()

    def choices_of_relay(self, life: Any) -> Iterator[tuple[str, Callable[[], None]]]:
        if self.carrier.heeds == ACCEPT and self.queue:
            yield "the relay accepts a client", lambda: self.carrier.take(self.queue.pop(0), True)
            yield "the relay accepts a client that waits", lambda: self.carrier.take(self.queue.pop(0), False)
        if self.carrier.heeds == HOLD and self.queue and self.scenario.enough:
            yield "the relay holds what a client sends while it starts", lambda: self.carrier.take(self.queue.pop(0), True)
        if self.carrier.heeds == WATCH and self.queue and self.scenario.by_data:
            yield "the relay accepts a client", lambda: self.carrier.take(self.queue.pop(0), True)
        elif self.carrier.heeds == WATCH and self.queue:
            yield "the relay sees a client", self.carrier.on_wanted
        if self.carrier.held and self.carrier.address is not None:
            yield "the workload takes a client", self.carrier.lead_on
        control = life.control
        if control is not None and control.to_relay:
            yield f"the relay hears: {control.to_relay[0]}", lambda: life.hear(control.to_relay.pop(0).split())
        elif control is not None and not control.is_open:
            yield "the relay hears the end", lambda: life.hear([])
        if life.state in (*relay_life.PARTINGS, relay_states.DRAINING, relay_states.SERVING,
                          relay_states.ATTENDING) or (
                life.deadline is not None and (life.state != relay_states.CALLING or self.scenario.is_slow)):
            yield "time passes for the relay", lambda: self.pass_time(life)
        if self.carrier.led:
            yield "a client has its answer and goes", self.answer
        if life.state == relay_states.OVER:
            yield "the relay ends", self.end_relay
        if self.scenario.breaks and self.kills < 1:
            yield "somebody kills the relay", self.kill_relay

    def choices_of_run(self, life: Any) -> Iterator[tuple[str, Callable[[], None]]]:
        engine = self.engine
        if self.has_door and self.door and self.control.connection is None and life.state != run_states.ENDED:
            yield "run accepts the relay", lambda: self.accept(self.door.pop(0))
        if self.named is not None and life.state != run_states.ENDED:
            yield "run accepts the relay by its name", self.accept_named
        if self.scenario.restarts and self.restarts < 1 and life.state in (run_states.PREPARING, run_states.STARTING):
            yield "somebody restarts the engine", lambda: self.restart_engine(life)
        if life.state == run_states.PREPARING:
            yield "the engine is asked to start", lambda: self.begin(life)
            if self.scenario.breaks:
                yield "the image is not there", lambda: self.breaks(life, "no image")
                yield "somebody kills run", self.crash_run
            return
        if engine.now == STARTS and life.state == run_states.STARTING and not life.token:
            yield "the engine has started it", lambda: self.started(life)
        if engine.now == UP and life.state == run_states.STARTING and life.token:
            yield "it listens", lambda: life.hear(words.LISTENS, 5)
            if self.scenario.fails:
                yield "it does not listen in time", lambda: self.fail(life)
        if engine.now in (UP, STARTS, FROZEN) and life.state != run_states.ENDED:
            how = "the engine stops it" if engine.is_asked_to_stop else "it ends"
            yield f"{how} with 0", lambda: self.die(life, 0)
            yield f"{how} with 137", lambda: self.die(life, 137)
            if self.scenario.fails:
                yield f"{how} with 1", lambda: self.die(life, 1)
        if engine.now == DEAD and life.state != run_states.ENDED:
            if life.token:
                yield "run sees that it is dead", lambda: self.see_dead(life)
            yield "the engine knows how it ended", lambda: life.ends(Seen(False, False, "", status=engine.status))
        connection = self.control.connection
        if connection is not None and connection.to_run and life.state != run_states.ENDED:
            yield f"run hears: {connection.to_run[0]}", lambda: life.hear(connection.to_run.pop(0), 7)
        if self.scenario.refuses and self.refusals < 1 and engine.is_asked_to_stop and engine.now != DEAD and life.stops:
            yield "somebody makes the engine refuse to stop it", lambda: self.refuse(life)
        if life.next_stop is not None:
            yield "time passes for run", lambda: self.pass_time_of_run(life)
        if self.yields < self.scenario.yields and life.state != run_states.ENDED:
            yield "somebody wants its place", lambda: self.give_way(life)
        if life.state == run_states.RENEWING and engine.now != DEAD:
            yield "systemd stops run, to start it again", lambda: life.happen(run_states.TERM)
        if self.scenario.breaks and life.state != run_states.ENDED:
            yield "the engine breaks", lambda: self.breaks(life, "it broke")
            if engine.now != DEAD:
                yield "the engine returns", lambda: life.happen(run_states.RETURNED)
        if life.state == run_states.ENDED:
            yield "systemd notices the end of run", self.end_run

    # What happens then

    def give_way(self, life: Any) -> None:
        self.yields += 1
        life.hear(words.YIELD, 9)

    def answer(self) -> None:
        self.carrier.forget([self.carrier.led.pop(0)])

    def connect(self) -> None:
        self.clients += 1
        self.send(self.clients)

    def send(self, client: int) -> None:
        self.queue.append(client)
        self.sent[client] = self.sent.get(client, 0) + 1

    def new_carrier(self) -> Carrier:
        """Return that of another process: what clients have asked for is still there, datagrams that were read are not."""
        if self.scenario.enough:
            self.spoken.clear()
        found = Carrier(self.scenario.by_data, self.spoken, self.scenario.enough)
        found.probing = self.carrier.probing
        return found

    def start_relay(self, with_run: bool) -> None:
        self.is_wanted = with_run
        self.is_called = False
        self.carrier = self.new_carrier()
        find: Any = self.find if self.scenario.by_data else None
        self.relay = relay_life.Life([self.carrier], 1.0, False, self.ask, _who, find=find)  # type: ignore[arg-type,list-item] # a model
        self.relay.begin(bool(self.queue))

    def wake(self) -> None:
        """Start both services, as a timer does and a service that requires this one."""
        self.wakes += 1
        self.is_wanted = self.is_wanted or self.run is None
        self.call_relay()

    def call_relay(self) -> None:
        self.is_called = self.relay is None

    def find(self) -> Connection:
        """Connect to a `run` that is there, by its name."""
        if self.run is None or self.run.state == run_states.ENDED:
            raise OSError("connection refused")
        self.named = Connection()
        return self.named

    def ask(self) -> Connection:
        """Connect to the door, or to a `run` that was started without one."""
        if not self.has_door:
            if self.run is None or self.run.state == run_states.ENDED:
                self.has_failed = self.has_failed or bool(self.carrier.held)  # it sees no door that is opened later
                raise OSError("connection refused")
            connection = Connection()
            self.accept(connection)
            return connection
        self.door.append(Connection())
        return self.door[-1]

    def start_run(self) -> None:
        scenario = self.scenario
        self.engine = Workload(scenario.can_freeze)
        self.control = Control(scenario.is_held, self.has_door)
        self.is_active, self.is_wanted = True, False
        self.run = run_life.Life(run_states.PREPARING, self.engine,
                                 self.control, Nothing(), scenario.pauses,  # type: ignore[arg-type] # models
                                 Nothing(), _yes if scenario.is_declared else _no, _ignored, list)  # type: ignore[arg-type] # models

    def accept_named(self) -> None:
        connection, self.named = self.named, None
        assert connection is not None
        self.accept(connection)

    def accept(self, connection: Connection) -> None:
        if not connection.is_kept:
            return
        self.control.connection = connection
        if self.control.greets:
            connection.to_relay.append(f"{words.GREETING} {words.VERSION}")
        if self.control.last:
            last = words.LEAVING if self.control.last == words.STOPPING else self.control.last
            connection.to_relay.append(last)

    def breaks(self, life: Any, reason: str) -> None:
        self.has_failed = True
        life.breaks(reason, False)

    def fail(self, life: Any) -> None:
        self.has_failed = True
        life.hear(f"{words.FAILED} too late", 5)

    def restart_engine(self, life: Any) -> None:
        self.restarts += 1
        self.engine.now = DOWN
        life.happen(run_states.INTERRUPTED)

    def refuse(self, life: Any) -> None:
        self.refusals += 1
        self.engine.is_asked_to_stop, self.engine.refuses = False, True
        life.heed_answer(life.stops[0])
        self.engine.refuses = False

    def pass_time_of_run(self, life: Any) -> None:
        with mock.patch.object(time, "monotonic", lambda: 1000.0):
            life.pass_time()

    def crash_run(self) -> None:
        """Let `run` end without a word; ExecStopPost= counts that."""
        self.has_failed = True
        self.failures += 1
        self.run.state = run_states.ENDED

    def begin(self, life: Any) -> None:
        self.engine.now = STARTS
        life.happen(run_states.BEGUN)

    def started(self, life: Any) -> None:
        self.engine.now = UP
        life.addresses, life.token = ["10.0.0.2"], "life"
        life.happen(run_states.STARTED)

    def die(self, life: Any, status: int) -> None:
        self.has_failed = self.has_failed or status == 1 or life.ready_since is None
        self.engine.now, self.engine.status = DEAD, status

    def see_dead(self, life: Any) -> None:
        if life.state == run_states.STARTING:
            life.dies()

    def stop(self, both: bool) -> None:
        self.stops += 1
        self.is_wanted = self.is_called = False
        if both:
            self.has_failed = self.has_failed or bool(self.carrier.held + self.carrier.mute)
            self.relay.happen(relay_states.TERM)
        if self.run is None:
            return
        if self.run.state == run_states.PREPARING and self.restarts:
            self.run.happen(run_states.TERM)  # it came in the moment before
        elif self.run.state == run_states.PREPARING:
            self.run.state = run_states.ENDED  # the signal ends the process
        elif self.engine.now != DEAD:
            self.run.happen(run_states.TERM)

    def pass_time(self, life: Any) -> None:
        moment = life.deadline if life.deadline is not None else 1000.0
        if life.state == relay_states.CALLING:
            self.has_failed = True  # an engine that takes too long
        with mock.patch.object(time, "monotonic", lambda: moment):
            life.pass_time()
        if life.deadline is not None:
            life.deadline = 90.0  # only that there is one matters
        life.quiet_since = life.next_look = 0.0

    def end_relay(self) -> None:
        for connection in self.door:
            connection.is_kept = False
        self.named = None
        del self.door[1:]  # more of them change nothing
        if self.control is not None:
            self.control.connection = None
        self.relay = None
        self.carrier = self.new_carrier()

    def kill_relay(self) -> None:
        self.kills += 1
        self.has_failed = True
        self.end_relay()

    def end_run(self) -> None:
        if self.control.connection is not None:
            self.control.connection.is_open = False
        if self.named is not None:
            self.named.is_open = False
        self.named = None
        renews = self.run.renewing
        self.run = None
        if renews:
            self.start_run()

    def end_service(self) -> None:
        """Let systemd see that nothing is left: it ends the connections that are still at the door, and listens there again."""
        self.is_active, self.has_door = False, True
        for connection in self.door:
            connection.is_open = False
        self.door = []

    # What must hold

    def is_orphaned(self) -> bool:
        """Whether what only data wakes is awake without a relay, so that nothing puts it to sleep."""
        return self.scenario.by_data and self.run is not None and self.relay is None

    def check(self) -> None:
        life = self.relay
        if life is None:
            return
        under_way = life.control is not None and life.state != relay_states.OVER
        if self.carrier.held and life.deadline is None and not under_way:
            raise Wrong("a client is held, nothing is being started, and there is no deadline")
        if self.carrier.heeds == ACCEPT and life.state not in relay_states.ACCEPTING:
            raise Wrong(f"clients are accepted in the state {life.state!r}")
        if self.carrier.lost and not self.has_failed:
            raise Wrong("a client was reset, and nothing had failed")
        if self.run is not None and not self.wakes and self.scenario.by_data and (
                max(self.sent.values(), default=0) < self.scenario.enough):
            raise Wrong("clients that have sent too few have woken it")
        if self.run is not None and self.clients and not self.wakes and not self.spoken and self.scenario.probes:
            raise Wrong("clients that ask for the health alone have woken it")
        if self.carrier.address is not None and life.state in (
                *relay_life.PARTINGS, relay_states.OVER, relay_states.REFUSING, relay_states.CALLING, relay_states.CUT_OFF,
                relay_states.PAUSED, relay_states.WAKING, relay_states.ATTENDING, relay_states.JOINING):
            raise Wrong(f"clients are led to a life that is over, in the state {life.state!r}")

    def key(self) -> object:
        """Return what tells two worlds apart."""
        relay, run, carrier = self.relay, self.run, self.carrier
        connection = relay.control if relay is not None else None
        return (
            relay and (relay.state, relay.deadline is not None, relay.has_waker, relay.failures > 0, min(relay.calls, 3),
                       relay.wanted is None),
            (carrier.heeds, carrier.refusing, carrier.address, tuple(map(carrier.counts, carrier.held)), len(carrier.led),
             len(carrier.mute), len(carrier.answered), tuple(client in carrier.probing for client in carrier.held + carrier.led)),
            tuple((client in self.spoken, client in carrier.probing) for client in self.queue),
            self.scenario.enough and (tuple(self.queue), tuple(sorted(self.sent.items())), tuple(sorted(carrier.few.items())),
                                      tuple(carrier.mute), tuple(carrier.held), tuple(carrier.led)), self.wakes, self.yields,
            self.is_called,
            connection and (tuple(connection.to_relay), tuple(connection.to_run), connection.is_open),
            tuple((at_door.is_kept, at_door is connection) for at_door in self.door),
            self.named is not None, self.has_door, self.is_active, self.is_wanted, self.has_failed,
            run and (run.state, run.token, len(run.stops[-1:]), run.next_stop is None, run.ready_since is None,
                     run.reason != "", run.is_in_the_way, self.control.last,
                     self.control.connection is not None, self.control.connection is connection,
                     tuple(self.control.connection.to_run) if self.control.connection else ()),
            run and (self.engine.now, self.engine.is_asked_to_stop, self.engine.status),
            len(self.queue), self.clients, self.stops, self.kills, self.restarts, self.refusals, self.failures > 0)


def _who(client: object, since: float) -> tuple[str, float]:
    return "10.0.0.9", 0.0


def _yes() -> bool:
    return True


def _no() -> bool:
    return False


@dataclass
class Walk:
    """What a walk has seen."""

    worlds: int = 0
    relay: set[tuple[str, str]] = field(default_factory=set)  # (state, event)
    run: set[tuple[str, str]] = field(default_factory=set)


def walk(scenario: Scenario, seen: Walk | None = None) -> Walk:
    """Walk every world of a scenario.  Raises Wrong."""
    seen = Walk() if seen is None else seen
    gc.collect()
    gc.disable()  # it would look through all the worlds again and again, of which none goes
    try:
        return _walk(scenario, seen)
    finally:
        gc.enable()


def _walk(scenario: Scenario, seen: Walk) -> Walk:
    with _world(seen) as current:
        first = World(scenario)
        if not scenario.greets:
            first.has_door = False
            first.start_run()
        ways: dict[object, tuple[object, str] | None] = {first.key(): None}
        after: dict[object, list[object]] = {}
        settled = []
        todo = deque([first])
        while todo:
            world = todo.popleft()
            key = world.key()
            after[key] = []
            if not world.queue and not world.carrier.held and (
                    (world.relay is None and not world.is_called and not world.is_orphaned()) or
                    world.relay is not None and world.relay.state in (relay_states.SERVING, relay_states.PAUSED)):
                settled.append(key)
            for index, (name, _) in enumerate(world.choices()):
                other = world.clone()
                current[0] = other
                next(itertools.islice(other.choices(), index, None))[1]()
                if other.relay is not None and other.relay.deadline is not None:
                    other.relay.deadline = 90.0
                following = other.key()
                if not name.startswith(FROM_OUTSIDE):
                    after[key].append(following)
                if following not in ways:
                    ways[following] = key, name
                    try:
                        other.check()
                    except Wrong as wrong:
                        raise Wrong(f"{wrong}:\n" + "\n".join(_way(ways, following))) from None
                    todo.append(other)
        seen.worlds += len(ways)
        stuck = _stuck(after, settled)
        if stuck is not None:
            raise Wrong("neither serves nor sleeps any more, or lets a client wait for ever:\n" + "\n".join(_way(ways, stuck)))
    return seen


def _stuck(after: dict[object, list[object]], settled: list[object]) -> object | None:
    """Return a world from which none is reached, without help from outside, that serves or sleeps and lets no client wait."""
    before: dict[object, list[object]] = {}
    for key, others in after.items():
        for other in others:
            before.setdefault(other, []).append(key)
    reached, todo = set(settled), list(settled)
    while todo:
        for key in before.get(todo.pop(), ()):
            if key not in reached:
                reached.add(key)
                todo.append(key)
    return next((key for key in after if key not in reached), None)


def _way(ways: dict[object, tuple[object, str] | None], key: object) -> list[str]:
    names = []
    while (step := ways[key]) is not None:
        key, name = step
        names.append(name)
    return names[::-1]


@contextlib.contextmanager
def _world(seen: Walk) -> Iterator[list[World]]:
    """Let the lives' surroundings be those of the current world."""
    current: list[Any] = [None]

    def tell_end(failures: int) -> None:
        current[0].failures = min(failures, 2)  # how many more there were changes nothing

    def happen_in_relay(life: Any, event: str, *values: Any) -> None:
        seen.relay.add((life.state, event))
        relay_happen(life, event, *values)

    def happen_in_run(life: Any, event: str, *values: Any) -> None:
        seen.run.add((life.state, event))
        if life.state == run_states.PAUSED and event == run_states.WANTED_ANOTHER:
            life.renewing = True
        run_happen(life, event, *values)

    relay_happen, run_happen = relay_life.Life.happen, run_life.Life.happen
    with contextlib.ExitStack() as stack:
        def patch(target: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(target, name, value, create=True))

        patch(run_life.Life, "happen", happen_in_run)
        patch(run_life.Life, "renewing", False)
        patch(relay_life.Life, "happen", happen_in_relay)
        patch(time, "monotonic", lambda: 0.0)
        patch(relay_life, "begin_of_process", lambda: 0.0)
        patch(relay_life, "now", lambda: 0.0)
        patch(relay_life, "say", _ignored)
        patch(relay_life, "last_end", lambda: (current[0].failures, 1.0))
        patch(run_life, "tell_awake", _ignored)
        patch(run_life, "last_end", lambda: (current[0].failures, 0.0))
        patch(run_life, "tell_end", tell_end)
        patch(run_life, "say", _ignored)
        patch(run_life, "notify", _ignored)
        yield current
