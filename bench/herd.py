"""How long the clients of many services wait that are woken at once, with and without the limit of starts.

Knows that the same services of one host are woken in both ways in turns; hides how the limit is lifted.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click
from hosts.conftest import built
from hosts.machine import Machine, fresh

from .measure import Alternative, Sample, Table, comparison, in_turns

SUITE = "trixie"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
COUNT, FIRST_PORT, MOST_RUNS = 40, 9000, 5
LIMITED, ALL = "here, as installed", "the same, all start at once"
SITE = '[package]\nversion = "1"\n' + "".join(
    f'[container.c{number}]\nimage = "nginx:1.27"\nports = ["{FIRST_PORT + number}:80"]\n' for number in range(COUNT))
LIMIT = "/usr/libexec/ondemand-c{}/starts.py"
# Runs on the host: a client for each service; prints after how many seconds the middle one and the last had
# their answers, or nothing where one had none.
CLIENTS = """
import asyncio, sys, time
first, count = int(sys.argv[1]), int(sys.argv[2])

async def client(port, begin):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    answer = await asyncio.wait_for(reader.read(100), 200)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    return time.monotonic() - begin

async def main():
    begin = time.monotonic()
    took = sorted(await asyncio.gather(*(client(port, begin) for port in range(first, first + count))))
    print(took[len(took) // 2], took[-1])

asyncio.run(main())
"""


def missing() -> str:
    """Return why this part can't run, or nothing."""
    if os.getuid() != 0:
        return "boots a host, which only root may; run it as root"
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(lacking)} not installed; tools/bench installs what the benchmark needs" if lacking else ""


def facts() -> list[tuple[str, str]]:
    """Return what is compared in one line each."""
    return [(LIMITED, f"{COUNT} sleeping services, one client each, all at once"),
            (ALL, "without the limit of starts at one time")]


def tables(runs: int) -> Iterator[Table]:
    """Measure on a host of its own, and yield what came out."""
    runs = min(runs, MOST_RUNS)
    click.echo(f"herd: {runs} rounds of 2 ways ({SUITE})", err=True)
    with tempfile.TemporaryDirectory(prefix="ondemand-bench-") as temporary, fresh(SUITE) as machine:
        packages = built(Path(temporary), SITE)
        machine.apt_install(*(packages[f"deb/c{number}"] for number in range(COUNT)))
        halves: dict[str, list[Sample]] = {LIMITED: [], ALL: []}
        lasts = in_turns([Alternative(name, partial(wake, machine, fewest, halves[name]))
                          for name, fewest in ((LIMITED, 4), (ALL, COUNT))], runs, warm_up=0)
        series = (halves, lasts)
        for what, times in zip(("half of them have", "the last has"), series, strict=True):
            yield comparison(f"{COUNT} services woken at once, until {what} answered", times, LIMITED)


def wake(machine: Machine, fewest: int, halves: list[Sample]) -> Sample:
    """Wake all services at once, so many of them at one time at least; put them to sleep again."""
    machine.sh(f"sed -i 's/^FEWEST = .*/FEWEST = {fewest}/' {LIMIT.format('*')}")
    done = machine.run("python3", "-c", CLIENTS, str(FIRST_PORT), str(COUNT), timeout=280, check=False)
    half, last = map(float, done.stdout.split()) if done.returncode == 0 else (None, None)
    halves.append(half)
    machine.sh("systemctl stop 'ondemand-*-container.service'; while docker ps -q | grep -q .; do sleep 0.1; done; sleep 1",
               timeout=280)
    return last
