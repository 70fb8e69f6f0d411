from contextlib import closing
from dataclasses import replace

import pytest

from callrec import _sql
from callrec.core.recording import RecordingState
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.store.index import (
    Index,
    IndexRow,
    disposed,
    hold_placed,
    hold_released,
    kept,
    known,
    redated,
    row_from_manifest,
)
from tests.store.builders import CALL, STARTED, a_manifest

ROW = IndexRow(
    recording_id=f"{CALL}-0",
    call_uid=CALL,
    segment=0,
    line="advice",
    started_utc="2026-03-01T10:00:00.000Z",
    purposes=frozenset((Purpose.AUDIT, Purpose.TRAINING)),
    state=RecordingState.SPOOLING,
    started_leaf=STARTED,
)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """Where an index may lie."""
    return tmp_path / "index.db" if request.param == "sqlite" else request.getfixturevalue("postgres").schema()


@pytest.fixture
def index(database):
    index = Index(database)
    yield index
    index.close()


def test_what_was_added_is_found(index):
    index.add(ROW)

    assert index.get(ROW.recording_id) == ROW
    assert index.list() == (ROW,)
    assert index.get("other") is None


def test_a_recording_changes_as_it_goes(index):
    index.add(ROW)

    index.update(ROW.recording_id, state=RecordingState.KEPT, seconds=12.5, kept_leaf="d" * 64, purposes=frozenset())

    expected = replace(ROW, state=RecordingState.KEPT, seconds=12.5, kept_leaf="d" * 64, purposes=frozenset())
    assert index.get(ROW.recording_id) == expected


def test_an_id_is_added_once_and_updated_only_when_known(index):
    index.add(ROW)

    with pytest.raises(Refused):
        index.add(ROW)
    with pytest.raises(Refused):
        index.update("other", seconds=1.0)
    with pytest.raises(ValueError, match="no number"):
        index.update(ROW.recording_id, number="x")
    with pytest.raises(ValueError, match="recording_id"):
        index.update(ROW.recording_id, recording_id="x")


def test_lists_are_cut_by_time_line_state_and_purpose_newest_first(index):
    rows = [
        replace(ROW, recording_id=f"{n}", started_utc=f"2026-03-0{n}T00:00:00.000Z", line=line, purposes=purposes)
        for n, line, purposes in (
            (1, "advice", frozenset((Purpose.AUDIT,))),
            (2, "advice", frozenset((Purpose.MEDICO_LEGAL,))),
            (3, "other", frozenset((Purpose.AUDIT, Purpose.MEDICO_LEGAL))),
        )
    ]
    index.rebuild(rows)
    index.update("2", state=RecordingState.SEALED)

    def ids(**question):
        return [row.recording_id for row in index.list(**question)]

    assert ids() == ["3", "2", "1"]
    assert ids(limit=1) == ["3"]
    assert ids(since="2026-03-02", until="2026-03-03") == ["2"]
    assert ids(line="advice") == ["2", "1"]
    assert ids(state=RecordingState.SEALED) == ["2"]
    assert ids(purpose=Purpose.AUDIT) == ["3", "1"]
    assert ids(purpose=Purpose.TRAINING) == []


def test_rebuilding_replaces_everything_or_nothing(index):
    index.add(ROW)

    with pytest.raises(Unavailable):
        index.rebuild([replace(ROW, recording_id="new"), replace(ROW, recording_id="new")])
    assert index.list() == (ROW,)

    index.rebuild([replace(ROW, recording_id="new")])
    assert [row.recording_id for row in index.list()] == ["new"]


def test_the_index_is_still_there_after_a_restart(database):
    first = Index(database)
    first.add(ROW)
    first.close()

    second = Index(database)
    assert second.list() == (ROW,)
    second.close()


def test_a_manifest_gives_its_row():
    row = row_from_manifest(a_manifest(b"x"), RecordingState.KEPT, kept_leaf="d" * 64)

    assert (row.recording_id, row.seconds, row.due, row.started_leaf) == (f"{CALL}-0", 1.0, "2034-03-01", STARTED)
    assert row.purposes == {Purpose.AUDIT, Purpose.MEDICO_LEGAL}


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / "index.db").write_bytes(b"not a database, but long enough to be taken for one" * 40)

    with pytest.raises(Unavailable):
        Index(tmp_path / "index.db")


def test_a_closed_index_says_so(index):
    index.close()

    with pytest.raises(Unavailable, match="closed"):
        index.add(ROW)


def test_a_locked_index_says_so_and_is_there_again_afterwards(database, index):
    with closing(_sql.writing(database)) as other:
        other.begin("index")
        with pytest.raises(Unavailable, match="lock"):
            index.add(ROW)
        other.rollback()

    index.add(ROW)
    assert index.list() == (ROW,)


def test_an_index_whose_connection_was_lost_connects_again(postgres):
    index = Index(postgres.schema())
    index.add(ROW)
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'callrec index'")

    with pytest.raises(Unavailable, match="cannot be used"):
        index.list()
    assert index.list() == (ROW,)
    index.close()


def test_what_holds_cover_is_held_until_they_are_released(index):
    other = replace(ROW, recording_id="other", line="other", state=RecordingState.KEPT)
    scope = {"recording_id": "", "line": "advice", "since": "2026-03-01", "until": ""}
    index.follow([kept(replace(ROW, state=RecordingState.KEPT)), kept(other), hold_placed("h", scope)], 3)
    index.follow([kept(replace(ROW, recording_id="later", state=RecordingState.KEPT))], 4)
    assert {row.recording_id: row.state.value for row in index.list()} == {
        ROW.recording_id: "held",
        "other": "kept",
        "later": "held",
    }
    assert index.followed() == 4

    index.follow([hold_placed("h", scope | {"line": "other"})], 5)
    assert [row.recording_id for row in index.list(state=RecordingState.HELD)] == ["other"]

    index.follow([hold_released("h"), redated("other", "2031-01-01"), disposed("later"), known("other")], 6)
    assert [row.recording_id for row in index.list(state=RecordingState.KEPT)] == [ROW.recording_id, "other"]
    assert [row.recording_id for row in index.due("2032")] == ["other"]
    assert index.get("later").state is RecordingState.DISPOSED


def test_ids_are_found_by_their_beginning(index):
    index.rebuild(replace(ROW, recording_id=name) for name in ("ab-0", "ab-1", "abc-0", "b-0", "AB-0"))

    assert [row.recording_id for row in index.beginning("ab")] == ["ab-0", "ab-1", "abc-0"]
    assert [row.recording_id for row in index.beginning("ab", limit=1)] == ["ab-0"]


def test_an_index_of_the_first_form_is_brought_forward_with_what_it_holds(database, index):
    index.add(ROW)
    index.close()
    with closing(_sql.writing(database)) as session:
        for name in ("of_line", "spooling_by_time", "sealed_by_time", "held_by_time", "disposed_by_time"):
            session.run(f"DROP INDEX recordings_{name}")
        session.run("ALTER TABLE recordings DROP COLUMN standing")
        session.run("DROP TABLE index_forms")

    again = Index(database)
    assert again.list(line="advice") == (ROW,)
    again.close()
    with closing(_sql.writing(database)) as session:
        assert session.has("recordings_of_line")
        assert session.row("SELECT max(form) FROM index_forms") == (3,)


def test_an_index_of_a_later_form_is_refused_by_name_and_left_alone(database, index):
    index.add(ROW)
    with closing(_sql.writing(database)) as session:
        session.run("CREATE TABLE IF NOT EXISTS index_forms (form integer PRIMARY KEY)")
        session.run("INSERT INTO index_forms VALUES (99)")

    with pytest.raises(ConfigError, match=r"the index .* newer than this program: they have form 99"):
        Index(database)
    assert index.list() == (ROW,)
