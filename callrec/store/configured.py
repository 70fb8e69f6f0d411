"""The store that the configuration names. What only one kind needs is imported where it is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from callrec.config import S3, Config
from callrec.errors import ConfigError
from callrec.ports import Store
from callrec.store.admission import EntryLookup, LedgerAdmission
from callrec.store.filesystem import FilesystemStore, create_store
from callrec.store.logs import LogsOnFiles

if TYPE_CHECKING:
    from callrec.store.bucket import Bucket


def store_of(config: Config, lookup: EntryLookup, evidence: Path) -> Store:
    """The store, with its own door: it believes what `lookup` shows of a ledger that was registered with it, and the
    evidence in that folder, judged again. ConfigError where its secrets or its library are not there; it is not asked
    anything yet.
    """
    place = config.store.s3
    if place is None:
        door = LedgerAdmission(lookup, logs=LogsOnFiles(config.store.path).ids, evidence=evidence)
        return FilesystemStore(config.store.path, admission=door, keys=config.store.keys)
    bucket = _bucket(place)
    from callrec.store.s3 import LogsInBucket, S3Store  # noqa: PLC0415 - needs the extra

    door = LedgerAdmission(lookup, logs=LogsInBucket(bucket).ids, evidence=evidence)
    return S3Store(bucket, admission=door, keys=config.store.keys)


def require_fit_place(config: Config) -> None:
    """ConfigError or `Unavailable` where what the store is to be built on will not do. Blocking."""
    if config.store.s3 is not None:
        _bucket(config.store.s3).require_lock()


def create(config: Config, *, log_id: str, vkey: str) -> None:
    """Make it, for `callrec init`, and have it believe this ledger. Harmless where it exists. Blocking. Errors as its
    kind's own.
    """
    place = config.store.s3
    if place is None:
        create_store(config.store.path, config.store.keys)
        LogsOnFiles(config.store.path).register(log_id, vkey)
        return
    bucket = _bucket(place)
    from callrec.store.s3 import LogsInBucket, create_s3_store  # noqa: PLC0415 - needs the extra

    create_s3_store(bucket, config.store.keys)
    LogsInBucket(bucket).register(log_id, vkey)


def folder_of(config: Config) -> Path | None:
    """Where its objects can be read as files; None where they are in a bucket."""
    return config.store.path if config.store.s3 is None else None


def where(config: Config) -> str:
    """Where it is, for people."""
    place = config.store.s3
    return str(config.store.path) if place is None else f"the bucket {place.bucket} of {place.endpoint}"


def _bucket(place: S3) -> Bucket:
    try:
        from callrec.store.bucket import Bucket, BucketPlace  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        step = "pip install 'callrec[s3]'"
        raise ConfigError(f"store.kind is s3, and {error.name} is not installed", next_step=step) from error
    return Bucket(
        BucketPlace(
            endpoint=place.endpoint,
            name=place.bucket,
            region=place.region,
            access_key=place.access_key.read().decode(),
            secret_key=place.secret_key.read().decode(),
            authorities=place.ca,
        )
    )
