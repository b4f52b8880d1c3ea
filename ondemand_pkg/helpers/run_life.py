"""One life of the workload: what `run` does at each event, and whom it tells.

Knows the actions of run_states.py, and which event a helper's words are; hides the engine's answers.  Sleeps nowhere and reads no
socket: run.py brings the events.
"""

import time

import words
from engines import EngineDown, EngineError
from names import WORKLOAD
from outcome import last_end, tell_awake, tell_end
from process import Failure, notify, say
from run_states import (
    AWAKE,
    BROKE,
    CANT_FREEZE,
    DIED,
    FAILED,
    FROZE,
    GAVE_UP,
    GONE,
    GONE_SOON,
    IDLE,
    IDLE_BUT_HELD,
    IDLE_TO_PAUSE,
    LISTENS,
    PAUSED,
    REFUSED,
    SOUGHT,
    STARTING,
    STOPPING,
    TABLE,
    THAWED,
    WANTED,
    WANTED_ANOTHER,
    YIELDED,
)
from states import Machine

KILLED = 128 + 9
BY_SIGNAL = (KILLED, 128 + 15)  # the statuses of what was killed or stopped from outside
STOP_RETRY = 1.0  # seconds after which an engine that does not stop a workload is asked again
STEADY = 10.0  # seconds after which a workload that ends is not one that failed to start
EXITED_EARLY = "the {} exited{} before it was ready; {}"
LAST_WORDS = 400  # bytes of the output that are quoted in the message of a failure


class Life(Machine):
    """From before the start of a workload to its end.

    ``required`` has hold(wakes) and release(); ``is_declared`` returns whether the workload is still what is declared;
    ``restart`` has systemd start the service again; ``current_addresses`` asks the engine for the workload's addresses.
    """

    TABLE = TABLE

    def __init__(self, state: "str", engine: "Engine", control: "Server", steps: "Steps", pauses: "bool", required: "Required",
                 is_declared: "Callable[[], bool]", restart: "Callable[[], None]",
                 current_addresses: "Callable[[], List[str]]") -> "None":
        super().__init__(state)
        self.engine = engine
        self.control = control
        self.steps = steps
        self.pauses = pauses
        self.required = required
        self.is_declared = is_declared
        self.restart = restart
        self.is_companion = False  # its services want it for as long as they are awake: it never ends on purpose
        self.workload = WORKLOAD  # by its name, and from its start on by what it is called for ever
        self.is_in_the_way = False  # another service wanted its place: it is stopped where it would be paused
        self.current_addresses = current_addresses
        self.addresses: "List[str]" = []
        self.address = ""  # of these, the one at which it listens
        self.token = ""  # the engine's, of this life
        self.ready_since: "Optional[float]" = None
        self.stops: "List[Pending]" = []  # what the engine was asked for; it goes on with it as long as somebody listens
        self.next_stop: "Optional[float]" = None  # when it is asked again, which it is where it has refused
        self.refusal = ""  # its last, of those that were told
        self.last_words = b""
        self.reason = ""  # of a failure
        self.failures = 0  # starts in a row, this one too

    # Events

    def hear(self, packet: "str", descriptor: "int") -> "None":
        """Heed what a helper said at a descriptor of the control socket."""
        word, about = words.parted(packet)
        if word in (words.CLIENT, words.ANSWERED, words.NUMBERS):
            self.steps.heard(word, about)
        elif word == words.LISTENS and self.state == STARTING and self.address:
            self.address = about or self.address
            self.happen(LISTENS)
        elif word == words.MOVED and self.state == AWAKE and about:
            self.lead_elsewhere(about)
        elif word == words.FAILED:
            self.happen(GAVE_UP, about)
        elif word in (words.WAKE, words.HOLD) and self.state == PAUSED:
            self.happen(WANTED if self.is_declared() else WANTED_ANOTHER)
        elif word == words.WHERE:
            self.happen(SOUGHT)
        elif word == words.PASSES and self.state == AWAKE:
            self.let_pass(descriptor, about)
        elif word == words.IDLE and self.state == AWAKE:
            pauses = self.pauses and not self.is_in_the_way
            self.happen(IDLE_BUT_HELD if self.is_held() else IDLE_TO_PAUSE if pauses else IDLE, descriptor)
        elif word == words.YIELD and self.state in (AWAKE, PAUSED):
            self.give_way()

    def give_way(self) -> "None":
        """Another service, which can't be awake at the same time, wants to: sleep, stopped, where nobody uses this one."""
        self.is_in_the_way = True
        if self.state == AWAKE and self.control.has_proxy():
            self.control.tell(words.YIELD, self.control.last)  # it knows the clients, and asks for sleep as ever
        elif self.state == PAUSED or not self.is_held():
            self.happen(YIELDED)

    def dies(self) -> "None":
        """The workload is no longer alive; the engine may not know of it yet."""
        self.happen(DIED)

    def ends(self, seen: "Seen", with_engine: "bool" = False, with_gateway: "bool" = False) -> "int":
        """The engine reports how the workload has ended; return the exit status of the service.

        The engine may have taken it along, or the container whose network it has.
        """
        was_asked = self.state in (STOPPING, FAILED)
        if seen.status == KILLED and not was_asked:
            seen.out_of_memory = self.engine.ran_out_of_memory(seen)
        failed = self.state == FAILED
        never_ready = self.ready_since is None
        steady = self.ready_since is not None and time.monotonic() - self.ready_since >= STEADY
        # Somebody who restarts, kills or removes what was ready wants it to go on, or to be woken again.
        by_hand = with_engine or seen.is_running or (seen.status in BY_SIGNAL and not seen.out_of_memory)
        is_wanted = (not self.is_companion or with_gateway) and (seen.status == 0 or by_hand) and not never_ready
        self.happen(GONE if steady or is_wanted else GONE_SOON, seen)
        if was_asked:
            return 1 if failed else 0
        return seen.status or (1 if never_ready else 0)

    def heed_answer(self, stop: "Pending") -> "None":
        """The engine has answered what it was asked for, or has gone away over it."""
        self.stops.remove(stop)
        try:
            stop.done()
        except (EngineDown, EngineError) as error:
            self.happen(REFUSED, str(error))

    def pass_time(self) -> "Optional[int]":
        """See to what time alone brings; return after how many milliseconds to come back, or None."""
        if self.next_stop is None:
            return None
        if time.monotonic() >= self.next_stop:
            self.stop_again()
        return None if self.next_stop is None else max(0, int(1000 * (self.next_stop - time.monotonic()))) + 1

    def breaks(self, reason: "str", is_told: "bool") -> "None":
        """The life can't go on; ``is_told`` where another helper has reported the reason."""
        if not is_told:
            say(reason)
        self.reason = self.reason or reason  # what came of an earlier one is not the reason
        self.happen(BROKE)

    # Actions

    def begin_again(self) -> "None":
        """Go back to before the start: clients stay held for the one to come."""
        say("the engine went away while the {} was starting; it is started again once the engine is back".format(
            self.engine.kind))
        self.workload, self.addresses, self.address, self.token = WORKLOAD, [], "", ""
        self.control.last = ""  # what was said of the workload holds no more

    def tell_started(self) -> "None":
        self.address = self.addresses[0]
        self.control.tell("{} {} {}".format(words.STARTED, ",".join(self.addresses), self.token))

    def tell_ready(self) -> "None":
        self.control.tell("{} {}".format(words.READY, self.address))
        if self.ready_since is None:
            self.ready_since = time.monotonic()
            notify("READY=1")
            tell_awake()
        self.steps.take("ready")

    def is_held(self) -> "bool":
        """Return whether another service needs this one, or others use it, though the proxy has no traffic."""
        if self.control.holders:
            return True
        import pools  # run.py loaded it

        try:
            is_used = pools.is_held(self.engine) or self.engine.is_used(self.token)
        except (EngineDown, EngineError):
            is_used = False
        return is_used or self.close_passing(words.IDLE, *([words.PAUSED] if self.pauses else []))

    def stay_awake(self, descriptor: "int") -> "None":
        self.control.answer(descriptor, "{} {}".format(words.READY, self.address))

    def find(self) -> "None":
        """Lead clients to another address where it has another one: it may have been put into another network."""
        try:
            found = self.current_addresses()
        except (EngineDown, EngineError, Failure):
            return  # it has none now; it is sought again as long as clients come
        if found and self.address not in found:
            self.addresses, self.address = found, found[0]
            say("the {} has another address now: {}".format(self.engine.kind, self.address))
            self.control.tell("{} {}".format(words.MOVED, self.address), "{} {}".format(words.READY, self.address))

    def lead_elsewhere(self, address: "str") -> "None":
        """Lead clients to other tasks."""
        self.address = address
        self.control.tell("{} {}".format(words.MOVED, address), "{} {}".format(words.READY, address))

    def let_pass(self, descriptor: "int", ports: "str") -> "None":
        """Allow that clients are led to the workload past the relay: from now on that is ended before it is stopped or paused."""
        import passing  # only who declares it pays for it

        self.control.passing.add(descriptor)
        self.control.answer(descriptor, "{} {}".format(words.MAY, passing.reachable(self.addresses, self.address, ports)))

    def close_passing(self, *why: "str") -> "bool":
        """Wait until nobody passes the relay by; return whether somebody has come meanwhile, where it is because of idleness."""
        if not self.control.passing:
            return False
        import passing

        return passing.close(self.control, *why)

    def freeze(self, _: "int") -> "None":
        try:
            self.engine.freeze(self.workload)
        except (EngineDown, EngineError) as error:
            say("the {} can't be paused ({}); it is stopped instead".format(self.engine.kind, error))
            self.happen(CANT_FREEZE)
        else:
            self.happen(FROZE)

    def freeze_again(self) -> "None":
        self.engine.freeze(self.workload)

    def tell_paused(self) -> "None":
        self.required.release()
        self.steps.sleep()
        notify("STATUS=paused")
        self.control.tell(words.PAUSED)

    def thaw(self) -> "None":
        """Let it go on: it was ready, so nothing but what it requires is awaited.  Raises Failure."""
        self.ready_since = None
        self.steps.take("begun")
        self.required.hold(wakes=True)
        self.steps.take("told")
        self.thaw_if_paused()
        self.steps.take("started")
        self.happen(THAWED)
        notify("STATUS=")

    def thaw_if_paused(self) -> "None":
        try:
            self.engine.thaw(self.workload)
        except EngineError:
            pass  # it was thawed by hand, or has ended, which is reported in a moment

    def renew(self) -> "None":
        self.control.tell(words.RENEWING)
        self.thaw_if_paused()  # as before every stop
        self.restart()

    def stop(self, *_: "int") -> "None":
        self.control.tell(words.STOPPING)  # a proxy that comes while it stops waits for the next start
        self.close_passing()
        self.stop_again()

    def sleep(self, *_: "int") -> "None":
        """Stop it because it has no traffic."""
        self.control.tell(words.STOPPING)
        self.close_passing()
        try:
            self.steps.measure(self.engine.process(self.token))
        except ValueError:
            pass  # it has no process
        self.stop_again()

    def thaw_and_stop(self) -> "None":
        self.control.tell(words.STOPPING)
        try:
            self.thaw_if_paused()  # frozen, it may take the signal to stop wrong
        except EngineDown:
            pass
        self.stop_again()

    def stop_again(self) -> "None":
        self.next_stop = None
        if self.engine.is_left():
            self.happen(GONE_SOON)
            return
        try:
            self.stops.append(self.engine.begin_stop(self.workload))
        except EngineDown as error:
            self.stop_later(str(error))

    def stop_later(self, refusal: "str") -> "None":
        """Ask again in a while; meanwhile the workload may end all the same."""
        self.next_stop = time.monotonic() + STOP_RETRY
        if refusal != self.refusal:
            self.refusal = refusal
            say("the {} can't be stopped yet ({}); the engine is asked again".format(self.engine.kind, refusal))

    def give_up(self, reason: "str") -> "None":
        self.blame("{}; {}".format(reason, self.quoted_last_words()))
        self.fail()  # its clients need not wait until it is stopped
        self.stop_again()

    def tell_exit(self) -> "None":
        self.blame(EXITED_EARLY.format(self.engine.kind, "", self.quoted_last_words()))
        self.fail()

    def fail_by_exit(self, seen: "Seen") -> "None":
        self.tell_exit()
        self.name_exit(seen)

    def name_exit(self, seen: "Seen") -> "None":
        self.reason = EXITED_EARLY.format(self.engine.kind, " with status {}".format(seen.status), self.quoted_last_words())
        self.name_memory(seen)

    def fail_by_end(self, seen: "Seen") -> "None":
        self.reason = "the {} exited with status {} soon after it was ready".format(self.engine.kind, seen.status)
        self.name_memory(seen)
        self.fail()

    def name_memory(self, seen: "Seen") -> "None":
        if seen.out_of_memory:
            self.blame("the {} ran out of memory and was killed; raise {}".format(
                self.engine.kind, "'memory'" if self.engine.makes else "its limit"))

    def end_awake(self, seen: "Seen") -> "None":
        self.name_memory(seen)
        tell_end(0)

    def finish(self, _: "Optional[Seen]" = None) -> "None":
        """It has ended, and that is no failure."""
        tell_end(0)

    def break_off(self) -> "None":
        """A life that could not go on: a failed start, unless it was steady."""
        if self.ready_since is not None and time.monotonic() - self.ready_since >= STEADY:
            tell_end(0)
        else:
            self.fail()

    def fail(self) -> "None":
        """Count a failed start, and have the proxy reject its clients."""
        self.failures = last_end()[0] + 1
        tell_end(self.failures)
        self.control.tell("{} {}".format(words.FAILED, self.failures))

    def blame(self, reason: "str") -> "None":
        self.reason = reason
        say(reason)

    def keep(self, data: "bytes") -> "None":
        """Remember the end of the output."""
        self.last_words = (self.last_words + data)[-LAST_WORDS:]

    def quoted_last_words(self) -> "str":
        written = self.last_words or self.engine.last_words(self.workload)[-LAST_WORDS:]
        text = " ".join(written.decode("utf-8", "replace").split())
        return 'last output: "{}"'.format(text) if text else "no output"



TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional

    from control import Server
    from engines import Engine, Pending, Seen
    from required import Required
    from steps import Steps
