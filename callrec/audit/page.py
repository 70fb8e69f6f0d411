"""`index.html` of a pack: the verdict in plain words, the call to scale, the players, and what this does not prove.

Drawn from the pack's other files alone, so that whoever checks a pack can draw it again and compare. No script, no
network, no font or picture from elsewhere: any locked-down desktop opens it, and it prints.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callrec._canonical import sha256_hex
from callrec.audit import standalone
from callrec.audit.standalone import RATE, contradicted_lines, notice_lines, shown

VERIFIER: Final = Path(standalone.__file__)
"""The file that goes into every pack as `verify.py`."""
GENERATOR: Final = f"callrec page {sha256_hex(Path(__file__).read_bytes() + VERIFIER.read_bytes())[:16]}"
"""Which program drew a page: another one may draw the same call otherwise."""
STYLE: Final = """
:root { color-scheme: light; --ink: #1c2430; --soft: #5a6675; --line: #d5dbe3; --paper: #fff; --wash: #f4f6f9;
  --yes: #1d6b43; --no: #9a2b22; --notice: #d9902f; --ring: #b9c3cf; --talk: #8fa3b8; --kept: #1f5f99; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--wash); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
main { max-width: 54rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
header { border-top: .4rem solid var(--yes); background: var(--paper); padding: 1.4rem 1.5rem 1.2rem; }
header.no { border-color: var(--no); } header.not { border-color: var(--soft); }
section, header { border-radius: .4rem; box-shadow: 0 1px 2px #1c243022; margin-bottom: 1.1rem; }
section { background: var(--paper); padding: 1.1rem 1.5rem 1.25rem; }
h1 { font-size: 1.55rem; line-height: 1.25; margin: .3rem 0 .5rem; }
h2 { font-size: 1.05rem; margin: 0 0 .7rem; }
h3 { font-size: .95rem; margin: .9rem 0 .25rem; }
p { margin: .35rem 0; } .soft, th { color: var(--soft); } .small { font-size: .875rem; }
.verdict { font-size: 1.12rem; font-weight: 600; color: var(--yes); } .verdict.no { color: var(--no); }
.verdict.not { color: var(--ink); }
code { font: .9em ui-monospace, Consolas, Menlo, monospace; background: var(--wash); padding: .05em .3em;
  border-radius: .2em; }
pre { margin: .5rem 0; padding: .7rem .9rem; background: var(--wash); border-radius: .3rem; white-space: pre-wrap;
  font: .875rem/1.5 ui-monospace, Consolas, Menlo, monospace; }
svg { display: block; width: 100%; height: 3.4rem; border-radius: .25rem; }
.ticks { display: flex; justify-content: space-between; font-size: .8rem; color: var(--soft); margin-top: .2rem; }
ul.key { list-style: none; padding: 0; margin: .8rem 0 0; }
ul.key li { display: grid; grid-template-columns: 1rem 1fr auto; gap: .6rem; align-items: baseline; padding: .22rem 0;
  border-bottom: 1px solid var(--line); }
ul.key i { width: .9rem; height: .9rem; border-radius: .15rem; align-self: center; }
ul.key b { font-weight: 600; } ul.key span { font-variant-numeric: tabular-nums; color: var(--soft); }
audio { width: 100%; margin: .2rem 0 .1rem; }
blockquote { margin: .5rem 0; padding: .2rem 0 .2rem .9rem; border-left: .2rem solid var(--notice); }
dl { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: .3rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; } th { text-align: left; font-weight: 500; }
th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th, td { overflow-wrap: break-word; }
td:first-child, td:nth-child(2), td:nth-child(3) { font-variant-numeric: tabular-nums; white-space: nowrap; }
ul.limits { padding-left: 1.1rem; margin: .2rem 0; }
@media (max-width: 34rem) { main { padding: .6rem .5rem 2rem; } section, header { padding-left: .9rem;
  padding-right: .9rem; } h1 { font-size: 1.3rem; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  ul.key li { grid-template-columns: 1rem 1fr; } ul.key span { grid-column: 2; }
  table { font-size: .78rem; } th, td { padding-right: .45rem; } }
@media print {
  body { background: none; font-size: 11pt; } main { max-width: none; padding: 0; } section, header {
  box-shadow: none; padding-left: 0; padding-right: 0; break-inside: avoid; }
  section { border-top: 1px solid var(--line); border-radius: 0; } section.log { break-inside: auto; }
  audio { display: none; } svg, i { print-color-adjust: exact;
  -webkit-print-color-adjust: exact; } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of the call in seconds from its offer; `colour` is a name of the style."""

    what: str
    colour: str
    begin: float
    end: float
    kept: bool = False


def draw(files: Mapping[str, bytes]) -> bytes:
    """The page of a pack with these files. Files are taken as they are: who checks, checks them elsewhere."""
    call = _Call(files)
    body = "\n".join(
        (
            _head(call),
            _section("The call, to scale", _bar(call)),
            _section("Listen", "".join(_players(call))),
            _section("What was measured while the notice played", "".join(_measured(call))),
            _section("Do not take this page's word for it", _CHECK_IT),
            _section("What this does not prove", _limits()),
            _section("What the ledger says of this call", _entries(call), kind="log"),
        )
    )
    title = f"Call {call.uid[:12]}"
    return _PAGE.format(title=_text(title), generator=GENERATOR, style=STYLE, body=body).encode()


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{generator}">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; media-src 'self' file:">
<title>{title}</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""
_CHECK_IT: Final = """<p>Nobody signed this page, and anybody can write one. What counts is the ledger, and its public
key that <em>you</em> hold: the half page that was handed over when the ledger was made. Take <code>verify.py</code>
from somebody you trust, or read it; then, beside this pack:</p>
<pre>python3 verify.py PACK.zip --key HALF-PAGE.txt --checkpoint MY-CHECKPOINTS</pre>
<p class="soft small">It makes fourteen numbered checks, judges the evidence again by floors of its own, and ends with
status 0 where all hold, 30 where the pack contradicts itself. <code>callrec audit verify PACK.zip</code> makes the
same, and compares this page.</p>"""


def _text(value: object) -> str:
    return html.escape(shown(value))


def _section(title: str, inside: str, *, kind: str = "") -> str:
    return f'<section class="{kind}"><h2>{_text(title)}</h2>\n{inside}</section>'


# ---------------------------------------------------------------- what the files say


class _Call:
    """The entries and evidence of one pack, ready to be told."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in files["entries.jsonl"].splitlines()]
        self.own = [entry for entry in self.entries if entry["call_uid"]]
        self.offered = next(entry for entry in self.own if entry["kind"] == "call.offered")
        self.uid: str = self.offered["call_uid"]
        self.size = files["checkpoint.txt"].split(b"\n")[1].decode("ascii", "replace")

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [entry for entry in self.own if entry["kind"] in kinds]

    def evidence(self, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """The evidence behind a judged notice, where it is in the pack."""
        data = self.files.get(f"evidence/{self.uid}-{entry['body'].get('attempt')}.json")
        found: dict[str, Any] | None = None if data is None else json.loads(data)["evidence"]
        return found

    def at(self, ns: int) -> float:
        """Seconds since the offer."""
        return (ns - int(self.offered["boottime_ns"])) / 1e9

    def when(self, entry: Mapping[str, Any]) -> float:
        return self.at(int(entry["boottime_ns"]))

    def judged(self) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        return [(entry, self.evidence(entry)) for entry in self.of("notice.proven", "notice.refused")]

    def end(self) -> float:
        return max([self.when(entry) for entry in self.of("call.closed") or self.own] + [0.1])

    def parts(self) -> Iterator[Part]:
        """Notices and recordings, as the evidence and the entries time them; the rest of the call lies between."""
        for entry, evidence in self.judged():
            if evidence is not None:
                begin, end = (self.at(int(evidence[name])) for name in ("start_ns", "end_ns"))
                proven = entry["kind"] == "notice.proven"
                yield Part(what="notice" if proven else "notice, not proven", colour="notice", begin=begin, end=end)
        for started in self.of("recording.started"):
            sealed = [e for e in self.of("recording.sealed") if e["segment"] == started["segment"]]
            if sealed:
                begin = self.when(started)
                end = begin + sealed[0]["body"]["samples"] / RATE
                yield Part(what="recorded", colour="kept", begin=begin, end=end, kept=True)

    def stretches(self) -> list[Part]:
        """The whole call without holes, in order."""
        found: list[Part] = []
        at, whole = 0.0, self.end()
        for part in sorted(self.parts(), key=lambda part: part.begin):
            begin, end = max(part.begin, at), min(max(part.end, at), whole)
            if begin - at > 0.05:  # noqa: PLR2004 - a gap that a person would see
                found.append(Part(what=_between(found), colour="ring", begin=at, end=begin))
            found.append(Part(what=part.what, colour=part.colour, begin=begin, end=end, kept=part.kept))
            at = end
        if whole - at > 0.05:  # noqa: PLR2004
            found.append(Part(what="the rest of the call", colour="talk", begin=at, end=whole))
        return found


def _between(before: Sequence[Part]) -> str:
    if not before:
        return "answering"
    return "between two recordings" if before[-1].kept else "choice and ringing"


# ---------------------------------------------------------------- the sections


def _head(call: _Call) -> str:
    judged, sealed = call.judged(), call.of("recording.sealed")
    proven = any(entry["kind"] == "notice.proven" for entry, _ in judged)
    kind = "yes" if proven else "no" if sealed else "not"
    verdict = [line for entry, evidence in judged for line in notice_lines(entry["body"], evidence)]
    verdict = verdict or ["notice played: not proven (no notice was played to its end)"]
    against = contradicted_lines(entry["body"] for entry in call.of("incident"))
    kind, verdict = ("no" if against else kind), [*against, *verdict]
    said = "".join(
        f'<p class="soft">{_text(line.partition(":")[2].strip().capitalize())}.</p>'
        if line.startswith("remark:")
        else f'<p class="verdict {kind}">{_text(line[:1].upper() + line[1:])}</p>'
        for line in verdict
    )
    line = call.offered["body"].get("line") or "no line"
    return (
        f'<header class="{kind}"><p class="soft small">Call {_text(call.uid)}</p>'
        f"<h1>Line {_text(line)}, {_text(call.offered['utc'][:19].replace('T', ' '))} UTC</h1>{said}"
        f"<p>{_recorded(call, sealed)}</p></header>"
    )


def _recorded(call: _Call, sealed: Sequence[Mapping[str, Any]]) -> str:
    if sealed:
        seconds = sum(entry["body"]["samples"] for entry in sealed) / RATE
        purposes = sorted({p for e in call.of("recording.started") for p in e["body"]["purposes"]})
        return f"Recorded: {seconds:.1f} s, after the proof, for {_text(', '.join(purposes) or 'no purpose')}."
    closed = call.of("call.closed")
    why = closed[0]["body"].get("reason") if closed else "the call was not finished"
    return f"Recorded: nothing ({_text(why or 'no reason given')})."


def _bar(call: _Call) -> str:
    parts, whole = call.stretches(), call.end()
    drawn = "".join(
        f'<rect x="{part.begin / whole * 1000:.2f}" y="{0 if part.kept or part.colour == "notice" else 12}" '
        f'width="{max((part.end - part.begin) / whole * 1000, 1.5):.2f}" '
        f'height="{54 if part.kept or part.colour == "notice" else 30}" fill="var(--{part.colour})">'
        f"<title>{_text(part.what)}</title></rect>"
        for part in parts
    )
    ticks = "".join(f"<span>{whole * n / 4:.1f} s</span>" for n in range(5))
    key = "".join(
        f'<li><i style="background:var(--{part.colour})"></i><b>{_text(part.what)}</b>'
        f"<span>{part.begin:.1f} s to {part.end:.1f} s, {'RECORDED' if part.kept else 'not recorded'}</span></li>"
        for part in parts
    )
    said = f"The call from its offer to its end, {whole:.1f} s"
    return (
        f'<svg viewBox="0 0 1000 54" preserveAspectRatio="none" role="img" aria-label="{_text(said)}">'
        f'<rect x="0" y="12" width="1000" height="30" fill="#e8ecf1"/>{drawn}</svg>'
        f'<div class="ticks">{ticks}</div><ul class="key">{key}</ul>'
    )


def _players(call: _Call) -> Iterator[str]:
    for name in sorted(name for name in call.files if name.startswith("notice/") and name.endswith(".wav")):
        if name.startswith("notice/sent-"):
            title = "The notice as it was sent, decoded from the packets that left"
        else:
            title = f"The notice as it was approved ({name.removeprefix('notice/').removesuffix('.wav')})"
        yield _player(title, name)
        words = call.files.get(name.removesuffix(".wav") + ".txt")
        if words is not None:
            yield f"<blockquote>{html.escape(words.decode('utf-8', 'replace'))}</blockquote>"
            yield from _approval(call, name)
    if not any(name.startswith("notice/sent-") for name in call.files):
        yield '<p class="soft small">The notice as it was sent is not in this pack: its audio was not kept.</p>'
    recordings = sorted(name for name in call.files if name.startswith("recording/"))
    for name in recordings:
        yield _player("The recording: left the caller, right the staff", name)
    if not recordings:
        yield '<p class="soft small">No recording is in this pack.</p>'
    yield '<p class="soft small">If nothing plays: unpack the whole pack, then open this page from its folder.</p>'


def _player(title: str, name: str) -> str:
    return f'<h3>{_text(title)}</h3><audio controls preload="metadata" src="{_text(name)}"></audio>'


def _approval(call: _Call, name: str) -> Iterator[str]:
    for entry in call.entries:
        body = entry["body"]
        at = f"notice/{body.get('prompt_id')}.{body.get('language')}.{body.get('version')}.wav"
        if entry["kind"] == "prompt.approved" and at == name:
            purposes = ", ".join(body.get("purposes", ()))
            said = f"Approved by {body.get('by')} at {entry['utc'][:19]}Z (entry {entry['seq']}), for {purposes}."
            yield f'<p class="soft small">{_text(said)}</p>'


def _measured(call: _Call) -> Iterator[str]:
    if not call.judged():
        yield "<p>No notice was judged on this call.</p>"
    for entry, evidence in call.judged():
        attempt = entry["body"].get("attempt")
        if len(call.judged()) > 1:
            yield f"<h3>Attempt {_text(attempt)}</h3>"
        if evidence is None:
            yield "<p>There is no evidence of it in this pack.</p>"
        else:
            rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(said)}</dd>" for name, said in _figures(evidence))
            yield f"<dl>{rows}</dl>"


def _figures(e: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    hop, tap, prompt = e["binding"], e["tap"], e["prompt"]
    sent = sum(stream["sent"] for stream in e["streams"])
    seconds = (int(e["end_ns"]) - int(e["start_ns"])) / 1e9
    yield "Caller's leg ends at", f"{hop['next_hop']} ({hop['leg_ends_at']}, as configured)"
    yield "Began", e["start_utc"]
    yield "Lasted", f"{seconds:.2f} s; the approved notice lasts {prompt['samples'] / RATE:.2f} s"
    yield "Whole notice found in what left", f"{tap['matched_samples']} of {prompt['samples']} samples"
    where = {"wire": "the packets handed to the network", "player": "the player's output: an evaluation grade"}
    yield "Measured at", where.get(tap["kind"], "unknown")
    yield "RTP packets sent", f"{sent} of {e['expected_packets']} expected"
    if e.get("wire") and e["wire"]["notice_span_ns"]:
        span = int(e["wire"]["notice_span_ns"]) / 1e9
        faults = sum(int(e["wire"][name]) for name in ("missing", "repeated", "timestamp_faults", "strayed", "refused"))
        yield "Packets of the notice", f"over {span:.2f} s; {faults} missing, repeated, out of step, astray or refused"
    if e["schema"] != "callrec/notice-evidence/1":
        yield "Reports of the next hop", _reports(e.get("rtcp"))
    yield "From the caller's side", f"{e['caller']['rtp_packets']} RTP packets, {e['caller']['rtcp_reports']} reports"
    yield "Holds or changes meanwhile", "none" if not e["renegotiations"] and not e["interruption"] else "yes"
    keys = ", ".join(f"{key['digit']} at {key['at_ms'] / 1000:.1f} s" for key in e.get("keys", ()))
    yield "Keys pressed", keys or "none"
    if reasons := standalone.judge(e):
        yield "Not enough because", ", ".join(reasons)


def _reports(rtcp: Mapping[str, Any] | None) -> str:
    """Absent is absent: never good, never bad."""
    if rtcp is None:
        return "absent"
    if rtcp["newest"] is None:
        return f"none that counts ({sum(each['packets'] for each in rtcp['rejected'])} rejected)"
    lost, source = rtcp["newest"]["lost"], rtcp["newest"]["source"]
    kind = "authenticated by SRTCP" if rtcp["authenticated"] else "unauthenticated: no SRTCP"
    return f"{rtcp['accepted']} from {source}; {lost} packets lost until the newest; {kind}"


def _limits() -> str:
    shown_here = [limit for limit in standalone.LIMITS if "index.html" not in limit]
    return '<ul class="limits">' + "".join(f"<li>{_text(limit)}</li>" for limit in shown_here) + "</ul>"


def _entries(call: _Call) -> str:
    rows = "".join(
        f"<tr><td>{entry['seq']}</td><td>{call.when(entry):+.3f} s</td><td>{_text(entry['kind'])}</td>"
        f"<td>{_text(_short(entry))}</td></tr>"
        for entry in call.own
    )
    table = f"<table><tr><th>entry</th><th>after the offer</th><th>kind</th><th>says</th></tr>{rows}</table>"
    return table + f'<p class="soft small">Under a checkpoint of {_text(call.size)} entries.</p>'


def _short(entry: Mapping[str, Any]) -> str:
    """The few fields of an entry that a person asks for."""
    wanted = ("line", "next_hop", "grade", "reasons", "choice", "purposes", "samples", "store_id", "decision", "reason",
              "person", "purpose", "action")  # fmt: skip
    said = {name: entry["body"][name] for name in wanted if entry["body"].get(name)}
    return "; ".join(f"{n.replace('_', ' ')} {', '.join(v) if isinstance(v, list) else v}" for n, v in said.items())
