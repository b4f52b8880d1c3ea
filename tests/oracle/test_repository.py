"""What a site may rely on when it publishes: everything goes in or nothing, whatever happens."""

from __future__ import annotations

import lzma
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from requirements import need
from signing import Signer

from .sites import everything, listed, packages


def test_published_packages_are_listed_and_everything_verifies(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    said = site.publish(root, *packages(tmp_path, "1.27.0", "1.27.1"))
    assert all((tmp_path / line).is_file() for line in said.splitlines()) and len(said.splitlines()) == 4
    assert listed(site, root) == ["stable ondemand-nginx 1.27.1-1 deb", "stable ondemand-nginx 1.27.0-1 deb",
                                  "stable ondemand-nginx 1.27.1-1 rpm", "stable ondemand-nginx 1.27.0-1 rpm"]
    assert site.run("repo", "verify", "--repo", root).stderr == "4 packages: no error\n"


def test_publishing_the_same_again_changes_nothing(site: Signer, tmp_path: Path) -> None:
    root, paths = tmp_path / "repository", packages(tmp_path, "1.27.0")
    first = site.publish(root, *paths)
    before = everything(root)
    assert site.publish(root, *paths) == first
    assert everything(root) == before


@pytest.fixture(scope="module")
def published(site: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that nobody may change."""
    directory = tmp_path_factory.mktemp("published")
    site.publish(directory / "repository", *packages(directory, "1.27.0"))
    return directory / "repository"


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
def test_other_content_under_a_published_version_is_refused(site: Signer, tmp_path: Path, format_name: str) -> None:
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path / "a", "1.27.0"))
    before = everything(root)
    other = packages(tmp_path / "b", "1.27.0", "1.27.1", image="nginx:other", formats=(format_name,))
    said = site.publish(root, *reversed(other), status=1)
    assert said == (f"error: {other[0]}: not published: ondemand-nginx 1.27.0-1 was already published with other content; "
                    "raise its version or release\n")
    assert everything(root) == before
    site.run("repo", "remove", "--repo", root, "ondemand-nginx")
    site.publish(root, other[0], status=1)  # a host may still have the first one


def broken(path: Path, how: str) -> Path:
    data = path.read_bytes()
    target = path.with_name("ondemand-web_1_all.deb") if how == "renamed" else path
    target.write_bytes({"empty": b"", "text": b"hello\n", "cut": data[:-100], "renamed": data}.get(how, data[:len(data) // 2]
                       + bytes(byte ^ 255 for byte in data[len(data) // 2:len(data) // 2 + 9]) + data[len(data) // 2 + 9:]))
    return target


@pytest.mark.parametrize("format_name", ["deb", "rpm"])
@pytest.mark.parametrize("how", ["empty", "text", "cut", "renamed", "flipped"])
def test_what_is_no_sound_package_is_refused_and_nothing_changes(site: Signer, published: Path, tmp_path: Path,
                                                                 format_name: str, how: str) -> None:
    root = published
    before = everything(root)
    (path,) = packages(tmp_path, "1.27.1", formats=(format_name,))
    bad = broken(path, how)
    said = site.publish(root, *packages(tmp_path, "1.27.2"), bad, status=1)
    assert said.startswith(f"error: {bad}: not published: ") and said.count("\n") == 1
    assert everything(root) == before


def test_a_missing_file_is_told(site: Signer, tmp_path: Path) -> None:
    assert site.publish(tmp_path / "r", tmp_path / "none.deb", status=1) == (
        f"error: {tmp_path / 'none.deb'}: not published: No such file or directory\n")


def test_a_missing_key_is_told_and_nothing_is_made(site: Signer, tmp_path: Path) -> None:
    root, paths = tmp_path / "repository", packages(tmp_path, "1.27.0")
    done = site.run("publish", "--repo", root, "--key", "nobody@example.com", *paths, status=1)
    assert done.stderr.startswith("error: key 'nobody@example.com': gpg does not have this secret key in ")
    done = site.run("publish", "--repo", root, *paths, status=1)
    assert done.stderr == "error: no signing key: name one with --key KEY; 'ondemand-pkg repo key new' creates one\n"
    assert not root.exists()


def test_an_expired_key_and_one_that_hosts_refuse_are_told(site: Signer, tmp_path: Path) -> None:
    root, paths = tmp_path / "repository", packages(tmp_path, "1.27.0")
    for user, kind, expire, reason in [("old@example.com", "rsa2048", "1d", "it expired on 2020-01-02; extend it "),
                                       ("curve@example.com", "ed25519", "never", "only an RSA key ")]:
        subprocess.run(["gpg", "--batch", "--quiet", "--faked-system-time=20200101T000000", "--passphrase", "",
                        "--quick-generate-key", user, kind, "sign", expire], env=site.environ, check=True, capture_output=True)
        said = site.run("publish", "--repo", root, "--key", user, *paths, status=1).stderr
        assert said.startswith(f"error: key '{user}': {reason}")
    assert not root.exists()


def test_a_full_disk_is_told_and_nothing_changes(site: Signer, tmp_path: Path) -> None:
    need("mount", root=True)
    root = tmp_path / "repository"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(root)], check=True)
    try:
        site.publish(root, *packages(tmp_path, "1.27.0"))
        before = everything(root)
        said = site.publish(root, *packages(tmp_path, *(f"1.28.{number}" for number in range(20))), status=1)
        assert "No space left on device; free some space" in said and said.startswith(f"error: {root}: nothing was changed: ")
        assert everything(root) == before
        site.run("repo", "verify", "--repo", root)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_a_cache_that_finds_the_disk_full_is_done_without(site: Signer, tmp_path: Path) -> None:
    need("mount", root=True)
    root, full = tmp_path / "repository", tmp_path / "full"
    site.publish(root, *packages(tmp_path, "1.27.0"))
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(full)], check=True)
    try:
        (root / ".repository/cache.sqlite").unlink()
        (root / ".repository/cache.sqlite").symlink_to(full / "cache.sqlite")
        site.publish(root, *packages(tmp_path, *(f"1.28.{number}" for number in range(10))))
        assert not (root / ".repository/cache.sqlite").is_symlink()  # the next one is made where it belongs
        assert len(listed(site, root)) == 22
        site.run("repo", "verify", "--repo", root)
    finally:
        subprocess.run(["umount", str(full)], check=True)


def test_a_repository_that_cant_be_read_is_told(site: Signer, tmp_path: Path) -> None:
    need("setpriv", root=True)
    root, new = tmp_path / "repository", packages(tmp_path, "1.0")
    site.publish(root, *new)
    (root / ".repository").chmod(0)
    # root without the capability that makes permissions mean nothing to it
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-m", "ondemand_pkg"]
    for command in (["publish", *new], ["repo", "list"], ["repo", "verify"], ["repo", "remove", "ondemand-nginx"]):
        done = subprocess.run([*powerless, *command, "--repo", root], env=site.environ, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert "Permission denied; give yourself permission to " in done.stderr


def test_who_may_not_write_is_told_whose_the_repository_is(site: Signer, tmp_path: Path) -> None:
    need("setpriv", root=True)
    root, new = tmp_path / "repository", packages(tmp_path, "1.0")
    site.publish(root, *new)
    for path in (root, *root.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    powerless = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable, "-m", "ondemand_pkg"]
    done = subprocess.run([*powerless, "publish", *new, "--repo", root], env=site.environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Permission denied; run the command as the user 12345, who owns {root}, or give yourself permission" in done.stderr


def test_a_directory_that_cant_be_written_is_told(site: Signer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = site.publish(tmp_path / "file" / "repository", *packages(tmp_path, "1.27.0"), status=1)
    assert said.startswith(f"error: {tmp_path / 'file/repository'}: nothing was changed: ") and "Not a directory" in said


def test_killed_at_any_moment_it_is_whole_and_the_next_goes_on(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path, "1.0"))
    begin = time.monotonic()
    site.publish(root, *packages(tmp_path, "1.1"))
    whole = time.monotonic() - begin
    chance = random.Random(5)
    for number in range(12):
        before = set(listed(site, root))
        new = packages(tmp_path, f"2.{number}")
        process = site.start("publish", "--repo", root, *new)
        try:
            process.wait(timeout=whole * chance.random())
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        after = set(listed(site, root))
        assert after - before in (set(), {f"stable ondemand-nginx 2.{number}-1 {name}" for name in ("deb", "rpm")})
        assert before <= after
        shown = everything(root)
        assert "pool/o/ondemand-nginx/ondemand-nginx_1.0-1_all.deb" in shown
    site.publish(root, *packages(tmp_path, "3.0"))
    assert site.run("repo", "verify", "--repo", root).stderr.endswith("packages: no error\n")


def test_eight_publishers_at_once_lose_no_package(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    crowds = [[path for number in range(25) for path in packages(tmp_path / f"{who}", "1.0", name=f"web{who}-{number}",
                                                                 formats=("deb",) if number % 5 else ("rpm",))]
              for who in range(8)]
    processes = [site.start("publish", "--repo", root, "--key", site.key, *crowd) for crowd in crowds]
    waiting = "waiting for another process that is changing the repository\n"
    assert [(process.communicate()[1].replace(waiting, ""), process.returncode) for process in processes] == [("", 0)] * 8
    assert len(listed(site, root)) == 200
    assert site.run("repo", "verify", "--repo", root).stderr == "200 packages: no error\n"


def test_suites_promote_remove_and_prune(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path, "1.9", "1.10", "1.11~rc1", formats=("deb",)), suite="testing")
    inode = next(root.glob("pool/*/*/*_1.10-*")).stat().st_ino
    assert site.run("repo", "promote", "--repo", root, "--from", "testing", "ondemand-nginx=1.10-1").stdout == (
        "pool/o/ondemand-nginx/ondemand-nginx_1.10-1_all.deb\n")
    assert next(root.glob("pool/*/*/*_1.10-*")).stat().st_ino == inode
    assert listed(site, root, "--suite", "stable") == ["stable ondemand-nginx 1.10-1 deb"]
    pruned = site.run("repo", "prune", "--repo", root, "--keep", "2").stdout
    assert pruned == "pool/o/ondemand-nginx/ondemand-nginx_1.9-1_all.deb\n"
    site.run("repo", "remove", "--repo", root, "--suite", "testing", "ondemand-nginx=1.11~rc1-1")
    assert listed(site, root) == ["stable ondemand-nginx 1.10-1 deb", "testing ondemand-nginx 1.10-1 deb"]
    said = site.run("repo", "remove", "--repo", root, "nothing", status=1).stderr
    assert said == "error: nothing: suite stable has no such package; see 'ondemand-pkg repo list'\n"
    site.run("repo", "verify", "--repo", root)


def test_a_change_leaves_the_files_that_an_older_index_names(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path, "1.0"))
    named = [*root.glob("dists/*/main/binary-amd64/by-hash/SHA256/*"), *root.glob("rpm/*/repodata/*.gz"),
             *root.glob("pool/*/*/*")]
    before = {path: path.read_bytes() for path in named}
    site.publish(root, *packages(tmp_path, "1.1"))
    site.run("repo", "remove", "--repo", root, "ondemand-nginx=1.0-1")
    assert {path: path.read_bytes() for path in named} == before


@pytest.mark.parametrize("umask", [0o077, 0o022, 0o002])
def test_a_web_server_may_read_it_whatever_the_publishers_umask(site: Signer, tmp_path: Path, umask: int) -> None:
    root, new = tmp_path / "repository", packages(tmp_path, "1.0")
    for path in new:
        path.chmod(0o600)
    subprocess.run([sys.executable, "-m", "ondemand_pkg", "publish", "--repo", root, "--key", site.key, *new], env=site.environ,
                   check=True, capture_output=True, umask=umask)
    for path in (path for path in [root, *root.glob("**/*")] if not path.is_symlink() and path.name != "cache.sqlite"):
        mode = path.stat().st_mode
        assert mode & (0o055 if path.is_dir() else 0o044) == (0o055 if path.is_dir() else 0o044), path
        assert bool(mode & 0o020) == (umask == 0o002), path


def test_a_package_that_was_removed_is_published_again_as_the_file_that_is_there(site: Signer, tmp_path: Path) -> None:
    root, first = tmp_path / "repository", packages(tmp_path, "1.0")
    site.publish(root, *first, *packages(tmp_path, "1.1"))
    held = {path: path.read_bytes() for path in root.glob("pool/*/*/*1.0*")}
    site.run("repo", "remove", "--repo", root, "ondemand-nginx=1.0-1")
    site.run("repo", "key", "rotate", "--repo", root)
    site.run("repo", "key", "rotate", "--repo", root, "--finish")  # signed anew it would be another file
    site.run("publish", "--repo", root, *first)
    assert {path: path.read_bytes() for path in held} == held and len(listed(site, root)) == 4
    site.run("repo", "verify", "--repo", root)
    site.run("repo", "remove", "--repo", root, "ondemand-nginx=1.0-1")
    for path in held:
        path.write_bytes(b"damaged")
    site.run("publish", "--repo", root, *first)
    site.run("repo", "verify", "--repo", root)


def test_what_a_killed_publisher_left_is_taken_away_and_nothing_that_was_there_before(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path, "1.0", "1.1"))
    site.run("repo", "remove", "--repo", root, "ondemand-nginx=1.0-1")
    removed, shown = root.glob("pool/*/*/*1.0*.rpm"), root.glob("pool/*/*/*1.1*.rpm")
    paths = [*removed, *shown, next(root.glob("pool/*/*")) / "half.rpm"]
    paths[-1].write_bytes(b"half")
    (root / ".repository/pending").write_text("".join(f"{path.relative_to(root)}\n" for path in paths))
    site.publish(root, *packages(tmp_path, "1.2"))
    assert [path.exists() for path in paths] == [True, True, False]


def test_the_first_mirror_of_dnf_is_a_snapshot_that_no_later_change_touches(site: Signer, tmp_path: Path) -> None:
    root, url = tmp_path / "repository", "https://packages.example/site/"
    site.publish(root, *packages(tmp_path, "1.0"))
    site.run("repo", "keyring", "--repo", root, "--url", url)

    def mirrors() -> list[Path]:
        lines = (root / "rpm/stable/mirrorlist").read_text().splitlines()
        return [root / line.removeprefix(url) for line in lines]

    first, second = mirrors()
    assert second == root / "rpm/stable"
    seen = {path.name: path.read_bytes() for path in sorted((first / "repodata").iterdir())}
    assert seen == {path.name: path.read_bytes() for path in sorted((second / "repodata").iterdir()) if path.name in seen}
    for version in ("1.1", "1.2"):
        site.publish(root, *packages(tmp_path, version))
        site.publish(root, *packages(tmp_path, version), suite="testing")  # which changes nothing in stable
    assert mirrors()[0] != first and (mirrors()[0] / "pool/o/ondemand-nginx/ondemand-nginx-1.2-1.noarch.rpm").is_file()
    assert {path.name: path.read_bytes() for path in sorted((first / "repodata").iterdir())} == seen
    assert (first / "pool/o/ondemand-nginx/ondemand-nginx-1.0-1.noarch.rpm").is_file()
    site.run("repo", "verify", "--repo", root)


@pytest.mark.parametrize("pattern", ["dists/stable/InRelease", "dists/stable/Release", "dists/stable/Release.gpg",
                                     "dists/stable/main/binary-amd64/Packages", "dists/stable/main/binary-arm64/Packages.xz",
                                     "rpm/stable/repodata/repomd.xml", "rpm/stable/repodata/repomd.xml.asc",
                                     "rpm/stable/repodata/*-primary.xml.gz", "pool/*/*/*.deb", "pool/*/*/*.rpm"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_verify_names_the_file_that_is_wrong(site: Signer, published: Path, tmp_path: Path, pattern: str, how: str) -> None:
    root = tmp_path / "repository"
    shutil.copytree(published, root, symlinks=True)
    path = next(root.glob(pattern)).resolve()
    data = path.read_bytes()
    path.unlink()
    if how == "changed":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:])
    said = site.run("repo", "verify", "--repo", root, status=1).stderr
    assert path.name in said and all(line.startswith("error: ") for line in said.splitlines())


def test_rpm_accepts_the_signature_and_dpkg_the_package(site: Signer, tmp_path: Path) -> None:
    need("rpm", "dpkg-deb")
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path, "1.0"))
    subprocess.run(["rpm", f"--dbpath={tmp_path}/db", "--import", root / "ondemand-archive-keyring.asc"], check=True)
    done = subprocess.run(["rpm", f"--dbpath={tmp_path}/db", "-Kv", next(root.glob("pool/*/*/*.rpm"))], text=True, check=True,
                          capture_output=True, env={**os.environ, "LC_ALL": "C"})
    assert "Header V4 RSA/SHA512 Signature, key ID" in done.stdout and "NOT" not in done.stdout and "BAD" not in done.stdout
    subprocess.run(["dpkg-deb", "--info", next(root.glob("pool/*/*/*.deb"))], check=True, capture_output=True)


def signed_again(site: Signer, top: Path, release: bytes) -> None:
    """Put a Release of any content into a suite, with good signatures."""
    gpg = ["gpg", "--batch", "--quiet", "--digest-algo", "SHA512", "--local-user", site.key]
    for name, options in {"Release": [], "Release.gpg": ["--armor", "--detach-sign"], "InRelease": ["--clearsign"]}.items():
        path = (top / name).resolve()
        path.unlink()  # it is a file of other generations too
        path.write_bytes(subprocess.run([*gpg, *options], input=release, env=site.environ, check=True,
                                        capture_output=True).stdout if options else release)


@pytest.mark.parametrize("line", [
    b"two words", b"digest size name", b"digest 1 a\0b", b"%s 9 /dev/zero" % (b"0" * 64), b"%s 9 main/../../../x" % (b"0" * 64),
    b"%s %s main/binary-all/Packages" % (b"0" * 64, b"9" * 5000)])
def test_a_release_file_with_a_line_that_is_none_is_told(site: Signer, published: Path, tmp_path: Path, line: bytes) -> None:
    root = tmp_path / "repository"
    shutil.copytree(published, root, symlinks=True)
    signed_again(site, root / "dists/stable", (root / "dists/stable/Release").read_bytes() + b" " + line + b"\n")
    said = site.run("repo", "verify", "--repo", root, status=1).stderr
    wrong = (b" " + line).decode()[:200]
    assert said == f"error: {root}/dists/stable/Release: damaged: {wrong!r} is not a line of digest, size and name\n"


@pytest.mark.parametrize(("name", "what"), [
    ("Release", "endless"), ("InRelease", "fifo"), ("Release.gpg", "endless"), ("main/binary-amd64/Packages", "endless"),
    ("main/binary-amd64/Packages.gz", "fifo"), ("main/binary-amd64/Packages.xz", "bomb")])
def test_verify_reads_of_a_file_what_is_told_of_it_and_no_device(site: Signer, published: Path, tmp_path: Path, name: str,
                                                                 what: str) -> None:
    root = tmp_path / "repository"
    shutil.copytree(published, root, symlinks=True)
    path = (root / "dists/stable").resolve() / name
    path.unlink()
    if what == "endless":
        path.symlink_to("/dev/zero")
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(64 * lzma.compress(bytes(2**26), preset=0))  # 4 GiB in 64 streams out of 600 KiB
    said = site.run("repo", "verify", "--repo", root, status=1).stderr
    assert str(path.name) in said and all(line.startswith("error: ") for line in said.splitlines())


def test_verify_reads_nothing_that_an_index_without_a_good_signature_names(site: Signer, published: Path, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    shutil.copytree(published, root, symlinks=True)
    for name in ("dists/stable/Release", "rpm/stable/repodata/repomd.xml", "rpm/stable@1/repodata/repomd.xml"):
        path = root / name
        data = path.read_bytes()
        path.resolve().unlink()
        path.write_bytes(data.replace(b"main/binary-amd64/", b"../../../../../../").replace(b'href="', b'href="/dev/zero'))
    said = site.run("repo", "verify", "--repo", root, status=1).stderr
    assert "no valid signature" in said and "/dev/zero" not in said and "../.." not in said


def test_two_epochs_of_a_version_cant_have_one_file_name(site: Signer, tmp_path: Path) -> None:
    need("dpkg-deb")
    made = []
    for epoch in ("", "1:"):
        tree = tmp_path / f"tree{epoch}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(f"Package: web\nVersion: {epoch}1.0-1\nArchitecture: all\nMaintainer: x <x@x>\n"
                                             "Description: x\n")
        made.append(tmp_path / epoch.strip(":") / "web_1.0-1_all.deb")
        made[-1].parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-Zxz", "--root-owner-group", "--build", tree, made[-1]], check=True, capture_output=True)
    root = tmp_path / "repository"
    taken = (f"error: {made[1]}: not published: web 1.0-1 has the same file name, which does not contain the epoch; "
             "give it another version or release\n")
    assert site.publish(root, *made, status=1) == taken
    site.publish(root, made[0])
    assert site.publish(root, made[1], status=1) == taken


def test_the_keyring_package_is_clean_and_published_anew_with_a_new_key(site: Signer, tmp_path: Path) -> None:
    need("lintian")
    root = tmp_path / "repository"
    site.publish(root, *packages(tmp_path, "1.0"))
    site.run("repo", "keyring", "--repo", root, "--url", "https://packages.example/site")
    assert listed(site, root)[:2] == ["stable ondemand-archive-keyring 1-1 deb", "stable ondemand-archive-keyring 1-1 rpm"]
    done = subprocess.run(["lintian", "--fail-on=error,warning", root / "ondemand-archive-keyring.deb"], text=True,
                          capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")
    site.run("repo", "key", "rotate", "--repo", root)
    assert "stable ondemand-archive-keyring 2-1 deb" in listed(site, root)
    site.run("repo", "key", "rotate", "--repo", root, status=1)
    site.run("repo", "verify", "--repo", root)
    site.run("repo", "key", "rotate", "--repo", root, "--finish")
    site.publish(root, *packages(tmp_path, "1.1"), status=1)  # names the key that signs no more
    site.run("publish", "--repo", root, *packages(tmp_path, "1.1"))
    site.run("repo", "verify", "--repo", root)


def test_a_lost_or_damaged_cache_is_made_anew(site: Signer, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    damages: list[Callable[[Path], object]] = [Path.unlink, lambda path: path.write_bytes(b"x" * 5000)]
    for number, damage in enumerate(damages):
        site.publish(root, *packages(tmp_path, f"1.{number}"))
        damage(root / ".repository/cache.sqlite")
    site.publish(root, *packages(tmp_path, "1.2"))
    site.run("repo", "verify", "--repo", root)
    assert len(listed(site, root)) == 6
    shutil.rmtree(root)
