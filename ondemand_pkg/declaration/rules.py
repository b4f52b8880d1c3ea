"""The rules that `check` holds declarations against: the one table from which findings, help and docs/rules.md derive.

Knows each rule's name, how much weight it has, why it is one and what to do; hides nothing.
"""

from __future__ import annotations

import enum

from ondemand_pkg.frozen import frozen


class Severity(enum.Enum):
    """How serious a finding is: an ERROR makes `check` fail, a WARNING is always shown, a NOTE only with --verbose."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@frozen
class Rule:
    """One rule; ``key`` is the key of the declaration that a finding points at."""

    name: str
    severity: Severity
    key: str
    why: str
    remedy: str


RULES = {rule.name: rule for rule in (
    Rule("own-socket", Severity.ERROR, "create_args", "With `--network=host`, the container has the host's addresses. If systemd "
         "listens on its port there for an entry of `ports`, the container can't, and a client would be led back to where it "
         "came from; each start fails with this reason.",
         'listen on another port, as in ports = ["80:8080"], or leave the option --network out'),
    Rule("moving-tag", Severity.WARNING, "image", "An image without a tag, or tagged `latest`, can differ from host to host and "
         "from day to day; downgrading the package does not bring the old image back.",
         'specify a version, such as "nginx:1.27", or a digest'),
    Rule("tag-not-pinned", Severity.NOTE, "image", "The publisher can move a tag to another image; a digest never changes.",
         "write pin = true, or append the digest to the image: NAME:TAG@sha256:..."),
    Rule("secret-in-env", Severity.WARNING, "env", "Values in `env` end up in the package and its repository, where anyone can "
         "read them.", "write it into /etc/ondemand/NAME.env on each host"),
    Rule("secret-in-arguments", Severity.WARNING, "command", "Commands, labels, health checks and options of `create_args` end "
         "up in the package and its repository as `env` does, and are shown by `ps` and the engine's `inspect` besides.",
         "give the container a variable or a file instead: write it into /etc/ondemand/NAME.env on each host"),
    Rule("literal-variable", Severity.WARNING, "env", "Compose replaces `$NAME` and `${NAME}` in its files; a declaration is "
         "taken as it stands, so that the container would get these very characters.",
         "write the value, or leave it out here and write it into /etc/ondemand/NAME.env on each host"),
    Rule("no-memory-limit", Severity.NOTE, "memory", "A container without a limit can use all of the host's memory.",
         'write memory = "256m"'),
    Rule("readiness-by-port", Severity.NOTE, "ready", "A port can accept connections before the service is ready to "
         "answer.",
         'write ready = { http = "/healthz" }, or { healthcheck = true } where the image has one'),
    Rule("speaks-first", Severity.WARNING, "wake_on", "Clients of some servers send nothing until the server has spoken: FTP "
         "(21), SSH (22), Telnet (23), SMTP (25, 587), POP3 (110), NNTP (119), IMAP (143), MySQL and MariaDB (3306), VNC (5900). "
         "With `wake_on = \"data\"`, they never wake the container, and are closed after `data_timeout`.",
         "leave wake_on out, or silence this if clients of another port wake it"),
    Rule("stays-on-relay", Severity.NOTE, "path", "With `path = \"kernel\"`, the container sees the address of a client from "
         "outside, but not at each connection: the first one of an address in each minute goes through the relay. Connections to "
         "Unix sockets, to loopback and with `proxy_protocol`, datagrams, and clients in containers or on the host itself stay "
         "on the relay as well.",
         "silence this if that will do; else write proxy_protocol, if the server reads it"),
    Rule("proxy-under-selinux", Severity.WARNING, "proxy", "Where SELinux is enforcing, as on Fedora and Enterprise Linux, each "
         "client of `proxy = \"systemd-socket-proxyd\"` loses its connection: the policy lets systemd's proxy use only sockets "
         "that are labelled for it, and those of the package's helper are not.",
         "leave proxy out: the package's own relay works there"),
    Rule("runs-as-root", Severity.WARNING, "user", "`user` overrides the image's user with root. `check` does not inspect the "
         "image: `user = \"root\"` is reported even if the image runs as root anyway, and a container without `user` is not "
         "reported, even if its image runs as root; `ondemand-pkg init IMAGE` shows the image's user.",
         "leave the key out, or choose another user"),
    Rule("privileged", Severity.WARNING, "create_args", "`--privileged` gives the container full control of the host.",
         "grant only the capability or device that is needed: cap_add, or --device in create_args"),
    Rule("newer-option", Severity.WARNING, "create_args", "The option does not exist in every release of the engine that the "
         "supported distributions have: on hosts with an older one, the container can't be created.",
         "leave it out, or install the package on hosts with a newer engine only"),
    Rule("one-engine", Severity.NOTE, "create_args", "An option that only one engine takes makes the package that engine's "
         "alone.", "leave it out, or write the key engine too"),
    Rule("engine-socket", Severity.WARNING, "volumes", "Anyone who can write to the engine's socket is root on the host.",
         "do without the socket, or put a proxy in front of it that allows only what is needed"),
    Rule("shared-volume", Severity.WARNING, "volumes", "Two containers write to the same volume or directory; most servers "
         "expect exclusive access to their data, and purging one package can delete the other's volume.",
         "give one of them another volume, or mount it read-only (:ro)"),
    Rule("requires-unknown", Severity.NOTE, "requires", "None of the given files declares the required container.",
         "check all files of the site together, or correct the name"),
    Rule("links-unknown", Severity.WARNING, "links", "None of the given files declares the linked container. Its name leads to "
         "an address at which nothing listens, unless a package of that name is installed.",
         "check all files of the site together, or correct the name"),
    Rule("service-unknown", Severity.WARNING, "companion_of", "None of the given files declares the container for which this one "
         "is started. Without a package of that name it never runs.",
         "check all files of the site together, or correct the name"),
    Rule("requires-misspelt", Severity.WARNING, "requires", "None of the given files declares the required container, but one "
         "declares a name that differs in a letter. A package that requires one that does not exist can't be installed.",
         "correct the name, or check all files of the site together"),
    Rule("required-unreachable", Severity.WARNING, "requires", "The required container listens on 127.0.0.1 or ::1 only. These "
         "addresses lead to the container itself in each container, so this one is woken, but can't be connected to.",
         "let it listen on the engine's bridge too: ports = [\"172.17.0.1:5432:5432\"]"),
)}

SILENCEABLE = [rule.name for rule in RULES.values() if rule.severity is not Severity.ERROR]
