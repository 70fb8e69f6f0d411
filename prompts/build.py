"""Speak the sample prompts again with espeak-ng and write them, with their manifest, into this folder.

    .venv/bin/python prompts/build.py

The samples are for the demonstration and the tests: a synthetic voice, a made-up service. The Welsh was not written by
a translator and must be corrected by one. espeak-ng speaks a little differently in each version, so what is built here
replaces the files, their hashes and the manifest together; commit them together.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from callrec.core.values import Purpose
from callrec.errors import CallrecError
from callrec.notice.approval import NewPrompt, add
from callrec.notice.audio import RATE, read_audio, wav_of
from callrec.notice.manifest import NAME, PromptKind, Status

HERE = Path(__file__).resolve().parent
DRAFT = "draft: to be corrected by a translator, then spoken by a native voice"
LEAD, TAIL = RATE // 10, RATE // 5
"""Samples of silence left at either end."""
SILENT = 32
"""Samples up to this are silence, -60 dBFS."""

ENGLISH = (
    "This is the example advice line. In an emergency, hang up and call 999. We record calls to keep a record of our "
    "advice, check our standards and train our staff. Press 2 to say no, or 3 to leave out training. You get the same "
    "help. Details: example.org slash calls."
)
WELSH = (
    "Dyma'r llinell gyngor enghreifftiol. Mewn argyfwng, ffoniwch 999. Rydym yn recordio galwadau er mwyn cadw cofnod "
    "o'r cyngor a roddir. Os nad ydych am gael eich recordio, pwyswch 2. Byddwch yn cael yr un gofal. "
    "Manylion: example.org slash calls."
)

SAMPLES = (
    (
        "en-gb",
        170,
        {
            "id": "advice-line",
            "language": "en",
            "text": ENGLISH,
            "purposes": {
                Purpose.MEDICO_LEGAL: "keep a record of our advice",
                Purpose.AUDIT: "check our standards",
                Purpose.TRAINING: "train our staff",
            },
            "keys": {"2": "decline", "3": "decline_training"},
            "explains": {
                "who": "This is the example advice line",
                "recorded": "We record calls",
                "decline": "Press 2 to say no",
                "same_help": "You get the same help",
                "more": "Details: example.org slash calls",
            },
        },
    ),
    (
        "cy",
        160,
        {
            "id": "advice-line",
            "language": "cy",
            "text": WELSH,
            "purposes": {Purpose.MEDICO_LEGAL: "cadw cofnod o'r cyngor a roddir"},
            "keys": {"2": "decline"},
            "explains": {
                "who": "Dyma'r llinell gyngor enghreifftiol",
                "recorded": "Rydym yn recordio galwadau",
                "decline": "Os nad ydych am gael eich recordio, pwyswch 2",
                "same_help": "Byddwch yn cael yr un gofal",
                "more": "Manylion: example.org slash calls",
            },
            "note": DRAFT,
        },
    ),
    (
        "en-gb",
        160,
        {
            "id": "recording-stopped",
            "language": "en",
            "kind": PromptKind.ANNOUNCEMENT,
            "text": "Recording has now stopped.",
        },
    ),
    (
        "cy",
        150,
        {
            "id": "recording-stopped",
            "language": "cy",
            "kind": PromptKind.ANNOUNCEMENT,
            "text": "Mae'r recordio wedi dod i ben nawr.",
            "note": DRAFT,
        },
    ),
    *(
        (
            voice,
            pace,
            {"id": name, "language": language, "kind": PromptKind.ANNOUNCEMENT, "text": text, **note},
        )
        for name, voice, pace, language, text, note in (
            ("staff-recorded", "en-gb", 160, "en", "This call is recorded.", {}),
            ("staff-recorded", "cy", 150, "cy", "Mae'r alwad hon yn cael ei recordio.", {"note": DRAFT}),
            ("staff-not-recorded", "en-gb", 160, "en", "Not recorded.", {}),
            ("staff-not-recorded", "cy", 150, "cy", "Nid yw'n cael ei recordio.", {"note": DRAFT}),
        )
    ),
)
"""What callers hear, and at the end the two things that staff alone are told (R53)."""


def speak(voice: str, words_a_minute: int, text: str, out: Path) -> None:
    """Speak it, bring it to 8 kHz, and cut the silence at both ends."""
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(words_a_minute), "-w", str(out), text], check=True)
    samples = np.frombuffer(read_audio(out).pcm, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > SILENT)
    cut = np.concatenate([np.zeros(LEAD, "<i2"), samples[loud[0] : loud[-1] + 1], np.zeros(TAIL, "<i2")])
    out.write_bytes(wav_of(cut.tobytes()))


def main() -> int:
    """Build all of them, or say what is wrong with one."""
    for old in (*HERE.glob("*.wav"), HERE / NAME):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for voice, words_a_minute, fields in SAMPLES:
            spoken = Path(folder) / "spoken.wav"
            speak(voice, words_a_minute, fields["text"], spoken)
            try:
                record = add(HERE, NewPrompt(file=spoken, **fields), status=Status.SAMPLE)
            except CallrecError as error:
                sys.stderr.write(f"{error.diagnosis()}\n")
                return error.exit_code
            sys.stdout.write(f"{record.file}: {record.samples / RATE:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
