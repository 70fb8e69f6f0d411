"""Rows that go into a table together are the rows that were given, however many."""

from __future__ import annotations

from contextlib import closing

import pytest

from callrec._sql import SqlRefused, writing

INSERT = "INSERT INTO one (number, name) VALUES (:number, :name)"


@pytest.fixture
def session(tmp_path):
    with closing(writing(tmp_path / "rows.db", name="a test")) as opened:
        opened.run("CREATE TABLE one (number INTEGER PRIMARY KEY, name BLOB)")
        yield opened


@pytest.mark.parametrize("count", [0, 1, 2, 449, 450, 451, 2000])
def test_all_rows_go_in_in_their_order(session, count):
    rows = [{"name": b"%d" % number, "number": number, "more": None} for number in range(count)]

    session.run_many(INSERT, iter(rows))

    assert session.rows("SELECT number, name FROM one ORDER BY rowid") == [(row["number"], row["name"]) for row in rows]


def test_one_row_that_is_refused_keeps_all_of_its_transaction_out(session):
    session.begin("one")
    with pytest.raises(SqlRefused):
        session.run_many(INSERT, [{"number": number, "name": b""} for number in (1, 2, 1)])
    session.rollback()

    assert session.rows("SELECT number FROM one") == []


def test_what_is_no_plain_insert_is_run_row_by_row(session):
    session.run_many(INSERT, [{"number": number, "name": b"old"} for number in range(3)])

    session.run_many("DELETE FROM one WHERE number = :number", [{"number": 0}, {"number": 2}])
    session.run_many(
        f"{INSERT} ON CONFLICT (number) DO UPDATE SET name = excluded.name", [{"number": 1, "name": b"new"}]
    )

    assert session.rows("SELECT number, name FROM one") == [(1, b"new")]
