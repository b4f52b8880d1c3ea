"""What becomes of a workload whose package is declared for another engine now.

Knows that data in volumes stay with the engine that has them, and how an administrator moves them; hides the two engines.  Only
`container create` asks this, and only after such a change.
"""

import os

import programs
from engines.chosen import SYSTEMD, engine_called, noted
from names import ENGINE_RECORD, HERE, NAME, PACKAGE, UNITS, UNPACKED, WORKLOAD
from process import say, show

NAMES = (WORKLOAD + ".next", WORKLOAD, WORKLOAD + ".previous")
PATIENCE = 10.0  # seconds for systemd's answer


def new_engine(old: "Engine", volumes: "Sequence[str]") -> "Optional[Engine]":
    """Return the engine that makes the workload from now on, None where it stays with the old one, which is told.

    ``volumes`` are the declared ones.  Raises EngineDown and EngineError.
    """
    new = engine_called(old.successor)
    if not new.answers():
        say("the package is declared for {}, which does not answer on {}; the container stays with {}".format(
            new.title, new.place, old.title))
        return None
    seen = [found for found in (old.look(name) for name in NAMES) if found is not None and found.specification]
    anonymous = [volume for found in seen for volume, _ in found.volumes]
    named = [volume for volume in volumes if not volume.startswith("/") and ":" in volume]
    if not named and not anonymous:
        return new
    say("the package is declared for {}, but the container stays with {}, which has the data of its volumes".format(
        new.title, old.title))
    if anonymous:
        say("they can't be moved as long as the container has anonymous volumes; declare names for those first")
        return None
    commands = old.commands_to_move(volumes, [name for name in NAMES if old.look(name) is not None])
    if commands:
        say("to move it, run (what the container wrote outside of its volumes is lost):")
        show(["  systemctl stop {0}.socket {0}.service {0}-container.service &&".format(UNITS)]
             + ["  {} &&".format(command) for command in commands]
             + ["  echo {} > {} &&".format(new.word, ENGINE_RECORD), "  {}/container create;".format(HERE),
                "  systemctl start {}.socket".format(UNITS)])
    return None


def left_behind(old: "Engine") -> "None":
    """Remove what the old engine has, now that another one has the workload.  Raises EngineDown and EngineError."""
    for name in NAMES:
        seen = old.look(name)
        if seen is not None and seen.specification:
            old.remove(name)


def runs(old: "Engine") -> "bool":
    """Return whether the old engine runs the workload.  Raises EngineDown and EngineError."""
    seen = old.look(WORKLOAD)
    return seen is not None and seen.is_running and bool(seen.specification)


def is_awake_with_another(engine: "Engine") -> "bool":
    """Return whether the service is awake with what it was declared for before: an engine, or systemd itself.

    That stops with the service, and only then may the new one start: both have the same named volumes.
    """
    is_of_systemd = engine.word == SYSTEMD
    if not (noted() if is_of_systemd else os.path.isdir(os.path.join(UNPACKED, WORKLOAD))):
        return False
    if not is_of_systemd:
        say("{0} has the container now, and the unpacked image is kept; when nothing in it is needed any more, run "
            "'systemctl reset-failed ondemand-image@{3}; rm -rf {1}/{2} {1}/{2}.previous "
            "/run/systemd/system/ondemand-image@{3}.service; ip netns delete {4}'".format(
                engine.title, UNPACKED, WORKLOAD, NAME.replace("+", "_"), PACKAGE))
    seen = engine.look(WORKLOAD)
    state = programs.said(["systemctl", "is-active", "{}-container.service".format(UNITS)], PATIENCE).strip()
    is_awake = state not in ("", "inactive", "failed")  # one that is just starting is, too
    return is_awake and not (seen is not None and seen.is_running)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Sequence

    from engines import Engine
