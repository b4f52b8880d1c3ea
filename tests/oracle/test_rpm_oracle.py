"""What users may rely on: an .rpm is what rpmbuild would have made, rpm accepts it, and rpmsign signs it in place."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import packed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requirements import need

from ondemand_pkg.formats import FORMATS
from ondemand_pkg.formats.rpm import TRIGGER
from ondemand_pkg.package import ChangelogEntry, Entry, Kind, Package, Role

from .any_text import LINE, LINES, PARAGRAPHS, words

RPM = FORMATS["rpm"]
RPMLINT = Path(__file__).parent / "rpmlint.toml"
Run = Callable[..., str]

# Each tag in which the two packages differ, and why that is right.
DIFFERENT = {
    "CLASSDICT": "what libmagic takes the files for; no part of rpm or dnf reads it",
    "FILECLASS": "as CLASSDICT",
    "OPTFLAGS": "the building host's compiler flags; nothing is compiled",
    "PLATFORM": "rpmbuild names the building host's distribution",
    "PAYLOADFLAGS": "the level of xz; rpmbuild's is 2",
    "PAYLOADDIGEST": "the encoder's settings; PAYLOADDIGESTALT, before compression, is the same",
    "HEADERIMMUTABLE": "the header itself, which holds the above",
    "HDRID": "a digest of the header",
    "SHA1HEADER": "a digest of the header",
    "SHA256HEADER": "a digest of the header",
    "PKGID": "a digest of header and payload",
    "SIGMD5": "a digest of header and payload",
    "SIGSIZE": "the size of header and payload",
    "LONGSIGSIZE": "the size of header and payload",
}
# What rpmbuild is told so that the host it runs on stays out of the package.  Its generators would look into the
# files; one attribute file that matches nothing takes their place.
MACROS = {
    "_buildhost": "localhost",
    "_binary_payload": "w2.xzdio",
    "use_source_date_epoch_as_buildtime": "1",
    "clamp_mtime_to_source_date_epoch": "1",
    "source_date_epoch_from_changelog": "0",
    "__os_install_post": "%{nil}",
    "debug_package": "%{nil}",
}
ROLES = {Role.PLAIN: "", Role.CONFIG: "%config(noreplace)", Role.DOC: "%doc", Role.LICENSE: "%license"}


def escaped(text: str) -> str:
    return text.replace("%", "%%")


def spec(package: Package, description: str, tree: Path) -> str:
    """The package as rpmbuild wants to be told it."""
    relations = "".join(f"{kind.title()}: {relation}\n"
                        for kind, values in package.relations.items() for relation in values)
    scripts = "".join(f"%{name}{f' -- {package.watched}' if name == TRIGGER else ''}\n{escaped(text)}\n"
                      for name, text in package.scripts.items())
    files = "".join(
        f"{'%dir' if entry.kind is Kind.DIRECTORY else ''} {ROLES[entry.role]} "
        f"{'' if entry.kind is Kind.SYMLINK else f'%attr({entry.mode:o},{entry.owner},{entry.group})'} {entry.path}\n"
        for entry in package.entries)
    changelog = "\n".join(
        f"* {entry.date:%a %b %d %Y} {package.maintainer} - {entry.version}\n"
        + "".join(f"- {escaped(change)}\n" for change in entry.changes) for entry in package.changelog)
    return f"""\
Name: {package.name}
Version: {package.version}
Release: {package.release}
Summary: {escaped(package.summary)}
License: {package.license}
URL: {escaped(package.homepage)}
Packager: {package.maintainer}
BuildArch: noarch
DistTag: ondemand-pkg-{package.built_by}
{relations}
%description
{escaped(description)}

%install
cp -a {tree}/. %{{buildroot}}/

{scripts}
%files
{files}
%changelog
{changelog}
"""


@pytest.fixture(scope="module")
def ours(rpm_package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ours") / RPM.filename(rpm_package)
    path.write_bytes(packed(RPM, rpm_package))
    return path


@pytest.fixture(scope="module")
def native(rpm_package: Package, ours: Path, tmp_path_factory: pytest.TempPathFactory, run: Run,
           write_tree: Callable[[Package, Path], None]) -> Path:
    """The same package by rpmbuild; only the folded description is given to it."""
    need("rpmbuild")
    top = tmp_path_factory.mktemp("rpmbuild")
    write_tree(rpm_package, top / "tree")
    attributes = top / "attributes"
    attributes.mkdir()
    (attributes / "none.attr").write_text("%__none_path ^$\n")
    description = run("rpm", "-qp", "--qf", "%{DESCRIPTION}", ours)
    (top / "x.spec").write_text(spec(rpm_package, description, top / "tree"))
    macros = {**MACROS, "_topdir": str(top), "_fileattrsdir": str(attributes)}
    run("rpmbuild", "-bb", *(f"--define={name} {value}" for name, value in macros.items()), top / "x.spec")
    (path,) = top.glob("RPMS/*/*.rpm")
    return path


def tags(path: Path, names: list[str], run: Run) -> dict[str, str]:
    """Every tag of a package that has a value, each value of an array ended by a separator."""
    query = "".join(f"\\n=={name}==[%{{{name}}}\\a]" for name in names)
    found = dict(re.findall(r"^==(\w+)==(.*?)(?=\n==|\Z)", run("rpm", "-qp", "--qf", query, path), re.M | re.S))
    assert len(found) == len(names)
    return {name: value for name, value in found.items() if value}


def test_every_tag_is_the_one_that_rpmbuild_writes_but_for_a_known_reason(ours: Path, native: Path, run: Run) -> None:
    names = run("rpm", "--querytags").split()
    one, other = tags(ours, names, run), tags(native, names, run)
    different = {name: (one.get(name), other.get(name)) for name in names
                 if one.get(name) != other.get(name) and name not in DIFFERENT}
    assert different == {}
    assert len(one) > 100  # the query found something to compare
    assert {name for name in names if one.get(name) != other.get(name)} == set(DIFFERENT)


@pytest.mark.parametrize("question", [
    "--requires", "--provides", "--conflicts", "--obsoletes", "--recommends", "--suggests", "--supplements",
    "--enhances", "--scripts", "--dump", "--changelog", "--configfiles", "--docfiles", "--licensefiles", "--list",
    "--filetriggers",
])
def test_rpm_says_the_same_of_both(question: str, ours: Path, native: Path, run: Run) -> None:
    assert run("rpm", "-qp", question, ours) == run("rpm", "-qp", question, native) != ""


def test_the_payload_before_compression_is_byte_for_byte_that_of_rpmbuild(ours: Path, native: Path) -> None:
    need("rpm2cpio")
    one, other = (subprocess.run(["rpm2cpio", path], check=True, capture_output=True).stdout for path in (ours, native))
    assert one == other


def test_the_file_name_is_the_one_that_rpmbuild_gives(ours: Path, native: Path) -> None:
    assert ours.name == native.name


def test_cpio_lists_the_files(ours: Path, rpm_package: Package) -> None:
    need("cpio")
    payload = subprocess.run(["rpm2cpio", ours], check=True, capture_output=True).stdout
    listed = subprocess.run(["cpio", "-t", "--quiet"], input=payload, check=True, capture_output=True).stdout.decode()
    assert listed.split() == sorted(f".{entry.path}" for entry in rpm_package.entries)


def test_rpm_verifies_every_digest(ours: Path, run: Run) -> None:
    need("rpm")
    verdict = run("rpm", "-Kv", "--nosignature", ours)
    assert re.findall(r"^ +(.*): (\w+)$", verdict, re.M) == [
        ("Header SHA256 digest", "OK"), ("Header SHA1 digest", "OK"), ("Payload SHA256 digest", "OK"),
        ("MD5 digest", "OK")]


@pytest.mark.parametrize("place", [-1, -3000])
def test_rpm_refuses_a_package_with_one_changed_byte(place: int, ours: Path, tmp_path: Path) -> None:
    need("rpm")
    data = bytearray(ours.read_bytes())
    data[place] ^= 1
    (tmp_path / "bad.rpm").write_bytes(data)
    assert subprocess.run(["rpm", "-K", tmp_path / "bad.rpm"], capture_output=True).returncode != 0


def test_rpm_installs_it_and_finds_every_file_as_it_should_be(
    ours: Path, tmp_path: Path, run: Run, rpm_package: Package,
) -> None:
    need("rpm")
    root = tmp_path / "root"
    run("rpm", "--root", root, "--force-debian", "--nodeps", "--noscripts", "--nosignature", "-i", ours)
    assert run("rpm", "--root", root, "-V", "--nodeps", "--noscripts", rpm_package.name) == ""
    for entry in rpm_package.entries:
        path = root / entry.path[1:]
        if entry.kind is Kind.SYMLINK:
            assert str(path.readlink()) == entry.target
        else:
            assert path.stat().st_mode & 0o7777 == entry.mode
        if entry.kind is Kind.FILE:
            assert path.read_bytes() == entry.data


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """A GnuPG home with one signing key, whose public half lies in it as `key.asc`."""
    need("gpg")
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    run("gpg", "--homedir", home, "--batch", "--passphrase", "", "--quick-gen-key", "test", "rsa4096", "sign", "never")
    run("gpg", "--homedir", home, "--batch", "--armor", "--output", home / "key.asc", "--export", "test")
    return home


def test_rpmsign_signs_in_place_and_rpm_accepts_the_signature(ours: Path, keyring: Path, tmp_path: Path,
                                                            run: Run) -> None:
    need("rpmsign")
    need("gpg")
    signed, database = tmp_path / ours.name, tmp_path / "db"
    signed.write_bytes(ours.read_bytes())
    run("rpmsign", "--addsign", f"--define=__gpg {shutil.which('gpg')}", "--define=_gpg_name test",
        f"--define=_gpg_path {keyring}", "--define=_gpg_digest_algo sha512", signed)
    # Lead, sizes and everything behind the signatures stay: the file was written in place.
    assert signed.stat().st_size == ours.stat().st_size
    assert signed.read_bytes()[5000:] == ours.read_bytes()[5000:]
    run("rpmkeys", "--dbpath", database, "--import", keyring / "key.asc")
    verdict = run("rpm", "-Kv", "--dbpath", database, signed)
    assert re.search(r"Header V4 RSA/SHA512 Signature, key ID \w+: OK", verdict), verdict
    assert "NOT" not in verdict and "BAD" not in verdict


# What the fixture wants and rpmlint does not, beside what stands in rpmlint.toml for every package.
FIXTURE = ["non-standard-dir-perm", "zero-length", "unexpanded-macro", "percent-in-", "summary-not-capitalized",
           "obsolete-not-provided"]


def test_rpmlint_finds_no_error_and_no_warning(ours: Path, tmp_path: Path) -> None:
    need("rpmlint")
    filters = tomllib.loads(RPMLINT.read_text())["Filters"]
    (tmp_path / "rpmlint.toml").write_text(f"Filters = {filters + FIXTURE}\n")
    done = subprocess.run(["rpmlint", "--config", tmp_path / "rpmlint.toml", ours], capture_output=True, text=True)
    assert " 0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(summary=LINE, description=PARAGRAPHS, changes=LINES, content=st.binary(max_size=2000))
def test_any_text_comes_back_as_it_went_in(
    summary: str, description: list[str], changes: list[str], content: bytes, rpm_package: Package,
    run: Run,
) -> None:
    need("rpm2cpio")
    package = dataclasses.replace(
        rpm_package, summary=summary, description=tuple(description),
        changelog=(ChangelogEntry(rpm_package.changelog[0].date, "1-1", tuple(changes)),),
        entries=(Entry("/any", Kind.FILE, 0o644, content),))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "any.rpm"
        path.write_bytes(packed(RPM, package))
        query = "%{SUMMARY}\\a[%{CHANGELOGTEXT}]\\a%{DESCRIPTION}"
        found_summary, found_changes, found_description = run("rpm", "-qp", "--qf", query, path).split("\a")
        assert found_summary == summary
        assert found_changes.split("\n") == [f"- {change}" for change in changes]
        paragraphs = found_description.split("\n\n")
        assert [words(paragraph) for paragraph in paragraphs] == [words(paragraph) for paragraph in description]
        payload = subprocess.run(["rpm2cpio", path], check=True, capture_output=True).stdout
        extracted = subprocess.run(["cpio", "-i", "--quiet", "--to-stdout", "./any"], input=payload, check=True,
                                   capture_output=True, cwd=directory).stdout
        assert extracted == content
