"""What runs on the host that is measured: one client, one clock; prints what it found as JSON.

Knows how a request and memory are measured; needs the standard library alone.  Hides from the numbers the way into the host
and the start of this interpreter.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PAUSE = 0.002  # seconds between two attempts to connect
PATIENCE = 60.0
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def reply(address: str, port: int) -> str:
    """Connect, ask, read to the end; return the first line of the reply."""
    with socket.create_connection((address, port), PATIENCE) as connection:
        connection.sendall(REQUEST)
        data = b""
        while block := connection.recv(65536):
            data += block
    return data.split(b"\r\n")[0].decode("latin-1")


def first(address: str, port: int) -> tuple[float, str]:
    """Return how long a request took, and the first line of its reply or the name of its error."""
    begin = time.perf_counter()
    try:
        answer = reply(address, port)
    except OSError as error:
        answer = type(error).__name__
    return time.perf_counter() - begin, answer


def by_hand(container: str, address: str, port: int) -> tuple[float, str]:
    """Start a container, ask it as soon as it accepts; return how long both took, and the first line of the reply."""
    begin = time.perf_counter()
    subprocess.run(["docker", "start", container], check=True, stdout=subprocess.DEVNULL)
    while True:
        try:
            answer = reply(address, port)
            break
        except ConnectionRefusedError as error:
            if time.perf_counter() - begin > PATIENCE:
                answer = type(error).__name__
                break
            time.sleep(PAUSE)
        except OSError as error:
            answer = type(error).__name__
            break
    return time.perf_counter() - begin, answer


def memory(units: list[str], programs: list[str]) -> dict[str, int]:
    """Return the proportional set size, in KiB, of each process that belongs to a unit or runs a program."""
    found: dict[str, int] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # a process that has just ended
            group = (directory / "cgroup").read_text().rstrip("\n").rpartition("/")[2]
            name = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            if group in units or Path(name.split(" ")[0]).name in programs:
                lines = (directory / "smaps_rollup").read_text().splitlines()
                found[f"{directory.name} {name}"] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found


if __name__ == "__main__":
    what, *arguments = json.loads(sys.argv[1])
    functions: dict[str, Callable[..., object]] = {"first": first, "by_hand": by_hand, "memory": memory}
    print(json.dumps(functions[what](*arguments)))
