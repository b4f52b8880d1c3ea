"""The services of a host as people and as programs read them.

Knows the table and the JSON object; hides how times, addresses and colours are written.
"""

import textwrap
from datetime import datetime, timezone

from ondemand_host.places import UNRECORDED, timer_of
from ondemand_host.services import CONTAINERS, IDLE, JOURNAL
from ondemand_host.sockets import UDP
from ondemand_host.systemd import LOOK_BACK_DAYS, PHASES
from ondemand_host.visible import as_json as visible_json
from ondemand_host.visible import visible

# What is shown of clients that woke nothing, by the field of the journal: its name in JSON, and words for one and for several.
_UNWOKEN = {
    "ONDEMAND_CLOSED": ("closed_without_data", "connection closed without data", "connections closed without data"),
    "ONDEMAND_PROBES": ("probes_answered", "request for the health answered", "requests for the health answered"),
    "ONDEMAND_REFUSED": ("refused", "client refused by 'allow'", "clients refused by 'allow'"),
    "ONDEMAND_FEW": ("too_few_datagrams", "client with too few datagrams", "clients with too few datagrams"),
}
_COLOURS = {"awake": "green", "paused": "cyan", "starting": "yellow", "stopping": "yellow", "failing": "red", "closed": "red",
            "unmanaged": "red"}
_HEAD = ("NAME", "STATE", "CONN", "LAST WAKE", "TOOK", "P50", "P99", "LEFT", "PORTS")
_RIGHT = {"CONN", "TOOK", "P50", "P99", "LEFT"}
_HOW = {"idle": "no traffic", "paused": "no traffic, paused", "ended": "it was stopped, or ended"}  # helpers/record.py
_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
_REMEDIES = {
    JOURNAL: "no permission to read the journal, so wakes and failures are not shown; run as root or as a member of the group "
             "systemd-journal",
    IDLE: "only root can see how long the services stay awake without traffic",
    CONTAINERS: "no permission to query the container engine, so a container that was started without its service is shown as "
                "asleep; run as root",
}


def lines(found: "Survey", now: "float", width: "int", in_detail: "bool", paint: "Paint") -> "Iterator[str]":
    """Yield the lines of the table, and what is to be said of services that fail, or ``in_detail`` of each."""
    listed = [_application(one) for one in found.applications] + [_row(service, found, now) for service in found.services]
    rows = [_HEAD] + listed if listed else []
    widths = [max(map(len, column)) for column in zip(*rows)]
    for index, row in enumerate(rows):
        cells = [cell.rjust(size) if head in _RIGHT else cell.ljust(size) for head, cell, size in zip(_HEAD, row, widths)]
        cells[-1] = row[-1]
        if index == 0:
            cells = [paint(cell, bold=True) for cell in cells]
        elif row[1] in _COLOURS:
            cells[1] = paint(cells[1], _COLOURS[row[1]])
        yield "  ".join(cells)
    for service in found.services:
        for text in list(_trouble(service, now)) + (list(_details(service)) if in_detail else []):
            one_line = visible(" ".join("{}: {}".format(service.name, text).split()))  # a reason may be of several lines
            yield from textwrap.wrap(one_line, max(40, width), subsequent_indent="    ", break_on_hyphens=False)
    for application in found.applications:
        if application.missing:
            yield visible("{}: not installed: {}".format(application.name, ", ".join(application.missing)))


def not_readable(found: "Survey") -> "List[str]":
    """Return what this user could not read, and what helps."""
    return [_REMEDIES[what] for what in found.not_readable]


def _row(service: "Service", found: "Survey", now: "float") -> "Tuple[str, ...]":
    unknown = "?" if JOURNAL in found.not_readable else "-"
    wake, times = service.last_wake, service.wake_time
    idle = span(service.idle_left) if service.idle_left is not None else "-"
    has_many = times is not None and times.wakes > 1  # of a single wake there is nothing to rank
    return tuple(map(visible, (
        service.name, service.state, str(service.connections),
        "{} ago".format(span(now - wake.time)) if wake else unknown,
        milliseconds(wake.total) if wake and wake.total is not None else unknown,
        milliseconds(times.p50) if times and has_many else unknown, milliseconds(times.p99) if times and has_many else unknown,
        "?" if service.state == "awake" and IDLE in found.not_readable else idle,
        " ".join(map(port, service.ports)) or (
            "with " + " ".join(service.companion_of) if service.companion_of else
            "before " + " ".join(service.task_before) if service.task_before else
            "at " + " and ".join(service.schedule) if service.schedule else "-"))))


def _application(one: "Application") -> "Tuple[str, ...]":
    """Return a stack as one row: its state, and how many of its members run."""
    count = len(one.members) + len(one.missing)
    return tuple(map(visible, (one.name, one.state, str(one.connections), "-", "-", "-", "-", "-", "{} of {} awake: {}".format(
        one.awake, count, " ".join(member.name for member in one.members)))))


def _trouble(service: "Service", now: "float") -> "Iterator[str]":
    if service.failures_in_a_row and service.state in ("failing", "starting"):
        count = service.failures_in_a_row
        text = "the last wake failed" if count == 1 else "the last {} wakes failed".format(count)
        if service.last_failure:
            text += ", {} ago: {}".format(span(now - service.last_failure.time), service.last_failure.reason)
        if service.next_attempt is not None:
            left = service.next_attempt - now
            text += "; {}".format("it is started again while a service that it accompanies is awake" if service.companion_of else
                                  "the next wake of {} runs it again".format(" or ".join(service.task_before))
                                  if service.task_before else "its timer runs it again" if service.schedule else
                                  "the next connection tries again")
            text += ", in {} at the earliest".format(span(left)) if left > 0.5 else ""
        yield text
    if service.waits_for:
        yield ("waits until {0} sleeps, which excludes it; 'ondemand sleep {0}' says what keeps that awake".format(
            service.waits_for))
    if service.state == "closed":
        yield ("its timer does not run although it is enabled; see 'systemctl status {}'".format(timer_of(service.name))
               if service.schedule else
            "does not listen although it is enabled; see 'journalctl --unit {}.socket'".format(service.stem))
    elif service.state != "disabled" and not service.enabled and service.schedule:
        yield "its timer runs, but is not enabled: after the next boot it does not run; run 'systemctl enable {}'".format(
            timer_of(service.name))
    elif service.state != "disabled" and not service.enabled:
        yield ("listens, but is not enabled: after the next boot it does not listen; run 'systemctl enable {}.socket'".format(
            service.stem))
    if service.state == "unmanaged":
        yield ("the container runs without its service, so nothing puts it to sleep: somebody started it at the engine; the next "
               "connection takes it over, 'docker stop {}' ends it".format(service.stem))
    if service.without_proxy:
        yield ("was started without its proxy ('systemctl start {0}-container'), so nothing measures its traffic and it stays "
               "awake; the next connection starts the proxy, 'systemctl stop {0}-container' puts it to sleep".format(
                   service.stem))


def _details(service: "Service") -> "Iterator[str]":
    if service.next_by_clock is not None:
        yield "{} next {}".format("runs" if service.schedule else "woken by the clock", moment(service.next_by_clock))
    if any(service.dropped):
        yield "datagrams dropped: {} by the kernel since it listens, {} by the relay since it runs".format(*service.dropped)
    if service.unwoken:
        yield "woke nothing in {} days: {}".format(LOOK_BACK_DAYS, "; ".join(
            "{} {}, the last {} from {}".format(
                found.clients, one if found.clients == 1 else several, moment(found.time), found.client)
            for found, _, one, several in ((service.unwoken[field],) + words for field, words in _UNWOKEN.items()
                                           if field in service.unwoken)))
    wake, times = service.last_wake, service.wake_time
    if wake:
        client = "by {}".format(wake.client) if wake.client else "without a client"
        phases = ", ".join("{} {} ms".format(name.replace("_", " "), count) for name, count in wake.phases)
        yield "last woken {} {} in {} ms ({})".format(moment(wake.time), client, wake.total, phases)
    if service.last_sleep:
        yield "last asleep {} after {} awake: {}".format(moment(service.last_sleep.time), span(service.last_sleep.awake),
                                                         _HOW.get(service.last_sleep.how, service.last_sleep.how))
    if service.given_back is not None:
        yield "asleep, it gives back {} of memory, which its processes held (PSS)".format(size(service.given_back))
    if times and times.wakes > 1:
        yield "{} wakes in {} days: 50 % within {} ms, 99 % within {} ms".format(
            times.wakes, LOOK_BACK_DAYS, times.p50, times.p99)
    elif times:
        yield "1 wake in {} days".format(LOOK_BACK_DAYS)
    if service.failures and service.last_failure:
        yield "{} failed wake{} in {} days, the last {}: {}".format(
            service.failures, "s" if service.failures > 1 else "", LOOK_BACK_DAYS, moment(service.last_failure.time),
            service.last_failure.reason)
    yield "version {}, built by ondemand-pkg {}".format(service.version, service.built_by) if service.version else (
        "built by ondemand-pkg {}".format(service.built_by or UNRECORDED))


def as_json(found: "Survey") -> "str":
    """Return everything as one JSON object; what does not apply or can't be read is null."""
    return visible_json({"services": [_object(service) for service in found.services],
                         "stacks": [{"name": one.name, "state": one.state, "connections": one.connections, "awake": one.awake,
                                     "members": [member.name for member in one.members], "missing": list(one.missing)}
                                    for one in found.applications],
                         "look_back_days": LOOK_BACK_DAYS, "not_readable": list(found.not_readable)})


def _object(service: "Service") -> "Dict[str, Any]":
    wake, failure, times, sleep = service.last_wake, service.last_failure, service.wake_time, service.last_sleep
    return {
        "name": service.name, "version": service.version, "built_by": service.built_by,
        "state": service.state, "enabled": service.enabled,
        "without_proxy": service.without_proxy, "companion_of": list(service.companion_of),
        "task_before": list(service.task_before), "schedule": list(service.schedule),
        "waits_for": service.waits_for or None,
        "ports": list(service.ports), "connections": service.connections,
        "dropped_datagrams": {"kernel": service.dropped[0], "relay": service.dropped[1]} if any(
            address.endswith(UDP) for address in service.ports) else None,
        **{key: {"count": service.unwoken[field].clients, "client": service.unwoken[field].client,
                 "time": moment(service.unwoken[field].time)} if field in service.unwoken else None
           for field, (key, _, _) in _UNWOKEN.items()},
        "idle_left_s": service.idle_left,
        "next_by_clock": moment(service.next_by_clock) if service.next_by_clock is not None else None,
        "last_wake": dict(_of_record(wake), total_ms=wake.total, **{
            "{}_ms".format(phase): dict(wake.phases).get(phase) for phase in PHASES}) if wake else None,
        "last_sleep": {"time": moment(sleep.time), "how": sleep.how, "awake_s": sleep.awake,
                       "given_back_bytes": sleep.given_back} if sleep else None,
        "given_back_bytes": service.given_back,
        "wake_time": {"p50_ms": times.p50, "p99_ms": times.p99, "count": times.wakes} if times else None,
        "failures": service.failures, "failures_in_a_row": service.failures_in_a_row,
        "last_failure": dict(_of_record(failure), reason=failure.reason) if failure else None,
        "next_attempt": moment(service.next_attempt) if service.next_attempt is not None else None,
    }


def _of_record(record: "Record") -> "Dict[str, Any]":
    return {"time": moment(record.time), "client": record.client}


def moment(seconds: "float") -> "str":
    """Return a time as RFC 3339 writes it, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: "float") -> "str":
    """Return a time span in its largest unit, as systemd writes units."""
    seconds = max(0.0, seconds)
    for size, unit in _UNITS:
        if seconds >= size:
            return "{}{}".format(int(seconds / size), unit)
    return "{}s".format(int(seconds))


def milliseconds(count: "int") -> "str":
    """Return a count of milliseconds in at most five characters, unless it is of hours."""
    if count < 1000:
        return "{}ms".format(count)
    return "{:.1f}s".format(count / 1000) if count < 99950 else span(count / 1000)


def size(count: "float") -> "str":
    """Return a count of bytes as people read it."""
    return "{:.1f} GiB".format(count / 2 ** 30) if count >= 2 ** 30 else "{:.1f} MiB".format(count / 2 ** 20)


def port(address: "str") -> "str":
    """Return an address as a declaration has it: every address of the host is its port alone."""
    host, _, number = address.rpartition(":")
    return number if host in ("[::]", "") and not address.startswith("/") else address


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Protocol, Tuple

    from ondemand_host.services import Service, Survey
    from ondemand_host.stacks import Application
    from ondemand_host.systemd import Record

    class Paint(Protocol):
        def __call__(self, text: str, colour: str = "", bold: bool = False) -> str: ...
