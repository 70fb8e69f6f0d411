"""From what telephony saw to a verdict: bind, compare, judge, and keep the evidence. Decides nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from callrec import _durable
from callrec._canonical import canonical, sha256_hex
from callrec.core import evidence_json
from callrec.core.evidence import Binding, Evidence, Interruption, Observation, PromptFacts
from callrec.core.proof import Granted, judge
from callrec.core.reasons import Reason
from callrec.core.values import Grade, Tap
from callrec.errors import Unavailable
from callrec.ledger.entry import commitment
from callrec.notice import described, wire, wire_window
from callrec.notice.compare import compare

Judge = Callable[..., Granted | tuple[Reason, ...]]

_TURNS = threading.BoundedSemaphore(2)
"""Many at once take the interpreter from each other, and all are late. Two, so that one that hangs holds up nobody."""
TURN_S = 2.0
"""How long to wait for a turn: longer than any decision may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict with the evidence it was reached on; `window` is what was tapped of the wire, as it is kept."""

    evidence: Evidence
    evidence_sha256: str
    verdict: Granted | tuple[Reason, ...]
    window: bytes = b""
    commitments: Mapping[str, str] = field(default_factory=dict)
    """To the messages in the window, by name, for the ledger's entry; beside them what opens them."""
    salts: Mapping[str, str] = field(default_factory=dict, repr=False)

    def document(self) -> bytes:
        """The canonical evidence file. Its `verdict` is for the reader: who checks judges the evidence again."""
        return canonical(evidence_json.judged_to_json(self.evidence, self.verdict))


def weigh(
    observation: Observation,
    *,
    prompt: PromptFacts,
    pcm: bytes,
    binding: Binding,
    language: str,
    grade: Grade = Grade.SENT,
    judge_by: Judge = judge,
) -> Judged:
    """Compare what left us with the prompt, sample by sample, and judge. A few milliseconds; run it off the loop.

    Unavailable where others hold the turns for so long that the call has gone on: no worker waits for ever.
    """
    if not _TURNS.acquire(timeout=TURN_S):
        raise Unavailable("the verifier is stuck on other notices", next_step="restart the agent when calls allow")
    try:
        bound = _bound(observation, prompt=prompt, pcm=pcm, binding=binding, language=language)
        return _weigh(observation, replace(bound, required_grade=grade), pcm=pcm, judge_by=judge_by)
    finally:
        _TURNS.release()


def _weigh(observation: Observation, evidence: Evidence, *, pcm: bytes, judge_by: Judge) -> Judged:
    window, salts = _kept(observation)
    commitments: Mapping[str, str] = {}
    if window:
        seen = wire.weigh(window, pcm, skipped=_skipped(observation))
        evidence, commitments = _with_window(evidence, seen), described.commitments_of(seen.signalling)
    digest = sha256_hex(canonical(evidence_json.to_json(evidence)))
    verdict = judge_by(evidence, evidence_sha256=digest)
    return Judged(
        evidence=evidence,
        evidence_sha256=digest,
        verdict=verdict,
        window=window,
        commitments=commitments,
        salts=salts,
    )


def _kept(observation: Observation) -> tuple[bytes, dict[str, str]]:
    """The window as it is kept and what opens its commitments; nothing where there is none, or it is far too large."""
    if observation.window is None:
        return b"", {}
    window, salts = wire_window.keep_with(observation.window, observation.signalling, commitment)
    return (window, salts) if len(window) <= wire_window.LARGEST else (b"", {})


def _skipped(observation: Observation) -> bool:
    return observation.interruption is Interruption.SKIPPED


def _with_window(evidence: Evidence, seen: wire.Weighed) -> Evidence:
    """What a stream says of itself counts no more, but where it knows better: which RTP under SRTP was authentic."""
    caller = evidence.caller
    return replace(
        evidence,
        tap=seen.tap,
        wire=seen.wire,
        streams=seen.streams,
        expected_packets=seen.expected_packets,
        rtcp=seen.rtcp,
        caller=replace(
            caller,
            source_address=caller.sdp_address if seen.rtp_received else "",
            rtp_packets=min(caller.rtp_packets, seen.rtp_received),
            rtcp_reports=seen.rtcp.accepted if seen.rtcp else 0,
            foreign_packets=seen.foreign_packets,
            ssrc=seen.peer_ssrc,
        ),
    )


def _bound(o: Observation, *, prompt: PromptFacts, pcm: bytes, binding: Binding, language: str) -> Evidence:
    """Without a window of the wire: all there is where the player was tapped, too little where the wire should be."""
    return Evidence(
        binding=binding,
        prompt=prompt,
        tap=compare(pcm, o.tap_pcm, kind=o.tap, skipped=_skipped(o)),
        complete=o.complete,
        interruption=o.interruption,
        answered=o.answered,
        early_media=o.early_media,
        start_ns=o.start_ns,
        end_ns=o.end_ns,
        start_utc=o.start_utc,
        end_utc=o.end_utc,
        expected_packets=o.expected_packets,
        streams=o.streams if o.tap is Tap.PLAYER else (),
        renegotiations=o.renegotiations,
        directions=o.directions,
        player=o.player,
        caller=o.caller,
        key_capability=o.key_capability,
        keys=o.keys,
        wire=None,
        rtcp=None,
        required_language=language,
    )


def keep(folder: Path, judged: Judged) -> None:
    """Keep the evidence durably, once, under its call and attempt, and what was tapped of the wire before it.

    Blocking. `Unavailable` where the disk fails.
    """
    binding = judged.evidence.binding
    _durable.make_dir(folder)
    path = folder / f"{binding.call_uid}-{binding.attempt}.json"
    window = {path.with_suffix(wire_window.SUFFIX): judged.window} if judged.window else {}
    _durable.write_files({**window, path: judged.document()}, mode=0o440, exclusive=True)
