"""The tables of the index, in both databases, and the steps that bring older ones forward."""

from __future__ import annotations

from typing import Final

from callrec._sql import Database, Session
from callrec._sql.forms import Forms, Step
from callrec.core.recording import RecordingState

_RARE: Final = (RecordingState.SPOOLING, RecordingState.SEALED, RecordingState.HELD, RecordingState.DISPOSED)
"""Nearly everything is `kept`. An index for each of the others, and none that a question for what is due could take."""
_QUICK: Final = "".join(
    (
        "create index recordings_of_line on recordings (line, started_utc desc, recording_id);\n",
        *(
            f"create index recordings_{state.value}_by_time on recordings (started_utc desc, recording_id)"
            f" where state = '{state.value}';\n"
            for state in _RARE
        ),
    )
)
"""Without these a million recordings were read for those of a line that has few, or of a state that few are in."""
_STANDING: Final = "alter table recordings add column standing text not null default '';\n"
FORMS: Final = Forms(
    what="the index",
    name="index_forms",
    steps=(Step(form=2, sqlite=_QUICK, postgres=_QUICK), Step(form=3, sqlite=_STANDING, postgres=_STANDING)),
)

_TABLES: Final = """
create table if not exists recordings (
    recording_id {text} primary key,
    call_uid     {text} not null,
    segment      integer not null,
    line         {text} not null,
    started_utc  {text} not null,
    seconds      {real} not null,
    purposes     {text} not null,
    state        {text} not null,
    truncated    integer not null,
    due          {text} not null,
    started_leaf {text} not null,
    sealed_leaf  {text} not null,
    kept_leaf    {text} not null
){strict};
create index if not exists recordings_by_time on recordings (started_utc);
create index if not exists recordings_by_call on recordings (call_uid, segment);
create index if not exists recordings_by_due on recordings (due, recording_id)
    where due <> '' and state in ('kept', 'held');
create index if not exists recordings_held on recordings (recording_id) where state = 'held';
create table if not exists holds (
    hold_id      {text} primary key,
    recording_id {text} not null,
    line         {text} not null,
    since        {text} not null,
    until        {text} not null
){strict};
create table if not exists followed (id integer primary key check (id = 1), entries bigint not null);
"""
# Text is compared byte by byte ("C"), as SQLite does, and a `real` of PostgreSQL would be a short one.
_SQLITE: Final = {"text": "text", "real": "real", "strict": " strict"}
_POSTGRES: Final = {"text": 'text collate "C"', "real": "double precision", "strict": ""}


def make(session: Session, database: Database) -> None:
    """Make what is missing, and bring what is older forward. ConfigError where it is newer than this program."""
    FORMS.require_known(session, database)
    if not session.has("followed"):
        session.begin("index")
        session.script(_TABLES.format(**(_POSTGRES if session.postgres else _SQLITE)))
        session.commit()
    FORMS.bring_forward(session, database)
