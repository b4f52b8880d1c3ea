"""Asks its peer (argv: host, port) before it listens on port 80, then tells what the peer said."""

import os
import signal
import socket
import sys
import threading

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
said = threading.Event()
heard: list[bytes] = []


def hear() -> None:
    heard.append(peer.makefile("rb").readline().strip())
    said.set()


def answer(connection: socket.socket) -> None:
    with connection:
        asked_by_peer = b"told" not in connection.recv(65536)
        if not asked_by_peer:
            said.wait(60)
        connection.sendall(b"HTTP/1.0 200 my peer said " + (heard[0] if heard else b"nothing yet") + b"\r\n\r\n")


listener = socket.create_server(("", 80), backlog=4096)
threading.Thread(target=hear).start()
while True:
    threading.Thread(target=answer, args=listener.accept()[:1]).start()
