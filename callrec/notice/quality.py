"""The gate: is this audible speech at a telephone's level? It cannot know the words; a person signs those off.

Bounds were set on spoken prompts of ten languages, human and synthetic, against silence, noise, tones, clipping and
wrong encodings, all of which it finds; it finds music less than half of the time (R10). webrtcvad differs between
builds, so its verdict on each 20 ms is taken once, here, and stored with the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import webrtcvad

from callrec.notice.audio import FRAME, FULL_SCALE, RATE

FRAME_S: Final = FRAME / RATE
_VAD_MODE: Final = 2
_BELOW_LOUD_DB: Final = 25.0
_SILENT_DB: Final = -100.0

Frames = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the gate lets through. Seconds, dBFS (RMS, full scale 32768), shares."""

    shortest_s: float
    longest_s: float
    speech_s: float
    speech_share: float = 0.5
    quietest_db: float = -32.0
    loudest_db: float = -12.0
    clipped_pairs_per_s: float = 2.0
    offset: float = 0.01
    pause_s: float = 1.5
    modulation_db: float = 2.5
    least_flatness: float = 0.002
    most_flatness: float = 0.45


NOTICE: Final = Bounds(shortest_s=3.0, longest_s=20.0, speech_s=2.5)
"""A recording notice."""
CONSENT: Final = Bounds(shortest_s=3.0, longest_s=40.0, speech_s=2.5)
"""A prompt that asks for consent: it explains more than a notice, to somebody who is in the call already."""
ANNOUNCEMENT: Final = Bounds(shortest_s=0.5, longest_s=5.0, speech_s=0.4)
"""A few words during the call, such as that recording has stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: a sentence with the figure and the bound, and how to mend it."""

    check: str
    what: str
    mend: str


def speech_mask(pcm: bytes) -> Mask:
    """For each whole 20 ms of the prompt: is it speech? Voice detection, and not far below the loud parts."""
    vad = webrtcvad.Vad(_VAD_MODE)
    size = FRAME * 2
    voiced = np.array([vad.is_speech(pcm[at : at + size], RATE) for at in range(0, len(pcm) - size + 1, size)], bool)
    levels = frame_levels(pcm)
    return voiced & (levels > np.percentile(levels, 95) - _BELOW_LOUD_DB) if len(levels) else voiced


def cut_findings(pcm: bytes, at_s: float, *, bounds: Bounds = NOTICE) -> tuple[str, ...]:
    """What is wrong with letting a caller end the prompt at this second: in the middle of a word, or too early."""
    mask = speech_mask(pcm)
    frame = round(at_s * RATE / FRAME)
    if not 0 < frame < len(mask):
        return (f"its essential part ends at {at_s:g} s, and it lasts {len(mask) * FRAME / RATE:.1f} s",)
    found = []
    if mask[:frame].sum() * FRAME / RATE < bounds.speech_s:
        found.append(f"up to {at_s:g} s there is less than {bounds.speech_s:g} s of speech: no notice can be in it")
    if mask[frame - 1 : frame + 1].any():
        pauses = np.flatnonzero(~(mask[:-1] | mask[1:])) + 1
        near = ", ".join(f"{each * FRAME / RATE:.2f}" for each in sorted(pauses, key=lambda one: abs(one - frame))[:2])
        found.append(f"somebody speaks at {at_s:g} s, where its essential part ends: choose a pause, such as {near} s")
    return tuple(found)


def frame_levels(pcm: bytes) -> Frames:
    """RMS of each whole 20 ms in dBFS, -100 for digital silence."""
    power = (_frames(pcm) ** 2).mean(axis=1)
    return np.asarray(np.maximum(10 * np.log10(power + 1e-12), _SILENT_DB))


def findings(pcm: bytes, *, bounds: Bounds = NOTICE, clipped_pairs: int = 0) -> tuple[Finding, ...]:
    """Everything that is wrong with this prompt, worst first; empty where the gate is open.

    `pcm` is 8 kHz mono 16-bit. `clipped_pairs` were counted in the source before it was resampled.
    """
    wrong = _length(pcm, bounds)
    if len(pcm) < FRAME * 2:
        return tuple(wrong)
    mask = speech_mask(pcm)
    wrong += _speech(mask, bounds)
    if mask.any():
        wrong += _level(pcm, mask, bounds) + _pauses(mask, bounds) + _like_speech(pcm, mask, bounds)
    return tuple(wrong + _waveform(pcm, clipped_pairs, bounds))


def _frames(pcm: bytes) -> Frames:
    samples = np.frombuffer(pcm[: len(pcm) // (FRAME * 2) * FRAME * 2], "<i2").astype(np.float64)
    return samples.reshape(-1, FRAME) / FULL_SCALE


def _length(pcm: bytes, bounds: Bounds) -> list[Finding]:
    seconds = len(pcm) / 2 / RATE
    if seconds < bounds.shortest_s:
        what = f"it lasts {seconds:.1f} s; at least {bounds.shortest_s:g} s are needed"
        return [Finding(check="length", what=what, mend="record the whole text")]
    if seconds > bounds.longest_s:
        what = f"it lasts {seconds:.1f} s; at most {bounds.longest_s:g} s are allowed"
        return [Finding(check="length", what=what, mend="shorten the text to about 45 words, or speak a little faster")]
    return []


def _speech(mask: Mask, bounds: Bounds) -> list[Finding]:
    seconds, share = float(mask.sum()) * FRAME_S, float(mask.mean())
    mend = "record a voice speaking, close to the microphone, without music, and cut the silence at both ends"
    if seconds < bounds.speech_s:
        what = f"it holds {seconds:.1f} s of speech; at least {bounds.speech_s:g} s are needed"
        return [Finding(check="speech", what=what, mend=mend)]
    if share < bounds.speech_share:
        what = f"{share:.0%} of it is speech; at least {bounds.speech_share:.0%} are needed"
        return [Finding(check="speech", what=what, mend=mend)]
    return []


def _level(pcm: bytes, mask: Mask, bounds: Bounds) -> list[Finding]:
    level = float(10 * np.log10((_frames(pcm)[mask] ** 2).mean() + 1e-12))
    if level < bounds.quietest_db:
        what = f"the speech is at {level:.1f} dBFS; at least {bounds.quietest_db:g} dBFS are needed"
        return [Finding(check="level", what=what, mend=f"raise its volume by {-20 - level:.0f} dB")]
    if level > bounds.loudest_db:
        what = f"the speech is at {level:.1f} dBFS; at most {bounds.loudest_db:g} dBFS are allowed"
        return [Finding(check="level", what=what, mend=f"lower its volume by {level + 20:.0f} dB")]
    return []


def _pauses(mask: Mask, bounds: Bounds) -> list[Finding]:
    longest = float(np.diff(np.flatnonzero(mask)).max(initial=1) - 1) * FRAME_S
    if longest <= bounds.pause_s:
        return []
    what = f"the longest pause inside it is {longest:.1f} s; at most {bounds.pause_s:g} s are allowed"
    return [Finding(check="pause", what=what, mend="cut the pause: a caller takes it for the end")]


def _like_speech(pcm: bytes, mask: Mask, bounds: Bounds) -> list[Finding]:
    spoken = _frames(pcm)[mask]
    modulation = float(frame_levels(pcm)[mask].std())
    power = np.abs(np.fft.rfft(spoken * np.hanning(FRAME), axis=1)[:, 1:]) ** 2 + 1e-12
    flatness = float(np.median(np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)))
    mend = "record a voice speaking; a tone, a noise, or a file read in the wrong encoding is not one"
    found = []
    if modulation < bounds.modulation_db:
        what = f"its level varies by {modulation:.1f} dB; speech varies by at least {bounds.modulation_db:g} dB"
        found.append(Finding(check="modulation", what=what, mend=mend))
    if not bounds.least_flatness <= flatness <= bounds.most_flatness:
        what = (
            f"its spectral flatness is {flatness:.4f}; speech has {bounds.least_flatness:g} to {bounds.most_flatness:g}"
        )
        found.append(Finding(check="flatness", what=what, mend=mend))
    return found


def _waveform(pcm: bytes, clipped_pairs: int, bounds: Bounds) -> list[Finding]:
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64) / FULL_SCALE
    full = np.abs(samples) >= 1 - 2 / FULL_SCALE
    clipped = max(clipped_pairs, int(np.count_nonzero(full[1:] & full[:-1]))) / (len(samples) / RATE)
    offset = float(np.abs(samples.mean()))
    found = []
    if clipped > bounds.clipped_pairs_per_s:
        what = f"it is clipped {clipped:.0f} times a second; at most {bounds.clipped_pairs_per_s:g} are allowed"
        found.append(Finding(check="clipping", what=what, mend="record it again with less gain; it cannot be undone"))
    if offset > bounds.offset:
        what = f"its mean is {offset:.3f} of full scale; at most {bounds.offset:g} is allowed"
        found.append(Finding(check="offset", what=what, mend="remove the DC offset, and check the sound card"))
    return found
