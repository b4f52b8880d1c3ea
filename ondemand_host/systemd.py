"""What systemd knows of units, and what the journal holds of wakes.

Knows the output of systemctl(1) and journalctl(1), and the fields that helpers/record.py writes; hides both programs.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ondemand_host.errors import HostError

WOKEN = "03eb855e60674ca096582626136989ec"
FAILED = "44e9934b34144a52873bc6774228defd"
ASLEEP = "f95973dafd264499bbf0f7751b3597c4"
# Records of clients that woke nothing, and the fields of their counts (helpers/unwoken.py).
UNWOKEN = {"79273ac236ad4839aa0af4a5889d14e4": "ONDEMAND_CLOSED", "0e66a0670162447282f148e5055eacb6": "ONDEMAND_PROBES",
           "ef4ce8bb810144038bd23eab14addcfb": "ONDEMAND_REFUSED", "9104babc26744bd7a6aed738aca46742": "ONDEMAND_FEW"}
PHASES = ("queued", "engine_start", "ready", "first_byte")
LOOK_BACK_DAYS = 30
MOST_RECORDS = 10000  # that are read, the newest
_PROPERTIES = ("Id,LoadState,ActiveState,UnitFileState,Result,NeedDaemonReload,FragmentPath,DropInPaths,Listen,StatusText,"
               "NextElapseUSecRealtime")
_FIELDS = ("MESSAGE_ID", "ONDEMAND_NAME", "ONDEMAND_CLIENT", "ONDEMAND_REASON", "ONDEMAND_TOTAL_MS", "ONDEMAND_HOW",
           "ONDEMAND_AWAKE_MS", "ONDEMAND_GIVEN_BACK_BYTES") + tuple(
    "ONDEMAND_{}_MS".format(phase.upper()) for phase in PHASES)
_KINDS = ((" (Stream)", ""), (" (Datagram)", "/udp"))


class Unit(NamedTuple):
    """A unit as `systemctl show` has it.

    ``listen`` holds the addresses of a socket unit, "[::]:80", "[::]:53/udp" or a path; ``status`` is what its main process says
    of itself; ``elapses`` when a timer does next, in seconds since the epoch.
    """

    active: "str" = "inactive"
    file_state: "str" = ""
    listen: "Tuple[str, ...]" = ()
    status: "str" = ""
    load: "str" = "loaded"
    result: "str" = "success"
    is_outdated: "bool" = False  # its files have changed since systemd read them
    drop_ins: "Tuple[str, ...]" = ()
    fragment: "str" = ""  # the unit file
    elapses: "Optional[float]" = None


class Record(NamedTuple):
    """A wake, or one that failed; ``time`` in seconds since the epoch, ``phases`` and ``total`` in milliseconds."""

    name: "str"
    time: "float"
    failed: "bool"
    client: "Optional[str]" = None
    reason: "str" = ""
    phases: "Tuple[Tuple[str, int], ...]" = ()
    total: "Optional[int]" = None


class Sleep(NamedTuple):
    """The end of the time for which a service was awake.

    ``time`` in seconds since the epoch; ``how``: "idle" or "paused" without traffic, "ended" for another reason; ``awake`` in
    seconds; ``given_back`` in bytes of memory, None where that was not measured.
    """

    name: "str"
    time: "float"
    how: "str"
    awake: "float"
    given_back: "Optional[int]" = None


class Unwoken(NamedTuple):
    """Clients that woke nothing; who was the last one, and when (since the epoch)."""

    clients: "int"
    client: "str"
    time: "float"


def require_systemd() -> "None":
    """Raise HostError unless this machine runs systemd (sd_booted(3))."""
    if not os.path.isdir("/run/systemd/system"):
        raise HostError("systemd is not running on this machine; run this command on a host where the packages are installed")


def units(names: "Sequence[str]") -> "Dict[str, Unit]":
    """Return some units by their names.  Raises HostError where systemd does not answer."""
    if not names:
        return {}
    return parse_units(output(["systemctl", "show", "--property=" + _PROPERTIES, "--"] + list(names)))


def parse_units(text: "str") -> "Dict[str, Unit]":
    """Return the units of what `systemctl show` printed: a block each, a property a line."""
    found = {}
    for block in text.split("\n\n"):
        lines = [line.partition("=") for line in block.splitlines()]
        values = {key: value for key, _, value in lines}
        if "Id" in values:
            found[values["Id"]] = Unit(
                values.get("ActiveState", ""), values.get("UnitFileState", ""),
                tuple(_address(value) for key, _, value in lines if key == "Listen"), values.get("StatusText", ""),
                values.get("LoadState", "loaded"), values.get("Result", "success"), values.get("NeedDaemonReload") == "yes",
                tuple(values.get("DropInPaths", "").split()), values.get("FragmentPath", ""),
                _moment(values.get("NextElapseUSecRealtime", "")))
    return found


def _moment(text: "str") -> "Optional[float]":
    """Return a time as systemctl prints it, "Mon 2026-11-30 07:45:00 CET", which is the host's own."""
    words = text.split()
    try:
        return time.mktime(time.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return None


def _address(listen: "str") -> "str":
    for ending, mark in _KINDS:
        if listen.endswith(ending):
            return listen[:-len(ending)] + mark
    return listen


def journal_is_readable() -> "bool":
    """Whether this user may read what services write: root, and the groups that the distribution lets."""
    if os.getuid() == 0:
        return True
    files = [path for top in ("/var/log/journal", "/run/log/journal") for path in Path(top).glob("*/system.journal")]
    try:
        return all(os.access(str(path), os.R_OK) for path in files) and bool(files)
    except OSError:
        return False


def records(names: "Sequence[str]", since: "Optional[str]" = None) -> "List[Record]":
    """Return the records of some services, or all, newest first: at most MOST_RECORDS of the last LOOK_BACK_DAYS.

    ``since`` is a time as journalctl(1) reads it.
    """
    return parse_records(_read([WOKEN, FAILED], names, since))


def history(names: "Sequence[str]", since: "Optional[str]" = None) -> "Tuple[List[Record], List[Sleep]]":
    """Return the same, and the ends of the times awake, newest first."""
    text = _read([WOKEN, FAILED, ASLEEP], names, since)
    return parse_records(text), parse_sleeps(text)


def unwoken(units: "Sequence[str]") -> "Dict[str, Dict[str, Unwoken]]":
    """Return of some units of proxies how many clients woke nothing in the last LOOK_BACK_DAYS, by the field of their count.

    A proxy has no rights: what it says is its own where the journal itself names its unit.
    """
    if not units:
        return {}
    matches = ["MESSAGE_ID=" + kind for kind in UNWOKEN] + ["_SYSTEMD_UNIT=" + unit for unit in units]
    text = output(["journalctl", "--quiet", "--no-pager", "--reverse", "--since=-{}d".format(LOOK_BACK_DAYS),
                   "--lines={}".format(MOST_RECORDS), "--output=json",
                   "--output-fields=" + ",".join(["_SYSTEMD_UNIT", "ONDEMAND_CLIENT"] + list(UNWOKEN.values()))] + matches)
    return parse_unwoken(text)


def parse_unwoken(text: "str") -> "Dict[str, Dict[str, Unwoken]]":
    """Return the same of what `journalctl --output=json` printed."""
    found: "Dict[str, Dict[str, Unwoken]]" = {}
    for line in text.splitlines():
        try:
            values = _values(line)
            unit, field = values["_SYSTEMD_UNIT"], next(field for field in UNWOKEN.values() if field in values)
            count = int(values[field])
            last = Unwoken(0, values.get("ONDEMAND_CLIENT", ""), int(values["__REALTIME_TIMESTAMP"]) / 1e6)
        except (ValueError, KeyError, AttributeError, StopIteration):
            continue
        of_unit = found.setdefault(unit, {})
        known = of_unit.get(field, last)
        of_unit[field] = known._replace(clients=known.clients + max(0, count))
    return found


def _read(kinds: "Sequence[str]", names: "Sequence[str]", since: "Optional[str]") -> "str":
    """Read records, which the journal looks up by its index; those that another user than root wrote are left out."""
    matches = ["_UID=0"] + ["MESSAGE_ID=" + kind for kind in kinds] + ["ONDEMAND_NAME=" + name for name in names]
    return output([
        "journalctl", "--quiet", "--no-pager", "--reverse", "--since={}".format(since or "-{}d".format(LOOK_BACK_DAYS)),
        "--lines={}".format(MOST_RECORDS), "--output=json", "--output-fields=" + ",".join(_FIELDS)] + matches)


def parse_records(text: "str") -> "List[Record]":
    """Return the records of what `journalctl --output=json` printed: an object a line.  What is none is ignored."""
    found = []
    for line in text.splitlines():
        try:
            values = _values(line)
            phases = {phase: "ONDEMAND_{}_MS".format(phase.upper()) for phase in PHASES}
            record = Record(
                name=values["ONDEMAND_NAME"], time=int(values["__REALTIME_TIMESTAMP"]) / 1e6,
                failed=values["MESSAGE_ID"] == FAILED, client=values.get("ONDEMAND_CLIENT"),
                reason=values.get("ONDEMAND_REASON", ""),
                phases=tuple((phase, int(values[key])) for phase, key in phases.items() if key in values),
                total=int(values["ONDEMAND_TOTAL_MS"]) if "ONDEMAND_TOTAL_MS" in values else None)
        except (ValueError, KeyError, AttributeError):
            continue
        if record.failed or record.total is not None:
            found.append(record)
    return found


def parse_sleeps(text: "str") -> "List[Sleep]":
    """Return the ends of the times awake of the same."""
    found = []
    for line in text.splitlines():
        try:
            values = _values(line)
            if values["MESSAGE_ID"] == ASLEEP:
                found.append(Sleep(
                    values["ONDEMAND_NAME"], int(values["__REALTIME_TIMESTAMP"]) / 1e6, values["ONDEMAND_HOW"],
                    int(values["ONDEMAND_AWAKE_MS"]) / 1e3,
                    int(values["ONDEMAND_GIVEN_BACK_BYTES"]) if "ONDEMAND_GIVEN_BACK_BYTES" in values else None))
        except (ValueError, KeyError, AttributeError):
            continue
    return found


def _values(line: "str") -> "Dict[str, str]":
    """Return the fields of an entry.  Raises ValueError and AttributeError for what is none."""
    return {key: _text(value) for key, value in json.loads(line).items()}


def _text(value: "object") -> "str":
    """Return a field as text: one that holds control characters comes as numbers, one that occurs twice as an array."""
    if isinstance(value, list):
        if value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            return bytes(value).decode("utf-8", "replace")
        return _text(value[0]) if value else ""
    return "" if value is None else str(value)


def output(argv: "Sequence[str]") -> "str":
    """Return what a program of systemd prints.  Raises HostError."""
    environ = dict(os.environ, LC_ALL="C.UTF-8", SYSTEMD_COLORS="0")
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
    except FileNotFoundError:
        raise HostError("{} is not installed; install systemd".format(argv[0])) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or "exit status {}".format(done.returncode)
        raise HostError("{} failed: {}".format(argv[0], said))
    return done.stdout.decode("utf-8", "replace")
