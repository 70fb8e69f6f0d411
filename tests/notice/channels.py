"""What a telephone path does to a whole notice, and what spoils one: seeded, on 8 kHz samples as floats."""

from collections.abc import Callable

import numpy as np

from callrec.notice.audio import RATE
from callrec.notice.verify import FRAME
from tests.notice.speakers import Spoken, speech_like

# ---------------------------------------------------------------- G.711


def _mu_law() -> np.ndarray:
    code = np.arange(128)
    size = (((code & 15) << 3) + 132 << (code >> 4)) - 132
    return np.unique(np.concatenate([-size, size])).astype(np.float64)


def _a_law() -> np.ndarray:
    code = np.arange(128)
    segment, step = code >> 4, (code & 15) << 4
    size = np.where(segment == 0, step + 8, (step + 264) << np.maximum(segment - 1, 0))
    return np.unique(np.concatenate([-size, size])).astype(np.float64)


LAWS = {"u": _mu_law(), "a": _a_law()}


def g711(signal, law: str) -> np.ndarray:
    """Encoded and decoded: the nearest level of this law."""
    levels = LAWS[law]
    return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, signal)]


# ---------------------------------------------------------------- what is forgiven


def through(rng, signal) -> np.ndarray:
    """One whole path: clocks, jitter buffer, level, lead-in, noise, offset, codecs; each present or not by chance."""
    if rng.random() < 0.5:
        signal = reclocked(rng, signal)
    if rng.random() < 0.6:
        signal = jittered(rng, signal)
    signal = signal * min(10 ** (rng.uniform(-6, 6) / 20), 32000 / np.abs(signal).max())
    signal = np.concatenate([np.zeros(rng.integers(0, 3 * RATE)), signal, np.zeros(rng.integers(0, RATE))])
    if rng.random() < 0.5:
        signal = signal + rng.normal(0, rms(signal) * 10 ** (-rng.uniform(25, 50) / 20), len(signal))
    if rng.random() < 0.3:
        signal = signal + rng.uniform(-0.01, 0.01) * 32768
    for law in str(rng.choice(["", "u", "a", "aa", "ua", "uu", "aua"])):
        signal = g711(signal, law)
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)


def rms(signal) -> float:
    """Of the loud parts."""
    return float(np.sqrt((signal[np.abs(signal) > np.abs(signal).max() / 50] ** 2).mean()))


def reclocked(rng, signal) -> np.ndarray:
    """Another clock: some fraction of a sample later, and up to 100 ppm faster or slower."""
    dense = np.fft.irfft(np.fft.rfft(signal), 4 * len(signal)) * 4
    at = (np.arange(len(signal) - 2) * (1 + rng.uniform(-1e-4, 1e-4)) + rng.uniform(0, 1)) * 4
    return np.interp(at, np.arange(len(dense)), dense)


def jittered(rng, signal) -> np.ndarray:
    """A jitter buffer: up to one packet in a hundred repeated or dropped, never two within 0.9 s."""
    count = len(signal) // FRAME
    changes = rng.permutation(count // 50)[: rng.integers(0, count // 100 + 1)]
    frames = np.ones(count, int)
    for at in changes:
        frames[at * 50 + rng.integers(0, 5)] = rng.choice([0, 2])
    return np.repeat(signal[: count * FRAME].reshape(count, FRAME), frames, axis=0).ravel()


# ---------------------------------------------------------------- what is not

Fault = Callable[..., np.ndarray]
LEAST_MS = 100
"""The shortest loss that must be found: of speech, at one place."""


def stretch(rng, spoken: Spoken, shortest: float, longest: float) -> tuple[int, int]:
    """A stretch, in samples, of which at least LEAST_MS are speech, beginning anywhere."""
    speech = np.repeat(spoken.template.speech, FRAME)
    while True:
        length = int(np.exp(rng.uniform(np.log(shortest), np.log(longest))) * RATE)
        start = int(rng.integers(0, len(speech) - length))
        if speech[start : start + length].sum() >= LEAST_MS * 8:
            return start, start + length


def cut(rng, spoken: Spoken, _others) -> np.ndarray:
    start, end = stretch(rng, spoken, LEAST_MS / 1000, 2)
    return np.delete(spoken.signal, slice(start, end))


def muted(rng, spoken: Spoken, _others) -> np.ndarray:
    return filled(spoken, *stretch(rng, spoken, LEAST_MS / 1000, 2), 0)


def filled(spoken: Spoken, start: int, end: int, sound) -> np.ndarray:
    signal = spoken.signal
    signal[start:end] = sound
    return signal


def hissed(rng, spoken: Spoken, _others) -> np.ndarray:
    start, end = stretch(rng, spoken, LEAST_MS / 1000, 2)
    return filled(spoken, start, end, rng.normal(0, rms(spoken.signal) * rng.uniform(0.05, 1), end - start))


def beeped(rng, spoken: Spoken, _others) -> np.ndarray:
    start, end = stretch(rng, spoken, LEAST_MS / 1000, 2)
    tone = np.sin(2 * np.pi * rng.uniform(300, 2000) * np.arange(end - start) / RATE)
    return filled(spoken, start, end, tone * rms(spoken.signal))


def replaced(rng, spoken: Spoken, others) -> np.ndarray:
    start, end = stretch(rng, spoken, 0.2, 2)
    return filled(spoken, start, end, matching(rng, others, end - start, rms(spoken.signal)))


def matching(rng, others, length: int, level: float) -> np.ndarray:
    """So much of somebody else's speech, at this level."""
    other = others[rng.integers(len(others))].signal
    other = np.tile(other, length // len(other) + 2)
    start = rng.integers(0, len(other) - length)
    return other[start : start + length] * (level / rms(other))


def words(spoken: Spoken) -> list[tuple[int, int]]:
    """Stretches of speech between pauses, in samples, of at least LEAST_MS."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], spoken.template.speech, [0]]).astype(int))) * FRAME
    return [(a, b) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True) if b - a >= LEAST_MS * 8]


def word_muted(rng, spoken: Spoken, _others) -> np.ndarray:
    return filled(spoken, *words(spoken)[rng.integers(len(words(spoken)))], 0)


def word_cut(rng, spoken: Spoken, _others) -> np.ndarray:
    return np.delete(spoken.signal, slice(*words(spoken)[rng.integers(len(words(spoken)))]))


def word_twice(rng, spoken: Spoken, _others) -> np.ndarray:
    """Neither the first nor the last: those would stand before or after a whole notice."""
    inner = words(spoken)[1:-1] or words(spoken)[:1]
    start, end = inner[rng.integers(len(inner))]
    return np.concatenate([spoken.signal[:end], spoken.signal[start:]])


def swapped(rng, spoken: Spoken, _others) -> np.ndarray:
    """Two neighbouring parts in the wrong order."""
    start, end = stretch(rng, spoken, 0.3, 3)
    middle = start + int((end - start) * rng.uniform(0.4, 0.6))
    signal = spoken.signal
    return np.concatenate([signal[:start], signal[middle:end], signal[start:middle], signal[end:]])


def shuffled(rng, spoken: Spoken, _others) -> np.ndarray:
    """Seconds in any other order."""
    parts = np.array_split(spoken.signal, max(len(spoken.signal) // RATE, 3))
    order = rng.permutation(len(parts))
    order = np.roll(order, 1) if (order == np.arange(len(parts))).all() else order
    return np.concatenate([parts[n] for n in order])


def reversed_part(rng, spoken: Spoken, _others) -> np.ndarray:
    start, end = stretch(rng, spoken, 0.2, 2)
    return filled(spoken, start, end, spoken.signal[start:end][::-1])


def head_missing(rng, spoken: Spoken, _others) -> np.ndarray:
    return spoken.signal[edge(rng, spoken.template.speech) :]


def tail_missing(rng, spoken: Spoken, _others) -> np.ndarray:
    return spoken.signal[: len(spoken.signal) - edge(rng, spoken.template.speech[::-1])]


def edge(rng, speech) -> int:
    """Samples from an end that hold LEAST_MS of speech or more, up to nine tenths."""
    least = int(np.flatnonzero(np.cumsum(speech) >= LEAST_MS // 20)[0] + 1)
    return int(rng.integers(least * FRAME, int(len(speech) * 0.9) * FRAME))


def other(rng, _spoken, others) -> np.ndarray:
    return others[rng.integers(len(others))].signal


def other_language(rng, spoken: Spoken, others) -> np.ndarray:
    return other(rng, spoken, [each for each in others if each.language != spoken.language])


def under_speech(rng, spoken: Spoken, others) -> np.ndarray:
    level = rms(spoken.signal) * 10 ** (-rng.uniform(0, 10) / 20)
    return spoken.signal + matching(rng, others, len(spoken.signal), level)


def under_music(rng, spoken: Spoken, _others) -> np.ndarray:
    level = rms(spoken.signal) * 10 ** (-rng.uniform(0, 10) / 20)
    sound = music(rng, len(spoken.signal))
    return spoken.signal + sound * (level / rms(sound))


def music(rng, length: int) -> np.ndarray:
    """Chords of decaying notes, a quarter to half a second each."""
    sound, at = np.zeros(length), 0
    while at < length:
        t = np.arange(min(int(rng.uniform(0.25, 0.5) * RATE), length - at)) / RATE
        for hertz in rng.choice([262, 294, 330, 349, 392, 440, 494, 523], 3, replace=False):
            sound[at : at + len(t)] += sum(np.sin(2 * np.pi * k * hertz * t) / k for k in (1, 2, 3)) * np.exp(-3 * t)
        at += len(t)
    return sound


def over_itself(rng, spoken: Spoken, _others) -> np.ndarray:
    """Played twice, the second time before the first one ended."""
    late = int(rng.uniform(0.06, 0.8) * len(spoken.signal))
    again = np.zeros(late + len(spoken.signal))
    again[late:] += spoken.signal * 10 ** (-rng.uniform(0, 6) / 20)
    again[: len(spoken.signal)] += spoken.signal
    return again


def hurried(rng, spoken: Spoken, _others) -> np.ndarray:
    """Played up to a fifth too fast or too slow."""
    speed = 1 + rng.choice([-1, 1]) * rng.uniform(0.02, 0.2)
    at = np.arange(0, len(spoken.signal) - 1, speed)
    return np.interp(at, np.arange(len(spoken.signal)), spoken.signal)


def lossy(rng, spoken: Spoken, _others) -> np.ndarray:
    """One packet in ten to one in three lost, in bursts or one by one; silence or the last packet again instead."""
    count, share, burst = len(spoken.signal) // FRAME, rng.uniform(0.1, 0.33), rng.choice([1, 2, 4])
    lost = np.repeat(rng.random(count // burst + 1) < share, burst)[:count]
    if lost.mean() < share / 2:
        return lossy(rng, spoken, _others)
    frames = spoken.signal[: count * FRAME].reshape(count, FRAME)
    last = np.maximum.accumulate(np.where(lost, 0, np.arange(count)))
    return (frames[last] if rng.random() < 0.5 else np.where(lost[:, None], 0, frames)).ravel()


def faint(rng, spoken: Spoken, _others) -> np.ndarray:
    return spoken.signal * 10 ** (-rng.uniform(20, 40) / 20)


def overdriven(rng, spoken: Spoken, _others) -> np.ndarray:
    signal = spoken.signal
    limit = rms(signal) * rng.uniform(0.1, 0.4)
    return np.clip(signal, -limit, limit) * (rms(signal) / limit)


def backwards(_rng, spoken: Spoken, _others) -> np.ndarray:
    return spoken.signal[::-1]


def no_speech(rng, spoken: Spoken, _others) -> np.ndarray:
    """Hiss, a tone, music, or sounds that are merely like speech."""
    length = len(spoken.signal)
    t = np.arange(length) / RATE
    kinds = (rng.normal(size=length), np.sin(2 * np.pi * 440 * t), music(rng, length), speech_like(rng))
    sound = kinds[rng.integers(4)]
    return sound * (rms(spoken.signal) / rms(sound))


FAULTS: dict[str, Fault] = {
    "100 ms or more of speech cut out": cut,
    "100 ms or more of speech muted": muted,
    "100 ms or more of speech under hiss": hissed,
    "100 ms or more of speech under a tone": beeped,
    "200 ms or more replaced by other speech": replaced,
    "a word muted": word_muted,
    "a word cut out": word_cut,
    "a word said twice": word_twice,
    "neighbouring parts swapped": swapped,
    "seconds in another order": shuffled,
    "a part backwards": reversed_part,
    "the beginning missing": head_missing,
    "the end missing": tail_missing,
    "another notice": other,
    "another language": other_language,
    "under other speech, 0 to 10 dB down": under_speech,
    "under music, 0 to 10 dB down": under_music,
    "played twice, overlapping": over_itself,
    "2 to 20 % too fast or slow": hurried,
    "10 to 33 % of packets lost": lossy,
    "20 to 40 dB too faint": faint,
    "overdriven": overdriven,
    "backwards": backwards,
    "no speech at all": no_speech,
}
