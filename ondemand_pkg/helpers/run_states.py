"""The life of a workload as `run` sees it: states, events, and what is done.

Knows which event leads where; hides how each action is carried out (run_life.py).
"""

# States
PREPARING = "preparing"  # required services are waited for; the container is created if it is missing or not as declared
STARTING = "starting"  # the engine starts it, or it is not ready yet
AWAKE = "awake"  # ready, and clients may be connected to it
FREEZING = "freezing"  # the engine pauses it
PAUSED = "paused"  # it sleeps paused
WAKING = "waking"  # paused, and wanted
RENEWING = "renewing"  # paused, wanted, and another container is declared now: systemd restarts the service
STOPPING = "stopping"  # the engine was asked to stop it
EXITED = "exited"  # it ended before it was ready, as the clients were told; the engine does not know its status yet
FAILED = "failed"  # it did not become ready, as the clients were told; the engine was asked to stop it
ENDED = "ended"  # the process ends

# Events
INTERRUPTED = "interrupted"  # the engine went away before it was ready
BEGUN = "begun"  # the engine was asked to start it
STARTED = "started"  # the engine has started it, or it was running
LISTENS = "listens"  # its readiness was seen
GAVE_UP = "gave up"  # it was not ready in time, or the helper that checks was killed
IDLE = "idle"  # no traffic, and it sleeps stopped
IDLE_TO_PAUSE = "idle, pauses"  # no traffic, and it sleeps paused
IDLE_BUT_HELD = "idle, held"  # no traffic, and another service requires it
YIELDED = "yielded"  # another service, which can't be awake at the same time, wants to, and nobody uses this one
SOUGHT = "sought"  # clients are not taken at its address
FROZE = "froze"  # the engine has paused it
CANT_FREEZE = "can't freeze"  # the engine can't pause it
WANTED = "wanted"  # a client, or another service, wants what sleeps
WANTED_ANOTHER = "wanted, another"  # the same, but another container is declared now
THAWED = "thawed"  # the engine has resumed it
DIED = "died"  # it is no longer alive; the engine may not know yet
GONE = "gone"  # the engine says that it ended, and that is no failure
GONE_SOON = "gone soon"  # it ended with an error, before it was ready or soon after
REFUSED = "refused"  # the engine does not stop it
BROKE = "broke"  # something needed for the start is missing, or the engine is gone for good
RETURNED = "returned"  # the engine went away and came back; the workload lives on
TERM = "term"  # systemd asks to stop

EVENTS = (INTERRUPTED, BEGUN, STARTED, LISTENS, GAVE_UP, IDLE, IDLE_TO_PAUSE, IDLE_BUT_HELD, YIELDED, SOUGHT, FROZE, CANT_FREEZE,
          WANTED, WANTED_ANOTHER, THAWED, DIED, GONE, GONE_SOON, REFUSED, BROKE, RETURNED, TERM)

TABLE = {
    PREPARING: {
        BEGUN: (STARTING, ""),
        INTERRUPTED: (PREPARING, "begin_again"),
        BROKE: (ENDED, "fail"),
        # systemd's signal ends the process here, and ExecStopPost= does the rest; unless it came in the moment before.
        TERM: (ENDED, "finish"),
    },
    STARTING: {
        INTERRUPTED: (PREPARING, "begin_again"),
        STARTED: (STARTING, "tell_started"),
        LISTENS: (AWAKE, "tell_ready"),
        GAVE_UP: (FAILED, "give_up"),
        DIED: (EXITED, "tell_exit"),
        GONE_SOON: (ENDED, "fail_by_exit"),
        BROKE: (ENDED, "fail"),
        TERM: (STOPPING, "stop"),
        RETURNED: (STARTING, ""),
    },
    AWAKE: {
        IDLE: (STOPPING, "sleep"),
        IDLE_TO_PAUSE: (FREEZING, "freeze"),
        IDLE_BUT_HELD: (AWAKE, "stay_awake"),
        YIELDED: (STOPPING, "sleep"),
        SOUGHT: (AWAKE, "find"),
        GONE: (ENDED, "end_awake"),
        GONE_SOON: (ENDED, "fail_by_end"),
        BROKE: (ENDED, "break_off"),
        TERM: (STOPPING, "stop"),
        RETURNED: (AWAKE, ""),
    },
    FREEZING: {
        FROZE: (PAUSED, "tell_paused"),
        CANT_FREEZE: (STOPPING, "sleep"),
    },
    PAUSED: {
        WANTED: (WAKING, "thaw"),
        WANTED_ANOTHER: (RENEWING, "renew"),
        YIELDED: (STOPPING, "thaw_and_stop"),
        GONE: (ENDED, "finish"),
        GONE_SOON: (ENDED, "fail_by_end"),
        BROKE: (ENDED, "break_off"),
        TERM: (STOPPING, "thaw_and_stop"),
        RETURNED: (PAUSED, "freeze_again"),
    },
    WAKING: {
        THAWED: (AWAKE, "tell_ready"),
        BROKE: (ENDED, "break_off"),
    },
    RENEWING: {
        GONE: (ENDED, "finish"),
        GONE_SOON: (ENDED, "finish"),
        BROKE: (ENDED, "finish"),
        TERM: (STOPPING, "stop"),
        RETURNED: (RENEWING, ""),
    },
    STOPPING: {
        GONE: (ENDED, "finish"),
        GONE_SOON: (ENDED, "finish"),
        REFUSED: (STOPPING, "stop_later"),
        BROKE: (ENDED, "finish"),
        RETURNED: (STOPPING, "stop_again"),
    },
    EXITED: {
        GONE_SOON: (ENDED, "name_exit"),
        BROKE: (ENDED, ""),
    },
    FAILED: {
        GONE_SOON: (ENDED, ""),
        REFUSED: (FAILED, "stop_later"),
        BROKE: (ENDED, ""),
        TERM: (FAILED, "stop_again"),
        RETURNED: (FAILED, "stop_again"),
    },
    ENDED: {},
}
