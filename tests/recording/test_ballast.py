"""A disk that fills up while a recording is made: it is sealed and said all the same, and no new one begins."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from callrec.errors import Unavailable
from callrec.recording import seal as sealing
from callrec.recording.ballast import BALLAST_BYTES
from callrec.recording.seal import seal
from callrec.recording.spool import Spool
from tests.recording.builders import ENDING, FACTS, KEY, a_header, stereo, voices


class SmallDisk:
    """Counts the blocks under a folder, and takes none beyond `limit`: what is over is taken back, with ENOSPC."""

    def __init__(self, folder):
        self.folder = folder
        self.limit = 1 << 40

    def used(self):
        return sum(path.lstat().st_blocks * 512 for path in self.folder.rglob("*"))

    def fills_up(self):
        self.limit = self.used()

    def write(self, real, descriptor, data):
        before = os.fstat(descriptor).st_size
        written = real(descriptor, data)
        if self.used() > self.limit:
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written

    def allocate(self, real, descriptor, offset, size):
        if self.used() + size > self.limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, offset, size)


@pytest.fixture
def disk(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="callrec-full-") as folder:
        small = SmallDisk(Path(folder) / "spool")
        small.folder.mkdir()
        write, allocate = os.write, os.posix_fallocate
        monkeypatch.setattr(os, "write", lambda *args: small.write(write, *args))
        monkeypatch.setattr(os, "posix_fallocate", lambda *args: small.allocate(allocate, *args))
        yield small


@pytest.fixture
def spool(disk, tmp_path):
    spool = Spool(disk.folder, tmp_path / "run", reserve_s=2)
    spool.start()
    yield spool
    spool.close()


def full_once_the_audio_is_sealed(disk, monkeypatch):
    """Others take what room there is, and that which was reserved for the audio and is given back."""
    real = sealing._write_object

    def write_object(*args):
        digest = real(*args)
        disk.fills_up()
        return digest

    monkeypatch.setattr(sealing, "_write_object", write_object)


def talked(spool):
    live = spool.open_segment(a_header(), KEY, FACTS)
    live.append(stereo(*voices(8000)))
    return live


def test_a_disk_that_fills_up_takes_nothing_from_a_recording_and_lets_no_other_begin(disk, spool, monkeypatch):
    live = talked(spool)
    full_once_the_audio_is_sealed(disk, monkeypatch)

    sealed = seal(spool, live, ENDING)
    spool.note_sealed(sealed.recording_id, "d" * 64)

    assert (spool.ready_ids(), sealed.samples) == ((sealed.recording_id,), 8000)
    assert spool.sealed_leaf(sealed.recording_id) == "d" * 64
    assert not spool.ballast.whole()
    disk.fills_up()
    with pytest.raises(Unavailable, match="No space left"):
        spool.reserve(1)


def test_once_there_is_room_again_the_ballast_is_set_aside_and_recordings_begin(disk, spool, monkeypatch):
    live = talked(spool)
    full_once_the_audio_is_sealed(disk, monkeypatch)
    sealed = seal(spool, live, ENDING)

    disk.limit += BALLAST_BYTES
    spool.hand_off(sealed.recording_id)

    assert spool.ballast.whole()
    spool.reserve(1)


def test_without_ballast_a_full_disk_leaves_the_recording_to_be_sealed_later(disk, spool, monkeypatch):
    live = talked(spool)
    (disk.folder / "ballast").unlink()
    full_once_the_audio_is_sealed(disk, monkeypatch)

    with pytest.raises(Unavailable, match="No space left"):
        seal(spool, live, ENDING)

    assert spool.ids_in("tmp") == (live.recording_id,)
    monkeypatch.undo()
    assert seal(spool, live, ENDING).samples == 8000


def test_what_fails_for_another_cause_does_not_cost_the_ballast(spool):
    def gone():
        raise Unavailable("the disk is gone")

    with pytest.raises(Unavailable, match="gone"):
        spool.ballast.with_room(gone)

    assert spool.ballast.whole()
