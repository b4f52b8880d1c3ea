"""A shop's front, its worker and its migration, whichever argv says; each reaches the cache, a Redis, by its name."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import sys
from typing import Any
from urllib.parse import urlsplit


class Cache:
    """A connection to the Redis at $CACHE_URL."""

    def __init__(self) -> None:
        place = urlsplit(os.environ["CACHE_URL"])
        self._peer = socket.create_connection((place.hostname or "", place.port or 0), timeout=60)
        self._peer.settimeout(None)
        self._said = self._peer.makefile("rb")

    def ask(self, *words: str) -> Any:
        sent = [word.encode() for word in words]
        self._peer.sendall(b"*%d\r\n" % len(sent) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in sent))
        return self._read()

    def _read(self) -> Any:
        line = self._said.readline().decode().strip()
        kind, rest = line[:1], line[1:]
        if kind == "*":
            return None if rest == "-1" else [self._read() for _ in range(int(rest))]
        if kind == "$":
            return None if rest == "-1" else self._said.read(int(rest) + 2)[:-2].decode()
        return rest


class Front(http.server.BaseHTTPRequestHandler):
    """Says at / what the migration has left, and at /order?WORD what the worker has made of the word."""

    def do_GET(self) -> None:
        cache, url = Cache(), urlsplit(self.path)
        if url.path == "/":
            found = {"schema": cache.ask("GET", "schema"), "migrations": cache.ask("GET", "migrations"), "uid": os.getuid()}
        elif url.path == "/order":
            cache.ask("LPUSH", "orders", url.query)
            found = {"sent": cache.ask("BRPOP", f"done-{url.query}", "30")}
        else:
            self.send_error(404, "no such shelf")
            return
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if sys.argv[1] == "front":
    Server(("", 8000), Front).serve_forever()
elif sys.argv[1] == "migrate":
    cache = Cache()
    cache.ask("SET", "schema", "7")
    cache.ask("INCR", "migrations")
else:
    cache = Cache()
    while True:
        _, order = cache.ask("BRPOP", "orders", "0")
        cache.ask("LPUSH", f"done-{order}", f"{os.environ['GREETING']} {order.upper()}")
