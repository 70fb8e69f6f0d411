"""Where finished recordings are kept, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path

from callrec.config.values import Reference


@unique
class StoreKind(Enum):
    """What recordings are kept in."""

    FILESYSTEM = "filesystem"
    S3 = "s3"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3:
    """A bucket with Object Lock, and who we are there."""

    endpoint: str
    bucket: str
    region: str
    access_key: Reference
    secret_key: Reference
    ca: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where finished recordings are kept, and, apart from them, their wrapped `keys`. `s3` goes with that kind."""

    kind: StoreKind
    path: Path
    keys: Path
    s3: S3 | None
