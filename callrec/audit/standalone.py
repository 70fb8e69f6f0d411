"""Check a callrec pack: that everything in it is what the ledger signed, and that the recording notice was played.

    python3 verify.py PACK.zip --key KEY [--checkpoint FILE_OR_FOLDER] [--json]

KEY is the ledger's public key, or a file with it, such as the half page that the operator handed over when the ledger
was made. Bring it yourself: a key out of the pack proves nothing. --checkpoint names checkpoints that you were sent.
Take this file, too, from somebody you trust, or read it: it is one file, needs Python 3.10 and `cryptography`, and
believes no verdict but its own. Exit status: 0 every check holds, 1 all hold but the call was not finished, 2 wrong
arguments, 20 something needed is missing or cannot be read, 30 the pack contradicts itself.

Formats: zip (PKWARE appnote 6.3), JSON canonical by RFC 8785, Merkle tree of RFC 6962 (audit paths verified as in
RFC 9162 section 2.1.3.2), checkpoint as a C2SP signed note with Ed25519 (RFC 8032).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import bisect
import hashlib
import io
import ipaddress
import itertools
import json
import math
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CHECKS = {
    21: "the pack can be read, and every file in it is the one that it lists",
    22: "the checkpoint is signed by the key that you brought",
    23: "every entry stands, unchanged and in its place, under that checkpoint",
    24: "the entries are of this log and this call, and none stands twice",
    25: "offered, answered, notice, proven, started, sealed, kept: in this order, each naming the one before",
    26: "each evidence is the one in the ledger, and belongs to this call",
    27: "each evidence, judged again by the floors of this file, gives the verdict in the ledger",
    28: "the notice is one that was approved before, with these words and this audio",
    29: "what left for the caller holds the whole notice",
    30: "each recording was kept only for purposes that its notice named, or its caller agreed to",
    31: "each recording started from its own proof, each proof started one, and each recording ended once",
    32: "the manifest of each recording is the one that was sealed",
    33: "the recording in the pack is the one that was sealed",
    34: "what the caller chose was obeyed, and the decision at the end of the call agrees with all this",
    35: "the decision at the end decides every segment of the call, from 0 on, as the other entries have it",
    36: "each consent that a recording rests on lies in it as in the ledger, and was given to an approved script",
}
"""Numbers go on from those of `callrec audit verify` (1 to 15); none is ever used again for another check."""

LIMITS = (
    "that a person heard or understood the notice, or was the one holding the telephone",
    "anything beyond the next hop named above: hold, mute, parties joined there",
    "that these are all entries of this call: only the whole ledger shows that (callrec audit verify)",
    "that the ledger was not rewritten, unless the checkpoint is one that you, or somebody you trust, hold",
    "that index.html says what this program found: nobody signed that page",
    "anything against an altered agent that has the real keys",
)
"""What no pack can show."""

# ---------------------------------------------------------------- floors: ours, whatever the evidence says of its own

SENT_FLOOR = 0.97  # share of the expected RTP packets that left in the window
LEVEL_MISS_CEILING = 0.05  # share of level samples in which the leg lagged behind a loud prompt
HOLES_CEILING_NS = 1_000_000_000  # how much longer than the prompt the window may be
HURRY_CEILING_NS = 600_000_000  # how much less than the prompt's length may lie between its first packet and its last
LOSS_CEILING = 0.05  # share of packets that a report may call lost and still show that the notice was received
BORDERLINE = 1e-3  # closer than this to a floor is doubt, and doubt is a refusal
RECEIPT_MAX_AGE_NS = 10_000_000_000  # a proof written later than this after the notice proves nothing

UNFINISHED, UNANSWERED, CONTRADICTED = 1, 20, 30
LARGEST_PACK = 800_000_000
LARGEST_FILE = 4_000_000
LARGEST_TOGETHER = 24_000_000
MOST_FILES = 64
DEEPEST = 24
LARGEST_NUMBER = 2**53 - 1
RATE = 8000

UID = "[0-9a-f]{32}"
NAMES = {
    "index.html|verify.py|pack.json|checkpoint.txt|entries.jsonl|proofs.json": LARGEST_FILE,
    rf"evidence/{UID}-[0-9]{{1,4}}\.(json|tap)": LARGEST_FILE,
    r"notice/[a-z0-9-]{1,64}\.[a-z]{2,3}(-[A-Z]{2})?\.[0-9]{1,7}\.(wav|txt)": LARGEST_FILE,
    r"notice/sent-[0-9]{1,4}\.wav": LARGEST_FILE,
    rf"manifest/{UID}-[0-9]{{1,4}}\.json": LARGEST_FILE,
    rf"recording/{UID}-[0-9]{{1,4}}\.flac": LARGEST_PACK,
}
"""Every name that a file of a pack may have, and how many bytes it may hold."""
NEEDED = ("pack.json", "checkpoint.txt", "entries.jsonl", "proofs.json")


class Wrong(Exception):
    """What does not hold, under which check, and whether it contradicts (30) or merely cannot be answered (20)."""

    def __init__(self, check: int, sentence: str, code: int = CONTRADICTED) -> None:
        super().__init__(sentence)
        self.check, self.sentence, self.code = check, sentence, code


# ---------------------------------------------------------------- the zip: nothing is read before its size is known


def read_zip(file: BinaryIO) -> tuple[dict[str, bytes], dict[str, str]]:
    """(bytes by name, SHA-256 by name). Recordings are hashed, not held."""
    size = file.seek(0, io.SEEK_END)
    if size > LARGEST_PACK:
        raise Wrong(21, f"the file is larger than any pack ({size} bytes)")
    _look_at_end(file, size)
    try:
        with zipfile.ZipFile(file) as archive:
            return _members(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise Wrong(21, f"the zip is damaged: {shown(error)}", UNANSWERED) from None
    except (RuntimeError, ValueError, LookupError, OverflowError, struct.error) as error:
        raise Wrong(21, f"the zip is none that a pack can be: {shown(error)}", UNANSWERED) from None


def _look_at_end(file: BinaryIO, size: int) -> None:
    """One directory of few entries, right before the end, and nothing before the first file or after the last."""
    file.seek(max(size - 22, 0))
    end = file.read(22)
    if len(end) != 22 or end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
        raise Wrong(21, "this is no zip, or its end is missing", UNANSWERED)
    count, length, start = (int.from_bytes(end[a:b], "little") for a, b in ((10, 12), (12, 16), (16, 20)))
    if count > MOST_FILES or length > 300 * MOST_FILES or start + length + 22 != size:
        raise Wrong(21, f"the zip's directory is none of a pack ({count} files)")


def _members(archive: zipfile.ZipFile) -> tuple[dict[str, bytes], dict[str, str]]:
    infos = archive.infolist()
    _refuse_members(infos)
    held: dict[str, bytes] = {}
    digests: dict[str, str] = {}
    for info in infos:
        digest = hashlib.sha256()
        pieces = []
        with archive.open(name=info) as member:
            while piece := member.read(1 << 20):
                digest.update(piece)
                if not info.filename.endswith(".flac"):
                    pieces.append(piece)
        held[info.filename], digests[info.filename] = b"".join(pieces), digest.hexdigest()
    return held, digests


def _refuse_members(infos: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in infos]
    if len(set(names)) != len(names):
        raise Wrong(21, "a name stands twice in the zip")
    for info in infos:
        _refuse_member(info)
    for audio, most in ((False, LARGEST_TOGETHER), (True, LARGEST_PACK)):
        if sum(info.file_size for info in infos if info.filename.endswith(".flac") == audio) > most:
            raise Wrong(21, "its files together say they are larger than any pack")
    if missing := [name for name in NEEDED if name not in names]:
        raise Wrong(21, f"{missing[0]} is missing", UNANSWERED)


def _refuse_member(info: zipfile.ZipInfo) -> None:
    ceiling = next((most for name, most in NAMES.items() if re.fullmatch(name, info.filename)), None)
    if ceiling is None or info.orig_filename != info.filename:
        raise Wrong(21, f"{shown(info.orig_filename)} is no name of a file in a pack")
    if info.file_size > ceiling:
        raise Wrong(21, f"{info.filename} says it holds {info.file_size} bytes")
    packings = (zipfile.ZIP_STORED,) if info.filename.endswith(".flac") else (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if info.compress_type not in packings or info.flag_bits & 1:
        raise Wrong(21, f"{info.filename} is packed in a way that packs are not")


# ---------------------------------------------------------------- JSON with one meaning


def strict(data: bytes, where: str, check: int = 21) -> Any:
    """UTF-8 JSON: no name twice, no NaN, no number beyond 2**53, not deeper than DEEPEST."""
    try:
        value = _DECODE(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Wrong(check, f"{where} is no strict JSON: {shown(error)}") from None
    todo = [(value, 0)]
    while todo:
        each, depth = todo.pop()
        if depth > DEEPEST:
            raise Wrong(check, f"{where} is nested deeper than {DEEPEST}")
        inside = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        todo += [(one, depth + 1) for one in inside]
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _whole(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > LARGEST_NUMBER:
        raise ValueError("a number is beyond 2**53")
    return int(text)


def _broken(text: str) -> float:
    if len(text) > 40 or not math.isfinite(float(text)):
        raise ValueError("a number is beyond every number")
    return float(text)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODE = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_broken, parse_constant=_constant
).decode


def canonical(value: Any) -> str:
    """The one form of RFC 8785."""
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(each)}" for name, each in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(each) for each in value) + "]"
    return _number(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """As ECMAScript writes it (ECMA-262, Number::toString)."""
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}".replace("+", "").partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, rest = mantissa.lstrip("-").partition(".")
    rest = "" if rest == "0" else rest
    point = len(whole) + int(exponent or 0)
    digits = (whole + rest).lstrip("0")
    point -= len(whole + rest) - len(digits)
    digits = digits.rstrip("0")
    if 0 < point <= 21:
        digits = digits.ljust(point, "0")
        return sign + digits[:point] + ("." + digits[point:] if digits[point:] else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def shown(value: object) -> str:
    """Text that can do nothing to a terminal, on one line and not too long."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(value)[:300])


# ---------------------------------------------------------------- shapes: which fields there must be, of which kind

NS = re.compile(r"0|[1-9][0-9]{0,19}")
HEX = re.compile(r"[0-9a-f]{64}")
LEAF = re.compile(r"([0-9a-f]{64})?")
ANY = object()
SIGNED = object()  # a whole number that may be negative


def fit(value: Any, shape: Any, where: str, check: int) -> None:
    """A shape is a type, a pattern, a set of words, a dict of fields (and others), [shape], or (shape or null,)."""
    if isinstance(shape, dict):
        _require(isinstance(value, dict), where, check)
        for name, inner in shape.items():
            if name not in value:
                raise Wrong(check, f"{where}.{name} is missing")
            fit(value[name], inner, f"{where}.{name}", check)
    elif isinstance(shape, list):
        _require(isinstance(value, list), where, check)
        for number, each in enumerate(value):
            fit(each, shape[0], f"{where}[{number}]", check)
    elif isinstance(shape, tuple):
        if value is not None:
            fit(value, shape[0], where, check)
    else:
        _require(_fits(value, shape), where, check)


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, (set, re.Pattern)):
        return isinstance(value, str) and bool(value in shape if isinstance(shape, set) else shape.fullmatch(value))
    if shape is ANY or shape is SIGNED:
        return shape is ANY or type(value) is int
    return type(value) is shape and not (shape is int and value < 0)


def _require(condition: bool, where: str, check: int) -> None:
    if not condition:
        raise Wrong(check, f"{shown(where)} has the wrong type or value")


PACK = {"schema": {"callrec/pack/1"}, "call_uid": re.compile(UID), "log": str, "size": int, "root": HEX, "files": dict}
ENTRY = {
    "v": int, "log_id": HEX, "seq": int, "prev": HEX, "kind": str, "call_uid": str, "segment": int, "utc": str,
    "boot_id": str, "boottime_ns": NS, "clock": str, "actor": str, "agent_run": str, "body": dict,
}  # fmt: skip
BODIES: Mapping[str, Any] = {
    "call.answered": {"offered_leaf": LEAF},
    "call.closed": {
        "offered_leaf": LEAF, "decision": {"RECORDED", "NOT_RECORDED"}, "reason": str,
        "segments": [{"segment": int, "decision": {"RECORDED", "NOT_RECORDED"}}],
    },
    "notice.proven": {
        "attempt": int, "party": str, "grade": {"sent", "received", "acknowledged"}, "tap": str, "purposes": [str],
        "evidence_sha256": HEX, "offered_leaf": HEX, "answered_leaf": HEX,
    },
    "notice.refused": {"attempt": int, "party": str, "reasons": [str], "evidence_sha256": LEAF, "offered_leaf": LEAF},
    "choice.made": {"choice": str, "digit": str},
    "recording.started": {"proven_leaves": ANY, "purposes": [str]},
    "consent.given": {
        "consent": {"keypress", "oral"}, "evidence": {"PLAYED", "AGENT_READ"}, "prompt_id": str, "version": int,
        "language": str, "pcm_sha256": HEX, "script_leaf": HEX, "proven_leaf": HEX, "purposes": [str], "given_by": str,
        "given_utc": str, "taker": str, "heard_in": str, "offset_ms": (int,),
    },
    "recording.sealed": {
        "started_leaf": HEX, "manifest_sha256": HEX, "cipher_sha256": HEX, "flac_sha256": HEX, "pcm_sha256": HEX,
        "samples": int, "gaps": [{"from_sample": int, "to_sample": int}],
    },
    "recording.discarded": {"started_leaf": HEX, "reason": str},
    "recording.lost": {"started_leaf": HEX, "reason": str},
    "recording.paused": {"started_leaf": HEX},
    "recording.resumed": {"started_leaf": HEX},
    "recording.progress": {"started_leaf": HEX},
    "recording.stopped": {"started_leaf": HEX},
    "store.intent": {"sealed_leaf": HEX},
    "recording.kept": {"sealed_leaf": HEX},
    "prompt.approved": {
        "prompt_id": str, "version": int, "language": str, "pcm_sha256": HEX, "samples": int, "text_sha256": HEX,
        "purposes": [str], "by": str,
    },
    "prompt.retired": {"prompt_id": str, "version": int, "language": str},
}  # fmt: skip
MANIFEST = {
    "format": {"callrec/recording/1"}, "recording_id": str, "samples": int, "rate": int, "purposes": [str],
    "cipher_sha256": HEX, "flac_sha256": HEX, "pcm_sha256": HEX,
    "header": {"log_id": HEX, "call_uid": str, "segment": int, "proven_leaf": HEX, "started_leaf": HEX},
}  # fmt: skip
DIRECTION = {"sendrecv", "sendonly", "recvonly", "inactive"}
INTERRUPTION = {"held", "renegotiated", "hung up", "stalled", "stopped", "player failed", "skipped"}
METHOD = {"rfc4733", "info", "inband"}
RTCP_FAULT = {
    "not understood", "not SRTCP on a leg with SRTP", "reports on no stream of ours",
    "reports a packet that was not sent by then", "answers no report of ours", "beyond the number that is kept",
}  # fmt: skip
EVIDENCE = {
    "schema": {f"callrec/notice-evidence/{number}" for number in (1, 2, 3, 4)},
    "binding": {
        "call_uid": str, "segment": int, "attempt": int, "party": str, "leg": {"caller", "staff"}, "next_hop": str,
        "leg_ends_at": str, "offered_leaf": str, "answered_leaf": str, "boot_id": str,
    },
    "prompt": {
        "prompt_id": str, "version": int, "language": str, "language_source": str, "pcm_sha256": str, "samples": int,
        "approval_leaf": str, "approved": bool, "effective": bool, "names_keys": [str], "purposes": [str],
        "sample": bool,
    },
    "tap": {"kind": {"wire", "player"}, "pcm_sha256": str, "samples": int, "matched_samples": int, "at_sample": (int,)},
    "complete": bool, "interruption": (INTERRUPTION,), "answered": bool, "early_media": bool,
    "start_ns": NS, "end_ns": NS, "start_utc": str, "end_utc": str, "expected_packets": int, "renegotiations": int,
    "streams": [{
        "payload_type": int, "codec": str, "sent": int, "octets": int, "ssrc": (int,), "first_sequence": (int,),
        "last_sequence": (int,), "first_timestamp": (int,), "last_timestamp": (int,),
    }],
    "directions": [{"at_ms": int, "direction": DIRECTION}],
    "player": (
        {"checks": int, "listener_misses": int, "other_sources": int, "level_checks": int, "level_misses": int},
    ),
    "caller": {
        "sdp_address": str, "source_address": str, "rtp_packets": int, "rtcp_reports": int, "foreign_packets": (int,),
        "ssrc": (int,),
    },
    "key_capability": {"telephone_event": bool, "info": bool, "inband": bool},
    "keys": [{"digit": str, "method": METHOD, "leg": {"caller", "staff"}, "at_ms": SIGNED}],
    "rtcp": ANY, "required_language": str, "verifier": str,
}  # fmt: skip
WIRE = {
    "window_sha256": HEX, "srtp": bool, "overflow": int, "refused": int, "held_back": int, "deferred": int, "odd": int,
    "strayed": int, "peer_changes": int, "leg_gone": bool, "missing": int, "repeated": int, "timestamp_faults": int,
    "notice_first_sequence": (int,), "notice_last_sequence": (int,), "notice_span_ns": (NS,),
}  # fmt: skip
REPORT = {"at_ms": int, "source": str, "highest_sequence": int, "lost": SIGNED}
EVIDENCE_2 = {
    **EVIDENCE,
    "wire": (WIRE,),
    "rtcp": ({
        "authenticated": bool, "accepted": int, "rejected": [{"why": RTCP_FAULT, "packets": int}], "raw_sha256": HEX,
        "newest": (REPORT,),
    },),
}  # fmt: skip
EVIDENCE_3 = {
    **EVIDENCE_2,
    "prompt": {**EVIDENCE["prompt"], "essential_ms": int, "acknowledges": str},  # type: ignore[dict-item]
    "required_grade": {"sent", "received", "acknowledged"},
    "verifier": {"callrec/exact/2"},
}
EVIDENCE_4 = {
    **EVIDENCE_3,
    "prompt": {
        **EVIDENCE_3["prompt"], "essential_purposes": [str], "skips": str,  # type: ignore[dict-item]
        "languages": [{"key": str, "language": str}],
    },
    "wire": ({**WIRE, "sdp_rtp": str, "sdp_rtcp": str, "sdp_keys": bool},),
    "verifier": {"callrec/exact/3"},
}  # fmt: skip
EVIDENCE_OF = {
    "callrec/notice-evidence/1": EVIDENCE, "callrec/notice-evidence/2": EVIDENCE_2,
    "callrec/notice-evidence/3": EVIDENCE_3, "callrec/notice-evidence/4": EVIDENCE_4,
}  # fmt: skip
BEFORE_SDP = ("callrec/notice-evidence/1", "callrec/notice-evidence/2", "callrec/notice-evidence/3")
"""Schemas from before session descriptions were kept, a caller could skip, and choose a language by a key."""
WINDOW = {
    "schema": {"callrec/wire-window/1", "callrec/wire-window/2"}, "began_ns": NS, "peers": [str], "gaps_us": str,
    "deferred": int, "odd": int, "rtcp_unkept": int,
    "counts": {
        "rtp_sent": int, "rtp_refused": int, "rtp_held_back": int, "rtcp_sent": int, "rtp_received": int,
        "rtcp_received": int, "rtp_foreign": int, "rtcp_foreign": int, "peer_addresses": int, "leg_gone": int,
        "overflow": int, "first_foreign": str, "peer_ssrc": (int,),
    },
    "runs": [{
        "to": str, "srtp": bool, "marker": bool, "payload_type": int, "ssrc": int, "first_sequence": int,
        "first_timestamp": int, "payload_bytes": int, "packets": int,
    }],
    "reports_sent": [{"at_us": SIGNED, "ssrc": int, "middle_ntp": int}],
    "rtcp_heard": [{
        "at_us": SIGNED, "source": str, "srtp": bool, "sha256": str, "understood": bool,
        "blocks": [{"ssrc": int, "lost": SIGNED, "highest_sequence": int, "last_report": int}],
    }],
}  # fmt: skip
SIGNALLING = {
    "signalling": [{"at_us": SIGNED, "received": bool, "start_line": str, "sdp": [str], "commitment": HEX}],
}  # fmt: skip
"""Of windows from the second schema on."""
KEPT = re.compile(
    r"v=0|t=\d+ \d+|c=IN IP[46] [0-9A-Fa-f.:]+|m=[a-z]+ \d{1,5} [A-Z/]+( [\w.-]+){1,24}|a=rtcp-mux"
    r"|a=(sendrecv|sendonly|recvonly|inactive)|a=(max)?ptime:\d+|a=rtpmap:\d{1,3} [\w./-]{1,40}"
    r"|a=fmtp:\d{1,3} [0-9,-]{1,40}|a=rtcp:\d{1,5}( IN IP[46] [0-9A-Fa-f.:]+)?",
    re.ASCII,
)
"""Lines of a session description that are kept."""
JUDGED = {
    "schema": {"callrec/notice-verdict/1"}, "evidence": dict, "verdict": {"granted", "refused"}, "grade": (str,),
    "purposes": [str], "reasons": [str], "floors": dict,
}  # fmt: skip
FLOORS: Mapping[str, float] = {
    "sent": SENT_FLOOR, "level_miss": LEVEL_MISS_CEILING, "holes_ms": HOLES_CEILING_NS // 10**6,
    "hurry_ms": HURRY_CEILING_NS // 10**6, "rtcp_loss": LOSS_CEILING, "borderline": BORDERLINE,
}  # fmt: skip
SINCE_2 = ("hurry_ms", "rtcp_loss")
"""Floors that the first schema of evidence did not have."""

# ---------------------------------------------------------------- judging evidence again


def judge(e: Mapping[str, Any]) -> list[str]:
    """Why this evidence is not enough, each reason once, in the order of the rules; empty where it is."""
    return list(dict.fromkeys(reason for reason, holds in RULES if not holds(e)))


def _bound(e: Mapping[str, Any]) -> bool:
    names = ("call_uid", "party", "next_hop", "leg_ends_at", "offered_leaf", "answered_leaf", "boot_id")
    return all(e["binding"][name] for name in names)


def _undisturbed(e: Mapping[str, Any]) -> bool:
    way = e["directions"]
    out = bool(way) and all(each["direction"] in ("sendrecv", "sendonly") for each in way)
    to_its_end = (e["complete"] and e["interruption"] is None) or skipped(e)
    return bool(to_its_end and e["renegotiations"] == 0 and out)


def skipped(e: Mapping[str, Any]) -> bool:
    """The caller ended it before its last word, by the key that the notice names for it."""
    key = e["prompt"].get("skips")
    own = any(each["leg"] == "caller" and each["digit"] == key for each in e["keys"])
    return bool(e["interruption"] == "skipped" and not e["complete"] and key and own)


def named_purposes(e: Mapping[str, Any]) -> set[str]:
    """What the caller was told it is recorded for: without the tail where that was skipped."""
    return set(e["prompt"]["essential_purposes" if skipped(e) else "purposes"])


def _played(e: Mapping[str, Any]) -> int:
    """How many samples of the prompt are to be looked for."""
    return int(e["tap"]["matched_samples"] if e["interruption"] == "skipped" else e["prompt"]["samples"])


def _essential(e: Mapping[str, Any]) -> int:
    """How many samples of it must have left at the least."""
    samples, least = int(e["prompt"]["samples"]), int(e["prompt"].get("essential_ms", 0)) * RATE // 1000
    return min(samples, least) if e["interruption"] == "skipped" and least else samples


def _language(e: Mapping[str, Any]) -> bool:
    """The one that was chosen, and the caller chose no other by a key while it played."""
    own = [key["digit"] for key in e["keys"] if key["leg"] == "caller"]
    spoken = e["prompt"]["language"]
    others = [each for each in e["prompt"].get("languages", ()) if each["key"] in own and each["language"] != spoken]
    return bool(spoken == e["required_language"] and not others)


def _steady(e: Mapping[str, Any]) -> bool:
    start, end = int(e["start_ns"]), int(e["end_ns"])
    if e["prompt"]["samples"] <= 0 or start <= 0:
        return True
    return bool(end - start - _played(e) * 10**9 // RATE < HOLES_CEILING_NS * (1 - BORDERLINE))


def _whole_notice(e: Mapping[str, Any]) -> bool:
    if e["tap"]["kind"] == "wire" and not e.get("wire"):
        return True  # nothing shows that it was altered, nor that it was sent: refused below
    samples, matched = e["prompt"]["samples"], e["tap"]["matched_samples"]
    return bool(samples > 0 and _essential(e) <= matched <= samples and e["tap"]["at_sample"] is not None)


def _fed(e: Mapping[str, Any]) -> bool:
    w, p = e.get("wire"), e["player"]
    if e["tap"]["kind"] == "wire":
        if w is None:
            return False
        faults = ("overflow", "refused", "held_back", "deferred", "odd", "strayed", "peer_changes", "missing",
                  "repeated", "timestamp_faults", "leg_gone")  # fmt: skip
        return not any(w[each] for each in faults) and all(s["ssrc"] is not None for s in e["streams"])
    if w is not None or p is None:
        return False
    watched = p["checks"] > 0 and p["level_checks"] > 0 and p["listener_misses"] == 0 and p["other_sources"] == 0
    return bool(watched and p["level_misses"] / p["level_checks"] < LEVEL_MISS_CEILING - BORDERLINE)


def _unhurried(e: Mapping[str, Any]) -> bool:
    w = e.get("wire")
    if not w or w["notice_span_ns"] is None:
        return True
    short = _played(e) * 10**9 // RATE - int(w["notice_span_ns"])
    return bool(short < HURRY_CEILING_NS * (1 - BORDERLINE))


def _sent(e: Mapping[str, Any]) -> bool:
    if e["expected_packets"] <= 0 or len(e["streams"]) != 1:
        return False
    return bool(e["streams"][0]["sent"] / e["expected_packets"] >= SENT_FLOOR + BORDERLINE)


def _own_media(e: Mapping[str, Any]) -> bool:
    caller = e["caller"]
    if e.get("wire") and caller["foreign_packets"] is None:
        return False
    own = not caller["foreign_packets"] and caller["source_address"] in ("", caller["sdp_address"])
    return own and _as_described(e)


def _as_described(e: Mapping[str, Any]) -> bool:
    """The peer's own session description names these addresses for media and RTCP."""
    w = e.get("wire")
    if not w or e["schema"] in BEFORE_SDP:
        return True
    report = (e["rtcp"] or {}).get("newest")
    reported = report is None or report["source"] in ("", w["sdp_rtcp"])
    return bool(w["sdp_rtp"] and w["sdp_rtp"] == e["caller"]["sdp_address"] and reported)


def _choice(e: Mapping[str, Any]) -> bool:
    ways, w = e["key_capability"], e.get("wire")
    described = not w or e["schema"] in BEFORE_SDP or w["sdp_keys"]
    by_event = ways["telephone_event"] and described
    return bool(not e["prompt"]["names_keys"] or by_event or ways["info"] or ways["inband"])


GRADES = ("sent", "received", "acknowledged")


def lost(e: Mapping[str, Any]) -> float | None:
    """Share of the packets of the notice that a report, from the address in the SDP, calls lost (RFC 3550 section 6.4);
    None where none speaks of the whole notice.
    """
    wire, report = e.get("wire"), (e.get("rtcp") or {}).get("newest") if e.get("wire") else None
    if not wire or not report or not report["source"] or len(e["streams"]) != 1:
        return None
    first, last, highest = e["streams"][0]["first_sequence"], wire["notice_last_sequence"], report["highest_sequence"]
    if first is None or last is None or (highest - last) & 0xFFFF >= 1 << 15:
        return None
    return float(report["lost"] / (((highest - first) & 0xFFFF) + 1))


def _uncontradicted(e: Mapping[str, Any]) -> bool:
    share = lost(e)
    earlier = e["schema"] in ("callrec/notice-evidence/1", "callrec/notice-evidence/2")
    return earlier or share is None or share < LOSS_CEILING - BORDERLINE


def _acknowledged(e: Mapping[str, Any]) -> bool:
    """The caller pressed the key that the notice names for it, after it did. A tone in the audio is no sure key."""
    digit = e["prompt"].get("acknowledges")
    own = [key for key in e["keys"] if key["leg"] == "caller" and key["method"] != "inband"]
    return bool(digit) and any(key["digit"] == digit and key["at_ms"] >= e["prompt"]["essential_ms"] for key in own)


def _acknowledging(prompt: Mapping[str, Any], approval: Mapping[str, Any]) -> None:
    """The keys that acknowledge, skip and choose a language, and from when they count, are those that were approved."""
    key, keys = prompt.get("acknowledges"), approval.get("keys")
    if key and not (isinstance(keys, dict) and keys.get(key) == ("agree" if approval.get("asks") else "acknowledge")):
        raise Wrong(28, f"key {shown(key)} was not approved as one that acknowledges")
    skip, named = prompt.get("skips"), prompt.get("essential_purposes", [])
    if skip and not (isinstance(keys, dict) and keys.get(skip) == "shorten"):
        raise Wrong(28, f"key {shown(skip)} was not approved as one that skips the rest")
    if skip and named != approval.get("essential_purposes"):
        raise Wrong(28, "the part that no caller can skip was approved as naming other purposes")
    if (key or skip) and approval.get("essential_ms") != prompt["essential_ms"]:
        raise Wrong(28, "the notice was approved with another part that must be heard before its keys count")
    for each in prompt.get("languages", ()):
        if not (isinstance(keys, dict) and keys.get(each["key"]) == f"language:{each['language']}"):
            raise Wrong(28, f"key {shown(each['key'])} was not approved as one that chooses {shown(each['language'])}")


RULES: list[tuple[str, Callable[[Mapping[str, Any]], bool]]] = [
    ("NOTICE_UNAPPROVED", lambda e: all(e["prompt"][name] for name in ("approved", "effective", "approval_leaf"))),
    ("WRONG_LANGUAGE", _language),
    ("WRONG_LEG", lambda e: e["binding"]["leg"] == "caller"),
    ("PARTY_WITHOUT_NOTICE", _bound),
    ("EARLY_MEDIA_ONLY", lambda e: e["answered"] and not e["early_media"]),
    ("NOTICE_INTERRUPTED", _undisturbed),
    ("NOTICE_INTERRUPTED", _steady),
    ("NOTICE_ALTERED", _whole_notice),
    ("NOTICE_NOT_SENT", _fed),
    ("NOTICE_NOT_SENT", _unhurried),
    ("NOTICE_NOT_SENT", _sent),
    ("UNHEARD_SUSPECT", lambda e: e["caller"]["rtp_packets"] > 0 or e["caller"]["rtcp_reports"] > 0),
    ("MEDIA_FOREIGN", _own_media),
    ("CHOICE_UNAVAILABLE", _choice),
    ("PROOF_CONTRADICTED", _uncontradicted),
    ("NOTICE_UNDECIDED", lambda e: 0 < int(e["start_ns"]) < int(e["end_ns"])),
    ("GRADE_TOO_LOW", lambda e: GRADES.index(grade_of(e)) >= GRADES.index(e.get("required_grade", "sent"))),
]


def grade_of(e: Mapping[str, Any]) -> str:
    """How far evidence that was found enough reaches: `acknowledged` where the caller pressed the key for it,
    `received` where a report says that the notice's last packet arrived and that few were lost until then.
    """
    if _acknowledged(e):
        return "acknowledged"
    share = lost(e)
    return "received" if share is not None and share < LOSS_CEILING - BORDERLINE else "sent"


# ---------------------------------------------------------------- what was tapped of the wire, weighed again

ENDS = (0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF, 0x3FFF, 0x7FFF)
"""Where the segments of G.711 end (ITU-T G.711, tables 1a and 2a, on a scale of 16 bits)."""
MOST_PACKETS = 50_000


def meant(octet: int, payload_type: int) -> int:
    """The sample of one octet of A-law (8) or mu-law (0)."""
    if payload_type == 8:
        code = octet ^ 0x55
        exponent, mantissa = (code >> 4) & 7, code & 15
        size = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
        return size if code & 0x80 else -size
    code = ~octet & 0xFF
    size = ((((code & 15) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return -size if code & 0x80 else size


def octet_of(sample: int, payload_type: int) -> int:
    """What the engine makes of a sample: it takes the upper 14 bits."""
    sample = sample >> 2 << 2
    size = abs(sample) + (0x84 if payload_type == 0 else 0)
    segment = min(bisect.bisect_left(ENDS, size), 7)
    shift = segment + 3 if payload_type == 0 or segment > 1 else 4
    code = 0x7F if size > ENDS[-1] else segment << 4 | size >> shift & 15
    if payload_type == 0:
        return code ^ (0x7F if sample < 0 else 0xFF)
    return code ^ (0xD5 if sample >= 0 else 0x55)


def decoded(octets: bytes, payload_type: int) -> bytes:
    """Samples of these octets, little-endian."""
    table = [meant(octet, payload_type).to_bytes(2, "little", signed=True) for octet in range(256)]
    return b"".join([table[octet] for octet in octets])


def coded(pcm: bytes, payload_type: int) -> bytes:
    """Octets of these samples, as they leave."""
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm[: len(pcm) // 2 * 2])
    table = {sample: octet_of(sample, payload_type) for sample in set(samples)}
    return bytes([table[sample] for sample in samples])


class Window:
    """One kept window: a line of JSON, then the payloads of every RTP packet that left, in order."""

    def __init__(self, kept: bytes, where: str) -> None:
        head, _, self.payloads = kept.partition(b"\n")
        self.says = strict(head, where, 29)
        fit(self.says, WINDOW, where, 29)
        if self.says["schema"] != "callrec/wire-window/1":
            fit(self.says, SIGNALLING, where, 29)
        if not all(KEPT.fullmatch(line) for each in self.says.get("signalling", []) for line in each["sdp"]):
            raise Wrong(29, f"{where} holds lines of a session description that are never kept")
        self.runs = self.says["runs"]
        packets = sum(run["packets"] for run in self.runs)
        octets = sum(run["packets"] * run["payload_bytes"] for run in self.runs)
        gaps = self.says["gaps_us"].split(" ") if self.says["gaps_us"] else []
        if packets > MOST_PACKETS or octets != len(self.payloads) or packets != len(gaps):
            raise Wrong(29, f"{where} does not hold what it says")
        if not all(re.fullmatch(r"[0-9]{1,12}", gap) for gap in gaps) or any(
            not run["packets"] * run["payload_bytes"] for run in self.runs
        ):
            raise Wrong(29, f"{where} holds times that are none")
        self.times = list(itertools.accumulate(int(gap) for gap in gaps))
        self.numbers = [(run["first_sequence"] + n) & 0xFFFF for run in self.runs for n in range(run["packets"])]
        self.ends = list(itertools.accumulate(run["payload_bytes"] for run in self.runs for _ in range(run["packets"])))

    def streams(self) -> list[dict[str, Any]]:
        """Our RTP by SSRC, payload type and destination."""
        keys = list(dict.fromkeys((run["ssrc"], run["payload_type"], run["to"]) for run in self.runs))
        return [
            self._stream([run for run in self.runs if (run["ssrc"], run["payload_type"], run["to"]) == key])
            for key in keys
        ]

    def _stream(self, runs: list[dict[str, Any]]) -> dict[str, Any]:
        first, last = runs[0], runs[-1]
        before_last = last["packets"] - 1
        return {
            "payload_type": first["payload_type"], "ssrc": first["ssrc"],
            "sent": sum(run["packets"] for run in runs),
            "octets": sum(run["packets"] * run["payload_bytes"] for run in runs),
            "first_sequence": first["first_sequence"], "first_timestamp": first["first_timestamp"],
            "last_sequence": (last["first_sequence"] + before_last) & 0xFFFF,
            "last_timestamp": (last["first_timestamp"] + before_last * last["payload_bytes"]) & 0xFFFFFFFF,
        }  # fmt: skip

    def facts(self, at: int, samples: int) -> dict[str, Any]:
        """Whether every packet left, once, in order, for one address; and the packets that the notice lies in."""
        runs, counts, peers = self.runs, self.says["counts"], self.says["peers"]
        pairs = list(itertools.pairwise(runs))
        steps = [(then["first_sequence"] - one["first_sequence"] - one["packets"]) & 0xFFFF for one, then in pairs]
        leaps = [
            then["first_timestamp"] != (one["first_timestamp"] + one["packets"] * one["payload_bytes"]) & 0xFFFFFFFF
            for one, then in pairs
        ]
        under_srtp = sum(run["packets"] for run in runs if run["srtp"])
        first, last = (bisect.bisect_right(self.ends, place) for place in (at, at + samples - 1))
        return {
            "overflow": counts["overflow"], "refused": counts["rtp_refused"], "held_back": counts["rtp_held_back"],
            "deferred": self.says["deferred"], "srtp": under_srtp > 0,
            "odd": self.says["odd"] + min(under_srtp, len(self.numbers) - under_srtp),
            "strayed": sum(run["packets"] for run in runs if not peers or run["to"] != peers[0]),
            "peer_changes": max(counts["peer_addresses"], len(peers) - 1), "leg_gone": counts["leg_gone"] > 0,
            "missing": sum(step for step in steps if 0 < step < 1 << 15),
            "repeated": sum(step >= 1 << 15 for step in steps), "timestamp_faults": sum(leaps),
            "notice_first_sequence": self.numbers[first], "notice_last_sequence": self.numbers[last],
            "notice_span_ns": str((self.times[last] - self.times[first]) * 1000),
        }  # fmt: skip

    def described(self) -> dict[str, Any]:
        """Where the peer's newest session description wants media and RTCP (RFC 4566, 3605, 5761), and whether both
        sides' take keys as telephone-event (RFC 4733).
        """
        said = self.says.get("signalling", [])
        theirs, ours = (
            streams_of(next((each["sdp"] for each in reversed(said) if each["received"] is got and each["sdp"]), []))
            for got in (True, False)
        )
        pairs = zip(theirs, ours, strict=False)
        both = (pair for pair in pairs if all(re.match(r"m=audio 0*[1-9]", each[0]) for each in pair))
        stream, answer = next(both, ([], []))
        if not stream:
            return {"sdp_rtp": "", "sdp_rtcp": "", "sdp_keys": False}
        host = next((line.split(" ")[2] for line in stream if line.startswith("c=")), "")
        port = int(stream[0].split(" ")[1])
        said_rtcp = next((line[7:].split(" ") for line in stream if line.startswith("a=rtcp:")), [str(port + 1)])
        rtcp = place(said_rtcp[3] if len(said_rtcp) > 1 else host, int(said_rtcp[0]))
        muxed = all("a=rtcp-mux" in each for each in (stream, answer))
        return {
            "sdp_rtp": place(host, port), "sdp_rtcp": place(host, port) if muxed else rtcp,
            "sdp_keys": takes_keys(stream) and takes_keys(answer),
        }  # fmt: skip

    def reports(self) -> list[dict[str, Any]]:
        """The RTCP reports that count: about our stream, on a packet sent by then, in answer to a report of ours."""
        ours = {run["ssrc"] for run in self.runs}
        srtp = any(run["srtp"] for run in self.runs)
        found = []
        for heard in self.says["rtcp_heard"]:
            block = next((each for each in heard["blocks"] if each["ssrc"] in ours), None)
            if not heard["understood"] or (srtp and not heard["srtp"]) or block is None or len(ours) != 1:
                continue
            by_then = self.numbers[: bisect.bisect_right(self.times, heard["at_us"])]
            sent = [one for one in self.says["reports_sent"] if one["ssrc"] in ours and one["at_us"] <= heard["at_us"]]
            highest = block["highest_sequence"] & 0xFFFF
            if highest in by_then and block["last_report"] in [one["middle_ntp"] for one in sent]:
                found.append({"at_ms": heard["at_us"] // 1000, "source": heard["source"], "highest_sequence": highest,
                              "lost": block["lost"]})  # fmt: skip
        return found


def streams_of(sdp: list[str]) -> list[list[str]]:
    """The lines of each stream: its m= line, its own, then the address of the whole description."""
    starts = [number for number, line in enumerate(sdp) if line.startswith("m=")] + [len(sdp)]
    common = [line for line in sdp[: starts[0]] if line.startswith("c=")]
    return [sdp[start:end] + common for start, end in itertools.pairwise(starts)]


def place(host: str, port: int) -> str:
    """`192.0.2.5:4000` or `[2001:db8::5]:4000`; empty where the host is no address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def takes_keys(stream: list[str]) -> bool:
    """It lists a payload type that is telephone-event."""
    listed = stream[0].split(" ")[3:]
    events = (line[len("a=rtpmap:") :].split(" ") for line in stream if line.startswith("a=rtpmap:"))
    return any(number in listed and name.lower().startswith("telephone-event/") for number, name in events)


def weigh(window: Window, evidence: Mapping[str, Any], prompt: bytes) -> bytes:
    """The samples that left, if this window bears the evidence out in every figure that the verdict rests on."""
    tap, streams = evidence["tap"], window.streams()
    if len(streams) != 1 or streams[0]["payload_type"] not in (0, 8) or tap["at_sample"] is None:
        raise Wrong(29, "what was tapped is not one stream of G.711 with the notice in it")
    law, at = streams[0]["payload_type"], tap["at_sample"]
    sent, notice = decoded(window.payloads, law), decoded(coded(prompt, law), law)
    notice = notice[: 2 * tap["matched_samples"]] if skipped(evidence) else notice
    before, after = sent[: 2 * at], sent[2 * at + len(notice) :]
    silence = decoded(coded(bytes(2), law), law)
    if not notice or sent[2 * at : 2 * at + len(notice)] != notice:
        raise Wrong(29, "the packets that left do not hold the whole notice where the evidence says")
    if before + after != silence * (len(before + after) // 2):
        raise Wrong(29, "the packets that left hold something besides the notice")
    _compare(evidence, window, streams[0], at, len(notice) // 2)
    return sent


def _compare(evidence: Mapping[str, Any], window: Window, stream: Mapping[str, Any], at: int, samples: int) -> None:
    """Everything else that the evidence says of this window."""
    shown: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
        (evidence["streams"][0] if len(evidence["streams"]) == 1 else {}, stream),
        (evidence["wire"], window.facts(at, samples)),
        (
            evidence["caller"],
            {"foreign_packets": sum(window.says["counts"][n] for n in ("rtp_foreign", "rtcp_foreign"))},
        ),
    ]
    if evidence["schema"] not in BEFORE_SDP:
        shown.append((evidence["wire"], window.described()))
    for said, seen in shown:
        for name, value in seen.items():
            if name not in said or said[name] != value:
                raise Wrong(29, f"the evidence says of what was tapped what that does not show: {name}")
    reports, rtcp = window.reports(), evidence["rtcp"]
    newest = reports[-1] if reports else None
    if (rtcp or {"newest": None, "accepted": 0})["newest"] != newest or (rtcp or {"accepted": 0})["accepted"] != len(
        reports
    ):
        raise Wrong(29, "the evidence counts other reports from the next hop than those that count")


# ---------------------------------------------------------------- keys, checkpoints, tree, WAV


@dataclass(frozen=True)
class Key:
    """The ledger's public key under its name."""

    name: str
    raw: bytes

    @property
    def log_id(self) -> str:
        """SHA-256 of the key: the log's name in every entry."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def key_id(self) -> bytes:
        """How a signed note names it."""
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.raw).digest()[:4]


def read_key(text: str) -> Key:
    """The one verifier key (name+id+base64) in this text. ValueError where there is none, or more than one."""
    found = {key for word in text.split() if (key := _key(word)) is not None}
    if len(found) != 1:
        raise ValueError(f"{len(found)} public keys of a ledger were found there")
    return found.pop()


def _key(word: str) -> Key | None:
    name, _, rest = word.partition("+")
    key_id, _, encoded = rest.partition("+")
    data = _base64(encoded)
    if not name or len(data) != 33 or data[0] != 1:
        return None
    key = Key(name, data[1:])
    return key if key.key_id.hex() == key_id else None


def _base64(text: str) -> bytes:
    """Its bytes; nothing where it is not base64 in its one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def read_checkpoint(note: bytes, key: Key, check: int = 22) -> tuple[int, bytes]:
    """(size, root) of a checkpoint that this key signed."""
    text, gap, signatures = note[:70_000].partition(b"\n\n")
    lines = text.split(b"\n")
    if not gap or len(lines) != 3 or not re.fullmatch(rb"0|[1-9][0-9]{0,15}", lines[1]):
        raise Wrong(check, "this is no checkpoint")
    if lines[0] != key.name.encode():
        raise Wrong(check, f"the checkpoint is of {shown(lines[0].decode('utf-8', 'replace'))}, not of {key.name}")
    root = _base64(lines[2].decode("ascii", "replace"))
    if len(root) != 32 or not _signed(text + b"\n", signatures, key):
        raise Wrong(check, "the checkpoint is not signed by the key that you brought")
    return int(lines[1]), root


def _signed(text: bytes, signatures: bytes, key: Key) -> bool:
    for line in signatures.decode("utf-8", "replace").split("\n"):
        start = f"\u2014 {key.name} "
        data = _base64(line[len(start) :]) if line.startswith(start) else b""
        if len(data) == 68 and data[:4] == key.key_id:
            try:
                Ed25519PublicKey.from_public_bytes(key.raw).verify(data[4:], text)
            except InvalidSignature:
                return False
            return True
    return False


def leads_to(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """True where this audit path leads from the leaf at `index` to the root of a tree of `size` (RFC 9162, 2.1.3.2)."""
    node, last, result = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            result = hashlib.sha256(b"\1" + sibling + result).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = hashlib.sha256(b"\1" + result + sibling).digest()
        node, last = node >> 1, last >> 1
    return 0 <= index < size and last == 0 and result == root


def pcm_of(data: bytes, where: str, check: int) -> bytes:
    """The samples of a WAV file that holds 8 kHz mono 16-bit PCM and not one byte besides."""
    pcm = data[44:]
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(pcm),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        RATE,
        2 * RATE,
        2,
        16,
        b"data",
        len(pcm),
    )
    if data[:44] != head:
        raise Wrong(check, f"{where} is no WAV of 8 kHz, mono, 16 bit, and nothing else")
    return pcm


# ---------------------------------------------------------------- what was found


@dataclass
class Examination:
    """What one pack was found to be. `told` are the sentences of the verdict, `open` what was not finished."""

    call_uid: str = ""
    log: str = ""
    size: int = 0
    root: str = ""
    held: str = "you named none: compare checkpoint.txt with one that you were sent"
    found: list[Wrong] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, 1, 20 or 30."""
        return max([wrong.code for wrong in self.found] + [UNFINISHED if self.open else 0])

    def outcome(self, check: int) -> str:
        """One check in one or two words."""
        codes = [wrong.code for wrong in self.found if wrong.check == check]
        if codes:
            return "CONTRADICTED" if max(codes) == CONTRADICTED else "no answer"
        return "not in pack" if check in self.skipped else "holds"

    def result(self) -> str:
        """The whole in one sentence."""
        return {
            0: "every check that this pack allows holds",
            UNFINISHED: "every check holds, but the call was not finished when the pack was made",
            UNANSWERED: "something needed is missing or cannot be read: nothing is verified",
            CONTRADICTED: "THE PACK CONTRADICTS ITSELF: rely on nothing in it",
        }[self.exit_code]

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"call:         {self.call_uid or 'unknown'}"
        yield f"log:          {self.log or 'unknown'}, {self.size} entries, root {self.root or 'unknown'}"
        yield f"checkpoint:   {self.held}"
        yield ""
        yield from (f"{self.outcome(number):>12}  {number}. {what}" for number, what in CHECKS.items())
        yield ""
        yield from (f"check {wrong.check}: {wrong.sentence}" for wrong in self.found)
        yield from (f"open: {sentence}" for sentence in self.open)
        if self.exit_code <= UNFINISHED:
            yield from (*self.told, *self.remarks)
        yield f"result:       {self.result()}"
        yield ""
        yield "Not shown: " + "; ".join(LIMITS) + "."

    def value(self) -> dict[str, Any]:
        """For programs."""
        return {
            "call_uid": self.call_uid, "log": self.log, "size": self.size, "root": self.root, "held": self.held,
            "checks": {str(number): self.outcome(number) for number in CHECKS},
            "found": [{"check": w.check, "what": w.sentence, "code": w.code} for w in self.found],
            "open": self.open, "told": self.told if self.exit_code <= UNFINISHED else [], "remarks": self.remarks,
            "result": self.result(), "exit_code": self.exit_code, "limits": list(LIMITS),
        }  # fmt: skip


# ---------------------------------------------------------------- the checks


@dataclass
class Entry:
    """One entry of the ledger: its leaf, computed from its bytes, and what it says."""

    leaf: str
    says: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.says[name]

    @property
    def ns(self) -> int:
        """Nanoseconds since boot."""
        return int(self.says["boottime_ns"])


def examine(file: BinaryIO, key: Key, held: Mapping[str, bytes] | None = None) -> Examination:
    """Make every check. `held`: checkpoints that the auditor was sent, by name. Never raises for what a pack holds."""
    found = Examination()
    try:
        _Pack(file, key, held or {}, found).check()
    except Wrong as wrong:
        found.found.append(wrong)
    return found


class _Pack:
    """Checks in order. One that needs what an earlier one refused is not made, and the pack is refused anyway."""

    def __init__(self, file: BinaryIO, key: Key, held: Mapping[str, bytes], found: Examination) -> None:
        self.key, self.held, self.to = key, held, found
        self.files, self.digests = read_zip(file)
        self.entries: list[Entry] = []
        self.by_leaf: dict[str, Entry] = {}
        self.evidence: dict[str, dict[str, Any]] = {}
        self.verdicts: dict[str, dict[str, Any]] = {}
        self.proven: dict[str, str] = {}
        self.notices: dict[str, bytes] = {}

    def check(self) -> None:
        self._list()
        self._checkpoint()
        self._tree()
        self._entries()
        for check in (
            self._links, self._evidence, self._judge, self._notice, self._as_sent, self._purposes, self._starts,
            self._manifests, self._audio, self._closing, self._segments, self._consents,
        ):  # fmt: skip
            try:
                check()
            except Wrong as wrong:
                self.to.found.append(wrong)
        self._tell()

    def of(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]

    def named(self, leaf: Any, kind: str) -> Entry | None:
        """The entry of this call and kind with this leaf, if it is in the pack."""
        entry = self.by_leaf.get(leaf) if isinstance(leaf, str) else None
        return entry if entry is not None and entry.kind == kind else None

    # 21
    def _list(self) -> None:
        pack = strict(self.files["pack.json"], "pack.json")
        fit(pack, PACK, "pack", 21)
        if extra := set(pack) - set(PACK):
            raise Wrong(21, f"pack.json has an unknown field {shown(min(extra))}")
        expected = {name: digest for name, digest in self.digests.items() if name != "pack.json"}
        for name in sorted(set(expected) | set(pack["files"])):
            if name not in expected:
                raise Wrong(21, f"{shown(name)} is listed and missing", UNANSWERED)
            if pack["files"].get(name) != expected[name]:
                raise Wrong(21, f"{name} is not the file that pack.json lists")
        self.pack, self.uid = pack, pack["call_uid"]
        self.to.call_uid = self.uid

    # 22
    def _checkpoint(self) -> None:
        size, root = read_checkpoint(self.files["checkpoint.txt"], self.key)
        said = (self.pack["log"], self.pack["size"], self.pack["root"])
        if said != (self.key.name, size, root.hex()):
            raise Wrong(22, "pack.json speaks of another checkpoint than the one in the pack")
        self.size, self.root = size, root
        self.to.log, self.to.size, self.to.root = self.key.name, size, root.hex()
        if self.held:
            self.to.held = "none that you hold is of this size: ask for a pack made with --checkpoint and yours"
        for name, note in self.held.items():
            other, its_root = read_checkpoint(note, self.key)
            if other == size and its_root != root:
                raise Wrong(22, f"{shown(name)}, which you hold, has another root at this size: the log was forked")
            if other == size:
                self.to.held = f"the same as {shown(name)}, which you hold"

    # 23
    def _tree(self) -> None:
        proofs = strict(self.files["proofs.json"], "proofs.json", 23)
        fit(proofs, {"size": int, "paths": dict}, "proofs", 23)
        if set(proofs) != {"size", "paths"}:
            raise Wrong(23, "proofs.json has an unknown field")
        lines = self.files["entries.jsonl"].split(b"\n")
        if lines.pop() or proofs["size"] != self.size or len(lines) != len(proofs["paths"]):
            raise Wrong(23, "there is not one audit path for each entry, at the checkpoint's size")
        for number, line in enumerate(lines):
            says = strict(line, f"line {number + 1} of entries.jsonl", 23)
            fit(says, ENTRY, f"entry {number + 1}", 23)
            path = proofs["paths"].get(str(says["seq"]))
            fit(path, [HEX], f"the path of entry {says['seq']}", 23)
            leaf = hashlib.sha256(b"\0" + line).digest()
            if not leads_to(leaf, says["seq"], self.size, [bytes.fromhex(each) for each in path], self.root):
                raise Wrong(23, f"entry {says['seq']} does not stand so in the log")
            self.entries.append(Entry(leaf.hex(), says))

    # 24
    def _entries(self) -> None:
        before = -1
        for entry in self.entries:
            own = entry.kind in ("prompt.approved", "prompt.retired", "agent.started") and not entry.call_uid
            if entry.v != 1 or entry.log_id != self.key.log_id or (entry.call_uid != self.uid and not own):
                raise Wrong(24, f"entry {entry.seq} is of another log, version or call")
            if entry.seq <= before:
                raise Wrong(24, f"entry {entry.seq} stands twice or out of order")
            before = entry.seq
            fit(entry.body, BODIES.get(entry.kind, {}), f"entry {entry.seq}", 24)
            self.by_leaf[entry.leaf] = entry
        if len(self.of("call.offered")) != 1 or len(self.of("call.closed")) > 1:
            raise Wrong(24, "the call was not offered once, or was closed twice")

    # 25
    def _links(self) -> None:
        for entry in self.entries:
            for name, kind, may_lack in LINKS.get(entry.kind, ()):
                if entry.body[name] or not may_lack:
                    self._link(entry, entry.body[name], kind, 25)

    def _link(self, entry: Entry, leaf: Any, kind: str, check: int) -> Entry:
        earlier = self.named(leaf, kind)
        if earlier is None or earlier.seq >= entry.seq:
            raise Wrong(check, f"{entry.kind} (entry {entry.seq}) names no earlier {kind} of its call")
        if earlier.boot_id == entry.boot_id and earlier.ns > entry.ns:
            raise Wrong(25, f"{entry.kind} (entry {entry.seq}) says it happened before its {kind}")
        if kind in ("recording.started", "recording.sealed") and earlier.segment != entry.segment:
            raise Wrong(25, f"{entry.kind} (entry {entry.seq}) names a {kind} of another segment")
        return earlier

    # 26
    def _evidence(self) -> None:
        for entry in self.of("notice.proven", "notice.refused"):
            if not entry.body["evidence_sha256"]:
                continue
            name = f"evidence/{self.uid}-{entry.body['attempt']}.json"
            if name not in self.files:
                raise Wrong(26, f"{name} is missing", UNANSWERED)
            judged = strict(self.files[name], name, 26)
            fit(judged, JUDGED, "file", 26)
            if set(judged) != set(JUDGED) or _bytes(judged) != self.files[name]:
                raise Wrong(26, f"{name} is not in its one form: it was written anew")
            evidence = judged["evidence"]
            fit(evidence, EVIDENCE, "evidence", 26)
            fit(evidence, EVIDENCE_OF[evidence["schema"]], "evidence", 26)
            if hashlib.sha256(_bytes(evidence)).hexdigest() != entry.body["evidence_sha256"]:
                raise Wrong(26, f"{name} is not the evidence in the ledger")
            self._tapped(evidence.get("wire"), name[:-5] + ".tap")
            self._bound(entry, evidence["binding"], name)
            self._in_time(entry, evidence, name)
            self.evidence[entry.leaf] = evidence
            self.verdicts[entry.leaf] = judged

    def _tapped(self, wire: Mapping[str, Any] | None, name: str) -> None:
        if wire and name not in self.files:
            raise Wrong(26, f"{name}, what was tapped of the wire, is missing", UNANSWERED)
        if name in self.files and (not wire or self.digests[name] != wire["window_sha256"]):
            raise Wrong(26, f"{name} is not what the evidence was judged on")

    def _bound(self, entry: Entry, binding: Mapping[str, Any], name: str) -> None:
        expected = {"call_uid": self.uid, "segment": entry.segment, "boot_id": entry.boot_id}
        for of in ("attempt", "party", "offered_leaf", "answered_leaf"):
            if of in entry.body:
                expected[of] = entry.body[of]
        for of, value in expected.items():
            if binding[of] != value:
                raise Wrong(26, f"{name} belongs to another call, leg or boot: its {of} is another")
        if self.named(binding["offered_leaf"], "call.offered") is None:
            raise Wrong(26, f"{name} belongs to an offer that is none of this call")

    def _in_time(self, entry: Entry, evidence: Mapping[str, Any], name: str) -> None:
        end = int(evidence["end_ns"])
        if end > entry.ns:
            raise Wrong(25, f"{name} ended after the entry that judges it")
        if entry.kind == "notice.proven" and entry.ns - end > RECEIPT_MAX_AGE_NS:
            raise Wrong(25, f"entry {entry.seq} came too late after its notice to prove anything")

    # 27
    def _judge(self) -> None:
        for leaf, evidence in self.evidence.items():
            entry = self.by_leaf[leaf]
            reasons = judge(evidence)
            if entry.kind == "notice.proven" and reasons:
                raise Wrong(27, f"the evidence of entry {entry.seq} is not enough: {', '.join(reasons)}")
            if entry.kind == "notice.proven":
                self._grade(entry, evidence)
            elif reasons != entry.body["reasons"]:
                raise Wrong(27, f"entry {entry.seq} refuses for other reasons: {', '.join(reasons) or 'none'}")
            self._said(self.verdicts[leaf], evidence, reasons)

    def _said(self, verdict: Mapping[str, Any], evidence: Mapping[str, Any], reasons: list[str]) -> None:
        """What the evidence says of itself is not believed; it must not differ either."""
        floors = dict(FLOORS)
        if evidence["schema"] == "callrec/notice-evidence/1":
            floors = {name: floor for name, floor in FLOORS.items() if name not in SINCE_2}
        if verdict["floors"] != floors:
            raise Wrong(27, "the evidence says that it was judged by other floors than these")
        expected = {"verdict": "refused", "grade": None, "purposes": [], "reasons": reasons}
        if not reasons:
            purposes = sorted(named_purposes(evidence))
            expected = {"verdict": "granted", "grade": grade_of(evidence), "purposes": purposes, "reasons": []}
        if {name: verdict[name] for name in expected} != expected:
            raise Wrong(27, "the evidence says another verdict of itself than it carries")

    def _grade(self, entry: Entry, evidence: Mapping[str, Any]) -> None:
        grade = grade_of(evidence)
        if entry.body["grade"] != grade or entry.body["tap"] != evidence["tap"]["kind"]:
            raise Wrong(27, f"entry {entry.seq} claims {entry.body['grade']}, its evidence carries {grade}")
        self.proven[entry.leaf] = grade

    # 28
    def _notice(self) -> None:
        for leaf, evidence in self.evidence.items():
            if self.by_leaf[leaf].kind == "notice.proven":
                self._approved(self.by_leaf[leaf], evidence["prompt"])

    def _approved(self, proven: Entry, prompt: Mapping[str, Any]) -> None:
        approval = self.by_leaf.get(prompt["approval_leaf"])
        if approval is None or approval.kind != "prompt.approved":
            raise Wrong(28, f"the approval that entry {proven.seq} rests on is missing", UNANSWERED)
        body = approval.body
        for name in ("prompt_id", "version", "language", "pcm_sha256", "samples"):
            if body[name] != prompt[name]:
                raise Wrong(28, f"what was approved has another {name} than what was played")
        _acknowledging(prompt, body)
        if approval.seq > proven.seq or not set(prompt["purposes"]) <= set(body["purposes"]):
            raise Wrong(28, "the notice was approved too late, or for fewer purposes")
        for gone in self.of("prompt.retired"):
            same = all(gone.body[name] == body[name] for name in ("prompt_id", "version", "language"))
            if same and approval.seq < gone.seq < self.of("call.offered")[0].seq:
                raise Wrong(28, "the notice was retired before this call")
        name = f"notice/{body['prompt_id']}.{body['language']}.{body['version']}"
        self._heard(name, prompt, body["text_sha256"])
        if prompt["sample"]:
            self.to.remarks.append(
                "remark:       the notice is the sample that comes with callrec, not the line's own words"
            )

    def _heard(self, name: str, prompt: Mapping[str, Any], text_sha256: str) -> None:
        for suffix in (".wav", ".txt"):
            if name + suffix not in self.files:
                raise Wrong(28, f"{shown(name)}{suffix} is missing", UNANSWERED)
        pcm = pcm_of(self.files[name + ".wav"], name + ".wav", 28)
        if hashlib.sha256(pcm).hexdigest() != prompt["pcm_sha256"] or len(pcm) != 2 * prompt["samples"]:
            raise Wrong(28, f"{name}.wav is not the audio that was approved")
        self.notices[prompt["pcm_sha256"]] = pcm
        if hashlib.sha256(self.files[name + ".txt"]).hexdigest() != text_sha256:
            raise Wrong(28, f"{name}.txt are not the words that were approved")

    # 29
    def _as_sent(self) -> None:
        looked = False
        for leaf, evidence in self.evidence.items():
            entry = self.by_leaf[leaf]
            name = f"notice/sent-{entry.body['attempt']}.wav"
            if entry.kind == "notice.proven" and evidence.get("wire"):
                looked = True
                self._weighed(entry, evidence, name)
            elif name in self.files:
                raise Wrong(29, f"{name} is there, and nothing was tapped that could show it")
        if not looked:
            self.to.skipped.append(29)

    def _weighed(self, entry: Entry, evidence: Mapping[str, Any], heard: str) -> None:
        prompt, tap = self.notices.get(evidence["prompt"]["pcm_sha256"]), evidence["tap"]
        tapped = f"evidence/{self.uid}-{entry.body['attempt']}.tap"
        if prompt is None:
            raise Wrong(29, "without the approved notice nothing can be compared", UNANSWERED)
        window = Window(self.files[tapped], tapped)
        self._committed(entry, window, tapped)
        sent = weigh(window, evidence, prompt)
        if hashlib.sha256(sent).hexdigest() != tap["pcm_sha256"] or len(sent) != 2 * tap["samples"]:
            raise Wrong(29, f"{tapped} holds other audio than the evidence says")
        if heard in self.files and pcm_of(self.files[heard], heard, 29) != sent:
            raise Wrong(29, f"{heard} is not what was tapped")

    def _committed(self, entry: Entry, window: Window, tapped: str) -> None:
        """Each message that is kept with the window is the one that the entry commits to."""
        said = entry.body.get("commitments")
        for number, message in enumerate(window.says.get("signalling", []), 1):
            if not isinstance(said, dict) or said.get(f"message_{number}") != message["commitment"]:
                raise Wrong(26, f"message {number} in {tapped} is not the one that entry {entry.seq} commits to")

    # 30, 31
    def _purposes(self) -> None:
        sealed = {entry.body["started_leaf"] for entry in self.of("recording.sealed")}
        fewer = any(entry.body["choice"] == "without training" for entry in self.of("choice.made"))
        if fewer and any("training" in e.body["purposes"] and e.leaf in sealed for e in self.of("recording.started")):
            raise Wrong(30, "the caller left training out, and a recording was kept for it all the same")
        for started in self.of("recording.started"):
            for proof in self._proofs(started):
                added = {each for consent in self._consents_of(started, 30) for each in consent.body["purposes"]}
                beyond = set(started.body["purposes"]) - set(proof.body["purposes"]) - added
                evidence = self.evidence.get(proof.leaf)
                if evidence is not None:
                    beyond |= set(proof.body["purposes"]) - named_purposes(evidence)
                if beyond:
                    raise Wrong(30, f"segment {started.segment} was kept for more than its notice named")

    def _proofs(self, started: Entry) -> list[Entry]:
        said = started.body["proven_leaves"]
        leaves = list(said.values()) if isinstance(said, dict) else said if isinstance(said, list) else []
        if not leaves:
            raise Wrong(31, f"segment {started.segment} started without any proof")
        return [self._link(started, leaf, "notice.proven", 31) for leaf in leaves]

    def _starts(self) -> None:
        used: set[str] = set()
        for started in self.of("recording.started"):
            for proof in self._proofs(started):
                if proof.leaf in used or proof.segment != started.segment:
                    raise Wrong(
                        31, f"the proof in entry {proof.seq} started another recording, or is of another segment"
                    )
                if proof.leaf not in self.evidence:
                    raise Wrong(31, f"segment {started.segment} rests on evidence that is not here", UNANSWERED)
                if proof.leaf not in self.proven:
                    raise Wrong(31, f"segment {started.segment} rests on a proof that does not hold")
                used.add(proof.leaf)
            ends = [e for e in self.of(*ENDINGS) if e.body["started_leaf"] == started.leaf]
            if len(ends) > 1:
                raise Wrong(31, f"segment {started.segment} ended twice")
            if not ends:
                self.to.open.append(f"the recording of segment {started.segment} has not ended")

    # 32
    def _manifests(self) -> None:
        sealed = self.of("recording.sealed")
        for entry in sealed:
            name = f"manifest/{self.uid}-{entry.segment}.json"
            if name not in self.files:
                raise Wrong(32, f"{name} is missing", UNANSWERED)
            if hashlib.sha256(self.files[name]).hexdigest() != entry.body["manifest_sha256"]:
                raise Wrong(32, f"{name} is not the one that was sealed")
            manifest = strict(self.files[name], name, 32)
            fit(manifest, MANIFEST, "manifest", 32)
            self._manifest(manifest, entry, name)
        if not sealed:
            self.to.skipped.append(32)

    def _manifest(self, manifest: Mapping[str, Any], sealed: Entry, name: str) -> None:
        header, started = manifest["header"], self._link(sealed, sealed.body["started_leaf"], "recording.started", 32)
        proofs = [proof.leaf for proof in self._proofs(started)]
        same = [
            manifest[each] == sealed.body[each] for each in ("cipher_sha256", "flac_sha256", "pcm_sha256", "samples")
        ]
        same += [
            header["log_id"] == self.key.log_id, header["call_uid"] == self.uid, header["segment"] == sealed.segment,
            header["started_leaf"] == started.leaf, header["proven_leaf"] in proofs,
            sorted(manifest["purposes"]) == sorted(started.body["purposes"]),
            manifest["recording_id"] == f"{self.uid}-{sealed.segment}", manifest["rate"] == RATE,
        ]  # fmt: skip
        if not all(same):
            raise Wrong(32, f"{name} speaks of another recording than the ledger")

    # 33
    def _audio(self) -> None:
        given = [name for name in self.files if name.startswith("recording/")]
        for name in given:
            sealed = [e for e in self.of("recording.sealed") if name == f"recording/{self.uid}-{e.segment}.flac"]
            if len(sealed) != 1 or self.digests[name] != sealed[0].body["flac_sha256"]:
                raise Wrong(33, f"{name} is not the audio that was sealed")
        if not given:
            self.to.skipped.append(33)

    # 34
    def _closing(self) -> None:
        closed, sealed = self.of("call.closed"), self.of("recording.sealed")
        if not closed:
            self.to.open.append("the call was not closed")
        elif (closed[0].body["decision"] == "RECORDED") != bool(sealed):
            raise Wrong(
                34, f"the call was closed as {closed[0].body['decision']}, with {len(sealed)} recordings sealed"
            )
        for choice in self.of("choice.made"):
            if choice.body["choice"] in ("decline", "emergency") and sealed:
                raise Wrong(34, f"the caller said no (entry {choice.seq}), and a recording was kept all the same")
        self._languages()
        strays = set(self.files) - self._expected()
        if strays:
            raise Wrong(34, f"{min(strays)} belongs to nothing in this pack")

    def _languages(self) -> None:
        """No recording rests on a notice in another language than its caller had chosen, by a key, by then."""
        chosen = [each for each in self.of("choice.made") if each.body["choice"].startswith("language ")]
        for started in self.of("recording.started"):
            wanted = [each.body["choice"][len("language ") :] for each in chosen if each.seq < started.seq][-1:]
            for proof in self._proofs(started) if wanted else ():
                evidence = self.evidence.get(proof.leaf)
                if evidence is not None and evidence["prompt"]["language"] != wanted[0]:
                    raise Wrong(34, f"segment {started.segment} rests on a notice in another language than was chosen")

    # 35
    def _segments(self) -> None:
        for closed in self.of("call.closed"):
            said = {each["segment"]: each["decision"] == "RECORDED" for each in closed.body["segments"]}
            if not said or [each["segment"] for each in closed.body["segments"]] != list(range(len(said))):
                raise Wrong(35, "the summary does not decide the segments of its call one after the other, from 0 on")
            if (closed.body["decision"] == "RECORDED") != any(said.values()):
                raise Wrong(35, "the summary says another thing of the call than of its segments")
            spoken = {entry.segment for entry in self.of("notice.proven", "notice.refused", "recording.started")}
            if undecided := spoken - set(said):
                raise Wrong(35, f"the summary decides nothing of segment {min(undecided)}")
            self._decided(said)

    def _decided(self, said: Mapping[int, bool]) -> None:
        started = {entry.segment for entry in self.of("recording.started")}
        sealed = {entry.segment for entry in self.of("recording.sealed")}
        for segment, recorded in said.items():
            if recorded and segment not in started:
                raise Wrong(35, f"segment {segment} is said to be recorded, and no recording of it started")
            if not recorded and segment in sealed:
                raise Wrong(35, f"segment {segment} is said not to be recorded, and a recording of it was sealed")

    # 36
    def _consents(self) -> None:
        for consent in self.of("consent.given"):
            self._asked(consent)
        used: set[str] = set()
        for started in self.of("recording.started"):
            consents = self._consents_of(started, 36)
            for consent in consents:
                proofs = [proof.leaf for proof in self._proofs(started)]
                if consent.leaf in used or consent.body["proven_leaf"] not in proofs:
                    raise Wrong(36, f"the consent in entry {consent.seq} was given to another recording")
                used.add(consent.leaf)
            self._carried(started, consents)

    def _consents_of(self, started: Entry, check: int) -> list[Entry]:
        leaves = started.body.get("consent_leaves", [])
        fit(leaves, [HEX], f"entry {started.seq}", 36)
        found = [self._link(started, leaf, "consent.given", check) for leaf in leaves]
        if any(consent.segment != started.segment for consent in found):
            raise Wrong(36, f"segment {started.segment} rests on a consent to another segment")
        return found

    def _asked(self, consent: Entry) -> None:
        """To a script that was approved before as asking for this; by a key of the caller's where it says so."""
        body, script = consent.body, self.by_leaf.get(consent.body["script_leaf"])
        if script is None or script.kind != "prompt.approved":
            raise Wrong(36, f"the approval of the script of entry {consent.seq} is missing", UNANSWERED)
        same = all(script.body[name] == body[name] for name in ("prompt_id", "version", "language", "pcm_sha256"))
        asks = script.body.get("asks")
        if not same or script.seq > consent.seq or not isinstance(asks, list) or not set(body["purposes"]) <= set(asks):
            raise Wrong(36, f"entry {consent.seq} is a consent to more than its script asks for, or to another script")
        proof = self._link(consent, body["proven_leaf"], "notice.proven", 36)
        evidence = self.evidence.get(proof.leaf)
        if proof.segment != consent.segment or (body["consent"] == "keypress") != (body["evidence"] == "PLAYED"):
            raise Wrong(36, f"entry {consent.seq} is of another segment, or of no known kind")
        if body["evidence"] == "PLAYED" and (
            evidence is None or not _acknowledged(evidence) or evidence["prompt"]["approval_leaf"] != script.leaf
        ):
            raise Wrong(36, f"entry {consent.seq} is a consent by key, and its evidence holds no such key")

    def _carried(self, started: Entry, consents: list[Entry]) -> None:
        """The record lies in the recording itself, word for word."""
        name = f"manifest/{self.uid}-{started.segment}.json"
        if name not in self.files:
            return
        manifest = strict(self.files[name], name, 32)
        details = manifest.get("details", {}) if isinstance(manifest, dict) else {}
        held = details.get("consent") if isinstance(details, dict) else None
        expected = [{**consent.body, "leaf": consent.leaf} for consent in consents]
        if ([] if held is None else [held]) != expected:
            raise Wrong(36, f"{name} does not hold the consent that its recording rests on")

    def _expected(self) -> set[str]:
        names = {*NEEDED, "index.html", "verify.py"}
        for entry in self.of("notice.proven", "notice.refused"):
            attempt = entry.body["attempt"]
            names |= {f"evidence/{self.uid}-{attempt}.json", f"evidence/{self.uid}-{attempt}.tap"}
            names.add(f"notice/sent-{attempt}.wav")
        for entry in self.of("recording.sealed"):
            names |= {f"manifest/{self.uid}-{entry.segment}.json", f"recording/{self.uid}-{entry.segment}.flac"}
        for entry in self.of("prompt.approved"):
            body = entry.body
            names |= {
                f"notice/{body['prompt_id']}.{body['language']}.{body['version']}.{end}" for end in ("wav", "txt")
            }
        return names

    def _tell(self) -> None:
        for entry in self.of("notice.proven", "notice.refused"):
            self.to.told += notice_lines(entry.body, self.evidence.get(entry.leaf))
        for entry in self.of("choice.made"):
            who = "staff pressed" if entry.body.get("leg") == "staff" else "caller chose"
            self.to.told.append(f"{who}: {shown(entry.body['choice'])} (key {shown(entry.body['digit'])})")
        for entry in self.of("consent.given"):
            given = f"{shown(entry.body['consent'])}, script {shown(entry.body['prompt_id'])}"
            self.to.told.append(f"agreed to:    {shown(', '.join(entry.body['purposes']))} ({given})")
        for entry in self.of("recording.sealed"):
            seconds = entry.body["samples"] / RATE
            self.to.told.append(f"recorded:     {seconds:.1f} s, segment {entry.segment}, after the proof")
        if not self.of("recording.started"):
            self.to.told.append("recorded:     nothing")
        self.to.told += contradicted_lines(entry.body for entry in self.of("incident"))
        self.to.told += [pbx_events_line(self.of("agent.started"))]


LINKS: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "call.answered": (("offered_leaf", "call.offered", True),),
    "call.closed": (("offered_leaf", "call.offered", True),),
    "notice.proven": (("offered_leaf", "call.offered", False), ("answered_leaf", "call.answered", False)),
    "notice.refused": (("offered_leaf", "call.offered", True),),
    **{
        f"recording.{what}": (("started_leaf", "recording.started", False),)
        for what in ("sealed", "discarded", "lost", "paused", "resumed", "progress", "stopped")
    },
    "store.intent": (("sealed_leaf", "recording.sealed", False),),
    "recording.kept": (("sealed_leaf", "recording.sealed", False),),
}
"""By kind: which field names an earlier entry of which kind, and whether it may be empty (the ledger was away)."""
ENDINGS = ("recording.sealed", "recording.discarded", "recording.lost")
REACHED = {"sent": "sent to", "received": "received by", "acknowledged": "a key was pressed beyond"}


def _bytes(value: Any) -> bytes:
    return canonical(value).encode("utf-8", "surrogatepass")


def notice_lines(body: Mapping[str, Any], evidence: Mapping[str, Any] | None) -> list[str]:
    """What an entry says of the notice, in the words that proof allows."""
    if "grade" not in body:
        return [f"notice played: not proven ({', '.join(shown(reason) for reason in body['reasons'])})"]
    hop = shown(evidence["binding"]["next_hop"]) if evidence else "named in its evidence"
    hearsay = body["grade"] == "received" and body.get("rtcp") == "unauthenticated"
    word = ", as unauthenticated RTCP says" if hearsay else ""
    word += ", its tail skipped by the caller" if evidence and skipped(evidence) else ""
    lines = [f"notice played: proven ({REACHED[body['grade']]} the next hop {hop}{word})"]
    if evidence and evidence["tap"]["kind"] == "player":
        lines.append("remark:       measured at the player, an evaluation grade: not at the network")
    return lines


def pbx_events_line(started: Iterable[Entry]) -> str:
    """Who told what happened behind the PBX while this call was carried, as its agent was configured."""
    told = sorted({shown(entry.body.get("pbx_events") or "not stated") for entry in started})
    return f"pbx events:   {pbx_events_text(' and '.join(told) or 'not stated')}"


def pbx_events_text(told: str) -> str:
    """Whether what happened behind the PBX could be known at all."""
    if told == "http":
        return "http: what happened behind the PBX is known as far as the PBX told it"
    return f"{told}: who joined, left, was held or transferred behind the PBX is not known, where nothing told it"


def contradicted_lines(incidents: Iterable[Mapping[str, Any]]) -> list[str]:
    """What speaks against a proof that was good when it was made: a report that came later."""
    against = [body for body in incidents if body.get("what") == "proof contradicted"]
    return [f"contradicted: afterwards {shown(body.get('reason', ''))}; its recording is set apart" for body in against]


# ---------------------------------------------------------------- command line


def main(argv: list[str] | None = None) -> int:
    """Print what was found; the exit status."""
    asked = argparse.ArgumentParser(description="Check a callrec pack against a public key that you bring.")
    asked.add_argument("pack", type=Path, metavar="PACK.zip")
    asked.add_argument("--key", required=True, help="the ledger's public key, or a file that holds it")
    asked.add_argument("--checkpoint", type=Path, help="a checkpoint that you hold, or a folder of them")
    asked.add_argument("--json", action="store_true", help="print as JSON")
    given = asked.parse_args(argv)
    try:
        key, held = read_key(_text(given.key)), _held(given.checkpoint)
    except (OSError, ValueError) as error:
        asked.error(shown(error))
    try:
        with given.pack.open("rb") as file:
            found = examine(file, key, held)
    except OSError as error:
        found = Examination(found=[Wrong(21, f"{shown(given.pack)}: {error.strerror}", UNANSWERED)])
    text = json.dumps(found.value(), indent=2) if given.json else "\n".join(_printable(found))
    sys.stdout.write(text + "\n")
    return found.exit_code


def _printable(found: Examination) -> Iterator[str]:
    return ("".join(char if char.isprintable() else ascii(char)[1:-1] for char in line) for line in found.lines())


def _text(given: str) -> str:
    path = Path(given)
    if "+" in given and not path.is_file():
        return given
    with path.open("rb") as file:
        return file.read(65_536).decode("utf-8", "replace")


def _held(place: Path | None) -> dict[str, bytes]:
    if place is None:
        return {}
    files = sorted(place.glob("*.checkpoint")) if place.is_dir() else [place]
    return {file.name: file.read_bytes()[:70_000] for file in files}


if __name__ == "__main__":
    sys.exit(main())
