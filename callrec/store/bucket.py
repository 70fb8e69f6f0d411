"""One S3 bucket with Object Lock, over boto3: every failure named, with what to do next. The only file with boto3.

Single PUTs alone: servers ignore the lock headers of multipart uploads (measured with Ceph's gateway), and some ignore
`If-None-Match`, so that nothing here relies on it. A version that was written is never written over: what lies under a
key is told by its versions, the oldest first. Blocking; safe from any thread.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from callrec.errors import ConfigError, Unavailable
from callrec.store.objects import PIECE_BYTES

COMPLIANCE: Final = "COMPLIANCE"
_CONNECT_S: Final = 5
_ANSWER_S: Final = 30
_AT_ONCE: Final = 16
_HASH: Final = "sha256"
_CREDENTIALS: Final = "correct store.s3.access_key and store.s3.secret_key, and what that account may do"
_HOW: Final = "make it with Object Lock (which brings versioning) and a default retention in COMPLIANCE mode of one day"

_NAMED: Final[Mapping[str, tuple[str, str]]] = {
    "InvalidAccessKeyId": ("does not know our access key", _CREDENTIALS),
    "SignatureDoesNotMatch": ("does not accept our secret key", _CREDENTIALS),
    "AccessDenied": ("does not let us do that", _CREDENTIALS),
    "403": ("does not let us do that", _CREDENTIALS),
    "NoSuchBucket": ("has no such bucket", f"correct store.s3.bucket, or {_HOW}"),
    "RequestTimeTooSkewed": ("has another time than this machine", "set this machine's clock, or the store's"),
    "RequestExpired": ("has another time than this machine", "set this machine's clock, or the store's"),
    "QuotaExceeded": ("is full", "raise the quota of our account, or free room there"),
    "InsufficientCapacity": ("is full", "free room there"),
    "507": ("is full", "free room there"),
}
"""What the server says, and what it means to an operator. Whatever else it says is told as it says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPlace:
    """Where a bucket is and who we are there. `authorities`: the file of those who may vouch for the server."""

    endpoint: str
    name: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    authorities: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of one key. `marker`: a DELETE put it there, and it hides the older ones without removing them."""

    key: str
    version: str
    size: int
    etag: str
    marker: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What the server says of one version: its length, the SHA-256 it was given with, and how it is locked.
    `held`: by a legal hold, which has no date.
    """

    size: int
    sha256: str
    mode: str
    until: datetime | None
    held: bool = False


class Bucket:
    """A bucket. `Unavailable` from every method, naming the cause, where the server cannot or will not."""

    def __init__(self, place: BucketPlace) -> None:
        self.name = place.name
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            aws_access_key_id=place.access_key,
            aws_secret_access_key=place.secret_key,
            verify=str(place.authorities) if place.authorities else None,
            config=_patience(),
        )

    def require_lock(self) -> None:
        """ConfigError unless it has versioning, Object Lock and a default retention in COMPLIANCE mode."""
        with self._explained():
            versioning = self.client.get_bucket_versioning(Bucket=self.name).get("Status")
        lock = self._lock_configuration()
        if versioning != "Enabled":
            self._unfit("keeps no versions")
        if lock.get("ObjectLockEnabled") != "Enabled":
            self._unfit("has no Object Lock")
        default = lock.get("Rule", {}).get("DefaultRetention", {})
        if default.get("Mode") != COMPLIANCE:
            self._unfit("has no default retention in COMPLIANCE mode")

    def _unfit(self, why: str) -> None:
        raise ConfigError(f"the bucket {self.name} {why}, so that recordings could be removed", next_step=_HOW)

    def _lock_configuration(self) -> Mapping[str, Any]:
        with self._explained():
            try:
                answer = self.client.get_object_lock_configuration(Bucket=self.name)
            except ClientError as error:
                if error.response["Error"]["Code"] in ("ObjectLockConfigurationNotFoundError", "InvalidRequest", "404"):
                    return {}
                raise
        lock: Mapping[str, Any] = answer.get("ObjectLockConfiguration", {})
        return lock

    def put(self, key: str, body: bytes | BinaryIO, *, sha256: str, until: datetime | None) -> str:
        """Write one version in a single PUT, locked until then (None: by the bucket's default); its name."""
        lock = {} if until is None else {"ObjectLockMode": COMPLIANCE, "ObjectLockRetainUntilDate": until}
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with self._explained():
            answer = self.client.put_object(
                Bucket=self.name, Key=key, Body=body, ChecksumSHA256=checksum, Metadata={_HASH: sha256}, **lock
            )
        version = answer.get("VersionId")
        if not version:
            self._unfit("keeps no versions")
        return str(version)

    def head(self, key: str, version: str) -> Locked:
        """What the server says of this very version."""
        with self._explained():
            said = self.client.head_object(Bucket=self.name, Key=key, VersionId=version)
        return Locked(
            size=said["ContentLength"],
            sha256=said["Metadata"].get(_HASH, ""),
            mode=said.get("ObjectLockMode", ""),
            until=said.get("ObjectLockRetainUntilDate"),
            held=said.get("ObjectLockLegalHoldStatus") == "ON",
        )

    def retain(self, key: str, version: str, until: datetime) -> None:
        """Lock this version until then, in COMPLIANCE mode. A server refuses an earlier date than it has."""
        retention = {"Mode": COMPLIANCE, "RetainUntilDate": until}
        with self._explained():
            self.client.put_object_retention(Bucket=self.name, Key=key, VersionId=version, Retention=retention)

    def hold(self, key: str, version: str, *, on: bool) -> None:
        """Put a legal hold on this version, or take it off."""
        status = {"Status": "ON" if on else "OFF"}
        with self._explained():
            self.client.put_object_legal_hold(Bucket=self.name, Key=key, VersionId=version, LegalHold=status)

    def versions(self, prefix: str) -> list[Version]:
        """Every version of every key that begins so, an older one of a key before a newer one (the server lists them
        the other way round); then the markers of every DELETE.
        """
        with self._explained():
            pages = list(self.client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix))
        written = [_version(row) for page in pages for row in page.get("Versions", ())]
        markers = [_version(row, marker=True) for page in pages for row in page.get("DeleteMarkers", ())]
        return [*reversed(written), *markers]

    def body(self, key: str, version: str) -> Any:
        """This version's bytes: for `piece`, and to be closed."""
        with self._explained():
            return self.client.get_object(Bucket=self.name, Key=key, VersionId=version)["Body"]

    def piece(self, body: Any, most: int) -> bytes:
        """The next bytes of what `body` answered; none at its end."""
        with self._explained():
            return bytes(body.read(most))

    def pieces(self, key: str, version: str) -> Iterator[bytes]:
        """All bytes of this version, in pieces."""
        with closing(self.body(key, version)) as body:
            while piece := self.piece(body, PIECE_BYTES):
                yield piece

    def read(self, key: str, version: str) -> bytes:
        """The whole of this version."""
        return b"".join(self.pieces(key, version))

    def remove(self, key: str, version: str) -> None:
        """Remove this version; harmless where it is gone."""
        with self._explained():
            self.client.delete_object(Bucket=self.name, Key=key, VersionId=version)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._named(error) from error
        except (BotoCoreError, HTTPClientError, OSError) as error:
            step = "see that it runs and can be reached from here; store.s3.endpoint says where it is looked for"
            raise Unavailable(f"the store cannot be reached: {type(error).__name__}", next_step=step) from error

    def _named(self, error: ClientError) -> Unavailable:
        said = error.response
        code, status = str(said["Error"]["Code"]), said["ResponseMetadata"].get("HTTPStatusCode", 0)
        if code not in _NAMED and status == HTTPStatus.INSUFFICIENT_STORAGE:
            code = "507"
        what, step = _NAMED.get(code, (f"answers {code} ({status})", "look at the store's own log"))
        return Unavailable(f"the store with the bucket {self.name} {what}", next_step=step)


def _patience() -> ClientConfig:
    """One try: whoever calls has the patience, and a mover that waits must know that it waits."""
    return ClientConfig(
        connect_timeout=_CONNECT_S,
        read_timeout=_ANSWER_S,
        retries={"total_max_attempts": 1},
        max_pool_connections=_AT_ONCE,
        s3={"addressing_style": "path"},
    )


def _version(row: Mapping[str, Any], *, marker: bool = False) -> Version:
    return Version(
        key=row["Key"], version=row["VersionId"], size=row.get("Size", 0), etag=row.get("ETag", ""), marker=marker
    )
