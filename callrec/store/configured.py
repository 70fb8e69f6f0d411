"""The store that the configuration names. What only one kind needs is imported where it is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from callrec.config import S3, Config
from callrec.errors import ConfigError
from callrec.ports import Store
from callrec.store.admission import Admission
from callrec.store.filesystem import FilesystemStore, create_store

if TYPE_CHECKING:
    from callrec.store.bucket import Bucket


def store_of(config: Config, admission: Admission) -> Store:
    """The store. ConfigError where its secrets or its library are not there; it is not asked anything yet."""
    place = config.store.s3
    if place is None:
        return FilesystemStore(config.store.path, admission=admission, keys=config.store.keys)
    bucket = _bucket(place)
    from callrec.store.s3 import S3Store  # noqa: PLC0415 - needs the extra

    return S3Store(bucket, admission=admission, keys=config.store.keys)


def require_fit_place(config: Config) -> None:
    """ConfigError or `Unavailable` where no store could be made there: before anything else is made. Blocking."""
    if config.store.s3 is not None:
        _bucket(config.store.s3).require_lock()


def create(config: Config) -> str:
    """Make it, for `callrec init`; its id. Harmless where it exists. Blocking. Errors as its kind's own."""
    place = config.store.s3
    if place is None:
        return create_store(config.store.path, config.store.keys)
    bucket = _bucket(place)
    from callrec.store.s3 import create_s3_store  # noqa: PLC0415 - needs the extra

    return create_s3_store(bucket, config.store.keys)


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
