"""waker - wake this service without a client, and end once it is ready.

Usage: waker

What the timer of `wake_at` runs.  Knows that a service that is awake, or sleeps paused, is woken as one that another service
requires; hides how that is.
"""

from names import NAME
from process import Failure, say, usage
from required import await_ready


def main(argv: "Sequence[str]") -> "int":
    if argv:
        return usage(__doc__)
    try:
        await_ready(NAME, wakes=True, kind="service").close()
    except Failure as error:
        say(str(error))
        return 1
    return 0


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence
