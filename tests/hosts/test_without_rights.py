"""A user without rights tries everything that it may open, lock, bind, fill, name and signal: nothing of root's waits for it.

The attacker is one program that goes on trying while services wake, sleep, are upgraded and removed; what it got done is its
report.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import built
from .machine import Machine

SITE = """
[package]
version = "1"

[container.web]
image = "servers:1"
ports = ["8031:80", "/run/web.sock:80"]
metrics = true

[container.nap]
image       = "servers:1"
ports       = ["8032:80"]
idle        = "1s"
idle_action = "pause"
requires    = ["web"]
metrics     = true
"""
METRICS = "/var/lib/prometheus/node-exporter"
LIMIT = 30.0  # seconds for each thing that root does, on a machine that is busy with the attack

# Runs as nobody until standard input ends, then prints what it got done, as JSON.
_ATTACK = r"""
import collections, contextlib, fcntl, glob, json, os, signal, socket, stat, struct, sys, threading, time
done, kept, over = collections.defaultdict(set), [], threading.Event()
PLACES = ["/run", "/run/ondemand", "/run/ondemand-*", "/run/ondemand-*/*", "/var/lib/ondemand", "/var/lib/ondemand/*",
          "/etc/ondemand", "/etc/ondemand/*", "/usr/libexec/ondemand-*", "/usr/libexec/ondemand-*/*",
          "/usr/libexec/ondemand-*/*/*", "/usr/lib/systemd/system/ondemand-*", "/etc/systemd/system", "/run/systemd/system",
          "/run/web.sock", "/run/docker.sock", "METRICS", "METRICS/*", "/var/lib/docker",
          "/sys/fs/cgroup/system.slice/ondemand-*", "/run/systemd/private"]
NAMES = ["web.lock", "nap.lock", "control", "end", "over", "end.new", "ondemand-web.prom", "ondemand-web.prom.new",
         "web.preset", "volumes", "ondemand-web", "ondemand-new", "ask", "web.env", "__pycache__"]
WORDS = [b"version 2", b"idle", b"wake", b"hold", b"failed 9", b"failed everything", b"ready 192.0.2.1",
         b"listens 192.0.2.1", b"stopping", b"status", b"client x 1", b"answered 1", b"numbers 0 0", b"\xff" * 1000,
         b"a" * 100000, b"client " + b"9" * 900]

def places():
    for pattern in PLACES:
        yield from glob.glob(pattern)

def attempt(what, name, call):
    with contextlib.suppress(OSError, ValueError):
        result = call()
        done[what].add(name)
        return result

def open_and_lock(path):
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT):
        with contextlib.suppress(OSError):
            mode = os.stat(path).st_mode
            if stat.S_ISSOCK(mode):
                return
            descriptor = os.open(path, flags | os.O_NONBLOCK)
            kept.append(descriptor)
            if flags != os.O_RDONLY:
                done["opened for writing"].add(path)
            for how in (fcntl.LOCK_SH, fcntl.LOCK_EX):
                with contextlib.suppress(OSError):
                    fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            with contextlib.suppress(OSError):
                fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            attempt("leased", path, lambda: fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK))

def make(directory, name):
    path = os.path.join(directory, name)
    attempt("made", path, lambda: os.close(os.open(path + ".x", os.O_CREAT | os.O_EXCL | os.O_WRONLY)))
    attempt("made", path, lambda: os.mkfifo(path))
    attempt("made", path, lambda: os.mkdir(path))
    attempt("made", path, lambda: os.symlink("/dev/zero", path))
    attempt("removed", path, lambda: os.rename(path, path + ".gone"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        attempt("bound", path, lambda: one.bind(path))

def talk(path):
    for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_DGRAM):
        one = socket.socket(socket.AF_UNIX, kind)
        one.setblocking(False)
        with contextlib.suppress(OSError):
            one.connect(path)
            kept.append(one)
            for word in WORDS:
                with contextlib.suppress(OSError):
                    one.send(word)

def abstract():
    for name in ("ondemand-web", "ondemand-nap", "/run/ondemand-web/control", "/run/ondemand/web.lock", "ondemand", "notify",
                 "/org/freedesktop/systemd1/notify"):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            one.bind("\0" + name)
            kept.append(one)
    for port in (8031, 8032):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        attempt("bound", str(port), lambda: (one.bind(("", port)), one.listen()))

def disturb():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/{}/cgroup".format(pid)) as stream:
                if "/ondemand-" not in stream.read():
                    continue
            attempt("signalled", pid, lambda: os.kill(int(pid), signal.SIGSTOP))
            attempt("reniced", pid, lambda: os.setpriority(os.PRIO_PROCESS, int(pid), 19))
            attempt("looked into", pid, lambda: os.listdir("/proc/{}/fd".format(pid)))

def name():
    with contextlib.suppress(OSError):
        with open("/proc/self/comm", "w") as stream:
            stream.write("waitport")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal, contextlib.suppress(OSError):
        journal.connect("/run/systemd/journal/socket")
        for unit in ("ondemand-web-container.service", "ondemand-nap-container.service"):
            journal.send("MESSAGE=the wake failed\nSYSLOG_IDENTIFIER=ondemand-web\nUNIT={}\nONDEMAND_NAME=web\n"
                         "ONDEMAND_REASON=nobody\n".format(unit).encode())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, contextlib.suppress(OSError):
        notify.connect("/run/systemd/notify")
        notify.send(b"READY=1\nSTOPPING=1\nMAINPID=1\n")

def fill():
    for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        with contextlib.suppress(OSError):
            with open("{}/filled-{}".format(directory, os.getpid()), "wb") as stream:
                stream.write(bytes(8 * 2**20))

def ask():
    for verb in ("stop", "restart", "mask", "reset-failed", "kill"):
        for unit in ("ondemand-web.socket", "ondemand-web.service", "ondemand-web-container.service"):
            if os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "exec timeout 5 systemctl --no-ask-password {} {} >/dev/null 2>&1".format(
                    verb, unit)) == 0:
                done["asked systemd"].add(verb + " " + unit)

name(); fill(); abstract()
asking = threading.Thread(target=ask)
asking.start()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
rounds = 0
while not over.is_set():
    for path in list(places()):
        if len(kept) < 900:
            open_and_lock(path)
            if not os.path.isdir(path):
                talk(path)
        if os.path.isdir(path):
            for each in NAMES:
                make(path, each)
    disturb()
    name()
    rounds += 1
    if rounds == 1:
        print("begun", flush=True)
    if rounds % 5 == 0:  # others have their turn: what is new since then is opened too
        while len(kept) > 400:
            one = kept.pop(0)
            one.close() if hasattr(one, "close") else os.close(one)
    over.wait(0.2)
asking.join()
print(json.dumps({"rounds": rounds, "done": {key: sorted(value) for key, value in done.items()}}), flush=True)
os._exit(0)
""".replace("METRICS", METRICS)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    found = built(tmp_path_factory.mktemp("rights"), SITE)
    return [path for key, path in found.items() if key.startswith("deb/")]


@contextlib.contextmanager
def attacked(machine: Machine) -> Iterator[dict[str, object]]:
    """Let nobody try everything while the block runs; the report is there afterwards."""
    report: dict[str, object] = {}
    machine.write("/attack.py", _ATTACK)
    process = machine.start("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "python3", "/attack.py")
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    try:
        yield report
    finally:
        report.update(json.loads(process.communicate(timeout=120)[0]))


@contextlib.contextmanager
def quickly(what: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < LIMIT, what


def test_nothing_of_roots_waits_for_a_user_without_rights(host: Machine, packages: list[Path]) -> None:
    host.sh(f"mkdir -p {METRICS}")
    host.apt_install(*packages)
    assert host.get("http://127.0.0.1:8032/") == "200"
    with attacked(host) as report:
        for _ in range(3):
            for name, port in (("nap", 8032), ("web", 8031)):
                # A client, who may be anybody, cancels it.
                host.run("systemctl", "stop", f"ondemand-{name}-container.service", check=False, timeout=LIMIT)
                with quickly(f"wake {name}"):
                    assert host.get(f"http://127.0.0.1:{port}/") == "200"
        time.sleep(2)  # it naps
        with quickly("resume"):
            assert host.get("http://127.0.0.1:8032/") == "200"
        with quickly("a client of the Unix socket"):
            assert host.run("curl", "--silent", "--fail", "--unix-socket", "/run/web.sock", "http://web/").stdout
        for package in packages:
            with quickly("reinstall"):
                host.apt_install(package, options=["--reinstall"])
        with quickly("wake after the upgrade"):
            assert host.get("http://127.0.0.1:8032/") == "200"
        with quickly("remove"):
            host.run("apt-get", "purge", "-y", "ondemand-nap", "ondemand-web")
    done = report["done"]
    assert done == {} and int(str(report["rounds"])) > 3, done
    assert "ondemand" not in "".join(line for line in host.traces() if "/etc/ondemand" in line or "/run/ondemand" in line)
