"""No mutation of a pack is ever verified as something else, and none ends in a traceback.

    python -m tests.audit.mutations --n 100000 --seed 7

Five sorts: bytes of the zip; its files, renamed, dropped, doubled, swapped; fields of its JSON, with the pack's own
list made to fit again; the checkpoint; and fields changed by somebody who holds the real key and signs everything anew.
Of all but the last, what verifies must hold what the original held. Of the last, evidence that verifies must be judged
so by the core, too. One change of fields in five is of what bears on choices: keys that skip, acknowledge or choose a
language, what is named before, the messages beside the window and what the entry commits to.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import random
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from dataclasses import replace
from functools import reduce
from io import BytesIO
from pathlib import Path

import numpy as np

from callrec._canonical import canonical, parse, sha256_hex
from callrec.audit import standalone
from callrec.audit.pack import Wanted, contents
from callrec.core.evidence_json import from_json
from callrec.core.kinds import Kind
from callrec.core.proof import Granted, judge
from callrec.errors import Broken
from callrec.ledger.checkpoint import Checkpoint, key_of, sign
from callrec.ledger.init import load_signing_key
from callrec.ledger.merkle import leaf_hash
from callrec.ledger.proofs import Tree
from callrec.ledger.reading import open_log
from callrec.notice.audio import wav_of
from callrec.notice.register import ApprovedPrompt
from callrec.notice.wire import weigh
from callrec.places import key_file
from callrec.ports import Entry
from tests.audit.packing import PackHouse, WireHouse, relisted

UNBOUND = {"pack.json", "proofs.json", "checkpoint.txt", "index.html", "verify.py"}
"""Files whose bytes nobody signed; what they say is compared with what was signed."""
OPTIONAL = ("recording/", "notice/sent-", "evidence/unused")
VALUES = [
    None, True, False, 0, 1, -1, 2**53, 2**63, -(2**53), 1.5, 1e308, "", "x", "ab" * 32, "0", "-1", "9" * 25, [], {},
    [[]], {"x": 1}, "\u202e\x1b[2J", "a" * 5000, "granted", "sent", "received", ["a"],
]  # fmt: skip
SAMPLES = 2080
RAW = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b'"\\ud800"', b"[" * 60 + b"]" * 60, b"nul", b"01"]


def short_prompt(house):
    """A notice of a quarter of a second, approved in the ledger like any other, so that many packs can be checked."""
    pcm = np.random.default_rng(5).integers(-9000, 9000, SAMPLES).astype("<i2").tobytes()
    first = house.prompt.record
    record = replace(
        first,
        version=9,
        pcm_sha256=sha256_hex(pcm),
        samples=SAMPLES,
        keys={**first.keys, "1": "acknowledge", "5": "language:cy", "7": "shorten"},
        essential_text=first.text,
        essential_ms=100,
    )
    ledger = house.ledger()
    approved = Entry(kind=Kind.PROMPT_APPROVED, body=record.approval_body("sample"), actor="sample")
    leaf = ledger.append_blocking(approved).leaf
    ledger.close()
    return ApprovedPrompt(record=replace(record, approved=replace(first.approved, leaf=leaf)), pcm=pcm)


class Base:
    """A recorded call, the key, and the whole log behind it."""

    def __init__(self, folder, house=PackHouse):
        self.house = house(folder)
        self.house.prompt = short_prompt(self.house)
        self.recording = self.house.record()
        self.uid = self.recording.partition("-")[0]
        with open_log(self.house.config.ledger.database) as log:
            self.bodies = list(log.bodies(0, log.size()))
        self.files = contents(Wanted(places=self.house.places(), call_uid=self.uid))
        notice = f"notice/{self.house.prompt.record.name}"
        self.files[f"{notice}.wav"] = wav_of(self.house.prompt.pcm)
        self.files[f"{notice}.txt"] = self.house.prompt.record.text.encode()
        self.files["index.html"] = self.files["index.html"][:500]
        self.files["verify.py"] = self.files["verify.py"][:500]
        self.files = relisted(self.files)
        self.key = standalone.read_key(self.house.vkey())
        self.secret = load_signing_key(key_file(self.house.config, "signing"))
        self.zip = stored(self.files)
        good = self.examine(self.zip)
        assert good.exit_code == 0
        self.head = good.log, good.size, good.root

    def examine(self, data):
        return standalone.examine(BytesIO(data), self.key)


def stored(files, *, doubled=()):
    """A zip, quickly; names may stand twice."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in [*files.items(), *doubled]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a name stands twice is what is tried
                archive.writestr(zipfile.ZipInfo(name), data)
    return target.getvalue()


# ---------------------------------------------------------------- bytes


def bytes_mutation(base, dice):
    data = bytearray(base.zip)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        at, length = dice.randrange(len(data)), dice.randrange(1, 200)
        how = dice.randrange(7)
        if how < 3:
            data[at] ^= 1 << dice.randrange(8)
        elif how == 3:
            del data[at : at + length]
        elif how == 4:
            data[at:at] = data[at : at + length]
        elif how == 5:
            data[at : at + length] = bytes(dice.randrange(256) for _ in range(length))
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def directory_mutation(base, dice):
    """Sizes, names, flags and methods in the zip's own directory, where bombs are made."""
    data = bytearray(base.zip)
    start = int.from_bytes(data[-6:-2], "little")
    found, at = [], start
    while data[at : at + 4] == b"PK\1\2":
        found.append(at)
        at += 46 + sum(struct.unpack("<HHH", data[at + 28 : at + 34]))
    at = dice.choice([*found, len(data) - 22])
    offset, width = dice.choice(
        ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4), (4, 4), (12, 4))
    )
    value = dice.choice((0, 1, 8, 9, 12, 14, 99, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, dice.randrange(2**32)))
    data[at + offset : at + offset + width] = (value % 256**width).to_bytes(width, "little")
    return bytes(data)


# ---------------------------------------------------------------- files


def files_mutation(base, dice):
    files, doubled = dict(base.files), []
    name, other = dice.choice(list(files)), dice.choice(list(files))
    how = dice.randrange(7)
    if how == 0:
        del files[name]
    elif how == 1:
        files[dice.choice(names(base, dice))] = files.pop(name)
    elif how == 2:
        doubled = [(name, files[other])]
    elif how == 3:
        files[name], files[other] = files[other], files[name]
    elif how == 4:
        files[name] = files[name][: dice.randrange(len(files[name]) + 1)]
    elif how == 5:
        files[name] = dice.choice((b"", b"\0" * 5000, files[name] * 2, files[name] + b"\n", b"\xff" + files[name]))
    else:
        files[dice.choice(names(base, dice))] = dice.choice((b"", b"{}", files[other]))
    if dice.random() < 0.6 and "pack.json" in files:
        files = refitted(files)
    return stored(files, doubled=doubled)


def names(base, dice):
    n = dice.randrange(20)
    return [
        "../../etc/passwd", "/etc/passwd", "..\\x", "C:\\x", "evidence/../x", "index.html/", "a\0b", "", ".", "x" * 300,
        f"evidence/{base.uid}-{n}.json", f"manifest/{base.uid}-{n}.json", f"recording/{base.uid}-{n}.flac",
        f"notice/sent-{n}.wav", f"notice/advice-line.en.{n}.wav", "notice/advice-line.en.9.txt", "PACK.JSON",
    ]  # fmt: skip


def refitted(files):
    try:
        return relisted(files)
    except (ValueError, TypeError, AttributeError):
        return files


# ---------------------------------------------------------------- the checkpoint


def checkpoint_mutation(base, dice):
    """Its lines: origin, size, root, signatures; changed, gone, doubled, of another pack or of no kind at all."""
    lines = base.files["checkpoint.txt"].split(b"\n")
    at, how = dice.randrange(len(lines)), dice.randrange(6)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, dice.choice((lines[at], b"", b"x", "\u2014 a b".encode(), b"0")))
    elif how == 2 and lines[at]:
        place = dice.randrange(len(lines[at]))
        lines[at] = lines[at][:place] + bytes([dice.randrange(256)]) + lines[at][place + 1 :]
    elif how == 3:
        lines[at] = dice.choice((*RAW, b"-1", b"1" * 30, b"1.0", b"+1", b" 1", b"AAAA", b"=" * 44))
    elif how == 4:
        lines[at] += dice.choice((b"\r", b" ", b"=", b"\t", b"\0"))
    else:
        other = dice.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    files = base.files | {"checkpoint.txt": b"\n".join(lines)}
    return stored(refitted(files) if dice.random() < 0.9 else files)


# ---------------------------------------------------------------- fields


def places_in(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in items:
        yield from places_in(each, (*path, name))


def changed(value, dice):
    """One field of this value gone, renamed or another; and whether it is raw text that no JSON writer would write."""
    value = copy.deepcopy(value)
    *path, last = dice.choice([place for place in places_in(value) if place])
    inside = value
    for step in path:
        inside = inside[step]
    if dice.random() < 0.2 and choices_changed(value, dice):
        return value
    how = dice.randrange(6)
    if how == 0:
        del inside[last]
    elif how == 1 and isinstance(inside, dict):
        inside[dice.choice(("x", "schema", "__class__", last + "x"))] = inside.pop(last)
    elif how == 2 and isinstance(inside[last], str) and inside[last]:
        text, at = inside[last], dice.randrange(len(inside[last]))
        inside[last] = text[:at] + dice.choice("0123456789abcdefx\u0000") + text[at + 1 :]
    elif how == 3 and type(inside[last]) is int:
        inside[last] += dice.choice((-1, 1, 1000, -1000))
    else:
        inside[last] = dice.choice(VALUES)
    return value


PRESSED = [{"digit": digit, "method": "rfc4733", "leg": "caller", "at_ms": 150} for digit in "1257"]
CHOICES = {
    "interruption": ["skipped", "held", "x", None],
    "complete": [False, True],
    "required_language": ["cy", "en"],
    "keys": [*([each] for each in PRESSED), PRESSED, [], [{**PRESSED[0], "method": "x"}]],
    "essential_purposes": [["audit"], [], ["x"]],
    "essential_ms": [0, 99, 100, 101, 10**6],
    "skips": ["7", "2", ""],
    "acknowledges": ["1", "7", ""],
    "languages": [[], [{"key": "5", "language": "en"}], [{"key": "2", "language": "cy"}]],
    "language": ["cy", "en", ""],
    "choice": ["language cy", "language ", "decline"],
    "sdp_rtp": ["", "192.0.2.5:4000", "192.0.2.9:1"],
    "sdp_rtcp": ["", "192.0.2.5:4001"],
    "sdp_keys": [True, False],
    "signalling": [[], None],
    "sdp": [[], ["m=audio 1 RTP/AVP 0"], ["a=crypto:1"], ["c=IN IP4 ::", "m=audio 99999 RTP/AVP 0"]],
    "start_line": ["", "x" * 999],
    "commitment": ["", "ab" * 32],
    "commitments": [{}, {"message_1": "ab" * 32}, None],
    "received": [True, False],
    "matched_samples": [SAMPLES - 160, 800, 0],
    "segments": [[], [{"segment": 0, "decision": "NOT_RECORDED"}], [{"segment": 1, "decision": "RECORDED"}]],
}
"""What bears on what a caller chose, heard or was told of, with values that are of the right kind."""


def choices_changed(value, dice):
    """Several such fields of this value changed at once; False where it has none."""
    found = [place for place in places_in(value) if place and place[-1] in CHOICES]
    for place in dice.sample(found, min(len(found), dice.choice((1, 1, 2, 3)))):
        with contextlib.suppress(KeyError, IndexError, TypeError):  # it was in what went with an earlier one
            inside = reduce(lambda whole, step: whole[step], place[:-1], value)
            inside[place[-1]] = copy.deepcopy(dice.choice(CHOICES[place[-1]]))
    return bool(found)


def fields_mutation(base, dice):
    files = dict(base.files)
    name = dice.choice([name for name in files if name.endswith((".json", ".jsonl"))])
    lines = files[name].split(b"\n") if name.endswith("jsonl") else [files[name]]
    at = dice.randrange(len(lines) - 1) if len(lines) > 1 else 0
    value = changed(json.loads(lines[at]), dice)
    try:
        lines[at] = canonical(value)
    except ValueError:
        lines[at] = json.dumps(value).encode()
    if dice.random() < 0.15:
        raw, spot = dice.choice(RAW), lines[at].find(b":", dice.randrange(len(lines[at]))) + 1
        lines[at] = lines[at][:spot] + raw + lines[at][spot:].lstrip(b"0123456789tfn")
    if dice.random() < 0.05:
        lines[at] = lines[at][:1] + b'"v":1,' + lines[at][1:]
    files[name] = b"\n".join(lines)
    if name != "pack.json" and dice.random() < 0.8:
        files = refitted(files)
    return stored(files)


# ---------------------------------------------------------------- by who has the key


def signed_mutation(base, dice):
    """The whole log written anew around one changed entry or evidence, every reference and signature made to fit."""
    files, entries = dict(base.files), [parse(body) for body in base.bodies]
    name = f"evidence/{base.uid}-1.json"
    judged = json.loads(files[name])
    tapped = name.removesuffix(".json") + ".tap"
    if dice.random() < 0.6:
        if tapped in files and dice.random() < 0.6:
            files[tapped] = another_window(files[tapped], dice)
            judged["evidence"]["wire"]["window_sha256"] = sha256_hex(files[tapped])
        else:
            judged["evidence"] = changed(judged["evidence"], dice)
            judged = changed(judged, dice) if dice.random() < 0.2 else judged
        for entry in entries:
            if "evidence_sha256" in entry["body"]:
                entry["body"]["evidence_sha256"] = hashed(judged.get("evidence"))
    else:
        own = [
            n for n, entry in enumerate(entries) if entry["call_uid"] == base.uid or entry["kind"] == "prompt.approved"
        ]
        at = dice.choice(own)
        entries[at] = changed(entries[at], dice)
    try:
        return written_anew(base, files, entries, judged, name)
    except (ValueError, TypeError, KeyError):
        return stored(files)


def another_window(kept, dice):
    head, _, payloads = kept.partition(b"\n")
    if dice.random() < 0.3:
        at = dice.randrange(len(payloads))
        payloads = payloads[:at] + bytes([payloads[at] ^ 1 << dice.randrange(8)]) + payloads[at + 1 :]
    else:
        head = json.dumps(changed(json.loads(head), dice), separators=(",", ":")).encode()
    return head + b"\n" + payloads


def hashed(value):
    try:
        return sha256_hex(canonical(value))
    except ValueError:
        return ""


def manifest_anew(base, files, new, text):
    """The manifest bound to the new leaves, and the entry that seals it."""
    name = f"manifest/{base.recording}.json"
    before = files[name]
    for leaf, other in new.items():
        files[name] = files[name].replace(leaf.encode(), other.encode())
    return text.replace(sha256_hex(before), sha256_hex(files[name]))


def written_anew(base, files, entries, judged, name):
    old = {leaf_hash(body).hex(): n for n, body in enumerate(base.bodies)}
    new: dict[str, str] = {}
    bodies, leaves = [], []
    for n, entry in enumerate(entries):
        text = json.dumps(entry)
        for leaf, at in old.items():
            if leaf in text and at < n:
                text = text.replace(leaf, new[leaf])
        if "notice.proven" in text and "evidence_sha256" in text:
            kept = json.dumps(judged)
            for leaf, other in new.items():
                kept = kept.replace(leaf, other)
            before = hashed(judged.get("evidence"))
            judged = json.loads(kept)
            text = text.replace(before, hashed(judged.get("evidence"))) if before else text
        if "recording.sealed" in text:
            text = manifest_anew(base, files, new, text)
        bodies.append(canonical(json.loads(text)))
        leaves.append(leaf_hash(bodies[-1]))
        new[leaf_hash(base.bodies[n]).hex()] = leaves[-1].hex()
    tree = Tree(leaves)
    lines = files["entries.jsonl"].splitlines()
    taken = [n for n, body in enumerate(base.bodies) if body in lines]
    files["checkpoint.txt"] = sign(
        Checkpoint(origin=key_of(base.secret).name, size=tree.size, root=tree.root()), base.secret
    )
    files["entries.jsonl"] = b"".join(bodies[n] + b"\n" for n in taken)
    paths = {str(parse(bodies[n])["seq"]): [each.hex() for each in tree.path(n)] for n in taken}
    files["proofs.json"] = json.dumps({"size": tree.size, "paths": paths}).encode()
    files[name] = canonical(judged)
    head = json.loads(files["pack.json"]) | {"root": tree.root().hex()}
    return stored(relisted(files | {"pack.json": json.dumps(head).encode()}))


# ---------------------------------------------------------------- what must hold

KINDS = {
    "bytes": bytes_mutation,
    "directory": directory_mutation,
    "files": files_mutation,
    "checkpoint": checkpoint_mutation,
    "fields": fields_mutation,
    "signed": signed_mutation,
}
WEIGHTS = (13, 8, 13, 8, 30, 28)


def held(data):
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def wrongly_verified(base, kind, data, found):
    """Why this should not have been verified, or nothing."""
    files = held(data)
    if kind == "signed":
        try:
            evidence = from_json(json.loads(files[f"evidence/{base.uid}-1.json"])["evidence"])
        except ValueError as error:  # whoever has the key may add what nothing rests on
            return "" if "unknown field" in str(error) else str(error)
        granted = isinstance(judge(evidence, evidence_sha256=""), Granted)
        said = any("played: proven" in line for line in found.told)
        if granted and evidence.wire is not None:
            return unborne(base, evidence, files[f"evidence/{base.uid}-1.tap"])
        return "" if granted == said else f"the core says {granted}, the pack {found.told}"
    if (found.log, found.size, found.root) != base.head:
        return f"another checkpoint: {found.log}, {found.size}, {found.root}"
    other = [name for name in files if name not in UNBOUND and files[name] != base.files.get(name)]
    gone = [name for name in base.files if name not in files and not name.startswith(OPTIONAL)]
    gone = [name for name in gone if name not in ("index.html", "verify.py")]
    return ", ".join(other + gone)


def unborne(base, evidence, kept):
    """What callrec's own weighing of this window does not bear out of this evidence."""
    try:
        seen = weigh(kept, base.house.prompt.pcm)
    except Broken as error:
        return "" if "unknown field" in str(error) else str(error)
    streams = [replace(stream, codec="") for stream in seen.streams]
    reports = [(rtcp.newest, rtcp.accepted) if rtcp else (None, 0) for rtcp in (seen.rtcp, evidence.rtcp)]
    same = (
        seen.tap == evidence.tap,
        seen.wire == evidence.wire,
        streams == [replace(stream, codec="") for stream in evidence.streams],
        reports[0] == reports[1],
    )
    return "" if all(same) else f"its window does not bear it out: {same}"


def one(base, dice):
    """One mutation: (kind, exit code). AssertionError where what must hold does not."""
    kind = dice.choices(list(KINDS), WEIGHTS)[0]
    data = KINDS[kind](base, dice)
    found = base.examine(data)
    lines = "\n".join(found.lines())
    assert found.exit_code in (0, 1, 20, 30)
    assert json.dumps(found.value())
    assert not found.found or all(wrong.check in standalone.CHECKS for wrong in found.found)
    assert found.exit_code <= 1 or "played: proven" not in lines, lines
    if found.exit_code <= 1:
        why = wrongly_verified(base, kind, data, found)
        assert not why, f"{kind}: verified although {why}"
    return kind, found.exit_code


def run(bases, n, seed):
    """Counts of outcomes by kind, over these packs in turn."""
    dice, counts = random.Random(seed), Counter()
    for number in range(n):
        state = dice.getstate()
        try:
            counts[one(bases[number % len(bases)], dice)] += 1
        except Exception as error:
            error.add_note(f"mutation {number} of seed {seed}")
            dice.setstate(state)
            raise
    return counts


def bases_in(folder):
    """One call that was tapped at the player, and one on the wire."""
    made = []
    for name, house in (("player", PackHouse), ("wire", WireHouse)):
        (folder / name).mkdir()
        made.append(Base(folder / name, house))
    return made


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("--n", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=7)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        counts = run(bases_in(Path(folder)), given.n, given.seed)
        seconds = time.monotonic() - began
    report = {f"{kind} exit {code}": count for (kind, code), count in sorted(counts.items())}
    sys.stdout.write(
        json.dumps({"n": given.n, "seed": given.seed, "seconds": round(seconds), **report}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
