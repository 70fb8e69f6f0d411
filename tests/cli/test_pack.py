"""`callrec audit pack` and `audit verify PACK`: made by the operator, checked by a stranger with a key and one file."""

import ast
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from callrec import places
from callrec.audit import standalone
from callrec.audit.pack import zipped
from callrec.audit.page import VERIFIER
from callrec.core.kinds import Kind
from callrec.errors import ConfigError, Refused, Unavailable
from callrec.ledger.anchor import DirectoryAnchor
from callrec.ledger.init import create_signing_key
from callrec.ledger.reading import open_log
from tests.audit.packing import PackHouse, members, relisted
from tests.cli.house import NEXT_HOP
from tests.ledger.world import entry


@pytest.fixture
def house(tmp_path):
    house = PackHouse(tmp_path)
    house.recording = house.record()
    house.uid = house.recording.partition("-")[0]
    house.zip = tmp_path / "pack.zip"
    house.page = tmp_path / "half-page.txt"
    house.page.write_text(house.half_page)
    return house


def ended(result, code=0):
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result.output


def packed(house, *options, which=None):
    return ended(house.callrec("audit", "pack", which or house.recording, "-o", house.zip, *options))


def alone(folder, *words):
    """Run verify.py as it came, in a Python that knows nothing of callrec."""
    start = "import sys, runpy; sys.modules['callrec'] = None; sys.argv = sys.argv[1:]"
    start += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-I", "-c", start, str(folder / "verify.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


# ---------------------------------------------------------------- made, and checked by a stranger


def test_a_pack_says_at_once_what_a_stranger_will_find(house):
    said = packed(house)

    assert f"Wrote {house.zip}: every check that this pack allows holds." in said
    assert f"notice played: proven (sent to the next hop {NEXT_HOP})" in said
    assert "measured at the player, an evaluation grade" in said


def test_a_stranger_with_the_key_verifies_a_pack_without_callrec(house, tmp_path):
    packed(house)
    (tmp_path / "stranger").mkdir()
    with zipfile.ZipFile(house.zip) as archive:
        archive.extractall(tmp_path / "stranger")

    done = alone(tmp_path / "stranger", house.zip, "--key", house.page)
    value = json.loads(alone(tmp_path / "stranger", house.zip, "--key", house.vkey(), "--json").stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"notice played: proven (sent to the next hop {NEXT_HOP})" in done.stdout
    assert "recorded:     2.0 s, segment 0, after the proof" in done.stdout
    assert "result:       every check that this pack allows holds" in done.stdout
    assert value["exit_code"] == 0
    assert set(value["checks"]) == {str(number) for number in standalone.CHECKS}
    assert {n for n, outcome in value["checks"].items() if outcome != "holds"} == {"29", "33"}


def test_callrec_makes_the_same_checks(house):
    packed(house)

    said = ended(house.callrec("audit", "verify", house.zip, "--key", house.page, configured=False))
    value = json.loads(
        ended(house.callrec("audit", "verify", house.zip, "--vkey", house.vkey(), "--json", configured=False))
    )

    assert "result:       every check that this pack allows holds" in said
    assert value["checks"]["27"] == "holds"


def test_the_key_of_another_ledger_verifies_nothing(house, tmp_path):
    packed(house)
    other = create_signing_key(tmp_path / "other").vkey()

    said = ended(house.callrec("audit", "verify", house.zip, "--key", other), 30)

    assert "check 22: the checkpoint is of" in said
    assert "notice played: proven" not in said


def test_a_pack_is_never_verified_by_a_key_that_nobody_brought(house):
    packed(house)

    result = house.callrec("audit", "verify", house.zip)

    assert isinstance(result.exception, ConfigError)
    assert "a key that you bring" in str(result.exception)


def test_a_checkpoint_that_the_auditor_holds_is_recognised(house, tmp_path):
    held = tmp_path / "held.checkpoint"
    with open_log(house.config.ledger.database) as log:
        held.write_bytes(log.newest_note())
    house.refuse()
    packed(house, "--checkpoint", held)

    said = ended(house.callrec("audit", "verify", house.zip, "--key", house.page, "--checkpoint", held))
    other = ended(house.callrec("audit", "verify", house.zip, "--key", house.page))

    assert "checkpoint:   the same as held.checkpoint, which you hold" in said
    assert "checkpoint:   you named none" in other


def test_a_checkpoint_from_before_the_call_proves_nothing_of_it(house, tmp_path):
    held = tmp_path / "held.checkpoint"
    with open_log(house.config.ledger.database) as log:
        held.write_bytes(next(note for size, note in log.notes() if size == 2))

    result = house.callrec("audit", "pack", house.uid, "-o", house.zip, "--checkpoint", held)

    assert isinstance(result.exception, Unavailable)
    assert not house.zip.exists()


def test_a_call_that_was_not_recorded_has_a_pack_as_full(house):
    uid = house.refuse()
    said = packed(house, which=uid)

    assert "notice played: not proven (NOTICE_INTERRUPTED)" in said
    assert "recorded:     nothing" in said
    assert f"evidence/{uid}-1.json" in members(house.zip.read_bytes())


def test_the_recording_goes_along_only_for_a_purpose_and_the_ledger_is_told(house):
    without = house.callrec("audit", "pack", house.recording, "-o", house.zip, "--with-recording")
    denied = house.callrec(
        "audit", "pack", house.recording, "-o", house.zip, "--with-recording", "--purpose", "training"
    )
    assert isinstance(without.exception, ConfigError)
    assert isinstance(denied.exception, Refused)
    assert not house.zip.exists()

    packed(house, "--with-recording", "--purpose", "audit")

    files = members(house.zip.read_bytes())
    (sealed,) = house.entries(Kind.RECORDING_SEALED)
    assert hashlib.sha256(files[f"recording/{house.recording}.flac"]).hexdigest() == sealed.body["flac_sha256"]
    told = house.entries(Kind.ACCESS_DENIED, Kind.ACCESS_GRANTED, Kind.EXPORT_MADE)
    assert [entry.kind for entry in told] == ["access.denied", "access.granted", "export.made"]
    assert told[2].body["form"] == "pack"
    assert told[2].body["sha256"] == hashlib.sha256(house.zip.read_bytes()).hexdigest()
    checks = json.loads(ended(house.callrec("audit", "verify", house.zip, "--key", house.page, "--json")))["checks"]
    assert checks["33"] == "holds"


def test_a_pack_is_never_overwritten(house):
    house.zip.write_bytes(b"something else")

    assert isinstance(house.callrec("audit", "pack", house.uid, "-o", house.zip).exception, Refused)
    assert house.zip.read_bytes() == b"something else"


@pytest.mark.parametrize("which", ["ff" * 16, "no call", "", "../../x"])
def test_a_call_that_nobody_knows_has_no_pack(house, which):
    result = house.callrec("audit", "pack", which, "-o", house.zip)

    assert isinstance(result.exception, Unavailable)
    assert not house.zip.exists()


def test_a_page_that_somebody_rewrote_is_found(house):
    packed(house)
    files = members(house.zip.read_bytes())
    files["index.html"] = files["index.html"].replace(b"proven", b"very proven")
    house.zip.write_bytes(zipped(relisted(files)))

    said = ended(house.callrec("audit", "verify", house.zip, "--key", house.page), 30)

    assert "index.html is not the page of these contents" in said


def test_a_verify_py_that_somebody_rewrote_is_found(house):
    packed(house)
    files = members(house.zip.read_bytes())
    files["verify.py"] += b"\n# and everything holds\n"
    house.zip.write_bytes(zipped(relisted(files)))

    said = ended(house.callrec("audit", "verify", house.zip, "--key", house.page), 30)

    assert "verify.py in it is not the one that goes with its page" in said


def test_a_page_of_another_version_is_not_compared_and_that_is_said(house):
    packed(house)
    files = members(house.zip.read_bytes())
    files["index.html"] = files["index.html"].replace(b"callrec page ", b"callrec page 0")
    house.zip.write_bytes(zipped(relisted(files)))

    said = ended(house.callrec("audit", "verify", house.zip, "--key", house.page))

    assert "its page was drawn by another version" in said


# ---------------------------------------------------------------- the file and the page


def test_verify_py_needs_the_standard_library_and_cryptography_alone():
    modules = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(VERIFIER.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert modules - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_page_needs_no_script_and_no_network_and_names_what_it_does_not_prove(house):
    page = house.pack(house.uid)["index.html"].decode()

    assert "<script" not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "https://" not in page
    assert f"Notice played: proven (sent to the next hop {NEXT_HOP})" in page
    assert "What this does not prove" in page
    assert "that a person heard or understood the notice" in page
    assert "delivered" not in page
    assert "informed" not in page


def test_no_name_in_the_ledger_becomes_markup(tmp_path):
    house = PackHouse(tmp_path)
    ledger = house.ledger()
    uid = "ab" * 16
    evil = '<script>alert("x")</script>\u202e'
    ledger.append_blocking(entry(Kind.CALL_OFFERED, uid, line=evil, number=1, commitments={}))
    ledger.append_blocking(
        entry(Kind.CALL_CLOSED, uid, number=1, offered_leaf="", decision="NOT_RECORDED", reason=evil)
    )
    ledger.close()

    page = house.pack(uid)["index.html"].decode()

    assert "<script" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_verify_py_says_what_it_cannot_read(tmp_path, house):
    done = alone(_folder(tmp_path), "gone.zip", "--key", house.page)
    wrong = alone(_folder(tmp_path), "gone.zip", "--key", "no-such-page")

    assert done.returncode == 20
    assert "check 21: gone.zip: No such file or directory" in done.stdout
    assert wrong.returncode == 2
    assert "Traceback" not in done.stderr + wrong.stderr


def _folder(tmp_path):
    folder = Path(tmp_path) / "alone"
    folder.mkdir(exist_ok=True)
    (folder / "verify.py").write_bytes(VERIFIER.read_bytes())
    return folder


# ---------------------------------------------------------------- the auditor's first hour

README = VERIFIER.with_name("README.md").read_text("utf-8")


def first_hour():
    """The commands of the first hour, as they stand in README.md."""
    section = README.partition("## The auditor's first hour")[2].partition("\n## ")[0]
    return [line.split() for line in section.splitlines() if line.startswith("callrec ")]


def test_the_auditors_first_hour_can_be_spent_as_it_is_written(house, tmp_path, monkeypatch):
    """On copies alone, in a folder of the auditor's, with no configuration."""
    desk = tmp_path / "desk"
    desk.mkdir()
    house.refuse()
    copies = {"evidence": places.evidence_dir(house.config), "prompts": house.config.notice.register}
    copies |= {"store": house.config.store.path, "spool": house.config.spool.path}
    for name, folder in copies.items():
        shutil.copytree(folder, desk / name)
    shutil.copy(house.config.ledger.database, desk / "ledger.db")
    shutil.copy(house.page, desk / "half-page.txt")
    with open_log(house.config.ledger.database) as log:
        DirectoryAnchor(desk / "my-checkpoints").ship(log.newest_note())
    monkeypatch.chdir(desk)

    commands = first_hour()
    typed = [[house.uid if word == "UID" else word for word in words[1:]] for words in commands]
    said = [ended(house.callrec(*words, configured=False)) for words in typed]

    assert [words[2] for words in commands] == [
        *("verify", "coverage", "refusals", "purpose-ceiling", "call", "pack", "verify")
    ]
    assert "15 of 15 checks hold" in said[0]
    assert "1 matched, 0 unmatched" in said[1]
    assert "NOTICE_INTERRUPTED" in said[2]
    assert f"checkpoint:   the same as {len(house.entries()):016d}.checkpoint, which you hold" in said[-1]
    assert "result:       every check that this pack allows holds" in said[-1]


def test_the_readme_tells_first_how_to_begin():
    assert README.splitlines()[2] == "## The auditor's first hour"
