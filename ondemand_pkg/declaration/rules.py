"""The rules that `check` holds declarations against: the one table from which findings, help and docs/rules.md derive.

Knows each rule's name, how much weight it has, why it is one and what to do; hides nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """How much a finding weighs: a WARNING is told always, a NOTE where more is asked for (--verbose)."""

    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Rule:
    """One rule; ``key`` is the key of the declaration that a finding points at."""

    name: str
    severity: Severity
    key: str
    why: str
    remedy: str


RULES = {rule.name: rule for rule in (
    Rule("moving-tag", Severity.WARNING, "image", "An image without a tag, or tagged `latest`, is another one on each host and "
         "each day; a downgrade of the package does not bring the old one back.",
         'name a version, such as "nginx:1.27", or a digest'),
    Rule("tag-not-pinned", Severity.NOTE, "image", "A tag may be moved by who publishes the image; a digest never changes.",
         "write pin = true, or the digest behind the image: NAME:TAG@sha256:..."),
    Rule("secret-in-env", Severity.WARNING, "env", "What stands in `env` is in the package, which everybody may read, and in its "
         "repository.", "write it into /etc/ondemand/NAME.env on each host"),
    Rule("no-memory-limit", Severity.NOTE, "memory", "A container without a limit may take all memory of the host.",
         'write memory = "256m"'),
    Rule("readiness-by-port", Severity.NOTE, "ready", "A port that takes connections is not always a service that answers.",
         'write ready = { http = "/healthz" }, or { healthcheck = true } where the image has one'),
    Rule("runs-as-root", Severity.WARNING, "user", "`user` overrides the user that the image chose, with the one who may do "
         "everything. `check` asks no engine which user that is: `user = \"root\"` is told even where the image has no other, "
         "and a container without `user` is not, though its image may run as root; `ondemand-pkg init IMAGE` writes which user "
         "it has.", "leave the key out, or name another user"),
    Rule("privileged", Severity.WARNING, "create_args", "`--privileged` gives the container the host.",
         "name the capability or the device that is needed: cap_add, or --device in create_args"),
    Rule("engine-socket", Severity.WARNING, "volumes", "Who may write to the engine's socket is root of the host.",
         "do without the socket, or put a proxy before it that allows what is needed"),
    Rule("shared-volume", Severity.WARNING, "volumes", "Two containers write to one volume or directory; most servers expect to "
         "be alone with their data, and a purge of one package may delete the volume of the other.",
         "give one of them another volume, or mount it read-only (:ro)"),
    Rule("requires-unknown", Severity.NOTE, "requires", "No file of this call declares the container that is required.",
         "check all files of the site in one call, or correct the name"),
)}
