"""Which environment variables, and which arguments of a command, hold secrets.

Knows the words by which secrets are named; hides how a name is parted into words.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence

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


# Options of servers and of their clients that no other word betrays.
_OF_SERVERS = {"--requirepass", "--masterauth", "--auth-pass"}
_OF_CLIENTS = {"redis-cli": "-a", "valkey-cli": "-a", "keydb-cli": "-a", "mysql": "-p", "mysqladmin": "-p", "mariadb": "-p",
               "mariadb-admin": "-p"}


def in_words(words: Sequence[str]) -> Iterator[str]:
    """Yield by which name a command's words give a secret: `--password=x`, `--password x`, `PASSWORD=x`, `redis-cli -a x`.

    A word that is a line of a shell is looked into; a variable or a file in the place of the secret is none.
    """
    words = [part for word in words for part in ([word] if not re.search(r"\s", word) else _of_line(word))]
    short = ""
    for word, following in itertools.pairwise([*words, ""]):
        short = _OF_CLIENTS.get(word.rpartition("/")[2], short)
        name, equals, value = word.partition("=")
        if not equals and word.startswith("--"):
            value = following if not following.startswith("-") else ""
        elif short and word.startswith(short) and not equals:
            name, value = short, word[len(short):] or (following if short == "-a" else "")
        elif not equals and _URL_WITH_PASSWORD.match(word):
            name, value = "a URL", word
        elif not equals:
            continue
        if value and not value.startswith(("$", "/")) and (
                name in _OF_SERVERS or name == short or is_secret(name.lstrip("-"), value)):
            yield name


def _of_line(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
