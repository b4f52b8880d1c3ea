"""What an engine answers: the one interface by which the helpers know a workload.

Knows the questions, in the words of a service and its workload; hides which engine runs it.  One module beside this one is an
engine; chosen.py knows which of them has the workload.

The workload has a name.  A ``life`` is the engine's token of one run of it, without spaces: only the engine knows what it means.
"""


class EngineError(Exception):
    """The engine refused what it was asked; the text is its own message."""


class EngineDown(Exception):
    """The engine does not answer, or went away in the middle of an answer; the text says so and what to do."""


class EngineLeft(EngineDown):
    """The engine was there, and went away before it had answered."""


class Seen:
    """What an engine knew of a workload at one moment."""

    def __init__(self, is_running: "bool", is_paused: "bool", specification: "str", life: "str" = "", started: "float" = 0.0,
                 status: "int" = 0, out_of_memory: "bool" = False, volumes: "Sequence[Tuple[str, str]]" = (),
                 known: "Any" = None, identity: "str" = "", is_spoilt: "bool" = False) -> "None":
        self.is_running = is_running  # paused or not
        self.is_paused = is_paused
        self.specification = specification  # the digest of what it was made from
        self.life = life  # "" where it does not run
        self.started = started  # seconds since 1970; 0 where it never was
        self.status = status  # of its exit
        self.out_of_memory = out_of_memory
        self.volumes = volumes  # (name, path inside) of the volumes that the engine has named by itself
        self.known = known  # the engine's own
        self.identity = identity  # what it is called for ever; its name may be given to another one
        self.is_spoilt = is_spoilt  # it can't be started any more: the engine made or removed only a part of it


class Pending:
    """A request that the engine is at work on."""

    def fileno(self) -> "int":
        """Return a descriptor that becomes readable when there is an answer, or when none will come."""
        raise NotImplementedError

    def done(self) -> "None":
        """Wait for the answer.  Raises EngineError and EngineDown."""
        raise NotImplementedError


class Presence:
    """A connection that is open as long as the engine is there."""

    def has_left(self) -> "bool":
        """Return whether the engine has ended since, without waiting for anything."""
        raise NotImplementedError

    def close(self) -> "None":
        raise NotImplementedError


class Output:
    """What a workload writes from now on."""

    is_in_journal = False  # whether it comes into the journal without anybody's help

    def begins(self, seen: "Seen") -> "None":
        """Be told what is known of the workload once it runs."""

    def suffices(self) -> "None":
        """Be told that nobody needs to read it any more: from now on only its end is awaited."""

    def fileno(self) -> "int":
        """Return a descriptor that becomes readable when there is more."""
        raise NotImplementedError

    def read(self) -> "Optional[List[Tuple[int, bytes]]]":
        """Return pieces as (1 for stdout or 2 for stderr, bytes), None at the end.  The end of the engine is an end too."""
        raise NotImplementedError

    def has_more(self) -> "bool":
        """Return whether there is something to read although the descriptor does not say so."""
        raise NotImplementedError

    def close(self) -> "None":
        raise NotImplementedError


class Command:
    """A command that runs inside a workload; its output is an Output."""

    output: "Output"

    def status(self) -> "Optional[int]":
        """Return the exit status, None while it runs.  Raises EngineError and EngineDown."""
        raise NotImplementedError

    def kill(self) -> "None":
        """End it.  Raises EngineError and EngineDown."""
        raise NotImplementedError


class Engine:
    """One engine of this host.  Every call may raise EngineDown, and EngineError where nothing else is said.

    What a call has opened it closes, or returns: waitport asks in a copy of the process, of which nothing else is left open.
    """

    word = ""  # by which it is noted
    title = ""  # what people call it
    kind = "container"  # of workload, in what is said of it
    place = ""  # where it answers
    makes = True  # workloads; else they are there already, and stay when the package goes
    has_own_network = False  # of which the helpers are a part: no socket unit listens at the workload's addresses
    has_replicas = False  # the workload is one of many hosts, changes in its place, and listens at several addresses
    insists = False  # an administrator has asked for the declared workload, whatever other hosts have
    successor = ""  # the word of the engine that the package is declared for, where that is another one

    def load_rest(self) -> "None":
        """Load the modules that later answers need, while the engine is at work on the first."""

    def bound(self, patience: "float") -> "None":
        """From now on, take the engine for down where it does not answer what is asked of it within ``patience`` seconds.

        Before, whoever starts this process bounds the wait, as systemd does at a wake.
        """
        raise NotImplementedError

    def answers(self) -> "bool":
        """Return whether the engine is there, within 10 seconds."""
        raise NotImplementedError

    def look(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Seen]":
        """Return what is known of a workload, None where there is none.

        An engine that does not answer within ``patience`` seconds is down.
        """
        raise NotImplementedError

    def peek(self, name: "str") -> "Optional[Seen]":
        """Return the same in the least time: whether it runs or is paused, and its specification, nothing else."""
        raise NotImplementedError

    def begin(self, name: "str") -> "Pending":
        """Have a workload started that does not run; return at once."""
        raise NotImplementedError

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        """Return the output from now on, of one that is about to start or that runs and is not paused.

        ``reads`` tells whether somebody needs it.  Where nobody does, one that comes into the journal by itself has an end
        alone.
        """
        raise NotImplementedError

    def last_words(self, name: "str") -> "bytes":
        """Return what a workload has written last, where ``output`` does not tell that."""
        return b""

    def begin_stop(self, name: "str") -> "Pending":
        """Have a workload stopped in the time that it was given for that; return at once."""
        raise NotImplementedError

    def stop(self, name: "str") -> "None":
        """Stop a workload, paused or not; one that is not there or does not run is fine."""
        raise NotImplementedError

    def stop_rest(self, name: "str") -> "None":
        """Stop what was started with a workload that has ended."""

    def freeze(self, name: "str") -> "None":
        """Pause a workload, in a time that has a bound."""
        raise NotImplementedError

    def thaw(self, name: "str") -> "None":
        """Let a paused workload go on, in a time that has a bound."""
        raise NotImplementedError

    def forget_end(self, name: "str") -> "None":
        """Forget how a workload has ended, which was told."""

    def await_end(self, name: "str", patience: "float") -> "None":
        """Wait until the engine knows how a workload that is no longer alive has ended, for so many seconds at most."""
        raise NotImplementedError

    def presence(self) -> "Optional[Presence]":
        """Return that of the engine from now on; None where workloads do not end with their engine."""
        return None

    def descriptor_of_end(self, life: "str") -> "Optional[int]":
        """Return a new descriptor that becomes readable when that run of a workload is over, None where the kernel has none."""
        return None

    def is_alive(self, life: "str") -> "bool":
        """Return whether that run of a workload goes on; asks no more than the kernel where it can."""
        raise NotImplementedError

    def process(self, life: "str") -> "Optional[int]":
        """Return a process of this host in that run of a workload; None where there is none, or the engine does not tell."""
        return None

    def ran_out_of_memory(self, seen: "Seen") -> "bool":
        """Return whether a workload that was killed was so because its memory was at its limit, for what is heard of it late."""
        return seen.out_of_memory

    def is_left(self) -> "bool":
        """Return whether the workload stays as it is though its service ends: a package that has adopted it is being removed."""
        return False

    def is_used(self, life: "str") -> "bool":
        """Return whether clients are connected that did not come through the proxy."""
        return False

    def addresses(self, seen: "Seen") -> "List[str]":
        """Return the addresses at which the host reaches a workload: one, or an IPv4 and an IPv6 one.  Raises Failure."""
        raise NotImplementedError

    def joined(self, seen: "Seen") -> "str":
        """Return what the workload is called for ever whose network this one has, nothing where it has one of its own."""
        return ""

    def run_inside(self, name: "str", argv: "Sequence[str]") -> "Command":
        """Start a command inside a workload."""
        raise NotImplementedError

    def own_check(self, name: "str") -> "Optional[Tuple[List[str], float]]":
        """Return the health check that the image declares: its command and how many seconds it may take (0: not said)."""
        raise NotImplementedError

    def written_since_start(self, name: "str", seen: "Seen") -> "Iterable[Tuple[int, bytes]]":
        """Return what a running workload has written since its start, so far as the engine keeps it."""
        raise NotImplementedError

    def has_image(self, image: "str") -> "bool":
        raise NotImplementedError

    def load(self, archive: "str") -> "None":
        """Load an image from an archive.  Raises Failure."""
        raise NotImplementedError

    def make(self, name: "str", wanted: "Wanted") -> "None":
        """Make a workload that does not run.  Raises Failure."""
        raise NotImplementedError

    def advice_on_volumes(self, volumes: "Sequence[str]", workloads: "Sequence[str]", anonymous: "Sequence[str]") -> "str":
        """Return what an administrator should know of declared volumes that exist, and the commands for it; "" for nothing.

        ``workloads`` are those that have them, ``anonymous`` the anonymous volumes of these.
        """
        return ""

    def commands_to_move(self, volumes: "Sequence[str]", workloads: "Sequence[str]") -> "List[str]":
        """Return the commands that take declared volumes and the workloads that have them away from it; none where it can't be.

        Afterwards another engine finds the data where it makes volumes of these names.
        """
        return []

    def joins(self, name: "str") -> "None":
        """Note that this host has the package, where hosts share a workload."""

    def advice(self) -> "str":
        """Return what an administrator should know of a workload that is there already; "" for nothing."""
        return ""

    def rename(self, old: "str", new: "str") -> "None":
        raise NotImplementedError

    def remove(self, name: "str") -> "None":
        """Remove a workload, running or not; its volumes stay.  One that is not there is fine."""
        raise NotImplementedError

    def clear(self, names: "Sequence[str]") -> "None":
        """Remove what is left of work on workloads of these names that was broken off."""

    def pull_by_hand(self, image: "str") -> "str":
        """Return the command by which an administrator gets an image."""
        raise NotImplementedError

    def rename_by_hand(self, old: "str", new: "str") -> "str":
        """Return the command by which an administrator renames a workload."""
        raise NotImplementedError

    def remove_by_hand(self, names: "Sequence[str]") -> "str":
        """Return the command by which an administrator removes workloads."""
        raise NotImplementedError

    def remove_volumes_by_hand(self, names: "Sequence[str]") -> "str":
        """Return the command by which an administrator deletes volumes."""
        raise NotImplementedError


class Wanted:
    """What a workload is made from."""

    def __init__(self, image: "str", is_carried: "bool", options: "Sequence[str]", volumes: "Sequence[str]",
                 kept_volumes: "Sequence[Tuple[str, str]]", environment: "Mapping[str, str]",
                 secret_environment: "Mapping[str, str]", command: "Sequence[str]", specification: "str",
                 log_limit: "Optional[int]" = None) -> "None":
        self.image = image
        self.is_carried = is_carried  # no registry has it under this name, or a stranger has
        self.options = options
        self.volumes = volumes  # declared, as this engine writes them
        self.kept_volumes = kept_volumes  # as Seen has them, of what it replaces; where one is declared, that is used
        self.environment = environment
        self.secret_environment = secret_environment  # kept out of what other users of the host can see
        self.command = command
        self.specification = specification
        self.log_limit = log_limit  # bytes of output that the engine keeps, where it can bound them; None without a limit


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple
