"""The slow scan reads everything again, says what is damaged once, and comes round however often it is cut off."""

import pytest

from callrec.core.kinds import Kind
from tests.disposal.office import Office

TOLD = (Kind.FIXITY_OK, Kind.RECORDING_DAMAGED)


def fixity(office, *words):
    result = office.callrec("recordings", "fixity", *words)
    return result.exit_code, result.output


def damage(office, recording, what):
    store = office.config.store.path
    (audio,) = store.glob(f"objects/*/{recording}/audio.enc")
    (key,) = store.with_name("store-keys").glob(f"*/{recording}.key")
    path = {"audio": audio, "manifest": audio.with_name("manifest.json"), "key": key}[what.split()[0]]
    path.chmod(0o600)
    if what.endswith("gone"):
        path.unlink()
    elif what == "key another":
        path.write_bytes(b'{"key_id":"other"}')
    else:
        path.write_bytes(path.read_bytes()[:-2] + b"x}")


def test_what_is_as_it_was_sealed_is_told_so(office: Office):
    ids = sorted(office.record() for _ in range(2))

    assert fixity(office)[0] == 0

    (told,) = office.entries(*TOLD)
    assert (told.body["first"], told.body["last"]) == (ids[0], ids[1])
    assert (told.body["items"], told.body["damaged"]) == (2, 0)
    assert told.body["bytes"] > 1000
    assert office.verified().findings == ()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("audio changed", "its audio was changed"),
        ("audio gone", "gone from the store"),
        ("manifest changed", "its manifest was changed"),
        ("key gone", "its wrapped key is gone"),
        ("key another", "its wrapped key is another's"),
    ],
)
def test_what_was_damaged_is_named_once_and_nothing_is_touched(office, what, said):
    recording, sound = office.record(), office.record()
    damage(office, recording, what)
    before = sorted(path for path in office.folder.glob("var/store*/**/*") if path.is_file())

    code, printed = fixity(office)
    again, _ = fixity(office)

    assert (code, again) == (30, 30)
    assert f"DAMAGED: {recording}: {said}" in printed
    assert sound not in printed
    (damaged,) = office.entries(Kind.RECORDING_DAMAGED)
    assert (damaged.body["recording_id"], damaged.body["what"]) == (recording, said)
    assert f"{damaged.call_uid}-{damaged.segment}" == recording
    assert before == sorted(path for path in office.folder.glob("var/store*/**/*") if path.is_file())


def test_a_scan_goes_on_where_the_last_one_stopped_and_comes_round(office):
    ids = sorted(office.record() for _ in range(3))

    for _ in range(4):
        fixity(office, "--most", "1")

    assert [entry.body["last"] for entry in office.entries(Kind.FIXITY_OK)] == [*ids, ids[0]]


def test_a_store_that_is_away_is_no_damage(office):
    office.record()
    keys = office.config.store.path.with_name("store-keys")
    for path in (keys, office.config.store.path):
        path.rename(path.with_name("unmounted"))
        path.mkdir()
        assert fixity(office)[0] != 0
        path.rmdir()
        path.with_name("unmounted").rename(path)

    assert office.entries(*TOLD) == []


def test_what_was_disposed_of_is_not_missed(office):
    office.old()
    office.run("root", "dispose", office.agreed(), "--execute")

    assert fixity(office)[0] == 0
    assert office.entries(*TOLD) == []
