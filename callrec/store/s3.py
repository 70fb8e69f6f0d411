"""Recordings in an S3 bucket whose Object Lock is in COMPLIANCE mode; their wrapped keys in a folder, apart.

store.json                       which store this is; where it is missing, this is another bucket
logs/<log id>.vkey               the ledgers that it believes
recordings/<id>/<sha256>.json    the sealed manifest, named by its own hash
recordings/<id>/<sha256>.enc     the ciphertext, named by its manifest's hash
tombstones/<id>.json             which certificate says that it was destroyed

Keys are named by content, so that no content is ever written over another. A put asks what is there, writes the wrapped
key, the manifest and the audio in this order, each in one PUT under a lock until the recording's due date, and then
believes nothing: lock mode and date are read back from each version, and the audio's bytes are read again and hashed.

The lock binds whoever comes by S3, not whoever runs the server: have it run by other hands.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from callrec._canonical import canonical, sha256_hex
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.ports import Json, Kept, Sealed, Store
from callrec.store.admission import Admission
from callrec.store.bucket import COMPLIANCE, Bucket, Locked, Version
from callrec.store.logs import ENDING, FOLDER, RegisteredLogs
from callrec.store.objects import PIECE_BYTES, Whole, parse_manifest, safe_name, whole
from callrec.store.shelf import MARKER, KeyShelf, create_shelf

FORMAT: Final = "callrec/s3-store/1"
_RECORDINGS: Final = "recordings/"
_AUDIO: Final = ".enc"
_MANIFEST: Final = ".json"
_TOMBSTONES: Final = "tombstones/"
Until = Callable[[Mapping[str, Any]], datetime]
"""Until when the object with this manifest is locked."""
_LOOK_UP: Final = "look the id up again"
_PERSON: Final = "keep it and call a person: the version that was kept is locked, and says what it was"


def create_s3_store(bucket: Bucket, keys: Path) -> str:
    """Make an empty store in this bucket and answer its id; harmless where it exists. Blocking. For `callrec init`.

    ConfigError where the bucket does not lock what it holds.
    """
    bucket.require_lock()
    found = bucket.versions(MARKER)
    if found:
        marker = bucket.read(MARKER, found[0].version)
    else:
        marker = canonical({"format": FORMAT, "store_id": f"s3:{secrets.token_hex(8)}"})
        bucket.put(MARKER, marker, sha256=sha256_hex(marker), until=None)
    create_shelf(keys, marker)
    return str(parse_manifest(marker)["store_id"])


class LogsInBucket:
    """`logs/<log id>.vkey`, locked as everything else there. What was seen once is not asked for again."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._seen: frozenset[str] = frozenset()

    def ids(self) -> frozenset[str]:
        """See `RegisteredLogs`."""
        if not self._seen:
            there = [each.key for each in self._bucket.versions(f"{FOLDER}/") if not each.marker]
            self._seen = frozenset(key.removeprefix(f"{FOLDER}/").removesuffix(ENDING) for key in there)
        return self._seen

    def register(self, log_id: str, vkey: str) -> None:
        """See `RegisteredLogs`."""
        key, data = f"{FOLDER}/{log_id}{ENDING}", f"{vkey}\n".encode()
        if not self._bucket.versions(key):
            self._bucket.put(key, data, sha256=sha256_hex(data), until=None)


@dataclass(frozen=True, slots=True)
class _Found:
    """What lies in the bucket under one recording id: its versions, oldest first."""

    audio: tuple[Version, ...]
    manifests: tuple[Version, ...]

    def contents(self) -> frozenset[str]:
        """Hashes of the manifests by which all of it is named. More than one contradict each other."""
        return frozenset(each.key.rpartition("/")[2].partition(".")[0] for each in (*self.audio, *self.manifests))


class _UnlockedError(Broken):
    """The server holds an object without the lock that it was told to put on it."""


class S3Store:
    """Keeps recordings in `bucket` and their wrapped keys under `keys`. `create_s3_store` must have made it.

    Safe for several processes: two that put the same at once leave two versions of equal content, of which the older
    one counts, for both. `until` says how long each object is locked, by default up to the day when it falls due.
    """

    def __init__(self, bucket: Bucket, *, admission: Admission, keys: Path, until: Until | None = None) -> None:
        self.bucket = bucket
        self._until = until or due_day
        self._admission = admission
        self._shelf = KeyShelf(keys)
        self._identity = ""
        self._putting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def require_fit(self) -> None:
        """See `Store`: ConfigError where the bucket does not lock what it holds."""
        self.bucket.require_lock()

    async def clear_unfinished(self) -> None:
        """See `Store`. Nothing: a PUT is whole or never was, and a put that was cut off goes on when repeated."""

    # ------------------------------------------------------------ RecordingStore

    async def put(self, sealed: Sealed) -> Kept:
        """See `RecordingStore`. `Refused` too where the object was destroyed before."""
        await asyncio.to_thread(self._admission.check, sealed)
        async with self._putting.setdefault(sealed.recording_id, asyncio.Lock()):
            return await asyncio.to_thread(self._put, sealed)

    async def stat(self, recording_id: str) -> Kept | None:
        """See `RecordingStore`: the audio is read and hashed. `Broken` where it, its key or its lock is not as kept."""
        return await asyncio.to_thread(self._stat, recording_id)

    async def read(self, recording_id: str) -> AsyncIterator[bytes]:
        """See `RecordingStore`."""
        version = await asyncio.to_thread(self._kept_audio, recording_id)
        body = await asyncio.to_thread(self.bucket.body, version.key, version.version)
        try:
            while piece := await asyncio.to_thread(self.bucket.piece, body, PIECE_BYTES):
                yield piece
        finally:
            body.close()

    async def manifest(self, recording_id: str) -> Mapping[str, Json]:
        """See `RecordingStore`. It outlives its audio."""
        return parse_manifest(await asyncio.to_thread(self._manifest, recording_id))

    async def ids(self) -> AsyncIterator[str]:
        """See `RecordingStore`. Destroyed ones are not among them; one that is hidden by a DELETE is."""
        for recording_id in await asyncio.to_thread(self._ids):
            yield recording_id

    # ------------------------------------------------------------ WrappedKeys

    async def wrapped_key(self, recording_id: str) -> bytes:
        """See `WrappedKeys`."""
        return await asyncio.to_thread(lambda: self._shelf.read(self._store_id(), recording_id))

    async def rewrapped(self, recording_id: str, wrapped: bytes) -> None:
        """See `WrappedKeys`. `Refused` where it wraps another key."""
        await asyncio.to_thread(lambda: self._shelf.replace(self._store_id(), recording_id, wrapped))

    async def destroy(self, recording_id: str) -> None:
        """See `WrappedKeys`. `Refused` where the lock still holds the audio: its key is destroyed all the same."""
        await asyncio.to_thread(self._destroy, recording_id)

    async def lock(self, recording_id: str, *, until: date | None, held: bool) -> str:
        """See `WrappedKeys`: retention in COMPLIANCE mode, and a legal hold, on audio and manifest."""
        wanted = _midnight(until) if until else None
        return await asyncio.to_thread(lambda: self._lock(recording_id, wanted, held=held))

    async def bury(self, recording_id: str, tombstone: bytes) -> None:
        """See `WrappedKeys`."""
        await asyncio.to_thread(self._bury, recording_id, tombstone)

    # ------------------------------------------------------------ work, blocking

    def _store_id(self) -> str:
        """Which store this is; before the first answer, that its bucket locks what it holds."""
        if not self._identity:
            try:
                self.require_fit()
            except ConfigError as error:
                raise Unavailable(str(error), next_step=error.next_step) from error
            found = self.bucket.versions(MARKER)
            if not found:
                step = "correct store.s3.bucket, or make the store with `callrec init`"
                raise Unavailable(f"the bucket {self.bucket.name} holds no store", next_step=step)
            self._identity = str(parse_manifest(self.bucket.read(MARKER, found[0].version))["store_id"])
        return self._identity

    def _put(self, sealed: Sealed) -> Kept:
        given = whole(sealed)
        identity, found = self._store_id(), self._found(given.recording_id)
        self._agree(given.recording_id, found, given)
        if found.manifests and not found.audio and not self._shelf.holds(identity, given.recording_id):
            raise Refused(f"{given.recording_id} was destroyed, and is not kept again", next_step="call a person")
        if not found.audio:
            self._shelf.keep(identity, given.recording_id, given.wrapped)
            self._write(given, found, self._until(sealed.manifest))
        try:
            held = self._stat(given.recording_id)
        except _UnlockedError as error:
            raise Unavailable(str(error), next_step=error.next_step) from error
        if held is None:
            raise Unavailable(f"the store does not show {given.recording_id}, which it took", next_step="wait")
        return held

    def _write(self, given: Whole, found: _Found, until: datetime) -> None:
        if not found.manifests:
            self.bucket.put(_key(given, _MANIFEST), given.manifest, sha256=given.manifest_sha256, until=_ahead(until))
        try:
            with given.audio.open("rb") as audio:
                self.bucket.put(_key(given, _AUDIO), audio, sha256=given.cipher_sha256, until=_ahead(until))
        except OSError as error:
            raise Unavailable(
                f"{given.recording_id}: {error.strerror}", next_step="look at the spool's disk"
            ) from error

    @staticmethod
    def _agree(recording_id: str, found: _Found, given: Whole | None = None) -> None:
        expected = found.contents() if given is None else frozenset((given.manifest_sha256,))
        if len(found.contents()) > 1 or not found.contents() <= expected:
            raise Broken(f"{recording_id} is held with another content", next_step="compare both with the ledger")

    def _found(self, recording_id: str) -> _Found:
        there = self.bucket.versions(f"{_RECORDINGS}{safe_name(recording_id)}/")
        written = [each for each in there if not each.marker]
        return _Found(
            audio=tuple(each for each in written if each.key.endswith(_AUDIO)),
            manifests=tuple(each for each in written if each.key.endswith(_MANIFEST)),
        )

    def _stat(self, recording_id: str) -> Kept | None:
        safe_name(recording_id)
        identity, found = self._store_id(), self._found(recording_id)
        self._agree(recording_id, found)
        has_key = self._shelf.holds(identity, recording_id)
        if not found.audio:
            if found.manifests and has_key:
                raise Broken(f"{recording_id}: its audio is gone from the store", next_step="look for it in the spool")
            return None
        if not has_key:
            raise Broken(f"{recording_id}: its wrapped key is gone", next_step="restore it, or finish its disposal")
        return self._read_back(identity, recording_id, found)

    def _read_back(self, identity: str, recording_id: str, found: _Found) -> Kept:
        """What the store says of the oldest version, and what its bytes are."""
        audio = _unanimous(recording_id, "audio", found.audio)
        manifest = self._manifest_of(recording_id, found)
        said = parse_manifest(manifest)
        digest = hashlib.sha256()
        for piece in self.bucket.pieces(audio.key, audio.version):
            digest.update(piece)
        if digest.hexdigest() != said.get("cipher_sha256"):
            raise Broken(f"{recording_id}: its audio was changed in the store", next_step=_PERSON)
        until = min(self._locked(recording_id, each, said) for each in (audio, found.manifests[0]))
        lock = f"{COMPLIANCE} until {_text(until)}"
        return Kept(store_id=identity, object_version=audio.version, lock=lock, cipher_sha256=digest.hexdigest())

    def _locked(self, recording_id: str, version: Version, manifest: Mapping[str, Any]) -> datetime:
        """Until when; `Broken` where the server did not lock it as it was told."""
        said, wanted = self.bucket.head(version.key, version.version), self._until(manifest)
        if said.mode != COMPLIANCE or said.until is None or said.until < wanted:
            shown = f"{said.mode or 'no lock'} until {said.until or 'never'}"
            step = "look for a server that locks what it is told to lock; what is in the spool stays there"
            raise _UnlockedError(f"{recording_id}: the store holds it with {shown}", next_step=step)
        return said.until

    def _lock(self, recording_id: str, until: datetime | None, *, held: bool) -> str:
        found = self._found(recording_id)
        self._agree(recording_id, found)
        if not found.audio or not found.manifests:
            raise Unavailable(f"the store does not hold {recording_id}", next_step=_LOOK_UP)
        said = [self._relocked(each, until, held=held) for each in (found.audio[0], found.manifests[0])]
        return _lock_text(min(said, key=lambda each: each.until or datetime.min.replace(tzinfo=UTC)))

    def _relocked(self, version: Version, until: datetime | None, *, held: bool) -> Locked:
        """Only what is not so yet is written; then the server is asked what it made of it."""
        place = (version.key, version.version)
        said = self.bucket.head(*place)
        if until is not None and _ahead(until) and (said.until is None or said.until < until):
            self.bucket.retain(*place, until)
        if said.held is not held:
            self.bucket.hold(*place, on=held)
        said = self.bucket.head(*place)
        short = until is not None and _ahead(until) and (said.until is None or said.until < until)
        if said.mode != COMPLIANCE or short or said.held is not held:
            what = f"{version.key}: the server says {_lock_text(said)} after it was told otherwise"
            raise Unavailable(what, next_step="look for a server that locks what it is told to lock")
        return said

    def _manifest_of(self, recording_id: str, found: _Found) -> bytes:
        if not found.manifests:
            raise Broken(f"{recording_id}: its manifest is gone from the store", next_step=_PERSON)
        oldest = _unanimous(recording_id, "manifest", found.manifests)
        data = self.bucket.read(oldest.key, oldest.version)
        if sha256_hex(data) not in found.contents():
            raise Broken(f"{recording_id}: its manifest was changed in the store", next_step=_PERSON)
        return data

    def _manifest(self, recording_id: str) -> bytes:
        found = self._found(recording_id)
        self._agree(recording_id, found)
        if not found.manifests:
            raise Unavailable(f"the store does not hold {recording_id}", next_step=_LOOK_UP)
        return self._manifest_of(recording_id, found)

    def _kept_audio(self, recording_id: str) -> Version:
        found = self._found(recording_id)
        self._agree(recording_id, found)
        if not found.audio:
            raise Unavailable(f"the store does not hold {recording_id}", next_step=_LOOK_UP)
        return found.audio[0]

    def _ids(self) -> list[str]:
        self._store_id()
        there = self.bucket.versions(_RECORDINGS)
        return sorted({each.key.split("/")[1] for each in there if each.key.endswith(_AUDIO) and not each.marker})

    def _destroy(self, recording_id: str) -> None:
        self._shelf.remove(self._store_id(), recording_id)
        for each in self.bucket.versions(f"{_RECORDINGS}{safe_name(recording_id)}/"):
            if not each.key.endswith(_AUDIO):
                continue
            until = None if each.marker else self.bucket.head(each.key, each.version).until
            if until is not None and until > datetime.now(UTC):
                what = f"{recording_id}: its key is destroyed, so that nobody can open it, and its ciphertext is locked"
                raise Refused(f"{what} in the store until {_text(until)}", next_step="run this again after that")
            self.bucket.remove(each.key, each.version)

    def _bury(self, recording_id: str, tombstone: bytes) -> None:
        if self._shelf.holds(self._store_id(), recording_id) or self._found(recording_id).audio:
            raise Refused(f"{recording_id} was not destroyed", next_step="destroy it first")
        key = f"{_TOMBSTONES}{recording_id}.json"
        found = self.bucket.versions(key)
        if not found:
            self.bucket.put(key, tombstone, sha256=sha256_hex(tombstone), until=None)
        elif self.bucket.read(key, found[0].version) != tombstone:
            raise Refused(f"{recording_id} has another tombstone", next_step="compare both with the ledger")


def _key(given: Whole, ending: str) -> str:
    return f"{_RECORDINGS}{given.recording_id}/{given.manifest_sha256}{ending}"


def _unanimous(recording_id: str, what: str, versions: tuple[Version, ...]) -> Version:
    """The oldest version. `Broken` where a later one is something else: somebody wrote over it."""
    oldest = versions[0]
    if any((each.size, each.etag) != (oldest.size, oldest.etag) for each in versions):
        raise Broken(f"{recording_id}: somebody wrote another {what} over it in the store", next_step=_PERSON)
    return oldest


def due_day(manifest: Mapping[str, Any]) -> datetime:
    """When the day begins on which it falls due, UTC, and it may be disposed of. `Refused` where none is named."""
    try:
        day = date.fromisoformat(manifest["retention"]["due"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("its retention rule names no date when it falls due", next_step="call a person") from error
    return _midnight(day)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _lock_text(said: Locked) -> str:
    until = _text(said.until) if said.until else "never"
    return f"{said.mode or 'no lock'} until {until}{', legal hold' if said.held else ''}"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ahead(until: datetime) -> datetime | None:
    """A date that has passed already cannot be locked to: the bucket's default holds it then."""
    return until if until > datetime.now(UTC) else None


_: type[Store] = S3Store
_logs: type[RegisteredLogs] = LogsInBucket
