"""The capabilities of Linux.

Knows their names; hides in which of their forms one was written.  Source: capabilities(7), linux/capability.h.
"""

from __future__ import annotations

import functools
from typing import Any

from ondemand_pkg.declaration.values import Invalid, Value, expect

NAMES = frozenset("""
    AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID
    IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW
    PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM""".split())
_ALLOWED = 'the name of a capability, such as "NET_BIND_SERVICE", or "ALL"'


@functools.lru_cache(1024)
def fault(name: str) -> str:
    """Return what to do about a capability that does not exist, in any form or case, or nothing."""
    bare = name.upper().removeprefix("CAP_")
    if bare in NAMES or bare == "ALL":
        return ""
    import difflib  # for mistakes alone

    near = sorted(known for known in NAMES if abs(len(known) - len(bare)) <= 3 and known[:1] == bare[:1])
    matches = difflib.get_close_matches(bare, near, 1, 0.6)
    return f'did you mean "{matches[0]}"?' if matches else f"allowed: {_ALLOWED}"


def _capability(value: Any) -> str:
    expect(value, str, _ALLOWED)
    if remedy := fault(value):
        raise Invalid(value, remedy, why="there is no such capability")
    return str(value).upper()


CAPABILITY = Value(_ALLOWED, _capability, {"type": "string", "pattern": "^(?:[Cc][Aa][Pp]_)?[A-Za-z][A-Za-z_]*$"})
