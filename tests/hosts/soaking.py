"""Ten services of different engines on one host, clients that come at random moments, and what is left over afterwards.

Knows the services, how rounds of clients go while Docker is restarted, which clients count as lost (new or held, and without an
answer in time; not those that were forwarded to a container that Docker's restart has ended), and what of a host grows where
something leaks; hides processes.
"""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ondemand_host.systemd import FAILED

from .conftest import built
from .machine import Machine, unbooted
from .test_how_to import archives

DOCKER, PODMAN, SYSTEMD, ADOPTED = "docker", "podman", "systemd", "adopted"
IDLE = 1.0  # seconds, of each service
COLD_STARTS = 2  # before each round, and after it
PATIENCE = 120.0  # seconds after which a client gives up; it is lost long before
SITE = """
[package]
version = "1"
""" + "".join(f"""
[container.{name}]
image  = "{'static:1' if engine == SYSTEMD else 'servers:1'}"
engine = "{engine}"
ports  = ["{port}:80"]
idle   = "{IDLE:g}s"
{more}
""" for name, engine, port, more in (
    ("docker-stops", DOCKER, 9001, ""),
    ("docker-pauses", DOCKER, 9002, 'idle_action = "pause"'),
    ("docker-asked", DOCKER, 9003, 'ready = { http = "/" }'),
    ("docker-kernel", DOCKER, 9004, 'path = "kernel"'),
    ("podman-stops", PODMAN, 9005, ""),
    ("podman-pauses", PODMAN, 9006, 'idle_action = "pause"'),
    ("podman-requires", PODMAN, 9007, 'requires = ["podman-stops"]'),
    ("image-stops", SYSTEMD, 9008, 'bundle = true\noutbound = false'),
    ("image-pauses", SYSTEMD, 9009, 'bundle = true\noutbound = false\nidle_action = "pause"'),
)) + """
[adopt.unit]
unit  = "plain.service"
ports = ["9010:9110"]
idle  = "1s"
"""
PORTS = {9001: "docker-stops", 9002: "docker-pauses", 9003: "docker-asked", 9004: "docker-kernel", 9005: "podman-stops",
         9006: "podman-pauses", 9007: "podman-requires", 9008: "image-stops", 9009: "image-pauses", 9010: "unit"}
PLAIN = """[Service]
ExecStart=python3 -m http.server --bind 127.0.0.1 --directory /usr/share/doc/python3 9110
"""
# The first process of a container heeds only the signals that it asks for.
_SERVE = "trap 'exit 0' TERM; /busybox httpd -f -p 80 -h /www & wait"

# Runs on the host: each service gets clients, some at once, so often, after a random time each; prints what each client saw.
_ROUND = r"""
import asyncio, json, random, sys, time
ports, count, longest, limit, seed = json.loads(sys.argv[1])
async def client(port, delay):
    await asyncio.sleep(delay)
    since = time.time()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = (await asyncio.wait_for(reader.readline(), limit)).decode().strip().partition(" ")[2] or "no answer"
        await asyncio.wait_for(reader.read(), limit)
        writer.close()
    except Exception as error:
        answer = type(error).__name__
    return port, since, time.time(), answer
async def service(port):
    chance = random.Random("{}-{}".format(seed, port))
    found = []
    for _ in range(count):
        first = chance.uniform(0.0, longest)
        found += await asyncio.gather(*(client(port, first + chance.uniform(0.0, 0.3)) for _ in range(chance.randint(1, 4))))
    return found
async def main():
    return sum(await asyncio.gather(*map(service, ports)), [])
print(json.dumps(asyncio.run(main())))
"""
# Of a service that sleeps, none of these is there; of the host's own, none may become more.
_COUNTS = """
for name in dockerd containerd containerd-shim conmon podman docker-proxy relay run waitport python3 busybox systemd; do
    echo "processes $name $(pgrep -c -x "$name")"
done
echo "processes all $(ls -d /proc/[0-9]* | wc -l)"
for pid in 1 $(pgrep -x 'dockerd|containerd|systemd-journal|dbus-daemon'); do
    echo "descriptors $(cat /proc/$pid/comm) $(ls /proc/$pid/fd | wc -l)"
    echo "KiB $(cat /proc/$pid/comm) $(sed -n 's/^Anonymous: *\\([0-9]*\\).*/\\1/p' /proc/$pid/smaps_rollup)"
done
echo "mounts all $(wc -l </proc/self/mountinfo)"
echo "interfaces all $(ls /sys/class/net | wc -l)"
echo "namespaces network $(ls /run/netns 2>/dev/null | wc -l)"
echo "groups all $(find /sys/fs/cgroup/system.slice /sys/fs/cgroup/machine.slice -type d 2>/dev/null | wc -l)"
echo "files /run $(find /run/ondemand* /run/systemd/transient /run/systemd/system 2>/dev/null | wc -l)"
echo "files /tmp $(find /tmp /var/tmp -mindepth 1 | wc -l)"
echo "containers docker $(docker ps --all --quiet | wc -l)"
echo "containers podman $(podman ps --all --quiet | wc -l)"
echo "rules nftables $(nft list ruleset | grep -c -v '^[[:space:]]*$')"
echo "units failed $(systemctl list-units --failed --no-legend | wc -l)"
"""
# What may be more at the end: a process of the engine's that is on its way out, and what programs keep once they have used it.
SLACK = {"processes": 2, "descriptors": 8, "KiB": 16384, "groups": 2}


@dataclass
class Tally:
    """What clients saw so far, by service."""

    clients: Counter[str] = field(default_factory=Counter)
    lost: list[tuple[str, float, float, str]] = field(default_factory=list)  # service, seconds waited and allowed, what came
    ended: Counter[str] = field(default_factory=Counter)  # by a restart of the engine under their container
    longest: dict[str, float] = field(default_factory=dict)
    restarts: int = 0
    limit: float = 0.0  # the longest cold start and a second, in seconds


@contextmanager
def host(directory: Path) -> Iterator[Machine]:
    """Yield a booted host with the ten services, all asleep."""
    debs = archives("podman", "crun", "conmon", "netavark", "aardvark-dns", "passt", "nftables", "catatonit")
    with unbooted("trixie") as machine:
        machine.chroot("apt-get", "-y", "install", *machine.copy_in(*debs))
        machine.boot()
        machine.write("/etc/containers/containers.conf", "[containers]\npids_limit = 0\n")
        # The host's own root is an overlay, on which no other one can lie; Docker's directory is not.
        machine.write("/etc/containers/storage.conf", '[storage]\ndriver = "overlay"\ngraphroot = "/var/lib/docker/podman"\n'
                                                      'runroot = "/run/containers/storage"\n')
        with tarfile.open(machine.directory / "root/static.tar", "w") as archive:
            archive.add("/bin/busybox", "busybox")
            page = tarfile.TarInfo("www/index.html")
            page.size = 2
            archive.addfile(page, io.BytesIO(b"ok"))
        entrypoint = json.dumps(["/busybox", "sh", "-c", _SERVE])
        machine.run("docker", "import", "--change", f"ENTRYPOINT {entrypoint}", "/root/static.tar", "static:1")
        machine.sh("docker tag servers:1 docker.io/library/servers:1; docker save servers:1 | podman load", timeout=300)
        machine.sh("podman tag localhost/servers:1 docker.io/library/servers:1", check=False)
        machine.write("/etc/systemd/system/plain.service", PLAIN)
        machine.run("systemctl", "daemon-reload")
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = f"unix:///proc/{machine.leader}/root/run/docker.sock"  # its image goes into two packages
        try:
            packages = built(directory, SITE)
        finally:
            os.environ.pop("DOCKER_HOST")
            if before is not None:
                os.environ["DOCKER_HOST"] = before
        machine.apt_install(*(path for key, path in packages.items() if key.startswith("deb/")))
        yield machine


def records(machine: Machine, kind: str) -> list[dict[str, str]]:
    """Return the records of a kind (ondemand_host/systemd.py) in the journal, the oldest first."""
    text = machine.sh(f"journalctl --sync; journalctl --output=json MESSAGE_ID={kind} || :")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def lines(machine: Machine) -> int:
    """Return how many lines the journal has of the services and of the engine."""
    return int(machine.sh("journalctl --sync; journalctl --output=cat --unit='ondemand*' --unit=docker | wc -l"))


def until_asleep(machine: Machine) -> None:
    """Wait until no service is awake; what sleeps paused is stopped."""
    names = [*PORTS.values()]
    for name in names:
        if name.endswith("-pauses"):
            machine.sh(f"ondemand_unit=ondemand-{name}; until [ \"$(systemctl show -p StatusText --value "
                       "$ondemand_unit-container)\" = paused ] || ! systemctl is-active -q $ondemand_unit-container; "
                       "do sleep 0.1; done; systemctl stop $ondemand_unit-container", timeout=120)
    for name in names:
        machine.sh(f"while systemctl is-active -q ondemand-{name}.service ondemand-{name}-container.service; do sleep 0.1; done",
                   timeout=120)


def counts(machine: Machine) -> dict[str, int]:
    """Return what there is of each thing that may leak, while all sleep."""
    until_asleep(machine)
    # A service of Podman's ends some seconds after its last client.
    machine.sh("until ! pgrep -f '[p]odman.* system service'; do sleep 0.2; done", timeout=60)
    found: dict[str, int] = {}
    for line in machine.sh(_COUNTS).splitlines():
        kind, name, number = line.split()
        found[f"{kind} {name}"] = found.get(f"{kind} {name}", 0) + int(number)
    return found


def leaked(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Return what has become more than it may."""
    return [f"{key}: {before.get(key, 0)} before, {number} after" for key, number in after.items()
            if number > before.get(key, 0) + SLACK.get(key.partition(" ")[0], 0)]


def cold_start(machine: Machine) -> float:
    """Return the longest of some first requests, in seconds, where all services are woken at once."""
    longest = 0.0
    for _ in range(COLD_STARTS):
        until_asleep(machine)
        begin = time.monotonic()
        machine.sh("for port in {}; do curl --silent --fail --output /dev/null http://127.0.0.1:$port/ & done; wait".format(
            " ".join(map(str, PORTS))))
        longest = max(longest, time.monotonic() - begin)
    return longest


def round_of(machine: Machine, tally: Tally, count: int, seed: str) -> None:
    """Let clients come to each service so many times, and restart Docker once meanwhile, at a random moment.

    Each must have an answer within a cold start and a second, not counting the time in which Docker is away and starts again.
    """
    limit = cold_start(machine) + 1
    chance = random.Random(seed)
    moment = chance.uniform(1.0, count * 2.0)
    window: list[float] = []

    def restart() -> None:
        time.sleep(moment)
        window.append(time.time())
        machine.sh("systemctl restart docker.service", timeout=300)
        window.append(time.time())

    thread = threading.Thread(target=restart)
    thread.start()
    about = json.dumps([[*PORTS], count, 3 * IDLE, PATIENCE, seed])
    done = machine.run("python3", "-c", _ROUND, about, timeout=PATIENCE + count * (3 * IDLE + 30))
    thread.join()
    limit = max(limit, cold_start(machine) + 1)  # the machine may have become busier
    failed = {record["ONDEMAND_NAME"] for record in records(machine, FAILED)
              if window[0] <= int(record["__REALTIME_TIMESTAMP"]) / 1e6 <= window[1] + limit}
    tally.restarts += 1
    tally.limit = max(tally.limit, limit)
    for port, begin, end, answer in json.loads(done.stdout):
        name, waited = PORTS[port], end - begin
        meets = name.startswith(DOCKER) and begin < window[1] and end > window[0]
        if meets:
            waited -= min(end, window[1]) - max(begin, window[0])
        tally.clients[name] += 1
        tally.longest[name] = max(tally.longest.get(name, 0.0), waited)
        if meets and answer in ("ConnectionResetError", "no answer") and name not in failed:
            tally.ended[name] += 1  # it was forwarded to a container that the restart has ended
        elif not answer.endswith("200 OK") or waited > limit:
            tally.lost.append((name, waited, limit, answer))
