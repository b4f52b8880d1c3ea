"""The keys of a repository, and how its hosts get them.

Knows how a repository goes over to another key and which old keys its hosts still need; hides the keyring packages, one for
each suite, that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ondemand_pkg.errors import OndemandError
from ondemand_pkg.formats import FORMATS
from ondemand_pkg.repository import generation, gpg, keyring
from ondemand_pkg.repository.directory import KEYRING, Directory, now
from ondemand_pkg.repository.generation import Additions
from ondemand_pkg.repository.pool import bring
from ondemand_pkg.repository.state import STABLE, State, check_suite, retire


def check(state: State, key: str) -> None:
    """Check that the keys of a state can sign, after taking over the one that is asked for where it has none.

    Raises OndemandError.
    """
    if key:
        fingerprint = gpg.find(key).fingerprint
        if not state.keys:
            state.keys, state.public = [fingerprint], [fingerprint]
        if fingerprint not in state.keys:
            raise OndemandError(f"key {key!r}: the repository is signed with {', '.join(state.keys)}; "
                                "'ondemand-pkg repo key rotate' switches to another key")
    if not state.keys:
        raise OndemandError("no signing key: name one with --key KEY; 'ondemand-pkg repo key new' creates one")
    for fingerprint in state.keys:
        _usable(fingerprint)


def _usable(fingerprint: str) -> gpg.Key:
    """Return a key by which a repository is signed; raises OndemandError where it can't sign any more."""
    try:
        return gpg.find(fingerprint)
    except gpg.NoSecretKey as error:
        # Mostly somebody else publishes, and the key is where it was: no other one comes first.
        raise OndemandError(f"{error.finding}; run the command as the user who published before, set GNUPGHOME to that user's, "
                            "or restore the key from a backup; hosts accept no other one, so only if it is lost or revoked: "
                            "'ondemand-pkg repo key rotate --lost --key KEY' switches to another key") from None
    except OndemandError as error:
        raise OndemandError(f"{error}; if it is lost or revoked, 'ondemand-pkg repo key rotate --lost --key KEY' switches to "
                            "another key") from None


def rotate(root: Path, key: str, expire: str, say: Callable[[str], None]) -> gpg.Key:
    """Begin a rotation to another key, which is created unless ``key`` names one; return it.

    From then on both keys sign every index and both are served; packages are signed by the old one, which every client
    has.  Raises OndemandError.
    """
    directory = Directory(root)
    with directory.locked(say):
        before = directory.existing()
        if len(before.keys) > 1:
            raise OndemandError(f"{root}: a rotation from {before.keys[0]} to {before.keys[1]} is in progress; finish it with "
                                "'ondemand-pkg repo key rotate --finish' once the hosts have the new key")
        old = _usable(before.keys[0])
        new = _another(before, key) if key else gpg.make(old.user, expire)
        after = before.copy()
        after.keys.append(new.fingerprint)
        after.public.append(new.fingerprint)
        _reshow(directory, before, after, say)
        return new


def _another(state: State, key: str) -> gpg.Key:
    new = gpg.find(key)
    if new.fingerprint in state.public:
        raise OndemandError(f"key {key!r}: it already signs or has signed this repository; use another key")
    return new


def finish_rotation(root: Path, say: Callable[[str], None]) -> str:
    """Let the new key sign alone, and serve no more the old ones that hosts don't need; return the fingerprint.

    Hosts need the key that signed an .rpm which a suite shows: packages stay as they are.  Raises OndemandError.
    """
    directory = Directory(root)
    with directory.locked(say):
        before = directory.existing()
        after = before.copy()
        after.keys = before.keys[-1:]
        after.public = _needed(after)
        if after == before:
            signed = ", ".join(_signed(after))
            raise OndemandError(f"{root}: no rotation is in progress; 'ondemand-pkg repo key rotate' starts one"
                                + (f"; an old key is still served for the packages it signed: {signed}" if signed else ""))
        _reshow(directory, before, after, say)
        return after.keys[0]


def replace_lost(root: Path, key: str, say: Callable[[str], None]) -> gpg.Key:
    """Let another key sign alone at once, because the one so far can't sign any more; return it.

    No host trusts it until the host joins again.  Old keys are served as after ``finish_rotation``, revoked ones are not.  Raises
    OndemandError.
    """
    directory = Directory(root)
    with directory.locked(say):
        before = directory.existing()
        new = gpg.find(key)
        if new.fingerprint not in before.keys:
            new = _another(before, key)
        after = before.copy()
        after.keys = [new.fingerprint]
        after.public = _needed(after)
        _reshow(directory, before, after, say)
        return new


def _needed(state: State) -> list[str]:
    """Return the keys that sign, after those of earlier that signed what is shown and were not revoked."""
    signers = {item.signer for item in state.items.values() if item.name != KEYRING}
    old = [key for key in state.public if key in signers and key not in state.keys]
    return [*gpg.not_revoked(old), *state.keys]


def _signed(state: State) -> list[str]:
    """Return the packages that only an old key signed."""
    return sorted({f"{item.name} {item.version}" for item in state.items.values()
                   if item.name != KEYRING and item.signer not in ("", *state.keys)})


def keyring_packages(root: Path, url: str, suite: str, say: Callable[[str], None]) -> list[Path]:
    """Publish the packages by which hosts join a suite of a repository that is served at a URL; return their paths.

    Raises OndemandError.
    """
    check_suite(suite)
    keyring.check_url(url)
    directory = Directory(root)
    with directory.locked(say):
        before = directory.existing()
        check(before, "")
        after = before.copy()
        after.url = url.rstrip("/") + "/"
        after.suites.setdefault(suite, set())
        return [root / path for path in _reshow(directory, before, after, say, suite)]


def _reshow(directory: Directory, before: State, after: State, say: Callable[[str], None], suite: str = "") -> list[str]:
    """Show a state whose keys or URL changed, with the keyring packages that it asks for; return the pool paths of a suite's.

    Each suite that has one gets the next version, which names that suite, and ``suite`` too.
    """
    with directory.faults(), directory.incoming() as incoming:
        change, paths = Additions(), dict[str, list[str]]()
        suites = {name for name in after.suites if _own(after, name)} | ({suite} if suite else set())
        # Those of `stable` come last: their copies at the root are what a host that knows nothing else begins with.
        for name in sorted(suites, key=lambda name: (name == STABLE, name)) if after.url else ():
            paths[name] = _renewed(directory.root, after, name, incoming, change)
            for path in paths[name]:
                content = change.files.get(path, directory.root / path).read_bytes()
                change.root[f"{KEYRING}{Path(path).suffix}"] = content
        retire(after, now())
        if after != before:
            generation.show(directory, before, after, change, now(), say)
        return paths.get(suite, [])


def _renewed(root: Path, after: State, suite: str, incoming: Path, change: Additions) -> list[str]:
    """Put the next version of a suite's keyring packages into a state in place of those before, if one is due; return theirs."""
    contents = keyring.Contents(gpg.dearmored(gpg.export(after.public)), after.url, suite)
    before = _own(after, suite)
    if before and after.keyring_of.get(suite) == contents.digest():
        return sorted(before)
    after.keyring += 1
    after.keyring_of[suite] = contents.digest()
    after.suites[suite] -= before
    brought, paths = bring(root, after, list(_written(contents, after, incoming / suite)), suite, incoming)
    change.files |= brought.files
    change.facts |= brought.facts
    return paths


def _own(state: State, suite: str) -> set[str]:
    """Return the pool paths of a suite's keyring packages."""
    return {path for path in state.suites[suite] if state.items[path].name == KEYRING}


def _written(contents: keyring.Contents, state: State, directory: Path) -> Iterable[Path]:
    directory.mkdir()
    created = max(gpg.find(key).created for key in state.keys)
    for format in FORMATS.values():
        package = keyring.package(contents, format, state.keyring, created)
        file = directory / format.filename(package)
        with file.open("w+b") as stream:
            format.write(package, stream)
        yield file
