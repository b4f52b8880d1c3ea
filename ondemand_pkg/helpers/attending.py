"""Which containers of other packages are started for a service, its companions and tasks, and which exclude it.

Knows the files by which their packages name themselves to the service (one for each in the directory ATTENDANTS/SERVICE; a
directory that is not there costs a wake nothing); hides their form: words, the first of which is the kind.
"""

import os

from names import ATTENDANTS, NAME

COMPANION = "companion"  # [before]
BEFORE = "before"
EXCLUDES = "excludes"  # SECONDS: it is not awake at the same time, and the other one is waited for that long


def attendants(service: "str" = NAME) -> "Dict[str, List[str]]":
    """Return the words of each one, by its declared name, in the order of the names."""
    directory = os.path.join(ATTENDANTS, service)
    found: "Dict[str, List[str]]" = {}
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return found
    for name in names:
        try:
            with open(os.path.join(directory, name)) as stream:
                words = stream.read().split()
        except (OSError, ValueError):
            continue  # removed meanwhile
        if words and not name.endswith((".dpkg-new", ".dpkg-tmp")):
            found[name] = words
    return found


def awaited(service: "str" = NAME) -> "List[str]":
    """Return those for which a service waits before it starts."""
    return [name for name, words in attendants(service).items() if words[0] not in (COMPANION, EXCLUDES) or BEFORE in words]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List
