"""What the container of this package is made from: the declaration, and the administrator's environment on top.

Knows container.json beside this file and the administrator's file; hides how the two become one digest, which the container
carries as its label.
"""

import os
import stat

from names import DECLARATION, ENVIRONMENT_FILE
from process import Failure, say

DIGEST_LENGTH = 64  # of SHA-256 in hexadecimal digits


def read_environment() -> "Dict[str, str]":
    """Return the KEY=value lines of the administrator's file; report the other lines, which are ignored.

    Bytes that are no UTF-8 are escaped (surrogateescape).  Raises Failure where the file can't be read.
    """
    found: "Dict[str, str]" = {}
    try:
        with open_environment() as stream:
            # Not splitlines(), which ends lines at characters that a value may hold.
            lines = [line.rstrip("\r") for line in stream.read().decode("utf-8", "surrogateescape").split("\n")]
    except FileNotFoundError:
        return found
    except OSError as error:
        raise Failure("{} can't be read: {}".format(ENVIRONMENT_FILE, error.strerror)) from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.lstrip().partition("=")
        if not equals or key.split() != [key] or "\0" in line:
            say("{}:{}: not a KEY=value line; ignored".format(ENVIRONMENT_FILE, number))
        else:
            found[key] = value
    return found


def open_environment() -> "IO[bytes]":
    """Open the administrator's file.  Raises OSError, and Failure where it is no file: nobody writes to a FIFO for a wake."""
    descriptor = os.open(ENVIRONMENT_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Failure("{} is not a regular file; replace it by one with KEY=value lines, or remove it".format(ENVIRONMENT_FILE))
    return os.fdopen(descriptor, "rb")


def keep_from_everybody(added_env: "Dict[str, str]") -> "None":
    """Take the administrator's file from everybody but root where everybody could read values in it, and say so.

    The package brings it so; one that was deleted and written anew has the mode of any new file.
    """
    if not added_env:
        return
    with open_environment() as stream:
        if os.fstat(stream.fileno()).st_mode & stat.S_IROTH:
            os.fchmod(stream.fileno(), 0o600)
            say("everybody could read the values in {}; now only root can (chmod 600)".format(ENVIRONMENT_FILE))


def refuse_other_encodings(added_env: "Dict[str, str]") -> "None":
    """Raise Failure where the administrator's file holds what is no UTF-8: no engine takes it."""
    for key, value in sorted(added_env.items()):
        try:
            (key + value).encode("utf-8")
        except UnicodeEncodeError:
            raise Failure("{}: the line of {} is not UTF-8; save the file as UTF-8".format(
                ENVIRONMENT_FILE, key.encode("utf-8", "replace").decode("ascii", "replace"))) from None


def readiness() -> "Dict[str, Any]":
    """Return what the package declares of the container's readiness besides its kind."""
    import json

    with open(DECLARATION, "rb") as stream:
        return dict(json.loads(stream.read().decode("ascii"))["ready"])


def specification(added_env: "Dict[str, str]", hosts: "Sequence[str]" = ()) -> "str":
    """Return the digest of all that the container is made from; ``hosts`` are NAME:ADDRESS of what it reaches by name."""
    with open(DECLARATION, "rb") as stream:
        # The last value in the file; a parser of JSON takes longer to load than the engine to answer.
        declared = stream.read().rpartition(b'"spec": "')[2][:DIGEST_LENGTH].decode("ascii")
    if not added_env and not hosts:
        return declared
    import hashlib  # only a host with an edited environment file, or with linked containers, pays for these
    import json

    parts = [declared, added_env] + ([list(hosts)] if hosts else [])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Dict, Sequence
