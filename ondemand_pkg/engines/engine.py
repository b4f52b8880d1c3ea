"""What a container engine asks of a package, in words that hold for every engine.

Knows what the rest of the builder may ask of an engine; hides which one it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ondemand_pkg.formats import Format
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import Resolved


@frozen
class Engine:
    """One engine.

    ``word`` is its name in declarations and on hosts, ``command`` that of its command as messages have it.
    ``depends`` are the relations of a package by its format, ``wants`` and ``after`` the units that the container's unit names
    so, ``sockets`` the paths by which the engine is ruled, ``reserved`` the options of its create command that the package
    itself decides on, each with what to do instead.  ``remove_container``, ``remove_volume`` and ``remove_image`` are what
    follows the command where an administrator removes one, before its name; ``purge_volume`` is that by which a script removes
    "$volume", or finds it gone already; ``volumes`` is the directory in which the data of named
    volumes lie, each below its name.
    """

    word: str
    command: str
    title: str
    depends: Mapping[Format, tuple[str, ...]]
    wants: tuple[str, ...]
    after: tuple[str, ...]
    sockets: tuple[str, ...]
    reserved: Mapping[str, str]
    remove_container: str
    remove_volume: str
    purge_volume: str
    volumes: str
    remove_image: str
    specification_file: Callable[[Resolved], bytes]
