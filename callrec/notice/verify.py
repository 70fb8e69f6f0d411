"""Is this prompt in that audio, whole, when the audio came back over a network or through a codec? numpy only.

Not for the live path, where equality is asked for: this judges what a far end heard, an archive, a self-test.
`alignment` follows the prompt through the audio; here each 20 ms that is speech, by the mask stored when the prompt was
approved, must be there, and what was heard besides the prompt, in its pauses too, counts as disturbance. It is tolerant
of level, delay, clocks, offset, G.711, noise 25 dB down, and of packets of 20 ms repeated or dropped one at a time. A
loss of one packet is forgiven, one of 100 ms of speech is not: in between lies the edge of its tolerance. Another sound
more than 10 dB down lies beyond it as well. It never tells whether anybody understood.

How often profile A errs was measured by `python -m tests.notice.trials --seed 3302`, once its floors were set (earlier
seeds served for that), on prompts that a machine speaks and paths that are simulated, 10,000 whole notices and 10,000
spoiled ones. It refused 1 of the whole ones (upper 95 % bound 0.48 in 1000), for 60 ms of speech missing at one place,
and accepted none of the spoiled ones (0.3 in 1000; of each of their 24 kinds there were about 420, so that one kind
alone is bound no better than by 7.5 in 1000). Profile B has not been so tried, and cannot see lost packets that a
receiver concealed. The arithmetic was made cheaper since, to about 20 ms of CPU for 10 s of notice: both ways found the
same figures, to six decimals, for 1200 whole notices and 1200 spoiled ones, and so the version stayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from callrec.notice.alignment import Fit, Found, align, likeness
from callrec.notice.lags import BLOCK, FRAME, Lags, Mask, Signal

BORDER: Final = 1e-3
"""A figure this near to its floor is borderline, and refused: no two machines may differ about it."""
EDGE_FRAMES: Final = 25

_LONGEST: Final = 8000 * 300
_SURE: Final = 3
_PAUSE: Final = 5
_NEARBY: Final = 10
"""Frames within which what is missing is missing at one place, though some of it was taken for there."""
_SAME_GAIN_DB: Final = 4.0
_QUIET: Final = 10**-2.5

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Floors and ceilings for one kind of path.

    `score`, `plain`, `shape`: a frame is there where one of these likenesses is reached, 0..1; a shape above 1
    never is. `coverage`, `edge`: shares of speech frames there, of all and of the first and last 500 ms.
    `missing_ms`: the least that is too much at one place, in one run or within 200 ms.
    `gain_db`: level against the prompt, either way. `sdr_db`, `worst_db`: energy of the prompt above everything
    else, over the whole and over each second. `step_ms`: the longest jump in time.
    """

    name: str
    score: float
    plain: float
    shape: float
    coverage: float
    edge: float
    missing_ms: int
    gain_db: float
    sdr_db: float
    worst_db: float
    step_ms: int

    @property
    def verifier(self) -> str:
        """What stands in evidence: this method, its version, this profile."""
        return f"callrec/tolerant-{self.name}/4"


A: Final = Profile(
    name="a",
    score=0.70,
    plain=0.80,
    shape=2.0,
    coverage=0.96,
    edge=0.78,
    missing_ms=60,
    gain_db=10.0,
    sdr_db=13.0,
    worst_db=5.0,
    step_ms=50,
)
"""Linear PCM, or G.711 any number of times over."""
B: Final = Profile(
    name="b",
    score=0.80,
    plain=0.85,
    shape=0.65,
    coverage=0.94,
    edge=0.50,
    missing_ms=200,
    gain_db=12.0,
    sdr_db=-1.0,
    worst_db=-6.0,
    step_ms=50,
)
"""After a lossy codec. Never on the live path: it cannot see lost packets that were concealed."""


PROFILES: Final = (A, B)
"""The strictest first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """What is looked for: the prompt's samples, 8 kHz mono 16-bit, and for each whole 20 ms whether it is speech.

    ValueError where the mask is for another length.
    """

    samples: Samples
    speech: Mask

    def __post_init__(self) -> None:
        count = len(self.samples) // FRAME
        if len(self.speech) != count:
            raise ValueError(f"the speech mask is for {len(self.speech)} frames, the prompt has {count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found, and every rule that does not hold, as sentences. Shares 0..1, dB, ms, samples at 8 kHz."""

    verifier: str
    coverage: float = 0.0
    longest_missing_ms: int = 0
    head: float = 0.0
    tail: float = 0.0
    gain_db: float = 0.0
    sdr_db: float = 0.0
    worst_db: float = 0.0
    step_ms: int = 0
    offset: int = 0
    reasons: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """True where the whole notice was there, loud and clear enough."""
        return not self.reasons

    def to_value(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "reasons": list(self.reasons), "accepted": self.accepted}


def verify(prompt: Template, heard: Samples, *, profile: Profile = A) -> Verification:
    """Judge audio of at most five minutes (the rest is not looked at) against one prompt. Never raises."""
    wanted, got = prompt.samples.astype(np.float64), heard[:_LONGEST].astype(np.float64)
    if not prompt.speech.any() or len(got) < FRAME or not np.ptp(got) or not np.ptp(wanted):
        return Verification(verifier=profile.verifier, reasons=("there is nothing to compare",))
    found = align(wanted, got, prompt.speech)
    return _judge(prompt.speech, found, profile)


# ---------------------------------------------------------------- the verdict


def _judge(speech: Mask, found: Found, profile: Profile) -> Verification:
    fit = found.fit
    gain, there = _there(speech, fit, profile)
    counted = there | (~speech & (fit.wanted < np.percentile(fit.wanted, 95) * _QUIET))
    explained, rest = fit.explained * counted, fit.rest * counted
    spoken = there[speech]
    figures = Verification(
        verifier=profile.verifier,
        coverage=_rounded(spoken.mean()),
        longest_missing_ms=max(_longest_run(~there, speech), _most_nearby(~there & speech)) * 20,
        head=_rounded(spoken[:EDGE_FRAMES].mean()),
        tail=_rounded(spoken[-EDGE_FRAMES:].mean()),
        gain_db=_rounded(gain),
        sdr_db=_rounded(_above(explained.sum(), rest.sum())),
        worst_db=_rounded(_worst(explained, rest)),
        step_ms=_step_ms(fit.lags, there & speech),
        offset=int(found.lags[0]),
    )
    reasons = tuple(sentence for holds, sentence in _rules(figures, profile) if not holds)
    return replace(figures, reasons=reasons)


def _there(speech: Mask, fit: Fit, profile: Profile) -> tuple[float, Mask]:
    """The gain of the whole in dB, and which frames are there at about that gain."""
    there = (fit.sharp >= profile.score) | (fit.plain >= profile.plain)
    gain = float(np.median(fit.gain[speech & there] if (speech & there).any() else fit.gain[speech]))
    there &= np.abs(fit.gain - gain) <= _SAME_GAIN_DB
    return gain, there | (likeness(fit) >= profile.shape) if profile.shape <= 1 else there


def _rounded(value: Any) -> float:
    return round(float(value), 6)


def _above(one: Any, other: Any) -> Any:
    return 10 * np.log10((one + 1) / (other + 1))


def _worst(explained: Signal, rest: Signal) -> float:
    """The worst second, of those in which there is something to disturb."""
    count = len(explained) // EDGE_FRAMES * EDGE_FRAMES
    halves = [each[:count].reshape(-1, EDGE_FRAMES).sum(axis=1) for each in (explained, rest)]
    prompt, other = (each[1:] + each[:-1] for each in halves)
    loud = prompt > prompt.mean() / 10 if len(prompt) else np.zeros(0, bool)
    return float(_above(prompt[loud], other[loud]).min(initial=99.0))


def _step_ms(lags: Lags, there: Mask) -> int:
    """The largest jump between neighbouring blocks, by the middle lag of the speech that is there; a second without
    any between them hides 20 ms. It is a lag that was found: halfway between two of them would halve a jump.
    """
    found = lags[there]
    blocks, starts, counts = np.unique(np.flatnonzero(there) * FRAME // BLOCK, return_index=True, return_counts=True)
    sure = blocks[counts >= _SURE]
    places = np.array([_middle(part) for part in np.split(found, starts[1:]) if len(part) >= _SURE])
    steps = np.abs(np.diff(places)) - FRAME * ((np.diff(sure) - 1) // 4)
    return round(float(steps.max(initial=0)) / 8)


def _middle(lags: Lags) -> int:
    return int(np.sort(lags)[len(lags) // 2])


def _most_nearby(missing: Mask) -> int:
    """In frames; a part that is backwards meets itself in the middle, and a short pause parts what was muted."""
    return int(np.convolve(missing, np.ones(_NEARBY)).max())


def _longest_run(missing: Mask, speech: Mask) -> int:
    """In frames of speech; a pause of more than 100 ms ends a run."""
    at = np.flatnonzero(speech)
    longest = run = 0
    for gone, pause in zip(missing[at].tolist(), (np.diff(at, prepend=at[0]) > _PAUSE).tolist(), strict=True):
        run = (0 if pause else run) + 1 if gone else 0
        longest = max(longest, run)
    return longest


def _rules(found: Verification, floor: Profile) -> Iterator[tuple[bool, str]]:
    """Each rule, whether it holds, and the sentence where it does not."""
    yield (
        found.coverage >= floor.coverage + BORDER,
        f"{found.coverage:.1%} of its speech was there; more than {floor.coverage:.0%} is needed",
    )
    yield (
        found.longest_missing_ms < floor.missing_ms,
        f"{found.longest_missing_ms} ms of speech are missing at one place; below {floor.missing_ms}",
    )
    for share, where in ((found.head, "beginning"), (found.tail, "end")):
        yield share >= floor.edge + BORDER, f"{share:.0%} of its {where} was there; {floor.edge:.0%} are needed"
    yield (
        abs(found.gain_db) <= floor.gain_db - BORDER,
        f"its level is off by {found.gain_db:+.1f} dB; within {floor.gain_db:g} dB",
    )
    yield (
        found.sdr_db >= floor.sdr_db + BORDER,
        f"it is {found.sdr_db:.1f} dB above what disturbs it; at least {floor.sdr_db:g} dB",
    )
    yield (
        found.worst_db >= floor.worst_db + BORDER,
        f"in one second it is {found.worst_db:.1f} dB above what disturbs it; at least {floor.worst_db:g} dB",
    )
    yield (
        found.step_ms <= floor.step_ms,
        f"it jumps by {found.step_ms} ms at one place; at most {floor.step_ms} ms",
    )
