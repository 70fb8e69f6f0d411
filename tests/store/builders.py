"""Sealed folders as a spool makes them, the ledger that admits them, and stores that fail on purpose."""

import json

from callrec._canonical import canonical, sha256_hex
from callrec.errors import Unavailable
from callrec.ports import AUDIO_FILE, KEY_FILE, MANIFEST_FILE, SEALED_LEAF_FILE, Sealed
from callrec.store.admission import LedgerAdmission

CALL = "0123456789abcdef0123456789abcdef"
PROVEN, STARTED, SEALED_LEAF = "b" * 64, "c" * 64, "d" * 64
WRAPPED = canonical({"key_id": "k" * 32, "for": "the keeper"})


def a_manifest(audio, *, segment=0, **changes):
    manifest = {
        "format": "callrec/recording/1",
        "recording_id": f"{CALL}-{segment}",
        "header": {
            "log_id": "a" * 64,
            "call_uid": CALL,
            "segment": segment,
            "key_id": "k" * 32,
            "proven_leaf": PROVEN,
            "started_leaf": STARTED,
        },
        "line": "advice",
        "purposes": ["audit", "medico-legal"],
        "notice": {"evidence_sha256": "e" * 64},
        "retention": {"rule": "ML-A", "version": 1, "trigger": "2026-03-01", "due": "2034-03-01"},
        "started_utc": "2026-03-01T10:00:00.000Z",
        "samples": 8000,
        "rate": 8000,
        "truncated": False,
        "cipher_sha256": sha256_hex(audio),
        "flac_sha256": "f" * 64,
        "pcm_sha256": "9" * 64,
        "wrapped_key_sha256": sha256_hex(WRAPPED),
    }
    return {**manifest, **changes}


def a_sealed(tmp_path, *, audio=b"ciphertext" * 1000, segment=0, name="ready", **changes):
    manifest = a_manifest(audio, segment=segment, **changes)
    folder = tmp_path / name / manifest["recording_id"]
    folder.mkdir(parents=True)
    (folder / AUDIO_FILE).write_bytes(audio)
    (folder / KEY_FILE).write_bytes(WRAPPED)
    (folder / MANIFEST_FILE).write_bytes(canonical(manifest))
    (folder / SEALED_LEAF_FILE).write_text(SEALED_LEAF)
    return Sealed(
        recording_id=manifest["recording_id"],
        folder=folder,
        manifest=manifest,
        manifest_sha256=sha256_hex(canonical(manifest)),
        cipher_sha256=manifest["cipher_sha256"],
        flac_sha256=manifest["flac_sha256"],
        pcm_sha256=manifest["pcm_sha256"],
        samples=manifest["samples"],
    )


DAMAGES = {
    "audio changed": (AUDIO_FILE, lambda data: b"x" + data[1:]),
    "audio cut short": (AUDIO_FILE, lambda data: data[:-1]),
    "audio missing": (AUDIO_FILE, None),
    "key missing": (KEY_FILE, None),
    "key changed": (KEY_FILE, lambda data: data + b" "),
    "manifest missing": (MANIFEST_FILE, None),
    "manifest changed": (MANIFEST_FILE, lambda data: data.replace(b"advice", b"others")),
}


def damaged(sealed, what):
    """The same recording with one file of its folder wrong."""
    name, change = DAMAGES[what]
    path = sealed.folder / name
    data = path.read_bytes()
    path.unlink()
    if change is not None:
        path.write_bytes(change(data))
    return sealed


class LedgerOf:
    """Looks entries up in a table, as a verified ledger would."""

    def __init__(self, sealed):
        header = sealed.manifest["header"]
        place = {name: header[name] for name in ("log_id", "call_uid", "segment")}
        proven = {"evidence_sha256": "e" * 64, "purposes": ["audit", "medico-legal", "training"]}
        started = {
            "proven_leaves": [PROVEN],
            "key_id": header["key_id"],
            "wrapped_key_sha256": sealed.manifest["wrapped_key_sha256"],
        }
        closed = {
            "started_leaf": STARTED,
            "manifest_sha256": sealed.manifest_sha256,
            "cipher_sha256": sealed.cipher_sha256,
            "flac_sha256": sealed.flac_sha256,
            "pcm_sha256": sealed.pcm_sha256,
            "samples": sealed.samples,
        }
        self.asked = []
        self.entries = {
            PROVEN: {**place, "kind": "notice.proven", "seq": 3, "body": proven},
            STARTED: {**place, "kind": "recording.started", "seq": 4, "body": started},
            SEALED_LEAF: {**place, "kind": "recording.sealed", "seq": 9, "body": closed},
        }

    def change(self, leaf, field, value):
        entry = json.loads(json.dumps(self.entries[leaf]))
        target = entry if field in entry else entry["body"]
        target[field] = value
        self.entries[leaf] = entry

    def look_up(self, leaf, *, call_uid):
        self.asked.append(leaf)
        return self.entries.get(leaf)


def a_door(lookup, *, logs=None, evidence=None):
    """The door of a store with which the log of these recordings is registered: that of a ledger, or `a_sealed`'s."""
    known = {getattr(getattr(lookup, "ledger", None), "log_id", "a" * 64)} if logs is None else logs
    return LedgerAdmission(lookup, logs=lambda: known, evidence=evidence)


class FailsAndLoses:
    """The first `times` puts never reach the store."""

    def __init__(self, store, times=1):
        self.store, self.times = store, times

    def __getattr__(self, name):
        return getattr(self.store, name)

    async def put(self, sealed):
        self.times -= 1
        if self.times >= 0:
            raise Unavailable("connection refused")
        return await self.store.put(sealed)


class FailsButKeeps(FailsAndLoses):
    """The first `times` answers never come back."""

    async def put(self, sealed):
        kept = await self.store.put(sealed)
        self.times -= 1
        if self.times >= 0:
            raise Unavailable("reply lost")
        return kept


async def no_pause(seconds):
    """Where a wait would be."""
