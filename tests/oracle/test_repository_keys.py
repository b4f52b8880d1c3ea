"""What a site and its hosts may rely on of keys: each suite's hosts stay in it, an old key stays as long as it is needed, and a
key that is lost is not the end."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from requirements import need
from signing import Signer, signer

from ondemand_pkg.building import packing
from ondemand_pkg.declaration.reader import read
from ondemand_pkg.formats import RPM, read_deb
from ondemand_pkg.repository import gpg

from .sites import everything, listed, packages

URL = "https://packages.example/site/"
LONG_AGO = "--faked-system-time=20200101T000000"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Signer, Path]]:
    """A site of the test's own, with a repository of one package and its keyring package."""
    need("gpg")
    with signer() as one:
        root = tmp_path / "repository"
        one.publish(root, *packages(tmp_path, "1.0"))
        one.run("repo", "keyring", "--repo", root, "--url", URL)
        yield one, root


def new_key(site: Signer, user: str, *options: str, expire: str = "never") -> str:
    """Make a key with gpg itself; return its fingerprint."""
    done = subprocess.run(["gpg", "--batch", "--quiet", *options, "--passphrase", "", "--status-fd", "1", "--quick-generate-key",
                           user, "rsa2048", "sign", expire], env=site.environ, check=True, capture_output=True, text=True)
    return done.stdout.split("KEY_CREATED P ")[1].split()[0]


def delete(site: Signer, key: str, *what: str) -> None:
    subprocess.run(["gpg", "--batch", "--yes", *what, key], env=site.environ, check=True, capture_output=True)


def revoke(site: Signer, key: str) -> None:
    """Import the revocation certificate that gpg made with the key."""
    made = Path(site.environ["GNUPGHOME"], f"openpgp-revocs.d/{key}.rev").read_bytes()
    certificate = made.replace(b":-----BEGIN", b"-----BEGIN")
    subprocess.run(["gpg", "--batch", "--import"], env=site.environ, input=certificate, check=True, capture_output=True)


def served(root: Path) -> set[str]:
    """Return the fingerprints of the public keys that the repository serves."""
    shown = subprocess.run(["gpg", "--show-keys", "--with-colons", root / "ondemand-archive-keyring.gpg"], check=True,
                           capture_output=True, text=True).stdout
    return {line.split(":")[9] for line in shown.splitlines() if line.startswith("fpr")}


def suite_of(deb: Path) -> str:
    """Return the suite that a keyring package tells apt of."""
    with deb.open("rb") as stream:
        entries = read_deb.read(stream).entries
    (sources,) = (entry.data.decode() for entry in entries if entry.path.endswith("ondemand.sources"))
    return str(re.findall(r"^Suites: (.*)$", sources, re.MULTILINE)[0])


def shown_suites(site: Signer, root: Path) -> dict[str, str]:
    """Return, for each suite, that of the newest keyring package which it shows."""
    found: dict[str, str] = {}
    for line in site.run("repo", "list", "--repo", root).stdout.splitlines():
        suite, name, _, kind, path = line.split()
        if name == "ondemand-archive-keyring" and kind == "deb":
            found.setdefault(suite, suite_of(root / path))
    return found


def test_the_keyring_package_of_each_suite_leads_to_that_suite_whatever_happens(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    for suite in ("stable", "testing", "alpha"):
        site.publish(root, *packages(tmp_path, "1.0"), suite=suite)
        site.run("repo", "keyring", "--repo", root, "--url", URL, "--suite", suite)
    own_suites = {suite: suite for suite in ("stable", "testing", "alpha")}
    assert shown_suites(site, root) == own_suites
    site.publish(root, *packages(tmp_path, "1.1"), suite="testing")
    moved = site.run("repo", "promote", "--repo", root, "--from", "testing").stdout
    assert "ondemand-nginx_1.1-1_all.deb" in moved and "keyring" not in moved
    site.run("repo", "key", "rotate", "--repo", root)
    assert shown_suites(site, root) == own_suites
    assert suite_of(root / "ondemand-archive-keyring.deb") == "stable"
    assert len([line for line in listed(site, root) if "keyring" in line]) == 6  # the newest of each suite and format
    site.run("repo", "keyring", "--repo", root, "--url", "https://other.example/", "--suite", "testing")
    assert shown_suites(site, root) == own_suites
    assert suite_of(root / "ondemand-archive-keyring.deb") == "stable"
    site.run("repo", "verify", "--repo", root)


def test_publishing_the_keyring_package_again_changes_nothing(own: tuple[Signer, Path]) -> None:
    site, root = own
    before = everything(root)
    site.run("repo", "keyring", "--repo", root, "--url", URL)
    assert everything(root) == before


def test_an_old_key_is_served_as_long_as_it_signed_what_is_shown(own: tuple[Signer, Path], tmp_path: Path) -> None:
    site, root = own
    old, new = site.key, site.run("repo", "key", "rotate", "--repo", root).stdout.strip()
    assert served(root) == {old, new}
    site.run("repo", "key", "rotate", "--repo", root, "--finish")
    assert served(root) == {old, new}
    said = site.run("repo", "key", "rotate", "--repo", root, "--finish", status=1).stderr
    assert said.endswith("starts one; an old key is still served for the packages it signed: ondemand-nginx 1.0-1\n")
    site.run("publish", "--repo", root, *packages(tmp_path, "1.1"))
    site.run("repo", "prune", "--repo", root, "--keep", "1")
    site.run("repo", "verify", "--repo", root)
    assert site.run("repo", "key", "rotate", "--repo", root, "--finish").stdout.strip() == new
    assert served(root) == {new}
    site.run("repo", "verify", "--repo", root)


def test_a_lost_key_is_told_and_replaced(own: tuple[Signer, Path], tmp_path: Path) -> None:
    site, root = own
    before = everything(root)
    delete(site, site.key, "--delete-secret-keys")
    new = new_key(site, "new@example.com")
    way_out = ("; run the command as the user who published before, set GNUPGHOME to that user's, or restore the key from a "
               "backup; hosts accept no other one, so only if it is lost or revoked: "
               "'ondemand-pkg repo key rotate --lost --key KEY' switches to another key\n")
    for command in (["publish", *packages(tmp_path, "1.1")], ["repo", "key", "rotate"], ["repo", "key", "rotate", "--key", new],
                    ["repo", "remove", "ondemand-nginx"]):
        said = site.run(*command, "--repo", root, status=1).stderr
        assert said.startswith(f"error: key '{site.key}': gpg does not have this secret key in ") and said.endswith(way_out)
    assert everything(root) == before
    assert site.run("repo", "key", "rotate", "--repo", root, "--lost", "--key", new).stdout == f"{new}\n"
    assert served(root) == {site.key, new}  # the old one signed what is there
    site.run("publish", "--repo", root, *packages(tmp_path, "1.1"))
    site.run("repo", "verify", "--repo", root)


def test_a_lost_public_key_is_told_and_taken_back_from_the_repository(own: tuple[Signer, Path], tmp_path: Path) -> None:
    site, root = own
    delete(site, site.key, "--delete-secret-and-public-key")
    new = new_key(site, "new@example.com")
    said = site.run("repo", "key", "rotate", "--repo", root, "--lost", "--key", new, status=1).stderr
    assert said == (f"error: gpg does not have the public key {site.key}; import the repository's "
                    "ondemand-archive-keyring.asc with 'gpg --import'\n")
    subprocess.run(["gpg", "--batch", "--import", root / "ondemand-archive-keyring.asc"], env=site.environ, check=True,
                   capture_output=True)
    site.run("repo", "key", "rotate", "--repo", root, "--lost", "--key", new)
    site.run("repo", "verify", "--repo", root)


def test_a_revoked_key_is_served_no_more_and_verify_tells_what_it_signed(own: tuple[Signer, Path], tmp_path: Path) -> None:
    site, root = own
    revoke(site, site.key)
    new = new_key(site, "new@example.com")
    said = site.run("publish", "--repo", root, *packages(tmp_path, "1.1"), status=1).stderr
    assert (f"key '{site.key}': it was revoked or disabled; use another key; "
            "if it is lost or revoked, 'ondemand-pkg repo key rotate --lost") in said
    site.run("repo", "key", "rotate", "--repo", root, "--lost", "--key", new)
    assert served(root) == {new}
    said = site.run("repo", "verify", "--repo", root, status=1).stderr
    assert said == (f"error: {root}/pool/o/ondemand-nginx/ondemand-nginx-1.0-1.noarch.rpm: no valid signature by a key of the "
                    "repository; publish it with another release and remove this one\n")
    site.run("publish", "--repo", root, *packages(tmp_path, "1.1"))
    site.run("repo", "remove", "--repo", root, "ondemand-nginx=1.0-1")
    site.run("repo", "verify", "--repo", root)


def test_an_expired_key_is_prolonged_as_the_message_says(own: tuple[Signer, Path], tmp_path: Path) -> None:
    site, root = own
    subprocess.run(["gpg", "--batch", "--quick-set-expire", site.key, "seconds=1"], env=site.environ, check=True)
    subprocess.run(["sh", "-c", f"until gpg --list-secret-keys --with-colons {site.key} | grep -q ^sec:e; do sleep 0.05; done"],
                   env=site.environ, check=True, timeout=60, capture_output=True)
    said = site.run("publish", "--repo", root, *packages(tmp_path, "1.1"), status=1).stderr
    (command,) = re.findall(r"it expired on [0-9-]+; extend it \('(gpg --quick-set-expire [0-9A-F]{40} 2y)'\), then publish the "
                            r"keyring package again \('ondemand-pkg repo keyring'\)", said)
    subprocess.run(command.split(), env=site.environ, check=True)
    site.run("repo", "keyring", "--repo", root, "--url", URL)
    assert "stable ondemand-archive-keyring 2-1 deb" in listed(site, root)
    site.run("publish", "--repo", root, *packages(tmp_path, "1.1"))
    site.run("repo", "verify", "--repo", root)


def signed(site: Signer, key: str, *options: str) -> bytes:
    """Return a signature of b"text"."""
    return subprocess.run(["gpg", "--batch", "--quiet", *options, "--local-user", f"{key}!", "--detach-sign"], input=b"text",
                          env=site.environ, check=True, capture_output=True).stdout


def public(site: Signer, *keys: str) -> bytes:
    return subprocess.run(["gpg", "--batch", "--export", *keys], env=site.environ, check=True, capture_output=True).stdout


def test_a_signature_counts_only_with_a_key_that_is_good(site: Signer) -> None:
    old = new_key(site, "expired@example.com", LONG_AGO, expire="1d")
    revoked = new_key(site, "revoked@example.com")
    by_old, by_revoked = signed(site, old, LONG_AGO), signed(site, revoked)
    revoke(site, revoked)
    ring = public(site, old, revoked, site.key)
    good = signed(site, site.key)
    assert gpg.good_signers(b"text", good, ring) == {site.key}
    assert gpg.good_signers(b"other", good, ring) == gpg.good_signers(b"text", good, public(site, old)) == set()
    assert gpg.good_signers(b"text", by_old, ring) == set() and gpg.good_signers(b"text", by_old, ring, or_expired=True) == {old}
    assert gpg.good_signers(b"text", by_revoked, ring, or_expired=True) == set()
    # One that is not good hides no other, wherever it stands.
    bad = good[:-1] + bytes([good[-1] ^ 1])
    for several in (by_old + by_revoked + good, good + by_revoked + by_old, bad + good, good + bad):
        assert gpg.good_signers(b"text", several, ring) == {site.key}
    assert gpg.good_signers(b"text", by_old + good, public(site, site.key)) == {site.key}  # the first by a key that is not there


def crowd(directory: Path, count: int) -> list[Path]:
    """Build .rpms of so many containers."""
    directory.mkdir(parents=True, exist_ok=True)
    declaration = directory / "crowd.toml"
    declaration.write_text('[package]\nversion = "1"\n' + "".join(
        f'[container.web{number}]\nimage = "web:1"\nports = ["{10000 + number}:80"]\n' for number in range(count)))
    return packing.write(packing.tasks(read([str(declaration)]), [RPM], {}), directory / "dist")


@pytest.mark.parametrize("where", ["short", "too long for the path of a socket " * 3])
def test_many_packages_are_signed_and_no_key_and_no_agent_stays_anywhere_else(site: Signer, tmp_path: Path, where: str) -> None:
    root = tmp_path / "repository"
    secrets = Path(site.environ["GNUPGHOME"], "private-keys-v1.d")
    before = {path: path.read_bytes() for path in secrets.iterdir()}
    with TemporaryDirectory(prefix=where) as temporary:
        done = subprocess.run([sys.executable, "-m", "ondemand_pkg", "publish", "--repo", root, "--key", site.key,
                               *crowd(tmp_path, 120)], env={**site.environ, "TMPDIR": temporary}, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert list(Path(temporary).iterdir()) == []
    assert {path: path.read_bytes() for path in secrets.iterdir()} == before
    assert temporary not in subprocess.run(["ps", "-e", "-o", "args"], check=True, capture_output=True, text=True).stdout
    assert site.run("repo", "verify", "--repo", root).stderr == "120 packages: no error\n"


def test_a_key_with_a_passphrase_is_asked_for_once(tmp_path: Path) -> None:
    need("gpg")
    with signer() as site:
        quiet = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "secret"]
        Path(site.environ["GNUPGHOME"], "gpg-agent.conf").write_text("s2k-count 65536\n")  # a tenth of a second a signature less
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=site.environ, check=True)
        subprocess.run([*quiet, "--quick-generate-key", "guarded@example.com", "rsa2048", "sign", "never"], env=site.environ,
                       check=True, capture_output=True)
        # As somebody does who types it: the agent knows it from then on.
        subprocess.run([*quiet, "--local-user", "guarded@example.com", "--detach-sign"], input=b"text", env=site.environ,
                       check=True, capture_output=True)
        root = tmp_path / "repository"
        site.run("publish", "--repo", root, "--key", "guarded@example.com", *crowd(tmp_path, 120))
        site.run("repo", "verify", "--repo", root)
