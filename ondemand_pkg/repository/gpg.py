"""Signing keys, as gpg and its agent keep them.

Knows which keys old and new package managers accept and how gpg is told; hides gpg's output.  No secret ever passes
through here: gpg's agent, or the card behind it, signs.
"""

from __future__ import annotations

import base64
import functools
import itertools
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.frozen import frozen
from ondemand_pkg.repository.directory import ARMORED_KEYS

_RSA = "1"  # RFC 4880, 9.1
_SHORTEST = 2048  # bits; Debian 13 and Enterprise Linux 9 refuse less
_SECRET_FIELDS = {"algorithm": 3, "length": 2, "created": 5, "expires": 6, "validity": 1, "capabilities": 11}


@frozen
class Key:
    """A usable key: the fingerprint of its primary key, when it was made and expires (seconds since the epoch, 0: never)."""

    fingerprint: str
    created: int
    expires: int
    user: str

    @property
    def spaced(self) -> str:
        """The fingerprint as people compare it."""
        return " ".join(self.fingerprint[start:start + 4] for start in range(0, len(self.fingerprint), 4))


def gpg(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run gpg without anybody to ask; raises OndemandError where it is not installed."""
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(["gpg", "--batch", "--no-tty", "--yes", "--quiet", *arguments], input=data, env=environ,
                              capture_output=True)
    except FileNotFoundError:
        raise OndemandError("gpg is not installed; install the package gpg (Debian) or gnupg2 (Fedora)") from None


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = [line.removeprefix("gpg: ") for line in done.stderr.decode("utf-8", "replace").splitlines() if line]
    return "; ".join(lines[-2:]) or f"exit status {done.returncode}"


class NoSecretKey(OndemandError):
    """gpg does not have a secret key; ``finding`` says so, without a remedy."""

    def __init__(self, finding: str) -> None:
        super().__init__(f"{finding}; set GNUPGHOME, run the command as the user who has it, restore it from a backup, or create "
                         "one with 'ondemand-pkg repo key new'")
        self.finding = finding


@functools.cache
def find(key: str) -> Key:
    """Return the one secret key that a fingerprint or user ID names; raises OndemandError unless it can sign."""
    done = gpg("--list-secret-keys", "--with-colons", "--fixed-list-mode", "--", key)
    records = [line.split(":") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    found = [record for record in records if record[0] == "sec"]
    home = os.environ.get("GNUPGHOME", "~/.gnupg")
    if done.returncode or not found:
        raise NoSecretKey(f"key {key!r}: gpg does not have this secret key in {home}")
    if len(found) > 1:
        raise OndemandError(f"key {key!r}: {len(found)} secret keys match; give the fingerprint of one")
    secret = {name: found[0][index] for name, index in _SECRET_FIELDS.items()}
    fingerprint = next(record[9] for record in records if record[0] == "fpr")
    user = next((record[9] for record in records if record[0] == "uid"), "")
    expires = int(secret["expires"] or 0)
    if secret["validity"] == "e" or 0 < expires <= time.time():
        day = datetime.fromtimestamp(expires, UTC).date()
        raise OndemandError(f"key {key!r}: it expired on {day}; extend it ('gpg --quick-set-expire {fingerprint} 2y'), "
                            "then publish the keyring package again ('ondemand-pkg repo keyring')")
    if secret["validity"] in ("r", "d", "i"):
        raise OndemandError(f"key {key!r}: it was revoked or disabled; use another key")
    if "s" not in secret["capabilities"]:
        raise OndemandError(f"key {key!r}: its primary key can't sign, and dnf does not support subkeys; create one with "
                            "'ondemand-pkg repo key new'")
    if secret["algorithm"] != _RSA or int(secret["length"] or 0) < _SHORTEST:
        raise OndemandError(f"key {key!r}: only an RSA key of {_SHORTEST} bits or more is accepted by all package managers; "
                            "create one with 'ondemand-pkg repo key new'")
    return Key(fingerprint, int(secret["created"] or 0), expires, user)


def make(user: str, expire: str) -> Key:
    """Make an RSA key of 4096 bits for a user ID, whose primary key signs; gpg asks for a passphrase if it can.

    ``expire`` is as gpg writes it: "never", "2y".  Raises OndemandError.
    """
    with tempfile.TemporaryDirectory() as temporary:
        status = Path(temporary) / "status"
        arguments = ["gpg", "--quiet", "--yes", "--status-file", str(status), "--cert-digest-algo", "SHA512"]
        if not os.isatty(0):
            arguments += ["--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""]
        try:
            done = subprocess.run([*arguments, "--quick-generate-key", user, "rsa4096", "sign", expire],
                                  stdin=None if os.isatty(0) else subprocess.DEVNULL, capture_output=True)
        except FileNotFoundError:
            raise OndemandError("gpg is not installed; install the package gpg (Debian) or gnupg2 (Fedora)") from None
        if done.returncode:
            raise OndemandError(f"gpg can't create the key: {_reason(done)}")
        made = [line.split()[3] for line in status.read_text().splitlines() if line.startswith("[GNUPG:] KEY_CREATED")]
    return find(made[0])


def export(fingerprints: Sequence[str]) -> bytes:
    """Return public keys, armoured; raises OndemandError unless gpg has all of them."""
    done = gpg("--status-fd", "2", "--armor", "--export-options", "export-minimal", "--export", *fingerprints)
    exported = {words[2] for words in map(str.split, done.stderr.decode("utf-8", "replace").splitlines())
                if words[1:2] == ["EXPORTED"]}
    missing = [fingerprint for fingerprint in fingerprints if fingerprint not in exported]
    if missing:
        raise OndemandError(f"gpg does not have the public key {', '.join(missing)}; import the repository's "
                            f"{ARMORED_KEYS} with 'gpg --import'")
    return done.stdout


def not_revoked(fingerprints: Sequence[str]) -> list[str]:
    """Return those of some keys that were not revoked, as far as gpg knows."""
    if not fingerprints:
        return []
    done = gpg("--list-keys", "--with-colons", "--fixed-list-mode", "--", *fingerprints)
    records = [line.split(":") for line in done.stdout.decode("utf-8", "replace").splitlines()]
    revoked = {after[9] for record, after in itertools.pairwise(records) if record[0] == "pub" and record[1] == "r"}
    return [fingerprint for fingerprint in fingerprints if fingerprint not in revoked]


def dearmored(armored: bytes) -> bytes:
    """Return what stands in one armoured block (RFC 4880, 6.2); its checksum is left to the readers."""
    _, _, body = armored.partition(b"\n\n")
    return base64.b64decode(b"".join(line for line in body.split(b"\n") if line and line[:1] not in b"=-"))


def sign(data: bytes, keys: Sequence[str], *how: str) -> bytes:
    """Return what gpg makes of data with some keys and options that say how to sign; raises OndemandError."""
    # The exclamation mark: the primary key, and no subkey that gpg would prefer (gpg(1), "How to specify a user ID").
    users = [option for key in keys for option in ("--local-user", f"{key}!")]
    done = gpg("--digest-algo", "SHA512", *users, *how, data=data)
    if done.returncode or not done.stdout:
        raise OndemandError(f"gpg can't sign with {', '.join(keys)}: {_reason(done)}")
    return done.stdout


def clear_signed(data: bytes, keys: Sequence[str]) -> bytes:
    """Return a text with its signatures around it."""
    return sign(data, keys, "--clearsign")


def detached(data: bytes, keys: Sequence[str]) -> bytes:
    """Return the signatures of data, armoured."""
    return sign(data, keys, "--armor", "--detach-sign")


def good_signers(data: bytes, signature: bytes, keyring: bytes, or_expired: bool = False) -> set[str]:
    """Return the fingerprints of the keys of a keyring of which data has a good signature.

    An empty ``signature`` means that ``data`` is signed in itself.  A key that has expired counts only where it is asked
    for, as for what was signed before and stays as it is; one that was revoked never does.
    """
    with tempfile.TemporaryDirectory() as temporary:
        ring, signed, beside = (Path(temporary) / name for name in ("ring.gpg", "signed", "signature"))
        ring.write_bytes(keyring)
        signed.write_bytes(data)
        files = [str(signed)]
        if signature:
            beside.write_bytes(signature)
            files.insert(0, str(beside))
        # With --batch it stops at the first of several signatures that is not good.
        done = gpg("--no-batch", "--no-default-keyring", "--keyring", str(ring), "--trust-model", "always",
                    "--status-fd", "1", "--homedir", temporary, "--no-auto-check-trustdb", "--verify", *files)
    # Each signature is NEWSIG, what gpg thinks of it, and VALIDSIG where it is right, whatever became of the key since
    # (gpg's doc/DETAILS).
    good, is_good = set(), False
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[1:2] == ["NEWSIG"]:
            is_good = False
        elif words[1:2] == ["GOODSIG"] or (or_expired and words[1:2] == ["EXPKEYSIG"]):
            is_good = True
        elif words[1:2] == ["VALIDSIG"] and is_good:
            good.add(words[-1])
    return good
