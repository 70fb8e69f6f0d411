import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec._canonical import canonical
from callrec.errors import Broken, ConfigError, Refused
from callrec.store.keys import FileKeyRing, _unwrap, create_keeper_keys, load_private, rewrap, unwrap


@pytest.fixture
def keeper(tmp_path):
    return create_keeper_keys(tmp_path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    keys = create_keeper_keys(tmp_path_factory.mktemp("keys"))
    return FileKeyRing(keys.public).new_key(), load_private(keys.private)


def test_the_keeper_opens_what_the_agent_wrapped(keeper):
    key = FileKeyRing(keeper.public).new_key()

    assert unwrap(key.wrapped, keeper.private) == key


def test_every_key_is_new(keeper):
    ring = FileKeyRing(keeper.public)
    keys = [ring.new_key() for _ in range(20)]

    assert len({key.secret for key in keys}) == len({key.key_id for key in keys}) == 20


def test_the_secret_is_in_no_text_of_the_key(keeper):
    key = FileKeyRing(keeper.public).new_key()

    assert str(key.secret) not in repr(key)
    assert key.secret.hex().encode() not in key.wrapped


def test_another_keeper_is_refused(keeper, tmp_path):
    (tmp_path / "other").mkdir()
    other = create_keeper_keys(tmp_path / "other")

    with pytest.raises(Refused, match="another keeper"):
        unwrap(FileKeyRing(keeper.public).new_key().wrapped, other.private)


def test_rotation_keeps_the_key_and_changes_who_opens_it(keeper, tmp_path):
    (tmp_path / "next").mkdir()
    successor = create_keeper_keys(tmp_path / "next")
    key = FileKeyRing(keeper.public).new_key()

    rotated = rewrap(key.wrapped, keeper.private, successor.public)

    assert unwrap(rotated, successor.private).secret == key.secret
    with pytest.raises(Refused):
        unwrap(rotated, keeper.private)


@pytest.mark.parametrize("field", ["format", "key_id", "keeper", "ephemeral", "nonce", "ciphertext"])
@pytest.mark.parametrize("change", ["other", "missing", "number"])
def test_a_changed_wrapping_never_opens(pair, field, change):
    fields = json.loads(pair[0].wrapped)
    match change:
        case "other":
            fields[field] = ("0" if fields[field][0] != "0" else "1") + fields[field][1:]
        case "missing":
            del fields[field]
        case _:
            fields[field] = 7

    with pytest.raises((Broken, Refused)):
        _unwrap(canonical(fields), pair[1])


@settings(max_examples=60)
@given(data=st.data())
def test_no_flipped_bit_in_a_wrapped_key_goes_unnoticed(pair, data):
    wrapped = bytearray(pair[0].wrapped)
    bit = data.draw(st.integers(0, len(wrapped) * 8 - 1))
    wrapped[bit // 8] ^= 1 << bit % 8

    with pytest.raises((Broken, Refused)):
        _unwrap(bytes(wrapped), pair[1])


@given(st.binary(max_size=100))
def test_any_other_bytes_are_broken(pair, data):
    with pytest.raises(Broken):
        _unwrap(data, pair[1])


def test_key_files_are_for_their_owner(keeper):
    assert keeper.private.stat().st_mode & 0o777 == 0o400
    assert keeper.public.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("mode", [0o440, 0o604, 0o444])
def test_a_private_key_that_others_can_read_is_a_configuration_mistake(keeper, mode):
    keeper.private.chmod(mode)

    with pytest.raises(ConfigError, match="others"):
        load_private(keeper.private)


def test_keys_are_never_overwritten(keeper):
    before = keeper.private.read_bytes()

    with pytest.raises(Refused):
        create_keeper_keys(keeper.private.parent)

    assert keeper.private.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_that_is_no_key_is_a_configuration_mistake(tmp_path, content):
    path = tmp_path / "keeper.pub"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(ConfigError):
        FileKeyRing(path)
    with pytest.raises(ConfigError):
        load_private(path)


def test_a_missing_key_file_is_a_configuration_mistake(tmp_path):
    with pytest.raises(ConfigError):
        FileKeyRing(tmp_path / "nothing")
    with pytest.raises(ConfigError):
        load_private(tmp_path / "nothing")
