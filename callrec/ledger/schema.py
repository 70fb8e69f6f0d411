"""The tables of one log, in both databases. Rows are leaves; triggers refuse change, as a guard against mistakes.

They do not guard against an administrator: checkpoints that somebody else holds do.
"""

from __future__ import annotations

from typing import Final

from callrec._sql import Session
from callrec._sql.forms import Forms

FORM: Final = 1
"""What stands in the log itself: the form of its entries. It outlives every form of the tables."""
FORMS: Final = Forms(what="the ledger", name="ledger_forms")

_SQLITE: Final = """
CREATE TABLE log (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, vkey TEXT NOT NULL,
                  created_utc TEXT NOT NULL);
CREATE TABLE entries (seq INTEGER PRIMARY KEY, leaf BLOB NOT NULL, call_uid TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX entries_of_call ON entries (call_uid, seq) WHERE call_uid <> '';
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL);
CREATE TABLE tip (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, prev TEXT NOT NULL,
                  frontier BLOB NOT NULL, anchor_size INTEGER NOT NULL, anchor_root TEXT NOT NULL,
                  probes INTEGER NOT NULL DEFAULT 0);
CREATE TABLE salts (seq INTEGER NOT NULL, name TEXT NOT NULL, salt TEXT NOT NULL, PRIMARY KEY (seq, name))
                  WITHOUT ROWID;
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
  WHEN NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM entries)
  BEGIN SELECT raise(ABORT, 'entries are appended in order'); END;
CREATE TRIGGER checkpoints_in_order BEFORE INSERT ON checkpoints
  WHEN NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints)
  BEGIN SELECT raise(ABORT, 'checkpoints are appended in order'); END;
CREATE TRIGGER log_never_update BEFORE UPDATE ON log
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER log_never_delete BEFORE DELETE ON log
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_never_update BEFORE UPDATE ON entries
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_never_delete BEFORE DELETE ON entries
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_never_update BEFORE UPDATE ON checkpoints
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER checkpoints_never_delete BEFORE DELETE ON checkpoints
  BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
"""

# Text is compared byte by byte ("C"), as SQLite does. `seq` comes from us, never from a sequence: those leave gaps.
_POSTGRES: Final = """
CREATE TABLE log (id integer PRIMARY KEY CHECK (id = 1), schema integer NOT NULL, vkey text NOT NULL,
                  created_utc text NOT NULL);
CREATE TABLE entries (seq bigint PRIMARY KEY, leaf blob NOT NULL, call_uid text COLLATE "C" NOT NULL,
                      body blob NOT NULL);
CREATE INDEX entries_of_call ON entries (call_uid, seq) WHERE call_uid <> '';
CREATE TABLE checkpoints (size bigint PRIMARY KEY, note blob NOT NULL);
CREATE TABLE tip (id integer PRIMARY KEY CHECK (id = 1), size bigint NOT NULL, prev text NOT NULL,
                  frontier blob NOT NULL, anchor_size bigint NOT NULL, anchor_root text NOT NULL,
                  probes bigint NOT NULL DEFAULT 0);
CREATE TABLE salts (seq bigint NOT NULL, name text NOT NULL, salt text NOT NULL, PRIMARY KEY (seq, name));
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
  BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE FUNCTION entries_in_order() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
  BEGIN
    IF NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM entries) THEN
      RAISE EXCEPTION 'entries are appended in order';
    END IF;
    RETURN NEW;
  END $$;
CREATE FUNCTION checkpoints_in_order() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
  BEGIN
    IF NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints) THEN
      RAISE EXCEPTION 'checkpoints are appended in order';
    END IF;
    RETURN NEW;
  END $$;
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries FOR EACH ROW EXECUTE FUNCTION entries_in_order();
CREATE TRIGGER checkpoints_in_order BEFORE INSERT ON checkpoints
  FOR EACH ROW EXECUTE FUNCTION checkpoints_in_order();
CREATE TRIGGER log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log EXECUTE FUNCTION append_only();
CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries EXECUTE FUNCTION append_only();
CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
  EXECUTE FUNCTION append_only();
"""


def create(session: Session) -> None:
    """Make the tables of an empty log. In a transaction that the caller began."""
    session.script(_POSTGRES if session.postgres else _SQLITE)
