"""From the engine's recorders in memory into the encrypted spool, once a second, freeing memory on the way.

The recorders write 16-bit mono PCM behind a 44-byte header in blocks of 4096 bytes, aligned to the sample; their last
block and the header's length come when they are closed. What was read is punched out of the files, so that they hold
a second each, about five pages, however long the call is.
"""

from __future__ import annotations

import asyncio
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from callrec._blocks import PAGE_BYTES, give_back
from callrec._durable import DurableFile, remove
from callrec.errors import Broken
from callrec.ports import CapturePaths
from callrec.recording.audio import FRAME_BYTES, RATE, SAMPLE_BYTES, interleave
from callrec.recording.segment import OpenSegment, Progress
from callrec.recording.tailing import TailThread

HEADER_BYTES: Final = 44
_MOST_SAMPLES: Final = 10 * RATE
"""Taken at once, so that a backlog after a stall costs no memory."""
_NS_PER_SAMPLE: Final = 1_000_000_000 // RATE


class _Leg:
    """One recorder's file. It may not be there yet: then it holds no sample."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: DurableFile | None = None
        self._freed = PAGE_BYTES  # the first page holds the header, which the recorder completes when it closes

    def samples(self) -> int:
        """How many whole samples were written so far."""
        file = self._opened()
        return 0 if file is None else max(0, os.fstat(file.fileno()).st_size - HEADER_BYTES) // SAMPLE_BYTES

    def _opened(self) -> DurableFile | None:
        if self._file is None and self._path.exists() and self._path.stat().st_size >= HEADER_BYTES:
            file = DurableFile(self._path)
            try:
                self._expect_mono_pcm(os.pread(file.fileno(), HEADER_BYTES, 0))
            except Broken:
                file.close()
                raise
            self._file = file
        return self._file

    def _expect_mono_pcm(self, header: bytes) -> None:
        kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", header, 20)
        right = header.startswith(b"RIFF") and header[36:40] == b"data"
        if not right or (kind, channels, rate, bits) != (1, 1, RATE, 16):
            raise Broken("a recorder writes something else than 16-bit mono PCM at 8 kHz", next_step="report this")

    def read(self, start: int, count: int) -> bytes:
        """These samples; fewer where the file ends."""
        file = self._opened()
        if file is None:
            return b""
        data = os.pread(file.fileno(), count * SAMPLE_BYTES, HEADER_BYTES + start * SAMPLE_BYTES)
        return data[: len(data) // SAMPLE_BYTES * SAMPLE_BYTES]

    def free_before(self, sample: int) -> None:
        """Give back the pages that hold only samples before this one."""
        end = (HEADER_BYTES + sample * SAMPLE_BYTES) // PAGE_BYTES * PAGE_BYTES
        if self._file is not None and end > self._freed:
            give_back(self._file.fileno(), self._freed, end - self._freed)
            self._freed = end

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Tail:
    """What both recorders wrote beyond the first `taken` samples. The same for a live call and after a crash."""

    def __init__(self, paths: CapturePaths, *, taken: int = 0) -> None:
        self._legs = (_Leg(paths.caller), _Leg(paths.staff))
        self._paths = paths
        self.taken = taken

    def peek(self) -> bytes:
        """The next stereo samples that both legs have; empty where there is none. Nothing is taken yet."""
        count = min(leg.samples() for leg in self._legs) - self.taken
        return self._stereo(min(count, _MOST_SAMPLES)) if count > 0 else b""

    def peek_last(self) -> bytes:
        """As `peek`, once the recorders are closed: the shorter leg is filled with silence, so that no word is lost."""
        count = max(leg.samples() for leg in self._legs) - self.taken
        return self._stereo(min(count, _MOST_SAMPLES)) if count > 0 else b""

    def _stereo(self, count: int) -> bytes:
        caller, staff = (leg.read(self.taken, count).ljust(count * SAMPLE_BYTES, b"\0") for leg in self._legs)
        return interleave(caller, staff)

    def take(self, pcm: bytes) -> None:
        """These samples are safe elsewhere: free their memory."""
        self.taken += len(pcm) // FRAME_BYTES
        for leg in self._legs:
            leg.free_before(self.taken)

    def close(self) -> None:
        """Release the files."""
        for leg in self._legs:
            leg.close()

    def unlink(self) -> None:
        """Release and remove the files: plain audio is gone from memory."""
        self.close()
        remove(self._paths.caller, settled=False)
        remove(self._paths.staff, settled=False)


class Capture:
    """Feeds one live segment from its recorders.

    `started_ns` is the boot time at which the recorders were started; gaps are placed by it, to about 20 ms.
    `tick`, `finish`, `suspend` and `resume` block on the disk: `run` takes care of the first, the others want
    asyncio.to_thread.
    """

    def __init__(self, segment: OpenSegment, paths: CapturePaths, *, started_ns: int) -> None:
        self.segment = segment
        self._tail = Tail(paths)
        self._started_ns = started_ns
        self._turn = threading.Lock()
        self._finished = False

    def tick(self) -> None:
        """Take what is new; nothing once it is finished. `Unavailable` where the spool fails: nothing is lost from
        memory then. Blocking.
        """
        with self._turn:
            while not self._finished and (pcm := self._tail.peek()):
                self.segment.append(pcm)
                self._tail.take(pcm)
                if len(pcm) < _MOST_SAMPLES * FRAME_BYTES:
                    return

    async def run(self, stop: asyncio.Event, tails: TailThread) -> None:
        """Take what is new until `stop` is set. Raises as `tick`: the recording cannot go on then, the call can."""
        loop = asyncio.get_running_loop()
        failure: asyncio.Future[None] = loop.create_future()
        stopping = asyncio.create_task(stop.wait())
        tails.follow(self.tick, lambda error: _tell(loop, failure, error))
        try:
            waited: set[asyncio.Future[Any]] = {stopping, failure}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tails.drop(self.tick)
            stopping.cancel()
            if not failure.done():
                failure.set_result(None)
        failure.result()

    def finish(self) -> None:
        """Once the recorders are closed: take the rest and remove their files. Blocking.

        Raises as `tick`; the files are then left for `seal`, which takes what they still hold.
        """
        with self._turn:
            self._finished = True
            try:
                while pcm := self._tail.peek_last():
                    self.segment.append(pcm)
                    self._tail.take(pcm)
            finally:
                self._tail.close()
            self._tail.unlink()

    def suspend(self, at_ns: int, why: str) -> None:
        """Only silence reaches the recorders from here: mark it. ValueError while suspended. Blocking."""
        self.segment.mark_gap(self._sample_at(at_ns), why)

    def resume(self, at_ns: int) -> None:
        """Voices reach the recorders again. ValueError where it was not suspended. Blocking."""
        self.segment.mark_gap_end(self._sample_at(at_ns))

    def _sample_at(self, at_ns: int) -> int:
        return max(0, at_ns - self._started_ns) // _NS_PER_SAMPLE

    def progress(self) -> Progress:
        """For `recording.progress`. Does not block on IO."""
        return self.segment.progress()


def _tell(loop: asyncio.AbstractEventLoop, failure: asyncio.Future[None], error: Exception) -> None:
    """Hand the error to whoever waits in the loop, if anybody still does."""

    def fail() -> None:
        if not failure.done():
            failure.set_exception(error)

    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(fail)
