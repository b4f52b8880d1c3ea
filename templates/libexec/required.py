"""Containers of other packages that this one requires: woken with it, and ready before it starts.

Knows that systemd starts their services beside this one (Wants=), and how to see that one is ready, has failed, or was put
to sleep a moment ago and has to be woken once more; hides their control sockets.
"""

import os
import time

from control import CLOCK_BOOTTIME, Client, begin_of_process, last_end
from names import PACKAGE, Failure

HELPERS, STATE = "/usr/libexec/ondemand-", "/run/ondemand-"  # directories of another package, but for its name
LOOK = 0.005  # seconds until it is looked again whether its `run` is there
PATIENCE = 30.0  # seconds in which its `run` must come, be it that it was just being stopped
SURPRISE = 1.0  # seconds after which it is woken once more: it may have ended in the moment in which this wake began
FAILED_PATIENCE = 5.0  # the same where its last start has failed
MOMENT = 0.09  # seconds: what ended that much before this process began has ended after the wake began


def await_ready(name, wakes):
    """Return a connection to the container's `run`, which keeps it awake; raise Failure where it can't be had.

    ``wakes`` tells whether it has to be woken first, or systemd does that.
    """
    if not os.path.isdir(HELPERS + name):
        raise Failure("it requires the container {0!r}, whose package is not installed; install ondemand-{0}".format(name))
    state = STATE + name
    begin = time.clock_gettime(CLOCK_BOOTTIME) if wakes else begin_of_process()
    since, woken = time.monotonic(), False
    while True:
        try:
            control = Client(state + "/control")
        except OSError:
            control = None
        if control is not None and is_ready(control):
            return control
        failures, when = last_end(state + "/end")
        if failures and (when > begin - MOMENT or time.clock_gettime(CLOCK_BOOTTIME) - begin > FAILED_PATIENCE):
            break
        if control is not None:  # it was put to sleep, and its service with it
            begin, since, woken = time.clock_gettime(CLOCK_BOOTTIME), time.monotonic(), True
            wake(name)
        elif time.monotonic() - since > PATIENCE:
            break
        elif not woken and (wakes or time.monotonic() - since > SURPRISE):
            woken = True
            wake(name)
        time.sleep(LOOK)
    raise Failure("it requires the container {!r}, which could not be started; 'journalctl -u {}-container' tells why".format(
        name, units(name)))


def refuse_circle(required):
    """Raise Failure where what this container requires requires it in turn: each would wait for the other without end.

    A circle in one run of the build is refused there; packages may be built one by one.
    """
    name = PACKAGE[len("ondemand-"):]
    ways, seen = [[name, other] for other in required], set()
    while ways:
        way = ways.pop()
        if way[-1] == name:
            raise Failure("the containers require each other in a circle ({}), so none of them can start; install one of the "
                          "packages without its 'requires'".format(" -> ".join(way)))
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [way + [other] for other in required_by(way[-1])]


def required_by(name):
    import json

    try:
        with open(HELPERS + name + "/container.json", "rb") as stream:
            return json.loads(stream.read().decode("ascii")).get("requires", [])
    except (OSError, ValueError):
        return []  # its package is not there, which is told when it is awaited


def is_ready(control):
    """Wait until a container is ready, and keep it so; return False where it ends before."""
    control.tell("hold")
    while True:
        told = control.receive()
        if not told or told[0] == "failed":
            control.close()
            return False
        if told[0] == "ready":
            return True


def wake(name):
    import subprocess

    subprocess.call(["systemctl", "--no-block", "start", units(name) + ".service", units(name) + "-container.service"])


def units(name):
    return "ondemand-" + name.replace("+", "_")
