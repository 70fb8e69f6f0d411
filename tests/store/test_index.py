import sqlite3
from dataclasses import replace

import pytest

from callrec.core.recording import RecordingState
from callrec.core.values import Purpose
from callrec.errors import Refused, Unavailable
from callrec.store.index import Index, IndexRow, row_from_manifest
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


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path / "index.db")
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


def test_the_index_is_still_there_after_a_restart(tmp_path):
    first = Index(tmp_path / "index.db")
    first.add(ROW)
    first.close()

    second = Index(tmp_path / "index.db")
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


def test_a_locked_or_closed_index_says_so(tmp_path):
    index = Index(tmp_path / "index.db")
    index.close()

    with pytest.raises(Unavailable) as raised:
        index.add(ROW)
    assert isinstance(raised.value.__cause__, sqlite3.Error)
