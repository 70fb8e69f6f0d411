"""Who called is sealed by the agent, who cannot open it, and opens to the keeper alone, of that call alone."""

import pytest

from callrec._canonical import canonical, parse
from callrec.errors import Broken, Refused
from callrec.store.contacts import ContactOpener, ContactSealer
from callrec.store.keys import FileKeyRing, create_keeper_keys, unwrap

UID = "ab" * 16


@pytest.fixture
def keeper(tmp_path):
    return create_keeper_keys(tmp_path)


def opener(keys):
    return ContactOpener(lambda wrapped: unwrap(wrapped, keys.private))


def test_the_keeper_opens_what_the_agent_sealed_and_nothing_of_it_can_be_read(keeper):
    sealed = ContactSealer(FileKeyRing(keeper.public)).seal(UID, numbers=["sip:07700900001@h"], sip_call_id="x@y")

    assert "07700900001" not in sealed
    assert opener(keeper).opened(UID, sealed).numbers == ("sip:07700900001@h",)
    assert opener(keeper).opened(UID, sealed).sip_call_id == "x@y"


def test_a_contact_put_under_another_call_or_changed_is_broken(keeper):
    sealed = ContactSealer(FileKeyRing(keeper.public)).seal(UID, numbers=[], sip_call_id="x")
    fields = parse(sealed.encode())
    damaged = [
        canonical(fields | {"box": fields["box"][:-2] + "00"}).decode(),
        canonical(fields | {"box": "no hex"}).decode(),
        "{}",
        "nonsense",
        "",
    ]

    for text, uid in [(sealed, "cd" * 16), *((text, UID) for text in damaged)]:
        with pytest.raises(Broken):
            opener(keeper).opened(uid, text)


def test_another_keeper_opens_nothing(keeper, tmp_path):
    (tmp_path / "other").mkdir()
    other = create_keeper_keys(tmp_path / "other")
    sealed = ContactSealer(FileKeyRing(keeper.public)).seal(UID, numbers=[], sip_call_id="x")

    with pytest.raises(Refused, match="another keeper"):
        opener(other).opened(UID, sealed)


def test_no_nonce_is_used_twice_under_one_key(keeper):
    sealer = ContactSealer(FileKeyRing(keeper.public))
    sealed = [parse(sealer.seal(UID, numbers=[], sip_call_id="x").encode()) for _ in range(600)]

    assert len({(each["key"], each["nonce"]) for each in sealed}) == 600
    assert len({each["key"] for each in sealed}) == 3


def test_what_the_far_end_writes_into_its_headers_never_stops_the_sealing(keeper):
    numbers = ["\ud800", "x" * 10_000, "é" * 300]
    sealed = ContactSealer(FileKeyRing(keeper.public)).seal(UID, numbers=numbers, sip_call_id="\udfff")

    assert len(opener(keeper).opened(UID, sealed).numbers) == 3
