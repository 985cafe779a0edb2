"""Single values of a person's file to values of our columns; each function raises ValueError with what is wrong.

A missing value (null, NaN, no characters) becomes None.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from schemas.currencies import minor_unit_digits
from schemas.validation import shortened

LEVELS_APART: Final = " > "

_SMALLEST_LONG: Final = -(2**63)
_LARGEST_LONG: Final = 2**63 - 1
_MOST_DIGITS: Final = 19  # of a number that a long may hold; 1e999999999 is short to write
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_missing(value: object) -> bool:
    """Say whether a file has nothing here."""
    return value is None or value == "" or (isinstance(value, float | Decimal) and math.isnan(value))


def text(value: object) -> str | None:
    """Return a text. A number, as files have them for ids, becomes its digits: 17.0 is "17"."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # half of a surrogate pair, which JSON can spell, is no text: UnicodeEncodeError
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _wrong(value, "is not a text")
    number = _decimal(value)
    is_whole = number.adjusted() <= _MOST_DIGITS and number == number.to_integral_value()
    return str(int(number)) if is_whole else str(number)


def currency_code(value: object) -> str | None:
    """Return a currency's code in capital letters."""
    found = text(value)
    return found and found.strip().upper()


def price_minor(value: object, currency: str | None) -> int | None:
    """Return a price of major units in minor units of its currency, from the digits that the file shows.

    Half a minor unit goes to the even neighbour: 12.345 EUR is 1234, 12.355 EUR is 1236. A binary float stands
    for the shortest decimal that reads back as it, so it is rounded as it looks, not as it is stored.

    >>> price_minor("12.345", "EUR"), price_minor(12.355, "EUR"), price_minor("1500", "JPY")
    (1234, 1236, 1500)
    """
    if is_missing(value):
        return None
    amount = _decimal(value)
    if amount < 0:
        raise _wrong(value, "is negative")
    if amount.adjusted() > _MOST_DIGITS:
        raise _wrong(value, "is too large")
    return _long(amount.scaleb(minor_unit_digits(currency)).to_integral_value(ROUND_HALF_EVEN), value)


def whole_number(value: object) -> int | None:
    """Return a whole number; 12.0 is one, which pandas makes of 12 in a column with gaps."""
    if is_missing(value):
        return None
    number = _decimal(value)
    if number != number.to_integral_value():
        raise _wrong(value, "is not a whole number")
    return _long(number, value)


def number(value: object) -> float | None:
    """Return a finite number."""
    return None if is_missing(value) else float(_decimal(value))


def milliseconds(value: object) -> int | None:
    """Return a time as milliseconds since 1970 UTC.

    It may be a timestamp, a text by ISO 8601, or already that number. A time without a zone is UTC.
    """
    if is_missing(value):
        return None
    if isinstance(value, str) and not value.strip().lstrip("-").isdecimal():
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise _wrong(value, "is not a time such as 2026-01-31T12:00:00Z") from error
    if isinstance(value, date):
        if not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return int(((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1))
    return whole_number(value)


def category_path(value: object) -> list[str] | None:
    """Return a category's levels, root first, from a list or from a text with " > " between levels."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        levels: list[object] = [level.strip() for level in value.split(LEVELS_APART)]
    elif isinstance(value, list):
        levels = value
    else:
        raise _wrong(value, "is neither a list nor a text such as 'Core > memory'")
    if not levels:
        raise ValueError("the list is empty, expected at least one level")
    path = [text(level) or "" for level in levels]
    # "A >> B" and "A > > B" leave an arrow at a level's edge: a level is missing there.
    if not all(level.strip(" >") for level in path) or any(level[0] == ">" or level[-1] == ">" for level in path):
        raise _wrong(value, "has a blank level")
    return path


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise _wrong(value, "is not a number")
    try:
        found = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation as error:
        raise _wrong(value, "is not a number") from error
    if not found.is_finite():
        raise _wrong(value, "is not a finite number")
    return found


def _wrong(value: object, what: str) -> ValueError:
    return ValueError(f"{shortened(value)} {what}")


def _long(number: Decimal, value: object) -> int:
    if not _SMALLEST_LONG <= number <= _LARGEST_LONG:
        raise _wrong(value, "is too large")
    return int(number)
