"""The names under which this package's container reaches others, and the addresses to which they lead.

Knows the files `hosts` (address and names) and `links` of packages; hides that another package may be missing: then the address
is the one that follows from its name.  No parser of JSON: a client is waiting.
"""

import os

from names import HERE

HOSTS, LINKS = "hosts", "links"
LOOPBACK = "127.0.0.1"
FIRST, COUNT = (198 << 24) + (18 << 16), 1 << 17  # of the range 198.18.0.0/15 (ondemand_pkg/layout.py)


def hosts(here: "str" = HERE) -> "List[str]":
    """Return NAME:ADDRESS for each name that leads somewhere, in their order; nothing where neither file is there."""
    found: "Dict[str, str]" = {}
    for target, name in links_of(here):
        if "ondemand-" + target == os.path.basename(here):  # by its own names it reaches itself anyway
            found.update((each, LOOPBACK) for each in ([name] if name else []))
            continue
        address, names = own_host(os.path.join(os.path.dirname(here), "ondemand-" + target)) or (address_of(target), [target])
        found.update((each, address) for each in ([name] if name else names))
    return ["{}:{}".format(name, found[name]) for name in sorted(found)]


def own_host(directory: "str") -> "Optional[Tuple[str, List[str]]]":
    """Return address and names of the container of a package, None where nothing of it is exposed or it is not installed."""
    try:
        with open(os.path.join(directory, HOSTS)) as stream:
            address, *names = stream.read().split()
            return address, names
    except (OSError, ValueError):
        return None


def links_of(here: "str") -> "List[Tuple[str, str]]":
    """Return the containers that a package's own reaches: declared names, and what they are called inside."""
    try:
        with open(os.path.join(here, LINKS)) as stream:
            return [(target, name) for target, _, name in (line.partition(":") for line in stream.read().split())]
    except OSError:
        return []


def address_of(name: "str") -> "str":
    """Return the address that follows from a declared name (ondemand_pkg/layout.py)."""
    import hashlib

    digest = hashlib.sha256(name.encode("ascii")).digest()
    number = FIRST + 1 + int.from_bytes(digest[:4], "big") % (COUNT - 2)
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def clashes(here: "str" = HERE) -> "List[str]":
    """Return the declared names of other packages whose containers have this one's address."""
    own = own_host(here)
    libexec, found = os.path.dirname(here), []
    for package in sorted(os.listdir(libexec)) if own is not None else ():
        other = own_host(os.path.join(libexec, package)) if package.startswith("ondemand-") else None
        if other is not None and own is not None and other[0] == own[0] and os.path.join(libexec, package) != here:
            found.append(package[len("ondemand-"):])
    return found


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple
