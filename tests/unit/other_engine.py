"""Another engine, of no kind that exists, for what the helpers may not take for granted.

It is asked in words of its own, one line a request, on a Unix socket.  It has no JSON, no HTTP and no process of this host: what
it calls a generation is alive as long as a file of that name stands in its directory.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from engines import Command, Engine, EngineDown, EngineError, EngineLeft, Output, Pending, Presence, Seen, Wanted
from fake_engine import Departure, FakeEngine, NotThere, Refusal, Workload
from process import Failure

WORDS = {"summon": "begin", "listen": "output", "dismiss": "stop", "chill": "freeze", "warm": "thaw", "mourn": "await_end",
         "whisper": "run_inside", "recall": "written_since_start", "describe": "look", "stocks": "has_image", "stock": "load",
         "mould": "make", "call": "rename", "forget": "remove"}


class FakeOther(FakeEngine):
    """The engine itself."""

    def __init__(self, directory: Path) -> None:
        self.generation = 6
        super().__init__(directory)

    def engine(self) -> Engine:
        return Other(self.path)

    def put_command(self, monkeypatch: pytest.MonkeyPatch) -> None: ...

    def framed(self, stream: int, data: bytes) -> bytes:
        return (b"err " if stream == 2 else b"out ") + data.hex().encode() + b"\n"

    def new_life(self) -> str:
        self.generation += 1
        life = f"generation-{self.generation}"
        (self.directory / life).touch()
        return life

    def end_of_life(self, life: str) -> None:
        (self.directory / life).unlink(missing_ok=True)

    def ends(self, workload: Workload, status: int, out_of_memory: bool = False) -> None:
        self.end_of_life(workload.life)
        super().ends(workload, status, out_of_memory)

    def answer(self, connection: socket.socket) -> None:
        with connection.makefile() as stream:
            word, *about = [unquote(part) for part in stream.readline().split()]
        try:
            if word in WORDS:
                self.hear(WORDS[word])
            if word == "listen":
                return self.goes_on(connection, b"done\n", self.readers)
            if word == "attend":
                return self.goes_on(connection, b"", self.attending)
            if word == "whisper":
                number = self.send(about[1:])
                head = f"done {number}\n".encode() + self.framed(1, self.sent[number].writes)
                if self.sent[number].status is None:
                    return self.goes_on(connection, head, self.readers)
                connection.sendall(head)
            else:
                connection.sendall(self._done(word, *about))
        except (Departure, ConnectionError):
            pass
        except NotThere:
            self.send_to(connection, b"nobody\n")
        except Refusal as error:
            self.send_to(connection, f"no {error}\n".encode())
        connection.close()

    def _done(self, word: str, *about: str) -> bytes:
        """Do what is asked; return the answer."""
        if word == "describe":
            return b"done\n" + self._description(self.found(about[0])).encode()
        if word == "recall":
            return b"done\n" + b"".join(self.framed(*piece) for piece in self.found(about[0]).written)
        if word == "custom":
            return b"done\n" if self.own_check is None else f"done {self.own_check[1]} {line(self.own_check[0])}\n".encode()
        if word == "outcome":
            status = self.end_of(int(about[0]))
            return b"done\n" if status is None else f"done {status}\n".encode()
        if word == "stocks":
            return b"done yes\n" if about[0] in self.images else b"done\n"
        self._do(word, *about)
        return b"done\n"

    def _do(self, word: str, *about: str) -> None:
        if word == "summon":
            self.begin(*about)
        elif word == "dismiss":
            self.stop(*about)
        elif word in ("chill", "warm"):
            self.found(about[0]).is_paused = word == "chill"
        elif word == "mourn":
            self.known.wait(10)
        elif word == "smother":
            self.sent[int(about[0])].killed.set()
            self.loses_readers()
        elif word == "call":
            self.rename(*about)
        elif word == "forget":
            self.found(about[0])
            del self.workloads[about[0]]
        elif word == "stock":
            self.images.add(Path(about[0]).read_text())
        elif word == "mould":
            name, specification, image, *rest = about
            kept = [part[1:].partition("@") for part in rest if part[0] == "k"]
            values = [part[1:].partition("=") for part in rest if part[0] == "e"]
            self.make(name, Workload(specification, volumes=[(volume, path) for volume, _, path in kept], image=image,
                                     environment={key: value for key, _, value in values}))

    def _description(self, workload: Workload) -> str:
        mood = "chilled" if workload.is_paused else "up" if workload.is_running else "down"
        lines = [["mood", mood], ["left", str(workload.status)], ["born", workload.identity]]
        lines += [["seal", workload.specification]] if workload.specification else []
        lines += [["generation", workload.life.rpartition("-")[2]]] if workload.is_running else []
        lines += [["since", str(workload.started)]] if workload.started else []
        lines += [["starved"]] if workload.out_of_memory else []
        lines += [["keeps", name, path] for name, path in workload.volumes]
        return "".join(line(words) + "\n" for words in lines)


def line(words: Iterable[str]) -> str:
    return " ".join(quote(word, safe="/") for word in words)


PATIENCE = 30.0  # seconds


class Other(Engine):
    """What asks it."""

    word, title = "other", "Other"

    def __init__(self, path: str) -> None:
        self.path = self.place = path
        self.patience: float | None = None

    def bound(self, patience: float) -> None:
        self.patience = patience

    def ask(self, *words: str, patience: float | None = None) -> Lines:
        """Send a request; return its answer, not read yet."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self.patience if patience is None else patience)
        try:
            connection.connect(self.path)
            connection.sendall(line(words).encode() + b"\n")
        except OSError as error:
            connection.close()
            raise EngineDown(f"nobody is at home ({error.strerror})") from None
        return Lines(connection)

    def told(self, *words: str, patience: float | None = None) -> list[str]:
        """Return the first line of an answer."""
        lines = self.ask(*words, patience=patience)
        try:
            return lines.first()
        finally:
            lines.close()

    def answers(self) -> bool:
        try:
            self.told("greet", patience=10.0)
        except EngineDown:
            return False
        return True

    def look(self, name: str, patience: float | None = None) -> Seen | None:
        lines = self.ask("describe", name, patience=patience)
        try:
            lines.first()
        except Nobody:
            return None
        else:
            said = [[unquote(word) for word in text.split()] for text in lines.rest()]
        finally:
            lines.close()
        about = {words[0]: words[-1] for words in said}
        return Seen(about["mood"] != "down", about["mood"] == "chilled", about.get("seal", ""),
                    f"generation-{about['generation']}" if "generation" in about else "", float(about.get("since", 0)),
                    int(about["left"]), "starved" in about, [(words[1], words[2]) for words in said if words[0] == "keeps"],
                    identity=about["born"])

    def peek(self, name: str) -> Seen | None:
        return self.look(name)

    def begin(self, name: str) -> Pending:
        return Promise(self.ask("summon", name))

    def output(self, name: str, seen: Seen, reads: bool = True) -> Output:
        lines = self.ask("listen", name)
        lines.first()
        return lines

    def begin_stop(self, name: str) -> Pending:
        return Promise(self.ask("dismiss", name))

    def stop(self, name: str) -> None:
        seen = self.look(name)
        if seen is not None and seen.is_running:
            self.told("dismiss", name)

    def freeze(self, name: str) -> None:
        self.told("chill", name, patience=PATIENCE)

    def thaw(self, name: str) -> None:
        self.told("warm", name, patience=PATIENCE)

    def await_end(self, name: str, patience: float) -> None:
        try:
            self.told("mourn", name, patience=patience)
        except EngineDown:
            pass

    def presence(self) -> Presence | None:
        return Attending(self.ask("attend"))

    def is_alive(self, life: str) -> bool:
        return (Path(self.path).parent / life).exists()

    def addresses(self, seen: Seen) -> list[str]:
        return ["127.0.0.1"]

    def run_inside(self, name: str, argv: Sequence[str]) -> Command:
        lines = self.ask("whisper", name, *argv)
        return Whisper(self, lines.first()[0], lines)

    def own_check(self, name: str) -> tuple[list[str], float] | None:
        found = self.told("custom", name)
        return (found[1:], float(found[0])) if found else None

    def written_since_start(self, name: str, seen: Seen) -> Iterable[tuple[int, bytes]]:
        lines = self.ask("recall", name)
        lines.first()
        pieces = [framed_piece(text) for text in lines.rest()]
        lines.close()
        return pieces

    def has_image(self, image: str) -> bool:
        return bool(self.told("stocks", image))

    def load(self, archive: str) -> None:
        self.told("stock", archive)

    def make(self, name: str, wanted: Wanted) -> None:
        kept = [f"k{volume}@{path}" for volume, path in wanted.kept_volumes if path not in wanted.volumes]
        values = [f"e{key}={value}" for key, value in {**wanted.environment, **wanted.secret_environment}.items()]
        try:
            self.told("mould", name, wanted.specification, wanted.image, *kept, *values)
        except EngineError as error:
            raise Failure(f"it can't be moulded: {error}") from None

    def rename(self, old: str, new: str) -> None:
        self.told("call", old, new)

    def remove(self, name: str) -> None:
        try:
            self.told("forget", name)
        except Nobody:
            pass

    def pull_by_hand(self, image: str) -> str:
        return f"other fetch {image}"

    def rename_by_hand(self, old: str, new: str) -> str:
        return f"other call {old} {new}"

    def remove_by_hand(self, names: Sequence[str]) -> str:
        return f"other forget {' '.join(names)}"

    def remove_volumes_by_hand(self, names: Sequence[str]) -> str:
        return f"other drop {' '.join(names)}"


class Nobody(EngineError):
    """It knows nobody of that name."""


class Lines(Output):
    """An answer; what follows its first line is output, a piece a line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.left = b""

    def first(self) -> list[str]:
        while b"\n" not in self.left:
            block = self._receive()
            if not block:
                raise EngineLeft("it went away in the middle of a word")
            self.left += block
        text, _, self.left = self.left.partition(b"\n")
        word, _, about = text.decode().partition(" ")
        if word == "nobody":
            raise Nobody("nobody has that name")
        if word == "no":
            raise EngineError(about)
        return [unquote(part) for part in about.split()]

    def rest(self) -> list[str]:
        while block := self._receive():
            self.left += block
        return self.left.decode().splitlines()

    def fileno(self) -> int:
        return self.connection.fileno()

    def read(self) -> list[tuple[int, bytes]] | None:
        if b"\n" not in self.left:
            block = self._receive()
            if not block:
                return None
            self.left += block
        whole, _, self.left = self.left.rpartition(b"\n")
        return [framed_piece(text) for text in whole.decode().split("\n") if text]

    def has_more(self) -> bool:
        return b"\n" in self.left

    def close(self) -> None:
        self.connection.close()

    def _receive(self) -> bytes:
        try:
            return self.connection.recv(65536)
        except TimeoutError:
            raise EngineDown("it says nothing") from None
        except OSError:
            return b""


def framed_piece(text: str) -> tuple[int, bytes]:
    word, _, data = text.partition(" ")
    return 2 if word == "err" else 1, bytes.fromhex(data)


class Attending(Presence):
    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def has_left(self) -> bool:
        try:
            return not self.lines.connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        self.lines.close()


class Promise(Pending):
    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def fileno(self) -> int:
        return self.lines.fileno()

    def done(self) -> None:
        self.lines.first()
        self.lines.close()


class Whisper(Command):
    """A command inside."""

    def __init__(self, engine: Other, number: str, output: Output) -> None:
        self.engine = engine
        self.number = number
        self.output = output

    def status(self) -> int | None:
        found = self.engine.told("outcome", self.number)
        return int(found[0]) if found else None

    def kill(self) -> None:
        self.engine.told("smother", self.number)
