"""Which environment variables hold secrets.

Knows the words by which secrets are named; hides how a name is parted into words.
"""

from __future__ import annotations

import re

_WORDS = {"password", "passwd", "passphrase", "pass", "pw", "pwd", "secret", "secrets", "token", "apikey", "credentials",
          "credential"}
_ENDINGS = ("password", "passwd", "secret", "token", "apikey")
_BEFORE_KEY = {"api", "access", "secret", "private", "encryption", "master", "signing", "license", "app", "base"}
_URL_WITH_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s:@]+@", re.IGNORECASE)
_NO_SECRET = {"", "true", "false", "yes", "no", "0", "1", "on", "off"}


def is_secret(name: str, value: str) -> bool:
    """Tell whether a variable seems to hold a secret: by its name, or by a URL with a password in it.

    A variable that names a file (`..._FILE`, `/run/secrets/...`) or switches something holds none.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    if value.lower() in _NO_SECRET or value.startswith("/") or (words and words[-1] in ("file", "path", "dir", "name", "url")
                                                               and not _URL_WITH_PASSWORD.match(value)):
        return False
    if _URL_WITH_PASSWORD.match(value) or set(words) & _WORDS or any(word.endswith(_ENDINGS) for word in words):
        return True
    return any(after == "key" and before in _BEFORE_KEY for before, after in zip(words, words[1:], strict=False))
