"""Whole calls whose proof is the wire: what the ledger then says, how far it reaches, and who cannot stretch that.

The line `strict` records only what the next hop says it received, the line `heard` only what the caller acknowledged
by a key; the other one what left us.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from callrec._canonical import parse
from callrec.core.evidence_json import JudgedEvidence, judged_from_json
from callrec.notice.wire_window import SUFFIX
from tests.calls.house import ROOT, SHORT, House
from tests.peers import audio, ports, rtcp, sipp
from tests.peers.baresip import Ear
from tests.peers.ports import LOOPBACK
from tests.peers.rtp import Address, Media
from tests.peers.sipp_steps import invite, sdp, until_bye

pytestmark = pytest.mark.calls

STRICT = "5001"
HEARD = "5002"
PATIENCE_S = 30


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("wire") / "house", staff=f"{LOOPBACK}:{ports.free_port()}")
    made.settings["notice"]["decide_within_ms"] = 1000
    made.prepare()
    name_a_key(made)
    strict = {"match": {"dialled": [STRICT]}, "require": "received"}
    made.settings["lines"]["strict"] = deepcopy(made.line | strict)
    heard = {"match": {"dialled": [HEARD]}, "require": "acknowledged", "notice": "heard", "choice_window_s": 8}
    keys = {"keys": {"decline": "2", "decline_training": "3", "stop": "**2", "acknowledge": "1"}}
    made.settings["lines"]["heard"] = deepcopy(made.line | heard | keys)
    with made:
        yield made
        made.callrec("audit", "verify")


def name_a_key(house: House) -> None:
    """The short notice again, as one that asks the caller to press 1."""
    source = ROOT / "tests" / "assets" / "short-notice.wav"
    words = (ROOT / "tests" / "assets" / "short-notice.txt").read_text().strip() + " Press 1 once you heard this."
    named = ["--key", "1=acknowledge", "--text", words]
    house.callrec("prompts", "add", str(source), "--id", "heard", "--lang", "en", *named, *SHORT)
    house.callrec("prompts", "approve", "heard.en.1", "--by", "tester")


@contextmanager
def call(
    house: House, folder: Path, dialled: str, *, keys: Mapping[int, str] | None = None
) -> Iterator[tuple[Media, Address]]:
    """A caller who speaks from the answer on, until staff were reached and hang up."""
    port, closed = int(house.line["destination"].rpartition(":")[2]), len(house.entries("call.closed"))
    say = audio.tone(audio.STAFF_HZ, 60)
    with Media() as media, Ear(folder / "staff", say=say, user="6000", auto_answer=True, port=port) as staff:
        steps = [invite(offer=sdp(port=str(media.port))), until_bye(60_000)]
        caller = sipp.calling(folder / "caller", steps, to=house.address, dialled=dialled)
        try:
            to = caller.wait_received("SIP/2.0 200", seconds=5).media_address
            media.speak(audio.tone(audio.CALLER_HZ, 2 + max(keys or {0: ""}) / 1000), to=to, keys=keys)
            yield media, to
            staff.established(within_s=PATIENCE_S)
            staff.hang_up()
            caller.succeed(within_s=10)
        finally:
            caller.stop()
        house.wait_for("call.closed", seconds=PATIENCE_S, count=closed + 1)


def evidence(house: House) -> tuple[JudgedEvidence, Path]:
    """Of the newest call that was offered, and where what was tapped lies."""
    uid = house.entries("call.offered")[-1].call_uid
    path = house.var / "evidence" / f"{uid}-1.json"
    return judged_from_json(parse(path.read_bytes())), path.with_suffix(SUFFIX)


def told(house: House, kind: str) -> Any:
    """The entry of this kind of the newest call, once it is there."""
    uid = house.entries("call.offered")[-1].call_uid
    mine = ports.until(
        lambda: [one for one in house.entries(kind) if one.call_uid == uid], seconds=PATIENCE_S, what=kind
    )
    return mine[0]


def heard_to_the_end(house: House, media: Media) -> None:
    """The last packet of the notice came in; what follows is silence until the judge has spoken."""
    media.heard_so_far(notice_s(house), within_s=PATIENCE_S)


def something_is_captured(house: House, media: Media) -> None:
    """Recording has begun, and a second of the talk has passed: a segment without a sample would be discarded."""
    told(house, "recording.started")
    media.heard_so_far(len(media.packets) * audio.FRAME / audio.RATE + 1, within_s=PATIENCE_S)


def notice_s(house: House) -> float:
    """With a little of the silence after it."""
    return len(house.prompt_samples()) / audio.RATE + 0.06


def test_a_notice_that_the_next_hop_received_is_recorded_as_that(house, tmp_path, witness):
    with call(house, tmp_path, STRICT) as (media, (host, port)):
        media.report_after(notice_s(house), to=(host, port + 1))
        proven = told(house, "notice.proven")
        told(house, "recording.started")
        passed = witness.sent((host, port), (LOOPBACK, media.port))
    judged, tapped = evidence(house)
    seen = judged.evidence

    assert (proven.body["grade"], proven.body["tap"], proven.body["rtcp"]) == ("received", "wire", "unauthenticated")
    assert seen.rtcp is not None
    assert seen.rtcp.newest is not None
    assert seen.rtcp.newest.source == f"{LOOPBACK}:{media.port + 1}"
    assert not seen.rtcp.authenticated
    assert (seen.caller.foreign_packets, seen.caller.ssrc) == (0, media.ssrc)
    (stream,) = seen.streams
    numbered = {int.from_bytes(one[2:4], "big"): one[12:] for one in passed}
    octets = b"".join(numbered[(stream.first_sequence + step) % 65536] for step in range(stream.sent))
    assert hashlib.sha256(audio.from_alaw(octets).astype("<i2").tobytes()).hexdigest() == seen.tap.pcm_sha256
    assert seen.wire is not None
    assert hashlib.sha256(tapped.read_bytes()).hexdigest() == seen.wire.window_sha256
    assert octets in tapped.read_bytes()
    report = house.callrec("audit", "call", proven.call_uid)
    assert re.search(r"received by the next hop [0-9.:]+, as unauthenticated RTCP says\)", report)
    assert "evaluation" not in report
    assert house.status()["engine"]["tap"] == "wire"


def test_a_notice_whose_key_the_caller_pressed_is_recorded_as_acknowledged(house, tmp_path):
    with call(house, tmp_path, HEARD, keys={9500: "1"}):
        proven = told(house, "notice.proven")
        told(house, "recording.started")
    judged, _ = evidence(house)

    assert proven.body["grade"] == "acknowledged"
    assert told(house, "choice.made").body["choice"] == "acknowledge"
    (key,) = judged.evidence.keys
    assert (key.digit, judged.evidence.prompt.acknowledges) == ("1", "1")
    assert key.at_ms >= judged.evidence.prompt.essential_ms
    assert "a key was pressed beyond the next hop" in house.callrec("audit", "call", proven.call_uid)


def test_a_key_before_the_notice_named_it_is_no_acknowledgement_and_the_call_goes_on(house, tmp_path):
    with call(house, tmp_path, HEARD, keys={1500: "1"}):
        refused = told(house, "notice.refused")
    judged, _ = evidence(house)

    assert refused.body["reasons"] == ["GRADE_TOO_LOW"]
    assert [key.digit for key in judged.evidence.keys] == ["1"]
    assert house.entries("call.closed")[-1].body["connected"]


def test_a_report_that_much_was_lost_which_comes_after_the_proof_stops_the_recording_and_nobody_may_use_it(
    house, tmp_path
):
    with call(house, tmp_path, "5000") as (media, (host, port)):
        something_is_captured(house, media)
        media.report(to=(host, port + 1), lost=200)
        stopped = told(house, "recording.stopped")
    incident, kept = told(house, "incident"), told(house, "recording.kept")

    assert stopped.body["reason"] == "PROOF_CONTRADICTED"
    assert (incident.body["what"], incident.body["report"]["lost"]) == ("proof contradicted", 200)
    assert house.entries("call.closed")[-1].body["connected"]
    denied = house.callrec(
        "recordings", "export", kept.call_uid, "--purpose", "audit", "-o", str(tmp_path / "x"), code=10
    )
    assert "quarantined" in denied


def test_a_forged_report_after_the_proof_is_obeyed_in_nothing(house, tmp_path):
    with call(house, tmp_path, "5000") as (media, (host, port)):
        something_is_captured(house, media)
        media.report(to=(host, port + 1), lost=200, last_report=1)
        media.report(to=(host, port + 1), lost=200, ssrc=1)
        media.report(to=(host, port + 1), lost=0)
        media.report(to=(host, port + 1), lost=200)
    kept = told(house, "recording.kept")

    assert not [one for one in house.entries("incident") if one.call_uid == kept.call_uid]


def test_forged_reports_from_the_right_address_are_not_believed(house, tmp_path):
    with call(house, tmp_path, STRICT) as (media, (host, port)):
        heard_to_the_end(house, media)
        media.report(to=(host, port + 1), last_report=1)
        media.report(to=(host, port + 1), ssrc=1)
        refused = told(house, "notice.refused")
    closed = house.entries("call.closed")[-1]

    assert refused.body["reasons"] == ["GRADE_TOO_LOW"]
    assert (closed.body["decision"], closed.body["connected"]) == ("NOT_RECORDED", True)


def test_a_stranger_in_the_notice_costs_the_recording_and_not_the_call(house, tmp_path):
    with call(house, tmp_path, "5000") as (media, (host, port)), Media("127.0.0.9") as stranger:
        media.heard_so_far(1, within_s=10)
        stranger.send(rtcp.receiver_report(media.ssrc) + rtcp.goodbye(media.ssrc), to=(host, port + 1), rtcp=True)
        forged = rtcp.block(media.packets[-1].ssrc, highest=media.packets[-1].sequence + 5000, last_report=0)
        stranger.send(rtcp.receiver_report(media.ssrc, forged), to=(host, port + 1), rtcp=True)
        stranger.send(b"\x80\x08" + bytes(170), to=(host, port))
        ports.until(
            lambda: audio.share(media.heard[-8000:], audio.STAFF_HZ) > 0.9, seconds=PATIENCE_S, what="staff are heard"
        )
        assert (stranger.packets, stranger.rtcp) == ([], [])
    judged, _ = evidence(house)
    closed = house.entries("call.closed")[-1]

    assert [reason.value for reason in judged.reasons] == ["MEDIA_FOREIGN"]
    assert judged.evidence.caller.foreign_packets == 3
    assert (closed.body["decision"], closed.body["reason"]) == ("NOT_RECORDED", "MEDIA_FOREIGN")
    assert closed.body["connected"]
