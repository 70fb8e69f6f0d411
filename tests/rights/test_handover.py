"""Everything is handed over as it lies here: it verifies there, the next keeper alone opens it, and damage is found."""

import asyncio
import json

import pytest

from callrec.core.kinds import Kind
from callrec.errors import Broken, Refused
from callrec.ledger.reading import open_log
from callrec.recording.open import open_sealed
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.contacts import NAME, ContactOpener
from callrec.store.filesystem import FilesystemStore
from callrec.store.keys import create_keeper_keys, unwrap
from tests.cli.house import voices

CALLER = "sip:+441632960001@192.0.2.5"


@pytest.fixture
def next_keeper(tmp_path):
    (tmp_path / "next").mkdir()
    return create_keeper_keys(tmp_path / "next")


def exported(office, *words, who="guardian"):
    out = office.folder / "out"
    said = office.runs(who, "handover", "export", "-o", out, *words)
    assert isinstance(said, str), said
    return out


def check(office, folder, *words):
    return office.callrec("handover", "check", folder, *words, configured=False)


def opened_there(folder, recording, private):
    """The recording, by the next keeper, from what was handed over alone."""
    store = FilesystemStore(folder / "store", admission=UnsafeAdmitEverything())  # nothing is put there

    async def read():
        cipher = b"".join([piece async for piece in store.read(recording)])
        return cipher, await store.manifest(recording), await store.wrapped_key(recording)

    cipher, manifest, wrapped = asyncio.run(read())
    return open_sealed(recording, manifest, cipher, unwrap(wrapped, private)).pcm


def test_what_was_handed_over_verifies_there_and_opens_for_the_next_keeper_alone(office, next_keeper):
    recording = office.record(caller=CALLER)
    (ours,) = (path for path in office.folder.rglob("keeper.key") if path != next_keeper.private)

    out = exported(office, "--wrap-to", next_keeper.public)

    result = check(office, out, "--vkey", office.vkey())
    assert result.exit_code == 0, result.output
    assert "Every file is the one that was handed over." in result.output
    assert opened_there(out, recording, next_keeper.private) == voices()
    with pytest.raises(Refused, match="another keeper"):
        opened_there(out, recording, ours)


def test_the_next_keeper_finds_callers_as_well(office, next_keeper):
    uid = office.refuse(caller=CALLER)

    out = exported(office, "--wrap-to", next_keeper.public)

    opener = ContactOpener(lambda wrapped: unwrap(wrapped, next_keeper.private))
    with open_log(out / "ledger.db") as log:
        (offer,) = [entry for entry in log.of_call(uid) if entry.kind == "call.offered"]
        assert opener.opened(uid, log.salts(offer.seq)[NAME]).numbers == (CALLER,)


def test_without_another_key_the_wrappings_stay_as_they_are(office):
    recording = office.record()
    (key,) = office.config.store.path.with_name("store-keys").glob(f"*/{recording}.key")

    out = exported(office)

    assert (out / "store-keys" / key.parent.name / key.name).read_bytes() == key.read_bytes()
    assert (out / "retention.yaml").read_bytes() == office.config.retention.rules.read_bytes()
    (made,) = office.entries(Kind.EXPORT_MADE)
    assert (made.body["form"], made.body["recordings"]) == ("handover", 1)
    assert json.dumps(made.body["sha256"])
    assert office.verified().sound
    assert office.callrec("audit", "access").exit_code == 0


def _changed(out, recording):
    (audio,) = out.rglob("audio.enc")
    audio.chmod(0o600)
    audio.write_bytes(audio.read_bytes() + b"\0")


def _lost(out, recording):
    next(out.rglob("*.key")).unlink()


def _added(out, recording):
    (out / "evidence" / "more.json").write_bytes(b"{}")


def _cut_off(out, recording):
    (out / "SHA256SUMS").unlink()


@pytest.mark.parametrize("damage", [_changed, _lost, _added, _cut_off])
def test_whatever_does_not_arrive_whole_is_found(office, damage):
    recording = office.record()
    out = exported(office)

    damage(out, recording)

    result = check(office, out)
    assert isinstance(result.exception, Broken)


def test_a_folder_that_is_there_is_not_written_into_and_the_guardian_alone_hands_over(office):
    office.record()
    exported(office)

    assert isinstance(office.runs("guardian", "handover", "export", "-o", office.folder / "out"), Refused)
    for who in ("claims", "records", "checker"):
        assert isinstance(office.runs(who, "handover", "export", "-o", office.folder / f"{who}"), Refused)
        assert not (office.folder / who).exists()


# ---------------------------------------------------------------- once it was taken over


def acknowledged(office, out, *, who="guardian", name="leaves.json"):
    file = office.folder / name
    return file, office.runs(who, "handover", "acknowledged", out, "--receipt", "CONTRACT-END-7", "-o", file)


def states(office):
    return {row["recording_id"]: row["state"] for row in json.loads(office.run("checker", "list", "--json"))}


def test_what_was_taken_over_is_destroyed_here_by_two_persons_and_one_certificate_names_all_of_it(office, next_keeper):
    leaving = [office.record(), office.record()]
    out = exported(office, "--wrap-to", next_keeper.public)
    later = office.record()

    file, said = acknowledged(office, out)
    assert "Proposed: 2 recordings that were handed over, receipt CONTRACT-END-7." in said
    assert isinstance(office.run("guardian", "dispose", "--approve", file), Refused)
    assert isinstance(office.run("records", "dispose", file, "--execute"), Refused)
    assert office.audio() == {*leaving, later}
    assert "Approved: 2" in office.run("claims", "dispose", "--approve", file)
    assert "Nothing was touched. 2 recordings would be destroyed." in office.run("records", "dispose", file)
    assert "Destroyed and certified: 2 recordings." in office.run("records", "dispose", file, "--execute")

    assert office.audio() == office.keys() == {later}
    (certificate,) = (office.config.agent.data_dir / "disposal/certificates").iterdir()
    told = json.loads(certificate.read_bytes())
    assert {item["recording_id"] for item in told["items"]} == set(leaving)
    assert {(item["rule"], item["reviewed"]) for item in told["items"]} == {("HANDED_OVER", "CONTRACT-END-7")}
    assert (told["proposer"], told["approver"]) == ("guardian", "claims")
    assert states(office) == {**dict.fromkeys(leaving, "disposed"), later: "kept"}
    assert [entry.body["recording_id"] for entry in office.entries(Kind.DISPOSAL_DONE)] == sorted(leaving)
    assert office.verified().counts == {}
    assert office.callrec("audit", "disposals", "--prove").exit_code == 0
    assert opened_there(out, leaving[0], next_keeper.private) == voices()
    assert "Destroyed and certified: 2" in office.run("records", "dispose", file, "--execute"), "again is harmless"


def test_what_is_held_stays_here_and_a_hold_that_came_in_between_keeps_it_as_well(office):
    held, free = office.record(), office.record()
    out = exported(office)
    office.run("checker", "hold", held, "--kind", "claim", "--reason", "CLM-1")

    file, said = acknowledged(office, out)
    assert f"left here: {held}: the hold hold-" in said
    office.run("claims", "dispose", "--approve", file)
    office.run("checker", "hold", free, "--kind", "claim", "--reason", "CLM-2")

    assert "forbids it" in str(office.run("records", "dispose", file, "--execute"))
    assert office.audio() == office.keys() == {held, free}


def test_nothing_goes_for_a_hand_over_that_never_was_or_did_not_arrive_whole(office):
    office.record()
    out = exported(office)
    assert isinstance(acknowledged(office, out, who="claims")[1], Refused)
    (audio,) = out.rglob("audio.enc")
    audio.unlink()
    assert isinstance(acknowledged(office, out)[1], Broken)

    sums = out / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines() if "audio.enc" not in line]
    sums.chmod(0o600)
    sums.write_text("\n".join(kept) + "\n")

    file, said = acknowledged(office, out)
    assert "knows no hand-over with these sums" in str(said)
    assert not file.exists()
