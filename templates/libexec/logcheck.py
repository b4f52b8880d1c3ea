"""Whether the container has written the declared text since its start.

Knows the text and that it may come in pieces; hides where the output of before is to be had.
"""

import calendar
import time

from declared import readiness
from engine import Output, blocks, read_head
from names import CONTAINER


class LogCheck:
    """A text that is looked for in stdout and in stderr, each by itself."""

    def __init__(self):
        self.text = readiness()["text"].encode("utf-8")
        self.tails = {1: b"", 2: b""}
        self.seen = False

    def feed(self, stream, data):
        """Look at the next piece of one stream; return whether the text was seen yet."""
        joined = self.tails[stream] + data
        self.seen = self.seen or self.text in joined
        self.tails[stream] = joined[max(0, len(joined) - len(self.text) + 1):]
        return self.seen

    def look_back(self, engine, details):
        """Look at what a container that runs already has written since its start, so far as the engine keeps it."""
        seconds, _, fraction = details["State"]["StartedAt"].rstrip("Z").partition(".")
        since = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
        connection = engine.send("GET", "/containers/{}/logs?stdout=1&stderr=1&since={}.{:0<9}".format(
            CONTAINER, since, fraction))
        try:
            status, rest = read_head(connection)
            if status < 400:
                output = Output(multiplexed=not details["Config"]["Tty"])
                for data in [rest, *blocks(connection)]:
                    for stream, piece in output.feed(data):
                        self.feed(stream, piece)
        finally:
            connection.close()
