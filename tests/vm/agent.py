"""Runs in a virtual machine of the tests: does what comes by the virtio port, one JSON object a line, and answers each.

Knows that the port is a stream without an end of file: an empty read means that nobody outside has it open.
"""

import base64
import json
import subprocess
import time
from typing import Any

LATER = 0.1  # seconds until somebody may have opened the port


def done(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run a command; return how it ended and what it wrote."""
    try:
        ended = subprocess.run(["/bin/sh", "-c", wanted["run"]], input=base64.b64decode(wanted["stdin"]), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, timeout=wanted["timeout"], cwd="/root")
        status, output = ended.returncode, ended.stdout
    except subprocess.TimeoutExpired as error:
        status, output = 124, error.stdout or b""
    return {"id": wanted["id"], "status": status, "output": base64.b64encode(output).decode("ascii")}


def main() -> None:
    with open("/dev/virtio-ports/agent", "r+b", buffering=0) as port:
        left = b""
        said: dict[str, Any] | None = {"ready": True}
        while True:
            if said is not None:
                data = json.dumps(said).encode("ascii") + b"\n"
                while data:
                    data = data[port.write(data):]
                said = None
            line, end, rest = left.partition(b"\n")
            if end:
                left = rest
                try:
                    said = done(json.loads(line.decode("ascii")))
                except ValueError:
                    pass  # half a line, of whom went away in the middle of it
                continue
            more = port.read(1 << 20)
            left += more
            if not more:
                time.sleep(LATER)


main()
