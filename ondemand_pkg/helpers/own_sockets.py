"""Which addresses would lead a client back to the socket that it came from.

Knows the sockets that systemd passed to a service, and which addresses are this host's; hides getsockname(2) and proc_net(5).  A
workload with the host's own network has the host's addresses.
"""

import _socket
import os

from process import Failure

FIRST_SOCKET = 3  # SD_LISTEN_FDS_START
SO_DOMAIN = 39  # include/uapi/asm-generic/socket.h; in Python from 3.6 on, but not in every build
UNSPECIFIED = {"0.0.0.0", "::"}
SO_NETNS_COOKIE, COOKIE = 71, 8  # the number of a socket's network, from Linux 5.14 on, and its bytes
IPV6_V6ONLY = 26  # include/uapi/linux/in6.h
SYSTEMD = 1  # the process that holds every socket of a socket unit
HELD = ("systemd itself listens on {}, where the container would be reached: its clients would be led back to where they came "
        "from; listen on another port with 'ports', or give it another address (--network in 'create_args', or 'address')")


def passed_sockets() -> "List[Socket]":
    """Return the listening sockets that systemd passed (sd_listen_fds(3)), which close with these objects."""
    return [listening_socket(FIRST_SOCKET + index) for index in range(int(os.environ.get("LISTEN_FDS") or 0))]


def listening_socket(descriptor: "int") -> "Socket":
    socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, descriptor)
    family = socket.getsockopt(_socket.SOL_SOCKET, SO_DOMAIN)
    return _socket.socket(family, socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_TYPE), 0, socket.detach())


def is_local(host: "str") -> "bool":
    """Return whether an address is this host's: the kernel then reaches it from itself, or from a loopback address."""
    question = None
    try:
        question = _socket.socket(family_of(host), _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        question.connect((host, 1))  # sends nothing
        source = str(question.getsockname()[0])
    except OSError:
        return False  # it can't be reached at all
    finally:
        if question is not None:
            question.close()
    return source == host or source == "::1" or source.startswith("127.")


def leads_back(listener: "Socket", host: "str", port: "int") -> "bool":
    """Return whether an address is that of a listening socket."""
    if listener.family not in (_socket.AF_INET, _socket.AF_INET6):
        return False
    own = listener.getsockname()
    if own[1] != port or is_elsewhere(listener):
        return False
    if own[0] not in UNSPECIFIED:
        return bool(own[0] == host)
    takes_both = listener.family == _socket.AF_INET6 and not listener.getsockopt(_socket.IPPROTO_IPV6, IPV6_V6ONLY)
    return (takes_both or listener.family == family_of(host)) and is_local(host)


def is_elsewhere(listener: "Socket") -> "bool":
    """Return whether a socket is in another network than this process, whose addresses are others then."""
    with_own = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        cookies = [one.getsockopt(_socket.SOL_SOCKET, SO_NETNS_COOKIE, COOKIE) for one in (listener, with_own)]
    except OSError:
        return False  # the kernel does not tell
    finally:
        with_own.close()
    return cookies[0] != cookies[1]


def without_own(hosts: "List[str]", ports: "Sequence[int]", holder: "int" = SYSTEMD,
                datagrams: "Sequence[int]" = ()) -> "List[str]":
    """Return those of a workload's addresses at which no socket unit listens on its ports, those of UDP in ``datagrams``.

    ``holder`` is the process that holds the sockets of socket units.  Raises Failure where no address is left.
    """
    from addresses import UDP, held_by, overlap, show  # only a workload with the host's network pays for it

    held = held_by(holder)
    places = {host: (family_of(host), _socket.inet_pton(family_of(host), host)) for host in hosts}
    wanted = {host: [place + (port,) for port in ports] + [place + (port, UDP) for port in datagrams]
              for host, place in places.items()}
    taken = {host: [one for one in addresses if any(overlap(one, other) for other in held)] for host, addresses in wanted.items()}
    left = [host for host in hosts if not taken[host]]
    if not left:
        raise Failure(HELD.format(show(taken[hosts[0]][0])))
    return left


def family_of(host: "str") -> "int":
    return _socket.AF_INET6 if ":" in host else _socket.AF_INET


TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import List, Sequence
