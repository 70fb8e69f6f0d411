"""Stores in buckets of the real server, each bucket new; and what goes wrong with them."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

from callrec.errors import Refused
from callrec.store.admission import UnsafeAdmitEverything
from callrec.store.bucket import Bucket, BucketPlace
from callrec.store.s3 import S3Store, create_s3_store
from tests.peers import ports

LOCKED_S = 3


def a_bucket(ceph, *, lock=True, default="COMPLIANCE"):
    """Its name. As an operator makes it, or without one thing or the other."""
    name, client = f"callrec-{secrets.token_hex(6)}", ceph.client()
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    if lock and default:
        rule = {"DefaultRetention": {"Mode": default, "Days": 1}}
        client.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
    return name


def reached(ceph, name, **changes):
    place = {
        "endpoint": ceph.endpoint,
        "name": name,
        "region": "us-east-1",
        "access_key": ceph.access_key,
        "secret_key": ceph.secret_key,
    }
    return Bucket(BucketPlace(**{**place, **changes}))


def written(ceph, folder, bucket, *, port=None):
    """The changes that put a house's store into this bucket, its secrets beside the configuration."""
    for name, secret in (("s3-access", ceph.access_key), ("s3-secret", ceph.secret_key)):
        (folder / name).write_text(secret)
        (folder / name).chmod(0o400)
    place = f"endpoint: 'http://127.0.0.1:{port or ceph.port}', bucket: {bucket}"
    secrets_there = "access_key: file:s3-access, secret_key: file:s3-secret"
    return ("  kind: filesystem ", "  kind: s3 "), ("  s3: null ", f"  s3: {{{place}, {secrets_there}}} ")


def a_store(ceph, tmp_path, admission=None, *, until=None):
    bucket = reached(ceph, a_bucket(ceph))
    create_s3_store(bucket, tmp_path / "keys")
    return S3Store(bucket, admission=admission or UnsafeAdmitEverything(), keys=tmp_path / "keys", until=until)


class ForAMoment:
    """Locks each object for a few seconds from when it is first asked about, so that a test sees the lock end."""

    def __init__(self):
        self.until = {}

    def __call__(self, manifest):
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LOCKED_S)
        return self.until.setdefault(manifest["recording_id"], moment)


def a_store_that_locks_for_a_moment(ceph, tmp_path, admission=None):
    return a_store(ceph, tmp_path, admission, until=ForAMoment())


async def destroy_once_unlocked(store, recording_id):
    """`destroy`, again and again while the lock forbids it."""

    def tried():
        try:
            asyncio.run(store.destroy(recording_id))
        except Refused:
            return False
        return True

    await asyncio.to_thread(ports.until, tried, seconds=60, what="the lock ends")
