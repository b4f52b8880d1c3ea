"""Every order of what happens around one package, within bounds, each tried from the beginning.

Knows what somebody does in a scenario, how far an order may differ from the usual one, and when a client is lost; hides nothing
of what may happen (world.py).
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Iterator

from .scenarios import Scenario
from .world import World

USUAL, LATE, OTHERS = 0, 1, 2  # choices: the first action; that one only after all others; what others do next
COLD_START = 0.5  # seconds of the search's clock: the programs that are started for it take some 0.1 of them
LONGEST = COLD_START + 1  # until a client is lost that has no answer
MOST_STEPS = 2000  # until an order counts as one without an end


@dataclasses.dataclass
class Order:
    """One order of events: the choices that were not the usual ones, by the number of their step, and what was seen."""

    choices: dict[int, int]
    events: list[str] = dataclasses.field(default_factory=list)
    options: list[int] = dataclasses.field(default_factory=list)  # how many there were, at each step of the search
    free: list[bool] = dataclasses.field(default_factory=list)  # whether others could have acted in that step instead
    fault: str = ""
    said: str = ""


def follow(scenario: Scenario, choices: dict[int, int]) -> Order:
    """Let happen what was chosen, and what is usual where nothing was."""
    world, order = World(), Order(choices)
    try:
        world.connect()
        while not world.clients[0].outcome:
            step(world)
        begin = world.processes.now + scenario.after
        while world.processes.now < begin:
            step(world)
        pursue(world, scenario, order)
        order.fault = judge(world) or unanswered(world)
    except AssertionError as error:
        order.fault = f"the search itself: {error}"
    finally:
        order.said = world.said()
        world.close()
    return order


def step(world: World) -> None:
    """Let the most usual thing happen."""
    actions = world.actions()
    assert actions, "nothing can happen any more"
    actions[0][1]()


def pursue(world: World, scenario: Scenario, order: Order) -> None:
    """Follow an order from where the search begins to its end."""
    left = list(scenario.others)
    late: list[str] = []  # what is to happen after everything else that may
    for number in range(MOST_STEPS):
        actions = sorted(world.actions(), key=lambda action: action[0] in late)
        if judge(world) or not left and all(client.outcome for client in world.clients):
            return
        choice = order.choices.get(number, USUAL)
        order.options.append(len(actions))
        order.free.append(bool(left))
        if left and (choice == OTHERS or not actions):
            order.events.append(left[0])
            getattr(world, left.pop(0))()
            continue
        if not actions:
            return
        if choice == LATE and len(actions) > 1:
            late.append(actions[0][0])
            actions.append(actions.pop(0))
        name, act = actions[0]
        late = [other for other in late if other != name]
        order.events.append(name)
        act()
    raise AssertionError("no end")


def judge(world: World) -> str:
    """Return what became of a client that is lost, or nothing."""
    for client in world.clients:
        seconds = (client.until if client.outcome else world.processes.now) - client.since
        if client.outcome not in ("", "answered"):
            return f"a client is {client.outcome} after {seconds:.3f} s"
        if seconds > LONGEST:
            return f"a client is held for more than {LONGEST:g} s"
    return ""


def unanswered(world: World) -> str:
    """Return what is wrong where nothing can happen any more."""
    return "" if all(client.outcome for client in world.clients) else "a client is held, and nothing will happen any more"


def orders(scenario: Scenario, deviations: int) -> Iterator[Order]:
    """Yield every order in which others act at any moment, and at most so many times something comes later than usual.

    The first ones are those with the fewest choices, and of those the ones in which they are close to each other.
    """
    count = itertools.count()
    waiting: list[tuple[tuple[int, int, int], dict[int, int]]] = [((0, 0, 0), {})]
    seen: set[tuple[str, ...]] = set()
    while waiting:
        _, choices = heapq.heappop(waiting)
        order = follow(scenario, choices)
        if tuple(order.events) in seen:
            continue
        seen.add(tuple(order.events))
        yield order
        if order.fault:
            continue
        used = sum(choice == LATE for choice in choices.values())
        for number in range(max(choices, default=-1) + 1, len(order.options)):
            further = [OTHERS] if order.free[number] and order.options[number] else []
            further += [LATE] if used < deviations and order.options[number] > 1 else []
            for choice in further:
                more = {**choices, number: choice}
                late = sum(one == LATE for one in more.values())
                heapq.heappush(waiting, ((late, max(more) - min(more), next(count)), more))
