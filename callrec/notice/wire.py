"""What a kept wire window says of a prompt: the same when a call is judged and when an auditor judges it again.

The payloads that left us are compared, sample by sample, with what G.711 makes of the prompt. RTCP counts by the rule
of the design: from the address in the peer's SDP, about our stream, on a packet that was sent by then, in answer to a
report of ours. Nothing here decides: `core/proof.py` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from callrec._canonical import sha256_hex
from callrec.core.evidence import (
    Evidence,
    RtcpFacts,
    RtcpFault,
    RtcpRejected,
    RtcpReport,
    StreamIncarnation,
    TapFacts,
    WireFacts,
)
from callrec.core.proof import LOSS_CEILING, share_lost
from callrec.core.rtcp import ReportBlock
from callrec.core.values import Tap
from callrec.core.wire_records import TakenWindow
from callrec.notice.compare import compare
from callrec.notice.described import Described, negotiated
from callrec.notice.g711 import LAWS
from callrec.notice.sent import Run
from callrec.notice.wire_window import KeptWindow, RtcpHeard, keep, read

_HALF: Final = 1 << 15
_NUMBERS: Final = 1 << 16
_FRAME: Final = 160
"""Samples of a packet where there is none to ask."""

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What goes into the evidence; `signalling` is what both sides had described."""

    tap: TapFacts
    wire: WireFacts
    streams: tuple[StreamIncarnation, ...]
    expected_packets: int
    foreign_packets: int
    peer_ssrc: int | None
    rtp_received: int
    rtcp: RtcpFacts | None
    signalling: tuple[Described, ...]


def weigh(kept: bytes, prompt_pcm: bytes, *, skipped: bool = False) -> Weighed:
    """Everything that this window shows, beside this prompt, or as much of it as was played where it was `skipped`.
    Broken where it cannot be read.
    """
    window, payloads = read(kept)
    seen = _Seen(window, payloads)
    tap = seen.compared(prompt_pcm, skipped=skipped)
    counts, wanted = window.counts, tap.matched_samples if skipped else len(prompt_pcm) // 2
    return Weighed(
        tap=tap,
        wire=_placed(seen, tap, _steady(window, sha256_hex(kept)), wanted),
        streams=tuple(_stream(runs) for runs in seen.streams),
        expected_packets=-(-wanted // seen.samples_in_packet()),
        foreign_packets=counts.rtp_foreign + counts.rtcp_foreign,
        peer_ssrc=counts.peer_ssrc,
        rtp_received=counts.rtp_received,
        rtcp=_rtcp(window, seen),
        signalling=window.signalling,
    )


class _Seen:
    """The RTP of a window, and where in it each sample lies."""

    def __init__(self, window: KeptWindow, payloads: bytes) -> None:
        self.window = window
        keys = dict.fromkeys((run.ssrc, run.payload_type, run.to) for run in window.runs)
        self.streams = [[run for run in window.runs if (run.ssrc, run.payload_type, run.to) == key] for key in keys]
        self._law = LAWS.get(window.runs[0].payload_type) if len(self.streams) == 1 else None
        self._payloads = payloads
        sizes = [np.full(run.packets, run.payload_bytes, np.int64) for run in window.runs]
        self._ends = np.cumsum(np.concatenate([np.zeros(0, np.int64), *sizes]))
        self.times_us: Times = np.cumsum(np.array(window.gaps_us.split(), np.int64))
        numbers = [run.first_sequence + np.arange(run.packets, dtype=np.int64) for run in window.runs]
        self.sequence: Times = np.concatenate([np.zeros(0, np.int64), *numbers]) % _NUMBERS

    def compared(self, prompt_pcm: bytes, *, skipped: bool) -> TapFacts:
        """The one stream against the prompt; where there are more, or it is no G.711, nothing matches."""
        if self._law is None or len(prompt_pcm) % 2:
            return compare(b"", b"", kind=Tap.WIRE)
        heard = self._law.decoded(self._payloads)
        wanted = self._law.applied(prompt_pcm)
        return compare(wanted, heard, kind=Tap.WIRE, silence=self._law.silence, skipped=skipped)

    def packet_of(self, sample: int) -> int:
        """The place of the packet that carried this sample."""
        return int(np.searchsorted(self._ends, sample, side="right"))

    def samples_in_packet(self) -> int:
        """In most packets; 20 ms where there are none."""
        sizes: Counter[int] = Counter()
        for run in self.window.runs:
            sizes[run.payload_bytes] += run.packets
        return max(sizes, key=lambda size: sizes[size], default=_FRAME)


def _stream(runs: Sequence[Run]) -> StreamIncarnation:
    first, last = runs[0], runs[-1]
    law = LAWS.get(first.payload_type)
    return StreamIncarnation(
        payload_type=first.payload_type,
        codec=law.name if law else "",
        sent=sum(run.packets for run in runs),
        octets=sum(run.packets * run.payload_bytes for run in runs),
        ssrc=first.ssrc,
        first_sequence=first.first_sequence,
        last_sequence=(last.first_sequence + last.packets - 1) % _NUMBERS,
        first_timestamp=first.first_timestamp,
        last_timestamp=(last.first_timestamp + (last.packets - 1) * last.payload_bytes) & 0xFFFFFFFF,
    )


# ---------------------------------------------------------------- in order, in time, to one address


def _steady(window: KeptWindow, digest: str) -> WireFacts:
    runs, counts = window.runs, window.counts
    peer = window.peers[0] if window.peers else ""
    steps = [_step(one, then) for one, then in pairwise(runs)]
    media = negotiated(window.signalling)
    under_srtp = sum(run.packets for run in runs if run.srtp)
    in_clear = sum(run.packets for run in runs if not run.srtp)
    return WireFacts(
        window_sha256=digest,
        srtp=under_srtp > 0,
        overflow=counts.overflow,
        refused=counts.rtp_refused,
        held_back=counts.rtp_held_back,
        deferred=window.deferred,
        odd=window.odd + min(under_srtp, in_clear),
        strayed=sum(run.packets for run in runs if not peer or run.to != peer),
        peer_changes=max(counts.peer_addresses, len(window.peers) - 1),
        leg_gone=counts.leg_gone > 0,
        missing=sum(step for step in steps if 0 < step < _HALF),
        repeated=sum(step >= _HALF for step in steps),
        timestamp_faults=sum(_leaps(one, then) for one, then in pairwise(runs)),
        notice_first_sequence=None,
        notice_last_sequence=None,
        notice_span_ns=None,
        sdp_rtp=media.rtp,
        sdp_rtcp=media.rtcp,
        sdp_keys=media.keys,
    )


def _step(one: Run, then: Run) -> int:
    """Sequence numbers left out between two runs, modulo their number: a half or more means that it went back."""
    return (then.first_sequence - one.first_sequence - one.packets) % _NUMBERS


def _leaps(one: Run, then: Run) -> bool:
    return then.first_timestamp != (one.first_timestamp + one.packets * one.payload_bytes) & 0xFFFFFFFF


def _placed(seen: _Seen, tap: TapFacts, facts: WireFacts, samples: int) -> WireFacts:
    """With the packets that the notice lies in, where the whole of it was found."""
    if tap.at_sample is None or not 0 < samples <= tap.matched_samples:
        return facts
    first, last = seen.packet_of(tap.at_sample), seen.packet_of(tap.at_sample + tap.matched_samples - 1)
    return replace(
        facts,
        notice_first_sequence=int(seen.sequence[first]),
        notice_last_sequence=int(seen.sequence[last]),
        notice_span_ns=int(seen.times_us[last] - seen.times_us[first]) * 1000,
    )


# ---------------------------------------------------------------- RTCP


def _rtcp(window: KeptWindow, seen: _Seen) -> RtcpFacts | None:
    if not window.rtcp_heard:
        return None
    srtp = any(run.srtp for run in window.runs)
    verdicts = [_judged(heard, window, seen, srtp=srtp) for heard in window.rtcp_heard]
    good = [one for one in verdicts if isinstance(one, RtcpReport)]
    faults = Counter(one for one in verdicts if isinstance(one, RtcpFault))
    if window.rtcp_unkept > 0:
        faults[RtcpFault.TOO_MANY] = window.rtcp_unkept
    return RtcpFacts(
        authenticated=srtp,
        accepted=len(good),
        rejected=tuple(RtcpRejected(why=why, packets=faults[why]) for why in RtcpFault if faults[why]),
        raw_sha256=sha256_hex("".join(heard.sha256 for heard in window.rtcp_heard).encode()),
        newest=good[-1] if good else None,
    )


def _judged(heard: RtcpHeard, window: KeptWindow, seen: _Seen, *, srtp: bool) -> RtcpReport | RtcpFault:
    """The rule of the design, one sentence after the other. The source was looked at by the engine."""
    if not heard.understood:
        return RtcpFault.NOT_UNDERSTOOD
    if srtp and not heard.srtp:
        return RtcpFault.NOT_DECRYPTED
    ours = {run.ssrc for run in window.runs}
    block = next((block for block in heard.blocks if block.ssrc in ours), None)
    if block is None or len(ours) != 1:
        return RtcpFault.NOT_OUR_STREAM
    if not _was_sent(block, heard, seen):
        return RtcpFault.NEVER_SENT
    answered = {sent.middle_ntp for sent in window.reports_sent if sent.ssrc in ours and sent.at_us <= heard.at_us}
    if block.last_report not in answered:
        return RtcpFault.NO_REPORT_OF_OURS
    return RtcpReport(
        at_ms=heard.at_us // 1000,
        source=heard.source,
        highest_sequence=block.highest_sequence % _NUMBERS,
        lost=block.lost,
    )


# ---------------------------------------------------------------- what is reported later

_IN_FLIGHT: Final = 100
"""Packets that may have left between two windows of reports: two seconds of the smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """The first authentic report, after the window of a notice, that covers its last packet; None where none came.
    `share` is the share of packets lost until then, `sha256` that of the RTCP packet; `rejected` RTCP packets counted
    for nothing.
    """

    report: RtcpReport | None = None
    share: float | None = None
    sha256: str = ""
    rejected: int = 0

    @property
    def contradicts(self) -> bool:
        """More was lost than a proof allows."""
        return self.share is not None and self.share >= LOSS_CEILING


def later(evidence: Evidence, taken: Sequence[TakenWindow]) -> Later:
    """What windows of reports alone, taken one after the other since, say of this notice. The rule is that of its own
    window; how far our numbers had come is known by count.
    """
    if evidence.wire is None or len(evidence.streams) != 1:
        return Later()
    ours, last = evidence.streams[0], evidence.wire.notice_last_sequence
    answered: set[int] = set()
    rejected, sent = 0, _IN_FLIGHT
    for one in taken:
        window, _ = read(keep(one))
        answered |= {report.middle_ntp for report in window.reports_sent if report.ssrc == ours.ssrc}
        sent += one.counts.rtp_sent
        rejected += one.counts.rtcp_foreign + window.rtcp_unkept
        for heard in window.rtcp_heard:
            report = _later_report(heard, ours, answered, sent, srtp=evidence.wire.srtp)
            share = None if report is None else share_lost(report, first=ours.first_sequence, last=last)
            if share is not None:
                return Later(report=report, share=share, sha256=heard.sha256, rejected=rejected)
            rejected += report is None
    return Later(rejected=rejected)


def _later_report(
    heard: RtcpHeard, ours: StreamIncarnation, answered: AbstractSet[int], sent: int, *, srtp: bool
) -> RtcpReport | None:
    """None where it counts for nothing."""
    block = next((block for block in heard.blocks if block.ssrc == ours.ssrc), None)
    if not heard.understood or (srtp and not heard.srtp) or block is None or ours.last_sequence is None:
        return None
    ahead = (block.highest_sequence - ours.last_sequence) % _NUMBERS
    if block.last_report not in answered or sent < ahead < _HALF:
        return None
    return RtcpReport(
        at_ms=heard.at_us // 1000,
        source=heard.source,
        highest_sequence=block.highest_sequence % _NUMBERS,
        lost=block.lost,
    )


def _was_sent(block: ReportBlock, heard: RtcpHeard, seen: _Seen) -> bool:
    by_then = int(np.searchsorted(seen.times_us, heard.at_us, side="right"))
    return bool(np.any(seen.sequence[:by_then] == block.highest_sequence % _NUMBERS))
