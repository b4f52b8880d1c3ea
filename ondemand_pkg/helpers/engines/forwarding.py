"""What else in the kernel has to let clients through that are led to the workload past the relay.

Knows that Docker drops what comes to a port that it has not published, and the one door that it leaves: its chain DOCKER-USER;
hides iptables.  Rules of this package are known by their comment, so that those of a process that was killed are found.
"""

import os
import shlex
import subprocess

from names import ENGINE_RECORD, UNITS
from process import Failure

CHAIN = "DOCKER-USER"
# The bridges that engines make, by the beginnings of their names, or whole ones: clients in containers are the relay's.
BRIDGES = ("docker0\0", "docker_gwbridge\0", "br-", "podman", "cni-")
COMMENT = UNITS + " (path = kernel)"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def program_of(address: "str") -> "str":
    return "ip6tables" if ":" in address else "iptables"


def let_through(ways: "Sequence[Tuple[str, int, int]]") -> "None":
    """Accept new connections whose destination was rewritten from a port: for each address of the workload, that port, and the
    workload's.  Raises Failure where they would be dropped all the same."""
    for program in sorted({program_of(address) for address, _, _ in ways}):
        there = rules(program)
        if there is None:
            if engine() == "docker" and program == "iptables":  # it may leave IPv6 alone
                raise Failure("Docker has no chain {} in {}, so it drops connections that it has not led there itself".format(
                    CHAIN, program))
            continue
        if "nf_tables" not in call(program, "--version")[1]:
            raise Failure("{} is not the variant of nf_tables".format(program))
        for address, port, inside in ways:
            if program_of(address) == program:
                status, said = call(program, "--wait", "5", "--insert", CHAIN, *accepting(address, port, inside))
                if status:
                    raise Failure("{} does not take a rule: {}".format(program, " ".join(said.split())))


def remove() -> "None":
    """Remove every rule of this package."""
    for program in ("iptables", "ip6tables"):
        for rule in rules(program) or []:
            if COMMENT in rule:
                call(program, "--wait", "5", "--delete", *rule[1:])


def is_complete(ways: "Sequence[Tuple[str, int, int]]") -> "bool":
    """Return whether no rule is missing: others may have taken it away, such as a restart of Docker."""
    return all(rules(program_of(address)) is None or not call(
        program_of(address), "--wait", "5", "--check", CHAIN, *accepting(address, port, inside))[0]
        for address, port, inside in ways)


def accepting(address: "str", port: "int", inside: "int") -> "List[str]":
    return ["--protocol", "tcp", "--destination", address, "--dport", str(inside), "--match", "conntrack", "--ctstate", "DNAT",
            "--ctorigdstport", str(port), "--match", "comment", "--comment", COMMENT, "--jump", "ACCEPT"]


def rules(program: "str") -> "Optional[List[List[str]]]":
    """Return the rules of the chain, each as words; None where there is no such chain."""
    status, said = call(program, "--wait", "5", "--list-rules", CHAIN)
    return None if status else [shlex.split(line) for line in said.splitlines() if line.startswith("-A ")]


def call(program: "str", *arguments: "str") -> "Tuple[int, str]":
    """Return the exit status of a program and what it said; 127 where there is none."""
    environment = {"PATH": PATH, "LANG": "C"}
    try:
        done = subprocess.Popen([program] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                stdin=subprocess.DEVNULL, env=environment)
        said = done.communicate(timeout=10)[0]
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, said.decode("utf-8", "replace")


def engine() -> "str":
    """Return which engine has the workload, nothing where the host has not noted that."""
    if not os.path.exists(ENGINE_RECORD):
        return ""
    with open(ENGINE_RECORD) as record:
        return record.read().strip()


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence, Tuple
