"""A caller withdraws, or somebody looks at what was suspended: given / when / then, and every way to widen refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from callrec import places
from callrec._canonical import parse, sha256_hex
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import bench
from callrec.core.kinds import Kind
from callrec.disposal.lists import drawn_for_withdrawal
from callrec.errors import ConfigError, Refused
from tests.cli import house
from tests.ledger.world import entry


def just_now(hours=0):
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture
def ended(office, monkeypatch):
    """Recordings of this house end when they begin: so many hours ago."""

    def recorded(*purposes, hours=0):
        when = just_now(hours)
        real = house.Ending
        monkeypatch.setattr(house, "Ending", lambda **words: real(**{**words, "ended_utc": when}))
        return office.record(purposes=purposes, started=when)

    return recorded


def refused(error, words):
    assert isinstance(error, Refused), error
    assert words in str(error)


def test_a_withdrawal_quarantines_at_once_and_secondary_use_is_gone_for_good(office, ended):
    name = ended("audit", "medico-legal", "training")

    said = office.run("records", "withdraw", name, "--reason", "phoned-back")

    assert "quarantined" in said
    assert "still kept for medico-legal" in said
    for who, purpose in (("claims", "medico-legal"), ("checker", "audit")):
        error = office.run(who, "export", name, "--purpose", purpose, "-o", office.folder / "out.flac")
        assert isinstance(error, Refused), error
    assert [one.body["why"] for one in office.entries(Kind.ACCESS_DENIED)] == [
        "the caller withdrew it, and it is quarantined until that is decided",
        "no longer tagged audit",
    ]
    (withdrawn,) = office.entries(Kind.WITHDRAWN)
    assert (withdrawn.body["by"], withdrawn.body["in_window"], withdrawn.body["list_sha256"]) == ("caller", True, "")
    assert office.verified().sound


def test_what_is_kept_for_nothing_else_is_destroyed_on_the_callers_word_and_certified(office, ended):
    name, other = ended("audit", "training"), ended("medico-legal")
    said = office.run("records", "withdraw", name, "--reason", "phoned-back")
    (file,) = (places.disposal_dir(office.config) / "lists").iterdir()
    assert str(file) in said

    done = office.run("root", "dispose", file, "--execute")

    assert "Destroyed and certified: 1 recordings." in done
    assert office.audio() == office.keys() == {other}
    (path,) = (places.disposal_dir(office.config) / "certificates").iterdir()
    certificate = parse(path.read_bytes())
    assert [item["rule"] for item in certificate["items"]] == ["WITHDRAWN"]
    assert (certificate["proposer"], certificate["approver"]) == ("caller", "caller")
    found = office.verified()
    assert (found.findings, found.open) == ((), ())


def test_a_legal_hold_stands_before_a_withdrawal(office, ended):
    name = ended("audit")
    office.run("claims", "hold", name, "--kind", "claim", "--reason", "CLM-1")
    office.run("records", "withdraw", name, "--reason", "phoned-back")
    (file,) = (places.disposal_dir(office.config) / "lists").iterdir()

    refused(office.run("root", "dispose", file, "--execute"), "the hold")
    assert office.keys() == {name}


def test_after_the_window_two_persons_must_agree_to_destroy(office, ended):
    name = ended("audit", hours=25)
    office.run("records", "withdraw", name, "--reason", "letter-7")

    assert office.entries(Kind.WITHDRAWN)[0].body["in_window"] is False
    assert not (places.disposal_dir(office.config) / "lists").exists()
    file = office.agreed()
    assert "Destroyed and certified: 1 recordings." in office.run("root", "dispose", file, "--execute")
    assert office.verified().sound


def test_a_record_of_advice_is_kept_or_erased_by_somebody_who_answers_for_it(office, ended):
    keep, erase = ended("medico-legal"), ended("medico-legal")
    for name in (keep, erase):
        office.run("records", "withdraw", name, "--reason", "phoned-back")

    refused(office.run("records", "tag", keep, "--restore", "medico-legal", "--reason", "claim"), "may not")
    refused(office.run("checker", "tag", erase, "--remove", "medico-legal", "--reason", "asked"), "may not")
    assert "again" in office.run("guardian", "tag", keep, "--restore", "medico-legal", "--reason", "art-17-3-b")
    assert "due for disposal" in office.run("guardian", "tag", erase, "--remove", "medico-legal", "--reason", "asked")

    shown = json.loads(office.run("claims", "tag", keep, "--json"))
    assert shown["usable_for"] == ["medico-legal"]
    assert [one["change"] for one in shown["history"]] == ["recorded for", "withdrawn", "restored"]
    assert "Destroyed" in office.run("root", "dispose", office.agreed(), "--execute")
    assert office.keys() == {keep}


def test_a_purpose_that_was_taken_away_never_comes_back(office, ended):
    name = ended("audit", "medico-legal")
    office.run("checker", "tag", name, "--remove", "audit", "--reason", "sample-closed")

    for way in ("--restore", "--add"):
        refused(office.run("guardian", "tag", name, way, "audit", "--reason", "wanted"), "denied")
    refused(office.run("guardian", "tag", name, "--add", "training"), "no command adds a purpose")
    refused(
        office.run("guardian", "tag", name, "--add", "marketing"), "a caller asking for advice is never an audience"
    )

    denied = office.entries(Kind.ACCESS_DENIED)
    assert [one.body["action"] for one in denied] == ["widen"] * 4
    assert [one.body["purpose"] for one in denied] == ["audit", "audit", "training", "marketing"]
    assert json.loads(office.run("claims", "tag", name, "--json"))["usable_for"] == ["medico-legal"]


def test_what_was_suspended_is_used_again_only_after_a_review(office, ended):
    name = ended("audit", "medico-legal")
    uid = name.rpartition("-")[0]
    held = {"change": "suspended", "purposes": ["audit"], "recording_id": name, "source": "staff", "why": "stopped"}
    ledger = office.ledger()
    ledger.append_blocking(entry(Kind.TAG_CHANGED, uid, **held))
    ledger.close()

    refused(office.run("checker", "export", name, "--purpose", "audit", "-o", office.folder / "a.flac"), "suspended")
    refused(office.run("records", "tag", name, "--restore", "audit", "--reason", "seen"), "may not")
    assert "again" in office.run("claims", "tag", name, "--restore", "audit", "--reason", "seen")
    assert json.loads(office.run("claims", "tag", name, "--json"))["usable_for"] == ["audit", "medico-legal"]


def test_one_thing_at_a_time_and_why(office, ended):
    name = ended("audit")

    assert isinstance(office.run("claims", "tag", name, "--remove", "audit"), ConfigError)
    both = ("--remove", "audit", "--restore", "audit", "--reason", "x")
    assert isinstance(office.run("claims", "tag", name, *both), ConfigError)
    office.run("records", "withdraw", name, "--reason", "phoned-back")
    refused(office.run("records", "withdraw", name, "--reason", "phoned-back"), "withdrawn already")


def test_a_withdrawal_cannot_agree_to_destroy_what_is_still_kept(office, ended):
    name, file = ended("medico-legal"), office.folder / "list.json"
    uid = name.rpartition("-")[0]
    here = bench(Desk(office.config_path))
    data = drawn_for_withdrawal(here, here.register.standings[name]).to_bytes()
    file.write_bytes(data)
    ledger = office.ledger()
    ledger.append_blocking(
        entry(Kind.WITHDRAWN, uid, recording_id=name, by="caller", why="x", list_sha256=sha256_hex(data))
    )
    ledger.close()

    refused(office.run("root", "dispose", file, "--execute"), "never proposed here")
    assert office.keys() == {name}
