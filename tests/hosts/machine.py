"""A booted host: systemd as PID 1, an engine, apt and dnf.

Knows how a host is booted from a root file system, spoken to, rebooted and thrown away; hides systemd-nspawn,
overlays and namespaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from .roots import IMAGES, has_podman, image, root

# Where a host has Podman alone, `docker` is Podman there, for what tests ask of both; of Docker hosts the directory has nothing.
_ENVIRON = ["env", "-i", "PATH=/usr/local/lib/tests:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
            "DEBIAN_FRONTEND=noninteractive"]
_NSPAWN = ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--capability=all",
           "--system-call-filter=@keyring bpf", "--console=passive", "--quiet"]
_BOOT_TIMEOUT = 120.0

# Runs on the host: N clients at once, each sends and reads to the end; prints what each got, as JSON.
_CLIENTS = r"""
import asyncio, json, sys, time
count, address, payload, limit = json.loads(sys.argv[1])
async def client():
    begin = time.monotonic()
    try:
        if isinstance(address, str):
            reader, writer = await asyncio.open_unix_connection(address)
        else:
            reader, writer = await asyncio.open_connection(*address)
        if payload:
            writer.write(payload.encode())
            await writer.drain()
        data = await asyncio.wait_for(reader.read(65536), limit)
        while b"\r\n\r\n" not in data and payload.startswith("GET"):
            more = await asyncio.wait_for(reader.read(65536), limit)
            if not more:
                break
            data += more
        writer.close()
        result = data.decode("latin-1").split("\r\n")[0]
    except Exception as error:
        result = type(error).__name__
    return result, time.monotonic() - begin
async def main():
    return await asyncio.gather(*(client() for _ in range(count)))
print(json.dumps(asyncio.run(main())))
"""
DNF = ("dnf", "-y")
GET = "GET / HTTP/1.0\r\n\r\n"

# Images are kept, caches and logs are the package managers' own.
_TRACES = r"""
docker ps --all --format '{{.Names}} {{.State}} {{.Label "ondemand.spec"}}' | sort
docker volume ls --quiet; docker network ls --format '{{.Name}}'
ss -Hltnx | awk '{print $1, $5}' | grep -v '/run/docker\|/run/containerd\|/var/run/docker\|@' | sort
systemctl list-unit-files --no-legend; systemctl list-units --all --no-legend --plain 'ondemand*'
getent passwd; getent group
find /etc /usr /opt /srv /var/lib /var/spool /run/systemd/system /run/systemd/transient /run/systemd/generator* /run/ondemand* \
    -path /var/lib/docker -prune -o -path /var/lib/containerd -prune -o -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune \
    -o -path /var/lib/rpm -prune -o -path /var/lib/dnf -prune -o -path /var/lib/systemd/timers -prune \
    -o -name '*.cache' -o -name __pycache__ -not -path '/usr/libexec/ondemand-*' -prune -o -print 2>/dev/null | sort
"""


# Runs on the host: a new client every 20 ms until standard input ends; prints how many got what, as JSON.
_STEADY = r"""
import asyncio, collections, json, sys
found = collections.Counter()
async def client(port):
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        found[(await asyncio.wait_for(reader.readline(), 60)).decode().strip()] += 1
        writer.close()
    except Exception as error:
        found[type(error).__name__] += 1
async def main():
    clients, end = [], asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print("begun", flush=True)
    while not end.done():
        clients.append(asyncio.create_task(client(int(sys.argv[1]))))
        await asyncio.sleep(0.02)
    await asyncio.gather(*clients)
asyncio.run(main())
print(json.dumps(found))
"""


class Failed(AssertionError):
    """A command on the host ended with another status than 0."""


class Machine:
    """A host; made by ``fresh``, ``unbooted`` or ``boot_once``."""

    def __init__(self, directory: Path, binds: Sequence[str] = (), limits: bool = False) -> None:
        self.directory = directory
        self.has_podman = (directory / "usr/bin/podman").exists() and not (directory / "usr/bin/docker").exists()
        self._binds = binds
        self._limits = limits
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0
        # Of its own, for two hosts in one would share the control groups of their services.
        name = f"ondemand-host-{os.getpid()}-{id(self)}"
        self._cgroups = [mount / name for mount in (controllers() if limits else [_unified()])]

    @property
    def leader(self) -> int:
        """The process, seen from outside, whose namespaces are those of the host."""
        return self._init

    def boot(self) -> None:
        """Boot and wait until systemd has started everything and the engine answers."""
        environ = {**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes",
                   "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0" if self._limits else "1"}
        for group in self._cgroups:
            group.mkdir(exist_ok=True)
            for path in [*group.glob("cpuset.cpus"), *group.glob("cpuset.mems")]:  # nothing may run in a group without
                path.write_text((group.parent / path.name).read_text())
        enter = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'
        argv = [*_NSPAWN, "-D", str(self.directory), *(f"--bind={bind}" for bind in self._binds), "-b"]
        self._nspawn = subprocess.Popen(["sh", "-c", enter, "sh", *map(str, self._cgroups), "--", *argv], env=environ,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._init = 0
        deadline = time.monotonic() + _BOOT_TIMEOUT
        while not (self._find_init() and self._is_up()):
            if self._nspawn.poll() is not None or time.monotonic() > deadline:
                self.kill()
                assert self._nspawn.stderr is not None
                raise RuntimeError(f"the host does not boot: {self._nspawn.stderr.read().decode()}")
            time.sleep(0.05)
        self.sh("kill -55 1")  # SIGRTMIN+21: systemd tells the console nothing, which nobody reads, so that it would fill up
        if self._limits:  # systemd-nspawn mounts them read-only
            self.sh("for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,rw,bind $mount 2>/dev/null; done; true")

    def _find_init(self) -> bool:
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        with contextlib.suppress(OSError):
            for pid in children.read_text().split():
                if os.readlink(f"/proc/{pid}/exe").endswith("/systemd"):
                    self._init = int(pid)
        return self._init != 0

    def _is_up(self) -> bool:
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded") and self.run("docker", "version", check=False).returncode == 0

    def run(self, *argv: str | Path, check: bool = True, input: str | None = None, stdin: IO[bytes] | None = None,
            timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command on the host; raise Failed, with everything that it said, unless it ends with 0."""
        done = subprocess.run(["nsenter", "-t", str(self._init), "-a", "--", *_ENVIRON, *map(str, argv)], input=input,
                              stdin=stdin if input is None else None, capture_output=True, text=True, timeout=timeout,
                              errors="surrogateescape")
        if check and done.returncode:
            raise Failed(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def chroot(self, *argv: str | Path) -> str:
        """Run a command in the root file system of a host that is not booted; return what it said."""
        script = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, str(self.directory), *_ENVIRON, *map(str, argv)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command on the host; its standard input and output are pipes."""
        return subprocess.Popen(["nsenter", "-t", str(self._init), "-a", "--", *_ENVIRON, *argv], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)

    def sh(self, script: str, check: bool = True, timeout: float = 120) -> str:
        """Run a shell script on the host; return what it printed."""
        return self.run("sh", "-c", script, check=check, timeout=timeout).stdout

    def path(self, inside: str) -> Path:
        """Return where a file of the host lies outside (not below mounts of its own, such as /run)."""
        return self.directory / inside.lstrip("/")

    def copy_in(self, *paths: Path, to: str = "/root") -> list[str]:
        """Copy files to the host; return their paths there."""
        for path in paths:
            shutil.copy(path, self.path(to))
        return [f"{to}/{path.name}" for path in paths]

    def write(self, path: str, text: str) -> None:
        """Write a file on the host."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, input=text)

    def apt_install(self, *packages: Path, options: Sequence[str] = ()) -> str:
        """Install .deb files as an administrator does; return what was said."""
        done = self.run("apt-get", "install", "-y", *options, *self.copy_in(*packages))
        return done.stdout + done.stderr

    def dnf_install(self, *packages: Path) -> str:
        """Install .rpm files as an administrator does; a package stands for what the host has from Debian."""
        done = self.run(*DNF, "install", *self.copy_in(stub(), *packages))
        return done.stdout + done.stderr

    def import_image(self, name: str) -> None:
        """Give the engine one of the tests' images."""
        changes = [option for change in IMAGES[name][1] for option in ("--change", change)]
        with image(name).open("rb") as stream:
            name = f"docker.io/library/{name}" if self.has_podman else name  # as a registry would have brought it
            self.run("docker", "import", *changes, "-", name, stdin=stream, timeout=300)

    def get(self, url: str = "http://127.0.0.1/", *options: str) -> str:
        """Return the status of one HTTP request."""
        return self.run("curl", "--silent", "--show-error", "--max-time", "60", "--output", "/dev/null",
                        "--write-out", "%{http_code}", *options, url).stdout

    def until_answered(self, url: str) -> None:
        """Ask until there is an answer: after a failed start clients are turned away for a while."""
        self.sh(f"until curl --silent --fail --output /dev/null {url}; do sleep 0.05; done", timeout=60)

    def clients(self, count: int, address: tuple[str, int] | str, payload: str = GET, limit: float = 60) -> list[str]:
        """Let clients connect at once; return the first line that each got, or the name of its error."""
        return [result for result, _ in self.timed_clients(count, address, payload, limit)]

    def timed_clients(self, count: int, address: tuple[str, int] | str, payload: str = GET,
                      limit: float = 60) -> list[tuple[str, float]]:
        """Let clients connect at once; return what ``clients`` does and the seconds that it took."""
        done = self.run("sh", "-c", 'ulimit -n "$(ulimit -Hn)"; exec python3 -c "$0" "$1"', _CLIENTS,
                        json.dumps([count, address, payload, limit]), timeout=limit + 60)
        return [(result, seconds) for result, seconds in json.loads(done.stdout)]

    @contextlib.contextmanager
    def steady_clients(self, port: int) -> Iterator[Counter[str]]:
        """Let a client connect every 20 ms while the block runs; count then what they got."""
        found: Counter[str] = Counter()
        process = self.start("python3", "-c", _STEADY, str(port))
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield found
        finally:
            found.update(json.loads(process.communicate(timeout=120)[0]))

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what Docker knows of a container."""
        found: dict[str, Any] = json.loads(self.run("docker", "inspect", "--type=container", container).stdout)[0]
        return found

    def journal(self, unit: str) -> str:
        """Return what a unit and its processes said."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager").stdout

    def traces(self) -> list[str]:
        """Return everything of the host that a package could leave behind, a line a thing."""
        return self.sh(_TRACES).splitlines()

    def reboot(self) -> None:
        """Reboot the host from within; systemd-nspawn ends with 133 then and is started again."""
        self.run("systemctl", "reboot", check=False)
        self._wait_for_end()
        self.boot()

    def power_off(self) -> None:
        """Shut the host down in order."""
        self.run("systemctl", "poweroff", check=False)
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        assert self._nspawn is not None
        self._nspawn.wait(timeout=120)

    def kill(self) -> None:
        """End the host at once."""
        if self._nspawn is not None and self._nspawn.poll() is None:
            if self._init:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._init, 9)
            else:
                self._nspawn.kill()
            self._nspawn.wait()
        # systemd-nspawn makes one of this name in its own hierarchy, too.
        for group in {mount / self._cgroups[0].name for mount, _ in _hierarchies()}:
            for directory, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # a process of the host that is still on its way out
                    os.rmdir(directory)

    def evidence(self) -> str:
        """Return what explains a failed test: units, containers, the end of the journal."""
        commands = ["systemctl --failed --no-pager", "systemctl list-units --all --no-pager 'ondemand-*'", "docker ps -a",
                    "journalctl --no-pager --output=short-precise --lines=150"]
        return "\n".join(f"$ {command}\n{self.sh(command + ' 2>&1', check=False)}" for command in commands)


def _hierarchies() -> list[tuple[Path, list[str]]]:
    """Return where hierarchies of control groups are mounted, each with its controllers; of version 2 there is one, with none."""
    words = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    known = {line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines()[1:]}
    return [(Path(mount), [option for option in options.split(",") if option in known])
            for _, mount, kind, options, *_ in words if kind in ("cgroup", "cgroup2")]


def _unified() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(mount)
    raise RuntimeError("no cgroup2 file system is mounted; mount one to boot hosts")


def controllers() -> list[Path]:
    """Return where control groups of version 1 with controllers are mounted."""
    return [mount for mount, names in _hierarchies() if names]


def has_memory_controller() -> bool:
    """Return whether a host can be booted whose engine limits memory."""
    return any("memory" in names for _, names in _hierarchies())


@contextlib.contextmanager
def boot_once(directory: Path) -> Iterator[Machine]:
    """Boot a root file system as it is, changes included."""
    machine = Machine(directory)
    try:
        machine.boot()
        yield machine
    finally:
        machine.kill()


@contextlib.contextmanager
def overlay(suite: str) -> Iterator[tuple[Path, str]]:
    """Lay a writable root file system over the cached one; yield it, and a bind mount that holds what the engine stores.

    An engine's layers can't lie on an overlay: they get a directory of their own, in which the files of image layers, which
    nobody changes, are links to the cached ones.
    """
    base = root(suite)
    stored, layers = ("var/lib/containers/storage", "overlay") if has_podman(suite) else ("var/lib/docker", "overlay2")
    directory = Path(tempfile.mkdtemp(prefix="ondemand-host-", dir=base.parent))
    merged, store = directory / "root", directory / "store"
    for name in ("upper", "work", "root", "store"):
        (directory / name).mkdir()
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={base},upperdir={directory / 'upper'},workdir={directory / 'work'}", str(merged)], check=True)
    try:
        for path in (base / stored).iterdir():
            subprocess.run(["cp", "-al" if path.name == layers else "-a", str(path), str(store)], check=True)
        yield merged, f"{store}:/{stored}"
    finally:
        subprocess.run(["umount", "--lazy", str(merged)], check=True)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def unbooted(suite: str, limits: bool = False) -> Iterator[Machine]:
    """Yield a host that was not booted yet; what happens on it is gone with it.

    With ``limits`` its engine limits memory: its control groups are those of version 1, for version 2 has no controllers here.
    """
    with overlay(suite) as (merged, store):
        machine = Machine(merged, [store], limits)
        try:
            yield machine
        finally:
            machine.kill()


@contextlib.contextmanager
def fresh(suite: str, limits: bool = False) -> Iterator[Machine]:
    """Yield a booted host, as ``unbooted`` does; what happens on it is gone with it."""
    with unbooted(suite, limits) as machine:
        machine.boot()
        yield machine


def stub() -> Path:
    """Return an rpm whose provides name what the host already has, made by rpmbuild at the first call."""
    from .roots import cache

    path = cache() / "noarch/debian-host-2-1.noarch.rpm"
    if not path.exists():
        spec = path.parents[1] / "debian-host.spec"
        spec.write_text("Name: debian-host\nVersion: 2\nRelease: 1\nSummary: What the host has from Debian\nLicense: MIT\n"
                        "BuildArch: noarch\nProvides: systemd docker /bin/sh python3 iproute\n%description\nNothing.\n%files\n")
        subprocess.run(["rpmbuild", "-bb", "--quiet", f"--define=_rpmdir {path.parents[1]}",
                        f"--define=_topdir {path.parents[1]}/rpmbuild", str(spec)], check=True, capture_output=True)
    return path
