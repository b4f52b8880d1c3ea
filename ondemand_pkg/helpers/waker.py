"""waker - wake this service without a client, and end once it is ready.

Usage: waker

What the timer of `wake_at` runs.  Knows that a service that is awake, or sleeps paused, is woken as one that another service
requires; hides how that is.
"""

import programs
from names import NAME, UNITS
from process import Failure, say, usage
from required import await_ready


def main(argv: "Sequence[str]") -> "int":
    if argv:
        return usage(__doc__)
    try:
        control = await_ready(NAME, wakes=True, kind="service")
    except Failure as error:
        say(str(error))
        return 1
    # A proxy that met the end of the last life may have ended with it; without one nothing puts the service to sleep again.
    programs.wait(programs.start(["systemctl", "--no-block", "start", UNITS + ".service"]))
    control.close()
    return 0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence
