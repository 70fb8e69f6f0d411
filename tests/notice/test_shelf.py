"""The register is parsed once, and again as soon as its manifest changed in any way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from callrec.errors import ConfigError
from callrec.notice import register
from callrec.notice.register import Shelf

PROMPTS = Path(__file__).parents[2] / "prompts"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(register, "parse_register", counted(register.parse_register))
    return Path(shutil.copytree(PROMPTS, tmp_path / "prompts"))


parsed: list[str] = []


def counted(parse):
    parsed.clear()

    def call(text, *, at):
        parsed.append(at)
        return parse(text, at=at)

    return call


def test_a_manifest_that_did_not_change_is_parsed_once(folder):
    shelf = Shelf(folder)

    registers = [shelf.register() for _ in range(3)]

    assert len(parsed) == 1
    assert registers[0] is registers[2]


def newer(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def longer(path: Path) -> None:
    found = path.stat()
    path.write_bytes(path.read_bytes() + b"\n")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def another(path: Path) -> None:
    copy = Path(shutil.copy2(path, path.with_name("copy.yaml")))
    copy.replace(path)


@pytest.mark.parametrize("change", [newer, longer, another])
def test_one_that_is_newer_longer_or_another_file_is_parsed_again(folder, change):
    shelf = Shelf(folder)
    shelf.register()
    change(folder / "manifest.yaml")

    shelf.register()

    assert len(parsed) == 2


def test_one_that_vanished_is_an_error_and_is_read_when_it_is_back(folder):
    shelf = Shelf(folder)
    before = shelf.register()
    manifest = folder / "manifest.yaml"
    away = manifest.rename(folder / "away.yaml")

    with pytest.raises(ConfigError, match="does not exist"):
        shelf.register()

    away.rename(manifest)
    assert shelf.register().records == before.records
