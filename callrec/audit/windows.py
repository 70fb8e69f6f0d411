"""Part of check 9: what was tapped of the wire, beside its evidence, weighed again from nothing but what is kept."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from callrec._canonical import sha256_hex
from callrec.core.evidence import Evidence, Interruption
from callrec.errors import Broken
from callrec.notice.described import commitments_of
from callrec.notice.wire import Weighed, weigh
from callrec.notice.wire_window import SUFFIX, read


class Prompts:
    """The prompts of a folder by the SHA-256 of their samples, read when the first is asked for; None: no folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @cached_property
    def _by_sum(self) -> dict[str, bytes]:
        paths = sorted(self._folder.glob("*.wav")) if self._folder is not None else []
        return {sha256_hex(pcm): pcm for pcm in map(_samples, paths)}

    def find(self, pcm_sha256: str) -> bytes | None:
        """The samples that have this sum, where they are here."""
        return self._by_sum.get(pcm_sha256)


def _samples(path: Path) -> bytes:
    """Of a WAV file; nothing where it cannot be read. What they are is known by their sum alone."""
    try:
        with wave.open(str(path), "rb") as file:
            return file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error):
        return b""


def differences(path: Path, evidence: Evidence, prompts: Prompts, *, entry_body: Mapping[str, Any]) -> Iterator[str]:
    """What of the kept window beside this evidence file does not bear it out, and what of it the entry does not
    commit to. Without the prompt all but the comparison with it is looked at.
    """
    if evidence.wire is None:
        return
    try:
        kept = path.with_suffix(SUFFIX).read_bytes()
    except OSError as error:
        yield f"has no wire window beside it that can be read: {error.strerror}"
        return
    if sha256_hex(kept) != evidence.wire.window_sha256:
        yield "was judged on another wire window than lies beside it"
        return
    prompt = prompts.find(evidence.prompt.pcm_sha256)
    try:
        seen = weigh(kept, prompt or b"", skipped=evidence.interruption is Interruption.SKIPPED)
        messages = commitments_of(read(kept)[0].signalling)
    except Broken as error:
        yield f"lies beside a wire window that cannot be read: {error}"
        return
    if not _committed(messages, entry_body.get("commitments")):
        yield "lies beside a wire window with messages that its entry commits to otherwise"
    wrong = [name for name, said, shown in _figures(evidence, seen, whole=prompt is not None) if said != shown]
    if wrong:
        yield f"says of its wire window what that does not show: {', '.join(wrong)}"


def _committed(messages: Mapping[str, str], said: object) -> bool:
    """True where the entry commits to each of these messages as the window has it."""
    return not messages or (isinstance(said, dict) and all(said.get(name) == one for name, one in messages.items()))


def _figures(evidence: Evidence, seen: Weighed, *, whole: bool) -> Iterator[tuple[str, object, object]]:
    """Name, what the evidence says, what the window shows."""
    said, caller = evidence.wire, evidence.caller
    yield "streams", evidence.streams, seen.streams
    yield "rtcp", evidence.rtcp, seen.rtcp
    yield "foreign packets", caller.foreign_packets, seen.foreign_packets
    yield from _described(evidence, seen)
    yield "caller's SSRC", caller.ssrc, seen.peer_ssrc
    yield "caller's RTCP", caller.rtcp_reports, seen.rtcp.accepted if seen.rtcp else 0
    yield "samples", (evidence.tap.pcm_sha256, evidence.tap.samples), (seen.tap.pcm_sha256, seen.tap.samples)
    if whole:
        yield "comparison", evidence.tap, seen.tap
        yield "packets", (said, evidence.expected_packets), (seen.wire, seen.expected_packets)


def _described(evidence: Evidence, seen: Weighed) -> Iterator[tuple[str, object, object]]:
    """What both sides had described of their media. Evidence from before that was kept says nothing of it."""
    said = evidence.wire
    if said is not None:
        shown = (seen.wire.sdp_rtp, seen.wire.sdp_rtcp, seen.wire.sdp_keys)
        yield "session descriptions", (said.sdp_rtp, said.sdp_rtcp, said.sdp_keys), shown
