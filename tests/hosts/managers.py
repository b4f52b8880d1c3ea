"""The two package managers, as an administrator calls them.

Knows apt-get's and dnf's commands for the same wishes; hides which of the two it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .machine import DNF, Machine, stub


class Manager:
    """A package manager on a host; every call returns what was said and fails unless the command ends with 0."""

    def __init__(self, machine: Machine, kind: str) -> None:
        self.machine = machine
        self.kind = kind

    def install(self, *packages: Path, options: Sequence[str] = ()) -> str:
        """Install packages, or upgrade to them."""
        if self.kind == "deb":
            return self.machine.apt_install(*packages, options=options)
        return self._dnf("install", *packages, stub())

    def downgrade(self, package: Path) -> str:
        """Go back to an older package."""
        if self.kind == "deb":
            return self.machine.apt_install(package, options=["--allow-downgrades"])
        return self._dnf("downgrade", package)

    def reinstall(self, package: Path) -> str:
        """Install the package again that is installed."""
        if self.kind == "deb":
            return self.machine.apt_install(package, options=["--reinstall"])
        return self._dnf("reinstall", package)

    def remove(self, *names: str) -> str:
        """Remove packages; a .deb leaves its conffiles."""
        return self._call("remove", *names)

    def purge(self, *names: str) -> str:
        """Remove packages and everything of theirs."""
        return self._call("purge" if self.kind == "deb" else "remove", *names)

    def mark_as_brought(self, pattern: str) -> None:
        """Mark packages as those that another one has brought from a repository, where all were named."""
        if self.kind == "deb":
            self.machine.run("apt-mark", "auto", pattern)
        else:
            self._call("mark", "remove", pattern)

    def purge_all(self, name: str) -> str:
        """Remove a package, and those that it has brought, with everything of theirs."""
        if self.kind == "rpm":
            return self._call("remove", name)
        return self._call("purge", name) + self._call("autoremove", "--purge")

    def clear(self, *names: str) -> None:
        """Leave the host without packages of these names, without containers and without volumes and their data."""
        for name in names:
            if self.version(name):
                self.purge(name)
        self.machine.sh("docker ps -aq | xargs -r docker rm --force; docker volume ls -q | xargs -r docker volume rm --force; "
                        "rm -rf /var/lib/ondemand")  # where the scripts of 0.1.0 leave what a later release has noted

    def version(self, name: str) -> str:
        """Return state and version of a package as the package manager's database has it."""
        if self.kind == "deb":
            return self.machine.run("dpkg-query", "-W", "-f=${db:Status-Abbrev}${Version}", name, check=False).stdout
        found = self.machine.run("rpm", "-q", "--qf=ii %{VERSION}-%{RELEASE}", name, check=False)
        return found.stdout if found.returncode == 0 else ""

    def _call(self, *argv: str) -> str:
        done = self.machine.run(*(("apt-get", "-y") if self.kind == "deb" else DNF), *argv)
        return done.stdout + done.stderr

    def _dnf(self, verb: str, *packages: Path) -> str:
        return self._call(verb, *self.machine.copy_in(*packages))
