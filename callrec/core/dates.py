"""Calendar arithmetic for keeping periods. Where a day does not exist the next one is meant: later is safe."""

from __future__ import annotations

from datetime import date, timedelta

_MONTHS = 12


def plus(start: date, *, years: int = 0, months: int = 0) -> date:
    """This many years and months later. 29 February falls on 1 March in common years, 31 August + 6 months likewise.

    OverflowError past the year 9999.
    """
    count = start.year * _MONTHS + start.month - 1 + years * _MONTHS + months
    year, month = divmod(count, _MONTHS)
    try:
        return date(year, month + 1, start.day)
    except ValueError as error:
        if start.day <= 28:  # noqa: PLR2004 - every month has 28 days, so it is the year that does not exist
            raise OverflowError(f"no such date: {years} years and {months} months after {start}") from error
        first = date(year, month + 1, 1)
        return (first + timedelta(days=31)).replace(day=1)


def birthday(born: date, age: int) -> date:
    """The day on which somebody born then turns `age`."""
    return plus(born, years=age)


def age_on(born: date, day: date) -> int:
    """Age in completed years on that day. ValueError where the day is before the birth."""
    if day < born:
        raise ValueError(f"{day} is before the date of birth")
    age = day.year - born.year
    return age if birthday(born, age) <= day else age - 1
