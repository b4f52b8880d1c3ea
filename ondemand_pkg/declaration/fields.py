"""The keys of a declaration: the one table from which parsing, errors, help, reference and schema derive.

Knows each key, where it may stand, what it takes and what it does; hides nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ondemand_pkg.declaration import container_values, package_values, values
from ondemand_pkg.declaration.rules import RULES
from ondemand_pkg.declaration.values import Value
from ondemand_pkg.model import METRICS_DIRECTORY, RELAY, SOCKET_PROXYD, TcpAddress

NAME = values.pattern(r"[a-z0-9][a-z0-9.+-]*", "lower-case letters, digits, '.', '+' and '-', a letter or digit first")
LONGEST_NAME = 100
# A container of such a name would take the units or the containers of another one for its own.
TAKEN_ENDINGS = {
    "-container": "its units would collide with those of the container {stem!r}",
    ".previous": "its container would collide with the one kept from before an upgrade of {stem!r}",
    ".next": "its container would collide with the one made during an upgrade of {stem!r}",
}


@dataclass(frozen=True)
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
_CAPABILITY = values.pattern(r"(?:CAP_)?[A-Z][A-Z_]*", 'the name of a capability, such as "NET_BIND_SERVICE", or "ALL"')
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
    Field("maintainer", _MAINTAINER, "Who answers for the package.", '"Platform Team <platform@example.com>"',
          in_package=True),
    Field("homepage", _HOMEPAGE, "Where more is to be read.", '"https://intranet.example/web"', in_package=True),
    Field("license", _LICENSE, "Licence of the package, an SPDX expression.", '"MIT"', in_package=True),
    Field("depends", package_values.DEPENDS, "Packages that must be installed too, beside those that the builder works out.",
          '{ deb = ["foo (>= 1)"], rpm = ["foo >= 1"] }', in_package=True),
    Field("changelog", values.array(package_values.RELEASE_ENTRY), "What changed, newest first; its newest date is the time of "
          "everything in the package unless SOURCE_DATE_EPOCH is set.",
          '[{ date = 2025-03-01, version = "1.27.0-1", changes = ["New upstream release."] }]', in_package=True),
    Field("description", values.line("a line of text", 200), "One line that says what the container does.",
          '"Company web front"'),
    Field("image", IMAGE, "The image, by tag or digest.", '"nginx:1.27"', required=True),
    Field("pin", values.BOOLEAN, "Write the digest that the image's tag means when the package is built, so that every host runs "
          "the same bytes; asked of the image's registry by a Docker engine.", "true", "false"),
    Field("bundle", values.BOOLEAN, "Carry the image in the package, for hosts that reach no registry; a Docker engine gives it "
          "when the package is built.", "true", "false"),
    Field("ports", values.array(container_values.PORT, 1), "What the host listens on and the port of the container that it leads "
          "to: [ADDRESS:]LISTEN:CONTAINER (127.0.0.1:9000:9000, [::1]:9001:9001), or PATH:CONTAINER (/run/web.sock:8080) for a "
          "Unix socket.", '["80:8080"]', required=True),
    Field("command", values.array(values.ARGUMENT), "What runs in the container, in place of the image's command.",
          '["serve", "--fast"]'),
    Field("entrypoint", values.array(values.ARGUMENT), "In place of the image's entry point; empty for none.", '["/entry"]'),
    Field("env", values.mapping(_ENV_KEY, values.ARGUMENT), "Environment of the container; /etc/ondemand/NAME.env on the "
          "host has the last word.", '{ MODE = "production" }'),
    Field("volumes", values.array(container_values.VOLUME), "Named volumes and directories of the host.",
          '["web-data:/var/lib/web", "/etc/web:/etc/web:ro"]'),
    Field("purge_volumes", values.BOOLEAN, "Delete the named volumes when the .deb is purged; nothing else ever deletes "
          "a volume.", "true", "false"),
    Field("user", _USER, "User, and group, in the container.", '"1000:1000"'),
    Field("workdir", _PATH, "Working directory in the container.", '"/srv"'),
    Field("memory", container_values.MEMORY, "Most memory that the container may take.", '"256m"'),
    Field("cpus", container_values.CPUS, "Most processors that the container may take.", "1.5"),
    Field("read_only", values.BOOLEAN, "Mount the container's root file system read-only.", "true", "false"),
    Field("tmpfs", values.array(values.pattern(r"/[^\0:]*(?::[a-z0-9=,]+)?", 'a path, options such as ":size=64m" behind it')),
          "Temporary file systems in the container.", '["/tmp"]'),
    Field("cap_drop", values.array(_CAPABILITY), "Capabilities taken away.", '["ALL"]'),
    Field("cap_add", values.array(_CAPABILITY), "Capabilities added.", '["NET_BIND_SERVICE"]'),
    Field("labels", values.mapping(_LABEL_KEY, values.ARGUMENT), "Labels of the container.", '{ team = "web" }'),
    Field("stop_timeout", container_values.STOP_TIMEOUT, "How long the container may take to stop before it is killed.", '"10s"',
          '"10s"'),
    Field("create_args", container_values.CREATE_ARGS, "Passed to 'docker create' as they are: the way out for what has no key.",
          '["--shm-size=64m"]'),
    Field("ready", container_values.READY, "How the container is known to be ready; clients are held until then.",
          '{ http = "/healthz" }', '"tcp"'),
    Field("idle", container_values.IDLE, "Stop after so long without traffic; \"never\" keeps the container running once woken.",
          '"10min"', '"never"'),
    Field("idle_mode", values.choice("traffic", "connections"), "What keeps a container awake: bytes that move, or "
          "connections that are open, however silent.", '"traffic"', '"traffic"'),
    Field("idle_action", values.choice("stop", "pause"), "What happens to an idle container: it is stopped, or paused, which "
          "keeps its memory and wakes in milliseconds.", '"pause"', '"stop"'),
    Field("proxy", values.choice(RELAY, SOCKET_PROXYD), "What carries the clients' bytes: the package's own relay, or "
          "systemd's, for one TCP address.", f'"{SOCKET_PROXYD}"', f'"{RELAY}"'),
    Field("proxy_protocol", values.choice("v1", "v2"), "Tell the container who the client is, by a header of the PROXY "
          "protocol before the client's own bytes; the server must expect it.", '"v2"', "no header"),
    Field("requires", values.array(NAME), "Other containers of the site, by their declared names, that are woken first, and kept "
          "awake; their packages are installed with this one.", '["db"]', "[]"),
    Field("allow", values.array(container_values.NETWORK), "Who may connect over TCP, and so wake the container: addresses and "
          "networks; packets of all others are dropped before they wake anything.", '["10.0.0.0/8", "::1"]', "everyone"),
    Field("metrics", container_values.METRICS, f"Write the service's numbers for Prometheus where its node exporter reads them: "
          f"true for {METRICS_DIRECTORY}, or that directory.", "true", "false"),
    Field("silence", values.mapping(values.choice(*RULES), values.line("the reason, a line of text", 200)),
          "Rules of 'ondemand-pkg check' that are not told of this container, each with the reason.",
          '{ privileged = "it manages the hardware" }', in_package=True),
)

# Words of Compose, Docker and Kubernetes for what has another key here, or none.
FOREIGN_KEYS = {
    "build": "hosts build nothing; write the image that was built and pushed into image",
    "cap-add": "write cap_add", "container_name": "the container is called ondemand-NAME; leave it out",
    "depends_on": "write requires", "entry_point": "write entrypoint", "env_file": "write its lines into env, secrets into "
    "/etc/ondemand/NAME.env on each host", "environment": "write env", "expose": "write ports", "healthcheck": "write ready",
    "health": "write ready", "hostname": 'write create_args = ["--hostname=..."]', "links": "write requires",
    "mem_limit": "write memory", "network": "a container has the engine's bridge; leave it out",
    "networks": "a container has the "
    "engine's bridge; leave it out", "network_mode": "a container has the engine's bridge; leave it out",
    "privileged": 'write create_args = ["--privileged"]', "publish": "write ports", "restart": "systemd starts the container at "
    "the next connection, however it ended; leave it out", "secrets": "write them into /etc/ondemand/NAME.env on each host",
    "shm_size": 'write create_args = ["--shm-size=64m"]', "stop_grace_period": "write stop_timeout", "tag": "write it behind the "
    'image: "nginx:1.27"', "timeout": 'write ready = { tcp = true, timeout = "60s" }, stop_timeout or idle',
    "working_dir": "write "
    "workdir",
}

BY_KEY = {field.key: field for field in FIELDS}


def contradictions(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each key whose value does not go with that of another one, and what to do instead."""
    if arguments.get("idle_action") == "pause" and arguments.get("idle") is None:
        yield "idle_action", '"pause" waits for a time without traffic; write idle = "10min" too, or leave the key out'
    if arguments.get("proxy") == SOCKET_PROXYD:
        ports = arguments.get("ports", ())
        if len(ports) != 1 or not isinstance(ports[0].listen, TcpAddress):
            yield "proxy", f'"{SOCKET_PROXYD}" leads one TCP address to one port; leave the key out'
        for key in ("allow", "idle", "proxy_protocol"):
            if arguments.get(key):
                yield "proxy", f'"{SOCKET_PROXYD}" has no {key!r}; leave one of the two keys out'
    taken = {port.listen.port for port in arguments.get("ports", ()) if isinstance(port.listen, TcpAddress)}
    for number in _published(arguments.get("create_args", ())):
        if number in taken:
            yield "create_args", (f"Docker itself would listen on {number}, where systemd listens for the container; leave "
                                  "--publish out: ports leads to the container without it")


def _published(create_args: Sequence[str]) -> Iterator[int]:
    """Yield each TCP port of the host on which options of `docker create` let Docker listen."""
    for option, following in itertools.pairwise([*create_args, ""]):
        if option in ("-p", "--publish"):
            binding = following
        elif match := re.match(r"--publish=|-p=?(?=[0-9])", option):
            binding = option[match.end():]
        else:
            continue
        host = re.fullmatch(r"(?:.*:)?([0-9]+):[0-9]+(?:/tcp)?", binding)
        if host:
            yield int(host[1])


def name_fault(name: str) -> str | None:
    """Say what is wrong with the name of a container, or None."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name):
        return f"allowed: {NAME.allowed}"
    if len(name) > LONGEST_NAME:
        return f"allowed: at most {LONGEST_NAME} characters"
    for ending, reason in TAKEN_ENDINGS.items():
        if name.endswith(ending):
            return f"a name can't end in {ending!r}: {reason.format(stem=name.removesuffix(ending))}"
    return None
