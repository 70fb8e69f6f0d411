"""One person places a hold, two end it, and nothing held is ever due for destruction."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from callrec import places
from callrec.core.dates import plus
from callrec.core.holds import HoldKind, Scope
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused

HELD = ("--kind", "claim", "--reason", "CLM-2026-114")


def hold_of(said):
    return str(said).split()[0]


def listed(office):
    return {row["recording_id"]: row["state"] for row in json.loads(office.run("root", "list", "--json"))}


def due(office):
    return {row["recording_id"]: row["state"] for row in json.loads(office.run("root", "due", "--json"))}


def test_a_held_recording_is_shown_held_and_never_proposed(office):
    held, free = office.old(), office.old()
    hold = hold_of(office.run("checker", "hold", held[:12], *HELD))
    file = office.agreed()

    assert listed(office) == due(office) == {held: "held", free: "kept"}
    assert f'"why":"the hold {hold} (claim) forbids it"' in file.read_text()
    office.run("root", "dispose", file, "--execute")
    assert office.audio() == {held}
    (placed,) = office.entries(Kind.HOLD_PLACED)
    assert (placed.body["person"], placed.body["hold_kind"], placed.body["reason"]) == (
        *("checker", "claim"),
        "CLM-2026-114",
    )
    assert f"{placed.call_uid}-{placed.segment}" == held


def test_a_hold_on_a_line_catches_what_is_recorded_later(office):
    office.run("guardian", "hold", "--line", "advice", "--from", "2012-01-01", *HELD)
    later = office.old()

    assert due(office) == {later: "held"}
    assert "forbids it" in str(office.run("records", "dispose", "--propose", office.folder / "list.json"))


def test_a_hold_on_a_time_leaves_other_times_alone(office):
    old = office.old()
    office.run("guardian", "hold", "--from", "2030-01-01", *HELD)

    assert due(office) == {old: "kept"}


def test_two_persons_end_a_hold_each_under_their_own_login(office):
    old = office.old()
    hold = hold_of(office.run("checker", "hold", old, *HELD))

    assert "still stands" in office.run("guardian", "release", hold, "--reason", "claim-settled")
    assert due(office) == {old: "held"}
    again = office.run("guardian", "release", hold, "--reason", "claim-settled")
    assert isinstance(again, Refused)
    assert "a second person must agree" in str(again)
    assert "is released" in office.run("claims", "release", hold, "--reason", "claim-settled")

    assert due(office) == {old: "kept"}
    asked, done = office.entries(Kind.HOLD_RELEASED)
    assert (asked.body["step"], done.body["step"]) == ("asked", "done")
    assert done.body["asked_leaf"] == asked.leaf
    assert office.run("root", "holds") == "No hold stands.\n"


def test_a_release_that_one_person_wrote_alone_has_no_effect_and_is_found(office):
    old = office.old()
    hold = hold_of(office.run("guardian", "hold", old, *HELD))
    alone = {"hold_id": hold, "reason": "x", "person": "claims", "login": "os:bin"}
    office.append(Kind.HOLD_RELEASED, step="done", **alone)

    told = office.run("records", "dispose", "--propose", office.folder / "list.json")

    assert f"the hold {hold} (claim) forbids it" in str(told)
    assert "released by one person alone" in office.verified().findings[0].sentence


def test_a_renewed_hold_has_a_new_date_and_the_release_must_be_asked_for_again(office):
    hold = hold_of(office.run("guardian", "hold", office.old(), *HELD))
    office.run("guardian", "release", hold, "--reason", "settled")
    tomorrow = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()

    office.run("checker", "hold", "--renew", hold, "--reason", "appeal", "--review-by", tomorrow)

    (row,) = json.loads(office.run("root", "holds", "--json"))
    assert (row["hold"], row["review_by"], row["reason"], row["release_asked_by"]) == (hold, tomorrow, "appeal", "-")
    assert "still stands" in office.run("claims", "release", hold, "--reason", "settled")


def test_a_hold_is_looked_at_again_within_six_months(office):
    old = office.old()
    today = datetime.now(UTC).date()

    too_late = office.run("guardian", "hold", old, *HELD, "--review-by", plus(today, months=6, years=1).isoformat())
    office.run("guardian", "hold", old, *HELD)

    assert "is not within six months" in str(too_late)
    (row,) = json.loads(office.run("root", "holds", "--json"))
    assert row["review_by"] == plus(today, months=6).isoformat()


def test_a_hold_nobody_looked_at_again_is_told_with_exit_status_1(office):
    body = {"hold_kind": "claim", "reason": "x", "review_by": "2020-01-01", "person": "claims", "login": "os:bin"}
    office.append(Kind.HOLD_PLACED, hold_id="hold-0123456789ab", scope={"line": "advice"}, **body)

    result = office.callrec("recordings", "holds")

    assert result.exit_code == 1
    assert "hold-0123456789ab" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say what to hold"),
        (("--line", "advise"), "is no line"),
        (("--line", "advice", "--kind", "claim", "--reason", "Mrs Jones said so"), "cannot stand in the ledger"),
        (("--from", "tomorrow"), "is no date"),
        (("ffff",), "no recording begins"),
        (("--renew", "hold-000000000000"), "stands"),
        (("--line", "advice", "--review-by", "2020-01-01"), "is not within six months"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_a_mistake(office, words, said):
    rest = () if "--kind" in words else HELD

    told = office.run("guardian", "hold", *words, *rest)

    assert isinstance(told, ConfigError)
    assert said in str(told)
    assert office.entries(Kind.HOLD_PLACED) == []


@pytest.mark.parametrize(("who", "command"), [("teacher", "hold"), ("checker", "release"), ("nobody", "hold")])
def test_a_person_without_the_right_holds_and_releases_nothing(office, who, command):
    hold = hold_of(office.run("guardian", "hold", "--line", "advice", *HELD))
    words = (hold, "--reason", "x") if command == "release" else ("--line", "advice", *HELD)

    assert isinstance(office.run(who, command, *words), Refused)


def test_a_scope_covers_in_doubt_and_an_empty_one_nothing():
    assert not Scope().covers("a-0", line="advice", started_utc="2026-01-01")
    assert Scope(line="advice").covers("a-0", line="", started_utc="")
    assert Scope(since="2026-01-01", until="2026-02-01").covers("a-0", line="x", started_utc="2026-01-31T23:59:59Z")
    assert not Scope(since="2026-01-01", until="2026-02-01").covers("a-0", line="x", started_utc="2026-02-01T00:00:00Z")
    assert not Scope(recording_id="a-0").covers("a-1", line="x", started_utc="")


def test_the_kinds_of_hold_are_those_of_the_rules():
    assert [kind.value for kind in HoldKind] == [
        "claim",
        "complaint",
        "inquest",
        "subject-access",
        "police-court",
        "inquiry",
        "safeguarding",
    ]


def test_without_an_index_what_is_due_is_found_all_the_same(office):
    held, free = office.old(), office.old()
    office.run("guardian", "hold", held, *HELD)
    for file in places.index_database(office.config).parent.glob("index.db*"):
        file.unlink()
    places.index_database(office.config).mkdir()

    assert due(office) == {held: "held", free: "kept"}
    assert "Proposed: 1 recordings" in office.run("records", "dispose", "--propose", office.folder / "list.json")


def test_an_index_that_was_made_anew_knows_holds_and_disposals(office):
    held, gone = office.old(), office.old()
    office.run("guardian", "hold", held, *HELD)
    office.run("root", "dispose", office.agreed(), "--execute")
    for file in places.index_database(office.config).parent.glob("index.db*"):
        file.unlink()

    assert due(office) == {held: "held"}
    assert listed(office) == {held: "held", gone: "disposed"}
