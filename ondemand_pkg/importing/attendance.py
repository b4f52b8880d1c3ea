"""What those of a project to which nothing connects are to the others: what runs next to them, and what runs before them.

Knows how that follows from what depends on what, and that nothing may keep itself awake; hides how circles are found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from ondemand_pkg.frozen import frozen

_MOST_PASSES = 30  # in which one service after the other is looked at


@frozen
class Attendance:
    """What a service is to others, by their names: a task before some, or a companion of some and ready before some of them."""

    before: tuple[str, ...] = ()
    companion_of: tuple[str, ...] = ()


def roles(services: Collection[str], published: Collection[str], silent: Collection[str],
          dependencies: Mapping[str, Collection[str]], tasks: Iterable[str], companions: Iterable[str],
          settled: Mapping[str, Attendance] | None = None) -> dict[str, Attendance]:
    """Return what services are that nothing connects to; one that is not among them can't be kept.

    All are given by name, in the order of the project: those that clients of the host reach (``published``), those without a
    port (``silent``), and of these the ones that run to their end, and that may run next to others.  ``settled`` are roles that
    are known already.
    """
    found = dict(settled or {})
    fronts = _fronts(services, published, dependencies, silent)
    dependents: dict[str, list[str]] = {}
    for user in services:
        for name in dependencies[user]:
            dependents.setdefault(name, []).append(user)
    for name in tasks:
        if before := tuple(dependents.get(name, ())) or _others(name, fronts, dependencies):
            found[name] = Attendance(before=before)
    for name in companions:
        before = tuple(dependents.get(name, ()))
        if companion_of := before or _accompanied(name, fronts, dependencies):
            found[name] = Attendance(before, companion_of)
    _refuse_cycles(found, services, dependencies, lambda name: _accompanied(name, fronts, dependencies))
    return _anchored(found, silent)


def _refuse_cycles(roles: dict[str, Attendance], services: Collection[str],
                   dependencies: Mapping[str, Collection[str]], otherwise: Callable[[str], tuple[str, ...]]) -> None:
    """Let no companion wake a service that it runs with, or it kept itself awake; one without such a service has no role.

    ``otherwise`` says with whom one may run where that is so of all those that depend on it.
    """
    tried = set[str]()
    passes = 0
    while offenders := _offenders(roles, services, dependencies):
        passes += 1
        for name, woken in offenders if passes > _MOST_PASSES else offenders[:1]:
            role = roles[name]
            left = tuple(other for other in role.companion_of if other not in woken)
            if left:
                roles[name] = Attendance(tuple(other for other in role.before if other in left), left)
            elif role.companion_of and name not in tried and (others := otherwise(name)):
                tried.add(name)
                roles[name] = Attendance((), others)
            else:
                del roles[name]


def _offenders(roles: Mapping[str, Attendance], services: Collection[str],
               dependencies: Mapping[str, Collection[str]]) -> list[tuple[str, set[str]]]:
    """Return the services that would be kept awake by themselves, each with those of its own that it wakes; first those for which
    no other one waits."""
    starts: dict[str, list[str]] = {}
    required: dict[str, list[str]] = {}
    for name in services:
        role = roles.get(name, Attendance())
        required[name] = [other for other in dependencies[name]
                          if other in services and other not in roles and other not in role.companion_of]
        starts[name] = list(required[name])
    for helper, role in roles.items():
        for service in role.companion_of or role.before:
            if service in starts:
                starts[service].append(helper)
    found = []
    for together in _circles(starts):
        for name in together & roles.keys():
            if woken := together & {*(roles[name].companion_of or roles[name].before)}:
                if not together.isdisjoint(required[name]):
                    found.append((name, woken))
    order = {name: number for number, name in enumerate(services)}
    return sorted(found, key=lambda one: (bool(roles[one[0]].before), order[one[0]]))


def _circles(edges: Mapping[str, Sequence[str]]) -> Iterator[set[str]]:
    """Yield the sets of names that all lead to each other (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack = set[str]()
    for start in edges:
        todo = [(start, iter(edges[start]))] if start not in index else []
        while todo:
            name, following = todo[-1]
            if name not in index:
                index[name] = low[name] = len(index)
                stack.append(name)
                on_stack.add(name)
            for other in following:
                if other not in index:
                    todo.append((other, iter(edges.get(other, ()))))
                    break
                if other in on_stack:
                    low[name] = min(low[name], index[other])
            else:
                todo.pop()
                if todo:
                    low[todo[-1][0]] = min(low[todo[-1][0]], low[name])
                if low[name] == index[name]:
                    position = stack.index(name)
                    found, stack[position:] = set(stack[position:]), []
                    on_stack -= found
                    if len(found) > 1:
                        yield found


def _anchored(roles: Mapping[str, Attendance], silent: Collection[str]) -> dict[str, Attendance]:
    """Return the roles of those that run with a service which a connection wakes, or with one that does."""
    helpers: dict[str, list[str]] = {}
    for name, role in roles.items():
        for service in role.companion_of or role.before:
            helpers.setdefault(service, []).append(name)
    kept = set[str]()
    left = [service for service in helpers if service not in silent]
    while left:
        for helper in helpers.get(left.pop(), ()):
            if helper not in kept:
                kept.add(helper)
                left.append(helper)
    return {name: role for name, role in roles.items() if name in kept}


def _accompanied(name: str, fronts: Sequence[str], dependencies: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return with whom a service runs that depends on others, and no other one on it."""
    direct = tuple(other for other in fronts if other in dependencies[name])
    return direct or _others(name, fronts, dependencies) or (tuple(fronts) if dependencies[name] else ())


def _others(name: str, fronts: Sequence[str], dependencies: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return those that clients reach which a service does not need, where it needs any."""
    if not dependencies[name]:
        return ()
    needed = _closure(dependencies[name], dependencies)
    return tuple(other for other in fronts if other not in needed)


def _fronts(services: Collection[str], published: Collection[str], dependencies: Mapping[str, Collection[str]],
            silent: Collection[str]) -> list[str]:
    """Return the services that clients of the host reach.

    Where none is published, these are the services on which no other one with a port depends.
    """
    inner = {other for user in services if user not in silent for other in dependencies[user]}
    return ([other for other in services if other in published and other not in silent]
            or [other for other in services if other not in silent and other not in inner])


def _closure(names: Iterable[str], dependencies: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += dependencies.get(name, ())
    return found
