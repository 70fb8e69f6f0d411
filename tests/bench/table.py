"""The measured rows as a table for people, and its place in README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"
HEADING = "## Measured"
_BEFORE = "## State of this software"
Row = Mapping[str, Any]

_HEAD = """\
| job | system | runs | told 503 | all heard the whole notice | recordings right | CPU-s per call-minute | \
CPU-s per set-up | lost packets | longest gap, ms | last notice packet to INVITE, ms, p50 / p99 | memory, MB |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def _figure(value: Any, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(row: Row) -> str:
    calls = row["calls"] - row["refused_503"]
    cells = (
        f"{row['job']}, {row['concurrent']} at once",
        row["system"],
        str(row.get("runs", 1)),
        str(row["refused_503"]),
        f"{row['heard_whole_notice']} of {calls}",
        f"{row['recordings_right']} of {calls}",
        _figure(row["cpu_s_per_call_minute"]),
        _figure(row["cpu_s_per_setup"]),
        str(row["lost_packets"]),
        _figure(row["max_gap_ms"], 0),
        f"{_figure(row['dial_p50_ms'], 0)} / {_figure(row['dial_p99_ms'], 0)}",
        _figure(row["peak_rss_mb"], 0),
    )
    return f"| {' | '.join(cells)} |\n"


def _ratios(rows: Sequence[Row]) -> str:
    """callrec's CPU as a part of Asterisk's, job by job, where both were measured."""
    by_name = {(row["system"], row["job"]): row for row in rows}
    found = []
    for (system, job), ours in by_name.items():
        theirs = by_name.get(("asterisk", job))
        if system == "callrec" and theirs and ours["cpu_s_per_call_minute"] and theirs["cpu_s_per_call_minute"]:
            found.append(f"{job}: {ours['cpu_s_per_call_minute'] / theirs['cpu_s_per_call_minute']:.2f}")
    return f"\nCPU per call-minute, callrec to Asterisk: {'; '.join(found)}.\n" if found else ""


def _how_many(rows: Sequence[Row]) -> str:
    counts = sorted({int(row.get("runs", 1)) for row in rows}) or [0]
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"each figure is the median of {runs} run{'s' if counts[-1] != 1 else ''}"


def table(rows: Sequence[Row], machine: Row) -> str:
    """Markdown: what it was measured on, every row, the ratio of the two systems."""
    intro = (
        f"`make bench` on {machine['cores']} cores ({machine['cpu']}), which the load shares; {_how_many(rows)}. "
        "Asterisk does the same job with Playback, MixMonitor and Dial, without proof and encryption. Judged by what "
        "each side heard, packet for packet, and by opening each file. CPU per call-minute is of the time when all "
        "calls talk (set-up rows: while calls come and go). callrec's limit of new calls a second "
        "(`agent.max_setups_per_s`) is lifted, except where a row says how many are admitted: the others are told 503, "
        "for the PBX to go on with, and the figures are of those that were not.\n\n"
    )
    ordered = sorted(
        rows, key=lambda row: (row["setups_per_s"] == row["calls"] / 20 and "/s" in row["job"], row["calls"])
    )
    return intro + _HEAD + "".join(_line(row) for row in ordered) + _ratios(rows)


def mark_readme(text: str) -> None:
    """Put this text under its heading in README.md, in place of what stood there."""
    page = README.read_text("utf-8")
    section = f"{HEADING}\n\n{text}\n"
    if HEADING in page:
        start = page.index(HEADING)
        end = page.find("\n## ", start + 1)
        page = page[:start] + section + page[end + 1 :]
    else:
        page = page.replace(_BEFORE, section + _BEFORE, 1)
    README.write_text(page, "utf-8")
