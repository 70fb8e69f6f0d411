"""`callrec recordings import`: another recorder's archive, kept apart, usable for nothing without evidence (R31)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import click
import soundfile

from callrec._canonical import sha256_hex
from callrec._durable import fsync_dir, make_dir, write_file
from callrec.audit.wording import lines_of, one_line
from callrec.cli.desk import Desk
from callrec.cli.disposal_bench import defaults, followed_index, read_file
from callrec.cli.prompt_files import templates_of
from callrec.core.authority import Act
from callrec.core.holds import Person
from callrec.core.imported import WORDS, Standing
from callrec.core.kinds import Kind
from callrec.core.retention import schedule
from callrec.core.retention_record import schedule_json
from callrec.core.values import Purpose
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.ledger.reading import open_log
from callrec.notice.finding import find as places_of
from callrec.notice.register import Register
from callrec.notice.verify import Template
from callrec.places import imported_shelf, key_file, rules
from callrec.ports import MANIFEST_FILE, SEALED_LEAF_FILE, Entry, Sealed
from callrec.recording.imported import Foreign, imported_body, seal_foreign
from callrec.recording.manifest import read_sealed
from callrec.rights.imports import Item, files_in, read_items
from callrec.store.contacts import NAME, ContactSealer
from callrec.store.filesystem import create_store
from callrec.store.keys import FileKeyRing

_ARRIVING: Final = "arriving"
_LARGEST: Final = 1_000_000_000


@click.command("import")
@click.argument("places", metavar="DIR|FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--from", "table", type=click.Path(path_type=Path), required=True, help="The table, as CSV.")
@click.pass_obj
def import_(desk: Desk, /, places: tuple[Path, ...], table: Path) -> None:
    """Take in another recorder's archive: WAV, FLAC, MP3 or Ogg files, and a table of which call each is.

    Columns: file (as below DIR), started (ISO 8601 with its zone), line, and where known number and subject. Each is
    kept apart from what was proven, as NO_EVIDENCE: heard for disposal-review or legal-hold alone, unless an approved
    notice is whole in its audio. A file that was imported before is not imported again.
    """
    person = desk.decides(Act.IMPORT)
    files = files_in(places)
    lines = [line.name for line in desk.config.lines]
    items = read_items(_text(table), files, lines=lines, country=desk.config.sip.country_code)
    templates = _templates(desk)
    everything = [_looked_at(desk, item, templates) for item in items]
    importer = _Importer(desk, person)
    said = [importer.recovered(name) for name in importer.arrived()]
    said += [importer.taken_in(item, foreign) for item, foreign in zip(items, everything, strict=True)]
    with suppress(Unavailable), followed_index(desk.config):
        pass  # nothing depends on it: the next question brings it up
    named = {item.path for item in items}
    said += [f"left out: {one_line(name)}: no line of the table names it" for name in files if files[name] not in named]
    click.echo(lines_of(said), nl=False)
    click.echo("The table holds numbers and times of calls: destroy it now.")


def _text(path: Path) -> str:
    try:
        return read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8", next_step="save the table as CSV in UTF-8") from error


def _templates(desk: Desk) -> Sequence[tuple[str, Template]]:
    try:
        return templates_of(Register.load(desk.prompts_dir))
    except Refused:
        return ()  # no notice was ever approved: none can be found


# ---------------------------------------------------------------- one file


def _looked_at(desk: Desk, item: Item, templates: Sequence[tuple[str, Template]]) -> Foreign:
    """Decoded whole, searched and dated, before anything is imported. ConfigError where it is no whole audio."""
    at = f"line {item.at}: {one_line(item.path)}"
    try:
        found = tuple(_found(desk, item.path, templates))
        data = item.path.read_bytes()
        sound = _Sound.of(data)
    except ConfigError as error:
        raise ConfigError(f"line {item.at}: {error}; nothing was imported", next_step=error.next_step) from error
    except (OSError, soundfile.LibsndfileError, RuntimeError) as error:
        raise ConfigError(f"{at} cannot be read; nothing was imported", next_step="export it again") from error
    named = frozenset(Purpose(name) for each in found for name in each["purposes"])
    facts = defaults(desk.config, item.line, item.started.date())
    facts = facts if item.subject is None else replace(facts, subject=item.subject)
    try:
        dates = schedule_json(facts, schedule(rules(desk.config), facts, named | {Purpose.MEDICO_LEGAL}))
    except ValueError as error:
        step = "add a rule to retention.rules; nothing is kept without one (R44)"
        raise ConfigError(f"{at}: {error}; nothing was imported", next_step=step) from error
    return Foreign(
        path=item.path,
        source_sha256=sha256_hex(data),
        container=sound.container,
        rate=sound.rate,
        channels=sound.channels,
        samples=sound.samples,
        line=item.line,
        started_utc=_utc(item.started),
        ended_utc=_utc(item.started + timedelta(seconds=sound.samples / sound.rate)),
        retention=dates,
        purposes=(Purpose.MEDICO_LEGAL.value,),
        standing=(Standing.NOTICE_FOUND if found else Standing.NO_EVIDENCE).value,
        found=found,
    )


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sound:
    """What a file decodes to, from its first sample to its last."""

    container: str
    rate: int
    channels: int
    samples: int

    @classmethod
    def of(cls, data: bytes) -> _Sound:
        if len(data) > _LARGEST:
            raise ConfigError("it is larger than a recording of a call", next_step="cut it into its calls")
        samples = 0
        with soundfile.SoundFile(BytesIO(data)) as file:
            while len(block := file.read(1 << 20, dtype="int16")):
                samples += len(block)
            return cls(container=file.format, rate=file.samplerate, channels=file.channels, samples=samples)


def _found(desk: Desk, path: Path, templates: Sequence[tuple[str, Template]]) -> Iterator[Mapping[str, Any]]:
    """Every approved notice that is whole in it, where, and what it names."""
    records = {record.name: record for record in Register.load(desk.prompts_dir).records}
    for place in places_of(path, templates):
        if place.whole:
            named = sorted(purpose.value for purpose in records[place.prompt].purposes)
            shown = {"prompt": place.prompt, "at_s": round(place.at_s, 3), "channel": place.channel}
            yield {**shown, "verifier": place.found.to_value()["verifier"], "purposes": named}


# ---------------------------------------------------------------- taking in


class _Importer:
    """Puts files on the shelf: sealed in `arriving`, then told to the ledger, then on the shelf, then gone from there.
    What a crash left in between is finished by the next run, through the same steps.
    """

    def __init__(self, desk: Desk, person: Person) -> None:
        self._desk = desk
        self._person = person
        self._shelf = imported_shelf(desk.config)
        create_store(self._shelf.path, self._shelf.keys)
        self._arriving = self._shelf.path / _ARRIVING
        make_dir(self._arriving)
        self._ring = FileKeyRing(key_file(desk.config, "keeper"))
        self._contacts = ContactSealer(self._ring)
        with open_log(desk.config.ledger.database) as log:
            self._log_id = log.key().log_id

    def arrived(self) -> list[str]:
        """What an earlier run sealed and did not finish; what it did not even seal is cleared away."""
        for path in self._arriving.glob("*.unfinished"):
            shutil.rmtree(path)
        return sorted(path.parent.name for path in self._arriving.glob(f"*/{MANIFEST_FILE}"))

    def recovered(self, name: str) -> str:
        """Finish one of those. Whose call it was stays unknown: the table of that run is gone."""
        return self._finished(read_sealed(self._arriving / name), number="")

    def taken_in(self, item: Item, foreign: Foreign) -> str:
        """Import one file, or say that it is here already."""
        named = f"line {item.at}: {one_line(item.path.name)}"
        if self._entry(foreign.call_uid):
            return f"{named}: {foreign.recording_id} was imported before"
        sealed = seal_foreign(self._arriving, foreign, self._ring.new_key(), log_id=self._log_id)
        return f"{named}: {self._finished(sealed, number=item.number)}"

    def _finished(self, sealed: Sealed, *, number: str) -> str:
        uid = str(sealed.manifest["header"]["call_uid"])
        leaf = self._entry(uid) or self._told(sealed, uid, number)
        write_file(sealed.folder / SEALED_LEAF_FILE, leaf.encode())
        asyncio.run(self._shelf.put(sealed))
        shutil.rmtree(sealed.folder)
        fsync_dir(self._arriving)
        return f"{sealed.recording_id}: {sealed.manifest['standing']}: {WORDS[Standing(sealed.manifest['standing'])]}"

    def _entry(self, call_uid: str) -> str:
        """The leaf of its `recording.imported`; empty where there is none."""
        with open_log(self._desk.config.ledger.database) as log:
            found = [e.leaf for e in log.of_call(call_uid) if e.kind == Kind.RECORDING_IMPORTED.value]
        return found[-1] if found else ""

    def _told(self, sealed: Sealed, uid: str, number: str) -> str:
        body = {**imported_body(sealed), "person": self._person.person, "login": self._person.login}
        salts = {NAME: self._contacts.seal(uid, numbers=[number], sip_call_id="")} if number else {}
        entry = Entry(kind=Kind.RECORDING_IMPORTED, body=body, call_uid=uid, actor=self._person.login, salts=salts)
        return self._desk.append(entry)
