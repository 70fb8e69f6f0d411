"""`callrec ledger` and `callrec audit`: on a good house, a tampered one, and an auditor's copies."""

import json
import shutil

import pytest

from callrec import places
from callrec._canonical import canonical
from callrec.audit.findings import CHECKS
from callrec.audit.queries import QUESTIONS
from callrec.core.kinds import Kind
from callrec.errors import Broken, ConfigError, Refused, Unavailable
from callrec.ledger.anchor import DirectoryAnchor
from callrec.ledger.checkpoint import parse_vkey, verify
from callrec.ledger.init import create_signing_key
from callrec.ledger.merkle import Frontier, leaf_hash
from callrec.ledger.reading import open_log
from tests.cli.house import NEXT_HOP, House, in_another_process

DECIDED = [{"segment": 0, "decision": "NOT_RECORDED", "reason": "CALLER_DECLINED"}]
"""The segments of a call that was not recorded."""


@pytest.fixture
def recorded(house):
    """A house with one recorded call."""
    house.recording = house.record()
    return house


def ended(result, code=0):
    """What a command printed that ended with this status."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result.output


def anchored(house, *, name="auditor"):
    """A folder of an auditor's that holds the newest checkpoint."""
    anchor = DirectoryAnchor(house.folder / name)
    with open_log(house.config.ledger.database) as log:
        anchor.ship(log.newest_note())
    return anchor.path


def tampered(house):
    """Somebody who owns the file changes the line of a call."""
    house.tamper(
        'UPDATE entries SET body = replace(body, \'"line":"advice"\', \'"line":"advicf"\') WHERE call_uid <> \'\''
    )


# ---------------------------------------------------------------- ledger


def test_a_sound_ledger_verifies_and_says_first_what_nobody_else_holds(recorded):
    said = ended(recorded.callrec("ledger", "verify")).splitlines()

    assert said[0] == "anchored outside: never"
    assert any("the key was taken from the ledger itself, which proves nothing" in line for line in said)
    assert any(line.startswith("not looked at   9.") for line in said)
    assert said[-1].startswith("Not shown: that a person heard")


def test_a_ledger_is_verified_under_the_auditors_key_and_anchor(recorded, tmp_path):
    page = tmp_path / "half-page.txt"
    page.write_text(recorded.half_page)
    anchor = anchored(recorded)

    for key in (page, recorded.vkey()):
        said = ended(recorded.callrec("ledger", "verify", "--vkey", key, "--anchor", anchor))
        assert said.startswith("anchored outside: 20")
        assert "       holds   4. " in said
        assert "taken from the ledger itself" not in said


def test_a_tampered_ledger_is_contradicted(recorded):
    tampered(recorded)

    said = ended(recorded.callrec("ledger", "verify"), 30)

    assert "NOT SOUND: check 1" in said
    assert "was changed: its bytes do not give its leaf" in said


def test_a_ledger_signed_by_another_key_is_contradicted(recorded, tmp_path):
    other = create_signing_key(tmp_path / "other").vkey()

    assert "the log names another key than the one given" in ended(
        recorded.callrec("ledger", "verify", "--vkey", other), 30
    )


def test_a_ledger_that_was_cut_short_contradicts_its_anchor(recorded):
    anchor = anchored(recorded)
    recorded.tamper("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
    recorded.tamper("DELETE FROM checkpoints WHERE size > (SELECT count(*) FROM entries)")

    said = ended(recorded.callrec("ledger", "verify", "--anchor", anchor), 30)

    assert "the log is shorter than the" in said


def test_a_verification_is_told_to_programs(recorded):
    value = json.loads(ended(recorded.callrec("ledger", "verify", "--json")))

    assert (value["sound"], value["exit_code"], value["anchored_outside"]) == (True, 0, "never")
    assert value["skipped"] == [4, 9, 11, 12]
    assert value["summary"].endswith("entries, not looked at: 4, 9, 11, 12")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--vkey", "callrec/0+00000000+AAAA", "--vkey: 0 public keys of a ledger found there"),
        ("--vkey", "no-such-page.txt", "--vkey: no-such-page.txt: No such file"),
        ("--anchor", "nowhere", "--anchor: nowhere is no folder"),
        ("--ledger", "nothing.db", "nothing.db"),
    ],
)
def test_what_cannot_be_looked_at_is_a_mistake_with_its_place(recorded, option, value, told):
    result = recorded.callrec("ledger", "verify", option, value)

    assert isinstance(result.exception, ConfigError)
    assert told in str(result.exception)


def test_the_newest_checkpoint_is_printed_as_it_was_signed(recorded):
    note = ended(recorded.callrec("ledger", "checkpoint")).encode()

    assert verify(note, parse_vkey(recorded.vkey())).size == len(recorded.entries())


def test_a_checkpoint_that_the_key_did_not_sign_is_not_printed(recorded):
    recorded.tamper("UPDATE checkpoints SET note = replace(note, 'callrec/', 'callreq/')")

    result = recorded.callrec("ledger", "checkpoint")

    assert isinstance(result.exception, Broken)
    assert result.output == ""


def test_the_root_can_be_computed_from_an_export_alone(recorded, tmp_path):
    out = tmp_path / "ledger.jsonl"
    ended(recorded.callrec("ledger", "export", "-o", out))

    head, *lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    entries = [line for line in lines if "seq" in line]
    tree = Frontier()
    for line in entries:
        leaf = leaf_hash(canonical(line["entry"]))
        assert leaf.hex() == line["leaf"]
        tree.append(leaf)
    signed = verify(lines[-1]["note"].encode(), parse_vkey(head["vkey"]))
    assert (signed.size, signed.root) == (head["entries"], tree.root())
    assert not {salt for salt in salts(recorded) if salt in out.read_text()}


def salts(house):
    with open_log(house.config.ledger.database) as log:
        return {salt for entry in house.entries() for salt in log.salts(entry.seq).values()}


def test_an_entry_that_is_no_json_any_more_is_exported_all_the_same(recorded, tmp_path):
    recorded.tamper("UPDATE entries SET body = ? WHERE seq = 1", b"\x1b[2J\nnot json\xff")
    out = tmp_path / "ledger.jsonl"

    ended(recorded.callrec("ledger", "export", "-o", out))

    lines = out.read_bytes().splitlines()
    assert json.loads(lines[2])["entry_base64"] == "G1sySgpub3QganNvbv8="
    assert b"\x1b" not in out.read_bytes()


def test_an_export_never_overwrites(recorded, tmp_path):
    (tmp_path / "mine").write_text("mine")

    result = recorded.callrec("ledger", "export", "-o", tmp_path / "mine")

    assert isinstance(result.exception, Refused)
    assert (tmp_path / "mine").read_text() == "mine"


# ---------------------------------------------------------------- audit verify


def test_a_good_house_holds_all_checks(recorded):
    anchor = anchored(recorded)

    said = ended(recorded.callrec("audit", "verify", "--anchor", anchor))

    assert "15 of 15 checks hold" in said
    assert all(f"{'holds':>12}  {number:2}. " in said for number in CHECKS)


def test_audio_without_entries_is_found(recorded):
    (recorded.config.store.path / "stray.wav").write_bytes(b"RIFF")

    assert "stray.wav is audio that belongs to no recording" in ended(recorded.callrec("audit", "verify"), 30)


def test_an_auditor_needs_copies_and_the_half_page_and_nothing_of_the_operators(recorded, tmp_path):
    """Nothing configured, and pjsua2 forbidden to be imported."""
    copies = tmp_path / "copies"
    shutil.copytree(recorded.folder / "var", copies, ignore=shutil.ignore_patterns("*.sock", "keys"))
    page = tmp_path / "page.txt"
    page.write_text(recorded.half_page)
    places = ("--ledger", copies / "ledger.db", "--vkey", page, "--anchor", anchored(recorded))
    beside = ("--evidence", copies / "evidence", "--store", copies / "store", "--spool", copies / "spool")

    done = in_another_process("audit", "verify", *places, *beside)
    tampered(recorded)
    shutil.copy(recorded.config.ledger.database, copies / "ledger.db")
    broken = in_another_process("audit", "verify", *places, *beside)

    assert (done.returncode, done.stderr) == (0, "")
    assert "15 of 15 checks hold" in done.stdout
    assert broken.returncode == 30


def test_without_a_configuration_or_a_copy_there_is_nothing_to_verify():
    done = in_another_process("audit", "verify")

    assert done.returncode == 2
    assert "no configuration is named" in done.stderr


# ---------------------------------------------------------------- questions

ANSWERS = {"recorded-before-notice": 1, "notices": 1, "selftest": 20}
"""Exit codes where not 0: the builder's evidence is of another boot and another notice, and nobody tested this line."""


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_prints_how_far_its_answer_can_be_trusted(recorded, name):
    code = ANSWERS.get(name, 0)
    said = ended(recorded.callrec("audit", name), code).splitlines()

    assert said[0] == "anchored outside: never"
    names = [line.partition(":")[0] for line in said[1:9]]
    assert names == ["report", "asked about", "rows", "verification", "clock", "software", "pbx events", "result"]
    assert json.loads(ended(recorded.callrec("audit", name, "--json"), code))["report"] == name


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_period_without_entries_cannot_be_answered(recorded, name):
    assert "cannot be answered" in ended(recorded.callrec("audit", name, "--to", "2001-01-01"), 20)


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_has_a_clean_answer_over_a_tampered_ledger(recorded, name):
    tampered(recorded)

    assert "nothing below can be relied on" in ended(recorded.callrec("audit", name), 30)


def test_coverage_counts_a_proven_recording_as_matched(recorded):
    said = ended(recorded.callrec("audit", "coverage", "--line", "advice"))

    assert "1 recordings, 1 parties, 1 matched, 0 unmatched; 0 exceptions" in said
    assert "proven (sent; evaluation tap)" in said


def test_refusals_names_every_unrecorded_call_by_class_and_reason(recorded):
    uid = "ab" * 16
    body = {"number": 2, "line": "advice", "direction": "inbound", "transport": "udp", "config_sha256": "x"}
    leaf = recorded.append(Kind.CALL_OFFERED, uid, commitments={}, **body)
    closed = {"decision": "NOT_RECORDED", "reason": "CALLER_DECLINED", "reason_class": "caller's choice"}
    recorded.append(
        Kind.CALL_CLOSED, uid, number=2, offered_leaf=leaf, segments=DECIDED, connected=True, duration_ms=1, **closed
    )

    said = ended(recorded.callrec("audit", "refusals"))

    assert "2 calls, 1 not recorded" in said
    assert "caller's choice  CALLER_DECLINED  1" in said


# ---------------------------------------------------------------- one call


def test_one_call_is_gathered_with_the_header_of_every_report(recorded):
    uid = recorded.recording.partition("-")[0]

    for given in (uid, uid[:12], recorded.recording):
        said = ended(recorded.callrec("audit", "call", given))
        assert said.startswith("anchored outside: never\n")
        assert "verification: 14 of 15 checks hold" in said
        assert f"notice played: proven (sent to the next hop {NEXT_HOP}; evaluation tap)" in said
        assert "result:       nothing contradicts itself" in said
    value = json.loads(ended(recorded.callrec("audit", "call", uid, "--json")))
    assert (value["call_uid"], value["anchored_outside"], value["exit_code"]) == (uid, "never", 0)
    assert len(value["objects"]) == 1


def test_a_call_whose_evidence_is_gone_contradicts_itself(recorded):
    shutil.rmtree(places.evidence_dir(recorded.config))
    places.evidence_dir(recorded.config).mkdir()

    assert "cannot be read" in ended(recorded.callrec("audit", "call", recorded.recording), 30)


def test_a_call_whose_entries_were_tampered_with_is_told_with_the_contradiction(recorded):
    tampered(recorded)

    said = ended(recorded.callrec("audit", "call", recorded.recording), 30)

    assert "result:       the evidence contradicts itself" in said
    assert "for line advicf" in said


def test_a_call_that_nobody_knows_cannot_be_answered(recorded):
    result = recorded.callrec("audit", "call", "ffff\x1b[2J")

    assert isinstance(result.exception, Unavailable)


# ---------------------------------------------------------------- terminals


def test_nothing_in_the_ledger_reaches_a_terminal_as_control(house):
    """A line's name is the operator's, a reason could be anybody's: neither moves a cursor nor forges a line."""
    evil = "x\x1b]0;t\x07\x9b2J\u202e\nCONTRADICTION: none\r"
    uid = "cd" * 16
    body = {"number": 1, "direction": "inbound", "transport": "udp", "config_sha256": evil, "commitments": {}}
    leaf = house.append(Kind.CALL_OFFERED, uid, line=evil, **body)
    closed = {"decision": "NOT_RECORDED", "reason": evil, "reason_class": evil, "segments": DECIDED, "connected": False}
    house.append(Kind.CALL_CLOSED, uid, number=1, offered_leaf=leaf, duration_ms=0, **closed)
    house.append(Kind.CONFIG_CHANGED, config_sha256=evil, by=evil)

    for words in (["audit", "refusals"], ["audit", "call", uid], ["audit", "verify"], ["ledger", "verify"]):
        for options in ([], ["--json"]):
            printed = house.callrec(*words, *options).output
            assert printed.replace("\n", "").isprintable()
            assert "\nCONTRADICTION" not in printed


def test_an_error_that_repeats_what_it_was_given_is_printed_without_its_controls(house):
    done = in_another_process("-c", house.config_path, "audit", "call", "ff\x1b[2J\u202e")

    assert done.returncode == 20
    assert "\\x1b[2J\\u202e" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_the_house_of_these_tests_is_sound(house: House):
    house.record()
    house.record(keep=False)

    assert house.verified().findings == ()
