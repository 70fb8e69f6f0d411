"""Sound sources and sinks of the engine, and which is connected to which. SIP thread only.

What finished is kept in a drawer for a while: an end-of-file notification of the library may still be on its way to a
player, and finds it there. Sources are native: no Python runs per frame.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pjsua2 as pj

from callrec import _durable
from callrec.core.values import Tone
from callrec.sip.wire import Additions, additions

RATE: Final = 8000
"""Samples a second, everywhere."""
FRAME_MS: Final = 20
HEADER: Final = 44
"""Bytes before the samples in the files of player and recorder."""
_DRAWER_S: Final = 2.0
_MOST_PLAYED: Final = 64
"""Prompts whose files are known; more are hardly in use at one time."""

Cadence = tuple[tuple[int, int, int, int], ...]
"""Hz, Hz, ms on, ms off; over and over. Frequencies and cadences: ITU-T E.180 as used in the United Kingdom."""

RINGBACK: Final[Cadence] = ((400, 450, 400, 200), (400, 450, 400, 2000))
TONES: Final[dict[Tone, Cadence]] = {
    Tone.BUSY: ((400, 0, 375, 375),),
    Tone.CONGESTION: ((400, 0, 400, 350), (400, 0, 225, 525)),
    Tone.UNOBTAINABLE: ((400, 0, 1000, 0),),
}

Connection = tuple[pj.AudioMedia, pj.AudioMedia]
"""From, to."""


def wav(pcm: bytes) -> bytes:
    """This PCM (int16 little endian, 8 kHz, mono) as a WAV file."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE") + form + struct.pack("<4sI", b"data", len(pcm)) + pcm


def finished_size(path: Path) -> int:
    """Bytes of samples that a recorder's file says it has; 0 while its header is not complete."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER)
    except FileNotFoundError:
        return 0
    return int(struct.unpack_from("<I", header, 40)[0]) if len(header) == HEADER else 0


def finished_pcm(path: Path) -> bytes:
    """The samples of a recorder's file whose header is complete."""
    return path.read_bytes()[HEADER : HEADER + finished_size(path)]


def _identity(path: Path) -> tuple[int, ...] | None:
    """Another one where the file was replaced or changed; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Player(pj.AudioMediaPlayer):
    """A player of one file, once. `on_end` is called on a thread of the library and must only post."""

    def __init__(self, path: Path, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._on_end = on_end
        self.createPlayer(str(path), pj.PJMEDIA_FILE_NO_LOOP)

    def onEof2(self) -> None:  # noqa: N802 - the library's name
        """The file was read to its end."""
        self._on_end()

    def retire(self) -> None:
        """Tell nobody any more; breaks the cycle with whoever waited."""
        self._on_end = _nobody


def _nobody() -> None:
    """What a retired player tells."""


class Wiring:
    """The connections of one call. Whatever is not wanted is disconnected; nothing is ever connected unasked."""

    def __init__(self) -> None:
        self._live: dict[tuple[int, int], Connection] = {}

    def apply(self, wanted: Sequence[Connection]) -> None:
        """Make the connections these and no others, taking away before adding, in the order given."""
        keyed = {(source.getPortId(), sink.getPortId()): (source, sink) for source, sink in wanted}
        for key in [key for key in self._live if key not in keyed]:
            _disconnect(*self._live.pop(key))
        for key, (source, sink) in keyed.items():
            if key not in self._live and _connect(source, sink):
                self._live[key] = (source, sink)

    def forget(self, port: int) -> None:
        """This port is gone, and its connections with it; its number may already be another's."""
        self._live = {key: pair for key, pair in self._live.items() if port not in key}


def _connect(source: pj.AudioMedia, sink: pj.AudioMedia) -> bool:
    try:
        source.startTransmit(sink)
    except pj.Error:
        return False  # one of the two is gone; word of that is on its way
    return True


def _disconnect(source: pj.AudioMedia, sink: pj.AudioMedia) -> None:
    try:
        source.stopTransmit(sink)
    except pj.Error:
        return  # one of the two is gone, and the connection with it


class Media:
    """Makes sources and sinks, and takes them back."""

    def __init__(self, runtime_dir: Path, call_later: Callable[[float, Callable[[], None]], None]) -> None:
        self._prompts, self.taps = runtime_dir / "prompts", runtime_dir / "tap"
        for folder in (self._prompts, self.taps):
            _durable.make_dir(folder)
        for left in self.taps.iterdir():  # of a notice that a crash of an earlier run cut off
            _durable.remove(left)
        self._call_later = call_later
        self._drawer: dict[int, object] = {}
        self._played: dict[bytes, tuple[Path, tuple[int, ...]]] = {}
        self._idle_tones: list[pj.ToneGenerator] = []
        self._silence: pj.AudioMediaPlayer | None = None
        self.wire: Additions | None = None
        """Taps the wire; None where the library cannot, and a notice's player is tapped instead."""

    def open(self) -> None:
        """Make what all calls share. The library runs."""
        path = self._prompts / "silence.wav"
        _durable.write_file(path, wav(bytes(2 * RATE)))
        self._silence = pj.AudioMediaPlayer()
        self._silence.createPlayer(str(path))
        self.wire = additions()

    @property
    def silence(self) -> pj.AudioMedia:
        """A native source of silence: a recorder that hears it grows with time, whatever else it hears."""
        if self._silence is None:
            raise RuntimeError("media is not open")
        return self._silence

    def player(self, pcm: bytes, on_end: Callable[[], None]) -> Player:
        """A player of this very copy. Its file is named by its hash, and written again where it is not that copy: it is
        read to see that, unless it is the file, unchanged, that was read before.
        """
        path, seen = self._played.get(pcm, (None, None))
        if path is None or seen is None or seen != _identity(path):
            path = self._written(pcm)
        return Player(path, on_end)

    def _written(self, pcm: bytes) -> Path:
        path = self._prompts / f"{hashlib.sha256(pcm).hexdigest()}.wav"
        content = wav(pcm)
        if not path.exists() or path.read_bytes() != content:
            _durable.write_file(path, content)
        if len(self._played) >= _MOST_PLAYED:
            self._played.clear()
        if (seen := _identity(path)) is not None and path.read_bytes() == content:
            self._played[pcm] = (path, seen)
        return path

    def recorder(self, path: Path) -> pj.AudioMediaRecorder:
        """A recorder of 16-bit PCM into this file; its header is complete soon after it was dropped."""
        path.unlink(missing_ok=True)
        made = pj.AudioMediaRecorder()
        made.createRecorder(str(path))
        return made

    def tone(self, cadence: Cadence) -> pj.ToneGenerator:
        """A generator that begins with the first sound of this cadence. Give it back."""
        generator = self._idle_tones.pop() if self._idle_tones else _new_generator()
        descriptions = pj.ToneDescVector()
        for first, second, on_ms, off_ms in cadence:
            descriptions.append(_description(first, second, on_ms, off_ms))
        generator.play(descriptions, True)  # noqa: FBT003 - the library's own signature: loop
        return generator

    def give_back(self, generator: pj.ToneGenerator) -> None:
        """Take a disconnected generator back; it is never destroyed while the engine runs."""
        generator.stop()
        self._idle_tones.append(generator)

    def retire(self, player: Player) -> None:
        """Put a disconnected player away until nothing can be on its way to it."""
        player.retire()
        self._drawer[id(player)] = player
        key = id(player)
        self._call_later(_DRAWER_S, lambda: self._forget(key))

    def _forget(self, key: int) -> None:
        self._drawer.pop(key, None)

    def close(self) -> None:
        """Let go of everything. No call is left."""
        self._drawer.clear()
        self._idle_tones.clear()
        self._silence = None


def _new_generator() -> pj.ToneGenerator:
    made = pj.ToneGenerator()
    made.createToneGenerator(RATE, 1)
    return made


def _description(first: int, second: int, on_ms: int, off_ms: int) -> pj.ToneDesc:
    made = pj.ToneDesc()
    made.freq1, made.freq2, made.on_msec, made.off_msec, made.volume = first, second, on_ms, off_ms, 0
    return made
