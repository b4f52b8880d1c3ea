"""Answers on port 80 with its settings, and keeps in /data what it is sent."""

from __future__ import annotations

import http.server
import json
import os
import signal
from pathlib import Path

KEPT = Path("/data/kept")


class Colour(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        settings = {name: os.environ.get(name) for name in ("COLOUR", "MOTTO", "BOTH", "EMPTY")}
        body = json.dumps({"path": self.path, "kept": KEPT.read_text() if KEPT.exists() else None, **settings}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        KEPT.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self.do_GET()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
Server(("", 80), Colour).serve_forever()
