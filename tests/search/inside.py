"""A search as the first process of namespaces of its own (races.py), which holds the sockets as systemd does.

Usage: python -m search.inside OPTIONS, as JSON

Prints as JSON what it has found.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time

import conftest  # noqa: F401 # the fake engine needs its helpers

from .scenarios import SCENARIOS
from .walk import Order, orders
from .world import ADDRESS, FIRST, LIBEXEC, NEXT, PASSING

HIDDEN = ("/run", str(LIBEXEC), "/etc/ondemand", "/var/lib/ondemand")  # what is the machine's own there is none of the search's
HOST = "172.17.0.1"
MOST_SAID = 1500  # characters


def prepare(packages: list[str]) -> None:
    """Hide what is the machine's own, make a network, and compile the helpers of packages as their installation does."""
    LIBEXEC.mkdir(exist_ok=True)
    for directory in filter(os.path.isdir, HIDDEN):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
    for command in ("link set lo up", f"address add {HOST}/32 dev lo",
                    # As from a host: the container's address is none of its own.
                    f"route add local {ADDRESS}/32 dev lo src {HOST} table local"):
        subprocess.run(["ip", *command.split()], check=True)
    for package, place in zip(packages, (FIRST, NEXT), strict=True):
        shutil.copytree(package, place)
        subprocess.run(["/usr/bin/python3", "-ESs", "-m", "compileall", "-qq", "--invalidation-mode", "checked-hash", place],
                       check=True)


def told(order: Order) -> dict[str, object]:
    """Return what people want to know of an order in which a client was lost."""
    # Helpers that look again and again at nothing would fill the page.
    events = [f"{name} (x{count})" if (count := len(list(group))) > 1 else name
              for name, group in itertools.groupby(name for name in order.events if not name.startswith(PASSING))]
    return {"fault": order.fault, "choices": order.choices, "events": events, "said": order.said[-MOST_SAID:]}


def main(argv: list[str]) -> None:
    options = json.loads(argv[0])
    prepare(options["packages"])
    found = orders(SCENARIOS[options["scenario"]], options["deviations"])
    begun, count, faults = time.monotonic(), 0, []
    for order in found:
        count += 1
        if order.fault:
            faults.append(told(order))
        if len(faults) >= options["most_faults"] or count >= options["most_orders"]:
            break
    print(json.dumps({"orders": count, "seconds": round(time.monotonic() - begun, 1), "faults": faults}))


if __name__ == "__main__":
    main(sys.argv[1:])
