"""run - start the container, forward its output, exit with its exit status.

Usage: run [--pause] [--log] [--require NAME]... [--network-of NAME] [--exclude NAME SECONDS]... [--metrics DIRECTORY]
           [--companion [--with-clients]] [--with-proxy] [--started] [-- ARGUMENT...]

The main process of the container service (ExecStart=).  A client is waiting: what can wait until the engine
starts the workload comes after it.  Knows the order of a start, and from where each event of a life comes; hides waiting.  What
the events mean is in run_life.py.  A workload that is not there as declared is made by `container wake`.

With --pause the workload is paused where it has no traffic, not stopped; with --log it is ready when it has written the text
of container.json; each --require names the container of another package that must be ready before, --network-of the one whose
network it has, --exclude one that must sleep, and how long that is waited for.  A --companion ends once no other service holds
it, and has no ports unless it is --with-clients, who keep it awake; with --started it is ready at once.  --with-proxy starts
the proxy where none has come, for nothing else puts the workload to sleep: one that waits for data may have ended.  What
follows -- is for waitport.
"""

import _signal  # the C part of `signal`, whose Python part takes as long to load as the interpreter itself
import os
import select
import time

from children import Told, end_child, heed_signals_no_more, make_container, restart_service, start_proxy, wait_beside
from companions import Companions
from control import Server
from declared import read_environment, specification
from engines import EngineDown, EngineError, EngineLeft, Seen, chosen
from linked import hosts
from names import WORKLOAD
from outcome import tell_begun
from process import Failure, Lock, live, say, unforeseen, usage, write_all
from required import Required
from run_life import Life
from run_options import arguments
from run_states import AWAKE, BEGUN, ENDED, GAVE_UP, IDLE, INTERRUPTED, LISTENS, PREPARING, RETURNED, STARTED, STARTING, TERM
from starts import Place
from steps import Steps
from vigil import KILLED, Vigil, end_of, goes_on
from words import FAILED

ENGINE_RETURN = 60.0  # seconds in which an engine that went away while its workloads live on may come back
ENGINE_LOOK = 0.1  # seconds until it is looked again whether it is back
SPARE_FILES = 4  # descriptors, without which a failure could not be told where no more can be opened
LONELY = 30.0  # seconds in which another service must come to hold a companion that was started
CLIENT_LOOK = 1.0  # seconds until it is looked again whether clients of a companion that no service holds have gone
PROXY_PATIENCE = 2.0  # seconds in which a proxy that waits for data finds out by itself that the workload is awake
NOWHERE = ["-"]  # the addresses of a workload to which nothing connects


class Run:
    """The process: where the events of a life come from."""

    LIFE = Life
    BEGINS_AGAIN = True  # where the engine goes away before it is ready

    def __init__(self, engine: "Engine", pauses: "bool" = False, by_log: "bool" = False, required: "Sequence[str]" = (),
                 waiting: "Sequence[str]" = (), metrics_directory: "Optional[str]" = None, is_companion: "bool" = False,
                 is_ready_at_once: "bool" = False, with_proxy: "bool" = False, network_of: "str" = "",
                 excluded: "Optional[Mapping[str, float]]" = None, has_clients: "bool" = False) -> "None":
        self.spare_files = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(SPARE_FILES)]
        self.engine = engine
        self.gateway: "Optional[Gateway]" = None
        if network_of:
            from gateway import Gateway

            self.gateway = Gateway(network_of)
        self.control = Server()
        self.steps = Steps(self.control, metrics_directory)
        self.companions = Companions()
        self.life = self.LIFE(PREPARING, engine, self.control, self.steps, pauses,
                              Required(required, self.companions, self.hear_all, excluded), self.is_declared,
                              restart_service, self.current_addresses)
        self.life.is_companion = self.is_companion = is_companion
        self.has_clients = has_clients  # of a companion: whether some connect to it
        self.is_ready_at_once = is_ready_at_once
        self.lacks_proxy = with_proxy  # as long as none has come
        self.held_until: "Optional[float]" = None  # when a companion that no service holds ends
        self.by_log = by_log
        self.waiting = waiting  # the arguments of waitport
        self.waitport: "Optional[int]" = None  # a descriptor that ends with it
        self.waitport_pid = 0
        self.limit = float(waiting[waiting.index("--timeout") + 1]) if "--timeout" in waiting else ENGINE_RETURN
        self.begun = 0.0  # when the start was begun for the first time
        self.place = Place()  # among the workloads of the host that start
        self.vigil: "Optional[Vigil]" = None
        self.was_there = False  # the engine, in this start
        self.is_to_stop = False  # systemd has asked
        self.specification = ""  # of what the administrator and the package wanted when it was started
        self.log: "Optional[LogCheck]" = None  # what looks for the text in the output
        self.signals, self.signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> "int":
        """Start the workload, stay until it ends; return its exit status.  Raises Failure, EngineError, EngineDown."""
        self.hear_all()  # the proxy waits for an answer no longer than an engine may take to start
        self.life.required.hold(wakes=False)  # systemd does
        self.await_turn()
        self.begun = time.monotonic()
        while self.life.state != ENDED:
            try:
                return self.live()
            except EngineDown as error:
                self.await_engine(error)
        return 0

    def await_turn(self) -> "None":
        """Wait while many others start."""
        if not self.place.take(self.hear_all):
            say("none of the containers that start on this host gets ready; this one is started beside them")

    def live(self) -> "int":
        """Start the workload, stay until it ends; return its exit status.  Raises EngineLeft where it is to be started again."""
        vigil, seen = self.start()
        if seen.is_running:
            self.life.addresses = self.addresses(seen)
            self.life.token = seen.life
            self.life.happen(STARTED)
            if self.is_ready_at_once or self.log is not None and self.log.seen:
                self.life.happen(LISTENS)
        while True:
            self.attend(vigil)
            if self.life.state == ENDED:
                return 0  # the workload is left as it is
            if vigil.is_dead():
                self.hear_all()
                self.refuse_loss(vigil)
                self.life.dies()  # the engine knows of it some 50 ms later
            seen = self.end_of_workload(vigil)
            if not seen.is_running or seen.life != self.life.token:
                self.hear_all()
                self.refuse_loss(vigil)
                is_taken_along = self.gateway is not None and self.gateway.is_over(self.engine)
                return self.life.ends(seen, vigil.has_left() or is_taken_along, is_taken_along)
            vigil.close()
            vigil = self.attach_again(seen)

    def refuse_loss(self, vigil: "Vigil") -> "None":
        """Raise EngineLeft where the workload ended before it was ready, because the engine has gone away."""
        if self.BEGINS_AGAIN and self.life.state == STARTING and not vigil.is_alive() and vigil.is_leaving():
            raise EngineLeft("the engine went away")

    def await_engine(self, error: "EngineDown") -> "None":
        """Wait for an engine that went away before the workload was ready; raise the error where it is not back in time."""
        is_before = self.BEGINS_AGAIN and self.life.state in (PREPARING, STARTING)
        if not is_before or not (self.was_there or isinstance(error, EngineLeft)):
            raise error
        self.life.happen(INTERRUPTED)
        self.leave()
        heed_signals_no_more()
        self.hear_signals()
        if self.is_to_stop:
            self.life.happen(TERM)
        while self.life.state != ENDED and not self.engine.answers():
            self.pause()
            if time.monotonic() > self.begun + self.limit:
                raise error
        if self.life.state != ENDED:
            self.life.required.hold(wakes=True)

    def leave(self) -> "None":
        """Leave all that was had of a start that is begun again."""
        if self.waitport is not None:
            end_child(self.waitport_pid, self.waitport)
            self.waitport = None
        if self.vigil is not None:
            self.vigil.close()
        self.vigil = None

    def start(self) -> "Tuple[Vigil, Seen]":
        if self.gateway is not None:
            self.gateway.meet(self.engine)
        with Lock():
            found = self.declared_workload()
        self.was_there = True
        if found is None:
            make_container()
        with Lock():
            if found is None:
                found = self.engine.peek(WORKLOAD)
                if found is None or not found.specification:  # somebody else's has taken the name
                    raise Failure("the container was removed while it was starting; the next connection creates it again")
            self.steps.take("told")
            if found.is_paused:
                self.life.thaw_if_paused()  # before, its output can't be had
            self.life.workload = workload = found.identity or WORKLOAD
            if self.gateway is not None:
                self.gateway.check(self.engine, workload)
            is_running = found.is_running and goes_on(self.engine, workload, self.begun + self.limit)
            presence = self.engine.presence()  # before that request: an engine that answers it has got this one too
            self.vigil = vigil = Vigil(self.engine, self.engine.output(workload, found, self.by_log), presence)
            starting = None if is_running else self.engine.begin(workload)
            self.life.happen(BEGUN)
            if self.waiting:  # it gets ready while the engine is at work
                self.waitport_pid, self.waitport = wait_beside(self.waiting, self.engine, workload)
            self.heed_signals()
            self.load()
            if starting is not None:
                starting.done()
            self.steps.take("started")
            tell_begun(workload)
            seen = self.engine.look(workload)
            if seen is None:
                raise Failure("the container was removed while it was starting; the next connection creates it again")
            if self.gateway is not None:
                self.gateway.guard(self.engine, seen)
            vigil.begins(seen)
            self.place.has_started()
            if self.log is not None and starting is None:
                self.log.look_back(self.engine.written_since_start(workload, seen))
            return vigil, seen

    def addresses(self, seen: "Seen") -> "List[str]":
        """Return the workload's addresses, without those that lead clients back to a socket unit.  Raises Failure."""
        from own_sockets import is_local, without_own

        found = NOWHERE if self.is_companion and not self.has_clients else self.engine.addresses(seen)
        if self.waiting and not self.engine.has_own_network and any(map(is_local, found)):
            import waitport

            _, _, ports, _, of_udp = waitport.arguments(self.waiting)
            return without_own(found, ports, datagrams=of_udp)
        return found

    def current_addresses(self) -> "List[str]":
        """Return the addresses that the workload has now, none where it does not run.  Raises as the engine does, and Failure."""
        seen = self.engine.look(self.life.workload)
        return self.addresses(seen) if seen is not None and seen.is_running and seen.life == self.life.token else []

    def load(self) -> "None":
        """Load, while the engine is at work, all that is needed later: an upgrade may replace the files meanwhile."""
        import own_sockets  # noqa: F401 # for addresses()
        import pools  # noqa: F401 # for run_life.py

        self.engine.load_rest()
        self.steps.load()
        if self.by_log:
            from logcheck import LogCheck

            self.log = LogCheck()

    def declared_workload(self) -> "Optional[Seen]":
        """Return what the engine knows of the workload, None where it is not the declared one."""
        self.specification = specification(read_environment(), self.reached())
        found = self.engine.peek(WORKLOAD)
        return found if found is not None and (found.specification, found.is_spoilt) == (self.specification, False) else None

    def reached(self) -> "List[str]":
        """Return what the workload is made from beside its declaration: whom it reaches by name, or whose network it has."""
        return hosts() if self.gateway is None else self.gateway.reached()

    def is_declared(self) -> "bool":
        return specification(read_environment(), self.reached()) == self.specification

    def heed_signals(self) -> "None":
        """From now on systemd's signal is an event.  Before, it ends this process, and ExecStopPost= does the rest."""
        _signal.set_wakeup_fd(self.signalled)
        _signal.signal(_signal.SIGTERM, lambda *_: None)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # waitport tells what it has found out; nobody waits for its end

    def attach_again(self, seen: "Seen") -> "Vigil":
        """Read on the output of a workload that outlived its engine, or lost its reader."""
        if seen.is_paused:
            self.life.thaw_if_paused()  # before, its output can't be had
        presence = self.engine.presence()
        output = self.engine.output(self.life.workload, seen, self.log is not None and not self.log.seen)
        self.vigil = vigil = Vigil(self.engine, output, presence)
        vigil.begins(seen)
        self.life.happen(RETURNED)
        return vigil

    def attend(self, vigil: "Vigil") -> "None":
        """Pass the output on and heed everybody else until the output ends, the workload is dead or the engine goes away."""
        poll, output = select.poll(), vigil.output
        guard = self.gateway.guarding if self.gateway is not None else None
        for descriptor in (output.fileno(), self.signals, self.waitport, vigil.end, guard):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        known: "Set[int]" = set()
        stops: "Dict[int, Pending]" = {}
        while self.life.state != ENDED:
            if output.has_more():
                self.write(output.read() or [], output)
            patience = self.see_to_time(vigil)
            for descriptor in self.control.descriptors() + self.companions.descriptors():
                if descriptor not in known:
                    poll.register(descriptor, select.POLLIN)
                    known.add(descriptor)
            for stop in self.life.stops:
                if stop.fileno() not in stops:
                    poll.register(stop.fileno(), select.POLLIN)
                    stops[stop.fileno()] = stop
            if vigil.is_silent():
                return
            for descriptor, _ in poll.poll(patience):
                if descriptor == vigil.end:
                    poll.unregister(descriptor)
                    vigil.sees_end()
                elif self.gateway is not None and descriptor == guard:
                    poll.unregister(descriptor)
                    self.gateway.end(self.engine, self.life.token)
                elif descriptor in stops:
                    poll.unregister(descriptor)
                    self.life.heed_answer(stops.pop(descriptor))
                    break  # the next one may have the same descriptor
                elif descriptor == self.waitport:
                    poll.unregister(descriptor)
                    self.waitport_has_ended()
                    break  # it has heard others, who may have nothing more to say
                elif descriptor == self.signals:
                    self.hear_signals()
                elif descriptor == output.fileno():
                    pieces = output.read()
                    if pieces is None:
                        return
                    self.write(pieces, output)
                else:
                    self.hear(descriptor)
                    if descriptor not in self.control.descriptors() + self.companions.descriptors():
                        poll.unregister(descriptor)
                        known.remove(descriptor)

    def see_to_time(self, vigil: "Vigil") -> "Optional[int]":
        """Do what is due; return after how many milliseconds something is due again, or None."""
        moments = [self.see_to_proxy(), self.steps.see_to_record(), self.companions.see_to(),
                   self.see_to_holders() if self.is_companion else None, self.life.pass_time(), vigil.pass_time(),
                   self.place.see_to(self.life.state != STARTING)]
        return min((moment for moment in moments if moment is not None), default=None)

    def see_to_proxy(self) -> "Optional[int]":
        """Start the proxy of what has none a while after it is ready: it waits for data, ends soon, or was not started."""
        if self.lacks_proxy and self.life.ready_since is not None:
            left = self.life.ready_since + PROXY_PATIENCE - time.monotonic()
            if left > 0 and not self.control.has_proxy():
                return int(1000 * left) + 1
            self.lacks_proxy = False
            if not self.control.has_proxy():
                start_proxy()
        return None

    def see_to_holders(self) -> "Optional[int]":
        """Let a companion sleep that no service holds any more, or that none has come to hold."""
        if self.control.holders:
            self.held_until = 0.0
        elif self.life.state == AWAKE:
            if self.held_until is None:
                self.held_until = time.monotonic() + LONELY
            if self.held_until > time.monotonic():
                return int(1000 * (self.held_until - time.monotonic())) + 1
            if self.has_clients:
                self.held_until = time.monotonic() + CLIENT_LOOK
                self.life.give_way()  # where none of them is connected
                return int(1000 * CLIENT_LOOK) + 1
            self.life.happen(IDLE)
        return None

    def pause(self) -> "None":
        """Wait a moment, in which systemd's signal is heard."""
        poll = select.poll()
        poll.register(self.signals, select.POLLIN)
        if poll.poll(ENGINE_LOOK * 1000):
            self.hear_signals()

    def hear_signals(self) -> "None":
        try:
            os.read(self.signals, 64)
        except BlockingIOError:
            return
        self.is_to_stop = True
        if not self.life.token or self.engine.is_alive(self.life.token):  # else it has ended by itself, which is told in a moment
            self.life.happen(TERM)

    def waitport_has_ended(self) -> "None":
        """Find the start failed where waitport has ended and told nothing, while the workload runs: it was killed."""
        assert self.waitport is not None
        os.close(self.waitport)
        self.waitport = None
        self.hear_all()
        if self.life.state == STARTING and self.life.token and self.engine.is_alive(self.life.token):
            self.life.happen(GAVE_UP, "the readiness check (waitport) was killed before the container was ready")

    def write(self, pieces: "Sequence[Tuple[int, bytes]]", output: "Output") -> "None":
        for descriptor, data in pieces:
            if not output.is_in_journal:
                write_all(descriptor, data)
            self.life.keep(data)
            if self.log is not None and not self.log.seen and self.log.feed(descriptor, data):
                output.suffices()
                if self.life.address:
                    self.life.happen(LISTENS)

    def hear(self, descriptor: "int") -> "None":
        if descriptor in self.companions.held:
            self.companions.hear(descriptor)
            return
        packet = self.control.heard(descriptor)
        if packet:
            self.life.hear(packet, descriptor)

    def hear_all(self) -> "None":
        """Hear what was said until now."""
        found = self.control.spoken()
        while found:
            for descriptor in found:
                self.hear(descriptor)
            found = self.control.spoken()

    def end_of_workload(self, vigil: "Vigil") -> "Seen":
        """Return what is known of the workload once it has ended, or while it lives on under an engine that came back.

        The output ends a moment before the engine knows of the exit, which it is asked to await.  Some engines keep their
        workloads alive over a restart: then the engine is awaited.
        """
        deadline = time.monotonic() + ENGINE_RETURN
        while True:
            try:
                seen = end_of(self.engine, self.life.workload)
            except EngineDown as error:
                self.refuse_loss(vigil)
                if time.monotonic() > deadline:
                    raise Failure("the {} engine went away and did not come back within {:g} s: {}".format(
                        self.engine.title, ENGINE_RETURN, error)) from None
                self.pause()
                continue
            if seen is None:
                reason = "the container was removed while it ran; the next connection creates it again"
                if self.life.ready_since is None:
                    raise Failure(reason)
                say(reason)
                return Seen(False, False, "", status=KILLED)
            return seen

    def fail(self, error: "Exception") -> "int":
        """Whatever it was that could not be done is a failed start; return the exit status of the service."""
        while self.spare_files:
            os.close(self.spare_files.pop())
        if isinstance(error, EngineDown):
            reason = str(error) + chosen.remedy(self.engine)
        else:
            reason = str(error) if isinstance(error, (Failure, EngineError)) else unforeseen(error)
        try:
            self.life.breaks(reason, isinstance(error, Told))
        except Exception as another:  # it can't even be counted
            say(unforeseen(another))
            self.control.tell("{} 1".format(FAILED))
        return 1

    def end(self) -> "None":
        """Tell the journal how it went."""
        self.hear_all()
        self.steps.end(self.life.reason, self.life.failures)


def main(argv: "Sequence[str]", engine: "Engine") -> "int":
    try:
        options = arguments(argv)
    except (IndexError, ValueError):
        return usage(__doc__)
    return live(lambda: Run(engine, *options))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Mapping, Optional, Sequence, Set, Tuple

    from engines import Engine, Output, Pending
    from gateway import Gateway
    from logcheck import LogCheck
