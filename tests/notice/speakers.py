"""Prompts that no trial has heard before: texts put together by chance, spoken by espeak-ng; and speech-like sounds."""

import io
import subprocess
from dataclasses import dataclass

import numpy as np
import soundfile

from callrec.notice.audio import RATE, resample
from callrec.notice.quality import speech_mask
from callrec.notice.verify import FRAME, Template

WORDS = {
    "en-gb": "this is the advice line we record your call to keep a record of what you were told check our work and "
    "train staff press two say no or three nobody minds you get same help details are at example dot org slash calls "
    "please hold speak after tone nurse doctor morning evening Tuesday emergency hang up safe standards question later",
    "cy": "dyma linell gyngor rydym yn recordio galwadau er mwyn cadw cofnod o'r cyngor pwyswch dau os nad ydych am "
    "gael eich byddwch yn derbyn yr un gofal manylion argyfwng ffoniwch bore da diolch meddyg nyrs heddiw yfory",
    "de": "hier ist die Beratung wir zeichnen Ihren Anruf auf um den Rat festzuhalten und unsere Arbeit zu prüfen "
    "drücken Sie zwei wenn nicht Hilfe bleibt gleich Notfall Ärztin morgen heute später bitte warten",
    "pl": "to jest linia porad nagrywamy rozmowy aby zachować zapis naszej rady naciśnij dwa jeśli nie chcesz pomoc "
    "będzie taka sama szczegóły nagły wypadek lekarz rano wieczorem proszę czekać",
    "fr": "voici la ligne de conseil nous enregistrons les appels pour garder trace de nos avis appuyez sur deux "
    "pour refuser votre aide reste identique urgence médecin matin soir attendez merci",
    "es": "esta es la línea de consejo grabamos las llamadas para guardar constancia pulse dos para decir que no "
    "la ayuda será igual urgencia médico mañana tarde espere gracias detalles en nuestra página",
}
"""Ordinary words of a notice, by language: what is said need make no sense."""
VOICES = {"en-gb": ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp"), "cy": ("cy",), "de": ("de",), "pl": ("pl",)} | {
    "fr": ("fr-fr",),
    "es": ("es", "es-419"),
}


@dataclass(frozen=True)
class Spoken:
    """One prompt: its sound, the mask of its approval, who says it."""

    template: Template
    language: str

    @property
    def signal(self) -> np.ndarray:
        return self.template.samples.astype(np.float64)


def prompts(seed: int, count: int) -> list[Spoken]:
    """So many different prompts of 3 to 20 s; one in six is no voice but sounds like one."""
    rng = np.random.default_rng(seed)
    found: list[Spoken] = []
    while len(found) < count:
        language = str(rng.choice(list(WORDS)))
        signal = speech_like(rng) if len(found) % 6 == 5 else spoken(rng, language)
        samples = levelled(rng, signal)[: 20 * RATE // FRAME * FRAME]
        mask = speech_mask(samples.astype("<i2").tobytes())
        if mask.sum() >= 125 and mask.mean() > 0.5 and (np.diff(mask.astype(int)) == 1).sum() >= 8:
            found.append(Spoken(Template(samples=samples, speech=mask), language))
    return found


def levelled(rng, signal) -> np.ndarray:
    """At a level that the gate lets through, in whole packets, as 16-bit samples."""
    cut = signal[: len(signal) // FRAME * FRAME]
    peak, rms = np.abs(cut).max(), np.sqrt((cut[np.abs(cut) > np.abs(cut).max() / 50] ** 2).mean())
    gain = min(32768 * 10 ** (rng.uniform(-28, -15) / 20) / rms, 30000 / peak)
    return np.rint(cut * gain).astype(np.int16)


def spoken(rng, language: str) -> np.ndarray:
    words = WORDS[language].split()
    said = [str(rng.choice(words)) + ("," if rng.random() < 0.12 else "") for _ in range(rng.integers(8, 26))]
    options = ["-v", str(rng.choice(VOICES[language])) + str(rng.choice(["", "+m3", "+f2", "+f4", "+m7"]))]
    options += ["-s", str(rng.integers(130, 185)), "-p", str(rng.integers(25, 75)), "--stdout", " ".join(said)]
    done = subprocess.run(["espeak-ng", *options], capture_output=True, check=True)
    signal, rate = soundfile.read(io.BytesIO(done.stdout))
    return trimmed(resample(signal, rate))


def trimmed(signal) -> np.ndarray:
    loud = np.flatnonzero(np.abs(signal) > np.abs(signal).max() / 300)
    return np.concatenate([np.zeros(RATE // 10), signal[loud[0] : loud[-1] + 1], np.zeros(RATE // 5)])


def speech_like(rng) -> np.ndarray:
    """Syllables: a gliding buzz or a hiss through moving resonances, with pauses, as speech has them."""
    parts = [np.zeros(RATE // 10)]
    pitch = rng.uniform(90, 220)
    for _ in range(rng.integers(16, 40)):
        parts.append(syllable(rng, pitch, int(rng.uniform(0.09, 0.3) * RATE)))
        parts.append(np.zeros(int(rng.exponential(0.05) * RATE) if rng.random() < 0.9 else RATE // 3))
    return np.concatenate(parts)


def syllable(rng, pitch: float, length: int) -> np.ndarray:
    t = np.arange(length) / RATE
    glide = 2 * np.pi * np.cumsum(pitch * (1 + rng.uniform(-0.2, 0.2) * t / t[-1] + 0.02 * rng.normal())) / RATE
    peaks = rng.uniform((250, 800, 2000), (900, 2200, 3300))
    voiced = sum(
        np.sin(k * glide) * sum(1 / (1 + ((k * pitch - peak) / 120) ** 2) for peak in peaks)
        for k in range(1, int(3600 / pitch / 1.25))
    )
    hiss = np.convolve(rng.normal(size=length), rng.normal(size=8), "same") * 0.1
    sound = hiss if rng.random() < 0.25 else voiced + 0.02 * hiss
    return sound * np.hanning(length) ** 0.5 * rng.uniform(0.3, 1)
