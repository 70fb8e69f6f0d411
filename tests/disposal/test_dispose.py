"""What is due is destroyed only by a list that two persons agreed to, and everybody can see that it was."""

import json

import pytest

from callrec import places
from callrec._canonical import canonical, parse, sha256_hex
from callrec.agent.clock import SystemClock
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Refused, Unavailable

DISPOSALS = (Kind.DISPOSAL_PROPOSED, Kind.DISPOSAL_APPROVED, Kind.DISPOSAL_DONE)


def test_what_two_persons_agreed_to_is_destroyed_and_certified(office):
    old, other, young = office.old(), office.old(), office.record()
    file = office.agreed()

    said = office.run("root", "dispose", file, "--execute")

    assert "Destroyed and certified: 2 recordings." in said
    assert office.audio() == office.keys() == {young}
    proposed, approved, *done = office.entries(*DISPOSALS)
    assert (proposed.body["person"], approved.body["person"]) == ("records", "guardian")
    assert proposed.body["list_sha256"] == sha256_hex(file.read_bytes())
    assert {entry.body["recording_id"] for entry in done} == {old, other}
    assert {f"{entry.call_uid}-{entry.segment}" for entry in done} == {old, other}
    result = office.verified()
    assert (result.findings, result.open) == ((), ())


def test_the_certificate_names_every_item_and_who_decided(office):
    old = office.old()
    file = office.agreed()
    office.run("root", "dispose", file, "--execute")

    (path,) = (places.disposal_dir(office.config) / "certificates").iterdir()
    certificate = parse(path.read_bytes())
    (sealed,) = office.entries(Kind.RECORDING_SEALED)
    (done,) = office.entries(Kind.DISPOSAL_DONE)

    assert canonical(certificate) == path.read_bytes()
    assert done.body["certificate_sha256"] == sha256_hex(path.read_bytes())
    assert (certificate["proposer"], certificate["approver"]) == ("records", "guardian")
    assert certificate["backups_gone_by"] > certificate["executed_utc"][:10]
    (item,) = certificate["items"]
    assert (item["recording_id"], item["rule"], item["trigger"], item["due"]) == (
        *(old, "ML-A"),
        *("2012-03-01", "2020-03-01"),
    )
    assert item["cipher_sha256"] == sealed.body["cipher_sha256"]
    (stone,) = office.config.store.path.glob("objects/*/*/tombstone.json")
    assert parse(stone.read_bytes())["done_leaf"] == done.leaf


def test_a_list_is_only_tried_out_unless_it_is_said_otherwise(office):
    old = office.old()
    file = office.agreed()

    said = office.run("root", "dispose", file)

    assert "Nothing was touched. 1 recordings would be destroyed." in said
    assert office.audio() == office.keys() == {old}
    assert office.entries(Kind.DISPOSAL_DONE) == []


def test_carrying_a_list_out_again_changes_nothing(office):
    office.old()
    file = office.agreed()
    first = office.run("root", "dispose", file, "--execute")
    kinds = office.kinds()

    assert office.run("root", "dispose", file, "--execute") == first
    assert office.kinds() == kinds


def test_what_was_disposed_of_is_listed_so_and_cannot_be_opened(office):
    old = office.old()
    office.run("root", "dispose", office.agreed(), "--execute")

    (row,) = json.loads(office.run("root", "list", "--json"))
    told = office.run("root", "play", old, "--purpose", "audit")

    assert (row["recording_id"], row["state"]) == (old, "disposed")
    assert isinstance(told, Unavailable)
    assert "was disposed of" in str(told)
    assert "disposal.done" in office.run("root", "show", old)
    assert "Nothing falls due" in office.run("root", "due")


# ---------------------------------------------------------------- two persons


def test_nobody_approves_their_own_list(office):
    office.old()
    file = office.folder / "list.json"
    office.run("guardian", "dispose", "--propose", file)

    told = office.run("guardian", "dispose", "--approve", file)

    assert isinstance(told, Refused)
    assert "nobody approves their own" in str(told)
    assert office.entries(Kind.DISPOSAL_APPROVED) == []


def test_another_name_for_the_same_account_does_not_make_two_persons(office):
    office.old()
    file = office.folder / "list.json"
    office.run("guardian", "dispose", "--propose", file)
    office.change("  guardian: {", "  second: {")

    assert "nobody approves their own" in str(office.run("guardian", "dispose", "--approve", file))


def test_an_account_that_two_persons_share_decides_nothing(office):
    office.old()
    office.change("  guardian: {", "  twin: {role: guardian, os_user: daemon}\n  guardian: {")

    told = office.run("guardian", "dispose", "--propose", office.folder / "list.json")

    assert isinstance(told, ConfigError)
    assert "share the account daemon" in str(told)


@pytest.mark.parametrize(("who", "why"), [("teacher", "may not propose"), ("checker", "may not"), ("nobody", "nobody")])
def test_a_person_without_the_right_proposes_nothing(office, who, why):
    office.old()

    told = office.run(who, "dispose", "--propose", office.folder / "list.json")

    assert isinstance(told, Refused)
    assert why in str(told)
    assert not (office.folder / "list.json").exists()


def test_the_environment_does_not_say_who_somebody_is(office, monkeypatch):
    office.old()
    for name in ("LOGNAME", "USER", "USERNAME", "LNAME"):
        monkeypatch.setenv(name, "daemon")

    assert isinstance(office.run("nobody", "dispose", "--propose", office.folder / "list.json"), Refused)


def test_a_list_that_nobody_approved_is_not_carried_out(office):
    old = office.old()
    file = office.folder / "list.json"
    office.run("records", "dispose", "--propose", file)

    told = office.run("root", "dispose", file, "--execute")

    assert "nobody approved this list" in str(told)
    assert "First another person" in office.run("root", "dispose", file)
    assert office.audio() == {old}


def test_a_list_that_was_changed_after_the_approval_is_not_carried_out(office):
    office.old()
    keep = office.old()
    file = office.agreed("--except", f"{keep}=wanted-longer")
    data = parse(file.read_bytes())
    data["items"][0]["recording_id"] = keep
    file.chmod(0o600)
    file.write_bytes(canonical(data))

    assert "the ledger knows no such list" in str(office.run("root", "dispose", file, "--execute"))
    assert len(office.audio()) == 2


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b'{"format":"callrec/disposal-list/1","items":3}', b"\xff\x00"])
def test_a_file_that_is_no_list_is_a_mistake(office, junk):
    (office.folder / "junk").write_bytes(junk)

    told = office.run("root", "dispose", office.folder / "junk", "--execute")

    assert isinstance(told, ConfigError)
    assert "no disposal list" in str(told)


# ---------------------------------------------------------------- what forbids it


def test_nothing_is_proposed_before_it_is_due(office):
    office.record()

    told = office.run("records", "dispose", "--propose", office.folder / "list.json")

    assert "nothing is due" in str(told)


def test_exceptions_are_taken_out_and_stand_on_the_list(office):
    old, keep = office.old(), office.old()
    file = office.agreed("--except", f"{keep}=appeal-expected")

    office.run("root", "dispose", file, "--execute")

    assert office.audio() == {keep}
    assert parse(file.read_bytes())["taken_out"] == [{"recording_id": keep, "why": "appeal-expected"}]
    assert old not in office.audio()


def test_a_rule_that_asks_for_a_review_is_not_followed_without_one(office):
    old = office.old(rule="ML-MH")
    file = office.folder / "list.json"

    assert "asks for a review" in str(office.run("records", "dispose", "--propose", file))
    office.agreed("--reviewed", f"{old}=no-longer-needed")
    office.run("root", "dispose", file, "--execute")

    assert office.audio() == set()


@pytest.mark.parametrize("rule", ["ML-U", "ML-C?"])
def test_what_was_never_classified_cannot_be_destroyed_even_after_a_review(office, rule):
    tasks = {"ML-U": ["classify the subject within 30 days"], "ML-C?": ["find the date of birth"]}[rule]
    old = office.old(rule=rule, action="review", tasks=tasks)
    file = office.folder / "list.json"

    told = office.run("records", "dispose", "--propose", file, "--reviewed", f"{old}=looked-at")

    assert f"before somebody did: {tasks[0]}" in str(told)


def test_a_rule_that_the_schedule_does_not_know_any_more_is_only_reviewed(office):
    office.old(rule="ML-OLD")

    assert "asks for a review" in str(office.run("records", "dispose", "--propose", office.folder / "list.json"))


def test_a_hold_after_the_approval_stops_the_whole_list(office):
    held, other = office.old(), office.old()
    file = office.agreed()
    office.run("checker", "hold", held, "--kind", "claim", "--reason", "CLM-1")

    told = office.run("root", "dispose", file, "--execute")

    assert isinstance(told, Refused)
    assert f"{held}: the hold" in str(told)
    assert office.audio() == office.keys() == {held, other}


def test_a_ledger_that_does_not_verify_disposes_of_nothing(office):
    old = office.old()
    file = office.agreed()
    office.tamper("UPDATE entries SET body = replace(body, 'guardian', 'guardiam') WHERE seq > 10")

    told = office.run("root", "dispose", file, "--execute")

    assert isinstance(told, Broken)
    assert "does not verify" in str(told)
    assert office.audio() == {old}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"state": "unsynchronised"}, "the clock is unsynchronised"),
        ({"utc": -86_400}, "behind the newest entry"),
        ({"utc": 86_400 * 3650}, "the clock jumped"),
        ({"boot": 3_600 * 10**9}, "the clock jumped"),
    ],
)
def test_a_clock_that_cannot_be_believed_disposes_of_nothing(office, monkeypatch, patch, said):
    from datetime import timedelta  # noqa: PLC0415 - beside its only use

    old = office.old()
    file = office.agreed()
    utc, boot = SystemClock.utc, SystemClock.boottime_ns
    monkeypatch.setattr(SystemClock, "utc", lambda clock: utc(clock) + timedelta(seconds=patch.get("utc", 0)))
    monkeypatch.setattr(SystemClock, "boottime_ns", lambda clock: boot(clock) + patch.get("boot", 0))
    monkeypatch.setattr(SystemClock, "state", lambda _clock: patch.get("state", "synchronised"))

    told = office.run("root", "dispose", file, "--execute")

    assert isinstance(told, Refused)
    assert said in str(told)
    assert office.audio() == office.keys() == {old}


def test_what_vanished_before_its_list_was_carried_out_is_never_certified(office):
    office.old()
    gone = office.old()
    file = office.agreed()
    (key,) = office.config.store.path.with_name("store-keys").glob(f"*/{gone}.key")
    key.unlink()

    told = office.run("root", "dispose", file, "--execute")

    assert isinstance(told, Broken)
    assert "gone from the store without a certificate" in str(told)
    assert len(office.audio()) == 2


def test_keys_whose_disk_is_away_are_not_taken_for_destroyed(office):
    office.old()
    file = office.agreed()
    keys = office.config.store.path.with_name("store-keys")
    keys.rename(office.folder / "unmounted")
    keys.mkdir()

    for words in ((file, "--execute"), (file,)):
        assert not isinstance(office.run("root", "dispose", *words), str)
    assert len(office.audio()) == 1
    assert office.entries(Kind.DISPOSAL_DONE) == []


# ---------------------------------------------------------------- what an auditor sees


def test_a_recording_that_vanished_without_a_list_is_a_contradiction(office):
    office.old()
    (audio,) = office.config.store.path.glob("objects/*/*/audio.enc")
    audio.unlink()

    assert "gone from the store without a certificate" in office.verified().findings[0].sentence


@pytest.mark.parametrize("damage", ["gone", "changed", "another's"])
def test_a_disposal_without_its_certificate_is_a_contradiction(office, damage):
    office.old()
    office.run("root", "dispose", office.agreed(), "--execute")
    (path,) = (places.disposal_dir(office.config) / "certificates").iterdir()
    path.chmod(0o600)
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data.replace(b"records", b"nobody!") if damage == "changed" else b"{}")

    assert "the certificate of" in office.verified().findings[0].sentence


def test_a_copy_that_a_crash_left_in_the_spool_goes_too(office):
    old = office.old()
    copy = office.config.spool.path / "done" / old
    copy.mkdir(parents=True)
    for name in ("audio.enc", "wrapped.key", "manifest.json"):
        (copy / name).write_bytes(b"left by a crash")

    office.run("root", "dispose", office.agreed(), "--execute")

    assert not copy.exists()
