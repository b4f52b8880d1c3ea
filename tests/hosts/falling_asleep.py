"""Clients aimed at the moment in which an idle container is put to sleep.

Knows what runs on the host (a client that counts as lost is in what it prints), and how a cycle goes: wait until the container is
idle for a random time around its idle time, let clients come, see that each is answered; hides processes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .machine import Machine

CLIENTS = 7  # a cycle
FROM, TO = 0.98, 1.75  # seconds after the last traffic, where the idle time is one second

# Runs on the host: cycles for each port at once; prints for each port what clients got, and the longest time, as JSON.
_CYCLES = r"""
import asyncio, collections, json, random, sys, time
ports, cycles, clients, begin, end, limit, seed = json.loads(sys.argv[1])
async def client(port, delay):
    await asyncio.sleep(delay)
    since = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = (await asyncio.wait_for(reader.readline(), limit)).decode().strip().partition(" ")[2] or "no answer"
        await asyncio.wait_for(reader.read(), limit)
        writer.close()
    except Exception as error:
        answer = type(error).__name__
    return answer, time.monotonic() - since
async def service(port):
    chance = random.Random("{}-{}".format(seed, port))
    answers, longest = collections.Counter(), 0.0
    answers[(await client(port, 0.0))[0]] += 1
    for _ in range(cycles):
        first = chance.uniform(begin, end)
        found = await asyncio.gather(*(client(port, first + chance.uniform(0.0, 0.1)) for _ in range(clients)))
        answers.update(answer for answer, _ in found)
        longest = max([longest] + [seconds for _, seconds in found])
    return dict(answers), longest
async def main():
    return await asyncio.gather(*map(service, ports))
print(json.dumps(asyncio.run(main())))
"""


@dataclass(frozen=True)
class Seen:
    """What the clients of one service saw: how many got which answer, and how long the longest took, in seconds."""

    answers: dict[str, int]
    longest: float


def cycles(machine: Machine, ports: list[int], count: int, seed: int, limit: float = 60) -> list[Seen]:
    """Let services fall asleep so often, all at once, each with clients in that very moment."""
    about = json.dumps([ports, count, CLIENTS, FROM, TO, limit, seed])
    # A cycle takes the wait, a wake, and what a busy machine adds.
    done = machine.run("python3", "-c", _CYCLES, about, timeout=60 + count * (TO + 10) + limit)
    found: list[tuple[dict[str, Any], float]] = json.loads(done.stdout)
    return [Seen(answers, longest) for answers, longest in found]
