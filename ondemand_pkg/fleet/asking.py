"""What many hosts say of their services.

Knows the command that a host is asked with, and how long and how much it may answer; hides ssh, which reads the site's own
configuration, and that several hosts are asked at once.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.frozen import frozen

AT_ONCE = 16
PATIENCE = 60.0  # seconds for a host's whole answer
CONNECT_PATIENCE = 10  # seconds
LONGEST = 16 * 1024**2  # bytes of an answer; a service has some 800
LONGEST_COMPLAINT = 4096  # bytes of what ssh says
NOT_THERE = 127  # of a shell: there is no such command
# Hosts have ondemand-host; those of the first release ondemand-pkg.  The login shell may be of any kind, this one is of POSIX.
_COMMAND = ("exec sh -c 'command -v ondemand >/dev/null && exec ondemand status --json; exec ondemand-pkg status --json'")


@frozen
class Answer:
    """What a host says: its services as `status --json` has them, or why it says nothing."""

    host: str
    services: tuple[dict[str, Any], ...] = ()
    fault: str = ""


def ask(hosts: Sequence[str]) -> Iterator[Answer]:
    """Yield the answers of hosts, in their order, each named once.  Raises OndemandError where there is no ssh."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(_ask, dict.fromkeys(hosts))


def _ask(host: str) -> Answer:
    try:
        argv = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_PATIENCE}", "--", host, _COMMAND]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise OndemandError("ssh is not installed; install openssh-client (Debian) or openssh-clients (Fedora)") from None
    assert process.stdout is not None and process.stderr is not None
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    complaint: list[bytes] = []
    listener = threading.Thread(target=_drain, args=[process.stderr, complaint], daemon=True)
    listener.start()
    try:
        text = process.stdout.read(LONGEST + 1)
        if len(text) > LONGEST:
            process.kill()
            return Answer(host, fault=f"its answer is longer than {LONGEST // 1024**2} MiB")
        status = process.wait()
        listener.join(1)  # a connection that ssh keeps for later (ControlPersist) holds the stream open
    finally:
        timed_out = not timer.is_alive()
        timer.cancel()
        process.stdout.close()
    if timed_out:
        return Answer(host, fault=f"no answer within {PATIENCE:g} s")
    return _parsed(host, text) if status == 0 else Answer(host, fault=_reason(status, b"".join(complaint)))


def _drain(stream: Any, kept: list[bytes]) -> None:
    """Read a stream to its end, and keep its beginning."""
    with stream:
        while piece := stream.read1(LONGEST_COMPLAINT):
            if sum(map(len, kept)) < LONGEST_COMPLAINT:
                kept.append(piece)


def _reason(status: int, complaint: bytes) -> str:
    if status == NOT_THERE:
        return "neither ondemand nor ondemand-pkg is installed there; install the package ondemand-host"
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else f"the command ended with status {status}"


def _parsed(host: str, text: bytes) -> Answer:
    try:
        services = json.loads(text)["services"]
        if not all(isinstance(service, dict) and isinstance(service["name"], str) and isinstance(service["state"], str)
                   for service in services):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        return Answer(host, fault="its answer is not what 'status --json' prints; does its login shell print something itself?")
    return Answer(host, tuple(services))
