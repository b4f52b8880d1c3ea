"""Docker, through its Unix socket, and through its command where only that pulls and loads images.

Knows the few requests that the helpers need, and the engine's JSON; hides them behind the interface of this package, and leaves
the socket to docker_api.py.  Few imports: a client is waiting while this module loads.
"""

import os
import time

from process import Failure, say, show

from engines import Command, EngineDown, EngineError, EngineLeft, Seen
from engines.docker_api import PING_PATIENCE, Api, AtSocket, Events, Pieces, Refused, Request, Stream, blocks, checked, read_head
from engines.processes import descriptor_of_end, is_alive

SOCKET = "/run/docker.sock"
OF_CONTAINER = "/containers/{}"
OF_MEMORY = "/events?filters=%7B%22container%22%3A%5B%22{}%22%5D%2C%22event%22%3A%5B%22oom%22%5D%7D&since={}&until={:.3f}"
LATE_WORD = 1.0  # seconds within which the engine learns why the kernel has killed a container
LABEL = "ondemand.spec"
NEVER = "0001-01-01T"  # when the engine says that a container was started which never was
PATIENCE = 30.0  # seconds within which a request must be answered that needs no longer, however busy the engine is
PUBLISHER = "docker-proxy"  # the program that listens for a container that publishes a port
LONGEST_LINE = 8192  # bytes of the docker command's messages that are kept as one
LOG_FILES = 2  # so that the last lines are there right after the older file was deleted
LOG_DRIVERS = ("json-file", "local")  # those that write files, and take a limit
ANONYMOUS = 64  # digits of a volume's name that nobody gave


class Docker(AtSocket):
    """The engine that listens on a socket."""

    word, title = "docker", "Docker"
    COMMAND, CLIENTS = "docker", "docker-cli, docker-ce-cli or docker.io"  # and the packages that have it
    PRUNES = "'docker system prune --volumes' of Docker 20.10 and 'docker volume prune --all' delete"
    SETTINGS: "Tuple[str, ...]" = ("DOCKER_",)  # what the environment could tell the command of another engine begins with that

    def __init__(self, path: "str" = SOCKET) -> "None":
        self.place = path
        self.api = self.api_on(path)

    def api_on(self, path: "str") -> "Api":
        return Api(path)

    def inspect(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Dict[str, Any]]":
        try:
            found = self.api.call("GET", OF_CONTAINER.format(name) + "/json", patience)
        except Refused as error:
            if error.status == 404:
                return None
            raise
        return dict(found)

    # What is known

    def look(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Seen]":
        found = self.inspect(name, patience)
        if found is None:
            return None
        state = found["State"]
        volumes = [(str(mount["Name"]), str(mount["Destination"])) for mount in found.get("Mounts") or ()
                   if mount["Type"] == "volume" and len(mount["Name"]) == ANONYMOUS]
        return Seen(state["Running"], state["Paused"], (found["Config"].get("Labels") or {}).get(LABEL, ""),
                    str(state["Pid"]) if state["Running"] else "", began(state["StartedAt"]), state["ExitCode"],
                    # The engine says so of every process inside; that of the container itself has this status then.
                    bool(state.get("OOMKilled")) and state["ExitCode"] == 137, volumes, found, str(found["Id"]),
                    bool(state.get("Dead")))

    def peek(self, name: "str") -> "Optional[Seen]":
        status, body = self.api.ask("GET", OF_CONTAINER.format(name) + "/json")
        if status == 404:
            return None
        checked(status, body)
        # Keys and these values stand in no string of the answer unescaped, so no label can be taken for them.
        label, identity = (body.partition('"{}":"'.format(key).encode("ascii"))[2].partition(b'"')[0].decode("utf-8", "replace")
                           for key in (LABEL, "Id"))
        return Seen(b'"Running":true' in body, b'"Paused":true' in body, label, known={"Config": {"Tty": b'"Tty":true' in body}},
                    identity=identity, is_spoilt=b'"Dead":true' in body)

    def is_alive(self, life: "str") -> "bool":
        return is_alive(int(life))

    def ran_out_of_memory(self, seen: "Seen") -> "bool":
        """It learns of that beside the end, and may do so a moment later: its events are awaited where there is a limit."""
        if seen.out_of_memory or not seen.known or not (seen.known.get("HostConfig") or {}).get("Memory"):
            return seen.out_of_memory
        target = OF_MEMORY.format(seen.identity, int(seen.started), time.time() + LATE_WORD)
        try:
            return b'"oom"' in self.api.ask("GET", target, PATIENCE)[1]
        except EngineDown:
            return False

    def process(self, life: "str") -> "Optional[int]":
        return int(life)

    def descriptor_of_end(self, life: "str") -> "Optional[int]":
        return descriptor_of_end(int(life))

    def addresses(self, seen: "Seen") -> "List[str]":
        details = seen.known
        mode = details["HostConfig"]["NetworkMode"]
        if mode == "host":
            return ["127.0.0.1", "::1"]
        if mode.startswith("container:"):
            other = self.look(mode.partition(":")[2])
            if other is None:
                raise Failure("the container whose network it uses does not exist ({}); create it, or declare another "
                              "network".format(mode))
            return self.addresses(other)
        for network in (details["NetworkSettings"].get("Networks") or {}).values():
            addresses = [network[key] for key in ("IPAddress", "GlobalIPv6Address") if network.get(key)]
            if addresses:
                return addresses
        raise Failure("the container has no IP address (network mode '{}') and can't be reached; "
                      "remove that network option from its declaration".format(mode))

    def joined(self, seen: "Seen") -> "str":
        mode = str(seen.known["HostConfig"]["NetworkMode"])
        return mode.partition(":")[2] if mode.startswith("container:") else ""

    # A life

    def begin(self, name: "str") -> "Pending":
        return Request(self.api.send("POST", OF_CONTAINER.format(name) + "/start"))

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        connection, rest = self.api.stream(OF_CONTAINER.format(name) + "/attach?stream=1&stdout=1&stderr=1")
        return Stream(connection, rest, seen.known["Config"]["Tty"])

    def begin_stop(self, name: "str") -> "Pending":
        return Request(self.api.send("POST", OF_CONTAINER.format(name) + "/stop"))

    def stop(self, name: "str") -> "None":
        seen = self.look(name)
        if seen is not None and seen.is_running:
            if seen.is_paused:
                self.api.ask("POST", OF_CONTAINER.format(name) + "/unpause")  # frozen, it may take the signal to stop wrong
            self.api.tolerate(404, "POST", OF_CONTAINER.format(name) + "/stop")

    def freeze(self, name: "str") -> "None":
        self.api.call("POST", OF_CONTAINER.format(name) + "/pause", PATIENCE)

    def thaw(self, name: "str") -> "None":
        self.api.call("POST", OF_CONTAINER.format(name) + "/unpause", PATIENCE)

    def await_end(self, name: "str", patience: "float") -> "None":
        try:
            self.api.call("POST", OF_CONTAINER.format(name) + "/wait", patience)
        except EngineDown:
            pass  # whoever asks looks whether it knows

    def presence(self) -> "Optional[Presence]":
        return Events(self.api.send("GET", Events.TARGET))

    # Inside

    def run_inside(self, name: "str", argv: "Sequence[str]") -> "Command":
        wanted = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(argv)}
        identity = self.api.call("POST", OF_CONTAINER.format(name) + "/exec", PATIENCE, wanted)["Id"]
        connection, rest = self.api.stream("/exec/{}/start".format(identity), PATIENCE, {"Detach": False})
        return Exec(self, identity, Stream(connection, rest, is_terminal=False))

    def own_check(self, name: "str") -> "Optional[Tuple[List[str], float]]":
        config = (self.inspect(name) or {}).get("Config") or {}
        declared = config.get("Healthcheck") or {}
        test = declared.get("Test") or ["NONE"]
        kind, argv = test[0], [str(word) for word in test[1:]]
        if kind == "CMD-SHELL":
            argv = list(config.get("Shell") or ["/bin/sh", "-c"]) + argv
        elif kind != "CMD" or not argv:
            return None
        return argv, declared.get("Timeout", 0) / 1e9

    def written_since_start(self, name: "str", seen: "Seen") -> "Iterable[Tuple[int, bytes]]":
        target = "{}/logs?stdout=1&stderr=1&since={:.9f}".format(OF_CONTAINER.format(name), seen.started)
        connection = self.api.send("GET", target)
        try:
            status, rest = read_head(connection)
            if status < 400:
                output = Pieces(is_multiplexed=not seen.known["Config"]["Tty"])
                for data in [rest] + list(blocks(connection)):
                    for piece in output.feed(data):
                        yield piece
        finally:
            connection.close()

    # Made and removed

    def logs(self, name: "str", seen: "Seen", how: "str") -> "Tuple[Socket, bytes]":
        """Return the connection that carries what a container has written since its start, and what came already."""
        target = "{}/logs?stdout=1&stderr=1&since={:.9f}{}".format(OF_CONTAINER.format(name), seen.started, how)
        connection = self.api.send("GET", target)
        status, rest = read_head(connection)
        if status >= 400:
            connection.close()
            raise EngineError("its log can't be read (status {})".format(status))
        return connection, rest

    def has_image(self, image: "str") -> "bool":
        status, body = self.api.ask("GET", "/images/{}/json".format(image))
        if status != 404:
            checked(status, body)
        return status != 404

    def load(self, archive: "str") -> "None":
        self.command(["load", "--input", archive], "'{} load' failed for {}".format(self.COMMAND, archive))

    def make(self, name: "str", wanted: "Wanted") -> "None":
        """Make a container; the administrator's values stay out of the arguments, which every user of the host may list."""
        import tempfile  # only making a container pays for these

        from engines import docker_volumes

        docker_volumes.ensure(self.api, wanted.volumes)

        arguments = ["create", "--name=" + name, "--label={}={}".format(LABEL, wanted.specification)]
        arguments += self.own_options(wanted)
        if wanted.is_carried:
            arguments.append("--pull=never")
        arguments += wanted.options
        declared = {volume.split(":")[1] if ":" in volume else volume for volume in wanted.volumes}
        kept = ["{}:{}".format(name, target) for name, target in wanted.kept_volumes if target not in declared]
        arguments += ["--volume=" + volume for volume in list(wanted.volumes) + kept]
        arguments += ["--env={}={}".format(key, value) for key, value in sorted(wanted.environment.items())]
        if wanted.secret_environment:
            arguments.append("--env-file=/dev/stdin")
        lines = "".join("{}={}\n".format(key, value) for key, value in sorted(wanted.secret_environment.items()))
        # Not a pipe: `docker create` goes on alone should this process be killed, and must not find half of the environment.
        with tempfile.TemporaryFile() as stdin:
            stdin.write(lines.encode("utf-8", "surrogateescape"))
            stdin.flush()
            stdin.seek(0)
            self.command(arguments + [self.name_of(wanted.image)] + list(wanted.command),
                         "'{} create' failed for the image {}".format(self.COMMAND, wanted.image), stdin)

    def own_options(self, wanted: "Wanted") -> "List[str]":
        """Return the options that this engine needs to make a container beside those that are declared."""
        chosen = [option for option in wanted.options if option.startswith(("--log-driver", "--log-opt"))]
        if not wanted.log_limit or chosen:
            return []
        try:
            # The administrator may have chosen a driver for all containers that writes no files here, and takes no such option.
            driver = self.api.call("GET", "/info", PATIENCE).get("LoggingDriver")
        except EngineError:
            return []  # no container is missing because its output has no limit
        if driver not in LOG_DRIVERS:
            return []
        return ["--log-opt=max-size={}".format(wanted.log_limit // LOG_FILES), "--log-opt=max-file={}".format(LOG_FILES)]

    def name_of(self, image: "str") -> "str":
        """Return the name by which the engine has an image, or gets it."""
        return image

    def argv(self, arguments: "List[str]", environ: "Mapping[str, str]") -> "List[str]":
        """Return the words of a call of the engine's command."""
        return [self.COMMAND, "--host=unix://" + self.place] + arguments

    def output_of_command(self) -> "int":
        """Return where that writes what nobody reads: a descriptor, or a constant of `subprocess`."""
        import subprocess

        return subprocess.DEVNULL

    def command(self, arguments: "List[str]", what_failed: "str", stdin: "Any" = None) -> "None":
        """Run the engine's command; it keeps the lock should this process be killed, and its progress is shown on a terminal.

        Registries and images have a part in what it writes, so it has no terminal of its own.  Raises Failure where the command
        fails, EngineLeft where that is because the engine went away.
        """
        import subprocess
        import sys

        presence = self.presence()
        environ = {key: value for key, value in os.environ.items() if not key.startswith(self.SETTINGS)}
        environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        environ.setdefault("HOME", "/root")  # the registry logins of root
        try:
            done = subprocess.Popen(
                self.argv(arguments, environ), env=environ, close_fds=False,
                stdin=stdin or subprocess.DEVNULL, stdout=self.output_of_command(), stderr=subprocess.PIPE)
        except FileNotFoundError:
            raise Failure("the {} command is not installed; install {}".format(self.COMMAND, self.CLIENTS)) from None
        assert done.stderr is not None
        shows_all = sys.stderr.isatty()
        lines: "List[str]" = []  # the last two, of which the failure quotes one: they are shown once others follow
        data = done.stderr.readline(LONGEST_LINE)
        while data:
            line = data.decode("utf-8", "replace").strip()
            if line.startswith("WARNING: "):
                say(line)
            elif line:
                if shows_all and len(lines) == 2:
                    show(lines[:1])
                lines = lines[-1:] + [line]
            data = done.stderr.readline(LONGEST_LINE)
        failed = done.wait() != 0
        # Whoever answers after a failure is the engine as before, or the next one, before which that one had to end.
        has_left = failed and presence is not None and (not self.answers() or presence.has_left())
        if presence is not None:
            presence.close()
        if failed:
            is_hint = bool(lines) and lines[-1].startswith(("See '", "Run '"))
            reason = "{}: {}".format(what_failed, lines[0 if is_hint else -1] if lines else "it gives no reason")
            raise EngineLeft(reason) if has_left else Failure(reason)
        if shows_all:
            show(lines)

    def advice_on_volumes(self, volumes: "Sequence[str]", workloads: "Sequence[str]", anonymous: "Sequence[str]") -> "str":
        from engines import docker_volumes

        return docker_volumes.advice(self, volumes, workloads, anonymous)

    def commands_to_move(self, volumes: "Sequence[str]", workloads: "Sequence[str]") -> "List[str]":
        from engines import docker_volumes

        return docker_volumes.commands_to_leave(self, volumes, workloads)

    def rename(self, old: "str", new: "str") -> "None":
        self.api.call("POST", "/containers/{}/rename?name={}".format(old, new))

    def remove(self, name: "str") -> "None":
        self.api.tolerate(404, "DELETE", OF_CONTAINER.format(name) + "?force=1")

    def pull_by_hand(self, image: "str") -> "str":
        return "{} pull {}".format(self.COMMAND, self.name_of(image))

    def rename_by_hand(self, old: "str", new: "str") -> "str":
        return "{} rename {} {}".format(self.COMMAND, old, new)

    def remove_by_hand(self, names: "Sequence[str]") -> "str":
        return "{} rm --force {}".format(self.COMMAND, " ".join(names))

    def remove_volumes_by_hand(self, names: "Sequence[str]") -> "str":
        return "{} volume rm {}".format(self.COMMAND, " ".join(names))



class Exec(Command):
    """A command inside a container (Engine API, "Exec")."""

    def __init__(self, engine: "Docker", identity: "str", output: "Stream") -> "None":
        self.engine = engine
        self.identity = identity
        self.output = output

    def look(self) -> "Dict[str, Any]":
        return dict(self.engine.api.call("GET", "/exec/{}/json".format(self.identity), PATIENCE))

    def status(self) -> "Optional[int]":
        state = self.look()
        return None if state["Running"] else state["ExitCode"]

    def kill(self) -> "None":
        """End it by its process: the engine has no request for that."""
        state = self.look()
        if state["Running"] and state.get("Pid"):
            try:
                os.kill(state["Pid"], 9)
            except ProcessLookupError:
                pass


def publishing(port: "str") -> "List[str]":
    """Return the names of the running containers that publish a port of the host, "80" or "53/udp"; none where nobody answers."""
    import json

    wanted = json.dumps({"publish": [port]}).replace(" ", "").replace('"', "%22")
    try:
        found = Api(SOCKET).call("GET", "/containers/json?filters=" + wanted, PING_PATIENCE)
        return [str(one["Names"][0]).lstrip("/") for one in found or ()]
    except (EngineDown, EngineError, LookupError, TypeError, ValueError):
        return []


def began(text: "str") -> "float":
    """Return when the engine says that a container was started, in seconds since 1970; 0 where it never was.

    "2025-03-01T10:00:00.5Z", or with the host's own "+01:00" at its end.
    """
    if text.startswith(NEVER) or not text:
        return 0.0
    import calendar

    fraction, east = text[19:].rstrip("Z").lstrip("."), 0
    for sign, side in (("+", 1), ("-", -1)):
        if sign in fraction:
            fraction, _, zone = fraction.partition(sign)
            east = side * (int(zone[:2]) * 3600 + int(zone[3:5]) * 60)
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - east + float("0." + (fraction or "0")[:6])


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

    from engines import Output, Pending, Presence, Wanted
