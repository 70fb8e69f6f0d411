"""A pack is hostile until it is checked: whatever it holds is refused by a number, never with a traceback."""

import json
import math
import random
import struct
import zipfile
from io import BytesIO

import numpy as np
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from callrec._canonical import canonical, parse, sha256_hex
from callrec.audit import standalone
from callrec.core import proof
from callrec.core.evidence import Direction, Interruption, RtcpFault
from callrec.core.evidence_json import from_json
from callrec.core.proof import Granted, judge
from callrec.core.values import KeyMethod
from callrec.ledger.merkle import inclusion_proof, leaf_hash, root
from callrec.ledger.proofs import Tree
from callrec.notice.audio import wav_of
from callrec.notice.g711 import LAWS
from tests.audit.mutations import bases_in, changed, run, stored, written_anew
from tests.audit.packing import relisted


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return bases_in(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def base(bases):
    return bases[0]


def found_in(base, data):
    found = base.examine(data)
    assert not [line for line in found.lines() if "played: proven" in line]
    return {wrong.check for wrong in found.found}, found.exit_code


def test_hundreds_of_mutations_verify_nothing_wrongly(bases):
    """`python -m tests.audit.mutations --n 100000` makes many more."""
    counts = run(bases, 600, seed=3)

    assert sum(counts.values()) == 600
    assert sum(count for (_, code), count in counts.items() if code in (20, 30)) > 450


# ---------------------------------------------------------------- zips


def with_name(base, name, data=b"{}"):
    return stored(relisted(base.files | {name: data}))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..\\windows", "evidence/../x", "notice/a.en.1.exe", "x", "index.html/", "é"],
)
def test_a_name_that_leads_elsewhere_is_refused(base, name):
    assert found_in(base, with_name(base, name)) == ({21}, 30)


def test_a_name_that_stands_twice_is_refused(base):
    assert found_in(base, stored(base.files, doubled=[("pack.json", b"{}")])) == ({21}, 30)


@pytest.mark.parametrize("cut", [0, 1, 21, 22, 100, 0.5, 0.9, 0.999])
def test_a_pack_that_was_cut_is_not_verified(base, cut):
    kept = int(cut * len(base.zip)) if isinstance(cut, float) else cut

    assert found_in(base, base.zip[:kept]) == ({21}, 20)


def test_what_says_it_holds_more_than_a_pack_can_is_not_unpacked(base, monkeypatch):
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in base.files.items():
            archive.writestr(name, bytes(40_000_000) if name == "proofs.json" else data)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was opened"))

    assert len(target.getvalue()) < 1_000_000
    assert found_in(base, target.getvalue()) == ({21}, 30)


def test_a_size_that_is_a_lie_is_read_no_further(base):
    """The directory says ten bytes, the packed data unfold to millions: zipfile stops at what was said."""
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in base.files.items():
            archive.writestr(name, bytes(3_000_000) if name == "proofs.json" else data)
    lied = target.getvalue().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 10))

    assert found_in(base, lied) == ({21}, 20)


def test_recordings_together_larger_than_any_pack_are_not_read(base):
    data = bytearray(stored(base.files | {f"recording/{base.uid}-{n}.flac": b"x" * 77 for n in range(3)}))
    lied = bytes(data).replace(struct.pack("<II", 77, 77), struct.pack("<II", 77, 700_000_000))

    assert found_in(base, lied) == ({21}, 30)


@pytest.mark.parametrize("count", [60, 300])
def test_more_files_than_a_pack_has_are_refused(base, count):
    more = {f"evidence/{base.uid}-{n}.json": b"{}" for n in range(5, 5 + count)}

    assert found_in(base, stored(relisted(base.files | more)))[1] == 30


@pytest.mark.parametrize("before", [b"#!/bin/sh\n", b"PK\3\4"])
def test_a_zip_with_something_before_it_is_refused(base, before):
    assert found_in(base, before + base.zip) == ({21}, 30)


@pytest.mark.parametrize("after", [b"\0", b"comment", b"PK\5\6" + bytes(18)])
def test_a_zip_with_something_after_it_is_refused(base, after):
    assert found_in(base, base.zip + after)[1] in (20, 30)


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NaN",
        b"Infinity",
        b"[" * 100_000,
        b'{"a":' * 90_000,
        b"[" * 40 + b"]" * 40,
        b'{"a":1,"a":2}',
        b"1e999",
        b"9" * 5000,
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'"\\ud800"',
    ],
)
@pytest.mark.parametrize("name", ["pack.json", "proofs.json", "entries.jsonl", "evidence"])
def test_json_with_a_second_meaning_or_none_is_refused(base, name, data):
    name = f"evidence/{base.uid}-1.json" if name == "evidence" else name
    files = base.files | {name: data}
    files = files if name == "pack.json" else relisted(files)

    checks, code = found_in(base, stored(files))

    assert checks in ({21}, {23}, {26, 31})
    assert code == 30


@pytest.mark.parametrize("name", ["checkpoint.txt", "entries.jsonl", "proofs.json", "pack.json"])
def test_what_a_pack_needs_is_missed_by_name(base, name):
    files = {each: data for each, data in base.files.items() if each != name}
    found = base.examine(stored(files if name == "pack.json" else relisted(files)))

    assert (found.exit_code, found.found[0].check) == (20, 21)
    assert f"{name} is missing" in found.found[0].sentence


@pytest.mark.parametrize(("part", "check"), [("evidence/", 26), ("manifest/", 32), ("notice/", 28)])
def test_what_the_entries_rest_on_is_missed_by_its_check(base, part, check):
    files = {each: data for each, data in base.files.items() if not each.startswith(part)}

    checks, code = found_in(base, stored(relisted(files)))

    assert check in checks
    assert code in (20, 30)


@pytest.mark.parametrize("note", [b"", b"\n\n", b"x" * 70_000, b"a\n1\nAA==\n\n\xe2\x80\x94 a b\n"])
def test_a_checkpoint_that_is_none_is_refused(base, note):
    assert found_in(base, stored(relisted(base.files | {"checkpoint.txt": note}))) == ({22}, 30)


def test_a_stray_file_that_belongs_to_nothing_is_refused(base):
    stray = {f"evidence/{base.uid}-77.json": base.files[f"evidence/{base.uid}-1.json"]}

    assert found_in(base, stored(relisted(base.files | stray))) == ({34}, 30)


# ---------------------------------------------------------------- the wire


@pytest.fixture
def tapped(bases):
    """The pack of a call whose wire was tapped; its evidence's and its window's name."""
    return bases[1], f"evidence/{bases[1].uid}-1.json", f"evidence/{bases[1].uid}-1.tap"


def test_a_call_that_was_tapped_is_received_and_its_packets_are_weighed_again(tapped):
    base, _, _ = tapped
    found = base.examine(base.zip)

    assert found.outcome(29) == "holds"
    assert any("proven (received by the next hop" in line for line in found.told)
    assert "notice/sent-1.wav" in base.files


@pytest.mark.parametrize("change", ["gone", "changed", "of another", "kept silent"])
def test_a_window_that_is_not_the_one_in_evidence_is_refused(tapped, change):
    base, _, window = tapped
    files = dict(base.files)
    kept = files.pop(window)
    if change == "changed":
        files[window] = kept[:-1] + bytes([kept[-1] ^ 1])
    elif change == "of another":
        files[window] = b"{}\n"
    elif change == "kept silent":
        head, _, payloads = kept.partition(b"\n")
        files[window] = head + b"\n" + b"\xd5" * len(payloads)

    checks, code = found_in(base, stored(relisted(files)))

    assert 26 in checks
    assert code == (20 if change == "gone" else 30)


def test_audio_as_sent_that_is_not_what_was_tapped_is_refused(tapped):
    base, _, _ = tapped
    other = wav_of(bytes(len(base.files["notice/sent-1.wav"]) - 44))

    assert found_in(base, stored(relisted(base.files | {"notice/sent-1.wav": other}))) == ({29}, 30)


def test_audio_as_sent_that_nothing_was_tapped_for_is_refused(base):
    assert found_in(base, stored(relisted(base.files | {"notice/sent-1.wav": wav_of(bytes(320))}))) == ({29}, 30)


@pytest.mark.parametrize(
    "change",
    [
        {"gaps_us": "1"},
        {"gaps_us": "9" * 4000},
        {"gaps_us": "-1"},
        {"runs": []},
        {"peers": ["198.51.100.1:1"]},
        {"rtcp_heard": []},
        {"deferred": 1},
        {"odd": 1},
        {"reports_sent": []},
        {"schema": "another"},
        {"counts": {}},
    ],
    ids=str,
)
def test_a_window_signed_anew_still_has_to_bear_the_evidence_out(tapped, change):
    """Whoever holds the real key can sign any window; what it shows is counted again all the same."""
    base, evidence, window = tapped
    head, _, payloads = base.files[window].partition(b"\n")
    files = base.files | {window: canonical(json.loads(head) | change) + b"\n" + payloads}
    judged = json.loads(files[evidence])
    judged["evidence"]["wire"]["window_sha256"] = sha256_hex(files[window])
    entries = [parse(body) for body in base.bodies]
    for each in entries:
        if "evidence_sha256" in each["body"]:
            each["body"]["evidence_sha256"] = sha256_hex(canonical(judged["evidence"]))

    checks, code = found_in(base, written_anew(base, files, entries, judged, evidence))

    assert checks == {29}
    assert code == 30


@pytest.mark.parametrize("law", LAWS)
def test_its_g711_is_that_of_the_engine(law):
    pcm = np.arange(-32768, 32768, dtype="<i2").tobytes()

    assert standalone.decoded(standalone.coded(pcm, law), law) == LAWS[law].applied(pcm)
    assert standalone.decoded(bytes(range(256)), law) == LAWS[law].decoded(bytes(range(256)))


# ---------------------------------------------------------------- the same as callrec's own


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_its_canonical_json_is_that_of_rfc_8785(value):
    assert standalone.canonical(value).encode("utf-8", "surrogatepass") == canonical(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e21)
@example(1e20)
@example(123456789012345680000.0)
@example(1e-6)
@example(1e-7)
@example(5e-324)
@example(-0.0)
@example(100.0)
@example(-1.5e-10)
def test_its_numbers_are_those_of_rfc_8785(value):
    assert math.isfinite(value)
    assert standalone.canonical(value).encode() == rfc8785.dumps(value)


@given(st.integers(1, 70), st.data())
def test_a_path_out_of_the_whole_tree_is_that_of_rfc_6962(size, data):
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    index = data.draw(st.integers(0, size - 1))
    tree = Tree(leaves)

    assert tree.root() == root(leaves)
    assert tree.path(index) == inclusion_proof(leaves, index)
    assert standalone.leads_to(leaves[index], index, size, list(tree.path(index)), tree.root())
    assert not standalone.leads_to(leaves[index], index, size + 1, list(tree.path(index)), bytes(32))


@pytest.mark.parametrize("tap", ["player", "wire"])
def test_it_judges_as_the_core_does(bases, tap):
    """Evidence with one or two fields changed at random: where both can read it, both say the same."""
    dice, read, base = random.Random(9), 0, bases[tap == "wire"]
    good = json.loads(base.files[f"evidence/{base.uid}-1.json"])["evidence"]
    for _ in range(800):
        value = changed(good, dice)
        value = changed(value, dice) if dice.random() < 0.3 else value
        theirs = core_says(value)
        ours = own_says(value)
        if theirs is not None and ours is not None:
            assert ours == theirs, value
            read += 1

    assert read > 80


def core_says(value):
    try:
        verdict = judge(from_json(value), evidence_sha256="")
    except (ValueError, TypeError):
        return None
    return verdict.grade.value if isinstance(verdict, Granted) else [reason.value for reason in verdict]


def own_says(value):
    try:
        standalone.fit(value, standalone.EVIDENCE, "evidence", 26)
        standalone.fit(value, standalone.EVIDENCE_OF[value["schema"]], "evidence", 26)
    except standalone.Wrong:
        return None
    return standalone.judge(value) or standalone.grade_of(value)


WORDS = {"INTERRUPTION": Interruption, "METHOD": KeyMethod, "RTCP_FAULT": RtcpFault, "DIRECTION": Direction}


@pytest.mark.parametrize("name", WORDS)
def test_its_words_are_the_cores(name):
    assert getattr(standalone, name) == {each.value for each in WORDS[name]}


FLOORS = (
    *("SENT_FLOOR", "LEVEL_MISS_CEILING", "HOLES_CEILING_NS", "HURRY_CEILING_NS", "LOSS_CEILING", "BORDERLINE"),
    "RECEIPT_MAX_AGE_NS",
)


@pytest.mark.parametrize("name", FLOORS)
def test_its_floors_are_not_looser_than_the_cores_nor_other(name):
    assert getattr(standalone, name) == getattr(proof, name)
