"""Waiting for several things at once.

Knows who is to be called when a descriptor is ready; hides epoll(7).
"""

import select

READABLE = select.EPOLLIN


class Loop:
    """All that a process waits for."""

    def __init__(self) -> "None":
        self.epoll = select.epoll()
        self.callbacks: "Dict[int, Callable[[int, int], None]]" = {}
        self.fresh: "Set[int]" = set()  # descriptors that are watched since the last look

    def watch(self, descriptor: "int", callback: "Callable[[int, int], None]", events: "int" = READABLE) -> "None":
        """Call back with the descriptor and its events (epoll_ctl(2)) whenever there are some."""
        self.callbacks[descriptor] = callback
        self.fresh.add(descriptor)
        self.epoll.register(descriptor, events)

    def forget(self, descriptor: "int") -> "None":
        """Call back no more."""
        del self.callbacks[descriptor]
        self.epoll.unregister(descriptor)

    def closed(self, descriptor: "int") -> "None":
        """Call back no more for a descriptor that is closed now, which the kernel forgets by itself."""
        del self.callbacks[descriptor]

    def turn(self, timeout: "float") -> "None":
        """Wait at most ``timeout`` seconds (-1: for ever) for something to happen, and call who waits for it."""
        callbacks = self.callbacks
        found = self.epoll.poll(timeout, 1024)
        self.fresh.clear()
        for descriptor, mask in found:
            callback = callbacks.get(descriptor)
            # Else it was forgotten in this very turn, or closed, and another file has its number.
            if callback is not None and descriptor not in self.fresh:
                callback(descriptor, mask)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Set
