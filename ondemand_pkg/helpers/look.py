"""look - print what a wake of this package would find at the engine, as one JSON object.

Usage: look (without arguments)

Knows what is worth asking, and asks without a change to anything; hides the engine.  What is wrong with the administrator's file
is said on standard error, as at a wake.
"""

import json
import sys

from container import Container, Declaration
from declared import refuse_other_encodings
from engines import EngineDown, EngineError
from names import WORKLOAD
from process import Failure, usage
from required import refuse_cycle


def look(engine: "Engine") -> "Dict[str, Any]":
    """Return everything; ``failure`` is what would end the wake, and what is not known because of it is None."""
    found: "Dict[str, Any]" = {"engine": engine.title, "place": engine.place, "answers": engine.answers(), "failure": None,
                               "workload": None, "image": None}
    try:
        declaration = Declaration()
        refuse_other_encodings(declaration.added_env)
        if declaration.required:
            refuse_cycle(declaration.required)
        if found["answers"] and not engine.makes:
            found["advice"] = advice(engine)
        elif found["answers"]:
            declaration.join(engine)
            found["image"] = image(engine, declaration)
            found["workload"] = workload(engine, declaration)
    except (Failure, EngineError, EngineDown) as error:
        found["failure"] = str(error)
    return found


def advice(engine: "Engine") -> "List[str]":
    """Return what works against a workload that was there before the package.  Raises Failure where it is not there."""
    told = [line for line in engine.advice().split("\n") if line]
    if engine.look(WORKLOAD) is None:
        raise Failure(told[0])
    return told


def image(engine: "Engine", declaration: "Declaration") -> "Dict[str, Any]":
    """Return where the image is, and the command that gets it."""
    return {"name": declaration.image, "is_there": engine.has_image(declaration.image), "archive": declaration.archive,
            "pull": engine.pull_by_hand(declaration.image)}


def workload(engine: "Engine", declaration: "Declaration") -> "Dict[str, Any]":
    """Return which workload the next wake starts.  Raises Foreign where somebody else's has its name."""
    container = Container(engine, declaration)
    current, waiting = container.look(container.name), container.look(container.next)
    container.look(container.previous)
    return {"name": container.name, "is_there": current is not None, "is_declared": container.is_declared(current),
            "is_waiting": container.is_declared(waiting), "is_running": current is not None and current.is_running,
            "is_paused": current is not None and current.is_paused}


def main(argv: "Sequence[str]", engine: "Engine") -> "int":
    if argv:
        return usage(__doc__)
    sys.stdout.write(json.dumps(look(engine), sort_keys=True) + "\n")
    return 0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Sequence

    from engines import Engine
