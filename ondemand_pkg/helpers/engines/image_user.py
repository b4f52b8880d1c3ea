"""The user as whom the program of an unpacked image runs.

Knows how an engine understands a user by the image's own list of users, which the host does not have; hides how a program becomes
one: systemd starts only whom the host knows, so that setpriv(1), copied from the host with what it is linked with, goes first.
Until then nothing of the image is run or loaded: no variable, preloaded library or name service of its own reaches setpriv.
"""

import os
import shutil

import programs
from process import Failure

from engines.unpacking import inside

HOME = "/"
PATIENCE = 10.0  # seconds for the loader's answer
PLACE = "/.ondemand"  # in the image, read-only
LOADER, PROGRAM, AFTERWARDS = "loader", "setpriv", "env"
NO_PRELOAD, NAMES = "preload", "nsswitch"  # files that hide the image's own of the same purpose
HIDDEN = ((NO_PRELOAD, "/etc/ld.so.preload"), (NAMES, "/etc/nsswitch.conf"))
SERVICES = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
LONGEST = 1 << 20  # bytes of a list of users
# What the loader and the C library heed: ld.so(8), and environ in their manual.
OF_LOADER, HEEDED = "LD_", ("GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "MALLOC_TRACE", "NLSPATH")
DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
# What it takes to become another user, and to give that up.
NEEDED = ("SETGID", "SETPCAP", "SETUID")
ELF, INTERPRETER = b"\x7fELF", 3  # the type of the program header that names the loader


class User:
    """A user inside of an image."""

    def __init__(self, number: "int", group: "int", others: "Sequence[int]", home: "str") -> "None":
        self.number = number
        self.group = group
        self.others = others  # groups that it is in besides
        self.home = home

    @property
    def is_root(self) -> "bool":
        return self.number == 0 and self.group == 0


def user_of(root: "str", said: "str") -> "User":
    """Return who USER[:GROUP] is in the image that lies in ``root``, each a name or a number.  Raises Failure."""
    name, _, group_name = said.partition(":")
    name = name or "0"
    row = next((row for row in rows(root, "passwd", 7) if row[0] == name), None) or next(
        (row for row in rows(root, "passwd", 7) if row[2] == name), None)
    if row is None and not is_number(name):
        raise Failure("the image has no user called {!r}; declare 'user' by its number".format(name))
    number = int(row[2]) if row else int(name)
    group, others = int(row[3]) if row else 0, []  # type: int, List[int]
    groups = rows(root, "group", 4)
    if group_name:
        found = next((one for one in groups if one[0] == group_name), None)
        if found is None and not is_number(group_name):
            raise Failure("the image has no group called {!r}; declare 'user' with its number".format(group_name))
        group = int(found[2]) if found else int(group_name)
    elif row is not None:
        others = sorted({int(one[2]) for one in groups if row[0] in one[3].split(",")} - {group})
    return User(number, group, others, (row[5] if row else "") or HOME)


def rows(root: "str", file: "str", least: "int") -> "List[List[str]]":
    """Return the rows of a file of the image's that list users or groups; those that are none are left out."""
    try:
        path = inside(root, ["etc", file])
        if not os.path.isfile(path) or os.path.getsize(path) > LONGEST:
            return []
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            found = [line.rstrip("\n").split(":") for line in stream]
    except (OSError, ValueError):
        return []
    numbers = (2, 3) if least > 4 else (2,)
    return [row for row in found if len(row) >= least and all(is_number(row[index]) for index in numbers)]


def is_number(text: "str") -> "bool":
    return 0 < len(text) <= 10 and all(character in "0123456789" for character in text) and int(text) < 2 ** 32 - 1


def command(user: "User", kept: "Sequence[str]", environment: "Dict[str, str]") -> "List[str]":
    """Return what goes before a program that is to run as this user with these capabilities at most.

    Variables that the loader heeds are taken out of the environment; the program gets them all the same.
    """
    loaded = [PLACE + "/" + LOADER, "--library-path", PLACE]
    argv = loaded + [PLACE + "/" + PROGRAM, "--reuid={}".format(user.number), "--regid={}".format(user.group)]
    argv += ["--groups=" + ",".join(map(str, [user.group] + list(user.others))), "--inh-caps=-all"]
    if set(NEEDED) - set(kept):
        argv.append("--bounding-set=" + ",".join(["-all"] + ["+" + name.lower() for name in sorted(kept)]))
    late = sorted(name for name in environment if name.startswith(OF_LOADER) or name in HEEDED)
    given = ["{}={}".format(name, environment.pop(name)) for name in late]
    return argv + ["--"] + (loaded + [PLACE + "/" + AFTERWARDS] + given if given else [])


def bring(directory: "str", root: "str") -> "None":
    """Copy setpriv, env and what they are linked with into a new directory.  Raises Failure and OSError."""
    preload = inside(root, ["etc", "ld.so.preload"])
    if os.path.isfile(preload) and os.path.getsize(preload):
        raise Failure("the image has libraries loaded into every program (/etc/ld.so.preload), which would run as root before "
                      "the user is another one; declare user = \"root\", or use an engine")
    loader = interpreter(find(PROGRAM))
    if not loader:
        raise Failure("{} is not linked dynamically, so it can't be brought into the image; use an engine".format(find(PROGRAM)))
    os.mkdir(directory, 0o755)
    copied = {LOADER: loader}
    for program in (PROGRAM, AFTERWARDS):
        path = copied[program] = find(program)
        linked = linked_with(loader, path)
        if not linked:
            raise Failure("what {} is linked with can't be found; see '{} --list {}'".format(path, loader, path))
        copied.update(linked)
    for name, path in copied.items():
        shutil.copyfile(path, os.path.join(directory, name))
        os.chmod(os.path.join(directory, name), 0o755)
    for name, content in ((NO_PRELOAD, ""), (NAMES, SERVICES)):
        with open(os.path.join(directory, name), "w") as stream:
            stream.write(content)
        os.chmod(os.path.join(directory, name), 0o644)


def find(program: "str") -> "str":
    """Return where the host has a program.  Raises Failure."""
    for directory in DIRECTORIES:
        if os.path.exists(os.path.join(directory, program)):
            return os.path.join(directory, program)
    raise Failure("the image runs as another user than root, for which the program {} is missing; install util-linux and "
                  "coreutils".format(program))


def linked_with(loader: "str", program: "str") -> "Dict[str, str]":
    """Return the libraries of a program by their name, nothing where one of them is not found."""
    found = {}
    for line in programs.said([loader, "--list", program], PATIENCE).splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        path = rest.partition(" (")[0]
        if arrow and not os.path.isabs(path):
            return {}
        if arrow:
            found[os.path.basename(name)] = path
    return found


def interpreter(program: "str") -> "str":
    """Return the loader of a program that is linked dynamically, "" where it names none (elf(5))."""
    with open(program, "rb") as stream:
        head = stream.read(64)
        if head[:4] != ELF:
            return ""
        is_long, order = head[4] == 2, "little" if head[5] == 1 else "big"

        def number(data: "bytes", at: "int", length: "int") -> "int":
            return int.from_bytes(data[at:at + length], order)  # type: ignore[arg-type] # a str is one of the two

        start, size, count = ((number(head, 32, 8), number(head, 54, 2), number(head, 56, 2)) if is_long else
                              (number(head, 28, 4), number(head, 42, 2), number(head, 44, 2)))
        for index in range(count):
            stream.seek(start + index * size)
            entry = stream.read(size)
            if number(entry, 0, 4) == INTERPRETER:
                at, length = (8, 32) if is_long else (4, 16)
                stream.seek(number(entry, at, 8 if is_long else 4))
                return stream.read(min(number(entry, length, 4), 4096)).rstrip(b"\0").decode("utf-8", "surrogateescape")
    return ""


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Sequence
