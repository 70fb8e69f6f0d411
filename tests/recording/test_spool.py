import errno
import os
import threading
from types import SimpleNamespace

import pytest

from callrec import _blocks as blocks
from callrec.errors import Broken, Unavailable
from callrec.ports import AUDIO_FILE
from callrec.recording import segment
from callrec.recording.seal import seal
from callrec.recording.segment import BYTES_PER_SECOND, SEGMENT_FILE, SPOOL_FILE, read_description
from callrec.recording.spool import Spool
from callrec.recording.syncing import SyncThread
from tests.recording.builders import ENDING, FACTS, KEY, a_header, a_spool, everything_under, stereo, voices


@pytest.fixture
def spool(tmp_path):
    return a_spool(tmp_path)


def opened(spool, number=0):
    return spool.open_segment(a_header(number), KEY, FACTS)


def test_a_segment_says_what_it_is_before_its_first_sample(spool):
    live = opened(spool)

    described = read_description(live.folder)

    assert (described.header, described.facts, described.wrapped) == (a_header(), FACTS, KEY.wrapped)
    live.close()


def test_a_changed_description_is_broken(spool):
    live = opened(spool)
    live.close()
    path = live.folder / SEGMENT_FILE

    for data in (b"", b"{}", b'{"header":{"x":1}}', path.read_bytes().replace(b"audit", b"marketing")):
        path.write_bytes(data)
        with pytest.raises(Broken):
            read_description(live.folder)


def test_the_secret_is_in_memory_only_and_for_its_owner(spool, tmp_path):
    live = opened(spool)

    assert KEY.secret not in everything_under(tmp_path / "spool")
    assert KEY.secret.hex().encode() not in everything_under(tmp_path / "spool")
    assert spool.live_key(live.recording_id).read_bytes() == KEY.secret
    assert spool.live_key(live.recording_id).stat().st_mode & 0o777 == 0o600
    live.close()


def test_no_plain_sample_is_in_the_spool(spool, tmp_path):
    live, pcm = opened(spool), stereo(*voices(16_000))

    live.append(pcm)

    left = everything_under(tmp_path / "spool")
    assert not any(pcm[at : at + 32] in left for at in range(0, len(pcm), 512))
    live.close()


def test_room_is_reserved_for_the_spool_and_for_the_sealed_object(spool):
    live = opened(spool)

    for file in (live.folder / SPOOL_FILE, live.folder / "sealed" / AUDIO_FILE):
        assert file.stat().st_blocks * 512 >= 2 * BYTES_PER_SECOND
    assert (live.folder / "sealed" / AUDIO_FILE).stat().st_size == 0
    live.close()


def test_the_reservation_goes_ahead_of_the_recording(spool):
    live, second = opened(spool), bytes(32_000)

    for _ in range(5):
        live.append(second)

    assert (live.folder / SPOOL_FILE).stat().st_blocks * 512 >= 6 * BYTES_PER_SECOND
    live.close()


def no_more_room(descriptor, offset, length):
    raise Unavailable("No space left on device")


def test_a_full_disk_ends_the_recording_only_when_the_reserved_room_is_used_up(spool, monkeypatch):
    live, second = opened(spool), bytes(32_000)
    monkeypatch.setattr(segment, "reserve", no_more_room)

    live.append(second)
    live.append(second)
    with pytest.raises(Unavailable):
        live.append(second)
    with pytest.raises(Unavailable, match="No space"):
        live.append(b"\0" * 4)

    sealed = seal(spool, live, ENDING)
    assert sealed.samples == 16_000


def test_no_room_at_the_start_leaves_nothing_behind(spool, tmp_path, monkeypatch):
    monkeypatch.setattr(segment, "reserve", no_more_room)

    with pytest.raises(Unavailable):
        opened(spool)

    assert list((tmp_path / "spool" / "tmp").iterdir()) == []
    assert list((tmp_path / "run" / "live").iterdir()) == []
    monkeypatch.undo()
    opened(spool).close()


def test_a_file_system_that_cannot_reserve_is_used_without(spool, monkeypatch):
    monkeypatch.setattr(segment, "reserve", lambda *args: False)
    live = opened(spool)

    live.append(bytes(400_000))

    assert seal(spool, live, ENDING).samples == 100_000


def test_room_is_promised_only_where_it_is(spool, monkeypatch):
    spool.reserve(1)
    state = os.statvfs(spool.folder)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=1000, f_frsize=state.f_frsize))

    with pytest.raises(Unavailable, match="room"):
        spool.reserve(600)


def test_a_spool_that_is_gone_is_unavailable(spool, tmp_path):
    (tmp_path / "spool").rename(tmp_path / "elsewhere")

    for ask in (spool.reserve, spool.ready_ids, lambda: Spool(tmp_path / "spool", tmp_path / "run")):
        with pytest.raises(Unavailable):
            ask()


def test_a_recording_id_is_used_once(spool):
    live = opened(spool)
    live.append(bytes(4000))

    with pytest.raises(Unavailable, match="already"):
        opened(spool)
    seal(spool, live, ENDING)
    with pytest.raises(Unavailable, match="already"):
        opened(spool)


def test_blocks_are_reserved_without_changing_the_length(tmp_path):
    with (tmp_path / "file").open("w+b") as file:
        assert blocks.reserve(file.fileno(), 0, 1_000_000)

        state = os.fstat(file.fileno())
        assert (state.st_size, state.st_blocks * 512 >= 1_000_000) == (0, True)


def test_blocks_that_were_read_are_given_back_and_the_length_stays(tmp_path):
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"x" * 100_000)
        file.flush()
        assert blocks.give_back(file.fileno(), 4096, 4096 * 20)

        state = os.fstat(file.fileno())
        assert (state.st_size, state.st_blocks * 512 <= 100_000 - 4096 * 15) == (100_000, True)
        assert os.pread(file.fileno(), 4, 4096) == bytes(4)


def test_a_sealed_recording_gives_back_what_was_reserved_for_it(spool):
    live = opened(spool)
    live.append(bytes(32_000))

    sealed = seal(spool, live, ENDING)

    assert (sealed.folder / AUDIO_FILE).stat().st_blocks * 512 < BYTES_PER_SECOND


def test_blocks_that_cannot_be_had_are_unavailable_and_say_why(tmp_path):
    with (tmp_path / "file").open("w+b") as file, pytest.raises(Unavailable) as raised:
        blocks.reserve(file.fileno(), 0, 2**60)

    assert os.strerror(errno.EFBIG) in str(raised.value) or "space" in str(raised.value)


class Live:
    def __init__(self, synced):
        self.synced = synced

    def sync(self):
        self.synced.append(self)


def test_live_files_are_synced_in_turn_each_within_the_period():
    thread, synced = SyncThread(every_s=5.0), []
    assert thread.pause_s() == 5.0
    files = [Live(synced) for _ in range(3)]
    for file in files:
        thread.add(file)

    for _ in range(6):
        thread.sync_next()

    assert synced == files * 2
    assert thread.pause_s() == pytest.approx(5 / 3)


def test_a_dropped_file_is_synced_no_more():
    thread, synced = SyncThread(every_s=5.0), []
    first, second = Live(synced), Live(synced)
    thread.add(first)
    thread.add(second)
    thread.drop(first)
    thread.drop(first)

    thread.sync_next()
    thread.sync_next()

    assert synced == [second, second]


def test_the_sync_thread_reaches_a_live_segment(tmp_path, monkeypatch):
    spool = a_spool(tmp_path, sync_every_s=0.01)
    live, reached = opened(spool), threading.Event()
    monkeypatch.setattr(live._file, "sync", reached.set)
    spool.start()

    assert reached.wait(10)

    spool.close()
    spool.close()
    live.close()


def test_a_failing_sync_fails_the_segment_for_its_next_writer(spool, monkeypatch):
    live = opened(spool)
    live.append(bytes(4000))

    def fails():
        raise Unavailable("Input/output error")

    monkeypatch.setattr(live._file, "sync", fails)
    spool._syncing.sync_next()

    with pytest.raises(Unavailable, match="Input/output"):
        live.append(bytes(4000))
    assert seal(spool, live, ENDING).samples == 1000
