"""Checkpoints held by somebody else: what is shipped there, and whether the log still agrees with it.

A directory anchor is a folder that another party owns or copies away; one file per checkpoint, never replaced. A
command anchor is a program that carries them away.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from callrec._durable import make_dir, write_file
from callrec._sql import Database
from callrec.core.kinds import Kind
from callrec.errors import Broken, CallrecError, Refused, Unavailable
from callrec.ledger.checkpoint import Checkpoint, LogKey, parse, verify
from callrec.ledger.log import SqlLedger
from callrec.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from callrec.ledger.reading import LogReader, open_log
from callrec.ports import Entry

_FILE: Final = re.compile(r"([0-9]{16})\.checkpoint")
EVERY_S: Final = 40.0
"""Least time between two shipments to one anchor. Whoever polls every 15 s loses at most a minute to whoever rewrites
the end of the log.
"""
COMMAND_S: Final = 5.0
"""How long an anchor's program may take."""
_STEP: Final = "keep ledger and anchors as they are, record nothing, and call the auditor"


class DirectoryAnchor:
    """Checkpoints of one log in one folder. The folder is made where it is missing."""

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.name

    def ship(self, note: bytes) -> None:
        """Leave this checkpoint there, durably. Another root under the same size is `Broken`."""
        target = self.path / f"{parse(note).checkpoint.size:016d}.checkpoint"
        make_dir(self.path, mode=0o750)
        try:
            write_file(target, note, mode=0o440, exclusive=True)
        except Refused:
            if _read(target) != note:
                raise Broken(f"{target} holds another checkpoint of the same size", next_step=_STEP) from None

    def notes(self) -> list[bytes]:
        """Every checkpoint held, smallest first. `Unavailable` where one cannot be read."""
        if not self.path.is_dir():
            return []
        names = sorted(file.name for file in self.path.iterdir() if _FILE.fullmatch(file.name))
        return [_read(self.path / name) for name in names]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(f"the anchor {path} cannot be read: {error.strerror}", next_step="look at it") from error


class CommandAnchor:
    """A program of the operator's that carries checkpoints away: to another machine, a mail box, a printer.

    It is run with `put` as its last argument and the signed note on its input, and ends with status 0 once somebody
    else holds it; and with `newest`, to which it answers with the newest note that is held there, or nothing. `path`
    keeps a copy of every note that was carried away, for reports; at a start the program is asked as well.
    """

    def __init__(self, path: Path, command: Sequence[str], *, timeout_s: float = COMMAND_S) -> None:
        self._copies = DirectoryAnchor(path)
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self.name = path.name

    def ship(self, note: bytes) -> None:
        """Have it carried away. `Unavailable` where the program does not start, fails, or takes longer than allowed."""
        self._run("put", note)
        self._copies.ship(note)

    def notes(self) -> list[bytes]:
        """The newest note held there, after the copies here. `Unavailable` as `ship`."""
        held = self._run("newest", b"")
        return [*self._copies.notes(), *([held] if held.strip() else [])]

    def _run(self, what: str, note: bytes) -> bytes:
        step = f"run it by hand: {self._command[0]} ... {what}"
        try:
            done = subprocess.run(
                [*self._command, what],
                input=note,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._timeout_s,
                check=False,
            )
        except OSError as error:
            raise Unavailable(f"the anchor's program cannot be started: {error.strerror}", next_step=step) from error
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"the anchor's program took over {self._timeout_s:g} s", next_step=step) from error
        if done.returncode:
            raise Unavailable(f"the anchor's program ended with status {done.returncode}", next_step=step)
        return done.stdout


Anchor = DirectoryAnchor | CommandAnchor


class PrefixGate:
    """Whether the log may be recorded into: not before its anchors were asked, and never once they contradict it."""

    def __init__(self, database: Database, anchors: Sequence[Anchor], key: LogKey) -> None:
        self._database = database
        self._anchors = tuple(anchors)
        self._key = key
        self.why = "the anchors were not asked yet"
        self.broken = False

    @property
    def open(self) -> bool:
        """True where the newest outside anchor is a beginning of the log, or there is none."""
        return not self.why

    def look(self) -> None:
        """Ask the anchors, unless they answered before. Blocking; never raises for what they say."""
        if self.open or self.broken:
            return
        try:
            with open_log(self._database) as log:
                check_prefix(log, self._anchors, self._key)
        except Broken as error:
            self.why, self.broken = f"Broken: {error}; {error.next_step}", True
        except Unavailable as error:
            self.why = f"{error}; {error.next_step}"
        else:
            self.why = ""


class AnchorShipper:
    """Ships the newest checkpoint to every anchor, to each not more often than every `every_s` seconds.

    Nothing is shipped from a log that its anchors contradict: the branch that they hold stays the only one there. One
    that hangs holds up neither the others nor the end of the process.
    """

    def __init__(
        self,
        ledger: SqlLedger,
        anchors: Sequence[Anchor],
        *,
        every_s: float = EVERY_S,
        timeout_s: float = 2 * COMMAND_S,
        gate: PrefixGate | None = None,
    ) -> None:
        self._ledger = ledger
        self._anchors = tuple(anchors)
        self._every_ns = int(every_s * 1e9)
        self._timeout_s = timeout_s
        self._gate = gate
        self._done: dict[Anchor, tuple[int, int]] = {}
        self._running: dict[Anchor, asyncio.Future[None]] = {}

    async def ship(self, now_ns: int) -> bool:
        """Call often; `now_ns` is time since boot. True where something was shipped and noted in the ledger.

        `Unavailable` or `Broken` where an anchor or the ledger failed, once all the others were tried: the next call
        tries again.
        """
        await self._pass_gate()
        note = self._ledger.newest_checkpoint()
        due = [anchor for anchor in self._anchors if self._is_due(anchor, now_ns, parse(note).checkpoint.size)]
        failures = [failure for anchor in due if (failure := await self._ship_one(anchor, note))]
        shipped = len(due) - len(failures)
        for anchor in self._anchors:
            at, size = self._done.get(anchor, (0, 0))
            if size == parse(note).checkpoint.size:  # what was noted of it is no reason to ship again
                self._done[anchor] = (now_ns if anchor in due else at, size + shipped)
        if failures:
            raise failures[0]
        return shipped > 0

    async def _pass_gate(self) -> None:
        if self._gate is None or self._gate.open:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(_in_daemon(self._gate.look), self._timeout_s)
        if not self._gate.open:
            raise Unavailable(f"nothing is shipped: {self._gate.why}", next_step=_STEP)

    def _is_due(self, anchor: Anchor, now_ns: int, size: int) -> bool:
        if anchor not in self._done:
            return True
        at, shipped = self._done[anchor]
        return now_ns - at >= self._every_ns and size > shipped

    async def _ship_one(self, anchor: Anchor, note: bytes) -> CallrecError | None:
        try:
            await self._bounded(anchor, note)
            checkpoint = parse(note).checkpoint
            await self._ledger.append(_shipped(anchor.name, checkpoint), timeout_s=10)
        except CallrecError as error:
            return error
        self._done[anchor] = (0, checkpoint.size)
        return None

    async def _bounded(self, anchor: Anchor, note: bytes) -> None:
        running = self._running.get(anchor)
        if running is None or running.done():
            running = self._running[anchor] = _in_daemon(lambda: anchor.ship(note))
            running.add_done_callback(lambda done: done.cancelled() or done.exception())  # told here or not at all
        done, _ = await asyncio.wait({running}, timeout=self._timeout_s)
        if not done:
            what = f"the anchor {anchor.name} did not answer within {self._timeout_s:g} s"
            raise Unavailable(what, next_step="look at its disk or its program")
        running.result()


def _in_daemon(work: Callable[[], None]) -> asyncio.Future[None]:
    """Run it in a thread that the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not result.done():
            result.set_result(None) if error is None else result.set_exception(error)

    def run() -> None:
        failure: BaseException | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
        with suppress(RuntimeError):  # the loop is gone: so is whoever asked
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, name="anchor", daemon=True).start()
    return result


def _shipped(anchor: str, checkpoint: Checkpoint) -> Entry:
    body = {"anchor": anchor, "size": checkpoint.size, "root": checkpoint.root.hex()}
    return Entry(kind=Kind.CHECKPOINT_SHIPPED, body=body)


def newest(anchors: Sequence[Anchor], key: LogKey) -> Checkpoint | None:
    """The newest checkpoint held outside, or None. `Broken` where one is not of this log, or two of a size differ."""
    held: dict[int, bytes] = {}
    for anchor in anchors:
        for note in anchor.notes():
            checkpoint = verify(note, key)
            if held.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
                raise Broken(f"the log was signed twice at size {checkpoint.size}: it was forked", next_step=_STEP)
    if not held:
        return None
    size = max(held)
    return Checkpoint(origin=key.name, size=size, root=held[size])


def root_at(log: LogReader, size: int) -> bytes | None:
    """The root recomputed from the first `size` entries' bytes; None where the log is shorter."""
    if size == 0:
        return EMPTY_ROOT
    frontier = Frontier()
    for _, _, _, body in log.rows():
        frontier.append(leaf_hash(body))
        if frontier.size == size:
            return frontier.root()
    return None


def check_prefix(log: LogReader, anchors: Sequence[Anchor], key: LogKey) -> Checkpoint | None:
    """The newest outside anchor, if the log still begins with what it signed; None where nothing is anchored.

    `Broken` where the log is shorter than the anchor or has another root at its size: entries were removed or changed.
    `Unavailable` where the anchors hold nothing, and the log says that something was shipped: they are away, or gone.
    """
    anchor = newest(anchors, key)
    if anchor is None:
        last = next(log.newest_first(), None)
        if anchors and last is not None and last.anchor_size:
            what = f"the ledger was anchored at {last.anchor_size} entries, and no anchor holds anything now"
            raise Unavailable(what, next_step="mount the anchor; or copy its checkpoints to the new place")
        return None
    root = root_at(log, anchor.size)
    if root is None:
        raise Broken(f"the ledger is shorter than the {anchor.size} entries anchored outside", next_step=_STEP)
    if root != anchor.root:
        raise Broken(f"the first {anchor.size} entries are not those anchored outside", next_step=_STEP)
    return anchor
