"""Answers HTTP on every port of $PORTS with what it was started with, as JSON; prints a line for each request."""

import json
import os
import signal
import socket
import sys
import threading
import time

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
time.sleep(float(os.environ.get("DELAY", "0")))


def answer(connection: socket.socket) -> None:
    with connection:
        connection.recv(65536)
        print("request", flush=True)
        body = json.dumps({"argv": sys.argv, "environ": dict(os.environ), "cwd": os.getcwd(), "uid": os.getuid(),
                           "gid": os.getgid(), "port": connection.getsockname()[1]}).encode()
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def serve(listener: socket.socket) -> None:
    while True:
        threading.Thread(target=answer, args=listener.accept()[:1]).start()


listeners = [socket.create_server(("", int(port)), backlog=4096) for port in os.environ.get("PORTS", "80").split()]
print("listening", flush=True)
for listener in listeners:
    threading.Thread(target=serve, args=(listener,)).start()
signal.pause()
