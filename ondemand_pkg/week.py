"""Hours of the week.

Knows how they are written for systemd and for the helpers; hides nothing.
"""

from __future__ import annotations

from ondemand_pkg.frozen import frozen

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@frozen
class Hours:
    """Hours that come again each week, in the host's time.

    ``begin`` and ``end`` in minutes of the day; an end that is not behind the begin is one of the next day.  ``days`` are those
    of the begin, 0 for Monday; every day where there are none.
    """

    begin: int
    end: int
    days: tuple[int, ...] = ()

    @property
    def event(self) -> str:
        """The moment of the calendar at which they begin, as systemd writes it."""
        return " ".join((*((",".join(WEEKDAYS[day] for day in self.days),) if self.days else ()), _clock(self.begin)))

    def __str__(self) -> str:
        return f"{self.event}..{_clock(self.end)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
