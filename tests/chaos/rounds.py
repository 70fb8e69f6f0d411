"""Rounds of killing in one house, and where its store is: on files that can be taken away, or behind a wire to cut."""

from __future__ import annotations

import multiprocessing
import queue
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from callrec import places
from callrec.audit.verify import Places, verify
from callrec.store.configured import folder_of
from tests.chaos.judge import judged
from tests.chaos.recorder import as_a_process
from tests.cli.house import House
from tests.peers.ceph import Ceph
from tests.peers.relay import Relay
from tests.store.s3 import a_bucket, written

CUT_EVERY = 4
PROCESSES = multiprocessing.get_context("forkserver")
"""Each recorder is a process of its own, from one that has read all its modules and has no threads."""
PROCESSES.set_forkserver_preload(["tests.chaos.recorder"])
_LONGEST_S = 120.0
_SETTLES_S = 600.0


class OnFiles:
    """A store on the file system; cut off as a disk is that went away."""

    configuration = ()

    def __init__(self, folder):
        self._store, self._away = folder / "var/store", folder / "away"

    def cut(self):
        self._store.rename(self._away)

    def mend(self):
        if self._away.exists():
            self._away.rename(self._store)

    def close(self):
        """Nothing of it runs."""


class BehindAWire:
    """A store in a bucket of a real S3 server; cut off in the middle of whatever it is asked."""

    def __init__(self, ceph, folder):
        wire = Relay(ceph.port)
        self.configuration = written(ceph, folder, a_bucket(ceph), port=wire.port)
        self.cut, self.mend, self.close = wire.cut, wire.mend, wire.close


class HouseOfChaos(House):
    """A house whose store may go away."""

    def __init__(self, folder, store):
        self.store = store
        super().__init__(folder, changes=store.configuration)

    def problems(self):
        """What an auditor finds."""
        config = self.config
        found = verify(
            Places(
                ledger=config.ledger.database,
                evidence=places.evidence_dir(config),
                store=folder_of(config),
                spool=config.spool.path,
            )
        )
        return [str(each) for each in found.findings]


class Rounds:
    """One house, and the same dice for everything that is left to chance."""

    def __init__(self, house, dice):
        self.house = house
        self.dice = dice
        self.acknowledged = {}

    def one(self, number):
        """Run the recorder, kill it, note what it acknowledged."""
        cut = number % CUT_EVERY == 0
        if cut and self.dice.random() < 0.5:
            self.house.store.cut()
        process, lines = self._started()
        try:
            self._wait_for_a_moment(lines)
            if cut:
                self._cut_then_go_on(lines)
        finally:
            process.kill()
            process.join()
            for _ in self._said(lines, _LONGEST_S):
                """Read to its end."""
            self.house.store.mend()
        if process.exitcode != -signal.SIGKILL:
            raise AssertionError(f"it ended by itself, {process.exitcode}: {self._log.read_text()[-3000:]}")

    def _cut_then_go_on(self, lines):
        """The store goes away while recordings are made and moved; they go on for a while."""
        try:
            self.house.store.cut()
        except FileNotFoundError:
            return  # it was away from the start
        self._pass(lines, self.dice.uniform(0.0, 0.5))

    def _wait_for_a_moment(self, lines):
        kind = self.dice.choice(("starting", "working", "working", "acknowledged"))
        if kind == "starting":
            self._pass(lines, self.dice.uniform(0.05, 2.0))
        elif kind == "working":
            self._until(lines, "up", 1)
            self._pass(lines, self.dice.uniform(0.0, 1.0))
        else:
            self._until(lines, "acknowledged", self.dice.randint(1, 6))

    def at_rest(self):
        """Everything handed over by one more process, which ends by itself; then what became of it all."""
        process, lines = self._started("finish")
        for _ in self._said(lines, _SETTLES_S):
            """It only hands over."""
        process.join(_SETTLES_S)
        if process.exitcode != 0:
            raise AssertionError(f"it did not come to rest: {self._log.read_text()[-3000:]}")
        return judged(self.house, self.acknowledged)

    # ------------------------------------------------------------ the process and its lines

    def _started(self, *more):
        heard, said = PROCESSES.Pipe(duplex=False)
        words = (str(self.house.config_path), self.dice.getrandbits(32), *more)
        process = PROCESSES.Process(target=as_a_process, args=(said, self._log, *words), daemon=True)
        process.start()
        said.close()
        lines = queue.SimpleQueue()
        threading.Thread(target=_read, args=(heard, lines), daemon=True).start()
        return process, lines

    @property
    def _log(self):
        return self.house.folder / "recorder.log"

    def _said(self, lines, seconds) -> Iterator[str]:
        """What it says, until it ends or for this long after its last word. Acknowledgements are noted."""
        while True:
            try:
                line = lines.get(timeout=seconds)
            except queue.Empty:
                return
            if line is None:
                lines.put(None)
                return
            word, *rest = line.split()
            if word == "acknowledged":
                self.acknowledged[rest[0]] = rest[1]
            yield word

    def _pass(self, lines, seconds):
        """Listen for about so long."""
        timer = threading.Timer(seconds, lines.put, args=("time",))
        timer.start()
        self._until(lines, "time", 1)

    def _until(self, lines, wanted, count):
        """Listen until this was said so often, or nothing more can come."""
        for word in self._said(lines, _LONGEST_S):
            count -= word == wanted
            if count == 0 or word == "idle":
                return


def _read(heard, lines):
    with heard, open(heard.fileno(), "rb", closefd=False) as stream:
        for line in stream:
            lines.put(line.decode())
    lines.put(None)


@contextmanager
def chaos(folder, *, seed, ceph: Ceph | None = None):
    """A house for rounds; its store on files, or in a bucket of this server."""
    folder.mkdir(parents=True)
    store = OnFiles(folder) if ceph is None else BehindAWire(ceph, folder)
    try:
        yield Rounds(HouseOfChaos(folder, store), random.Random(seed))
    finally:
        store.close()
