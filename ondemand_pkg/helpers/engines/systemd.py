"""systemd as an engine: an image, unpacked on this host, is a unit of its own.

Knows where unpacked images lie and how one replaces another, each complete or not there; what runs is seen in the unit's control
group, and asked of systemctl(1) where it does not say enough.  Hides both, and the pipe by which the output comes.
"""

import os

from declared import DIGEST_LENGTH
from names import DECLARATION, ENGINE_RECORD, NAME, PACKAGE, UNPACKED, WORKLOAD
from process import Failure

from engines import Output, Seen
from engines.manager import Job
from engines.processes import is_alive
from engines.unit import Promise, Unit

DIRECTORY = UNPACKED
UNIT = "ondemand-image@{}.service".format(NAME.replace("+", "_"))
UNIT_FILE = "/run/systemd/system/" + UNIT
GROUPS = "/sys/fs/cgroup"
GROUP = "{}/system.slice/{}".format(GROUPS, UNIT)
UNFINISHED, GONE = "@new", "@gone"  # behind a workload's name; no NAME holds an @
SPECIFICATION, TEXT, ENVIRONMENT, OUTPUT, BEGUN = "specification", "unit", "environment", "output", "begun"
NETWORK = "/run/netns/" + PACKAGE
ADDRESSES = ["127.0.0.1", "::1"]  # in the network of the workload, of which its helpers are a part
BLOCK = 65536


class Systemd(Unit):
    """systemd's manager, for the one unit that the package makes from its image."""

    word = "systemd"
    makes = True
    has_own_network = True

    def __init__(self) -> "None":
        self.unit = UNIT
        self.lxc = ""
        self.bound(30.0)

    def answers(self) -> "bool":
        return True  # whoever asks was started by it

    def load_rest(self) -> "None":
        import json  # noqa: F401 # for what unit.py reads

    # What is known

    def look(self, name: "str", patience: "Optional[float]" = None) -> "Optional[Seen]":
        specification = read(os.path.join(DIRECTORY, name, SPECIFICATION))[:DIGEST_LENGTH]
        if not specification:
            return None
        started = float(os.path.exists(os.path.join(DIRECTORY, name, BEGUN)))
        if name != WORKLOAD:
            return Seen(False, False, specification, started=started)
        main = self.main_process()
        if main is not None:
            return Seen(True, self.is_frozen(), specification, str(main), started)
        if is_unified() and not os.path.isdir(GROUP) and not os.path.exists(UNIT_FILE):
            return Seen(False, False, specification, started=started)
        known = self.known(patience)
        found = self.seen(known)
        found.specification, found.identity, found.started = specification, "", started
        found.life = found.life.partition("/")[0]
        return found

    def peek(self, name: "str") -> "Optional[Seen]":
        if name == WORKLOAD and is_unified() and not self.processes():
            specification = read(os.path.join(DIRECTORY, name, SPECIFICATION))[:DIGEST_LENGTH]
            return Seen(False, False, specification) if specification else None
        return self.look(name)

    def processes(self) -> "List[int]":
        return [int(line) for line in read(os.path.join(GROUP, "cgroup.procs")).split() if line.isdigit() and line != "0"]

    def main_process(self) -> "Optional[int]":
        """Return the first process of the workload, None where the kernel does not tell: that which is number 1 inside."""
        for process in self.processes():
            for line in read("/proc/{}/status".format(process)).split("\n"):
                if line.startswith("NSpid:"):
                    numbers = line.split()[1:]
                    if len(numbers) > 1 and numbers[-1] == "1":
                        return process
        return None

    def is_frozen(self) -> "bool":
        return read(os.path.join(GROUP, "cgroup.freeze")).strip() == "1"

    def is_alive(self, life: "str") -> "bool":
        return life not in ("", "0") and is_alive(int(life))

    def addresses(self, seen: "Seen") -> "List[str]":
        return ADDRESSES

    def is_left(self) -> "bool":
        return False

    def is_used(self, life: "str") -> "bool":
        return False  # nothing else leads into its network

    # A life

    def begin(self, name: "str") -> "Pending":
        directory = os.path.join(DIRECTORY, WORKLOAD)
        text = read(os.path.join(directory, TEXT))
        if read(UNIT_FILE) != text:  # after a boot, or another one has replaced it
            write(UNIT_FILE, text, 0o644)
            self.answer(["systemctl", "daemon-reload"])
        open(os.path.join(directory, BEGUN), "a").close()
        try:
            return Job(UNIT)
        except OSError:
            return Promise(self, ["systemctl", "start", "--", UNIT])

    def forget_end(self, name: "str") -> "None":
        # A server that had to be killed is no failed unit: the service of the container says how it went.
        self.answer(["systemctl", "reset-failed", "--", UNIT])

    def output(self, name: "str", seen: "Seen", reads: "bool" = True) -> "Output":
        return Pipe(os.path.join(DIRECTORY, WORKLOAD, OUTPUT))

    def last_words(self, name: "str") -> "bytes":
        return b""  # the output is read from its beginning

    def written_since_start(self, name: "str", seen: "Seen") -> "Iterable[Tuple[int, bytes]]":
        return []

    # What is made

    def has_image(self, image: "str") -> "bool":
        return True  # the package has it

    def make(self, name: "str", wanted: "Wanted") -> "None":
        import json

        from engines import image_volumes
        from engines.image_unit import environment_file, unit
        from engines.unpacking import inside, unpack

        with open(DECLARATION, "rb") as stream:
            declared = json.loads(stream.read().decode("ascii"))
        os.makedirs(DIRECTORY, 0o700, exist_ok=True)
        directory = os.path.join(DIRECTORY, name + UNFINISHED)
        self.forget(directory)
        os.mkdir(directory, 0o700)
        mask = os.umask(0)
        try:
            root = os.path.join(directory, "root")
            image = unpack(declared["archive"], root)
            environment = dict(line.partition("=")[::2] for line in image.get("Env") or [])
            environment.update(wanted.environment)
            environment.update(wanted.secret_environment)
            mounts = image_volumes.mount(wanted.volumes, root, declared["systemd"]["read_only"])
            final = os.path.join(DIRECTORY, WORKLOAD)
            text = unit(declared["systemd"], image, environment, directory, final, NETWORK, PACKAGE, mounts)
            hosts = os.path.join(inside(root, ["etc"], makes=True), "hosts")
            if not os.path.lexists(hosts) or os.path.isfile(hosts) and not os.path.getsize(hosts):
                write(hosts, "127.0.0.1 localhost\n::1 localhost\n", 0o644)
            write(os.path.join(directory, ENVIRONMENT), environment_file(environment), 0o600)
            write(os.path.join(directory, TEXT), text, 0o600)
            os.mkfifo(os.path.join(directory, OUTPUT), 0o666)  # who runs the program may open it again as /dev/stdout
            write(os.path.join(directory, SPECIFICATION), wanted.specification + "\n", 0o600)
            os.rename(directory, os.path.join(DIRECTORY, name))
        except OSError as error:
            self.forget(directory)
            raise Failure("the image can't be unpacked below {}: {}".format(DIRECTORY, error)) from None
        except Failure:
            self.forget(directory)
            raise
        finally:
            os.umask(mask)

    def advice(self) -> "str":
        before = read(ENGINE_RECORD).strip()
        if not before:
            return ""
        return ("systemd itself runs the image now, and the container of {0} is kept; when nothing in it is needed any more, run "
                "'{0} rm --force {1} {1}.previous; rm {2}'".format(before, WORKLOAD, ENGINE_RECORD))

    def rename(self, old: "str", new: "str") -> "None":
        os.rename(os.path.join(DIRECTORY, old), os.path.join(DIRECTORY, new))

    def remove(self, name: "str") -> "None":
        directory = os.path.join(DIRECTORY, name)
        if name == WORKLOAD and os.path.exists(UNIT_FILE):
            self.stop(name)
            self.answer(["systemctl", "reset-failed", "--", UNIT])
            os.unlink(UNIT_FILE)
            self.answer(["systemctl", "daemon-reload"])
        self.forget(directory + GONE)
        if os.path.isdir(directory):
            os.rename(directory, directory + GONE)  # what is broken off here is no workload any more
            self.forget(directory + GONE)

    def clear(self, names: "Sequence[str]") -> "None":
        for name in names:
            for ending in (UNFINISHED, GONE):
                self.forget(os.path.join(DIRECTORY, name + ending))
        from engines import image_volumes

        image_volumes.clear()
        try:
            os.rmdir(DIRECTORY)
        except OSError:
            pass  # others have theirs

    @staticmethod
    def forget(directory: "str") -> "None":
        if os.path.isdir(directory):
            import shutil

            shutil.rmtree(directory)

    def pull_by_hand(self, image: "str") -> "str":
        return "{}/container create".format(os.path.dirname(DECLARATION))

    def rename_by_hand(self, old: "str", new: "str") -> "str":
        return "mv {0}/{1} {0}/{2}".format(DIRECTORY, old, new)

    def remove_by_hand(self, names: "Sequence[str]") -> "str":
        return "systemctl stop {}; rm -rf {}".format(UNIT, " ".join(os.path.join(DIRECTORY, name) for name in names))


class Pipe(Output):
    """What the unit writes into its pipe, which ends with the last process that has it open."""

    def __init__(self, path: "str") -> "None":
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def begins(self, seen: "Seen") -> "None":
        if not seen.is_running:  # maybe nobody has ever opened it, and so nobody has closed it
            os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> "int":
        return self.descriptor

    def read(self) -> "Optional[List[Tuple[int, bytes]]]":
        try:
            block = os.read(self.descriptor, BLOCK)
        except BlockingIOError:
            return []
        return [(1, block)] if block else None

    def has_more(self) -> "bool":
        return False

    def close(self) -> "None":
        os.close(self.descriptor)


def is_unified() -> "bool":
    """Return whether control groups are of version 2, where no process in the group means that nothing runs."""
    return os.path.exists(GROUPS + "/cgroup.procs")


def read(path: "str") -> "str":
    """Return the content of a file, nothing where it is not there."""
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def write(path: "str", text: "str", mode: "int") -> "None":
    """Write a file so that it is there whole, or as it was."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        os.unlink(path + ".new")  # what an image may have there, such as a FIFO
    except FileNotFoundError:
        pass
    with os.fdopen(os.open(path + ".new", flags, mode), "wb") as stream:
        stream.write(text.encode("utf-8", "surrogateescape"))
    os.rename(path + ".new", path)


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Optional, Sequence, Tuple

    from engines import Pending, Wanted
