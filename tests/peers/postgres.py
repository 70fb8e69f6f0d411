"""A PostgreSQL server of our own: one for each test process, on a socket in a folder of its own, as a user that is not
root, and gone with the process however that ends.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psycopg

from callrec._sql import PostgresSchema
from tests.peers.ports import PeerFailed, Process, until

_USER = "postgres"
_DATABASE = "callrec"
_STARTED_S = 60


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise PeerFailed(f"no {name}: deploy/test-setup.sh installs PostgreSQL")
    return str(found[-1])


class Postgres:
    """A server, started. `options` are settings of postgresql.conf."""

    def __init__(self, **options: str) -> None:
        self.user = _USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.folder = Path(tempfile.mkdtemp(prefix="callrec-pg-", dir="/tmp"))
        self._options = {"listen_addresses": "", "unix_socket_directories": str(self.folder), **options}
        self._process: Process | None = None
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self._run(_program("initdb"), "-A", "trust", "-U", self.user, "-E", "UTF8", "--locale=C.UTF-8", "-N")
        self.start()
        self.sql("CREATE DATABASE callrec", database="postgres")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            [*self._as_user(), *words, "-D", str(self._data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise PeerFailed(f"{words[0]} ended with {done.returncode}: {done.stdout.decode()[-2000:]}")

    def _as_user(self) -> list[str]:
        """Started so that it gets a signal when this process ends, whatever ends it."""
        other = [] if os.geteuid() else [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return ["setpriv", "--pdeathsig", "INT", *other]

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        words = [*self._as_user(), _program("postgres"), "-D", self._data, *options]
        self._process = Process(words, folder=self.folder, name="postgres")
        until(self._answers, seconds=_STARTED_S, what="PostgreSQL takes connections")

    def _answers(self) -> bool:
        if self._process is None or not self._process.alive:
            raise PeerFailed(f"PostgreSQL ended\n{self._process and self._process.output[-2000:]}")
        try:
            self.sql("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it now: connections break off, what was committed stays. SIGQUIT: as abruptly as it can be."""
        if self._process is not None:
            self._process.signal(number)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """Stop it and remove what it wrote."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, *statements: str, database: str = _DATABASE, schema: str = "public") -> list[tuple]:
        """Run these as the owner of the server; the rows of the last one."""
        with psycopg.connect(host=str(self.folder), user=self.user, dbname=database, autocommit=True) as connection:
            connection.execute(f'SET search_path = "{schema}"')
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def copy(self, table: str, rows: Iterable[tuple], *, schema: str) -> None:
        """Put these rows into `table`, named with its columns, past the triggers that look at each."""
        with psycopg.connect(host=str(self.folder), user=self.user, dbname=_DATABASE) as connection:
            connection.execute(f'SET search_path = "{schema}"')
            connection.execute("SET session_replication_role = replica")
            with connection.cursor().copy(f"COPY {table} FROM STDIN") as target:
                for row in rows:
                    target.write_row(row)

    def url(self) -> str:
        """As it stands in a configuration."""
        return f"postgresql://{self.user}@/{_DATABASE}?host={self.folder}"

    def schema(self, name: str = "") -> PostgresSchema:
        """A place for one log, not used before unless it is named."""
        options = {"host": str(self.folder), "user": self.user, "dbname": _DATABASE}
        return PostgresSchema(options=tuple(options.items()), schema=name or f"callrec_{secrets.token_hex(6)}")
