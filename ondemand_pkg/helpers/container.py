"""container - create, stop or remove the container of this package.

Usage: container create|renew|wake|stop|leave|remove

  create  create the container unless it exists as declared (for maintainer scripts)
  renew   the same, and change a service that other hosts share whatever version of the package they have
  wake    the same while a client waits (for run, which then starts it)
  stop    stop it if it is still running (for ExecStopPost=)
  leave   from now on stop it no more, if it is not this package's (for maintainer scripts, before a removal)
  remove  remove it; its image and volumes are kept (for maintainer scripts)

Knows what the package declares of its container (container.json beside this file), what the administrator adds in
/etc/ondemand/NAME.env, and how one container replaces another so that one of them exists at any moment; hides that
from units and scripts.  A container without the label of a specification is somebody else's, whatever it is called.

Exit status of create: 0 the container exists, or the first wake creates it (stderr says so); 10 a new container waits
until the running one is stopped.  Of wake: 75 the engine went away meanwhile, and the start is worth another attempt.
"""

import json
import os
import shutil

from declared import keep_from_everybody, read_environment, refuse_other_encodings, specification
from engines import EngineDown, EngineError, Wanted, chosen
from linked import clashes, hosts
from names import DECLARATION, DOOR, DOORS, KERNEL_DOOR, LEAVE, LOCKS, PACKAGE, STATE, UNITS, WORKLOAD
from outcome import begun, tell_over
from process import ENGINE_LEFT, Failure, Lock, remove_lock, say, show, usage

WAITS_FOR_STOP = 10
SCRIPT_PATIENCE = 120.0  # seconds within which the engine must answer a maintainer script, which nobody else bounds
STOP_PATIENCE = 10.0  # seconds within which the engine must say whether there is anything to stop


class Declaration:
    """What this package declares of its workload, with the administrator's environment on top."""

    def __init__(self) -> "None":
        with open(DECLARATION, "rb") as stream:
            declared = json.loads(stream.read().decode("utf-8"))
        self.name: "str" = declared["container"]
        self.image: "str" = declared["image"]
        self.archive: "Optional[str]" = declared.get("archive")  # of the image, where the package carries it
        self.options: "List[str]" = declared["options"]
        self.volumes: "List[str]" = declared["volumes"]
        self.command: "List[str]" = declared["command"]
        self.declared_env: "Dict[str, str]" = declared["env"]
        self.required: "List[str]" = declared.get("requires", [])
        self.log_limit: "Optional[int]" = declared.get("log_limit")  # bytes
        self.added_env = read_environment()
        self.network_of: "str" = declared.get("network_of", "")
        self.hosts = [] if self.network_of else hosts()
        self.network: "List[str]" = []  # the option that names the network of another container
        self.spec = specification(self.added_env, self.hosts)

    def join(self, engine: "Engine") -> "None":
        """Find the container whose network it has, where that is one of another's.  Raises Failure."""
        if self.network_of:
            from gateway import Gateway

            gateway = Gateway(self.network_of)
            gateway.find(engine)
            self.network = ["--network=" + one for one in gateway.reached()]
            self.spec = specification(self.added_env, gateway.reached())

    def wanted(self, replaced: "Optional[Seen]") -> "Wanted":
        """Return what the workload is made from; the administrator's values replace the declared ones.

        The data in anonymous volumes of the one that it replaces goes on in the new one.
        """
        options = self.options + self.network + ["--add-host=" + host for host in self.hosts]
        return Wanted(self.image, bool(self.archive), options, self.volumes, replaced.volumes if replaced else (),
                      {key: value for key, value in self.declared_env.items() if key not in self.added_env}, self.added_env,
                      self.command, self.spec, self.log_limit)


class Foreign(Failure):
    """Somebody else's workload has a name that this package needs."""

    def __init__(self, engine: "Engine", name: "str") -> "None":
        command = engine.rename_by_hand(name, "NEW-NAME")
        renaming = "rename it with '{}', or ".format(command) if command else ""
        super().__init__("the {} {} was not made by this package (it has no label ondemand.spec) and is left alone; "
                         "{}remove it".format("service" if engine.has_replicas else "container", name, renaming))


class Container:
    """The workload of a declaration at one engine."""

    def __init__(self, engine: "Engine", declaration: "Declaration") -> "None":
        self.engine = engine
        self.declaration = declaration
        self.name = declaration.name
        self.next = self.name + ".next"
        self.previous = self.name + ".previous"

    def look(self, name: "str") -> "Optional[Seen]":
        """Return what is known of a workload of this package, None where there is none; raise Foreign for somebody else's."""
        seen = self.engine.look(name)
        if seen is not None and not seen.specification:
            raise Foreign(self.engine, name)
        return seen

    def living(self, name: "str") -> "Optional[Seen]":
        """Return the same, None where it can't be started any more, which is removed then; its volumes stay."""
        seen = self.look(name)
        if seen is None or not seen.is_spoilt:
            return seen
        self.engine.remove(name)
        return None

    def is_declared(self, seen: "Optional[Seen]") -> "bool":
        return seen is not None and seen.specification == self.declaration.spec

    def ensure(self, may_stop: "bool") -> "bool":
        """Make the workload be there as declared; return False where that waits for a stop.

        The new one is made before the old one is touched, so that a failure leaves the old one serving; the old one
        is kept under the name NAME.previous until the next replacement, and is the new one where the declaration goes
        back to it.  Killed at any point, the next call goes on from there.  ``may_stop`` tells whether a running one
        may be stopped for it.
        """
        current = self.living(self.name)
        if self.is_declared(current):
            return True
        if self.engine.has_replicas:
            if current is None or not may_stop:  # a wake changes nothing of what other hosts have made
                self.make(self.name, current)
            return True
        previous = self.living(self.previous)
        if not self.is_declared(self.living(self.next)):
            self.drop_next()
            previous = self.look(self.previous)
            if self.is_declared(previous):
                self.engine.rename(self.previous, self.next)
            else:
                self.make(self.next, current or previous)
        if current is not None:
            if current.is_running:
                if not may_stop:
                    return False
                self.engine.stop(self.name)
            self.engine.remove(self.previous)
            self.engine.rename(self.name, self.previous)
        self.engine.rename(self.next, self.name)
        return True

    def ensure_for_client(self) -> "None":
        """Make the workload be there while a client waits: what would take minutes is not begun where there is one."""
        current = self.living(self.name)
        if current is None:
            self.ensure(may_stop=True)
            return
        try:
            if not (self.is_declared(current) or self.declaration.archive or self.engine.has_image(self.declaration.image)):
                raise Failure("the image {} is not on this host; run '{}'".format(
                    self.declaration.image, self.engine.pull_by_hand(self.declaration.image)))
            self.ensure(may_stop=True)
        except (Failure, EngineError) as error:
            if self.engine.look(self.name) is None:
                raise
            say("{}; starting the previous container instead; the next wake tries again".format(error))

    def make(self, name: "str", current: "Optional[Seen]") -> "None":
        declaration = self.declaration
        refuse_other_encodings(declaration.added_env)
        if declaration.archive and not self.engine.has_image(declaration.image):
            self.engine.load(declaration.archive)
        self.engine.make(name, declaration.wanted(current))

    def tell_of_volumes(self) -> "None":
        """Tell the administrator of declared volumes that were there before and need a decision."""
        if self.declaration.volumes:
            seen = {name: self.look(name) for name in (self.name, self.previous)}
            advice = self.engine.advice_on_volumes(
                self.declaration.volumes, [name for name in seen if seen[name] is not None],
                [volume for found in seen.values() if found is not None for volume, _ in found.volumes])
            if advice:
                first, *commands = advice.split("\n")
                say(first)
                show(commands)

    def tell_of_directories(self) -> "None":
        """Tell the administrator of directories of the host that are not there: the engine would make empty ones in silence."""
        for volume in self.declaration.volumes if not self.engine.has_replicas else ():
            path, _, inside = volume.partition(":")
            if inside and path.startswith("/") and not os.path.exists(path):
                say("{}, which the container uses ({}), does not exist; it will be created empty, owned by root; create it with "
                    "its content, or mount it, first".format(path, volume))

    def drop_next(self) -> "None":
        """Free the name NAME.next; what was on its way back to be the workload is NAME.previous again."""
        left = self.look(self.next)
        if left is not None and left.started and self.look(self.previous) is None:
            self.engine.rename(self.next, self.previous)
        elif left is not None:
            self.engine.remove(self.next)


def create(engine: "Engine") -> "int":
    if not os.path.isdir("/run/systemd/system"):
        if engine.makes:
            say("systemd is not running; the first connection creates the container")
        return 0
    if os.path.exists(LEAVE):
        os.unlink(LEAVE)  # the removal that was begun has been broken off
    try:
        declaration = Declaration()
    except Failure as error:
        say("{}; until then connections are reset".format(error))
        return 0
    keep_from_everybody(declaration.added_env)
    tell_cycle(declaration.required)
    for other in clashes():
        say("the address at which other containers reach it is that of {} too; declare another 'address' for one of them".format(
            other))
    if not engine.answers():
        say("no {} engine answers on {}; the first connection creates the container{}".format(
            engine.title, engine.place, chosen.remedy(engine)))
        return 0
    engine.bound(SCRIPT_PATIENCE)
    try:
        declaration.join(engine)
        with Lock():
            if not (move(engine, declaration) if engine.successor else keep(engine, declaration)):
                return WAITS_FOR_STOP
    except (Failure, EngineError, EngineDown, OSError) as error:
        say("{}; the next connection tries again; see 'journalctl -u {}-container'".format(error, UNITS))
    return 0


def renew(engine: "Engine") -> "int":
    engine.insists = True
    return create(engine)


def keep(engine: "Engine", declaration: "Declaration") -> "bool":
    """Make the workload be there as declared, at this engine from now on; return False where that waits for a stop."""
    container = Container(engine, declaration)
    container.tell_of_directories()
    if not container.ensure(may_stop=False):
        return False
    container.drop_next()  # one that was made for a declaration that holds no more
    chosen.note(engine)
    engine.joins(container.name)
    container.tell_of_volumes()
    advice = engine.advice()
    for line in advice.split("\n") if advice else ():
        say(line)
    import moving

    return not moving.is_awake_with_another(engine)


def move(engine: "Engine", declaration: "Declaration") -> "bool":
    """Do the same at the engine that the package is declared for now, unless this one has data of the workload."""
    import moving

    successor = moving.new_engine(engine, declaration.volumes)
    if successor is None:
        return keep(engine, declaration)
    successor.bound(SCRIPT_PATIENCE)
    declaration.join(successor)
    if moving.runs(engine):
        return False
    Container(successor, declaration).ensure(may_stop=False)
    moving.left_behind(engine)
    return keep(successor, declaration)


def tell_cycle(required: "List[str]") -> "None":
    """Tell the administrator at once of what every wake would find."""
    if required:
        from required import refuse_cycle

        try:
            refuse_cycle(required)
        except Failure as error:
            say(str(error))


def wake(engine: "Engine") -> "int":
    declaration = Declaration()
    keep_from_everybody(declaration.added_env)
    declaration.join(engine)
    with Lock():
        Container(engine, declaration).ensure_for_client()
        chosen.note(engine)
    return 0


def stop(engine: "Engine") -> "int":
    try:
        workload = begun() or WORKLOAD
        seen = engine.look(workload, STOP_PATIENCE)
        # An engine that does not know yet of the end of one that is dead would wait for it.
        if seen is not None and seen.specification and seen.is_running and engine.is_alive(seen.life):
            engine.stop(workload)
        engine.forget_end(workload)
        engine.stop_rest(workload)
    except EngineDown:
        pass  # no engine, no running container
    if os.path.isdir(STATE):
        tell_over(os.environ.get("SERVICE_RESULT", "success") != "success")
    return 0


def leave(engine: "Engine") -> "int":
    if not engine.makes and os.path.isdir("/run/systemd/system"):
        os.makedirs(STATE, exist_ok=True)
        open(LEAVE, "w").close()
    return 0


def remove(engine: "Engine") -> "int":
    names = (WORKLOAD + ".next", WORKLOAD, WORKLOAD + ".previous")
    if not os.path.isdir("/run/systemd/system"):
        if engine.makes:
            say("systemd is not running; if the container exists, remove it with: {}".format(engine.remove_by_hand(names)))
        return 0
    if os.path.isdir(LOCKS):
        from exclusion import forget

        forget()
    for directory in (STATE, "{}/{}".format(DOORS, PACKAGE)):
        if os.path.isdir(directory):
            shutil.rmtree(directory)
    try:
        os.rmdir(DOORS)
        os.unlink(DOOR)
        os.unlink(KERNEL_DOOR)
    except OSError:
        pass  # there never was one, or other packages have theirs
    engine.bound(SCRIPT_PATIENCE)
    try:
        with Lock():
            anonymous: "Set[str]" = set()
            for name in names:
                seen = engine.look(name)
                if seen is not None and seen.specification:
                    anonymous.update(volume for volume, _ in seen.volumes)
                    engine.remove(name)
                elif seen is not None:
                    say("the container {} was not made by this package and is left alone".format(name))
            engine.clear(names)
            remove_lock()
    except (EngineDown, EngineError, Failure, OSError) as error:
        if not engine.makes:
            say("what this package has put to sleep could not be resumed ({})".format(error))
            return 0
        say("the container was not removed ({}); remove it with: {}".format(error, engine.remove_by_hand(names)))
        return 0
    if anonymous:
        say("the container's anonymous volumes are kept; delete them with: {}".format(
            engine.remove_volumes_by_hand(sorted(anonymous))))
    return 0


COMMANDS = {"create": create, "renew": renew, "wake": wake, "stop": stop, "leave": leave, "remove": remove}


def main(argv: "Sequence[str]", engine: "Engine") -> "int":
    if len(argv) != 1 or argv[0] not in COMMANDS:
        return usage(__doc__)
    try:
        return COMMANDS[argv[0]](engine)
    except EngineDown as error:
        say(str(error) + chosen.remedy(engine))
        return ENGINE_LEFT if argv[0] == "wake" else 1  # `run` has just asked it
    except (Failure, EngineError) as error:
        say(str(error))
    return 1


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Set

    from engines import Engine, Seen
