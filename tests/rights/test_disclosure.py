"""What leaves outside its purpose: asked for by one person, agreed to by another, weighed anew and used once."""

import hashlib
import json
import zipfile

import pytest

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused
from callrec.ports import Entry
from callrec.recording.audio import decode_flac
from tests.cli.house import voices

CALLER = "sip:+441632960001@192.0.2.5"
TO = ("--to", "Coroner of Exampleshire", "--reason", "inquest 114 of 2026")
WEIGHED = ("--benefit", "b", "--harm", "h", "--content", "c", "--manner", "m", "--necessity", "n")


def asked(office, *recordings, basis="court-order", field="audio", who="claims", more=()):
    """A disclosure that was asked for: its id, or the error."""
    said = office.runs(who, "disclosure", "request", *recordings, "--basis", basis, "--field", field, *TO, *more)
    return said.split("disclosure ")[1].split(",")[0] if isinstance(said, str) else said


def agreed(office, *recordings, **more):
    name = asked(office, *recordings, **more)
    said = office.runs("guardian", "disclosure", "approve", name)
    assert "Agreed to" in str(said), said
    return name


def made(office, name, who="claims"):
    office.zips = getattr(office, "zips", 0) + 1
    out = office.folder / f"{office.zips}.zip"
    said = office.runs(who, "disclosure", "make", name, "-o", out)
    return zipfile.ZipFile(out) if isinstance(said, str) else said


def test_a_recording_leaves_for_a_court_once_two_persons_agreed_whatever_its_purposes(office):
    recording = office.record(purposes=("audit",), caller=CALLER)

    archive = made(office, agreed(office, recording))

    assert b"".join(decode_flac(archive.read(f"{recording}.flac"))) == voices()
    sums = archive.read("SHA256SUMS").decode().splitlines()
    assert sums == [f"{hashlib.sha256(archive.read(f'{recording}.flac')).hexdigest()}  {recording}.flac"]
    assert set(archive.namelist()) == {"SHA256SUMS", f"{recording}.flac"}
    (granted,) = office.entries(Kind.ACCESS_GRANTED)
    steps = office.entries(Kind.DISCLOSURE)
    assert (granted.body["purpose"], granted.body["action"]) == ("court-order", "disclosure")
    assert granted.body["disclosure_leaf"] == steps[1].leaf
    assert [(e.body["step"], e.body["person"]) for e in steps] == [
        ("requested", "claims"),
        ("approved", "guardian"),
        ("made", "claims"),
    ]
    assert steps[2].body["sha256"] == hashlib.sha256((office.folder / "1.zip").read_bytes()).hexdigest()
    assert office.verified().sound


def test_neither_recipient_nor_reason_stands_in_the_ledger(office):
    made(office, agreed(office, office.record()))

    ledger = office.config.ledger.database.read_bytes()

    assert b"Coroner" not in ledger
    assert b"inquest" not in ledger


def test_nothing_leaves_before_another_person_agreed(office):
    name = asked(office, office.record())

    assert "nobody has agreed" in str(made(office, name))
    refusal = office.runs("claims", "disclosure", "approve", name)
    assert isinstance(refusal, Refused)
    assert "does not agree to it" in str(refusal)
    assert office.entries(Kind.ACCESS_GRANTED) == []
    assert list(office.folder.glob("*.zip")) == []


def test_each_is_used_once(office):
    name = agreed(office, office.record())
    made(office, name)

    again = made(office, name)

    assert isinstance(again, Refused)
    assert "each is used once" in str(again)
    assert len(office.entries(Kind.ACCESS_GRANTED)) == 1


def test_public_interest_is_weighed_in_words_each_time(office):
    recording = office.record()

    unweighed = asked(office, recording, basis="public-interest", more=("--benefit", "b"))
    weighed = asked(office, recording, basis="public-interest", more=WEIGHED)
    needless = asked(office, recording, more=("--benefit", "b"))

    assert isinstance(unweighed, ConfigError)
    assert "--harm, --content, --manner, --necessity" in str(unweighed)
    assert isinstance(weighed, str)
    assert "only public interest is weighed" in str(needless)
    shown = office.runs("guardian", "disclosure", "approve", weighed)
    assert "harm:          h" in shown
    assert "why:           inquest 114 of 2026" in shown


def test_who_called_is_told_by_two_persons_alone_and_an_auditor_sees_both_names(office):
    recording = office.record(caller=CALLER)

    archive = made(office, agreed(office, recording, field="identity"))

    assert json.loads(archive.read(f"{recording}.identity.json")) == {"numbers": ["+441632960001"]}
    value = json.loads(office.callrec("audit", "coding", "--json").output)
    (row,) = value["rows"]
    assert (row["what"], row["of"], row["by"]) == ("re-identified", recording, "claims, guardian")
    assert value["exit_code"] == 0


@pytest.mark.parametrize("who", ["teacher", "checker", "records", "nobody"])
def test_others_neither_ask_nor_agree_nor_make(office, who):
    recording = office.record()
    name = agreed(office, recording)

    told = [
        asked(office, recording, who=who),
        office.runs(who, "disclosure", "approve", name),
        made(office, name, who=who),
    ]

    assert [type(each) for each in told] == [Refused] * 3


def test_an_auditor_is_shown_every_disclosure_and_one_that_one_person_agreed_to_alone(office):
    recording = office.record()
    made(office, agreed(office, recording))
    assert "1 disclosure; 0 exceptions" in office.callrec("audit", "disclosures").output

    first = office.entries(Kind.DISCLOSURE)[0].body
    alone = {**first, "disclosure_id": "feed", "person": "claims", "login": "os:bin"}
    office.sits("root")
    leaf = office.append(Kind.DISCLOSURE, **alone)
    office.append(Kind.DISCLOSURE, **{**alone, "step": "approved", "requested_leaf": leaf})
    office.append(Kind.DISCLOSURE, **{**alone, "step": "made", "approved_leaf": "00" * 32})

    report = json.loads(office.callrec("audit", "disclosures", "--json").output)
    assert report["exit_code"] == 1
    assert "agreed to by one person" in report["exceptions"][0]
    assert "nobody asked for" in report["exceptions"][1]


def test_a_file_that_the_ledger_did_not_take_does_not_stay(office, monkeypatch):
    name = agreed(office, office.record())
    from callrec.cli.desk import Desk  # noqa: PLC0415 - the door that is shut

    real = Desk.append

    def shut(desk, entry: Entry):
        if entry.body.get("step") == "made":
            raise Refused("the ledger is shut")
        return real(desk, entry)

    monkeypatch.setattr(Desk, "append", shut)

    assert "the ledger is shut" in str(made(office, name))
    assert list(office.folder.glob("*.zip")) == []


def test_every_disclosure_is_listed_with_where_it_stands(office):
    recording = office.record()
    names = [asked(office, recording), agreed(office, recording), agreed(office, recording)]
    made(office, names[2])

    listed = json.loads(office.runs("guardian", "disclosure", "list", "--json"))

    assert [(each["disclosure"], each["state"]) for each in listed] == list(
        zip(names, ["requested", "approved", "made"], strict=True)
    )
    assert "agreed_by" in office.runs("guardian", "disclosure", "list")
    assert isinstance(office.runs("guardian", "disclosure", "approve", "zz"), ConfigError)
