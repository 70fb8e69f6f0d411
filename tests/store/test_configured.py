"""A house whose configuration puts its store into a bucket: from `init` to listening, and what is said of a bad one."""

from __future__ import annotations

import asyncio
import zipfile
from types import SimpleNamespace

import pytest

from callrec import wiring
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Unavailable
from callrec.ports import Traffic
from tests.audit.packing import PackHouse
from tests.cli.house import House
from tests.store.s3 import a_bucket, written

pytestmark = pytest.mark.ceph


@pytest.fixture
def house(ceph, tmp_path):
    return House(tmp_path, changes=written(ceph, tmp_path, a_bucket(ceph)))


def built(config):
    return wiring.build_agent(config, telephony=SimpleNamespace(traffic=Traffic), allow_unsafe_memory=True)


def test_what_is_recorded_is_kept_in_the_bucket_under_its_lock_and_the_ledger_says_so(house):
    recording_id = house.record()

    (kept,) = house.entries(Kind.RECORDING_KEPT)
    assert kept.body["store_id"].startswith("s3:")
    assert kept.body["lock"] == "COMPLIANCE until 2034-03-01T00:00:00Z"
    assert house.spool.ready_ids() == ()
    assert recording_id in house.callrec("recordings", "list").output
    assert "COMPLIANCE" in house.callrec("recordings", "show", recording_id).output
    assert house.verified().sound


def test_a_recording_in_a_bucket_can_be_heard(house, tmp_path):
    recording_id = house.record()

    done = house.callrec("recordings", "export", recording_id, "--purpose", "audit", "-o", tmp_path / "talk.flac")

    assert done.exit_code == 0, done.output
    assert (tmp_path / "talk.flac").read_bytes()[:4] == b"fLaC"


def test_the_agent_does_not_start_on_a_bucket_from_which_recordings_could_be_removed(house, ceph, tmp_path):
    house.config_path.write_text(house.config_path.read_text().replace("bucket: callrec-", "bucket: plain-callrec-"))
    config = house.reloaded()
    ceph.client().create_bucket(Bucket=config.store.s3.bucket)

    with pytest.raises(ConfigError, match="keeps no versions"):
        built(config)


def test_the_agent_starts_while_the_server_is_away_and_recordings_wait(house):
    house.change(house.config.store.s3.endpoint, "http://127.0.0.1:9")

    agent = built(house.reloaded())

    with pytest.raises(Exception, match="cannot be reached"):
        asyncio.run(agent.agent.services.mover._store.stat("a-0"))
    agent.close()


def test_nothing_is_made_where_the_bucket_will_not_do(ceph, tmp_path):
    with pytest.raises(ConfigError, match="no default retention"):
        House(tmp_path, changes=written(ceph, tmp_path, a_bucket(ceph, default=None)))

    assert not (tmp_path / "var").exists()


def test_a_check_asks_the_bucket_and_says_what_is_wrong(house):
    text = house.callrec("config", "check").output
    house.change("access_key: file:s3-access", "access_key: file:s3-secret")

    live = house.callrec("config", "check", "--live")

    assert "Kept in the bucket callrec-" in text
    assert "store: the store with the bucket" in str(live.exception)
    assert "does not know our access key" in str(live.exception)


def test_secrets_that_others_may_read_are_told(house, tmp_path):
    (tmp_path / "s3-secret").chmod(0o644)

    said = house.callrec("config", "check")

    assert "store.s3.secret_key" in str(said.exception)


def test_a_hold_holds_in_the_bucket_as_well_and_one_on_a_line_what_it_covers(house, ceph):
    recording_id = house.record()

    held = house.callrec("recordings", "hold", recording_id, "--kind", "claim", "--reason", "CLM-1")

    assert "The store has the locks of 1 recordings in step" in held.output
    versions = ceph.client().list_object_versions(
        Bucket=house.config.store.s3.bucket, Prefix=f"recordings/{recording_id}"
    )
    for each in versions["Versions"]:
        place = {"Bucket": house.config.store.s3.bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
        assert ceph.client().head_object(**place)["ObjectLockLegalHoldStatus"] == "ON"
    house.change(house.config.store.s3.endpoint, "http://127.0.0.1:9")
    away = house.callrec("recordings", "hold", "--line", "advice", "--kind", "claim", "--reason", "CLM-2")
    assert away.exit_code == 0
    assert "is not in step" in away.output


def test_an_audit_reads_what_lies_in_the_bucket_and_finds_what_its_administrator_removed(house, ceph):
    recording_id = house.record()
    whole = house.callrec("audit", "verify")
    assert whole.exit_code == 0, whole.output
    assert "not looked at: 4" in whole.output

    bucket = house.config.store.s3.bucket
    held = ceph.client().list_object_versions(Bucket=bucket, Prefix=f"recordings/{recording_id}")["Versions"]
    (audio,) = (each for each in held if each["Key"].endswith(".enc"))
    ceph.removed_by_its_administrator(bucket, audio["Key"], audio["VersionId"])

    found = house.callrec("audit", "verify")
    assert found.exit_code == 30
    assert f"{recording_id} is gone from the store without a certificate" in found.output


def test_an_auditors_questions_and_a_pack_read_the_bucket_as_the_store_itself_does(ceph, tmp_path):
    """What is due, what is an orphan, what is left, where a call's recording lies, and a pack."""
    house = PackHouse(tmp_path, changes=written(ceph, tmp_path, a_bucket(ceph)))
    recording_id = house.record()
    uid = recording_id.partition("-")[0]

    due = house.callrec("audit", "retention-due", "--json")
    assert due.exit_code == 0, due.output
    assert "has no rule" not in due.output
    assert house.callrec("audit", "orphans").exit_code == 0
    assert house.callrec("audit", "disposals", "--prove").exit_code == 0
    assert f"{recording_id} in the bucket {house.config.store.s3.bucket}" in house.callrec("audit", "call", uid).output
    assert house.callrec("audit", "report").exit_code in (0, 1, 20)

    house.change(house.config.store.s3.endpoint, "http://127.0.0.1:9")
    for question in ("orphans", "retention-due"):
        assert isinstance(house.callrec("audit", question).exception, Unavailable), question
    assert house.callrec("audit", "coverage").exit_code == 0, "what asks nothing of the store is answered without it"
    house.change("http://127.0.0.1:9", house.config.store.s3.endpoint)

    pack = tmp_path / "call.zip"
    made = house.callrec("audit", "pack", recording_id, "-o", pack, "--with-recording", "--purpose", "audit")
    assert made.exit_code == 0, made.output
    with zipfile.ZipFile(pack) as files:
        assert {f"manifest/{recording_id}.json", f"recording/{recording_id}.flac"} <= set(files.namelist())
