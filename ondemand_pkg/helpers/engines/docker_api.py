"""Docker's socket: requests and their answers, and the streams that some of them are.

Knows HTTP as the engine speaks it there, and the versions of its API; hides both from docker.py, which knows what is asked.  Few
imports: a client is waiting while this module loads.

Requests name the version of the API that they are written for.  An engine that no longer supports it, or not yet, refuses with
400 400 and names one that it speaks, which is kept for the wakes to come: no wake asks for it first.
"""

import _socket  # the module `socket` takes as long to load as the interpreter itself

from names import STATE

from engines import Engine, EngineDown, EngineError, EngineLeft, Output, Pending, Presence

VERSION = "1.41"  # of Docker 20.10, the oldest that the tests run
SPOKEN = STATE + "/api"  # the version of an engine that does not support that one
PING_PATIENCE = 10.0  # seconds
LONGEST_VERSION = 16  # bytes of the file SPOKEN that are read


class Refused(EngineError):
    """The engine refused a request; ``status`` is its HTTP status."""

    def __init__(self, status: "int", message: "str") -> "None":
        super().__init__(message)
        self.status = status


class Api:
    """The engine that listens on a socket.  Every request may raise EngineDown, and where it returns no status, Refused."""

    title, unit = "Docker", "docker"

    def __init__(self, path: "str") -> "None":
        self.path = path
        self.patience: "Optional[float]" = None  # seconds for each answer to a request that says nothing of them
        self.version = self.known_version()

    def known_version(self) -> "str":
        """Return the version of the API that the engine was last found to speak."""
        try:
            with open(SPOKEN) as stream:
                found = stream.read(LONGEST_VERSION).strip()
        except (OSError, ValueError):
            return VERSION
        return found if is_version(found) else VERSION

    def connected(self, timeout: "Optional[float]" = None) -> "Socket":
        """Return a socket that is connected to the engine; ``timeout`` is its own from then on.  Raises EngineDown."""
        try:
            return connected_to(self.path, timeout)
        except OSError as error:
            raise EngineDown("no {} engine answers on {} ({}); see 'systemctl status {}'".format(
                self.title, self.path, error.strerror or error, self.unit)) from None

    def send(self, method: "str", target: "str", timeout: "Optional[float]" = None, body: "Any" = None) -> "Socket":
        """Send a request, ``body`` as JSON; return the connected socket, its answer not read yet.

        ``timeout`` is in seconds, for each later read; None waits for ever.  HTTP/1.0 keeps the answer free of chunks: it ends
        where the connection ends.  Raises EngineDown.
        """
        head, content = "Host: docker\r\n", ""
        if body is not None:
            import json  # the wake itself sends nothing

            content = json.dumps(body)  # in ASCII
            head += "Content-Type: application/json\r\nContent-Length: {}\r\n".format(len(content))
        connection = self.connected(timeout)
        try:
            connection.sendall("{} /v{}{} HTTP/1.0\r\n{}\r\n{}".format(method, self.version, target, head, content).encode())
        except OSError as error:
            connection.close()
            raise EngineLeft("lost the connection to the engine: {}".format(error.strerror or error)) from None
        return connection

    def ask(self, method: "str", target: "str", timeout: "Optional[float]" = None, body: "Any" = None) -> "Tuple[int, bytes]":
        """Send a request; return the status and the body of its answer, in a version that the engine speaks."""
        timeout = self.patience if timeout is None else timeout
        status, answer = read_answer(self.send(method, target, timeout, body))
        if status == 400 and self.speaks_another(answer):
            status, answer = read_answer(self.send(method, target, timeout, body))
        return status, answer

    def speaks_another(self, answer: "bytes") -> "bool":
        """Go over to the version that a refusal names; return whether it names one.

        "client version 1.41 is too old. Minimum supported API version is 1.44, ..." or "... is too new. Maximum supported API
        version is 1.41" (versionMiddleware of the engine).
        """
        _, found, rest = answer.partition(b"supported API version is ")
        digits = rest.replace(b",", b" ").replace(b'"', b" ").split(None, 1)
        version = digits[0].decode("ascii", "replace") if found and digits else ""
        if not is_version(version) or version == self.version:
            return False
        self.version = version
        try:
            with open(SPOKEN, "w") as stream:
                stream.write(version)
        except OSError:
            pass  # the next process asks twice again
        return True

    def call(self, method: "str", target: "str", timeout: "Optional[float]" = None, body: "Any" = None) -> "Any":
        """Send a request and return its answer, parsed from JSON, or None where it is empty."""
        answer = checked(*self.ask(method, target, timeout, body))
        if not answer.strip():
            return None
        import json  # loaded where the engine is at work already

        return json.loads(answer.decode("utf-8"))

    def tolerate(self, status: "int", method: "str", target: "str") -> "None":
        """Send a request whose refusal by one status is fine."""
        try:
            self.call(method, target)
        except Refused as error:
            if error.status != status:
                raise

    def stream(self, target: "str", timeout: "Optional[float]" = None, body: "Any" = None) -> "Tuple[Socket, bytes]":
        """Return a socket that carries what a request is answered with, and what has come already."""
        connection = self.send("POST", target, timeout, body)
        status, rest = read_head(connection)
        if status >= 400:
            checked(status, b"".join([rest] + list(blocks(connection))))
        return connection, rest


class AtSocket(Engine):
    """An engine that is asked by its socket."""

    api: "Api"

    def load_rest(self) -> "None":
        import json  # noqa: F401 # of the next answer

    def bound(self, patience: "float") -> "None":
        self.api.patience = patience

    def answers(self) -> "bool":
        try:
            return self.api.ask("GET", "/_ping", PING_PATIENCE)[0] == 200
        except EngineDown:
            return False


class Request(Pending):
    """A request whose answer is still to be read."""

    def __init__(self, connection: "Socket") -> "None":
        self.connection = connection

    def fileno(self) -> "int":
        return self.connection.fileno()

    def done(self) -> "None":
        checked(*read_answer(self.connection))


class Events(Presence):
    """A request that the engine answers for as long as it is there, with what nearly never happens."""

    TARGET = "/events?filters=%7B%22type%22%3A%5B%22daemon%22%5D%7D"

    def __init__(self, connection: "Socket") -> "None":
        self.connection = connection
        self.begin = b""  # of the answer

    def has_left(self) -> "bool":
        try:
            while True:
                block = self.connection.recv(65536, _socket.MSG_DONTWAIT)
                if not block:
                    return not self.begin or b" 200 " in self.begin.split(b"\r\n")[0]  # else it refuses to tell of itself
                self.begin = self.begin or block
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> "None":
        self.connection.close()


class Stream(Output):
    """The output of a container or of a command inside one."""

    def __init__(self, connection: "Socket", rest: "bytes", is_terminal: "bool") -> "None":
        self.connection = connection
        self.rest = rest  # what has come already
        self.pieces = Pieces(is_multiplexed=not is_terminal)

    def fileno(self) -> "int":
        return self.connection.fileno()

    def read(self) -> "Optional[List[Tuple[int, bytes]]]":
        if self.rest:
            rest, self.rest = self.rest, b""
            return self.pieces.feed(rest)
        try:
            data = receive(self.connection)
        except EngineDown:
            data = b""
        return self.pieces.feed(data) if data else None

    def has_more(self) -> "bool":
        return bool(self.rest)

    def close(self) -> "None":
        self.connection.close()


class Pieces:
    """Output as the engine sends it.

    A terminal's comes raw; without one each piece has a head of eight bytes: the stream (1 stdout, 2 stderr), three zeros and
    the length, big-endian (Engine API, "Attach to a container").
    """

    def __init__(self, is_multiplexed: "bool") -> "None":
        self.is_multiplexed = is_multiplexed
        self.head = b""
        self.stream = 1
        self.left = 0  # bytes of the current piece that are still to come

    def feed(self, data: "bytes") -> "List[Tuple[int, bytes]]":
        """Return (file descriptor, bytes) of each piece of output in what the engine sent."""
        if not self.is_multiplexed:
            return [(1, data)] if data else []
        found = []
        while data:
            if self.left:
                found.append((self.stream, data[:self.left]))
                data, self.left = data[self.left:], max(0, self.left - len(data))
                continue
            missing = 8 - len(self.head)
            self.head, data = self.head + data[:missing], data[missing:]
            if len(self.head) == 8:
                self.stream = 2 if self.head[0] == 2 else 1
                self.left = int.from_bytes(self.head[4:], "big")
                self.head = b""
        return found


def connected_to(path: "str", timeout: "Optional[float]" = None) -> "Socket":
    """Return a socket that is connected to what listens on a path, with a timeout of so many seconds.  Raises OSError."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    connection.settimeout(timeout)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def is_version(text: "str") -> "bool":
    major, _, minor = text.partition(".")
    return major.isdigit() and minor.isdigit()


def read_answer(connection: "Socket") -> "Tuple[int, bytes]":
    """Read an answer and close the connection; return the status and the body.  Raises EngineDown."""
    try:
        status, rest = read_head(connection)
        return status, b"".join([rest] + list(blocks(connection)))
    finally:
        connection.close()


def read_head(connection: "Socket") -> "Tuple[int, bytes]":
    """Read an answer up to its body; return the status and the bytes of the body read so far."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = receive(connection)
        if not block:
            raise EngineLeft("the engine closed the connection")
        data += block
    head, body = data.split(b"\r\n\r\n", 1)
    return int(head.split(None, 2)[1]), body


def receive(connection: "Socket") -> "bytes":
    try:
        return connection.recv(65536)
    except _socket.timeout:
        raise EngineDown("the engine did not answer within {:g} s".format(connection.gettimeout() or 0)) from None
    except OSError as error:
        raise EngineLeft("lost the connection to the engine: {}".format(error)) from None


def blocks(connection: "Socket") -> "Iterator[bytes]":
    """Yield what the connection carries until its end."""
    while True:
        block = receive(connection)
        if not block:
            return
        yield block


def checked(status: "int", body: "bytes") -> "bytes":
    """Return the body of an answer; raise Refused with the engine's own message where it is a refusal."""
    if status < 400:
        return body
    import json

    text = body.decode("utf-8", "replace").strip()
    try:
        message = json.loads(text).get("message")
    except (ValueError, AttributeError):
        message = text if not text.startswith("[") else ""
    raise Refused(status, message or "the engine answered with status {}".format(status))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Iterator, List, Optional, Tuple
