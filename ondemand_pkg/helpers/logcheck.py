"""Whether the container has written the declared text since its start.

Knows the text and that it may come in pieces; hides how much of the output is kept for that.
"""

from declared import readiness


class LogCheck:
    """A text that is looked for in stdout and in stderr, each by itself."""

    def __init__(self) -> "None":
        self.text = str(readiness()["text"]).encode("utf-8")
        self.tails = {1: b"", 2: b""}
        self.seen = False

    def feed(self, stream: "int", data: "bytes") -> "bool":
        """Look at the next piece of one stream; return whether the text was seen yet."""
        joined = self.tails[stream] + data
        self.seen = self.seen or self.text in joined
        self.tails[stream] = joined[max(0, len(joined) - len(self.text) + 1):]
        return self.seen

    def look_back(self, written: "Iterable[Tuple[int, bytes]]") -> "None":
        """Look at what a workload that runs already has written since its start."""
        for stream, data in written:
            self.feed(stream, data)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Tuple
