"""From what telephony saw to a verdict: bind, compare, judge, and keep the evidence. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from callrec import _durable
from callrec._canonical import canonical, sha256_hex
from callrec.core import evidence_json
from callrec.core.evidence import Binding, Evidence, Observation, PromptFacts
from callrec.core.proof import Granted, judge
from callrec.core.reasons import Reason
from callrec.notice.compare import compare

Judge = Callable[..., Granted | tuple[Reason, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict with the evidence it was reached on."""

    evidence: Evidence
    evidence_sha256: str
    verdict: Granted | tuple[Reason, ...]

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
    judge_by: Judge = judge,
) -> Judged:
    """Compare what left us with the prompt, sample by sample, and judge. About a millisecond; run it off the loop."""
    evidence = _bound(observation, prompt=prompt, pcm=pcm, binding=binding, language=language)
    digest = sha256_hex(canonical(evidence_json.to_json(evidence)))
    return Judged(evidence=evidence, evidence_sha256=digest, verdict=judge_by(evidence, evidence_sha256=digest))


def _bound(o: Observation, *, prompt: PromptFacts, pcm: bytes, binding: Binding, language: str) -> Evidence:
    return Evidence(
        binding=binding,
        prompt=prompt,
        tap=compare(pcm, o.tap_pcm, kind=o.tap),
        complete=o.complete,
        interruption=o.interruption,
        answered=o.answered,
        early_media=o.early_media,
        start_ns=o.start_ns,
        end_ns=o.end_ns,
        start_utc=o.start_utc,
        end_utc=o.end_utc,
        expected_packets=o.expected_packets,
        streams=o.streams,
        renegotiations=o.renegotiations,
        directions=o.directions,
        player=o.player,
        caller=o.caller,
        key_capability=o.key_capability,
        keys=o.keys,
        rtcp=o.rtcp,
        required_language=language,
    )


def keep(folder: Path, judged: Judged) -> None:
    """Keep the evidence durably, once, under its call and attempt. Blocking. `Unavailable` where the disk fails."""
    binding = judged.evidence.binding
    _durable.make_dir(folder)
    path = folder / f"{binding.call_uid}-{binding.attempt}.json"
    _durable.write_file(path, judged.document(), mode=0o440, exclusive=True)
