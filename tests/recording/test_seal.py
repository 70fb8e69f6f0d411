"""Whatever happens between the first sample and the store: the recording is whole, or honestly truncated, or gone."""

import json

import pytest

from callrec._canonical import canonical, sha256_hex
from callrec._durable import write_file
from callrec.core.reasons import Reason
from callrec.errors import Broken, Unavailable
from callrec.ports import AUDIO_FILE, KEY_FILE, MANIFEST_FILE, DataKey
from callrec.recording.manifest import checked, read_sealed, sealed_body
from callrec.recording.open import open_sealed
from callrec.recording.salvage import Outcome, salvage, seal_parked
from callrec.recording.seal import discard, forget_discarded, seal
from callrec.recording.segment import SPOOL_FILE
from tests.recording.builders import (
    CALL,
    ENDING,
    FACTS,
    KEY,
    a_header,
    a_spool,
    everything_under,
    recorders,
    stereo,
    voices,
)
from tests.recording.dying import dies

ID = f"{CALL}-0"
SPOOLED, HEARD = 6000, 10_000
VOICES = voices(HEARD)
PCM = stereo(*VOICES)


@pytest.fixture
def spool(tmp_path):
    return a_spool(tmp_path)


def live(spool, *, samples=SPOOLED, in_memory=HEARD):
    """A segment with some audio in the spool, and more in the recorders' files."""
    segment = spool.open_segment(a_header(), KEY, FACTS)
    tape = recorders(spool, ID)
    tape.caller.hear(VOICES[0][: in_memory * 2])
    tape.staff.hear(VOICES[1][: in_memory * 2])
    tape.caller.close()
    tape.staff.close()
    for at in range(0, samples, 2000):
        segment.append(PCM[at * 4 : (at + 2000) * 4])
    return segment


def audio(sealed):
    return open_sealed(ID, sealed.manifest, (sealed.folder / AUDIO_FILE).read_bytes(), KEY).pcm


def nothing_live(spool):
    return not any(
        [
            spool.ids_in("tmp"),
            *(list((spool.runtime_dir / name).iterdir()) for name in ("live", "capture")),
        ]
    )


def test_a_sealed_recording_is_all_that_was_captured(spool):
    sealed = seal(spool, live(spool, samples=HEARD), ENDING)

    assert audio(sealed) == PCM
    assert sealed.pcm_sha256 == sha256_hex(PCM)
    assert sealed.folder == spool.ready(ID)
    assert {path.name for path in sealed.folder.iterdir()} == {AUDIO_FILE, MANIFEST_FILE, KEY_FILE}
    assert (sealed.folder / KEY_FILE).read_bytes() == KEY.wrapped
    assert nothing_live(spool)


def test_the_manifest_says_it_all(spool):
    segment = live(spool, samples=HEARD)
    segment.mark_gap(2000, "card")
    segment.mark_gap_end(3000)
    segment.mark_gap(9000, "hold")

    sealed = seal(spool, segment, ENDING)

    manifest = json.loads((sealed.folder / MANIFEST_FILE).read_bytes())
    assert manifest == sealed.manifest
    assert manifest["header"] == {
        "log_id": "a" * 64,
        "call_uid": CALL,
        "segment": 0,
        "key_id": KEY.key_id,
        "proven_leaf": "b" * 64,
        "started_leaf": "c" * 64,
    }
    assert manifest["gaps"] == [
        {"from_sample": 2000, "to_sample": 3000, "why": "card"},
        {"from_sample": 9000, "to_sample": HEARD, "why": "hold"},
    ]
    assert manifest["purposes"] == ["audit", "medico-legal"]
    assert (manifest["line"], manifest["notice"], manifest["retention"]) == ("advice", FACTS.notice, FACTS.retention)
    assert (manifest["started_utc"], manifest["ended_utc"]) == (FACTS.started_utc, ENDING.ended_utc)
    assert (manifest["truncated"], manifest["stopped_by"], manifest["samples"]) == (False, "caller", HEARD)
    assert manifest["wrapped_key_sha256"] == sha256_hex(KEY.wrapped)
    assert sealed.manifest_sha256 == sha256_hex(canonical(manifest))


def test_what_is_sealed_reads_back_the_same(spool):
    sealed = seal(spool, live(spool), ENDING)

    assert read_sealed(spool.ready(ID)) == sealed
    assert sealed_body(sealed)["manifest_sha256"] == sealed.manifest_sha256


def test_a_segment_without_a_sample_is_destroyed_not_sealed(spool):
    assert seal(spool, live(spool, samples=0, in_memory=0), ENDING) is None
    assert nothing_live(spool)
    assert spool.ready_ids() == ()
    assert spool.ids_in("discarded") == (ID,)


def test_a_spool_that_was_changed_is_sealed_up_to_there_and_called_truncated(spool):
    segment = live(spool, in_memory=0)
    spool.end(segment)
    path = segment.folder / SPOOL_FILE
    data = bytearray(path.read_bytes())
    data[-5000] ^= 1
    path.write_bytes(bytes(data))

    sealed = seal(spool, segment, ENDING)

    assert sealed.manifest["truncated"]
    assert audio(sealed) == PCM[: 4000 * 4]


def test_a_full_disk_at_the_seal_leaves_the_segment_to_be_sealed_again(spool, monkeypatch):
    segment = live(spool)

    def full(path, data, **options):
        raise Unavailable("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("callrec.recording.seal.write_new_folder", full)
        with pytest.raises(Unavailable):
            seal(spool, segment, ENDING)

    assert audio(seal(spool, segment, ENDING)) == PCM


def test_what_was_discarded_is_gone_and_the_ledger_is_owed_an_entry(spool, tmp_path):
    discard(spool, live(spool), Reason.CALLER_DECLINED)

    assert nothing_live(spool)
    assert spool.ready_ids() == ()
    left = everything_under(tmp_path)
    assert KEY.secret not in left
    assert KEY.wrapped.hex().encode() not in left
    (found,) = salvage(spool)
    assert (found.outcome, found.why, found.header) == (Outcome.DISCARDED, "CALLER_DECLINED", a_header())
    forget_discarded(spool, ID)
    assert salvage(spool) == ()


def test_a_full_disk_does_not_stop_a_decline(spool, monkeypatch):
    segment, tries = live(spool), []

    def full_until_freed(path, data, **options):
        tries.append(path)
        if spool.tmp(ID).exists():
            raise Unavailable("no space left")
        write_file(path, data, **options)

    monkeypatch.setattr("callrec.recording.seal.write_file", full_until_freed)
    discard(spool, segment, Reason.CALLER_DECLINED)

    assert len(tries) == 2
    assert nothing_live(spool)
    assert salvage(spool)[0].outcome is Outcome.DISCARDED


# ---------------------------------------------------------------- crashes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_of_the_seal_nothing_is_lost(tmp_path, after):
    for at in range(1, 200):
        (tmp_path / f"{at}").mkdir()
        spool = a_spool(tmp_path / f"{at}")
        segment = live(spool)

        lived = dies(lambda s=spool, g=segment: seal(s, g, ENDING), at, after=after)
        segment._file.close()
        again = a_spool(tmp_path / f"{at}")
        salvage(again)

        sealed = read_sealed(again.ready(ID))
        assert audio(sealed) == PCM, f"step {at}"
        assert nothing_live(again)
        assert again.ids_in("parked") == again.ids_in("discarded") == ()
        if lived:
            break
    else:
        pytest.fail("the work never came to its end")
    assert at > 10


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_step_of_a_discard_the_audio_never_comes_back(tmp_path, after):
    for at in range(1, 200):
        (tmp_path / f"{at}").mkdir()
        spool = a_spool(tmp_path / f"{at}")
        segment = live(spool)

        lived = dies(lambda s=spool, g=segment: discard(s, g, Reason.CALLER_DECLINED), at, after=after)
        segment._file.close()
        marked = (spool.folder / "discarded" / ID).exists()
        again = a_spool(tmp_path / f"{at}")
        (found,) = salvage(again)

        assert nothing_live(again)
        if marked:
            assert found.outcome is Outcome.DISCARDED
            assert again.ready_ids() == ()
            assert KEY.secret not in everything_under(tmp_path / f"{at}")
        else:
            assert found.outcome is Outcome.SEALED, "a decline that was not yet written down is a crash like others"
        if lived:
            break
    else:
        pytest.fail("the work never came to its end")
    assert at > 5


def test_killed_at_any_step_of_the_salvage_the_next_one_finishes(tmp_path):
    for at in range(1, 200):
        (tmp_path / f"{at}").mkdir()
        spool = a_spool(tmp_path / f"{at}")
        live(spool)._file.close()
        dead = a_spool(tmp_path / f"{at}")

        lived = dies(lambda s=dead: salvage(s), at, after=False)
        again = a_spool(tmp_path / f"{at}")
        salvage(again)

        assert audio(read_sealed(again.ready(ID))) == PCM, f"step {at}"
        assert nothing_live(again)
        if lived:
            break
    else:
        pytest.fail("the work never came to its end")
    assert at > 10


def crashed(spool, **options):
    """What a kill leaves: the segment's stream has no end."""
    live(spool, **options)._file.close()
    return a_spool(spool.folder.parent)


def test_a_crash_in_a_call_is_salvaged_to_the_last_sample_and_called_truncated(spool):
    (found,) = salvage(crashed(spool))

    assert found.outcome is Outcome.SEALED
    assert audio(found.sealed) == PCM
    manifest = found.sealed.manifest
    assert (manifest["truncated"], manifest["stopped_by"], manifest["stop_reason"]) == (True, "salvage", "AGENT_FAILED")
    assert manifest["ended_utc"] == "2026-03-01T10:00:01.250Z"


def test_a_crash_after_the_caller_declined_leaves_nothing_of_the_call(spool):
    after = crashed(spool)

    (found,) = salvage(after, declined={ID.rpartition("-")[0]})

    assert (found.outcome, found.why) == (Outcome.DISCARDED, "CALLER_DECLINED")
    assert after.ids_in("tmp") == after.ready_ids() == ()
    assert not after.live_key(ID).exists()


def test_salvage_twice_is_salvage_once(spool):
    after = crashed(spool)
    (found,) = salvage(after)

    assert salvage(after) == ()
    assert read_sealed(after.ready(ID)) == found.sealed


def test_a_torn_frame_is_taken_from_memory_instead(spool):
    after = crashed(spool)
    path = after.tmp(ID) / SPOOL_FILE
    path.write_bytes(path.read_bytes()[:-100])

    (found,) = salvage(after)

    assert audio(found.sealed) == PCM


@pytest.mark.parametrize("size", [0, 10])
def test_a_spool_torn_before_its_first_frame_gives_what_is_in_memory(spool, size):
    after = crashed(spool)
    path = after.tmp(ID) / SPOOL_FILE
    path.write_bytes(path.read_bytes()[:size])

    (found,) = salvage(after)

    assert audio(found.sealed) == PCM


def test_after_a_reboot_the_keeper_can_still_seal_it(spool):
    after = crashed(spool)
    after.live_key(ID).unlink()
    for path in (spool.runtime_dir / "capture").iterdir():
        path.unlink()

    (found,) = salvage(after)

    assert (found.outcome, found.header) == (Outcome.PARKED, a_header())
    assert after.ids_in("parked") == (ID,)
    assert salvage(after) == ()
    sealed = seal_parked(after, ID, KEY.secret)
    assert audio(sealed) == PCM[: SPOOLED * 4]
    assert sealed.manifest["truncated"]


def test_a_segment_that_was_never_written_is_lost_and_said(spool):
    (spool.folder / "tmp" / ID).mkdir()

    (found,) = salvage(spool)

    assert (found.recording_id, found.outcome) == (ID, Outcome.LOST)
    assert nothing_live(spool)


def test_plain_audio_and_keys_without_a_recording_are_swept_out_of_memory(spool):
    recorders(spool, "stray-0")
    spool.live_key("stray-0").write_bytes(KEY.secret)

    salvage(spool)

    assert nothing_live(spool)


def test_salvage_leaves_alone_what_is_live_here(spool):
    segment = live(spool)

    assert salvage(spool) == ()
    assert audio(seal(spool, segment, ENDING)) == PCM


def test_one_that_cannot_be_dealt_with_does_not_stop_the_others(spool, tmp_path):
    after = crashed(spool)
    damaged = spool.folder / "tmp" / "0-0"
    damaged.mkdir()
    (damaged / "segment.json").write_bytes(b"{}")

    found = {item.recording_id: item.outcome for item in salvage(after)}

    assert found == {ID: Outcome.SEALED, "0-0": Outcome.FAILED}
    assert damaged.exists()


def test_a_live_key_that_was_cut_is_failed_not_a_crash(spool):
    after = crashed(spool)
    after.live_key(ID).write_bytes(b"short")

    assert [item.outcome for item in salvage(after)] == [Outcome.FAILED]


def test_a_segment_moved_under_another_call_is_not_sealed(spool):
    after = crashed(spool)
    path = after.tmp(ID) / "segment.json"
    path.write_bytes(path.read_bytes().replace(b"bbbbbbbb", b"dddddddd"))

    assert [item.outcome for item in salvage(after)] == [Outcome.FAILED]


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": 1},
        {"samples": "10000"},
        {"pcm_sha256": "0" * 64},
        {"flac_sha256": "0" * 64},
        {"cipher_sha256": "0" * 64},
        {"recording_id": 5},
        {"header": {}},
        {"header": None},
    ],
)
def test_a_manifest_that_disagrees_with_its_audio_is_broken(spool, changes):
    sealed = seal(spool, live(spool), ENDING)
    cipher = (sealed.folder / AUDIO_FILE).read_bytes()

    with pytest.raises(Broken):
        open_sealed(ID, checked({**sealed.manifest, **changes}), cipher, KEY)


def test_audio_under_another_key_id_header_or_key_is_broken(spool):
    sealed = seal(spool, live(spool), ENDING)
    cipher = (sealed.folder / AUDIO_FILE).read_bytes()
    moved = {**sealed.manifest, "header": {**sealed.manifest["header"], "proven_leaf": "0" * 64}}

    with pytest.raises(Broken, match="key id"):
        open_sealed(ID, sealed.manifest, cipher, DataKey(key_id="x", secret=KEY.secret, wrapped=b""))
    with pytest.raises(Broken):
        open_sealed(ID, sealed.manifest, cipher, DataKey(key_id=KEY.key_id, secret=bytes(32), wrapped=b""))
    with pytest.raises(Broken, match="bound"):
        open_sealed(ID, moved, cipher, KEY)
    with pytest.raises(Broken, match="recording id"):
        open_sealed("other", sealed.manifest, cipher, KEY)
