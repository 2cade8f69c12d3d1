"""Pixels written as text: decimal numbers with blanks between them, to arrays of uint8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind

_BLANK = ord(" ")
_ZERO, _NINE = ord("0"), ord("9")


class BadPixelsError(ValueError):
    """A row's pixels are not what they should be."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def parse_fast(texts: Sequence[bytes], count: int) -> NDArray[np.uint8] | None:
    """Parse rows of `count` numbers from 0 to 255, all at once, or return None.

    None means that *something* in the rows is not plain: any byte but digits and blanks, a number
    over 255 or of more than three digits, or a row with another count. Nothing that is returned
    needs a second look; `parse_careful` says what is wrong with a row that is not.

    Every byte becomes the value of the number that ends at it, in a few passes over the whole
    text; then the bytes at which a number ends are picked. A blank's low four bits are 0 and a
    digit's are its value, so only the hundreds need a mask: they must not reach past a blank.

    Args:
        texts: the rows; about 100 KB together stay in the processor's cache.
        count: numbers in a row.

    Returns:
        uint8, `len(texts)`×`count`, or None.
    """
    # Three blanks in front and one behind, so that every number has its neighbours.
    text = np.frombuffer(b"   %b " % b" ".join(texts), np.uint8)
    is_digit = text >= _ZERO
    if text.max() > _NINE or np.count_nonzero(text == _BLANK) + np.count_nonzero(is_digit) != len(
        text
    ):
        return None
    digits = text & 15
    two_digits = is_digit[3:] & is_digit[2:-1]
    if (two_digits & is_digit[1:-2] & is_digit[:-3]).any():
        return None
    hundreds = digits[1:-2] * two_digits.view(np.uint8)
    below = digits[2:-1] * np.uint8(10)
    below += digits[3:]
    if hundreds.max() > 2:
        return None
    hundreds *= np.uint8(100)
    # With at most 2 hundreds a number over 255 wraps around to less than its last two digits.
    values = below + hundreds
    if (values < below).any():
        return None

    ends = np.flatnonzero(is_digit[3:-1] > is_digit[4:])
    if len(ends) != len(texts) * count:
        return None
    # A row's last number lies before the row's end, its next one behind it: then counts are right.
    last = ends.reshape(len(texts), count)[:, -1]
    stops = np.cumsum([len(row) + 1 for row in texts])
    firsts = ends.reshape(len(texts), count)[1:, 0]
    if (last >= stops).any() or (firsts < stops[:-1]).any():
        return None
    return values[ends].reshape(len(texts), count)


def parse_careful(text: bytes, count: int) -> NDArray[np.uint8]:
    """Parse one row of `count` numbers from 0 to 255, value by value.

    Raises:
        BadPixelsError: the count is another, or a value is no number or over 255; the first such.
    """
    values = text.split()
    if len(values) != count:
        raise BadPixelsError(Kind.PIXEL_COUNT, f"{len(values):,} pixels instead of {count:,}")
    for place, value in enumerate(values):
        if not value.isdigit():
            shown = value[:12].decode(errors="replace")
            raise BadPixelsError(Kind.PIXEL_VALUE, f"pixel {place} is {shown!r}, not a number")
        if len(value.lstrip(b"0")) > 3 or int(value.lstrip(b"0") or b"0") > 255:
            shown = value[:12].decode()
            raise BadPixelsError(Kind.PIXEL_VALUE, f"pixel {place} is {shown}, over 255")
    return np.array([int(value) for value in values], np.uint8)
