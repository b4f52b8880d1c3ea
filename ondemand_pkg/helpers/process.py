"""What the helpers share as processes of a host.

Knows how they speak to the journal and to systemd, and the lock by which the helpers of a package wait for each other; hides
system calls.  Few imports here and in all that `run` loads: a client is waiting.
"""

import _socket  # the module `socket` takes as long to load as the interpreter itself
import fcntl
import os
import sys

from names import HERE, LOCK, LOCKS, PACKAGE, STARTS

ENGINE_LEFT = 75  # the exit status of `container wake` where the engine went away meanwhile (sysexits.h: EX_TEMPFAIL)


class Failure(Exception):
    """The workload can't be started; the text tells the administrator why and what to do."""


class Lock:
    """One of several helpers of the package at a time; ends with the process.  Raises Failure where another one does not end.

    A child that was handed it, by ``close_fds=False``, holds it on should the helper be killed: an engine's command goes on
    alone, and the next helper waits for what comes of it.

    The helpers of release 0.1.0, which may still run during an upgrade, lock their directory.  So that is locked too, after the
    file that only root can open; everybody can open the directory, so nobody is waited for there who is no helper.
    """

    def __enter__(self) -> "None":
        self.descriptors = [inherited(os.open(HERE, os.O_RDONLY))]
        try:
            while not self.holds_file():
                os.close(self.descriptors.pop())
            if not is_locked(self.descriptors[0]):
                import holders

                holders.await_first_release(self.descriptors[0])
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: "object") -> "None":
        while self.descriptors:
            os.close(self.descriptors.pop())

    def holds_file(self) -> "bool":
        """Wait for the lock of a file; return False where that file was removed meanwhile."""
        self.descriptors.append(inherited(open_lock()))
        if not is_locked(self.descriptors[-1]):
            import holders

            holders.await_helper(self.descriptors[-1])
        try:
            return os.path.samestat(os.fstat(self.descriptors[-1]), os.stat(LOCK))
        except FileNotFoundError:
            return False


def inherited(descriptor: "int") -> "int":
    """Return a descriptor, open in children that are handed it."""
    os.set_inheritable(descriptor, True)
    return descriptor


def open_lock() -> "int":
    """Return a descriptor of the package's lock, which nobody but root can open."""
    while True:
        try:
            return os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            try:
                os.mkdir(LOCKS, 0o700)
            except FileExistsError:
                pass


def is_locked(descriptor: "int") -> "bool":
    """Lock a file unless somebody else has; return whether this process holds the lock now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_lock() -> "None":
    """Remove the file that is locked, by whom holds the lock; who waits for it looks again."""
    os.unlink(LOCK)
    tidy_locks()


def tidy_locks() -> "None":
    """Remove the directory of locks unless other packages have theirs there."""
    try:
        if os.listdir(LOCKS) == [os.path.basename(STARTS)]:
            os.unlink(STARTS)  # of whoever starts
        os.rmdir(LOCKS)
    except OSError:
        pass


def visible(text: "str") -> "str":
    """Return a text on one line in which what a terminal would obey, or nobody sees, is an escape (ondemand_host/visible.py)."""
    if text.isprintable():
        return text
    return "".join(map(seen, text))


def seen(character: "str") -> "str":
    if character.isprintable() or (character > "\x9f" and character.isspace() and character not in "\u2028\u2029"):
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return "\\x{:02x}".format(ord(character) - 0xdc00)
    return character.encode("unicode_escape").decode("ascii")


def say(message: "str") -> "None":
    """Tell the administrator, on standard error; containers, engines and files had a part in the text."""
    sys.stderr.write("{}: {}\n".format(PACKAGE, visible(message)))
    sys.stderr.flush()


def show(lines: "Sequence[str]") -> "None":
    """Show lines that are not this package's own words, or are commands to copy."""
    sys.stderr.write("".join(visible(line) + "\n" for line in lines))
    sys.stderr.flush()


def unforeseen(error: "Exception") -> "str":
    """Return what an administrator, and who mends `run`, can make of an error that nobody has thought of."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = "" if where is None else " ({}:{})".format(os.path.basename(where.tb_frame.f_code.co_filename), where.tb_lineno)
    return "the program 'run' of this package failed: {}: {}{}".format(type(error).__name__, error, place)


def live(make: "Callable[[], Run]") -> "int":
    """Do what the process that is made is for, and end this one with its status."""
    try:
        process = make()
    except Exception as error:
        say(unforeseen(error))
        return 1  # `container stop` counts it as a failed start
    try:
        status = process.run()
    except Exception as error:
        status = process.fail(error)
    try:
        process.end()
    except Exception as error:
        say(unforeseen(error))
    process.control.close()
    os._exit(status)  # at once: what it has loaded need not be cleared up


def write_all(descriptor: "int", data: "bytes") -> "None":
    """Write every byte to a file descriptor."""
    while data:
        data = data[os.write(descriptor, data):]


def notify(state: "str") -> "None":
    """Tell systemd of a new state, as sd_notify(3) does."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        channel.sendto(state.encode("ascii"), "\0" + address[1:] if address.startswith("@") else address)
        channel.close()


def usage(text: "Optional[str]") -> "int":
    """Show the usage paragraph of a helper's docstring; return the exit status of a wrong call."""
    sys.stderr.write((text or "").split("\n\n")[1] + "\n")
    return 2


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Sequence

    from run import Run
