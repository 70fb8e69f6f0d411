"""Tables are brought forward, step by step, and never back."""

from contextlib import closing

import pytest

from callrec import _sql
from callrec._sql import SqlFailed, SqlRefused
from callrec._sql.forms import Forms, Step
from callrec.errors import ConfigError

FIRST = Forms(what="a shelf", name="shelf_forms")
WIDER = Step(form=2, sqlite="ALTER TABLE shelf ADD COLUMN width integer", postgres="ALTER TABLE shelf ADD width int")
FULLER = Step(form=3, sqlite="INSERT INTO shelf VALUES (3, 3)", postgres="INSERT INTO shelf VALUES (3, 3)")
_HALF = "UPDATE shelf SET width = 9;\nSELECT junk;"
BAD = Step(form=4, sqlite=_HALF, postgres=_HALF)


def forms(*steps):
    return Forms(what="a shelf", name="shelf_forms", steps=steps)


@pytest.fixture(params=["sqlite", "postgres"])
def session(request, tmp_path):
    database = tmp_path / "tables.db" if request.param == "sqlite" else request.getfixturevalue("postgres").schema()
    with closing(_sql.create(database, name="a test")) as session:
        session.run("CREATE TABLE shelf (id integer PRIMARY KEY)")
        yield session


def test_tables_without_a_number_have_the_first_form(session):
    assert FIRST.of(session) == FIRST.newest == 1


def test_each_step_is_taken_once_and_in_order(session):
    forms(WIDER).bring_forward(session, "here")
    forms(WIDER, FULLER).bring_forward(session, "here")
    forms(WIDER, FULLER).bring_forward(session, "here")

    assert forms(WIDER, FULLER).of(session) == 3
    assert session.rows("SELECT * FROM shelf") == [(3, 3)]


def test_a_program_that_is_older_refuses_by_name(session):
    forms(WIDER).bring_forward(session, "here")

    with pytest.raises(ConfigError, match=r"tables of a shelf here are newer .* form 2, .* up to 1") as told:
        FIRST.bring_forward(session, "here")
    assert "a newer one" in told.value.next_step


def test_a_step_that_fails_leaves_no_half(session):
    forms(WIDER, FULLER).bring_forward(session, "here")

    with pytest.raises(SqlFailed):
        forms(WIDER, FULLER, BAD).bring_forward(session, "here")
    session.rollback()

    assert forms(BAD).of(session) == 3
    assert session.rows("SELECT * FROM shelf") == [(3, 3)]


def test_what_the_tables_forbid_is_told_apart_from_a_database_that_fails(session):
    session.run("INSERT INTO shelf VALUES (:id)", {"id": 1})

    with pytest.raises(SqlRefused):
        session.run("INSERT INTO shelf VALUES (:id)", {"id": 1})
    with pytest.raises(SqlFailed) as failed:
        session.run("SELECT nothing FROM nowhere")
    assert not isinstance(failed.value, SqlRefused)


def test_a_colon_or_a_percent_sign_in_the_text_is_no_value(session):
    assert session.row("SELECT '50%', ':' || :value", {"value": "x%"}) == ("50%", ":x%")
