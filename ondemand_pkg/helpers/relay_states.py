"""The life of a service as its clients see it: states, events, and what is done.

Knows which event leads where; hides how each action is carried out (relay_life.py).
"""

# States
ATTENDING = "attending"  # only data wakes it; clients are accepted, and none has sent anything
JOINING = "joining"  # the same, and there is a `run` that was started for other reasons; its answer is awaited
CALLING = "calling"  # `run` was asked for; systemd starts it, once nothing is left of the last one
STARTING = "starting"  # `run` has answered, and starts the workload
SERVING = "serving"  # clients are led to the workload
FALLING = "falling asleep"  # `run` was asked to put the workload to sleep
PAUSED = "paused"  # the workload sleeps paused; the first client wakes it
WAKING = "waking"  # paused, and a client waits: `run` was asked to wake it
RENEWING = "renewing"  # systemd restarts the container's service, for another container is declared now
STOPPING = "stopping"  # the workload is being stopped; open connections continue
BROKEN = "broken"  # the workload failed while clients were connected to it
FAILED = "failed"  # the start has failed and is still being stopped; every client is reset
DRAINING = "draining"  # systemd asked to stop; open connections continue to their end
PARTING = "parting"  # the workload has ended; clients still receive what it sent last
PARTING_BROKEN = "parting, broken"  # the same; after it, clients are reset for a while
PARTING_STOPPED = "parting, stopped"  # the same; after it, the process ends, whoever is held
REFUSING = "refusing"  # every client is reset for a while
CUT_OFF = "cut off"  # there is no way to `run`: the units are being replaced
OVER = "over"  # the process ends; systemd starts the next one for clients that wait

# Events
BEGIN = "begin"  # the process begins
SILENCE = "silence"  # only data wakes it, and clients are there that have sent none, or the process begins for some
MET = "met"  # a `run` is there that was not asked for
ALONE = "alone"  # no client is left, and no `run` is there; or the door at which it is asked for has closed
GREETED = "greeted"  # `run` has accepted the connection
UNANSWERED = "unanswered"  # the connection to `run` has ended without a word: what it met was ending
UNREACHABLE = "unreachable"  # nothing listens where `run` is asked for
FAILED_BEFORE = "failed before"  # the start failed before this process was answered
EXPIRED = "expired"  # the state's time is up
READY = "ready"  # the workload takes connections
PAUSES = "pauses"  # it was paused
WANTED = "wanted"  # a client waits for what sleeps paused
RENEW = "renew"  # `run` has asked systemd to restart the container's service
STOP = "stop"  # `run` was asked to stop the workload, maybe before this process asked for it
FAIL = "fail"  # `run` says that the start, or the workload soon after it, has failed
END = "end"  # `run` has ended, and with it this life of the workload
QUIET = "quiet"  # no traffic for as long as was declared
DOUBT = "doubt"  # the workload takes nobody at its address
MOVED = "moved"  # it has another address now
CLIENT = "client"  # a client was accepted
DRAINED = "drained"  # no bytes are left to be carried
HELD = "held"  # the same, but clients are held that the workload never took
TERM = "term"  # systemd asks to stop this service
GIVE_UP = "give up"  # the number of sockets is not the number of ports

EVENTS = (BEGIN, SILENCE, MET, ALONE, GREETED, UNANSWERED, UNREACHABLE, FAILED_BEFORE, EXPIRED, READY, PAUSES, WANTED, RENEW,
          STOP, FAIL, END, QUIET, DOUBT, MOVED, CLIENT, DRAINED, HELD, TERM, GIVE_UP)

# In these states clients are accepted; in the others they wait in the kernel, where they outlive this process.
ACCEPTING = (ATTENDING, JOINING, SERVING, FAILED, REFUSING)
WATCHING = (PAUSED,)  # in these it is noticed that one waits
HOLDING = (STARTING, WAKING)  # in these datagrams are held, for the kernel drops them where too many come

TABLE = {
    CALLING: {
        BEGIN: (CALLING, "call"),
        SILENCE: (ATTENDING, "attend"),
        GREETED: (STARTING, "await_ready"),
        # Release 0.1.0 greets nobody; what it says first is that.
        READY: (SERVING, "lead"),
        PAUSES: (PAUSED, "rest"),
        STOP: (STOPPING, ""),
        FAIL: (FAILED, "turn_away"),
        UNANSWERED: (CALLING, "call"),
        UNREACHABLE: (CUT_OFF, "await_units"),
        FAILED_BEFORE: (REFUSING, "refuse"),
        EXPIRED: (REFUSING, "refuse"),
        TERM: (OVER, "turn_away"),
        GIVE_UP: (REFUSING, "refuse_for"),
    },
    ATTENDING: {
        CLIENT: (CALLING, "call_for"),
        MET: (JOINING, "greet"),
        ALONE: (OVER, "turn_away"),
        TERM: (OVER, "turn_away"),
    },
    JOINING: {
        GREETED: (STARTING, "await_ready"),
        CLIENT: (CALLING, "await_greeting"),
        END: (ATTENDING, "attend"),  # it was at its end
        TERM: (OVER, "turn_away"),
    },
    STARTING: {
        READY: (SERVING, "lead"),
        PAUSES: (PAUSED, "rest"),
        STOP: (STOPPING, ""),
        FAIL: (FAILED, "turn_away"),
        END: (CALLING, "call"),  # how it ended, is known when nothing is left of it
        TERM: (OVER, "turn_away"),
    },
    SERVING: {
        CLIENT: (SERVING, "note"),
        QUIET: (FALLING, "ask_for_sleep"),
        DOUBT: (SERVING, "ask_where"),
        MOVED: (SERVING, "lead"),
        PAUSES: (PAUSED, "rest"),  # somebody has asked for that by hand
        STOP: (STOPPING, ""),
        FAIL: (BROKEN, ""),
        END: (PARTING, "part"),
        TERM: (DRAINING, ""),
    },
    FALLING: {
        READY: (SERVING, "lead"),
        PAUSES: (PAUSED, "rest"),
        STOP: (STOPPING, ""),
        FAIL: (BROKEN, ""),
        END: (PARTING, "part"),
        TERM: (DRAINING, ""),
    },
    PAUSED: {
        CLIENT: (WAKING, "note_and_wake"),
        WANTED: (WAKING, "wake"),
        READY: (SERVING, "lead"),  # another service has woken it
        RENEW: (RENEWING, ""),
        STOP: (STOPPING, ""),
        FAIL: (BROKEN, ""),
        END: (PARTING, "part"),
        TERM: (OVER, "turn_away"),
    },
    WAKING: {
        READY: (SERVING, "lead"),
        RENEW: (RENEWING, ""),
        STOP: (STOPPING, ""),
        FAIL: (BROKEN, ""),
        END: (PARTING, "part"),
        TERM: (OVER, "turn_away"),
    },
    RENEWING: {
        FAIL: (FAILED, "turn_away"),
        END: (CALLING, "call"),
        TERM: (OVER, "turn_away"),
    },
    STOPPING: {
        FAIL: (BROKEN, ""),
        END: (PARTING, "part"),
        TERM: (DRAINING, ""),
    },
    BROKEN: {
        END: (PARTING_BROKEN, "part"),
        TERM: (DRAINING, ""),
    },
    FAILED: {
        END: (REFUSING, "refuse"),
        TERM: (OVER, ""),
    },
    DRAINING: {
        END: (PARTING_STOPPED, "part"),
        DRAINED: (OVER, "turn_away"),
    },
    PARTING: {
        DRAINED: (OVER, "cut"),
        HELD: (CALLING, "cut_and_call"),
        SILENCE: (ATTENDING, "cut_and_attend"),
        TERM: (PARTING_STOPPED, ""),
    },
    PARTING_BROKEN: {
        DRAINED: (REFUSING, "cut_and_refuse"),
        HELD: (REFUSING, "cut_and_refuse"),
        TERM: (PARTING_STOPPED, ""),
    },
    PARTING_STOPPED: {
        DRAINED: (OVER, "cut_and_turn_away"),
        HELD: (OVER, "cut_and_turn_away"),
    },
    REFUSING: {
        EXPIRED: (OVER, ""),
        TERM: (OVER, ""),
    },
    CUT_OFF: {
        EXPIRED: (OVER, "turn_away"),
        TERM: (OVER, "turn_away"),
    },
    OVER: {},
}
