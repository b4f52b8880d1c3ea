"""What can be wrong with a service before anybody connects to it.

Knows what each part of a wake needs, what would happen at the next wake without it, and the remedy; hides where that is seen.
Looks only: nothing is started, changed or created.
"""

import os
import re
import stat
import subprocess
from typing import NamedTuple

from ondemand_host import __version__, services, systemd
from ondemand_host.engines import DOCKER
from ondemand_host.places import UNITS, UNRECORDED, declaration
from ondemand_host.systemd import Unit

ERROR, WARNING = "error", "warning"
LOOK_PATIENCE = 60.0  # seconds that the helpers of a package may take to look at the engine
LOW, LOWEST = 500, 50  # MB that are left on a file system
# Settings of a drop-in without which the helpers do not work as they are meant to.
_VITAL = ("Type", "ExecStart", "ExecStopPost", "KillMode", "NotifyAccess", "RuntimeDirectory", "RuntimeDirectoryPreserve",
          "Accept", "Service", "DynamicUser")
SELINUX = "/sys/fs/selinux/enforce"
_STATE_DIRECTORIES = ("/var/lib/docker", "/var/lib/containers", "/var/lib/ondemand", "/run", "/var/log")


class Trouble(NamedTuple):
    """One thing that is wrong, with what comes of it, and what to do about it."""

    severity: "str"
    finding: "str"
    remedy: "str"


def listening(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that the socket listens, now and after the next boot."""
    if not package.listens:
        return
    unit, name = units.get(package.socket, Unit()), package.socket
    if unit.load != "loaded":
        if unit.load == "masked":
            yield Trouble(ERROR, "{} is masked, so nothing listens".format(name),
                          "systemctl unmask {0} && systemctl enable --now {0}".format(name))
        return  # of a unit that is not there the check of unit files speaks
    is_enabled = unit.file_state.startswith("enabled")
    if unit.active in ("active", "activating", "reloading"):
        if not is_enabled:
            yield Trouble(WARNING, "{} listens, but is not enabled: after the next boot nothing listens".format(name),
                          "systemctl enable {}".format(name))
    elif not is_enabled:
        yield Trouble(ERROR, "{} is disabled, so clients are refused".format(name), "systemctl enable --now {}".format(name))
    else:
        why = _last_line(said([os.path.join(package.helpers, "addresses"), name]))
        yield Trouble(ERROR, "{} does not listen although it is enabled ({}), so clients are refused{}".format(
            name, unit.result if unit.result != "success" else unit.active, ": " + why if why else ""),
            "systemctl restart {0}; journalctl --unit {0}".format(name))


def ticking(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that the timer of a task runs, now and after the next boot."""
    if not package.schedule:
        return
    unit, name = units.get(package.timer, Unit()), package.timer
    is_enabled = unit.file_state.startswith("enabled")
    if unit.load == "masked":
        yield Trouble(ERROR, "{} is masked, so the task never runs".format(name),
                      "systemctl unmask {0} && systemctl enable --now {0}".format(name))
    elif unit.active not in ("active", "activating"):
        yield Trouble(ERROR, "{} {}, so the task never runs".format(name, "does not run" if is_enabled else "is disabled"),
                      "systemctl enable --now {}".format(name))
    elif not is_enabled:
        yield Trouble(WARNING, "{} runs, but is not enabled: after the next boot the task never runs".format(name),
                      "systemctl enable {}".format(name))


def unit_files(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that systemd has the package's own units, as they are on the disk, and that nothing vital is overridden."""
    names = package.units
    for name in names:
        unit = units.get(name, Unit())
        if unit.load == "masked":
            if name != package.socket:  # of the socket the check above speaks
                yield Trouble(ERROR, "{} is masked, so the next wake fails".format(name), "systemctl unmask {}".format(name))
            continue
        if unit.load != "loaded":
            yield Trouble(ERROR, "systemd has no usable unit {} ({})".format(name, unit.load),
                          "systemctl daemon-reload, and if that does not help, install the package again")
            continue
        for trouble in unit_file(package, name, unit):
            yield trouble
    for line in said(["systemd-analyze", "verify", "--man=no"] + list(names)).splitlines():
        if package.stem in line and "is not executable" in line:
            yield Trouble(ERROR, "{}; the next wake fails".format(line.strip()), "install the package again")


def unit_file(package: "Installed", name: "str", unit: "Unit") -> "Iterator[Trouble]":
    """Check that systemd has a unit as the package brought it, and that nothing vital is overridden."""
    if unit.is_outdated:
        yield Trouble(WARNING, "{} has changed since systemd read it; the next wake uses the old one".format(name),
                      "systemctl daemon-reload")
    if unit.fragment and not unit.fragment.startswith((UNITS + "/", "/lib/systemd/system/")):
        yield Trouble(WARNING, "{} replaces the package's unit, so upgrades of the package do not reach it".format(
            unit.fragment), "rm {} && systemctl daemon-reload; put changes into a drop-in (systemctl edit {})".format(
                unit.fragment, name))
    for path in unit.drop_ins:
        changed = sorted(set(_settings(path)) & set(_VITAL))
        if changed:
            yield Trouble(WARNING, "{} changes {}, which the helpers rely on".format(
                path, ", ".join(key + "=" for key in changed)), "remove the line, then systemctl daemon-reload")


def engine(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check what the package's own helpers see at the engine; reading the administrator's file is part of that."""
    if package.unit:
        return
    docker = units.get(DOCKER, Unit())
    if docker.load == "loaded" and docker.active == "inactive" and "docker" in said(
            ["systemctl", "show", "--property=Wants", "--", package.container]):
        yield Trouble(WARNING, "the Docker engine is not running; the next wake starts it, and what it has was not looked at",
                      "systemctl start docker")
        return
    found, told = look(package)
    if found is None:
        yield Trouble(WARNING, "its helpers can't be asked what they see at the engine" + (": " + told if told else ""),
                      "run as root; if that does not help, build the package again with a current ondemand-pkg")
        return
    for line in told.splitlines():
        yield Trouble(WARNING, line.partition(": ")[2] or line, "edit {}".format(package.environment_file))
    if not found["answers"]:
        yield Trouble(ERROR, "no {} engine answers on {}, so the next wake fails".format(found["engine"], found["place"]),
                      "start the engine; journalctl --unit docker" if found["engine"] == "Docker" else "start the engine")
    if found["failure"]:
        finding, _, remedy = found["failure"].partition("; ")
        yield Trouble(ERROR, "the next wake fails: " + finding, remedy)
    for line in found.get("advice") or ():
        finding, _, remedy = line.rpartition("; ")
        yield Trouble(WARNING, finding, remedy)
    if found["workload"] and found["image"]:
        for trouble in _workload(package, found["workload"], found["image"], units):
            yield trouble


def _workload(package: "Installed", workload: "Dict[str, Any]", image: "Dict[str, Any]",
              units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    is_coming = workload["is_declared"] or workload["is_waiting"]
    if not is_coming and not image["is_there"] and image["archive"] is None:
        outcome = ("the next wake starts the previous container" if workload["is_there"] else
                   "the next wake pulls it while the client waits, and fails if it can't")
        yield Trouble(WARNING if workload["is_there"] else ERROR, "the image {} is not on this host; {}".format(
            image["name"], outcome), image["pull"])
    elif not image["is_there"] and image["archive"] is not None and not os.path.exists(image["archive"]) and not is_coming:
        yield Trouble(ERROR, "the image archive {} is missing, so the next wake fails".format(image["archive"]),
                      "install the package again")
    elif not workload["is_there"] and not is_coming:
        yield Trouble(WARNING, "the container {} does not exist; the next wake creates it, which takes longer".format(
            workload["name"]), "{} create".format(os.path.join(package.helpers, "container")))
    if workload["is_running"] and units.get(package.container, Unit()).active in ("inactive", "failed"):
        yield Trouble(WARNING, "the container {} runs without its service, so nothing puts it to sleep".format(workload["name"]),
                      "docker stop {}".format(workload["name"]))


def look(package: "Installed") -> "Tuple[Optional[Dict[str, Any]], str]":
    """Return what the helpers of a package see at the engine, None where they can't be asked, and what they said."""
    import json

    program = os.path.join(package.helpers, "look")
    if not os.path.exists(program):
        return None, "they are of an older release"
    try:
        done = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=LOOK_PATIENCE)
    except subprocess.TimeoutExpired:
        return None, "the engine did not answer within {:g} s".format(LOOK_PATIENCE)
    except OSError as error:
        return None, "{}: {}".format(program, error.strerror)
    told = done.stderr.decode("utf-8", "replace").strip()
    try:
        return dict(json.loads(done.stdout.decode("utf-8"))), told
    except (ValueError, TypeError):
        return None, _last_line(told) or "exit status {}".format(done.returncode)


def adopted(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check the unit that was there before the package."""
    if not package.unit:
        return
    unit = systemd.units([package.unit]).get(package.unit, Unit(load="not-found"))
    if unit.load != "loaded":
        yield Trouble(ERROR, "the unit {} {}, so the next wake fails".format(
            package.unit, "is masked" if unit.load == "masked" else "does not exist"),
            "systemctl unmask {}".format(package.unit) if unit.load == "masked" else
            "install what brings it, or build the package with another 'unit'")
    elif unit.file_state == "enabled":
        yield Trouble(WARNING, "{} is enabled: from each boot on it runs until its first connection has been idle".format(
            package.unit), "systemctl disable {}".format(package.unit))


def environment_file(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check who can read the administrator's file."""
    path = package.environment_file
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IROTH | stat.S_IWOTH) and _has_values(path):
        yield Trouble(WARNING, "everybody can {} the values in {}; the next wake takes that from them".format(
            "change" if found.st_mode & stat.S_IWOTH else "read", path), "chmod 600 {}".format(path))
    if found.st_uid != 0:
        yield Trouble(WARNING, "{} belongs to the user {}, who can change what the container is made from".format(
            path, found.st_uid), "chown root:root {}".format(path))


def host_directories(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that the directories and files of the host that the container uses are there."""
    for volume in declared(package, "volumes"):
        path, colon = volume.partition(":")[:2]
        if colon and path.startswith("/") and not os.path.exists(path):
            yield Trouble(WARNING, "{}, which the container uses ({}), does not exist; it will be created empty, owned by "
                          "root".format(path, volume), "create it with its content, or mount it, first")


def proxied(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that systemd's own proxy may use the socket, where that forwards the clients."""
    if not os.path.exists(os.path.join(package.helpers, "proxyd")):
        return
    try:
        with open(SELINUX) as stream:
            is_enforcing = stream.read().strip() == "1"
    except OSError:
        return
    if is_enforcing:
        yield Trouble(ERROR, "SELinux is enforcing, so each client of systemd-socket-proxyd loses its connection",
                      "build the package without the key 'proxy'")


def required(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that what is woken first is installed."""
    for name in declared(package, "requires"):
        if not os.path.isdir(os.path.join(os.path.dirname(package.helpers), "ondemand-" + name)):
            yield Trouble(ERROR, "the required container {!r} is not installed, so the next wake fails".format(name),
                          "install the package ondemand-{}".format(name))


def accompanied(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that what a companion or a task is started for is installed."""
    services = package.companion_of or package.task_before
    missing = [name for name in services
               if not os.path.isdir(os.path.join(os.path.dirname(package.helpers), "ondemand-" + name))]
    if services and len(missing) == len(services):
        yield Trouble(WARNING, "it is {} {}, which {} not installed, so nothing starts it".format(
            "a companion of" if package.companion_of else "a task before", " and ".join(map(repr, missing)),
            "is" if len(missing) == 1 else "are"),
            "install the package ondemand-{}".format(missing[0]))


def helpers(package: "Installed", _: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check that the helpers are not those of an older release."""
    if package.built_by is None or numbers(package.built_by) < numbers(__version__):
        yield Trouble(WARNING, "its helpers are those of ondemand-pkg {}; this is {}".format(
            package.built_by or UNRECORDED, __version__), "build the package again with a higher release, and upgrade to it")


def last_wake(package: "Installed", units: "Dict[str, Unit]") -> "Iterator[Trouble]":
    """Check how the last wake ended."""
    failures, _ = services.last_end(package.state)
    if not failures or units.get(package.container, Unit()).active == "active":
        return
    records = [one for one in systemd.records([package.name]) if one.failed] if systemd.journal_is_readable() else []
    yield Trouble(ERROR, "the last {} failed{}".format("wake" if failures == 1 else "{} wakes".format(failures), ": {}".format(
        " ".join(records[0].reason.split())) if records else ""), "ondemand logs {}".format(package.name))


def of_host() -> "Iterator[Trouble]":
    """Check what all services share: space on the disks, and the journal."""
    seen = set()
    for directory in _STATE_DIRECTORIES:
        try:
            found, device = os.statvfs(directory), os.stat(directory).st_dev
        except OSError:
            continue
        left = found.f_bavail * found.f_frsize // 10**6
        is_empty = found.f_files and found.f_favail == 0
        if device not in seen and (left < LOW or is_empty):
            what = "no file can be created" if is_empty else "{} MB are left".format(left)
            yield Trouble(ERROR if is_empty or left < LOWEST else WARNING, "{} on the file system of {}; containers can't be "
                          "created or started without space".format(what, directory), "docker system df; journalctl --disk-usage")
        seen.add(device)
    if systemd.units(["systemd-journald.service"]).get("systemd-journald.service", Unit()).active != "active":
        yield Trouble(WARNING, "the journal is not running, so no wake is recorded", "systemctl start systemd-journald")


OF_SERVICE = (listening, ticking, unit_files, engine, adopted, environment_file, host_directories, proxied, required, accompanied,
              helpers, last_wake)


def numbers(version: "str") -> "Tuple[int, ...]":
    """Return the numbers of a release, for comparison."""
    return tuple(int(part) for part in re.findall("[0-9]+", version))


def declared(package: "Installed", key: "str") -> "List[str]":
    """Return a list that a package declares, empty where it can't be read."""
    try:
        return [str(value) for value in declaration(package.name).get(key) or ()]
    except (OSError, ValueError, TypeError):
        return []


def _has_values(path: "str") -> "bool":
    try:
        with open(path, "rb") as stream:
            return any(line.strip() and not line.lstrip().startswith(b"#") for line in stream)
    except OSError:
        return False


def _settings(path: "str") -> "List[str]":
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return [line.partition("=")[0].strip() for line in stream if "=" in line and not line.lstrip().startswith(("#", ";"))]
    except OSError:
        return []


def said(argv: "Sequence[str]") -> "str":
    """Return all that a program says, nothing where it is not there or takes long."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=LOOK_PATIENCE, env=dict(os.environ, LC_ALL="C.UTF-8", SYSTEMD_COLORS="0"))
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _last_line(text: "str") -> "str":
    return (text.strip().splitlines() or [""])[-1]


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

    from ondemand_host.places import Installed
