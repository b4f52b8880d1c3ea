"""Where the packages have their files on a host, and what their units are called.

Knows the names that ondemand_pkg/layout.py has for the builder (a test compares them), and what container.json says of a
package; hides that file.
"""

import json
import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ondemand_host.errors import HostError, meant

PREFIX = "ondemand-"  # of every package
LIBEXEC, DATA, UNITS, ETC, RUN = "/usr/libexec", "/usr/share", "/usr/lib/systemd/system", "/etc/ondemand", "/run"
UNRECORDED = "0.1.0 or older"  # what is said of a package that does not say which release built it
_ENDINGS = ("-container.service", ".service", ".socket")


class Installed(NamedTuple):
    """A package of this host: declared name, stem of its units; if it says so, the release that built it and its version.

    ``companion_of`` are the services that a companion is started for, ``task_before`` those that wait for a task,
    ``schedule`` the moments at which one runs by the clock, ``unit`` the adopted unit of a service that was there before,
    ``with_clients`` whether clients connect to a companion, ``adopted`` the adopted container of such a service, or
    "PROJECT/SERVICE" of Compose.
    """

    name: "str"
    stem: "str"
    built_by: "Optional[str]" = None
    version: "Optional[str]" = None
    companion_of: "Tuple[str, ...]" = ()
    task_before: "Tuple[str, ...]" = ()
    schedule: "Tuple[str, ...]" = ()
    unit: "str" = ""
    with_clients: "bool" = False
    adopted: "str" = ""

    @property
    def listens(self) -> "bool":
        """Whether a socket listens for it; else it has a unit of the container alone, and a timer where it has a schedule."""
        return self.with_clients or not (self.companion_of or self.task_before or self.schedule)

    @property
    def units(self) -> "Tuple[str, ...]":
        """The units that each package of its kind has, what listens first, the container last."""
        return (self.socket, self.proxy, self.container) if self.listens else (self.container,)

    @property
    def socket(self) -> "str":
        """The unit that listens."""
        return self.stem + ".socket"

    @property
    def shared_socket(self) -> "str":
        """The unit that listens for other containers, if the package has it besides the first one."""
        return "ondemand-net@" + self.name.replace("+", "_") + ".socket"

    @property
    def proxy(self) -> "str":
        """The unit that forwards connections."""
        return self.stem + ".service"

    @property
    def timer(self) -> "str":
        """The unit that runs a task by the clock."""
        return timer_of(self.name)

    @property
    def kernel_units(self) -> "Tuple[str, ...]":
        """The socket and the service of what leads clients past the proxy, if the package has that."""
        stem = "ondemand-kernel@" + self.name.replace("+", "_")
        return (stem + ".socket", stem + ".service") if os.path.exists(os.path.join(self.helpers, "kernel")) else ()

    @property
    def container(self) -> "str":
        """The unit that runs the container."""
        return self.stem + "-container.service"

    @property
    def helpers(self) -> "str":
        """The directory of the helpers."""
        return os.path.join(LIBEXEC, PREFIX + self.name)

    @property
    def keeps_account(self) -> "bool":
        """Whether its proxy keeps account of clients that wake nothing."""
        return os.path.exists(os.path.join(self.helpers, "unwoken.py"))

    @property
    def state(self) -> "str":
        """The directory of the running service."""
        return os.path.join(RUN, PREFIX + self.name)

    @property
    def environment_file(self) -> "str":
        """The administrator's file."""
        return os.path.join(ETC, self.name + ".env")


def timer_of(name: "str") -> "str":
    """Return the unit that runs a task by the clock, by its declared name."""
    return "ondemand-wake@" + name.replace("+", "_") + ".timer"


def installed() -> "Dict[str, Installed]":
    """Return the packages of this host by their declared names."""
    found = {}
    try:
        directories = sorted(os.listdir(LIBEXEC))
    except OSError:
        directories = []
    for directory in directories:
        if not directory.startswith(PREFIX):
            continue
        name = directory[len(PREFIX):]
        try:
            declared = declaration(name)
            built_by, version = (value if isinstance(value, str) else None
                                 for value in (declared.get("built_by"), declared.get("version")))
            companion_of, task_before, schedule = (tuple(map(str, declared.get(key) or ()))
                                                   for key in ("companion_of", "task_before", "schedule"))
            found[name] = Installed(name, str(declared["container"]), built_by, version, companion_of, task_before, schedule,
                                    str(declared.get("unit") or ""), bool(declared.get("with_clients")),
                                    "/".join(map(str, dict(declared.get("adopted") or {}).values())))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # removed meanwhile, or of somebody else
    return found


def declaration(name: "str") -> "Dict[str, Any]":
    """Return what the package of a declared name says of itself.  Raises OSError and ValueError."""
    with open(os.path.join(LIBEXEC, PREFIX + name, "container.json"), "rb") as stream:
        return dict(json.loads(stream.read().decode("utf-8")))


class Chosen(NamedTuple):
    """The packages and the stacks that are meant by some words."""

    packages: "List[Installed]"
    stacks: "Dict[str, Tuple[str, ...]]"


def stacks() -> "Dict[str, Tuple[str, ...]]":
    """Return the members of each stack whose package is installed, by its name."""
    found = {}
    try:
        directories = [name for name in os.listdir(DATA) if name.startswith(PREFIX)]
    except OSError:
        directories = []
    for directory in directories:
        try:
            with open(os.path.join(DATA, directory, "stack.json"), "rb") as stream:
                found[directory[len(PREFIX):]] = tuple(map(str, json.loads(stream.read().decode("utf-8"))["members"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # removed meanwhile, of somebody else, or no stack
    return found


def chosen(wanted: "Sequence[str]") -> "Chosen":
    """Return what is meant, packages in the order of their names; all where nothing is named.

    A package is meant by its declared name, by the package's own, by that of one of its units, and by a stack whose member it is.
    Raises HostError.
    """
    packages, applications = installed(), stacks()
    names = [_declared(word, packages, applications) for word in wanted]
    unknown = [name for name in names if name not in packages and name not in applications]
    if unknown:
        known = sorted(list(packages) + list(applications))
        raise HostError("there is no on-demand service {} on this host{}; {}".format(
            " or ".join(map(repr, unknown)), meant(unknown[0], known),
            "installed: {}".format(", ".join(known)) if known else "none is installed"))
    if names:
        applications = {name: applications[name] for name in names if name in applications}
        names += [member for name in applications for member in applications[name]]
    return Chosen([packages[name] for name in sorted(packages) if name in names or not names], applications)


def _declared(word: "str", packages: "Dict[str, Installed]", applications: "Dict[str, Tuple[str, ...]]") -> "str":
    """Return the declared name that a word means, or the word."""
    if word in packages or word in applications:
        return word
    if word.startswith(PREFIX) and word[len(PREFIX):] in applications:
        return word[len(PREFIX):]
    for ending in ("",) + _ENDINGS:
        stem = word[:-len(ending)] if ending and word.endswith(ending) else word
        for package in packages.values():
            if stem in (PREFIX + package.name, package.stem):
                return package.name
    return word


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
