"""When somebody says they called: a day and an hour on their own clock, give or take."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from callrec.errors import ConfigError, Unavailable
from callrec.rights.numbers import Period

_SPAN: Final = re.compile(r"(?:(\d{1,3})h)?(?:(\d{1,4})m)?")
_LONGEST: Final = timedelta(days=7)


def period_around(day: str, around: str, tolerance: str, *, zone: str, line: str = "") -> Period:
    """The UTC period of this local day, or of the hour `around` on it, `tolerance` to each side.

    ConfigError names what is no date, hour or span; `Unavailable` where this machine does not know the zone.
    """
    place = _zone(zone)
    on = _date(day)
    if not around:
        begin = datetime.combine(on, time(), place)
        return _period(begin, datetime.combine(on + timedelta(days=1), time(), place), line)
    at = datetime.combine(on, _hour(around), place).astimezone(UTC)
    span = _span(tolerance)
    return _period(at - span, at + span + timedelta(minutes=1), line)


def _period(begin: datetime, end: datetime, line: str) -> Period:
    def text(moment: datetime) -> str:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")

    return Period(since=text(begin), until=text(end), line=line)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        step = "install the system's time zones (tzdata), or write --zone UTC and the hour in UTC"
        raise Unavailable(f"this machine knows no time zone {name!a:.40}", next_step=step) from error


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text or not 1970 < found.year < 9999:  # noqa: PLR2004
        raise ConfigError(f"--date: {text!a:.40} is no date", next_step="write it as 2026-03-01")
    return found


def _hour(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - an hour on the caller's clock
    except ValueError:
        raise ConfigError(f"--around: {text!a:.40} is no time of day", next_step="write it as 15:00") from None


def _span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    found = timedelta(hours=int(match[1] or 0), minutes=int(match[2] or 0)) if match and text else timedelta()
    if not timedelta() < found <= _LONGEST:
        step = "write it as 2h, 30m or 1h30m; at most seven days"
        raise ConfigError(f"--tolerance: {text!a:.40} is no span of time", next_step=step)
    return found
