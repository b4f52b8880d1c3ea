"""What systemd knows of units, and what the journal holds of wakes.

Knows the output of systemctl(1) and journalctl(1), and the fields that templates/libexec/record.py writes; hides both programs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ondemand_pkg.errors import OndemandError

WOKEN = "03eb855e60674ca096582626136989ec"
FAILED = "44e9934b34144a52873bc6774228defd"
PHASES = ("queued", "engine_start", "ready", "first_byte")
LOOK_BACK_DAYS = 30
MOST_RECORDS = 10000  # that are read, the newest
_PROPERTIES = "Id,ActiveState,UnitFileState,Listen,StatusText"
_FIELDS = ("MESSAGE_ID", "ONDEMAND_NAME", "ONDEMAND_CLIENT", "ONDEMAND_REASON", "ONDEMAND_TOTAL_MS",
           *(f"ONDEMAND_{phase.upper()}_MS" for phase in PHASES))


@dataclass(frozen=True)
class Unit:
    """A unit as `systemctl show` tells of it.

    ``listen`` holds the addresses of a socket unit, "[::]:80" or a path; ``status`` is what its main process says of itself.
    """

    active: str = "inactive"
    file_state: str = ""
    listen: tuple[str, ...] = ()
    status: str = ""


@dataclass(frozen=True)
class Record:
    """A wake, or one that failed; ``time`` in seconds since the epoch, ``phases`` and ``total`` in milliseconds."""

    name: str
    time: float
    failed: bool
    client: str | None = None
    reason: str = ""
    phases: tuple[tuple[str, int], ...] = ()
    total: int | None = None


def require_systemd() -> None:
    """Raise OndemandError unless systemd runs this machine (sd_booted(3))."""
    if not os.path.isdir("/run/systemd/system"):
        raise OndemandError("systemd does not run this machine; 'ondemand-pkg status' tells of the services of the host on "
                            "which they are installed")


def units(names: Sequence[str]) -> dict[str, Unit]:
    """Return some units by their names.  Raises OndemandError where systemd does not tell."""
    if not names:
        return {}
    return parse_units(_output(["systemctl", "show", f"--property={_PROPERTIES}", "--", *names]))


def parse_units(text: str) -> dict[str, Unit]:
    """Return the units of what `systemctl show` printed: a block each, a property a line."""
    found = {}
    for block in text.split("\n\n"):
        lines = [line.partition("=") for line in block.splitlines()]
        values = {key: value for key, _, value in lines}
        listen = tuple(value.removesuffix(" (Stream)") for key, _, value in lines if key == "Listen")
        if "Id" in values:
            found[values["Id"]] = Unit(values.get("ActiveState", ""), values.get("UnitFileState", ""), listen,
                                       values.get("StatusText", ""))
    return found


def journal_is_readable() -> bool:
    """Whether this user may read what services write: root, and the groups that the distribution lets."""
    if os.getuid() == 0:
        return True
    files = [path for top in ("/var/log/journal", "/run/log/journal") for path in Path(top).glob("*/system.journal")]
    try:
        return all(os.access(path, os.R_OK) for path in files) and bool(files)
    except OSError:
        return False


def records(names: Iterable[str]) -> list[Record]:
    """Return the records of some services, newest first: at most MOST_RECORDS of the last LOOK_BACK_DAYS.

    The journal looks them up by its index; those that another user than root wrote are left out.
    """
    matches = ["_UID=0", f"MESSAGE_ID={WOKEN}", f"MESSAGE_ID={FAILED}", *(f"ONDEMAND_NAME={name}" for name in names)]
    return parse_records(_output([
        "journalctl", "--quiet", "--no-pager", "--reverse", f"--since=-{LOOK_BACK_DAYS}d", f"--lines={MOST_RECORDS}",
        "--output=json", f"--output-fields={','.join(_FIELDS)}", *matches]))


def parse_records(text: str) -> list[Record]:
    """Return the records of what `journalctl --output=json` printed: an object a line.  What is none is passed over."""
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            values = {key: _text(value) for key, value in entry.items()}
            record = Record(
                name=values["ONDEMAND_NAME"], time=int(values["__REALTIME_TIMESTAMP"]) / 1e6,
                failed=values["MESSAGE_ID"] == FAILED, client=values.get("ONDEMAND_CLIENT"),
                reason=values.get("ONDEMAND_REASON", ""),
                phases=tuple((phase, int(values[key])) for phase in PHASES if (key := f"ONDEMAND_{phase.upper()}_MS") in values),
                total=int(values["ONDEMAND_TOTAL_MS"]) if "ONDEMAND_TOTAL_MS" in values else None)
        except (ValueError, KeyError, AttributeError):
            continue
        if record.failed or record.total is not None:
            found.append(record)
    return found


def _text(value: object) -> str:
    """Return a field as text: one that holds control characters comes as numbers, one that stands there twice as an array."""
    if isinstance(value, list):
        if value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            return bytes(value).decode("utf-8", "replace")
        return _text(value[0]) if value else ""
    return "" if value is None else str(value)


def _output(argv: Sequence[str]) -> str:
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, env=environ)
    except FileNotFoundError:
        raise OndemandError(f"{argv[0]} is not there; install systemd") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
        raise OndemandError(f"{argv[0]} does not tell of the services: {said}")
    return done.stdout.decode("utf-8", "replace")
