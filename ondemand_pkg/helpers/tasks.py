"""Tasks that must end with success before this package's container starts.

Knows which have to run (attending.py says what there is), how systemd runs one, and how its outcome is learnt; hides that while
it lasts systemd is asked for more time.  Loaded only where there is one.
"""

import os
import time

from attending import attendants
from names import NAME, units_of
from outcome import last_end, now
from process import Failure, notify
from required import STATE, refuse_cycle

TASK = "task"  # version|wake VERSION, in the words of attending.py
VERSION, EACH = "version", "wake"
RECORDS = "/var/lib/ondemand/{}.done"  # a line for each version whose task has succeeded
LOOK = 0.05  # seconds until it is looked again whether one has ended
EXTEND_EVERY, EXTENSION = 20.0, 120  # seconds
REST = 3600  # seconds that are left for the start itself, which has its own limits
LONGEST_REASON = 2000  # characters


def run_all(heed: "Callable[[], None]", service: "str" = NAME) -> "None":
    """Run those that have to; ``heed`` is called meanwhile, again and again.  Raises Failure where one does not succeed."""
    found = [(name, told) for name, told in attendants(service).items() if told[0] == TASK and len(told) == 3]
    due = [(name, told) for name, told in found if told[1] == EACH or not is_done(RECORDS.format(name), told[2])]
    if due:
        refuse_cycle([name for name, _ in due])
    for name, told in due:
        run(name, told, heed)
    if due:
        notify("EXTEND_TIMEOUT_USEC={}".format(REST * 1000000))


def run(name: "str", told: "List[str]", heed: "Callable[[], None]") -> "None":
    import subprocess

    begin, extended = now(), 0.0
    try:
        os.unlink(STATE + name + "/reason")  # of an earlier failure
    except FileNotFoundError:
        pass
    with open(os.devnull, "w") as nowhere:
        start = subprocess.Popen(["systemctl", "start", units_of(name) + "-container.service"], stderr=nowhere)
    while start.poll() is None:
        if time.monotonic() - extended > EXTEND_EVERY:
            extended = time.monotonic()
            notify("EXTEND_TIMEOUT_USEC={}".format(EXTENSION * 1000000))
        heed()
        time.sleep(LOOK)
    if told[1] == VERSION and is_done(RECORDS.format(name), told[2]):
        return
    failures, when = last_end(STATE + name + "/end")
    if told[1] == EACH and not failures and when > begin:
        return
    raise Failure("the task {!r} failed: {}; see 'journalctl -u {}-container'".format(name, reason(name), units_of(name)))


def reason(name: "str") -> "str":
    try:
        with open(STATE + name + "/reason", encoding="utf-8", errors="replace") as stream:
            return stream.read(LONGEST_REASON).strip() or "it could not be started"
    except OSError:
        return "it could not be started"


def is_done(path: "str", version: "str") -> "bool":
    """Return whether the task of a version has succeeded on this host."""
    try:
        with open(path) as stream:
            return version in stream.read().split()
    except (OSError, ValueError):
        return False


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List
