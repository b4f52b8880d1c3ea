"""Signatures of thousands of packages.

Knows that gpg's agent makes one RSA signature at a time, whatever the number of processors, and how to have more agents; hides
where those live.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ondemand_pkg.repository import gpg

_WORTH_AGENTS = 100  # signatures that take longer than it takes to start an agent
_SECRETS = "private-keys-v1.d"  # where an agent finds the secret keys, below gpg's home
_IN_THE_CLEAR, _ON_DISK = "C", "D"  # KEYINFO's words for a key that needs no passphrase and lies on no card (gpg-agent's help)


@contextlib.contextmanager
def signer(key: str, count: int) -> Iterator[Callable[[Sequence[bytes]], list[bytes]]]:
    """Yield what returns the binary signature of each of several data; ``count`` signatures will be asked for in all.

    Raises OndemandError.
    """
    with contextlib.ExitStack() as stack:
        homes: list[list[str]] = [[]]
        if count >= _WORTH_AGENTS and (secrets := _shareable(key)):
            homes += [stack.enter_context(_home(key, secrets)) for _ in range((os.cpu_count() or 1) - 1)]
        pool = stack.enter_context(ThreadPoolExecutor(2 * len(homes)))

        def one(number: int, data: bytes) -> bytes:
            return gpg.sign(data, [key], *homes[number % len(homes)], "--detach-sign")

        yield lambda items: list(pool.map(one, range(len(items)), items))


def _shareable(key: str) -> Path | None:
    """Return the directory of the secret keys, if every agent can use the key there without being told anything."""
    listed = gpg.gpg("--list-secret-keys", "--with-colons", "--with-keygrip", "--", key).stdout.decode("utf-8", "replace")
    grip = next((line.split(":")[9] for line in listed.splitlines() if line.startswith("grp:")), "")
    words = _told("gpg-connect-agent", f"KEYINFO {grip}", "/bye").split()  # S KEYINFO GRIP TYPE SERIAL ID CACHED PROTECTION ...
    if words[:2] != ["S", "KEYINFO"] or (words[3], words[7]) != (_ON_DISK, _IN_THE_CLEAR):
        return None
    secrets = Path(_told("gpgconf", "--list-dirs", "homedir").strip()) / _SECRETS
    return secrets if (secrets / f"{grip}.key").is_file() else None


def _told(*argv: str) -> str:
    """Return what a program of gpg's prints, nothing where it is not installed."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


@contextlib.contextmanager
def _home(key: str, secrets: Path) -> Iterator[list[str]]:
    """Yield the options for another home of gpg, and so another agent, with the public key and the secret keys where they are.

    They are none, which means the usual home, where no agent answers: the path to its socket may be too long, say.
    """
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        (Path(home) / _SECRETS).symlink_to(secrets)
        try:
            gpg.gpg("--homedir", home, "--import", data=gpg.export([key]))
            answers = gpg.gpg("--homedir", home, "--list-secret-keys", "--", key).returncode == 0
            yield ["--homedir", home] if answers else []
        finally:
            (Path(home) / _SECRETS).unlink()
            _told("gpgconf", "--homedir", home, "--kill", "all")
            _told("gpgconf", "--homedir", home, "--remove-socketdir")
