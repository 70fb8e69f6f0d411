"""`callrec recordings`: what is kept is found and told in honest words; opening it is told to the ledger first."""

import io
import json
import stat
import subprocess
import wave

import numpy as np
import pytest
import soundfile

from callrec import places
from callrec._canonical import sha256_hex
from callrec.cli import recording_access
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.ledger.log import SqlLedger
from callrec.recording.audio import decode_flac
from tests.cli.house import NEXT_HOP, SAMPLES, voices

ACCESS = (Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED, Kind.EXPORT_MADE)


def said(result):
    """What a command printed that came to a good end."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 0, result.output
    return result.output


def refused(result, kind):
    """The error a command ended in."""
    assert isinstance(result.exception, kind), (result.exception, result.output)
    return result.exception.diagnosis()


# ---------------------------------------------------------------- list


def test_the_list_shows_what_is_kept_newest_first(house):
    old = house.record(started="2026-03-01T10:00:00.000Z")
    new = house.record(started="2026-03-02T10:00:00.000Z")

    lines = said(house.callrec("recordings", "list")).splitlines()

    assert lines[0].split() == ["recording", "started", "seconds", "line", "state", "purposes", "due"]
    assert [line.split()[0] for line in lines[1:]] == [new, old]
    assert "2.0      advice  kept   audit, medico-legal  2034-03-01" in lines[1]


def test_the_list_is_chosen_by_time_line_and_state(house):
    old = house.record(started="2026-03-01T10:00:00.000Z")
    new = house.record(started="2026-03-02T10:00:00.000Z")

    def ids(*options):
        return [
            row["recording_id"] for row in json.loads(said(house.callrec("recordings", "list", "--json", *options)))
        ]

    assert ids() == [new, old]
    assert ids("--from", "2026-03-02") == ids("--from", "2026-03-01T10:01Z") == [new]
    assert ids("--to", "2026-03-02") == ids("--to", "2026-03-02T10:00") == [old]
    assert ids("--line", "other") == ids("--state", "lost") == []
    assert ids("--line", "advice", "--state", "kept") == [new, old]


def test_what_waits_for_the_store_is_listed_as_sealed(house):
    waiting = house.record(keep=False)
    kept = house.record()

    rows = json.loads(said(house.callrec("recordings", "list", "--json")))

    assert {row["recording_id"]: row["state"] for row in rows} == {waiting: "sealed", kept: "kept"}


def test_a_list_cut_short_says_so(house):
    for _ in range(2):
        house.record()

    result = house.callrec("recordings", "list", "--limit", "1")

    assert len(result.stdout.splitlines()) == 2
    assert "the newest 1; there are more" in result.stderr


@pytest.mark.parametrize("damage", ["gone", "no database"])
def test_without_its_index_the_list_is_read_from_the_store_itself(house, damage):
    recording = house.record()
    index = places.index_database(house.config)
    for file in index.parent.glob(f"{index.name}*"):
        file.unlink()
    if damage == "no database":
        index.write_bytes(b"nothing that SQLite knows" * 100)

    (row,) = json.loads(said(house.callrec("recordings", "list", "--json")))

    assert (row["recording_id"], row["state"]) == (recording, "kept")
    assert index.exists() == (damage == "no database")


def test_an_empty_house_has_no_recordings(house):
    assert said(house.callrec("recordings", "list")) == "There are no such recordings.\n"
    assert json.loads(said(house.callrec("recordings", "list", "--json"))) == []


@pytest.mark.parametrize("given", ["yesterday", "2026-02-30", "2026-03-01T10:00+02:00", "\x1b[2J"])
def test_a_date_that_is_none_is_a_mistake(house, given):
    told = refused(house.callrec("recordings", "list", "--from", given), ConfigError)

    assert "--from: " in told
    assert "\x1b" not in told


# ---------------------------------------------------------------- show


def test_a_recording_is_shown_with_what_was_proven_and_how_far_that_reaches(house):
    recording = house.record()

    shown = said(house.callrec("recordings", "show", recording))

    assert f"notice played: proven (sent to the next hop {NEXT_HOP})" in shown
    assert "proof ends at: pbx, as configured" in shown
    assert "tap:           player, an evaluation grade" in shown
    assert "prompt:        advice-line version 1, en" in shown
    assert "judged again, the same verdict" in shown
    assert "gaps:          1.0 s to 1.5 s (hold)" in shown
    assert "retention:     rule ML-A version 1, from 2026-03-01, due 2034-03-01" in shown
    assert "stopped:       at the end of the call, by caller" in shown
    assert "state:         kept in filesystem:" in shown
    assert "recording.started: for audit, medico-legal" in shown
    assert "Not shown: that a person heard" in shown
    for never in ("delivered", "informed", "CONTRADICTION"):
        assert never not in shown


def test_an_entry_that_says_the_wire_is_called_so_and_held_against_its_evidence(house):
    shown = house.callrec("recordings", "show", house.record(tap="wire")).output

    assert "was measured at the player, not as the entry says" in shown
    assert "tap:           wire: the packets that were handed to the socket" in shown
    assert "evaluation" not in shown


def test_a_recording_is_shown_to_programs(house):
    recording = house.record()

    value = json.loads(said(house.callrec("recordings", "show", "--json", recording[:9])))

    assert value["recording_id"] == value["manifest"]["recording_id"] == recording
    assert value["notice_played"] == [f"proven (sent to the next hop {NEXT_HOP})"]
    assert value["evidence"][0]["judged_again"]["verdict"] == "granted"
    assert value["contradictions"] == []
    assert value["entries"][0]["kind"] == "call.offered"


def test_a_recording_that_waits_for_the_store_is_shown(house):
    shown = said(house.callrec("recordings", "show", house.record(keep=False)))

    assert "state:         sealed\n" in shown


def test_evidence_that_was_exchanged_contradicts(house):
    recording = house.record()
    (evidence,) = places.evidence_dir(house.config).iterdir()
    evidence.write_bytes(evidence.read_bytes().replace(b'"complete":true', b'"complete":false'))

    result = house.callrec("recordings", "show", recording)

    assert result.exit_code == 30
    assert "CONTRADICTION: the evidence" in result.output


def test_a_manifest_that_was_exchanged_contradicts_and_is_never_opened(house):
    recording = house.record()
    (manifest,) = house.config.store.path.glob("objects/*/*/manifest.json")
    manifest.chmod(0o600)
    manifest.write_bytes(manifest.read_bytes().replace(b'["audit","medico-legal"]', b'["audit","training"]'))

    result = house.callrec("recordings", "show", recording)
    told = refused(house.callrec("recordings", "play", recording, "--purpose", "training"), Broken)

    assert result.exit_code == 30
    assert "CONTRADICTION: its manifest is not the one in the ledger" in result.output
    assert "its manifest is not the one in the ledger" in told
    assert house.entries(*ACCESS) == []


def test_an_id_may_be_shortened_until_it_is_ambiguous(house):
    ids = [house.record() for _ in range(17)]  # of seventeen, two begin alike
    first = next(a for a in ids if sum(b[0] == a[0] for b in ids) > 1)

    assert f"recording:     {first}" in said(house.callrec("recordings", "show", first[:20]))
    told = refused(house.callrec("recordings", "show", first[0]), ConfigError)
    assert f"recordings begin with '{first[0]}'" in told
    assert "give more of the id" in told


@pytest.mark.parametrize("given", ["ffff-none", "", "../../etc", "\x1b]0;evil\x07"])
def test_an_id_that_nobody_has_is_a_mistake(house, given):
    house.record()

    told = refused(house.callrec("recordings", "show", given), ConfigError)

    assert told.replace("\n", "").isprintable()
    assert "callrec recordings list" in told


# ---------------------------------------------------------------- open


def test_an_export_is_the_audio_that_was_recorded_and_its_sealed_manifest(house, tmp_path):
    recording = house.record()
    out = tmp_path / "call.flac"

    printed = said(house.callrec("recordings", "export", recording, "-o", out, "--purpose", "audit"))

    assert b"".join(decode_flac(out.read_bytes())) == voices()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    (sealed,) = house.entries(Kind.RECORDING_SEALED)
    assert sha256_hex((tmp_path / "call.flac.manifest.json").read_bytes()) == sealed.body["manifest_sha256"]
    assert sha256_hex(out.read_bytes()) == sealed.body["flac_sha256"]
    assert sealed.body["flac_sha256"] in printed
    assert house.verified().sound


def test_an_export_as_wav_has_the_caller_left_and_the_staff_right(house, tmp_path):
    out = tmp_path / "call.wav"
    said(house.callrec("recordings", "export", house.record(), "-o", out, "--purpose", "audit", "--format", "wav"))

    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 8000, SAMPLES)
        heard = np.frombuffer(file.readframes(SAMPLES), "<i2").reshape(-1, 2)
    assert np.array_equal(heard, np.frombuffer(voices(), "<i2").reshape(-1, 2))


def test_who_exported_what_for_what_stands_in_the_ledger(house, tmp_path):
    recording = house.record()
    out = tmp_path / "call.flac"
    said(house.callrec("recordings", "export", recording, "-o", out, "--purpose", "audit"))

    granted, made = house.entries(*ACCESS)

    assert (granted.kind, made.kind) == ("access.granted", "export.made")
    assert granted.body == {
        "recording_id": recording,
        "purpose": "audit",
        "person": granted.actor,
        "action": "export",
    }
    assert granted.actor.startswith("os:")
    assert granted.call_uid == made.call_uid == recording.partition("-")[0]
    assert (made.body["form"], made.body["sha256"]) == ("flac", sha256_hex(out.read_bytes()))
    assert "export by os:" in said(house.callrec("recordings", "show", recording))


def test_the_ledger_is_told_before_the_audio_is_opened(house, tmp_path, monkeypatch):
    recording, order = house.record(), []
    opening, append = recording_access.open_recording, SqlLedger.append_blocking

    def opens(*args, **options):
        order.append("opened")
        return opening(*args, **options)

    def appends(ledger, entry, **options):
        receipt = append(ledger, entry, **options)
        order.append(entry.kind.value)
        return receipt

    monkeypatch.setattr(recording_access, "open_recording", opens)
    monkeypatch.setattr(SqlLedger, "append_blocking", appends)
    said(house.callrec("recordings", "export", recording, "-o", tmp_path / "x.flac", "--purpose", "audit"))

    assert order == ["access.granted", "opened", "export.made"]


@pytest.mark.parametrize("failing", ["access.granted", "export.made"])
def test_where_the_ledger_cannot_be_told_no_copy_is_left(house, tmp_path, monkeypatch, failing):
    recording, append = house.record(), SqlLedger.append_blocking

    def fails(ledger, entry, **options):
        if entry.kind.value == failing:
            raise Unavailable("the ledger's disk is full")
        return append(ledger, entry, **options)

    monkeypatch.setattr(SqlLedger, "append_blocking", fails)
    out = tmp_path / "out"
    out.mkdir()
    refused(house.callrec("recordings", "export", recording, "-o", out / "x.flac", "--purpose", "audit"), Unavailable)

    assert list(out.iterdir()) == []


@pytest.mark.parametrize("action", ["play", "export"])
def test_a_purpose_it_was_not_recorded_for_is_denied_and_the_denial_is_kept(house, tmp_path, action):
    recording = house.record(purposes=["audit", "medico-legal"])
    options = ["-o", tmp_path / "x.flac"] if action == "export" else []

    result = house.callrec("recordings", action, recording, *options, "--purpose", "training")

    assert "not recorded for training" in refused(result, Refused)
    assert result.exception.exit_code == 10
    (denied,) = house.entries(*ACCESS)
    assert denied.kind == "access.denied"
    assert denied.body["purpose"] == "training"
    assert denied.body["why"] == "not recorded for training"
    assert not (tmp_path / "x.flac").exists()


@pytest.mark.parametrize("name", ["x.flac", "x.flac.manifest.json"])
def test_an_export_never_overwrites(house, tmp_path, name):
    recording = house.record()
    (tmp_path / name).write_text("mine")

    told = refused(
        house.callrec("recordings", "export", recording, "-o", tmp_path / "x.flac", "--purpose", "audit"), Refused
    )

    assert "is never overwritten" in told
    assert (tmp_path / name).read_text() == "mine"
    assert house.entries(*ACCESS) == []


def test_without_the_keepers_key_nothing_is_opened(house, tmp_path):
    recording = house.record()
    private = places.key_file(house.config, "keeper").with_suffix(".key")
    private.rename(tmp_path / "elsewhere.key")
    command = ("recordings", "export", recording, "-o", tmp_path / "x.flac", "--purpose", "audit")

    told = refused(house.callrec(*command), ConfigError)

    assert f"the keeper's private key {private} is not there" in told
    assert "--key FILE" in told
    assert house.entries(*ACCESS) == []
    said(house.callrec(*command, "--key", tmp_path / "elsewhere.key"))


def test_a_keepers_key_that_others_can_read_is_not_used(house, tmp_path):
    recording = house.record()
    places.key_file(house.config, "keeper").with_suffix(".key").chmod(0o440)

    told = refused(
        house.callrec("recordings", "export", recording, "-o", tmp_path / "x.flac", "--purpose", "audit"), ConfigError
    )

    assert "can be read by others than its owner" in told
    assert house.entries(*ACCESS) == []


def test_audio_that_was_changed_in_the_store_is_not_handed_out(house, tmp_path):
    recording = house.record()
    (audio,) = house.config.store.path.glob("objects/*/*/audio.enc")
    audio.chmod(0o600)
    audio.write_bytes(audio.read_bytes()[:-1] + b"\0")

    refused(house.callrec("recordings", "export", recording, "-o", tmp_path / "x.flac", "--purpose", "audit"), Broken)

    assert not (tmp_path / "x.flac").exists()


def test_two_objects_that_were_exchanged_as_a_whole_are_opened_for_nobody_and_found(house, tmp_path):
    one, other = house.record(), house.record()
    places = {path.name: path for path in house.config.store.path.glob("objects/*/*")}
    aside = tmp_path / "aside"
    places[one].rename(aside)
    places[other].rename(places[one])
    aside.rename(places[other])

    for name in (one, other):
        out = ("-o", tmp_path / "x.flac", "--purpose", "audit")
        told = refused(house.callrec("recordings", "export", name, *out), Broken)
        assert "its manifest is not the one in the ledger" in told
        assert "audit verify" in told
    assert house.callrec("audit", "verify").exit_code == 30
    assert not (tmp_path / "x.flac").exists()


def test_a_wrapped_key_that_is_gone_is_named_with_where_it_may_be_had_and_nothing_is_touched(house, tmp_path):
    recording = house.record()
    (key,) = house.config.store.keys.glob("*/*.key")
    key.rename(tmp_path / "in the backup")
    out = ("-o", tmp_path / "x.flac", "--purpose", "audit")

    told = refused(house.callrec("recordings", "export", recording, *out), Unavailable)

    assert f"the wrapped key of {recording} is not in" in told
    assert "backup of wrapped keys" in told
    (tmp_path / "in the backup").rename(key)
    assert house.callrec("recordings", "export", recording, *out).exit_code == 0


def test_a_recording_that_waits_for_the_store_cannot_be_opened_yet(house):
    told = refused(house.callrec("recordings", "play", house.record(keep=False), "--purpose", "audit"), Unavailable)

    assert "waits in the spool for the store" in told


# ---------------------------------------------------------------- play


@pytest.fixture
def player(tmp_path, monkeypatch):
    """A player that keeps what it was given; nothing else is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "aplay"
    program.write_text(f'#!/bin/sh\n/bin/cat > {tmp_path}/heard.wav\nexit "$(/bin/cat {tmp_path}/exits)"\n')
    program.chmod(0o755)
    (tmp_path / "exits").write_text("0")
    monkeypatch.setenv("PATH", str(folder))
    return program


def test_playing_gives_the_audio_to_the_player_without_a_file(house, tmp_path, player):
    recording = house.record()

    said(house.callrec("recordings", "play", recording, "--purpose", "audit"))

    with wave.open(io.BytesIO((tmp_path / "heard.wav").read_bytes())) as file:
        assert file.readframes(SAMPLES) == voices()
    (granted,) = house.entries(*ACCESS)
    assert (granted.kind, granted.body["action"]) == ("access.granted", "play")


def test_a_player_that_fails_is_told(house, tmp_path, player):
    (tmp_path / "exits").write_text("3")

    assert "aplay could not play it" in refused(
        house.callrec("recordings", "play", house.record(), "--purpose", "audit"), Unavailable
    )


def test_without_a_player_the_way_to_export_is_told_and_nothing_was_opened(house, player):
    recording = house.record()
    player.unlink()

    told = refused(house.callrec("recordings", "play", recording, "--purpose", "audit"), Unavailable)

    assert f"callrec recordings export {recording} -o FILE --format wav --purpose audit" in told
    assert house.entries(*ACCESS) == []


# ---------------------------------------------------------------- forms


@pytest.mark.parametrize("form", ["flac", "wav", "opus", "mp3"])
@pytest.mark.parametrize("mono", [(), ("--mixed",)])
def test_every_export_has_its_manifest_and_checksums_that_sha256sum_confirms(house, form, mono):
    recording = house.record()
    out = house.folder / f"export.{form}"

    said(house.callrec("recordings", "export", recording, "-o", out, "--purpose", "audit", "--format", form, *mono))

    done = subprocess.run(["sha256sum", "-c", f"{out.name}.sha256"], cwd=house.folder, capture_output=True, check=False)
    assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == 2
    (made,) = house.entries(Kind.EXPORT_MADE)
    assert (made.body["form"], made.body["sha256"]) == (form, sha256_hex(out.read_bytes()))
    assert soundfile.info(out).channels == (1 if mono else 2)


def test_a_form_that_nothing_here_makes_is_told_and_nothing_is_left(house, monkeypatch):
    recording = house.record()
    monkeypatch.setattr(soundfile, "check_format", lambda *_names: False)
    monkeypatch.setenv("PATH", str(house.folder))
    out = house.folder / "x.mp3"

    told = refused(
        house.callrec("recordings", "export", recording, "-o", out, "--purpose", "audit", "--format", "mp3"),
        Unavailable,
    )

    assert "nothing here makes mp3 files" in told
    assert "install ffmpeg" in told
    assert list(house.folder.glob("x.mp3*")) == []
