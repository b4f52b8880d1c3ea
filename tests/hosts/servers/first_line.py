"""Answers on port 80 with the first line that it is sent."""

import os
import signal
import socket

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

listener = socket.create_server(("", 80))
while True:
    connection, _ = listener.accept()
    with connection:
        data = b""
        while not data.endswith(b"\n") and (block := connection.recv(1)):
            data += block
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # what is not read would make an abort of the end
            pass
