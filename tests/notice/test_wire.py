"""A window of the wire, kept and weighed: what bears a notice out, and each thing that does not."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrec._canonical import sha256_hex
from callrec.audit import standalone
from callrec.core.evidence import (
    CallerMedia,
    Evidence,
    Interruption,
    KeyHeard,
    LanguageKey,
    RtcpFault,
    SipText,
)
from callrec.core.evidence_json import to_json
from callrec.core.proof import Granted, judge
from callrec.core.reasons import Reason
from callrec.core.values import Grade, KeyMethod, Leg, Tap
from callrec.core.wire_records import Counts, Flag, Kind, Record, TakenWindow
from callrec.errors import Broken
from callrec.ledger.entry import commitment, opens
from callrec.notice.g711 import LAWS
from callrec.notice.wire import weigh
from callrec.notice.wire_window import MOST_REPORTS, keep, keep_with, read
from tests.core.builders import GOOD_EVIDENCE
from tests.engine.test_records import written
from tests.notice.spoken import ENGLISH
from tests.peers.audio import to_alaw, to_ulaw
from tests.peers.rtcp import block, receiver_report, sender_report

PEER = (IPv4Address("192.0.2.5"), 4000)
PEER_RTCP = (IPv4Address("192.0.2.5"), 4001)
SSRC, THEIRS = 0xC0FFEE, 0xBEEF
NTP = 0x1234_5678_9ABC_DEF0
MIDDLE = 0x5678_9ABC
FIRST = 65_500
BEGAN_NS = 10**12
FRAME = 160
PLAIN = Flag(0)
PROMPT = ENGLISH[: 2 * 8000 * 4]
PACKETS = 200
SILENCE = bytes(2 * FRAME)
COUNTS = Counts(**dict.fromkeys(Counts.__dataclass_fields__, 0) | {"first_foreign": "", "peer_ssrc": THEIRS})


def record(kind: Kind, packet: bytes = b"", *, at_ms: float = 0, address=PEER, flags: Flag = PLAIN) -> Record:
    ns = BEGAN_NS + round(at_ms * 1_000_000)
    return Record(
        kind=kind,
        flags=flags,
        status=0,
        wire_bytes=len(packet),
        utc_ns=ns,
        boottime_ns=ns,
        address=address,
        packet=packet,
    )


def octets_of(pcm: bytes, payload_type: int = 8) -> bytes:
    """As the engine codes it, whatever rounding our own test coder has."""
    arriving = np.frombuffer(LAWS[payload_type].applied(pcm), "<i2")
    return (to_alaw if payload_type else to_ulaw)(arriving)


def rtp(pcm: bytes, *, payload_type: int = 8, ssrc: int = SSRC, first: int = FIRST, every_ms: float = 20):
    """Packets of 20 ms, on time."""
    octets = octets_of(pcm, payload_type)
    for number in range(len(octets) // FRAME):
        head = struct.pack(">BBHII", 0x80, payload_type, (first + number) & 0xFFFF, number * FRAME & 0xFFFFFFFF, ssrc)
        payload = octets[number * FRAME : (number + 1) * FRAME]
        yield record(Kind.RTP_SENT, head + payload, at_ms=1 + number * every_ms)


def window(*listed: Record, counts: Counts = COUNTS) -> TakenWindow:
    """These, after the peer's address; the newest last."""
    ordered = sorted(listed, key=lambda one: one.boottime_ns)
    return TakenWindow(records=b"".join(map(written, [record(Kind.PEER_ADDRESS), *ordered])), counts=counts)


def good(pcm: bytes = SILENCE + PROMPT + SILENCE, **words) -> list[Record]:
    return list(rtp(pcm, **words))


def description(host: str, port: int, *more: str) -> str:
    """A session description as phones write it."""
    lines = ["v=0", f"o=alice 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=audio {port} RTP/AVP 8 0 101"]
    return "\r\n".join([*lines, "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", *more, ""])


OFFER = SipText(
    at_ns=BEGAN_NS - 10**9,
    received=True,
    start_line="INVITE sip:07700900123@198.51.100.7 SIP/2.0",
    sdp=description("192.0.2.5", 4000, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:secret", "a=sendrecv"),
)
ANSWER = SipText(
    at_ns=BEGAN_NS - 9 * 10**8,
    received=False,
    start_line="SIP/2.0 200 OK",
    sdp=description("198.51.100.7", 40000, "a=sendrecv"),
)


def keeping(taken: TakenWindow, *messages: SipText) -> bytes:
    """As it is kept, with what both sides had described before."""
    return keep_with(taken, messages or (OFFER, ANSWER), committed)[0]


def committed(text: str) -> tuple[str, str]:
    """Always the same, so that the same window has the same hash."""
    return sha256_hex(f"salt{text}".encode()), b"salt".hex()


def evidence(taken: TakenWindow, *messages: SipText) -> Evidence:
    """Good evidence of a call whose wire showed this."""
    return evidence_of(keeping(taken, *messages))


def evidence_of(kept: bytes) -> Evidence:
    """Good evidence of a call beside which this window is kept."""
    seen = weigh(kept, PROMPT)
    caller = CallerMedia(
        sdp_address="192.0.2.5:4000",
        source_address="192.0.2.5:4000",
        rtp_packets=200,
        rtcp_reports=0,
        foreign_packets=seen.foreign_packets,
    )
    return replace(
        GOOD_EVIDENCE,
        prompt=replace(GOOD_EVIDENCE.prompt, samples=len(PROMPT) // 2),
        tap=seen.tap,
        wire=seen.wire,
        streams=seen.streams,
        expected_packets=seen.expected_packets,
        rtcp=seen.rtcp,
        player=None,
        caller=caller,
        end_ns=GOOD_EVIDENCE.start_ns + 4_100_000_000,
    )


def verdict(*listed: Record, counts: Counts = COUNTS):
    return judge(evidence(window(*listed, counts=counts)), evidence_sha256="ff" * 32)


# ---------------------------------------------------------------- what bears a notice out


@pytest.mark.parametrize("payload_type", [0, 8])
def test_a_notice_that_left_whole_is_proven(payload_type):
    listed = good(payload_type=payload_type)

    seen = weigh(keep(window(*listed)), PROMPT)

    assert isinstance(verdict(*listed), Granted)
    assert (seen.tap.kind, seen.tap.at_sample, seen.tap.matched_samples) == (Tap.WIRE, FRAME, 8000 * 4)
    (stream,) = seen.streams
    assert (stream.ssrc, stream.sent, stream.octets) == (SSRC, PACKETS + 2, (PACKETS + 2) * FRAME)
    assert (stream.first_sequence, stream.last_sequence) == (FIRST, (FIRST + PACKETS + 1) % 65536)
    assert (seen.wire.notice_first_sequence, seen.wire.notice_last_sequence) == (FIRST + 1, (FIRST + PACKETS) % 65536)
    assert seen.wire.notice_span_ns == (PACKETS - 1) * 20_000_000
    assert (seen.expected_packets, seen.peer_ssrc) == (PACKETS, THEIRS)


@given(st.integers(0, 4000), st.sampled_from([0, 8]), st.integers(0, 0xFFFF), st.integers(1, 0xFFFFFFFF))
def test_an_undisturbed_notice_is_proven_at_whatever_sample_it_begins(before, payload_type, first, ssrc):
    """`make trials` asks it ten thousand times."""
    assert isinstance(undisturbed(before, payload_type, first, ssrc), Granted)


def undisturbed(before: int, payload_type: int, first: int, ssrc: int):
    """What is found of a notice after so many samples of silence, in a stream that begins anywhere."""
    silent_to_the_end = bytes(2 * (FRAME + -before % FRAME))
    pcm = bytes(2 * before) + PROMPT + silent_to_the_end
    return verdict(*rtp(pcm, payload_type=payload_type, first=first, ssrc=ssrc))


def test_a_notice_under_srtp_is_weighed_in_the_clear():
    listed = [replace(one, flags=Flag.DECRYPTED, wire_bytes=one.wire_bytes + 10) for one in good()]

    assert isinstance(verdict(*listed), Granted)
    assert weigh(keep(window(*listed)), PROMPT).wire.srtp


def test_the_longest_notice_is_kept_in_less_than_200_kb():
    noise = np.random.default_rng(1).integers(-9000, 9000, 20 * 8000).astype("<i2").tobytes()

    assert len(keep(window(*rtp(noise)))) < 200_000


# ---------------------------------------------------------------- what does not


def changed(number: int, **fields) -> list[Record]:
    listed = good()
    listed[number] = replace(listed[number], **fields)
    return listed


def renumbered(listed: list[Record], at: int, *, sequence: int = 0, timestamp: int = 0) -> list[Record]:
    """From here on these numbers are higher by so much."""

    def higher(packet: bytes) -> bytes:
        first, kind, was, stamp, ssrc = struct.unpack_from(">BBHII", packet)
        numbers = (was + sequence) & 0xFFFF, (stamp + timestamp) & 0xFFFFFFFF
        return struct.pack(">BBHII", first, kind, *numbers, ssrc) + packet[12:]

    return listed[:at] + [replace(one, packet=higher(one.packet)) for one in listed[at:]]


def without(at: int) -> list[Record]:
    return good()[:at] + good()[at + 1 :]


WRONGS = {
    "a packet missing": (without(50), Reason.NOTICE_ALTERED),
    "a packet of silence missing": (without(0)[:1] + without(0)[2:], Reason.NOTICE_ALTERED),
    "a packet twice": ([*good(), replace(good()[50], boottime_ns=good()[50].boottime_ns + 1)], Reason.NOTICE_ALTERED),
    "a sequence number left out": (renumbered(good(), 50, sequence=1), Reason.NOTICE_NOT_SENT),
    "a sequence number used again": (renumbered(good(), 50, sequence=-1), Reason.NOTICE_NOT_SENT),
    "a timestamp that stood still": (renumbered(good(), 50, timestamp=-FRAME), Reason.NOTICE_NOT_SENT),
    "a timestamp that leapt": (renumbered(good(), 50, timestamp=8000), Reason.NOTICE_NOT_SENT),
    "another stream on the leg": ([*good(), *rtp(SILENCE, ssrc=7)], Reason.NOTICE_ALTERED),
    "another payload type": ([*good(), *rtp(SILENCE, payload_type=0, first=0)], Reason.NOTICE_ALTERED),
    "another voice before it": (good(b"\x00\x20" * FRAME + PROMPT), Reason.NOTICE_ALTERED),
    "another voice after it": (good(PROMPT + b"\x00\x20" * FRAME), Reason.NOTICE_ALTERED),
    "half of it": (good(PROMPT[: len(PROMPT) // 2]), Reason.NOTICE_ALTERED),
    "nothing at all": ([], Reason.NOTICE_ALTERED),
    "a packet to somebody else": (changed(50, address=(IPv4Address("192.0.2.6"), 4000)), Reason.NOTICE_ALTERED),
    "all to somebody else": (
        [replace(one, address=(IPv4Address("192.0.2.6"), 4000)) for one in good()],
        Reason.NOTICE_NOT_SENT,
    ),
    "a packet sent later, from a queue": (changed(50, flags=Flag.DEFERRED), Reason.NOTICE_ALTERED),
    "a packet that is no plain RTP": (changed(50, packet=b"\x90" + good()[50].packet[1:]), Reason.NOTICE_ALTERED),
    "a packet in the clear among encrypted ones": (changed(50, flags=Flag.DECRYPTED), Reason.NOTICE_NOT_SENT),
    "the peer's address changed": (
        [*good(), record(Kind.PEER_ADDRESS, at_ms=1000)],
        Reason.NOTICE_NOT_SENT,
    ),
    "sent in a hurry": (good(every_ms=10), Reason.NOTICE_NOT_SENT),
}


@pytest.mark.parametrize("name", WRONGS)
def test_it_is_not_proven_with(name):
    listed, reason = WRONGS[name]

    refused = verdict(*listed)

    assert isinstance(refused, tuple)
    assert reason in refused
    assert set(refused) <= {Reason.NOTICE_ALTERED, Reason.NOTICE_NOT_SENT}


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        ("overflow", Reason.NOTICE_NOT_SENT),
        ("rtp_refused", Reason.NOTICE_NOT_SENT),
        ("rtp_held_back", Reason.NOTICE_NOT_SENT),
        ("peer_addresses", Reason.NOTICE_NOT_SENT),
        ("leg_gone", Reason.NOTICE_NOT_SENT),
        ("rtp_foreign", Reason.MEDIA_FOREIGN),
        ("rtcp_foreign", Reason.MEDIA_FOREIGN),
    ],
)
def test_it_is_not_proven_where_the_engine_counted(counted, reason):
    assert verdict(*good(), counts=replace(COUNTS, **{counted: 1})) == (reason,)


def test_without_a_window_nothing_is_shown_to_have_been_sent():
    blind = replace(evidence(window(*good())), wire=None, streams=(), tap=weigh(keep(window()), PROMPT).tap)

    assert judge(blind, evidence_sha256="ff" * 32) == (Reason.NOTICE_NOT_SENT,)


def test_the_players_word_does_not_stand_in_for_the_wire():
    both = evidence(window(*good()))

    refused = judge(replace(both, tap=replace(both.tap, kind=Tap.PLAYER)), evidence_sha256="ff" * 32)

    assert refused == (Reason.NOTICE_NOT_SENT,)


# ---------------------------------------------------------------- RTCP

LAST = (FIRST + PACKETS) % 65536
AFTER = 1 + (PACKETS + 1) * 20


def our_report(at_ms: float = 200, **fields) -> Record:
    return record(Kind.RTCP_SENT, sender_report(SSRC, NTP), at_ms=at_ms, address=PEER_RTCP, **fields)


def their_report(*, at_ms: float = AFTER, flags: Flag = PLAIN, **block_fields) -> Record:
    said = {"ssrc": SSRC, "highest": 0x10000 | LAST, "last_report": MIDDLE} | block_fields
    packet = receiver_report(THEIRS, block(said.pop("ssrc"), **said))
    return record(Kind.RTCP_RECEIVED, packet, at_ms=at_ms, address=PEER_RTCP, flags=flags)


def test_an_authentic_report_that_the_last_packet_arrived_raises_the_grade():
    listed = [*good(), our_report(), their_report()]

    granted, facts = verdict(*listed), evidence(window(*listed)).rtcp

    assert isinstance(granted, Granted)
    assert granted.grade is Grade.RECEIVED
    assert facts is not None
    assert (facts.accepted, facts.rejected, facts.authenticated) == (1, (), False)
    assert facts.newest is not None
    assert (facts.newest.source, facts.newest.highest_sequence) == ("192.0.2.5:4001", LAST)


def test_an_answer_to_a_report_from_before_the_window_counts_too():
    earlier = our_report(at_ms=-500, flags=Flag.EARLIER)
    earlier = replace(earlier, packet=sender_report(SSRC, NTP, block(THEIRS, highest=1, last_report=0))[:28])

    assert evidence(window(earlier, *good(), their_report())).rtcp.accepted == 1


FORGED = {
    RtcpFault.NOT_OUR_STREAM: {"ssrc": 1},
    RtcpFault.NEVER_SENT: {"highest": (FIRST + PACKETS + 20) % 65536},
    RtcpFault.NO_REPORT_OF_OURS: {"last_report": MIDDLE + 1},
}


@pytest.mark.parametrize("fault", FORGED)
def test_a_forged_report_does_not_raise_the_grade(fault):
    listed = [*good(), our_report(), their_report(**FORGED[fault])]

    granted, facts = verdict(*listed), evidence(window(*listed)).rtcp

    assert granted.grade is Grade.SENT
    assert (facts.accepted, facts.newest) == (0, None)
    assert [(one.why, one.packets) for one in facts.rejected] == [(fault, 1)]


@pytest.mark.parametrize(
    ("fault", "report"),
    [
        (RtcpFault.NEVER_SENT, {"at_ms": 1000}),
        (RtcpFault.NO_REPORT_OF_OURS, {"at_ms": 150, "highest": FIRST + 2}),
    ],
)
def test_a_report_that_knows_what_is_still_to_come_is_forged(fault, report):
    facts = evidence(window(*good(), our_report(), their_report(**report))).rtcp

    assert [one.why for one in facts.rejected] == [fault]


def test_a_report_of_a_packet_too_few_leaves_the_grade():
    listed = [*good(), our_report(), their_report(highest=LAST - 1)]

    assert evidence(window(*listed)).rtcp.accepted == 1
    assert verdict(*listed).grade is Grade.SENT


def test_a_report_that_much_was_lost_contradicts_the_proof():
    listed = [*good(), our_report(), their_report(lost=20)]

    assert evidence(window(*listed)).rtcp.accepted == 1
    assert verdict(*listed) == (Reason.PROOF_CONTRADICTED,)


def test_under_srtp_a_report_in_the_clear_counts_for_nothing():
    sent = [replace(one, flags=Flag.DECRYPTED) for one in good()]
    ours = our_report(flags=Flag.DECRYPTED)

    clear = evidence(window(*sent, ours, their_report())).rtcp
    authentic = evidence(window(*sent, ours, their_report(flags=Flag.DECRYPTED))).rtcp

    assert [one.why for one in clear.rejected] == [RtcpFault.NOT_DECRYPTED]
    assert (authentic.accepted, authentic.authenticated) == (1, True)


def test_what_is_no_rtcp_or_too_much_of_it_is_counted():
    rubbish = record(Kind.RTCP_RECEIVED, b"\x80\xc9\xff\xff", at_ms=10, address=PEER_RTCP)
    many = [replace(rubbish, boottime_ns=rubbish.boottime_ns + number) for number in range(MOST_REPORTS + 3)]

    facts = evidence(window(*good(), *many)).rtcp

    told = [(one.why, one.packets) for one in facts.rejected]
    assert told == [(RtcpFault.NOT_UNDERSTOOD, MOST_REPORTS), (RtcpFault.TOO_MANY, 3)]


# ---------------------------------------------------------------- the kept form

packets = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda kind, sequence, stamp, payload: struct.pack(">BBHII", 0x80, kind, sequence, stamp, SSRC) + payload,
        st.sampled_from([0, 8, 0x88, 13]),
        st.integers(0, 9),
        st.sampled_from([0, 1, 2, 160]),
        st.binary(min_size=1, max_size=2),
    ),
)
any_record = st.builds(
    record,
    st.sampled_from(Kind),
    packets,
    at_ms=st.integers(0, 100),
    address=st.sampled_from([None, PEER, PEER_RTCP]),
    flags=st.sampled_from([Flag(0), *Flag]),
)
windows = st.lists(any_record, max_size=12).map(
    lambda many: window(*[replace(one, flags=one.flags & ~Flag.EARLIER) for one in many])
)


@given(windows)
def test_whatever_the_tap_holds_is_kept_read_and_weighed(taken):
    kept = keep(taken)
    found, payloads = read(kept)
    seen = weigh(kept, PROMPT)

    assert sum(run.packets for run in found.runs) == sum(one.sent for one in seen.streams)
    assert len(payloads) == sum(one.octets for one in seen.streams)
    assert found.counts == taken.counts


KEPT = keep(window(*good(PROMPT[:1600]), our_report(at_ms=5), their_report(at_ms=30)))


@given(st.integers(0, len(KEPT) - 1), st.integers(0, 255), st.booleans())
def test_a_kept_window_that_was_changed_or_cut_is_read_or_broken(at, value, cut):
    other = KEPT[:at] if cut else KEPT[:at] + bytes([value]) + KEPT[at + 1 :]
    try:
        weigh(other, PROMPT)
    except Broken:
        return

    assert not cut


@given(st.binary(max_size=60))
def test_other_bytes_are_no_kept_window(data):
    with pytest.raises(Broken, match="cannot be read"):
        read(data)


# ---------------------------------------------------------------- what both sides had described


def described(*messages):
    return evidence(window(*good()), *messages).wire


def test_the_peers_newest_description_says_where_media_and_rtcp_go_and_both_that_keys_may_come():
    seen = described(OFFER, ANSWER)

    assert (seen.sdp_rtp, seen.sdp_rtcp, seen.sdp_keys) == ("192.0.2.5:4000", "192.0.2.5:4001", True)


NEWER = {
    "rtcp elsewhere": (["a=rtcp:9 IN IP4 192.0.2.9"], ("192.0.2.5:4000", "192.0.2.9:9")),
    "rtcp at another port": (["a=rtcp:4444"], ("192.0.2.5:4000", "192.0.2.5:4444")),
    "an address of its own": (["c=IN IP6 2001:db8::1"], ("[2001:db8::1]:4000", "[2001:db8::1]:4001")),
}


@pytest.mark.parametrize("name", NEWER)
def test_what_a_description_may_say_of_addresses_is_read_alike_by_the_core_and_by_the_auditors_file(name):
    lines, expected = NEWER[name]
    again = replace(OFFER, sdp=description("192.0.2.5", 4000, *lines))
    kept = keeping(window(*good()), OFFER, again, ANSWER)
    seen = weigh(kept, PROMPT).wire

    assert (seen.sdp_rtp, seen.sdp_rtcp) == expected
    shown = standalone.Window(kept, "a window").described()
    assert shown == {"sdp_rtp": expected[0], "sdp_rtcp": expected[1], "sdp_keys": True}


def test_media_for_another_address_than_was_described_proves_nothing():
    elsewhere = replace(OFFER, sdp=description("192.0.2.6", 4000))

    shown = evidence(window(*good()), elsewhere, ANSWER)

    assert judge(shown, evidence_sha256="ff" * 32) == (Reason.MEDIA_FOREIGN,)


def test_a_report_from_elsewhere_than_was_described_proves_nothing():
    elsewhere = replace(OFFER, sdp=description("192.0.2.5", 4000, "a=rtcp:4007"))

    shown = evidence(window(*good(), our_report(), their_report()), elsewhere, ANSWER)

    assert judge(shown, evidence_sha256="ff" * 32) == (Reason.MEDIA_FOREIGN,)


def test_keys_that_one_side_never_described_could_not_come():
    without = replace(ANSWER, sdp=ANSWER.sdp.replace("telephone-event", "something-else"))

    shown = evidence(window(*good()), OFFER, without)

    assert judge(shown, evidence_sha256="ff" * 32) == (Reason.CHOICE_UNAVAILABLE,)


def test_no_name_number_or_key_of_srtp_is_kept_and_each_message_opens_to_who_has_it():
    kept, salts = keep_with(window(*good()), (OFFER, ANSWER), commitment)

    for secret in (b"07700900123", b"alice", b"inline", b"a=crypto"):
        assert secret not in kept
    assert b"INVITE sip:198.51.100.7 SIP/2.0" in kept
    messages = read(kept)[0].signalling
    assert opens(messages[0].commitment, salts["message_1"], f"{OFFER.start_line}\n\n{OFFER.sdp}")
    assert len(kept) < 200_000


def test_a_line_that_is_never_kept_makes_the_window_none():
    kept = keeping(window(*good()))

    with pytest.raises(Broken, match="never kept"):
        read(kept.replace(b"m=audio 4000 RTP/AVP 8", b"m=audio x000 RTP/AVP 8"))


# ---------------------------------------------------------------- a notice that was ended early


def cut_off(packets: int, *, essential_ms: int = 2000, after: bytes = SILENCE, keys=None) -> Evidence:
    """So many packets of it left, and then this; the caller pressed 7."""
    taken = window(*good(SILENCE + PROMPT[: packets * 2 * FRAME] + after))
    seen = weigh(keeping(taken), PROMPT, skipped=True)
    whole = evidence(window(*good()))
    pressed = KeyHeard(digit="7", method=KeyMethod.TELEPHONE_EVENT, leg=Leg.CALLER, at_ms=900)
    return replace(
        whole,
        prompt=replace(
            whole.prompt, essential_ms=essential_ms, essential_purposes=("medico-legal",), skips="7", names_keys=("7",)
        ),
        tap=seen.tap,
        wire=seen.wire,
        streams=seen.streams,
        expected_packets=seen.expected_packets,
        complete=False,
        interruption=Interruption.SKIPPED,
        keys=(pressed,) if keys is None else keys,
        end_ns=whole.start_ns + packets * 20_000_000 + 100_000_000,
    )


def judged(shown: Evidence):
    """By the core and by the auditor's file, which never differ."""
    found = judge(shown, evidence_sha256="ff" * 32)
    value = to_json(shown)
    assert standalone.judge(value) == ([] if isinstance(found, Granted) else [reason.value for reason in found])
    if isinstance(found, Granted):
        assert standalone.named_purposes(value) == {purpose.value for purpose in found.purposes}
    return found


def test_a_notice_that_its_caller_ended_after_its_essential_part_is_proven_for_what_that_names():
    granted = judged(cut_off(104))

    assert isinstance(granted, Granted)
    assert {purpose.value for purpose in granted.purposes} == {"medico-legal"}


@pytest.mark.parametrize("packets", [80, 50, 1])
def test_one_that_ended_within_its_essential_part_is_not(packets):
    assert Reason.NOTICE_ALTERED in judged(cut_off(packets))


def test_one_that_nobody_ended_by_its_own_key_was_interrupted():
    theirs = KeyHeard(digit="7", method=KeyMethod.TELEPHONE_EVENT, leg=Leg.STAFF, at_ms=900)

    for keys in ((), (theirs,)):
        assert judged(cut_off(104, keys=keys)) == (Reason.NOTICE_INTERRUPTED,)


def test_one_that_something_else_followed_is_not_proven():
    assert Reason.NOTICE_ALTERED in judged(cut_off(104, after=PROMPT[-20 * FRAME :]))


def test_without_a_key_for_it_no_part_of_a_notice_is_enough():
    shown = cut_off(104)

    assert Reason.NOTICE_INTERRUPTED in judged(replace(shown, prompt=replace(shown.prompt, skips="")))


def test_a_key_for_another_language_makes_the_notice_one_in_the_wrong_language():
    shown = evidence(window(*good()))
    pressed = KeyHeard(digit="5", method=KeyMethod.INFO, leg=Leg.CALLER, at_ms=900)
    asked = replace(shown.prompt, languages=(LanguageKey(key="5", language="cy"),))

    assert isinstance(judged(replace(shown, prompt=asked)), Granted)
    assert judged(replace(shown, prompt=asked, keys=(pressed,))) == (Reason.WRONG_LANGUAGE,)
