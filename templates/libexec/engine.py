"""The Docker engine, asked over its Unix socket.

Knows HTTP as the engine speaks it there and the few requests that the helpers need; hides
sockets, headers and status codes behind plain calls.  Written for Python 3.6, standard
library only, with the fewest imports: a client is waiting while this file loads.
"""

import _socket  # the module `socket` takes as long to load as the interpreter itself

from names import Failure

ENGINE_SOCKET = "/run/docker.sock"


class EngineError(Exception):
    """The engine refused a request; ``status`` is its HTTP status, the text its own message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class EngineDown(Exception):
    """Nobody answers on the engine's socket, or it went away in the middle of an answer."""


class Engine:
    """One engine, by the path of its socket."""

    def __init__(self, path=ENGINE_SOCKET):
        self.path = path

    def send(self, method, target, timeout=None, body=None):
        """Send a request, ``body`` as JSON; return the connected socket, its answer not read yet.

        ``timeout`` is in seconds, for each later read; None waits for ever.  HTTP/1.0 keeps
        the answer free of chunks: it ends where the connection ends.  Raises EngineDown.
        """
        head, content = "Host: docker\r\n", ""
        if body is not None:
            import json  # the wake itself sends nothing

            content = json.dumps(body)  # in ASCII
            head += "Content-Type: application/json\r\nContent-Length: {}\r\n".format(len(content))
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        connection.settimeout(timeout)
        try:
            connection.connect(self.path)
            connection.sendall("{} {} HTTP/1.0\r\n{}\r\n{}".format(method, target, head, content).encode())
        except OSError as error:
            connection.close()
            raise EngineDown("no Docker engine answers on {} ({}), 'systemctl status docker' tells why".format(
                self.path, error.strerror or error)) from None
        return connection

    def ask(self, method, target, timeout=None, body=None):
        """Send a request; return the status and the body of its answer.  Raises EngineDown."""
        return read_answer(self.send(method, target, timeout, body))

    def call(self, method, target, timeout=None, body=None):
        """Send a request and return its answer, parsed from JSON, or None where it is empty.

        Raises EngineDown, and EngineError where the status is 400 or more.
        """
        answer = checked(*self.ask(method, target, timeout, body))
        if not answer.strip():
            return None
        import json  # loaded where the engine is at work already

        return json.loads(answer.decode("utf-8"))

    def ping(self):
        """Return whether the engine answers within 10 seconds."""
        try:
            return self.ask("GET", "/_ping", timeout=10)[0] == 200
        except EngineDown:
            return False

    def inspect(self, name):
        """Return what the engine knows of a container, or None where there is no such container."""
        try:
            return self.call("GET", "/containers/{}/json".format(name))
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def has_image(self, name):
        """Return whether the engine has an image."""
        status, body = self.ask("GET", "/images/{}/json".format(name))
        if status != 404:
            checked(status, body)
        return status != 404

    def attach(self, name):
        """Return a socket that carries the output of a container from now on, and what has come already."""
        return self.stream("/containers/{}/attach?stream=1&stdout=1&stderr=1".format(name))

    def stream(self, target, timeout=None, body=None):
        """Return a socket that carries what a request is answered with, and what has come already.

        Raises EngineDown, and EngineError where the status is 400 or more.
        """
        connection = self.send("POST", target, timeout, body)
        status, rest = read_head(connection)
        if status >= 400:
            checked(status, b"".join([rest, *blocks(connection)]))
        return connection, rest


def read_answer(connection):
    """Read an answer and close the connection; return the status and the body.  Raises EngineDown."""
    try:
        status, rest = read_head(connection)
        return status, b"".join([rest, *blocks(connection)])
    finally:
        connection.close()


def read_head(connection):
    """Read an answer up to its body; return the status and the bytes of the body read so far."""
    data = b""
    while b"\r\n\r\n" not in data:
        block = receive(connection)
        if not block:
            raise EngineDown("the engine closed the connection")
        data += block
    head, body = data.split(b"\r\n\r\n", 1)
    return int(head.split(None, 2)[1]), body


def receive(connection):
    try:
        return connection.recv(65536)
    except OSError as error:
        raise EngineDown("the engine's answer broke off: {}".format(error)) from None


def blocks(connection):
    """Yield what the connection carries until its end."""
    while True:
        block = receive(connection)
        if not block:
            return
        yield block


def addresses_of(engine, details):
    """Return the addresses under which the host reaches a container: one, or an IPv4 and an IPv6 one.  Raises Failure."""
    mode = details["HostConfig"]["NetworkMode"]
    if mode == "host":
        return ["127.0.0.1", "::1"]
    if mode.startswith("container:"):
        return addresses_of(engine, engine.inspect(mode.partition(":")[2]))
    for network in (details["NetworkSettings"].get("Networks") or {}).values():
        addresses = [network[key] for key in ("IPAddress", "GlobalIPv6Address") if network.get(key)]
        if addresses:
            return addresses
    raise Failure("the container has no address (network mode '{}'), so no connection can reach it; "
                  "declare it without that network option".format(mode))


def checked(status, body):
    """Return the body of an answer; raise EngineError with the engine's own message where it is a refusal."""
    if status < 400:
        return body
    import json

    text = body.decode("utf-8", "replace").strip()
    try:
        message = json.loads(text).get("message")
    except (ValueError, AttributeError):
        message = text if not text.startswith("[") else ""
    raise EngineError(status, message or "the engine answered {}".format(status))


class Output:
    """The output of a container, as it comes from the engine.

    With a terminal it comes raw; without one each piece has a head of eight bytes: the stream (1 stdout, 2 stderr), three
    zeros and the length, big-endian (Engine API, "Attach to a container").
    """

    def __init__(self, multiplexed):
        self.multiplexed = multiplexed
        self.head = b""
        self.stream = 1
        self.left = 0  # bytes of the current piece that are still to come

    def feed(self, data):
        """Return (file descriptor, bytes) of each piece of output in what the engine sent."""
        if not self.multiplexed:
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
