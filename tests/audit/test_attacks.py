"""Every attack has the number of the check that finds it, in a pack or in the ledger; those that no check finds have
their place in README.md, with what to do.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from callrec._canonical import canonical, parse, sha256_hex
from callrec.audit import standalone
from callrec.audit.findings import CHECKS
from callrec.core.kinds import Kind
from callrec.errors import Unavailable
from callrec.ledger.checkpoint import Checkpoint, key_of, sign
from callrec.ledger.init import create_signing_key, load_signing_key
from callrec.ledger.log import SqlLedger
from callrec.ledger.merkle import leaf_hash
from callrec.ledger.proofs import Tree
from callrec.ledger.reading import open_log
from callrec.notice.audio import wav_of
from tests.audit.mutations import Base, stored, written_anew
from tests.audit.packing import PackHouse, WireHouse, relisted
from tests.ledger.world import entry

README = Path(standalone.__file__).with_name("README.md").read_text("utf-8")


# ---------------------------------------------------------------- on the ledger


def edited(bodies, **change):
    bodies[5]["body"] = bodies[5]["body"] | (change or {"edited": True})
    return bodies


def edit_a_row(story):
    story.attack(("UPDATE entries SET body = replace(body, 'advice', 'advicf') WHERE seq = 1", ()))


def edit_and_recompute(story):
    story.rewrite(edited(story.bodies()))


def swap_two_rows(story):
    bodies = story.bodies()
    bodies[3], bodies[4] = bodies[4], bodies[3]
    story.rewrite(bodies)


def backdate_with_the_key(story):
    bodies = story.bodies()
    bodies[6]["boottime_ns"] = "1"
    story.rewrite(bodies, signed=True)


def cut_the_tail(story):
    story.rewrite(story.bodies()[:-7])


def restore_an_old_backup(story):
    story.ledger.close()
    shutil.copy(story.world.path, story.world.folder / "backup")
    story.ledger = story.world.ledger()
    story.recorded_call()
    story.ship()
    story.ledger.close()
    for beside in story.world.folder.glob("ledger.db-*"):
        beside.unlink()
    shutil.copy(story.world.folder / "backup", story.world.path)


def fork_with_the_key(story):
    story.rewrite(edited(story.bodies()), signed=True)


def use_one_proof_twice(story):
    proof = next(body for body in story.bodies() if body["kind"] == "notice.proven")
    with sqlite3.connect(story.world.path) as connection:
        (leaf,) = connection.execute("SELECT leaf FROM entries WHERE seq = ?", (proof["seq"],)).fetchone()
    connection.close()
    story.tell(Kind.RECORDING_STARTED, proof["call_uid"], proven_leaves=[bytes(leaf).hex()], purposes=[])


def swap_two_recordings(story):
    one, two = sorted(story.store.glob("*-0"))
    one.rename(story.store / "between")
    two.rename(story.store / one.name)
    (story.store / "between").rename(story.store / two.name)


def put_evidence_of_one_call_under_another(story):
    one, two, *_ = sorted(story.evidence.glob("*.json"))
    one.write_bytes(two.read_bytes())


def alter_evidence(story):
    path = min(story.evidence.glob("*.json"))
    path.write_bytes(path.read_bytes().replace(b'"expected_packets":250', b'"expected_packets":249'))


def use_one_log_with_two_agents(story):
    """Both append to the same beginning, and the checkpoints of the copy reach the anchor."""
    copy = story.world.folder / "copy.db"
    story.ledger.close()
    shutil.copy(story.world.path, copy)
    second = SqlLedger(copy, signing_key=story.world.key_path, clock=story.world.clock, holder="a second agent")
    second.append_blocking(entry(Kind.INCIDENT, what="the second agent's story"))
    story.anchor.ship(second.newest_checkpoint())
    second.close()
    story.ledger = story.world.ledger()
    story.tell(Kind.INCIDENT)


def record_under_another_language(story):
    """The caller chose Welsh by a key; the proof that the recording rests on is of the English notice."""
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    choice = {"digit": "5", "choice": "language cy", "leg": "caller", "method": "rfc4733"}
    story.tell(Kind.CHOICE_MADE, uid, **choice)
    proven = story.judged(uid, offered, answered)
    story.seal(uid, story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[proven], purposes=[]))
    story.close(uid, offered)


def leave_a_segment_undecided(story):
    """A second part of the call was refused its recording, and the summary answers for the first alone."""
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    story.seal(
        uid, story.tell(Kind.RECORDING_STARTED, uid, proven_leaves=[story.judged(uid, offered, answered)], purposes=[])
    )
    story.tell(Kind.NOTICE_REFUSED, uid, segment=1, evidence_sha256="", offered_leaf=offered, reasons=[])
    story.close(uid, offered)


SCRIPT = {"prompt_id": "training-consent", "version": 1, "language": "en", "pcm_sha256": "cc" * 32}
AGREED = {"purposes": ["training"], "given_by": "subject", "given_utc": "", "taker": "staff", "heard_in": ""}


def agree(story, *, asks=("training",), consent="oral", evidence="AGENT_READ", segment=0):
    """A call whose recording rests on a consent as well: to a script that was approved as asking for these."""
    script = story.tell(Kind.PROMPT_APPROVED, **SCRIPT, purposes=["audit"], asks=list(asks))
    uid, offered = story.offer()
    answered = story.tell(Kind.CALL_ANSWERED, uid, offered_leaf=offered)
    proven = story.judged(uid, offered, answered)
    said = {**SCRIPT, **AGREED, "consent": consent, "evidence": evidence, "offset_ms": 7}
    given = story.tell(Kind.CONSENT_GIVEN, uid, segment, **said, script_leaf=script, proven_leaf=proven)
    started = {"proven_leaves": [proven], "purposes": ["training"], "consent_leaves": [given]}
    story.seal(uid, story.tell(Kind.RECORDING_STARTED, uid, **started))
    story.close(uid, offered)


def agree_to_what_was_not_asked(story):
    agree(story, asks=["audit"])


def agree_by_a_key_that_nobody_pressed(story):
    agree(story, consent="keypress", evidence="PLAYED")


def agree_to_another_segment(story):
    agree(story, segment=1)


LEDGER_ATTACKS = {
    "edited row": (edit_a_row, 1),
    "edited and recomputed": (edit_and_recompute, 2),
    "swapped": (swap_two_rows, 2),
    "backdated": (backdate_with_the_key, 5),
    "tail cut": (cut_the_tail, 4),
    "old backup restored": (restore_an_old_backup, 4),
    "forked with the real key": (fork_with_the_key, 4),
    "copied ledger with a second agent": (use_one_log_with_two_agents, 4),
    "one proof used twice": (use_one_proof_twice, 6),
    "recording swapped": (swap_two_recordings, 11),
    "evidence of call A under recording B": (put_evidence_of_one_call_under_another, 9),
    "evidence altered": (alter_evidence, 9),
    "recorded under a notice in another language": (record_under_another_language, 14),
    "segment left undecided": (leave_a_segment_undecided, 13),
    "consent to what was not asked for": (agree_to_what_was_not_asked, 15),
    "consent by a key that nobody pressed": (agree_by_a_key_that_nobody_pressed, 15),
    "consent to another segment": (agree_to_another_segment, 15),
}


def test_a_consent_that_was_asked_for_and_given_is_no_finding(story):
    agree(story)

    result = story.verify()

    assert result.counts == {}, result.findings


@pytest.mark.parametrize("name", LEDGER_ATTACKS)
def test_the_ledger_tells_by_its_number(story, name):
    attack, number = LEDGER_ATTACKS[name]
    story.day()
    story.ship()

    attack(story)

    result = story.verify()
    assert number in result.counts, result.findings
    assert result.exit_code == 30


def test_a_second_agent_does_not_even_start_on_a_ledger_that_is_in_use(story):
    with pytest.raises(Unavailable, match="held by"):
        story.world.ledger()


# ---------------------------------------------------------------- on a pack


class Scene:
    """Two recorded calls and their packs; `first` is what the attacker hands over."""

    def __init__(self, folder):
        self.house = PackHouse(folder)
        self.uids = [self.house.record().partition("-")[0] for _ in range(2)]
        self.first, self.second = (self.house.pack(uid) for uid in self.uids)
        self.held = {}

    def entries(self):
        return [parse(line) for line in self.first["entries.jsonl"].splitlines()]

    def put_entries(self, entries):
        self.first["entries.jsonl"] = b"".join(canonical(each) + b"\n" for each in entries)

    def signed_anew(self, entries):
        """The pack's entries as a log of their own, every reference made to fit, signed with the real key."""
        before = self.first["entries.jsonl"].splitlines()
        new, bodies = {}, []
        for seq, (line, each) in enumerate(zip(before, entries, strict=True)):
            text = remapped(json.dumps(each | {"seq": seq}), new)
            if each["kind"] == "notice.proven":
                text = text.replace(each["body"]["evidence_sha256"], self.evidence_anew(new))
            bodies.append(canonical(json.loads(text)))
            new[leaf_hash(line).hex()] = leaf_hash(bodies[-1]).hex()
        tree = Tree([leaf_hash(body) for body in bodies])
        secret = load_signing_key(self.house.config.keys.signing.path)
        checkpoint = Checkpoint(origin=key_of(secret).name, size=tree.size, root=tree.root())
        paths = {str(seq): [each.hex() for each in tree.path(seq)] for seq in range(tree.size)}
        head = json.loads(self.first["pack.json"]) | {"size": tree.size, "root": tree.root().hex()}
        self.first |= {
            "checkpoint.txt": sign(checkpoint, secret),
            "entries.jsonl": b"".join(body + b"\n" for body in bodies),
            "proofs.json": json.dumps({"size": tree.size, "paths": paths}).encode(),
            "pack.json": json.dumps(head).encode(),
        }

    def evidence_anew(self, new):
        """The evidence, bound to the new leaves; its hash."""
        name = f"evidence/{self.uids[0]}-1.json"
        judged = json.loads(remapped(self.first[name].decode(), new))
        self.first[name] = canonical(judged)
        return sha256_hex(canonical(judged["evidence"]))

    def found(self):
        found = self.house.examine(relisted(self.first), held=self.held)
        assert not [line for line in found.lines() if "played: proven" in line]
        return {wrong.check for wrong in found.found}, found.exit_code


def remapped(text, new):
    for leaf, other in new.items():
        text = text.replace(leaf, other)
    return text


def edit_an_entry(scene):
    entries = scene.entries()
    entries[-1]["body"]["reason"] = "edited"
    scene.put_entries(entries)


def swap_two_entries(scene):
    lines = scene.first["entries.jsonl"].splitlines(keepends=True)
    scene.first["entries.jsonl"] = b"".join([*lines[:3], lines[4], lines[3], *lines[5:]])


def backdate_an_entry(scene):
    entries = scene.entries()
    started = next(each for each in entries if each["kind"] == "recording.started")
    started["boottime_ns"] = "1"
    scene.signed_anew(entries)


def fork_the_log(scene):
    """The whole log signed twice at one size: found by whoever holds the other checkpoint."""
    with open_log(scene.house.config.ledger.database) as log:
        size, root = log.newest().checkpoint.size, sha256_hex(b"another story")
    secret = load_signing_key(scene.house.config.keys.signing.path)
    note = sign(Checkpoint(origin=key_of(secret).name, size=size, root=bytes.fromhex(root)), secret)
    scene.held = {"mine.checkpoint": note}


def swap_the_recording(scene):
    scene.first[f"recording/{scene.uids[0]}-0.flac"] = b"fLaC of another call"


def swap_the_manifest(scene):
    scene.first[f"manifest/{scene.uids[0]}-0.json"] = scene.second[f"manifest/{scene.uids[1]}-0.json"]


def bring_evidence_of_another_call(scene):
    scene.first[f"evidence/{scene.uids[0]}-1.json"] = scene.second[f"evidence/{scene.uids[1]}-1.json"]


def bring_entries_of_another_call(scene):
    lines = scene.first["entries.jsonl"].splitlines(keepends=True)
    other = [line for line in scene.second["entries.jsonl"].splitlines(keepends=True) if line not in lines]
    scene.first["entries.jsonl"] = b"".join([*lines, *other])
    paths = json.loads(scene.second["proofs.json"])["paths"] | json.loads(scene.first["proofs.json"])["paths"]
    scene.first["proofs.json"] = json.dumps({**json.loads(scene.first["proofs.json"]), "paths": paths}).encode()
    scene.first["checkpoint.txt"] = scene.second["checkpoint.txt"]


def use_a_proof_again(scene):
    entries = scene.entries()
    at = next(n for n, each in enumerate(entries) if each["kind"] == "recording.started")
    again = json.loads(json.dumps(entries[at]))
    again["utc"] = "again"
    before = scene.first["entries.jsonl"].splitlines(keepends=True)
    scene.first["entries.jsonl"] = b"".join([*before[: at + 1], canonical(again) + b"\n", *before[at + 1 :]])
    scene.signed_anew([*entries[: at + 1], again, *entries[at + 1 :]])


def evidence_file(scene, change):
    name = f"evidence/{scene.uids[0]}-1.json"
    judged = json.loads(scene.first[name])
    change(judged)
    scene.first[name] = canonical(judged)
    return judged


def alter_the_evidence(scene):
    evidence_file(scene, lambda judged: judged["evidence"].update(expected_packets=1))


def loosen_the_thresholds(scene):
    evidence_file(scene, lambda judged: judged["floors"].update(sent=0.5))


def loosen_them_with_the_key(scene):
    """Too few packets, called enough, hashed and signed by the operator's own key."""

    def change(judged):
        judged["evidence"]["streams"][0]["sent"] = 10
        judged["floors"]["sent"] = 0.001

    evidence_file(scene, change)
    scene.signed_anew(scene.entries())


def replace_the_prompt(scene):
    name = f"notice/{scene.house.prompt.record.name}.wav"
    scene.first[name] = wav_of(bytes(len(scene.house.prompt.pcm)))


def replace_the_words(scene):
    scene.first[f"notice/{scene.house.prompt.record.name}.txt"] = b"You agreed to everything."


def choose(scene, digit, choice):
    """The same call, in which the caller had chosen this."""
    entries = scene.entries()
    intent = next(each for each in entries if each["kind"] == "store.intent")
    started = next(each for each in entries if each["kind"] == "recording.started")
    started["body"]["purposes"] = ["audit", "medico-legal", "training"]
    intent.update(kind="choice.made", body={"digit": digit, "choice": choice, "leg": "caller", "method": "key"})
    scene.signed_anew(entries)


def record_after_a_no(scene):
    choose(scene, "2", "decline")


def keep_for_training_all_the_same(scene):
    choose(scene, "3", "without training")


def record_in_another_language(scene):
    """As if the caller had chosen Welsh by a key before the recording, which rests on the English notice."""
    entries, lines = scene.entries(), scene.first["entries.jsonl"].splitlines(keepends=True)
    kinds = [each["kind"] for each in entries]
    for each in (entries, lines):
        each.insert(kinds.index("notice.proven"), each.pop(kinds.index("store.intent")))
    choice, proven = entries[kinds.index("notice.proven") :][:2]
    body = {"digit": "5", "choice": "language cy", "leg": "caller", "method": "rfc4733"}
    choice.update(kind="choice.made", body=body, boottime_ns=proven["boottime_ns"])
    scene.first["entries.jsonl"] = b"".join(lines)
    scene.signed_anew(entries)


def leave_part_of_it_undecided(scene):
    """Another notice was tried in a second part of the call, and the closing decision answers for the first alone."""
    entries = scene.entries()
    intent = next(each for each in entries if each["kind"] == "store.intent")
    refused = {"attempt": 2, "party": "caller", "reasons": ["NOTICE_INTERRUPTED"], "evidence_sha256": ""}
    intent.update(kind="notice.refused", segment=1, body={**refused, "offered_leaf": ""})
    scene.signed_anew(entries)


def decide_it_otherwise(scene):
    """Recorded, says the decision; and its only part was not."""
    entries = scene.entries()
    closed = next(each for each in entries if each["kind"] == "call.closed")
    closed["body"]["segments"] = [{"segment": 0, "decision": "NOT_RECORDED"}]
    scene.signed_anew(entries)


def consenting(scene, *, consent, asks=("training",)):
    """The same call, whose recording rests on a consent too, to a script approved as asking for this."""
    entries, lines = scene.entries(), scene.first["entries.jsonl"].splitlines(keepends=True)
    kinds = [each["kind"] for each in entries]
    at, intent = kinds.index("recording.started"), kinds.index("store.intent")
    approval, proven = kinds.index("prompt.approved"), kinds.index("notice.proven")
    leaf = {n: leaf_hash(lines[n].rstrip(b"\n")).hex() for n in (approval, proven, intent)}
    for each in (entries, lines):
        each.insert(at, each.pop(intent))
    given, started = entries[at], entries[at + 1]
    script = entries[approval]["body"]
    script["asks"] = list(asks)
    its = {name: script[name] for name in ("prompt_id", "version", "language", "pcm_sha256")}
    body = {**its, **AGREED, **consent, "offset_ms": None, "script_leaf": leaf[approval], "proven_leaf": leaf[proven]}
    given.update(kind="consent.given", body=body, boottime_ns=started["boottime_ns"])
    started["body"]["consent_leaves"] = [leaf[intent]]
    scene.first["entries.jsonl"] = b"".join(lines)
    scene.signed_anew(entries)


BY_KEY = {"consent": "keypress", "evidence": "PLAYED"}
ALOUD = {"consent": "oral", "evidence": "AGENT_READ"}


def consent_to_what_was_not_asked(scene):
    consenting(scene, consent=ALOUD, asks=["audit"])


def consent_by_a_key_that_nobody_pressed(scene):
    consenting(scene, consent=BY_KEY)


def take_the_consent_out_of_the_recording(scene):
    consenting(scene, consent=ALOUD)


def bring_another_key(scene):
    other = scene.house.folder / "other.key"
    vkey = load_vkey(other)
    scene.house.vkey = lambda: vkey


def load_vkey(path):
    return (key_of(load_signing_key(path)) if path.exists() else create_signing_key(path)).vkey()


PACK_ATTACKS = {
    "edited row": (edit_an_entry, 23),
    "swapped": (swap_two_entries, 24),
    "backdated": (backdate_an_entry, 25),
    "forked with the real key": (fork_the_log, 22),
    "another key": (bring_another_key, 22),
    "recording swapped": (swap_the_recording, 33),
    "manifest swapped": (swap_the_manifest, 32),
    "evidence of call A under recording B": (bring_evidence_of_another_call, 26),
    "entries of call A in the pack of call B": (bring_entries_of_another_call, 24),
    "one proof used twice": (use_a_proof_again, 31),
    "evidence altered": (alter_the_evidence, 26),
    "thresholds loosened": (loosen_the_thresholds, 27),
    "thresholds loosened with the real key": (loosen_them_with_the_key, 27),
    "recorded after a no": (record_after_a_no, 34),
    "kept for training after the caller left it out": (keep_for_training_all_the_same, 30),
    "recorded under a notice in another language": (record_in_another_language, 34),
    "segment left undecided": (leave_part_of_it_undecided, 35),
    "segment decided otherwise than it was": (decide_it_otherwise, 35),
    "consent to what was not asked for": (consent_to_what_was_not_asked, 36),
    "consent by a key that nobody pressed": (consent_by_a_key_that_nobody_pressed, 36),
    "consent that is not in its recording": (take_the_consent_out_of_the_recording, 36),
    "prompt replaced": (replace_the_prompt, 28),
    "words replaced": (replace_the_words, 28),
}


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def scene(staged):
    """The scene with files of its own to spoil."""
    fresh = Scene.__new__(Scene)
    fresh.house, fresh.uids, fresh.held = staged.house, staged.uids, {}
    fresh.first, fresh.second = dict(staged.first), dict(staged.second)
    yield fresh
    vars(staged.house).pop("vkey", None)


@pytest.mark.parametrize("name", PACK_ATTACKS)
def test_a_pack_tells_by_its_number(scene, name):
    attack, number = PACK_ATTACKS[name]

    attack(scene)

    checks, code = scene.found()
    assert number in checks
    assert code == 30


def test_the_packs_that_are_attacked_were_good(scene):
    assert scene.house.examine(scene.first).exit_code == 0
    assert scene.house.examine(scene.second).exit_code == 0


# ---------------------------------------------------------------- on what was tapped, in a pack


@pytest.fixture(scope="module")
def tapped(tmp_path_factory):
    """The pack of a call whose wire was tapped, and the key that signed its log."""
    return Base(tmp_path_factory.mktemp("tapped"), WireHouse)


def described_elsewhere(kept):
    """The caller's offer, now naming another port."""
    assert b"m=audio 4000 " in kept
    return kept.replace(b"m=audio 4000 ", b"m=audio 4002 ")


def committed_otherwise(kept):
    head, _, payloads = kept.partition(b"\n")
    says = parse(head)
    says["signalling"][0]["commitment"] = "ab" * 32
    return canonical(says) + b"\n" + payloads


def alter_a_description(base):
    name = f"evidence/{base.uid}-1.tap"
    return stored(relisted(base.files | {name: described_elsewhere(base.files[name])}))


def window_anew(base, change):
    """Window, evidence, entries and checkpoint, all made to fit by who holds the key."""
    evidence, window = f"evidence/{base.uid}-1.json", f"evidence/{base.uid}-1.tap"
    files = base.files | {window: change(base.files[window])}
    judged = json.loads(files[evidence])
    judged["evidence"]["wire"]["window_sha256"] = sha256_hex(files[window])
    entries = [parse(body) for body in base.bodies]
    for each in entries:
        if "evidence_sha256" in each["body"]:
            each["body"]["evidence_sha256"] = sha256_hex(canonical(judged["evidence"]))
    return written_anew(base, files, entries, judged, evidence)


def alter_it_with_the_key(base):
    return window_anew(base, described_elsewhere)


def commit_to_another_message(base):
    return window_anew(base, committed_otherwise)


WIRE_ATTACKS = {
    "session description altered": (alter_a_description, 26),
    "session description altered with the real key": (alter_it_with_the_key, 29),
    "another message than was committed to": (commit_to_another_message, 26),
}


@pytest.mark.parametrize("name", WIRE_ATTACKS)
def test_a_pack_of_a_call_that_was_tapped_tells_by_its_number(tapped, name):
    attack, number = WIRE_ATTACKS[name]

    found = tapped.examine(attack(tapped))

    assert number in {wrong.check for wrong in found.found}
    assert found.exit_code == 30
    assert not [line for line in found.lines() if "played: proven" in line]


# ---------------------------------------------------------------- the auditor's table

ATTACKS = (LEDGER_ATTACKS, PACK_ATTACKS, WIRE_ATTACKS)


@pytest.mark.parametrize("name", sorted(set().union(*ATTACKS)))
def test_every_attack_stands_in_the_auditors_table(name):
    rows = [row for row in README.splitlines() if row.startswith(f"| {name} |")]
    numbers = {attacks[name][1] for attacks in ATTACKS if name in attacks}

    assert len(rows) == 1, name
    assert {str(number) for number in numbers} <= set(re.findall(r"\d+", rows[0]))


@pytest.mark.parametrize("number", [*CHECKS, *standalone.CHECKS])
def test_every_check_is_explained_to_the_auditor(number):
    assert re.search(rf"^\| {number} \| ", README, re.MULTILINE)
