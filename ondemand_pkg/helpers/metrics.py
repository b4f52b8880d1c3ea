"""The numbers of this service for Prometheus, in a file that its node exporter reads.

Knows the metrics' names and the text format (https://prometheus.io/docs/instrumenting/exposition_formats/); hides that counters
are kept in the file itself, which outlives the service and the host's restart, and is replaced as a whole.

The directory is the exporter's, whose user may put there what it likes under this file's name: nothing is waited for there.
"""

import os
import re
import stat
import time

from names import NAME, PACKAGE, STATE
from process import say

BUCKETS = ("0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "+Inf")  # seconds
DURATION = "ondemand_wake_duration_seconds"
# Every service of a host has a file of its own: a text that differed between two of them would be an error to the exporter.
METRICS = (
    ("ondemand_awake", "gauge", "Whether the container is awake (1) or asleep (0)."),
    ("ondemand_connections", "gauge", "Connections of clients that were open when the file was written."),
    ("ondemand_consecutive_wake_failures", "gauge", "Wakes in a row that failed, up to the last one."),
    ("ondemand_last_wake_duration_seconds", "gauge", "How long the last wake took, to the first byte of the answer."),
    ("ondemand_last_wake_timestamp_seconds", "gauge", "When the last wake was complete, in seconds since 1970."),
    (DURATION, "histogram", "How long wakes took, to the first byte of the answer."),
    ("ondemand_wake_failures_total", "counter", "Wakes that failed."),
    ("ondemand_wakes_total", "counter", "Wakes after which the container was ready."),
)
SAMPLE = re.compile(r'(ondemand_[a-z_]+)\{name="(?:[^"\\]|\\.)*"(?:,le="([^"]*)")?\} ([0-9.e+-]+)')
LONGEST = 65536  # bytes of the file that are read; it has some 3000
TOLD = STATE + "/metrics-told"  # exists once the administrator has been told that the file can't be written


class Metrics:
    """The file of this service in a directory; each change is written at once."""

    def __init__(self, directory: "str") -> "None":
        self.path = "{}/{}.prom".format(directory, PACKAGE)
        self.values = {"ondemand_wake_failures_total": 0, "ondemand_wakes_total": 0, "ondemand_consecutive_wake_failures": 0,
                       DURATION + "_sum": 0, DURATION + "_count": 0}  # type: Values
        self.values.update(((DURATION + "_bucket", bound), 0) for bound in BUCKETS)
        try:
            self.values.update(parsed(read_own(self.path)))
        except (OSError, ValueError):
            pass  # the first wake, or no file of ours

    def woken(self, seconds: "float") -> "None":
        self.add("ondemand_wakes_total")
        self.add(DURATION + "_sum", seconds)
        self.add(DURATION + "_count")
        for bound in BUCKETS:
            if seconds <= float(bound):
                self.add((DURATION + "_bucket", bound))
        self.write(ondemand_awake=1, ondemand_last_wake_duration_seconds=seconds,
                   ondemand_last_wake_timestamp_seconds=round(time.time(), 3), ondemand_consecutive_wake_failures=0)

    def ended(self, failures: "int") -> "None":
        """The container sleeps; so many starts in a row have failed, this one too (0: it did not fail)."""
        if failures:
            self.add("ondemand_wake_failures_total")
        if "ondemand_connections" in self.values:  # systemd's proxy does not tell of them
            self.values["ondemand_connections"] = 0
        self.write(ondemand_awake=0, ondemand_consecutive_wake_failures=failures)

    def connected(self, connections: "int") -> "None":
        self.write(ondemand_connections=connections)

    def add(self, key: "Key", amount: "float" = 1) -> "None":
        self.values[key] = round(self.values.get(key, 0) + amount, 3)

    def write(self, **changes: "float") -> "None":
        self.values.update(changes)
        try:
            try:
                os.unlink(self.path + ".new")
            except FileNotFoundError:
                pass
            with open(self.path + ".new", "x") as stream:  # never through a link of who owns the directory
                os.fchmod(stream.fileno(), 0o644)
                stream.write(text(NAME, self.values))
            os.rename(self.path + ".new", self.path)
        except OSError as error:
            self.tell_once(error)

    def tell_once(self, error: "OSError") -> "None":
        try:
            with open(TOLD, "x"):
                say("can't write the metrics: {}: {}; install the node exporter's package, which creates the directory, or "
                    "declare another one with the key 'metrics'".format(self.path, error.strerror))
        except OSError:
            pass


def read_own(path: "str") -> "str":
    """Return the text of a file that this user has written; raise OSError or ValueError for anything else, at once."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ValueError(path)
        return os.read(descriptor, LONGEST).decode("ascii")
    finally:
        os.close(descriptor)


def text(name: "str", values: "Values") -> "str":
    """Return the file's text; ``values`` by the sample's name, those of buckets by (name, bound)."""
    label = 'name="{}"'.format(escaped(name))
    lines = []
    for metric, kind, meaning in METRICS:
        if kind == "histogram":
            samples = [(metric + "_bucket{{{},le=\"{}\"}}".format(label, bound), values[metric + "_bucket", bound])
                       for bound in BUCKETS]
            samples += [("{}_{}{{{}}}".format(metric, part, label), values[metric + "_" + part]) for part in ("sum", "count")]
        else:
            samples = [("{}{{{}}}".format(metric, label), values[metric])] if metric in values else []
        if samples:
            lines += ["# HELP {} {}".format(metric, meaning), "# TYPE {} {}".format(metric, kind)]
            lines += ["{} {}".format(sample, value) for sample, value in samples]
    return "\n".join(lines) + "\n"


def parsed(written: "str") -> "Values":
    """Return the values of a file's text."""
    found: "Values" = {}
    for line in written.splitlines():
        match = SAMPLE.match(line)
        if match:
            metric, bound, value = match.groups()
            found[(metric, bound) if bound else metric] = float(value) if "." in value or "e" in value else int(value)
    return found


def escaped(value: "str") -> "str":
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Tuple, Union

    Key = Union[str, Tuple[str, str]]  # a sample's name, and a bucket's bound
    Values = Dict[Key, float]
