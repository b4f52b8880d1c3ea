"""What administrators may rely on when many services of a host are woken at once."""

from __future__ import annotations

import json

import pytest

from .conftest import built
from .machine import Machine

COUNT, FIRST_PORT = 20, 9000
SITE = '[package]\nversion = "1"\n' + "".join(
    f'[container.c{number}]\nimage = "nginx:1.27"\nports = ["{FIRST_PORT + number}:80"]\n' for number in range(COUNT))
PLACES = 'python3 -c "import os; print(max(4, 2 * os.cpu_count()))"'

# Runs on the host: a client for each service, all at once; meanwhile it counts who holds a place.  Prints the highest count and
# how many were answered.
AT_ONCE = """
import asyncio, json, os, sys
first, count = int(sys.argv[1]), int(sys.argv[2])

async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    answer = await asyncio.wait_for(reader.read(100), 200)
    writer.close()
    return answer.startswith(b"HTTP/1.1 200")

def holders():
    try:
        inode = os.stat("/run/ondemand/starts").st_ino
    except FileNotFoundError:
        return 0
    with open("/proc/locks") as locks:
        lines = [line.split() for line in locks if "->" not in line]
    return sum(words[1] == "POSIX" and words[5].endswith(":%d" % inode) for words in lines)

async def main():
    clients = asyncio.gather(*(client(port) for port in range(first, first + count)))
    highest = 0
    while not clients.done():
        highest = max(highest, holders())
        await asyncio.sleep(0.005)
    print(json.dumps([highest, sum(clients.result())]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def services(trixie: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    packages = built(tmp_path_factory.mktemp("starts"), SITE)
    trixie.apt_install(*(packages[f"deb/c{number}"] for number in range(COUNT)))
    return trixie


def test_a_scan_of_many_services_starts_only_some_at_one_time_and_each_client_is_answered(services: Machine) -> None:
    highest, answered = json.loads(services.run("python3", "-c", AT_ONCE, str(FIRST_PORT), str(COUNT), timeout=280).stdout)
    assert answered == COUNT
    assert 2 <= highest <= int(services.sh(PLACES))


def test_nothing_is_left_of_it_once_the_last_package_is_removed(services: Machine) -> None:
    services.run("test", "-e", "/run/ondemand/starts")
    services.sh(f"apt-get purge -y {' '.join(f'ondemand-c{number}' for number in range(COUNT))}", timeout=280)
    services.run("test", "!", "-e", "/run/ondemand")
