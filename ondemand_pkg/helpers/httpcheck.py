"""Whether the container answers a request over HTTP as declared.

Knows the one request that is sent (RFC 9112) and how its answer is judged; hides the connection.  One request at a time:
a slow answer is waited for, and a connection that broke is followed by the next at the next look.
"""

import _socket as socket
import errno
import os
import select
import time

LOOK = 0.01  # seconds between two looks
CONNECT_LOOK = 0.002  # the same while nobody listens
PATIENCE = 5.0  # seconds until a request without an answer is given up for a new one, which has twice as long
LONGEST_LINE = 256  # bytes of a status line that is judged
# What a health check says where the server expects to be told of its clients (the PROXY protocol, 2.1 UNKNOWN, 2.2 LOCAL).
HEADERS = {"": b"", "v1": b"PROXY UNKNOWN\r\n", "v2": b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"}


class HttpCheck:
    """Requests for one path; ``look`` tells whether one was answered with the wanted status."""

    def __init__(self, address: "str", port: "int", declared: "Dict[str, Any]") -> "None":
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.target = (address, port)
        self.status = declared["status"]
        self.what = "answer GET {} with status {} on port {}".format(declared["path"], self.status, port)
        host = "localhost" if port == 80 else "localhost:{}".format(port)
        self.request = HEADERS[declared["proxy_protocol"]] + (
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ondemand\r\nAccept: */*\r\nConnection: close\r\n\r\n".format(
                declared["path"], host).encode("ascii"))
        self.patience = PATIENCE
        self.last = "no answer"
        self.connection: "Optional[Socket]" = None
        self.sent = False
        self.answer = b""
        self.since = 0.0

    def look(self) -> "bool":
        """Return whether the container has answered; come back after LOOK at most."""
        try:
            connection = self.connection or self.begin()
            poll = select.poll()
            poll.register(connection, select.POLLIN if self.sent else select.POLLOUT)
            if not poll.poll(LOOK * 1000):
                if time.monotonic() - self.since > self.patience:
                    self.last = "no answer within {:g} s".format(self.patience)
                    self.patience *= 2
                    self.close()
                return False
            if not self.sent:
                self.sent = True
                fail_with(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                connection.send(self.request)  # an empty buffer has room for it
                return False
            block = connection.recv(LONGEST_LINE)
        except OSError as error:
            self.last = error.strerror or str(error)
            self.close()
            time.sleep(CONNECT_LOOK if error.errno == errno.ECONNREFUSED else LOOK)
            return False
        self.answer += block
        if block and b"\n" not in self.answer and len(self.answer) < LONGEST_LINE:
            return False
        return self.judge()

    def begin(self) -> "Socket":
        self.connection = connection = socket.socket(self.family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        connection.setblocking(False)
        self.sent = False
        self.answer = b""
        self.since = time.monotonic()
        fail_with(connection.connect_ex(self.target))
        return connection

    def judge(self) -> "bool":
        """Return whether the status line is the wanted one."""
        line = self.answer.partition(b"\n")[0].strip()
        words = line.split(None, 2)
        self.close()
        if not line:
            self.last = "the connection was closed without an answer"
        elif not line.startswith(b"HTTP/") or len(words) < 2 or not words[1].isdigit():
            self.last = 'the answer is not HTTP: "{}"'.format(line[:80].decode("ascii", "backslashreplace"))
        elif int(words[1]) == self.status:
            return True
        else:
            self.last = "status {}".format(int(words[1]))
        time.sleep(LOOK)
        return False

    def close(self) -> "None":
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def fail_with(code: "int") -> "None":
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Dict, Optional
