"""Is this prompt, whole and alone, in what left us? Exact, for the live path: one alignment, one comparison.

Every sample of the prompt must be in the tap, adjacent and in order, and nothing else but silence may be there: a
frame that is missing, muted, repeated or moved is never a match, and neither is another voice before or after. It
costs about a millisecond for twenty seconds. What came back through a codec or a network is for `verify`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from callrec._canonical import sha256_hex
from callrec.core.evidence import TapFacts
from callrec.core.values import Tap

Samples = npt.NDArray[np.int16]


def compare(
    prompt_pcm: bytes, tapped_pcm: bytes, *, kind: Tap = Tap.PLAYER, silence: int = 0, skipped: bool = False
) -> TapFacts:
    """How much of the prompt is in the tap. Both are 16-bit little-endian mono at the same rate.

    A full match has `matched_samples` equal to the prompt's samples and says at which sample of the tap it begins.
    Otherwise `matched_samples` counts the prompt's samples that are there from its beginning on, or is 0 with no place
    where the tap holds something besides the prompt. `silence` is the sample value of silence in the tap: 0, or 8 for
    what was decoded from A-law (ITU-T G.711). Where the notice was `skipped`, silence must follow as much of it as
    is there. Never raises; an odd number of bytes matches nothing.
    """
    matched, at = 0, None
    if len(prompt_pcm) % 2 == 0 and len(tapped_pcm) % 2 == 0:
        prompt, tapped = np.frombuffer(prompt_pcm, "<i2"), np.frombuffer(tapped_pcm, "<i2")
        matched, at = _match(prompt, tapped, silence, skipped=skipped)
    return TapFacts(
        kind=kind,
        pcm_sha256=sha256_hex(tapped_pcm),
        samples=len(tapped_pcm) // 2,
        matched_samples=matched,
        at_sample=at,
    )


def _match(prompt: Samples, tapped: Samples, silence: int, *, skipped: bool) -> tuple[int, int | None]:
    sound, heard = prompt != silence, tapped != silence
    if not sound.any() or not heard.any():
        return 0, None
    at = int(heard.argmax()) - int(sound.argmax())
    if at < 0:
        return 0, None
    matched = _prefix(prompt, tapped[at : at + len(prompt)])
    if (skipped or matched == len(prompt)) and heard[at + matched :].any():
        return 0, None
    return matched, at


def _prefix(prompt: Samples, tapped: Samples) -> int:
    differing = prompt[: len(tapped)] != tapped
    return int(differing.argmax()) if differing.any() else len(tapped)
