"""One call as one bar, to scale, in plain characters, at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from callrec.core import commands as c
from callrec.core import events as e

WIDTH: Final = 74


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of the call, in seconds from its beginning."""

    mark: str
    what: str
    begin: float
    end: float

    @property
    def recorded(self) -> bool:
        """True for the part that was kept."""
        return self.mark == "#"


def parts(at: Mapping[type, float]) -> tuple[Part, ...]:
    """The stretches of a call, from when its events came; those that did not happen are left out."""
    end = at.get(e.LegEnded, max(at.values(), default=0.0))
    notice = at.get(c.PlayNotice, end)
    dialled = at.get(c.Dial, end)
    bridged = at.get(e.LegsBridged, end)
    recorded = at.get(c.StartRecording, end)
    edges = (
        (".", "answering", 0.0, notice),
        ("n", "notice", notice, dialled),
        ("r", "ringing", dialled, bridged),
        ("-", "talk", bridged, max(recorded, bridged)),
        ("#", "talk", max(recorded, bridged), end),
    )
    return tuple(Part(mark=m, what=w, begin=b, end=max(b, f)) for m, w, b, f in edges if f - b > 0.05)  # noqa: PLR2004


def bar(stretches: Sequence[Part], whole_s: float) -> str:
    """The bar, `whole_s` seconds being its whole width. Every stretch has at least one column."""
    edge = [round(part.end / whole_s * WIDTH) for part in stretches]
    drawn = ""
    for part, until in zip(stretches, edge, strict=True):
        drawn += part.mark * max(until - len(drawn), 1)
    return f"|{drawn}|"


def drawing(stretches: Sequence[Part], whole_s: float) -> Iterator[str]:
    """The bar and, under it, what its marks mean."""
    yield bar(stretches, whole_s)
    for part in stretches:
        kept = "RECORDED" if part.recorded else "not recorded"
        yield f"   {part.mark}  {part.what:<10}{part.begin:6.1f} s to {part.end:5.1f} s   {kept}"
