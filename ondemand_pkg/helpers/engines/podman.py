"""Podman, through its Docker-compatible socket, and through its command where only that pulls and loads images.

Knows in what Podman is not Docker: nobody stays connected to its service, which ends when nobody asks, so a container's output
goes into the journal by itself and its end is seen by the kernel; names of images are full ones.  Hides this behind the interface
of this package.  Few imports: a client is waiting while this module loads.
"""

import os
import select
import time

from engines import EngineDown, EngineError, Output
from engines.docker import LABEL, OF_CONTAINER, PATIENCE, Docker
from engines.docker_api import Stream
from engines.podman_api import NOT_FOR_IT, PodmanApi
from engines.processes import at_its_end

SOCKET = "/run/podman/podman.sock"
LOG_DRIVER = "--log-driver"
END_LOOK = 0.005  # seconds between two looks at a container that has ended, until the engine knows of it
LAST_LINES = 20  # of the output, in which the last words are


class Podman(Docker):
    """The engine whose service systemd starts for whom connects to its socket."""

    word, title = "podman", "Podman"
    COMMAND, CLIENTS = "podman", "podman"
    PRUNES = "'podman system prune --volumes' and 'podman volume prune' delete the data of"
    SETTINGS = NOT_FOR_IT

    def __init__(self, path: "str" = SOCKET) -> "None":
        super().__init__(path)

    def api_on(self, path: "str") -> "Api":
        return PodmanApi(path)

    def load_rest(self) -> "None":
        super().load_rest()
        import calendar  # noqa: F401 # of began()

        from engines import beside  # noqa: F401 # of a service of our own

    # A life

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        return Watch(self, name, reads)

    def last_words(self, name: "str") -> "bytes":
        return last_lines(self, name)

    def freeze(self, name: "str") -> "None":
        try:
            super().freeze(name)
        except EngineError:
            seen = self.peek(name)  # it refuses to pause what is paused
            if seen is None or not seen.is_paused:
                raise

    def await_end(self, name: "str", patience: "float") -> "None":
        deadline = time.monotonic() + patience
        seen = self.look(name, patience)
        while seen is not None and seen.is_running and time.monotonic() < deadline:
            time.sleep(END_LOOK)
            seen = self.look(name, patience)

    def ran_out_of_memory(self, seen: "Seen") -> "bool":
        return seen.out_of_memory  # its monitor notes that before the end

    def presence(self) -> "Optional[Presence]":
        return None  # a container has a process of its own that stays with it

    # Made

    def has_image(self, image: "str") -> "bool":
        return self.own_name(image) is not None

    def own_name(self, image: "str") -> "Optional[str]":
        """Return the full name by which the engine has an image, None where it has not.

        One that was built here or loaded from an archive belongs to no registry.
        """
        for name in (full_name(image), "localhost/" + image):
            if super().has_image(name):
                return name
        return None

    def name_of(self, image: "str") -> "str":
        try:
            return self.own_name(image) or full_name(image)
        except (EngineDown, EngineError):
            return full_name(image)

    def pull_by_hand(self, image: "str") -> "str":
        return "podman pull " + full_name(image)

    def own_options(self, wanted: "Wanted") -> "List[str]":
        is_chosen = any(option.partition("=")[0] == LOG_DRIVER for option in wanted.options)
        return [] if is_chosen else [LOG_DRIVER + "=journald"]

    def argv(self, arguments: "List[str]", environ: "Mapping[str, str]") -> "List[str]":
        from engines import beside

        return beside.command([self.COMMAND] + arguments, environ)

    def output_of_command(self) -> "int":
        from engines import beside

        lock = beside.held_lock()
        return super().output_of_command() if lock is None else lock

    def remove(self, name: "str") -> "None":
        try:
            super().remove(name)
        except EngineError:
            seen = self.look(name)
            if seen is None or not self.remove_joined(seen.identity):
                raise
            super().remove(name)

    def remove_joined(self, identity: "str") -> "bool":
        """Remove what was made by packages for the network of a container that goes: no wake starts it any more.

        Podman refuses to remove the container as long as that is there.  Return whether there was any.
        """
        is_found = False
        found = self.api.call("GET", "/containers/json?all=1&filters=%7B%22label%22:%5B%22{}%22%5D%7D".format(LABEL), PATIENCE)
        for one in found or ():
            seen = self.look(str(one["Id"]))
            if seen is not None and seen.specification and not seen.is_running and self.joined(seen) == identity:
                super().remove(str(one["Id"]))
                is_found = True
        return is_found



class Watch(Output):
    """The end of a life, as the kernel tells it; and what is written, as long as somebody waits for a text in it."""

    is_in_journal = True

    def __init__(self, engine: "Docker", name: "str", reads: "bool") -> "None":
        self.engine = engine
        self.name = name
        self.reads = reads
        self.epoll = select.epoll()
        self.life: "Optional[int]" = None  # a descriptor that becomes readable at its end
        self.log: "Optional[Stream]" = None

    def begins(self, seen: "Seen") -> "None":
        self.life = end_of(self.engine, self.name, seen)
        self.epoll.register(self.life, select.EPOLLIN)
        if self.reads and seen.is_running:
            connection, rest = self.engine.logs(self.name, seen, "&follow=1")
            self.log = Stream(connection, rest, seen.known["Config"]["Tty"])
            self.epoll.register(self.log.fileno(), select.EPOLLIN)

    def suffices(self) -> "None":
        self.reads = False
        if self.log is not None:
            self.epoll.unregister(self.log.fileno())
            self.log.close()
            self.log = None

    def fileno(self) -> "int":
        return self.epoll.fileno()

    def read(self) -> "Optional[List[Tuple[int, bytes]]]":
        if self.has_more():
            assert self.log is not None
            return self.log.read()
        found: "List[Tuple[int, bytes]]" = []
        for descriptor, _ in self.epoll.poll(0):
            if descriptor == self.life:
                return None
            if self.log is not None and descriptor == self.log.fileno():
                pieces = self.log.read()
                if pieces is None:
                    self.suffices()
                found += pieces or ()
        return found

    def has_more(self) -> "bool":
        return self.log is not None and self.log.has_more()

    def close(self) -> "None":
        self.suffices()
        if self.life is not None:
            os.close(self.life)
            self.life = None
        self.epoll.close()


def last_lines(engine: "Docker", name: "str") -> "bytes":
    """Return what a container has written last, nothing where the engine does not tell."""
    try:
        seen = engine.look(name)
        if seen is None:
            return b""
        connection, rest = engine.logs(name, seen, "&tail={}".format(LAST_LINES))
        stream, found = Stream(connection, rest, seen.known["Config"]["Tty"]), b""
        while True:
            pieces = stream.read()
            if pieces is None:
                stream.close()
                return found
            found += b"".join(data for _, data in pieces)
    except (EngineDown, EngineError):
        return b""


def end_of(engine: "Docker", name: "str", seen: "Seen") -> "int":
    """Return a descriptor that becomes readable when a life ends, be it that of a request: the kernel's own are of 2019."""
    found = engine.descriptor_of_end(seen.life or "0")
    if found is not None:
        return found
    if seen.is_running and engine.is_alive(seen.life):
        return engine.api.send("POST", OF_CONTAINER.format(name) + "/wait").detach()
    return at_its_end()


def full_name(image: "str") -> "str":
    """Return an image's name with its registry, as Docker understands one without; of tag and digest, the digest."""
    name, at, digest = image.partition("@")
    first, slash, _ = name.partition("/")
    if not slash:
        name = "docker.io/library/" + name
    elif not ("." in first or ":" in first or first == "localhost"):
        name = "docker.io/" + name
    if at:
        path, colon, tag = name.rpartition(":")
        name = path if colon and "/" not in tag else name
    return name + at + digest


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Mapping, Optional, Tuple

    from engines import Presence, Seen, Wanted
    from engines.docker_api import Api
