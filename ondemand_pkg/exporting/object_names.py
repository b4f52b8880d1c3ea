"""How Kubernetes calls what a declaration names.

Knows which names and labels its API server takes; hides how a name is made to fit.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 63  # of a DNS label, RFC 1123
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ENVIRONMENT_KEY = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]{0,252}")


def object_name(text: str) -> str:
    """Return the name of an object nearest to a text.

    A Service's name begins with a letter and has no dot (RFC 1035); longer ones than 63 characters end in a hash of the whole.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"ondemand-{name}".rstrip("-")
    if len(name) > LONGEST:
        name = f"{name[:LONGEST - 9].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return name


def part_of_name(name: str, ending: str) -> str:
    """Return the name of an object that is made together with another one."""
    return object_name(f"{name}-{ending}")


def is_label(key: str, value: str) -> bool:
    """Whether a label can be one of Kubernetes."""
    return bool(_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value))


def is_annotation(key: str) -> bool:
    """Whether a key can be that of an annotation, whose value may be any text."""
    return bool(_LABEL_KEY.fullmatch(key))


def is_environment_key(key: str) -> bool:
    """Whether a variable may have this name in a ConfigMap from which all variables are taken."""
    return bool(_ENVIRONMENT_KEY.fullmatch(key)) and key not in (".", "..") and not key.startswith("..")
