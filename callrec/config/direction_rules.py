"""Rules over lines by their direction: what each takes, where its calls go, and when its notice may play."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from callrec.config.choices import CaptureFrom, OnNoNotice, Record
from callrec.config.models import Config, Line, Target
from callrec.config.outside import NUMBER
from callrec.core.values import CallDirection, NoticeWhen

Wrong = tuple[str, str]
"""The dotted key that should be changed, and the rest of the sentence."""


def targets(line: Line) -> Iterator[tuple[str, Target]]:
    """Every place that the line dials, by its key."""
    yield f"lines.{line.name}.destination", line.destination
    for i, target in enumerate(line.fallback):
        yield f"lines.{line.name}.fallback[{i}]", target


def _inbound_match(config: Config) -> Iterator[Wrong]:
    for line in (line for line in config.lines if line.direction is CallDirection.INBOUND):
        at = f"lines.{line.name}"
        if not line.dialled:
            yield f"{at}.match.dialled", "must be written: the numbers that this line takes"
        if line.prefix or line.peers:
            yield f"{at}.direction", "is inbound, and match.prefix and match.from go with outbound"


def _outbound_match(config: Config) -> Iterator[Wrong]:
    """Whoever may call outside is named: everybody else would do it at our cost."""
    for line in (line for line in config.lines if line.direction is CallDirection.OUTBOUND):
        at = f"lines.{line.name}.match"
        if line.dialled:
            yield f"{at}.dialled", "goes with direction: inbound; outbound lines have match.prefix and match.from"
        if not line.prefix:
            yield f"{at}.prefix", "must be written: what the PBX dials before the number of an outbound call"
        if not line.peers:
            yield f"{at}.from", "must be written: the addresses of the PBX, which alone may call outside"


def _whom_a_call_is_for(config: Config) -> Iterator[Wrong]:
    for line in config.lines:
        outbound = line.direction is CallDirection.OUTBOUND
        for at, target in targets(line):
            if outbound is not (NUMBER in target.written):
                what = f"must have {NUMBER} in it" if outbound else f"has {NUMBER} in it, which goes with outbound"
                yield at, f"{target.written} {what}: whom a call is for, as in sip:{NUMBER}@pbx"


def _outbound(config: Config) -> Iterator[Wrong]:
    """What cannot be had where somebody is called."""
    for line in config.lines:
        at, outbound = f"lines.{line.name}", line.direction is CallDirection.OUTBOUND
        if outbound is (line.notice_when is NoticeWhen.BEFORE_DIALLING):
            known = "staff_code or answer" if outbound else "before_dialling"
            what = f"is {line.notice_when.value}, and the line is {line.direction.value}"
            yield f"{at}.notice_when", f"{what}; write {known}, or remove the key"
        by_code = outbound and line.notice_when is NoticeWhen.STAFF_CODE and line.record is Record.IF_PROVEN
        if by_code and not (config.staff_codes.prefix and config.staff_codes.notice):
            yield "staff_codes.notice", f"must be a key: staff of line {line.name} order the notice by it"
        if outbound and line.on_no_notice is OnNoNotice.REJECT:
            yield f"{at}.on_no_notice", "is reject, and an outbound call goes out before any notice can play"
        if outbound and line.capture_from is CaptureFrom.STAFF_JOINED:
            yield f"{at}.capture_from", "is staff_joined, and on an outbound call staff are there from the beginning"


def _prefixes_apart(config: Config) -> Iterator[Wrong]:
    calling = [line for line in config.lines if line.prefix]
    for i, line in enumerate(calling):
        for other in calling[:i]:
            if line.prefix and other.prefix and _begin_alike(line.prefix, other.prefix):
                what = f"{line.prefix!r} and {other.prefix!r} of line {other.name} begin alike"
                yield f"lines.{line.name}.match.prefix", f"{what}; a call goes to one line"


def _begin_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


RULES: Final[tuple[Callable[[Config], Iterator[Wrong]], ...]] = (
    _inbound_match,
    _outbound_match,
    _whom_a_call_is_for,
    _outbound,
    _prefixes_apart,
)
