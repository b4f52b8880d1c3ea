"""Circles in a graph of names, each with those that it names.

Knows how they are found in a time that grows with the graph; hides nothing.
"""

from __future__ import annotations


def on_circles(requiring: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return what is left once names that require nothing of what is left are taken away again and again."""
    left = {name: {other for other in required if other in requiring} for name, required in requiring.items()}
    required_by: dict[str, list[str]] = {}
    for name, required in left.items():
        for other in required:
            required_by.setdefault(other, []).append(name)
    ends = [name for name, required in left.items() if not required]
    for end in ends:
        for name in required_by.get(end, ()):
            left[name].discard(end)
            if not left[name]:
                ends.append(name)
        del left[end]
    return {name: [other for other in requiring[name] if other in left] for name in left}


def shortest(start: str, requiring: dict[str, list[str]]) -> list[str]:
    """Return the shortest way from a name back to itself, without its last step, or nothing."""
    before: dict[str, str] = {}
    names = [start]
    for name in names:
        for other in requiring[name]:
            if other == start:
                way = [name]
                while way[-1] != start:
                    way.append(before[way[-1]])
                return way[::-1]
            if other not in before:
                before[other] = name
                names.append(other)
    return []
