"""What the container of this package is made from: the declaration, and the administrator's environment on top.

Knows container.json beside this file and the administrator's file; hides how the two become one digest, which the container
carries as its label.
"""

import os

from names import ENVIRONMENT_FILE, HERE, say

DECLARATION = os.path.join(HERE, "container.json")
DIGEST_LENGTH = 64  # of SHA-256 in hexadecimal digits


def read_environment():
    """Return the KEY=value lines of the administrator's file; say which other lines are passed over."""
    found = {}
    try:
        with open(ENVIRONMENT_FILE, "rb") as stream:
            # Not splitlines(), which ends lines at characters that a value may hold.
            lines = [line.rstrip("\r") for line in stream.read().decode("utf-8", "surrogateescape").split("\n")]
    except FileNotFoundError:
        return found
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.lstrip().partition("=")
        if not equals or key.split() != [key] or "\0" in line:
            say("{}:{}: not a KEY=value line, passed over".format(ENVIRONMENT_FILE, number))
        else:
            found[key] = value
    return found


def readiness():
    """Return what the package declares of the container's readiness beside its kind."""
    import json

    with open(DECLARATION, "rb") as stream:
        return json.loads(stream.read().decode("ascii"))["ready"]


def specification(added_env):
    """Return the digest of all that the container is made from."""
    with open(DECLARATION, "rb") as stream:
        # The last value in the file; a parser of JSON takes longer to load than the engine to answer.
        declared = stream.read().rpartition(b'"spec": "')[2][:DIGEST_LENGTH].decode("ascii")
    if not added_env:
        return declared
    import hashlib  # only a host with an edited environment file pays for these
    import json

    return hashlib.sha256(json.dumps([declared, added_env], sort_keys=True).encode("utf-8")).hexdigest()
