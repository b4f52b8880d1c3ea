"""A virtual machine: a kernel of its own, systemd, Docker, and what a shared kernel can't show.

Knows how qemu is started without KVM, spoken to, and how a machine's memory is kept and brought back; hides QMP, the port of the
agent and processes.  It has no network; a client from outside is a network namespace in it.
"""

from __future__ import annotations

import base64
import itertools
import json
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QEMU = "qemu-system-x86_64"
MEMORY = 2048  # MiB
BOOT = 600.0  # seconds within which the agent must speak
COMMAND = 300.0  # seconds that one command may take unless told
_AGENT, _QMP, _CONSOLE = "agent", "qmp", "console"
_ARGV = [QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY), "-nodefaults", "-no-user-config",
         "-display", "none", "-no-reboot", "-monitor", "none", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
_KERNEL = "root=/dev/vda rw console=ttyS0 quiet mitigations=off random.trust_cpu=on panic=-1"


_ADMINISTRATOR = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"  # the domain of a login of root


class Failed(AssertionError):
    """A command in the machine ended with another status than 0, or the machine itself has ended."""


class Lines:
    """A Unix socket over which lines of JSON go to and fro."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.left = b""

    def send(self, value: dict[str, Any]) -> None:
        self.socket.sendall(json.dumps(value).encode("ascii") + b"\n")

    def receive(self, timeout: float) -> dict[str, Any]:
        """Return the next object.  Raises Failed where the other side has ended, TimeoutError."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.left:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            data = self.socket.recv(1 << 20)
            if not data:
                raise Failed("the virtual machine has ended")
            self.left += data
        line, _, self.left = self.left.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


class VirtualMachine:
    """A machine that runs until the end of the block; ``changes`` to its disk are kept or thrown away.

    ``directory`` holds the files vmlinuz, initrd and disk; ``state`` is the memory of the machine as it was when it was frozen.
    """

    def __init__(self, directory: Path, append: str = "", changes: bool = False, state: Path | None = None) -> None:
        self._directory = directory
        self._append = append
        self._changes = changes
        self._state = state
        self._numbers = itertools.count(1)

    def __enter__(self) -> VirtualMachine:
        self._own = Path(tempfile.mkdtemp(prefix="ondemand-vm-"))
        self._qemu = subprocess.Popen(self._argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._monitor = Lines(self._there(_QMP))
            self._monitor.receive(COMMAND)
            self._order("qmp_capabilities")
            self._agent = Lines(self._there(_AGENT))
            if self._state is None:
                self._agent.receive(BOOT)
            else:
                self._thaw()
        except BaseException as error:
            told = self.console()
            self.__exit__()
            if isinstance(error, TimeoutError | Failed | OSError):
                raise RuntimeError(f"the virtual machine does not start: {error}\n{told[-3000:]}") from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._qemu.kill()
        self._qemu.communicate()
        shutil.rmtree(self._own)

    def _argv(self) -> Sequence[str]:
        here = self._directory
        disk = f"file={here / 'disk'},format=raw,if=virtio,cache=unsafe,snapshot={'off' if self._changes else 'on'}"
        incoming = ["-incoming", f"exec:cat {self._state}"] if self._state is not None else []
        return [*_ARGV, "-kernel", str(here / "vmlinuz"), "-initrd", str(here / "initrd"), "-append", f"{_KERNEL} {self._append}",
                "-drive", disk, "-serial", f"file:{self._own / _CONSOLE}", "-qmp", f"unix:{self._own / _QMP},server=on,wait=off",
                "-chardev", f"socket,path={self._own / _AGENT},server=on,wait=off,id=agent",
                "-device", "virtserialport,chardev=agent,name=agent", *incoming]

    def _there(self, name: str) -> Path:
        """Return the path of a socket of qemu's once that listens."""
        while not (self._own / name).exists():
            if self._qemu.poll() is not None:
                assert self._qemu.stderr is not None
                raise Failed(self._qemu.stderr.read().decode(errors="replace"))
            time.sleep(0.02)
        return self._own / name

    def _order(self, execute: str, **arguments: Any) -> Any:
        """Have qemu itself do something."""
        self._monitor.send({"execute": execute, "arguments": arguments})
        while True:
            reply = self._monitor.receive(COMMAND)
            if "error" in reply:
                raise Failed(f"{execute}: {reply['error']}")
            if "return" in reply:
                return reply["return"]

    def _thaw(self) -> None:
        while self._order("query-status")["status"] == "inmigrate":
            time.sleep(0.02)
        self._order("cont")  # it was stopped when its memory was written
        self.sh(f"date --set=@{time.time():.0f}")  # and so was its clock

    def freeze(self, state: Path) -> None:
        """Write the machine's memory to a file; it goes on no more."""
        self._order("stop")
        self._order("migrate-set-parameters", **{"max-bandwidth": 10 << 30})
        self._order("migrate", uri=f"exec:cat > {state}")
        while (status := self._order("query-migrate").get("status")) != "completed":
            if status == "failed":
                raise Failed("the memory of the virtual machine can't be written")
            time.sleep(0.1)
        self._order("quit")
        self._qemu.wait()

    def run(self, script: str, stdin: bytes = b"", timeout: float = COMMAND) -> tuple[int, str]:
        """Run a shell script as root, logged in; return its exit status and what it wrote."""
        if "selinux=1" in self._append:
            script = f"runcon {_ADMINISTRATOR} sh -c {shlex.quote(script)}"
        number = next(self._numbers)
        self._agent.send({"id": number, "run": script, "stdin": base64.b64encode(stdin).decode("ascii"), "timeout": timeout})
        while True:
            answer = self._agent.receive(timeout + 60)
            if answer.get("id") == number:
                return answer["status"], base64.b64decode(answer["output"]).decode("utf-8", "replace")

    def sh(self, script: str, stdin: bytes = b"", timeout: float = COMMAND) -> str:
        """Do the same; raise Failed unless it ends with 0."""
        status, output = self.run(script, stdin, timeout)
        if status:
            raise Failed(f"{script} ended with {status}:\n{output}")
        return output

    def install(self, *packages: Path) -> None:
        """Install .deb files, as an administrator does."""
        for package in packages:
            self.sh(f"cat > /root/{package.name}", package.read_bytes())
        names = " ".join(f"/root/{package.name}" for package in packages)
        self.sh(f"dpkg -i {names}")

    def console(self) -> str:
        """Return what the kernel and systemd have written."""
        path = self._own / _CONSOLE
        return path.read_text(errors="replace") if path.exists() else ""
