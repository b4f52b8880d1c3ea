"""Hours in which a service is not put to sleep.

Knows how the relay's call names them ("Mon,Tue 08:00..18:00", "22:00..06:00"), and when they end; hides midnight and the
changes to and from daylight saving time.  The host's clock and time zone are asked each time: an administrator may set them.
"""

import time

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WHOLE_DAY = 24 * 60  # minutes
MOST = 16  # hours that follow each other without a gap; what is declared for all of the week has no end


def parse(text: "str") -> "Hours":
    """Return hours as (days of their begin, begin, end), the latter two in minutes of the day.  Raises ValueError."""
    days, _, times = text.rpartition(" ")
    begin, end = [minutes(one) for one in times.split("..")]
    return tuple(DAYS.index(day) for day in days.split(",")) if days else tuple(range(7)), begin, end


def minutes(text: "str") -> "int":
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def seconds_left(several: "Sequence[Hours]", moment: "float") -> "float":
    """Return for how many seconds some hours last from a moment on (seconds since the epoch), 0 where it is in none of them."""
    time.tzset()
    end = moment
    for _ in range(MOST):
        later = max([end_of(hours, end) for hours in several] or [end])
        if later <= end:
            break
        end = later
    return end - moment


def until_their_end(several: "Sequence[Hours]") -> "Callable[[], float]":
    """Return what returns for how many seconds some hours last from now on."""
    return lambda: seconds_left(several, time.time())


def end_of(hours: "Hours", moment: "float") -> "float":
    """Return when hours end in which a moment is, 0 where it is not in them.

    What the clock shows counts: hours that it skips in spring are none, and those that it shows twice in autumn are both meant.
    """
    days, begin, end = hours
    local = time.localtime(moment)
    today, minute = local.tm_wday, local.tm_hour * 60 + local.tm_min
    goes_on = end <= begin  # over midnight
    if today in days and begin <= minute and (goes_on or minute < end):
        left = end + (WHOLE_DAY if goes_on else 0)
    elif goes_on and (today - 1) % 7 in days and minute < end:
        left = end
    else:
        return 0.0
    for is_summer in (local.tm_isdst, -1):
        found = time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, left, 0, 0, 0, is_summer))
        shown = time.localtime(found)
        if found > moment and shown.tm_hour * 60 + shown.tm_min == end % WHOLE_DAY:
            return found
    return moment + (left - minute) * 60 - local.tm_sec  # a moment that the clock does not show


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence, Tuple

    Hours = Tuple[Tuple[int, ...], int, int]
