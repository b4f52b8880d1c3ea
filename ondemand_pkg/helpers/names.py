"""The names of this package on the host.

Knows the package's name by the directory that this file lies in, and the names and paths that follow from it; hides nothing.
"""

import os

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.basename(HERE)
NAME = PACKAGE[len("ondemand-"):]
UNITS = PACKAGE.replace("+", "_")  # systemd and engines allow no + in their names
WORKLOAD = UNITS  # what the engine calls it
ENVIRONMENT_FILE = "/etc/ondemand/{}.env".format(NAME)
DECLARATION = os.path.join(HERE, "container.json")
STATE = "/run/{}".format(PACKAGE)
CONTROL = STATE + "/control"  # the socket of control.py
END = STATE + "/end"  # when the workload last ended, and how many starts in a row had failed then
DOORS = "/run/ondemand.doors"  # root's alone, as LOCKS; a directory each for the sockets at which packages are asked for
DOOR = "/run/ondemand.door"  # where each relay sees its own; for all others an empty file
KERNEL_DOOR = "/run/ondemand.kernel"  # the same of that at which it says whom it has accepted
LOCKS = "/run/ondemand"  # root's alone; no package has a directory of that name, which ends in a NAME
LOCK = "{}/{}.lock".format(LOCKS, NAME)
STARTS = "{}/starts".format(LOCKS)  # the places of workloads that start; no package's lock is called so: theirs end in .lock
ATTENDANTS = "/usr/libexec/ondemand"  # a directory for each service that has companions; no package has one of that name
BEGUN = STATE + "/begun"  # which workload this life has started
AWAKE = STATE + "/awake"  # there once the workload of this life was ready
ENGINE_RECORD = "/var/lib/ondemand/{}.engine".format(NAME)  # which engine has the workload
DONE = "/var/lib/ondemand/{}.done".format(NAME)  # a line for each version whose task has succeeded
UNPACKED = "/var/lib/ondemand/systemd"  # where systemd's own images lie; root's alone: they hold programs that give rights
LEAVE = STATE + "/leave"  # there while the package is removed and the workload, which it has not made, is to stay as it is
OVER = STATE + "/over"  # younger than END once nothing of that life of the service is left


def units_of(name: "str") -> "str":
    """Return the stem of the units of another package of this host, by its declared name."""
    return "ondemand-" + name.replace("+", "_")
