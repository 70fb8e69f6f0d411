"""The command line where ledger and index lie in PostgreSQL: the same commands, and the same answers."""

import json

import pytest

from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.ledger.reading import open_log
from tests.cli.house import House
from tests.cli.test_recordings import refused, said


@pytest.fixture
def shared(tmp_path, postgres):
    return House(tmp_path, postgres)


def test_what_was_recorded_is_listed_shown_verified_and_exported(shared, tmp_path):
    recording = shared.record()

    listed = json.loads(said(shared.callrec("recordings", "list", "--json")))
    assert [row["recording_id"] for row in listed] == [recording]
    assert "notice played: proven" in said(shared.callrec("recordings", "show", recording[:8]))
    assert "NOT SOUND" not in said(shared.callrec("audit", "verify"))
    assert "NOT SOUND" not in said(shared.callrec("ledger", "verify"))
    assert said(shared.callrec("ledger", "checkpoint")).startswith("callrec/")
    out = tmp_path / "ledger.jsonl"
    said(shared.callrec("ledger", "export", "-o", out))
    assert len(out.read_text().splitlines()) == 1 + len(shared.entries()) + checkpoints(shared)
    said(shared.callrec("recordings", "due", "--within", "4000"))
    assert not list(tmp_path.rglob("*.db"))


def checkpoints(shared):
    with open_log(shared.config.ledger.database) as log:
        return log.checkpoints()


def test_two_agents_in_one_database_see_each_their_own(tmp_path, postgres):
    houses = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        houses.append(House(tmp_path / name, postgres))
    recordings = [house.record() for house in houses]

    for house, recording in zip(houses, recordings, strict=True):
        listed = json.loads(said(house.callrec("recordings", "list", "--json")))
        assert [row["recording_id"] for row in listed] == [recording]
        assert house.verified().counts == {}
        assert {entry.log_id for entry in house.entries()} == {house.entries(Kind.KEY_CREATED)[0].body["key_id"]}


@pytest.fixture
def two(tmp_path, postgres):
    """Two agents' houses in one database, each with a recording, and their logs' names there."""
    houses = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        houses.append(House(tmp_path / name, postgres))
    return [(house, house.config.ledger.database.schema, house.record()) for house in houses]


def test_one_list_shows_the_recordings_of_every_agent_with_its_log(two, postgres):
    (house, log, recording), (_, other_log, other) = two

    listed = json.loads(house.callrec("recordings", "list", "--all-logs", "--json").stdout)
    mine = {(row["log"], row["recording_id"]) for row in listed if row["log"] in (log, other_log)}
    assert mine == {(log, recording), (other_log, other)}
    told = said(house.callrec("recordings", "list", "--all-logs", "--line", "advice"))
    assert all(word in told for word in ("log", log, other_log, recording, other))
    both = ("recordings", "list", "--all-logs", "--notice", "advice-line/1")
    refused(house.callrec(*both), ConfigError)

    postgres.sql("INSERT INTO index_forms VALUES (99)", schema=other_log)
    without = house.callrec("recordings", "list", "--all-logs")
    assert recording in without.output
    assert f"what {other_log} recorded is not listed" in without.output + without.stderr


def test_an_auditor_asks_the_log_of_another_agent_by_its_name_and_each_verifies_alone(two):
    (house, log, recording), (_, other_log, other) = two

    sampled = said(house.callrec("audit", "sample", "--seed", "1", "--log", other_log))
    assert other in sampled
    assert recording not in sampled
    assert recording in said(house.callrec("audit", "sample", "--seed", "1", "--log", log))
    assert house.callrec("audit", "verify", "--log", other_log).exit_code == 0
    wrong = house.callrec("audit", "verify", "--log", other_log, "--vkey", house.vkey())
    assert wrong.exit_code == 30, "the other agent's entries do not verify by this one's key"
    told = house.callrec("audit", "verify", "--log", "nobody's").exception
    assert other_log in told.next_step
    refused(house.callrec("audit", "verify", "--log", other_log, "--ledger", "copy.db"), ConfigError)


def test_a_log_is_not_made_twice(shared):
    assert "a ledger exists" in str(shared.callrec("init").exception)


def test_config_check_says_that_the_server_is_away_or_the_log_is_not_there(shared, postgres):
    shared.change(f"host={postgres.folder}", "host=/nowhere")
    told = str(shared.callrec("config", "check").exception)
    assert "ledger.url" in told
    assert "PostgreSQL server is up" in told
    refused(shared.callrec("ledger", "checkpoint"), Unavailable)

    shared.change("host=/nowhere", f"host={postgres.folder}")
    shared.change(f"log: {shared.config.ledger.log}", "log: another")
    assert "there is no ledger" in str(shared.callrec("config", "check").exception)
    refused(shared.callrec("ledger", "checkpoint"), ConfigError)


CALLER = "sip:+441632960001@192.0.2.5"
BY_NUMBER = ("subject", "find", "--number", "01632 960001", "--json")


@pytest.fixture
def keeper(tmp_path, postgres):
    """Two agents in one database and one keeper of both, who may look for callers; and their logs' names."""
    houses = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        keys = f"wrap_to: file:{tmp_path / 'one' / 'keys' / 'keeper.pub'}"
        changes = [("role: auditor", "role: guardian"), ("wrap_to: file:keys/keeper.pub", keys)]
        houses.append(House(tmp_path / name, postgres, changes=changes))
    return [(house, house.config.ledger.database.schema) for house in houses]


def test_one_search_finds_a_callers_calls_in_every_agents_log_and_the_ledger_knows_which_were_asked(keeper):
    (house, log), (other, other_log) = keeper
    mine, theirs = house.record(caller=CALLER), other.record(caller=CALLER)
    other.record(caller="sip:+441632960002@192.0.2.5")

    alone = json.loads(said(house.callrec(*BY_NUMBER)))
    both = json.loads(house.callrec(*BY_NUMBER, "--all-logs").stdout)
    named = json.loads(said(house.callrec(*BY_NUMBER, "--log", other_log)))

    assert [call["recordings"][0]["recording_id"] for call in alone["calls"]] == [mine]
    told = {(call["log"], call["recordings"][0]["recording_id"]) for call in both["calls"]}
    assert told == {(log, mine), (other_log, theirs)}
    assert [call["log"] for call in named["calls"]] == [other_log]
    assert "its own agent is configured" in named["calls"][0]["recordings"][0]["remark"]
    by_id = json.loads(house.callrec("subject", "find", "--ref", theirs, "--all-logs", "--json").stdout)
    assert [call["log"] for call in by_id["calls"]] == [other_log]
    asked = [entry.body.get("logs") for entry in house.entries(Kind.ACCESS_GRANTED)]
    assert [None if logs is None else {log, other_log} & set(logs) for logs in asked] == [
        None, {log, other_log}, {other_log}, {log, other_log},
    ]  # fmt: skip
    assert other.entries(Kind.ACCESS_GRANTED) == []
    assert len(list(house.folder.rglob("subjects.db"))) == 1, "what was read of another's log stays nowhere"


def test_whose_log_is_asked_is_said_in_one_way_and_needs_a_database_and_the_right(keeper, tmp_path):
    (house, log), _ = keeper
    refused(house.callrec(*BY_NUMBER, "--all-logs", "--log", log), ConfigError)
    assert log in house.callrec(*BY_NUMBER, "--log", "nobody's").exception.next_step
    house.change("role: guardian", "role: auditor")
    refused(house.callrec(*BY_NUMBER, "--all-logs"), Refused)
    assert [entry.body["action"] for entry in house.entries(Kind.ACCESS_DENIED)] == ["subject.find"]
    (tmp_path / "alone").mkdir()
    alone = House(tmp_path / "alone", changes=[("role: auditor", "role: guardian")])
    refused(alone.callrec(*BY_NUMBER, "--all-logs"), ConfigError)
