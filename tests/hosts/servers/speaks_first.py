"""Greets on port 80 as a mail server does, then closes."""

import os
import signal
import socket
import threading

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def greet(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"220 hello\r\n")


listener = socket.create_server(("", 80), backlog=4096)
while True:
    threading.Thread(target=greet, args=listener.accept()[:1]).start()
