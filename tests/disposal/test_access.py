"""Only a durable `access.granted` opens a recording; role, purpose and date must fit; every denial is in the ledger."""

import asyncio
from dataclasses import replace

import pytest

from callrec import places
from callrec.core.kinds import Kind
from callrec.errors import Refused
from callrec.recording.access import grant_from
from tests.disposal.office import dated

ACCESS = (Kind.ACCESS_GRANTED, Kind.ACCESS_DENIED, Kind.EXPORT_MADE)


def export(office, who, recording, purpose):
    office.exports = getattr(office, "exports", 0) + 1
    return office.run(who, "export", recording, "-o", office.folder / f"{office.exports}.flac", "--purpose", purpose)


def denied(office):
    return [entry.body["why"] for entry in office.entries(Kind.ACCESS_DENIED)]


@pytest.mark.parametrize(
    ("who", "purpose"), [("checker", "audit"), ("claims", "medico-legal"), ("guardian", "medico-legal")]
)
def test_a_role_opens_a_recording_for_its_own_purpose(office, who, purpose):
    recording = office.record()

    assert "Wrote" in export(office, who, recording, purpose)

    granted, made = office.entries(*ACCESS)
    assert (granted.body["purpose"], made.body["recording_id"]) == (purpose, recording)


@pytest.mark.parametrize(
    ("who", "purpose", "why"),
    [
        ("checker", "medico-legal", "the role auditor may not use recordings for medico-legal"),
        ("records", "audit", "the role operator may not use recordings for audit"),
        ("teacher", "audit", "the role trainer may not"),
        ("teacher", "training", "training uses a coded or anonymised copy"),
        ("nobody", "audit", "nobody is known by the account nobody"),
    ],
)
def test_another_role_is_denied_and_the_denial_is_kept(office, who, purpose, why):
    recording = office.record(purposes=["audit", "medico-legal", "training"])

    told = export(office, who, recording, purpose)

    assert isinstance(told, Refused)
    assert why in str(told)
    (entry,) = office.entries(*ACCESS)
    assert entry.kind == "access.denied"
    assert why in entry.body["why"]
    assert list(office.folder.glob("*.flac")) == []


def test_a_right_of_use_ends_on_its_own_date_while_the_file_stays(office):
    tags = {"audit": dated("AU-R", due="2020-03-01"), "medico-legal": dated(due="2100-03-01")}
    recording = office.record(retention=dated(due="2100-03-01", tags=tags))

    assert "the right to use it for audit ended on 2020-03-01" in str(export(office, "checker", recording, "audit"))
    assert "Wrote" in export(office, "claims", recording, "medico-legal")


def test_a_hold_gives_no_new_right_of_use(office):
    recording = office.old()
    office.run("guardian", "hold", recording, "--kind", "claim", "--reason", "CLM-1")

    assert "ended on 2020-03-01" in str(export(office, "claims", recording, "medico-legal"))
    assert denied(office) == ["the right to use it for medico-legal ended on 2020-03-01"]


def test_only_an_entry_that_grants_this_very_recording_makes_a_grant(office):
    recording, other = office.record(), office.record()
    export(office, "checker", recording, "audit")
    export(office, "records", other, "audit")
    (granted,) = office.entries(Kind.ACCESS_GRANTED)
    (refused,) = office.entries(Kind.ACCESS_DENIED)
    lookup = places.verified_lookup(office.config)

    grant = asyncio.run(grant_from(lookup, granted.leaf, recording_id=recording))

    assert (grant.recording_id, grant.purpose, grant.leaf) == (recording, "audit", granted.leaf)
    for leaf, name in ((granted.leaf, other), (refused.leaf, other), ("0" * 64, recording), ("", recording)):
        with pytest.raises(Refused, match="grants nobody access"):
            asyncio.run(grant_from(lookup, leaf, recording_id=name))
    with pytest.raises(AttributeError):
        grant.purpose = "training"
    assert replace(grant, purpose="audit") == grant
