"""The one writer of evidence files: whole or not at all, and every failure is told with what to do."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec._canonical import canonical, parse
from callrec._durable import (
    LockFile,
    make_dir,
    open_append,
    preallocate,
    remove,
    rename,
    write_file,
)
from callrec.errors import Broken, Refused, Unavailable


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "f"
    write_file(path, b"one")
    write_file(path, b"two", mode=0o440)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o440
    assert list(tmp_path.iterdir()) == [path]


def test_an_exclusive_file_is_never_replaced(tmp_path):
    write_file(tmp_path / "f", b"one", exclusive=True)
    with pytest.raises(Refused, match="never overwritten"):
        write_file(tmp_path / "f", b"two", exclusive=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "f"
    write_file(path, b"one")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left") as told:
        write_file(path, b"two")
    assert "free space" in told.value.next_step
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("f", b"one")]


def test_a_missing_folder_is_told_with_what_to_do(tmp_path):
    for attempt in (
        lambda: write_file(tmp_path / "no" / "f", b""),
        lambda: open_append(tmp_path / "no" / "f"),
        lambda: rename(tmp_path / "no", tmp_path / "yes"),
    ):
        with pytest.raises(Unavailable) as told:
            attempt()
        assert "create the folder" in told.value.next_step


def test_folders_are_made_with_all_above_them(tmp_path):
    make_dir(tmp_path / "a" / "b" / "c")
    make_dir(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_rename_moves_and_a_removal_may_be_repeated(tmp_path):
    make_dir(tmp_path / "to")
    write_file(tmp_path / "f", b"x")
    rename(tmp_path / "f", tmp_path / "to" / "f")
    remove(tmp_path / "to" / "f")
    remove(tmp_path / "to" / "f")
    assert list((tmp_path / "to").iterdir()) == []


def test_room_that_is_not_there_is_known_at_once_and_leaves_nothing(tmp_path):
    with pytest.raises(Unavailable):
        preallocate(tmp_path / "big", 1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_room_is_reserved_without_touching_what_was_written(tmp_path):
    write_file(tmp_path / "f", b"kept")
    preallocate(tmp_path / "f", 4096)
    assert (tmp_path / "f").stat().st_size == 4096
    assert (tmp_path / "f").read_bytes()[:4] == b"kept"


def test_a_file_in_pieces_is_what_was_written_where(tmp_path):
    with open_append(tmp_path / "f", exclusive=True) as file:
        assert file.append(b"hello ") == 0
        assert file.append(b"world") == 6
        file.write_at(0, b"J")
        file.truncate(8)
        file.sync()
    file.close()
    assert (tmp_path / "f").read_bytes() == b"Jello wo"
    with pytest.raises(Unavailable):
        open_append(tmp_path / "f", exclusive=True)


def test_a_lock_is_held_by_one_and_ends_with_its_process(tmp_path):
    code = (
        "import sys, pathlib; from callrec._durable import LockFile;"
        "lock = LockFile(pathlib.Path(sys.argv[1]), holder='the other'); print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "x.lease"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable, match="held by the other"):
            LockFile(path, holder="we")
        other.kill()
        other.wait(20)
    lock = LockFile(path, holder="we")
    assert path.read_text() == "we"
    lock.close()
    lock.close()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abü€", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_was_written_canonically_is_read_back_and_written_the_same(value):
    assert parse(canonical(value)) == value
    assert canonical(parse(canonical(value))) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, b"x", {1: 2}, object(), "\ud800"])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError, match="no canonical JSON form"):
        canonical({"x": value} if not isinstance(value, dict) else value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"a":1,"a":2}', b"NaN", b"-Infinity", b"1e999", b"\xff", b"[" * 100_000, b"1 2"]
)
def test_what_is_not_strict_json_is_broken(data):
    with pytest.raises(Broken, match="not strict JSON"):
        parse(data)
