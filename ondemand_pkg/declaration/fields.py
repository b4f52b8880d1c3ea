"""The keys of a declaration: the one table from which parsing, errors, help, reference and schema derive.

Knows each key, where it may stand, what it takes and what it does; hides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ondemand_pkg.declaration import (
    attendance,
    calendar_values,
    container_values,
    exclusions,
    hours_values,
    network_values,
    package_values,
    refusals,
    replicated,
    shared_network,
    unpacked,
    values,
    waking_values,
)
from ondemand_pkg.declaration.capabilities import CAPABILITY
from ondemand_pkg.declaration.rules import SILENCEABLE
from ondemand_pkg.declaration.values import Value
from ondemand_pkg.engines import references
from ondemand_pkg.frozen import frozen
from ondemand_pkg.model import (
    ANY_ENGINE,
    EACH_VERSION,
    EACH_WAKE,
    KERNEL,
    METRICS_DIRECTORY,
    RELAY,
    SOCKET_PROXYD,
    TcpAddress,
)
from ondemand_pkg.waking import CONNECTION, DATA

NAME = values.pattern(r"[a-z0-9][a-z0-9.+-]*", "lower-case letters, digits, '.', '+' and '-', a letter or digit first")
LONGEST_NAME = 100
RESERVED = ("pkg", "host", "net", "archive-keyring")  # other packages are called so, behind ondemand-
# A container of such a name would take the units or the containers of another one for its own.
TAKEN_ENDINGS = {
    "-container": "its units would collide with those of the container {stem!r}",
    ".previous": "its container would collide with the one kept from before an upgrade of {stem!r}",
    ".next": "its container would collide with the one made during an upgrade of {stem!r}",
}


@frozen
class Field:
    """One key.

    ``in_package`` tells whether ``[package]`` may hold it as a default.
    """

    key: str
    value: Value
    help: str
    example: str
    default: str = ""
    in_package: bool = False
    required: bool = False


_REFERENCE = (r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]+)?/)?"
              r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*"
              r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?")
IMAGE = values.pattern(_REFERENCE,
                       'an image as Docker names it, such as "nginx:1.27" or "registry.example:5000/web@sha256:..."')
_PATH = values.pattern(r"/[^\0]*", "an absolute path")
_USER = values.pattern(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]*)?",
                       '"USER" or "USER:GROUP", names or numbers')
_ENV_KEY = values.pattern(r"[^=\s]+", "a name without '=' and white space")
_LABEL_KEY = values.pattern(r"(?!ondemand\.)[^=\s]+", "a name without '=' and white space that does not begin with 'ondemand.'")
_MAINTAINER = values.pattern(r"[^<>,]+ <[^\s<>@,]+@[^\s<>@,]+>", '"NAME <MAIL@ADDRESS>"')
_HOMEPAGE = values.pattern(r"https?://[!-~]+", "a URL that begins with http:// or https://")
_LICENSE = values.pattern(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*",
                          'an SPDX expression, such as "MIT" or "MIT OR Apache-2.0"')

FIELDS: tuple[Field, ...] = (
    Field("version", package_values.VERSION, "Upstream version of the package.", '"1.27.0"', in_package=True, required=True),
    Field("release", values.integer(1, 999999), "Packaging revision: 1.27.0-1 in both formats.", "1", "1", in_package=True),
    Field("maintainer", _MAINTAINER, "Package maintainer.", '"Platform Team <platform@example.com>"',
          in_package=True),
    Field("homepage", _HOMEPAGE, "Project URL.", '"https://intranet.example/web"', in_package=True),
    Field("license", _LICENSE, "License of the package, an SPDX expression.", '"MIT"', in_package=True),
    Field("depends", package_values.DEPENDS, "Extra package dependencies, in addition to those that are added automatically.",
          '{ deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }', in_package=True),
    Field("changelog", values.array(package_values.RELEASE_ENTRY), "Changelog, newest entry first; unless SOURCE_DATE_EPOCH is "
          "set, the newest date becomes the timestamp of everything in the package.",
          '[{ date = 2025-03-01, version = "1.27.0-1", changes = ["New upstream release."] }]', in_package=True),
    Field("description", values.line("a line of text", 200), "What the container does, in one line.",
          '"Company web front"'),
    Field("image", IMAGE, "The image, by tag or digest.", '"nginx:1.27"', required=True),
    Field("pin", values.BOOLEAN, "Resolve the image's tag to a digest at build time, so that every host runs the same image; "
          "needs a Docker engine that reaches the image's registry.", "true", "false"),
    Field("bundle", values.BOOLEAN, "Include the image in the package, for hosts without access to a registry; needs a Docker "
          "engine at build time.", "true", "false"),
    Field("engine", container_values.ENGINE, "The container engine: \"any\" takes the one that the host has when the container "
          "is first made, Docker where it has both, and stays with it; \"systemd\" needs none: systemd itself runs the image, "
          "which is unpacked on the host; \"swarm\" makes a service of the Docker swarm "
          "of which the host is a manager.", '"podman"', f'"{ANY_ENGINE}"', in_package=True),
    Field("outbound", values.BOOLEAN, "Whether the container can connect to other hosts and to this one. Only for engine = "
          "\"systemd\", which can't let it do so yet: false must be written there.", "false", "true"),
    Field("replicas", replicated.REPLICAS, "How many tasks of the service run while it is awake. Only for engine = "
          "\"swarm\".", "2", "1"),
    Field("node", replicated.NODE, "The node of the swarm, by its hostname, on which the service runs. Needed for 'volumes', "
          "which stay on one node. Only for engine = \"swarm\".", '"db1"'),
    Field("ports", values.array(container_values.PORT, 1), "Addresses that the host listens on, each forwarded to a port of the "
          "container: [ADDRESS:]LISTEN:CONTAINER (127.0.0.1:9000:9000, [::1]:9001:9001), with /udp behind it for datagrams "
          "(27015:27015/udp), or PATH:CONTAINER (/run/web.sock:8080) for a Unix socket. Required unless 'expose', "
          "'companion_of' or 'task' is declared.", '["80:8080"]'),
    Field("expose", network_values.EXPOSE, "Ports that other on-demand containers of the host reach, at an address of the "
          "container's own, under its declared name, with /udp behind those for datagrams; clients outside the host can't reach "
          "them.", '["8080"]'),
    Field("address", network_values.ADDRESS, "The address of what is exposed, where two containers would have the same one.",
          '"198.18.0.5"', "follows from the name"),
    Field("aliases", values.array(network_values.ALIAS), "More names under which other containers reach what is exposed.",
          '["database"]', "[]"),
    Field("links", values.array(network_values.LINK), "On-demand containers that this one reaches by name: a connection wakes "
          "them. Links are no dependencies of the packages and have no order; cycles are allowed.",
          '["db", "cache:redis"]', "[]"),
    Field("companion_of", values.array(NAME, 1), "Other containers, by declared name, next to which this one runs, such as the "
          "application of a worker: it is started when one of them wakes and stopped when the last of them sleeps. A companion "
          "with ports is woken by its own clients too, and stays awake while one is connected.", '["web"]'),
    Field("network_of", NAME, "Another container, by declared name, whose network this one has instead of one of its own, such "
          "as a VPN gateway: it is woken first and kept awake, this one runs only as long as it does, and its package becomes a "
          "dependency of this one.", '"vpn"', "a network of its own"),
    Field("excludes", values.array(NAME, 1), "Other containers, by declared name, that are never awake at the same time, such as "
          "others that need the same graphics card. If one of them is awake and nobody is connected to it, a client of this one "
          "puts it to sleep at once; else the client waits. It counts in both directions.", '["llm-b"]', "[]"),
    Field("excludes_timeout", values.TIME_SPAN, "How long a client waits for a container in 'excludes' that is in use; then it "
          "is reset.", '"5min"', '"2min"'),
    Field("before", values.array(NAME, 1), "Other containers, by declared name, that start only once this task has ended with "
          "success, or, of those in 'companion_of', once this companion is ready; if it fails, their wake fails.",
          '["web"]', "[]"),
    Field("task", values.BOOLEAN, "The container runs to its end, such as a migration, at a wake of a container in 'before', "
          "which starts once the task has exited with status 0, or by 'schedule'.", "true", "false"),
    Field("when", values.choice(EACH_VERSION, EACH_WAKE), "How often a task runs: until it has succeeded once for a version and "
          "release of its package, or at each wake.", f'"{EACH_WAKE}"', f'"{EACH_VERSION}"'),
    Field("schedule", calendar_values.EVENTS, "When a task runs by the clock and not before others, in the host's time zone "
          "unless one is named. If the host was off then, it runs once at the next boot.", '"03:30"'),
    Field("task_timeout", values.TIME_SPAN, "How long a task may take; then it is stopped, and has failed.",
          '"2h"', '"30min"'),
    Field("command", values.array(values.ARGUMENT), "Command to run instead of the image's.",
          '["serve", "--fast"]'),
    Field("entrypoint", values.array(values.ARGUMENT), "Entry point to use instead of the image's; empty for none.",
          '["/entry"]'),
    Field("env", values.mapping(_ENV_KEY, values.ARGUMENT), "Environment variables of the container; /etc/ondemand/NAME.env on "
          "the host overrides them.", '{ MODE = "production" }'),
    Field("volumes", values.array(container_values.VOLUME), "Named volumes and host directories to mount.",
          '["web-data:/var/lib/web", "/etc/web:/etc/web:ro"]'),
    Field("purge_volumes", values.BOOLEAN, "Delete the named volumes when the .deb is purged; volumes are never deleted "
          "otherwise.", "true", "false"),
    Field("user", _USER, "User, and optionally group, in the container.", '"1000:1000"'),
    Field("workdir", _PATH, "Working directory in the container.", '"/srv"'),
    Field("memory", container_values.MEMORY, "Memory limit.", '"256m"'),
    Field("cpus", container_values.CPUS, "CPU limit, in processors.", "1.5"),
    Field("read_only", values.BOOLEAN, "Mount the container's root file system read-only.", "true", "false"),
    Field("tmpfs", values.array(values.pattern(r"/[^\0:]*(?::[A-Za-z0-9=,%_.:-]+)?",
                                               'a path, optionally followed by options such as ":size=64m"')),
          "Temporary file systems in the container.", '["/tmp"]'),
    Field("cap_drop", values.array(CAPABILITY), "Capabilities to drop.", '["ALL"]'),
    Field("cap_add", values.array(CAPABILITY), "Capabilities to add.", '["NET_BIND_SERVICE"]'),
    Field("labels", values.mapping(_LABEL_KEY, values.ARGUMENT), "Labels of the container.", '{ team = "web" }'),
    Field("stop_timeout", container_values.STOP_TIMEOUT, "Time to wait for the container to stop before killing it.", '"10s"',
          '"10s"'),
    Field("log_limit", container_values.LOG_LIMIT, "How much of its output Docker keeps, beside the journal, where it writes it "
          "into files; the oldest goes first. It counts for containers that are made from then on, and changes none.", '"50m"',
          '"10m"'),
    Field("create_args", container_values.CREATE_ARGS, "Options passed to 'docker create' unchanged: for settings without "
          "a key here.", '["--shm-size=64m"]'),
    Field("ready", container_values.READY, "Readiness check; clients wait until it succeeds.",
          '{ http = "/healthz" }', '"tcp", without ports "started"'),
    Field("udp_timeout", container_values.UDP_TIMEOUT, "Forget a client of a UDP port after this long without a datagram "
          "from it; its next datagram reaches the server from another port.", '"30min"', '"5min"'),
    Field("idle", container_values.IDLE, "Stop the container after this long without traffic, 5min at least while a client "
          "waits for an answer; \"never\" keeps it running once woken.", '"10min"', '"never"'),
    Field("wake_at", calendar_values.EVENTS, "Wake the container at these moments without a client, in the host's time zone "
          "unless one is named; without traffic it sleeps again after 'idle'.", '"Mon..Fri 07:45"'),
    Field("keep_awake", hours_values.HOURS, "Hours in which 'idle' does not put the container to sleep, in the host's time zone; "
          "it is woken when they begin. An end before the beginning is on the next day, 24:00 is midnight. Needs 'idle', which "
          "counts from their end on.", '"Mon..Fri 08:00..18:00"'),
    Field("wake_on", waking_values.WAKE_ON, "What wakes it: a client's connection or its first datagram, the first bytes "
          "on a connection, or so many datagrams of one client (an address and a port). With "
          "\"data\", port scans, health checks and monitors that only connect wake nothing, count as no traffic, and are closed "
          "after 'data_timeout'; once the container is awake, connections are forwarded at once. Clients of servers that speak "
          "first (FTP, SSH, Telnet, SMTP, POP3, IMAP, NNTP, MySQL, VNC) send nothing and never wake it.", f'"{DATA}"',
          f'"{CONNECTION}"'),
    Field("data_timeout", values.TIME_SPAN, "Close a client that has connected and sent nothing after this long, while the "
          "container sleeps. Needs 'wake_on = \"data\"'.", '"30s"', '"10s"'),
    Field("health", waking_values.HEALTH, "Answer HTTP requests for this path (GET and HEAD) while the container sleeps, without "
          "waking it; 'status' is 200 and 'body' empty by default. Once it is awake, they are forwarded. They never count as "
          "traffic. Requests that are written in another way, with a query for example, wake the container, and so does TLS.",
          '{ path = "/healthz", status = 200, body = "asleep" }'),
    Field("idle_mode", values.choice("traffic", "connections"), "What keeps the container awake: data being transferred, or "
          "open connections, even silent ones.", '"traffic"', '"traffic"'),
    Field("idle_action", values.choice("stop", "pause"), "Stop an idle container, or pause it; a paused container keeps "
          "its memory and wakes in milliseconds.", '"pause"', '"stop"'),
    Field("proxy", values.choice(RELAY, SOCKET_PROXYD), "What forwards client connections: the package's own relay, or "
          "systemd's proxy, which supports one TCP address.", f'"{SOCKET_PROXYD}"', f'"{RELAY}"'),
    Field("path", values.choice(RELAY, KERNEL), "What carries the bytes of TCP clients from outside of the host once the "
          "container is awake: the relay, or the kernel, by nftables DNAT, so that the container sees their addresses. The first "
          "connection of an address in each minute goes through the relay, and so do all others, and those of everybody where "
          "the host does not support it; the journal then says why.", f'"{KERNEL}"', f'"{RELAY}"'),
    Field("proxy_protocol", values.choice("v1", "v2"), "Send a PROXY protocol header with the client's address before "
          "the client's data; the server must expect it.", '"v2"', "no header"),
    Field("requires", values.array(NAME), "Other containers of the site, by declared name, that are woken first and kept awake; "
          "their packages become dependencies of this one.", '["db"]', "[]"),
    Field("allow", values.array(container_values.NETWORK), "Addresses and networks that may connect over TCP or send datagrams, "
          "and so wake the container; packets from all others are dropped before they wake anything.", '["10.0.0.0/8", "::1"]',
          "everyone"),
    Field("metrics", container_values.METRICS, f"Write metrics for the textfile collector of Prometheus' node exporter: "
          f"true for {METRICS_DIRECTORY}, or another directory.", "true", "false"),
    Field("silence", values.mapping(values.choice(*SILENCEABLE), values.line("the reason, a line of text", 200)),
          "Rules of 'ondemand-pkg check' to silence for this container, each with the reason.",
          '{ privileged = "it manages the hardware" }', in_package=True),
)

# Words of Compose, Docker and Kubernetes for what has another key here, or none.
FOREIGN_KEYS = {
    "build": "images are not built on hosts; build and push the image, then write its name into image",
    "cap-add": "write cap_add", "container_name": "the container is called ondemand-NAME; leave it out",
    "depends_on": "write requires", "entry_point": "write entrypoint", "env_file": "write its lines into env, secrets into "
    "/etc/ondemand/NAME.env on each host", "environment": "write env", "healthcheck": "write ready",
    "hostname": 'write create_args = ["--hostname=..."]', "mem_limit": "write memory",
    "network": "a container has the engine's bridge; leave it out",
    "networks": "a container has the "
    "engine's bridge; leave it out", "network_mode": "a container has the engine's bridge; leave it out",
    "privileged": 'write create_args = ["--privileged"]', "publish": "write ports", "restart": "systemd starts the container at "
    "the next connection, no matter how it exited; leave it out",
    "logging": 'write log_limit, or create_args = ["--log-driver=...", "--log-opt=..."]',
    "secrets": "write them into /etc/ondemand/NAME.env on each host",
    "shm_size": 'write create_args = ["--shm-size=64m"]', "stop_grace_period": "write stop_timeout", "tag": "append it to the "
    'image: "nginx:1.27"', "timeout": 'write ready = { tcp = true, timeout = "60s" }, stop_timeout or idle',
    "working_dir": "write "
    "workdir",
}

# Keys that are planned, and what to write meanwhile.
NOT_SUPPORTED = {"pass_socket": "leave it out"}

BY_KEY = {field.key: field for field in FIELDS}

# What is of containers alone, although [package] may hold it for all of them.
_NOT_OF_STACKS = ("engine",)
STACK_FIELDS: tuple[Field, ...] = (
    Field("members", values.array(NAME, 1), "The containers of the application, by declared name, from the files of the same "
          "call; without it all containers of the file.", '["web", "api", "db"]', "all of the file"),
    *(field for field in FIELDS if field.in_package and field.key not in _NOT_OF_STACKS),
    Field("description", BY_KEY["description"].value, "What the application does, in one line.", '"Company shop"'),
)


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key whose value does not go with that of another one, what is wrong with it, and what to do instead."""
    if arguments.get("proxy") == SOCKET_PROXYD:
        ports = arguments.get("ports", ())
        if len(ports) != 1 or not isinstance(ports[0].listen, TcpAddress):
            yield "proxy", f'"{SOCKET_PROXYD}" supports one TCP address and one port only', "leave the key out"
        for key in ("allow", "idle", "keep_awake", "proxy_protocol", "wake_on", "data_timeout", "health", "excludes"):
            if arguments.get(key, CONNECTION) != CONNECTION and arguments[key]:
                yield "proxy", f'"{SOCKET_PROXYD}" does not support {key!r}', "leave one of the two keys out"
        if arguments.get("path") == KERNEL:
            yield "path", f'"{SOCKET_PROXYD}" says nobody whom it has accepted', "leave one of path and proxy out"
    yield from network_values.contradictions(arguments)
    yield from attendance.contradictions(arguments)
    yield from shared_network.contradictions(arguments)
    yield from exclusions.contradictions(arguments)
    yield from refusals.sleep(arguments)
    yield from refusals.of_container(arguments)
    yield from unpacked.contradictions(arguments)
    yield from replicated.contradictions(arguments)


def suggested(field: Field, table: Mapping[str, Any]) -> str:
    """Return what to write for a required key that a table lacks: the version that the image's tag names, or an example."""
    image = table.get("image")
    version = references.version_of(image) if field.key == "version" and isinstance(image, str) else None
    return f'"{version}"' if version else field.example


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a question for the nearest known word, or nothing where none is near."""
    import difflib  # for mistakes alone

    matches = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), 1, 0.6)
    return f'did you mean "{matches[0]}"?' if matches else ""


def key_for_name(tables: Mapping[str, Any], known: Iterable[str]) -> str:
    """Return a key that stands where the name of a container is expected, "" where there is none."""
    return next((key for key, value in tables.items() if key in known and not isinstance(value, dict)), "")


def name_fault(name: str) -> str | None:
    """Say what is wrong with the name of a container or a stack, or None."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
        return f"allowed: {NAME.allowed}"
    if name in RESERVED:
        return f"the name is reserved: ondemand-{name} is another package; choose another one"
    if len(name) > LONGEST_NAME:
        return f"allowed: at most {LONGEST_NAME} characters"
    for ending, reason in TAKEN_ENDINGS.items():
        if name.endswith(ending):
            return f"a name can't end in {ending!r}: {reason.format(stem=name.removesuffix(ending))}"
    return None
