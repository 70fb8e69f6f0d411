"""Signed notes: what was signed is read back, and nothing else is believed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from callrec.errors import Broken
from callrec.ledger.checkpoint import (
    BadSignature,
    Checkpoint,
    LogKey,
    NotACheckpoint,
    WrongKey,
    key_of,
    parse,
    parse_vkey,
    sign,
    verify,
)

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEY = key_of(SECRET)
ROOT = bytes(range(100, 132))
NOTE = sign(Checkpoint(origin=KEY.name, size=7, root=ROOT), SECRET)


@given(st.integers(0, 2**53), st.binary(min_size=32, max_size=32))
def test_what_was_signed_is_read_back(size, root):
    checkpoint = Checkpoint(origin=KEY.name, size=size, root=root)
    assert verify(sign(checkpoint, SECRET), KEY) == checkpoint


def test_the_note_has_the_lines_that_other_tools_expect():
    text, signature = NOTE.decode().split("\n\n")
    assert text.split("\n") == [KEY.name, "7", base64.b64encode(ROOT).decode()]
    assert signature.startswith(f"\u2014 {KEY.name} ")
    assert base64.b64decode(signature.split(" ")[2])[:4] == KEY.key_id


def test_a_published_verifier_key_of_another_log_has_the_id_it_was_published_with():
    published = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert parse_vkey(published).vkey() == published


@given(st.binary(max_size=300))
def test_no_bytes_at_all_are_taken_for_a_checkpoint_or_end_in_another_error(data):
    with pytest.raises(NotACheckpoint):
        parse(data)


@given(st.data())
def test_a_note_with_one_byte_changed_is_refused(data):
    at = data.draw(st.integers(0, len(NOTE) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != NOTE[at]))
    with pytest.raises(Broken):
        verify(NOTE[:at] + bytes([value]) + NOTE[at + 1 :], KEY)


@given(st.integers(0, len(NOTE) - 1))
def test_a_torn_note_is_refused(length):
    with pytest.raises(Broken):
        verify(NOTE[:length], KEY)


@pytest.mark.parametrize(
    ("note", "what"),
    [
        (b"\xff\n\n", "UTF-8"),
        (b"x" * 70_000, "longer"),
        (b"a\n1\nb\n", "signature block"),
        (b"a\n1\n\n\xe2\x80\x94 a AA==\n", "2 lines"),
        (NOTE.replace(b"\n7\n", b"\n07\n"), "plain number"),
        (NOTE.replace(b"\n7\n", b"\n-7\n"), "plain number"),
        (NOTE.replace(base64.b64encode(ROOT), b"AAAA"), "no SHA-256"),
        (NOTE.replace(base64.b64encode(ROOT), b"?"), "not base64"),
        (NOTE.replace(b"\xe2\x80\x94 ", b"- "), "malformed"),
        (NOTE[: NOTE.rindex(b" ")] + b" AAAA\n", "wrong length"),
    ],
)
def test_each_malformed_note_is_told_what_is_wrong_with_it(note, what):
    with pytest.raises(NotACheckpoint, match=what):
        parse(note)


def test_a_note_of_another_log_is_told_so():
    with pytest.raises(WrongKey, match="not of"):
        verify(sign(Checkpoint(origin=key_of(OTHER).name, size=7, root=ROOT), OTHER), KEY)


def test_a_note_that_only_a_stranger_signed_is_told_so():
    stranger = LogKey(KEY.name, key_of(OTHER).raw)
    with pytest.raises(WrongKey, match="did not sign"):
        verify(NOTE, stranger)


def test_a_note_whose_root_was_replaced_has_a_false_signature():
    forged = NOTE.replace(base64.b64encode(ROOT), base64.b64encode(bytes(32)))
    with pytest.raises(BadSignature, match="size 7"):
        verify(forged, KEY)


def test_a_witness_may_sign_below_us():
    witness = "\u2014 witness.example " + base64.b64encode(bytes(68)).decode() + "\n"
    assert verify(NOTE + witness.encode(), KEY).size == 7


def test_no_key_signs_for_another_log():
    with pytest.raises(ValueError, match="does not sign for"):
        sign(Checkpoint(origin="callrec/other", size=1, root=ROOT), SECRET)


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AAAA", KEY.vkey()[:-4], "x" + KEY.vkey()])
def test_what_is_no_verifier_key_is_refused(text):
    with pytest.raises(NotACheckpoint):
        parse_vkey(text)
