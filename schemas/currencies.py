"""How many decimal digits the minor unit of a currency has (ISO 4217)."""

from __future__ import annotations

from typing import Final

_USUAL_DIGITS: Final = 2

# The active currencies that differ from the usual.
_NO_DIGITS: Final = (
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF"),
    *("XOF", "XPF"),
)
#: The digits of the currencies, three letters each, that differ from the usual.
UNUSUAL_DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(_NO_DIGITS, 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_unit_digits(currency: str | None) -> int:
    """Return the digits of the currency's minor unit; 2 for an unknown or absent one.

    >>> minor_unit_digits("EUR"), minor_unit_digits("JPY"), minor_unit_digits("KWD"), minor_unit_digits(None)
    (2, 0, 3, 2)
    """
    return _USUAL_DIGITS if currency is None else UNUSUAL_DIGITS.get(currency, _USUAL_DIGITS)
