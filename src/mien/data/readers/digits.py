"""Pixels written as text: decimal numbers with blanks between them, to arrays of uint8."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.data.problems import Kind

_BLANK = ord(" ")
_ZERO = ord("0")


class BadPixelsError(ValueError):
    """A row's pixels are not what they should be."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


def parse_fast(texts: Sequence[bytes], count: int) -> NDArray[np.uint8] | None:
    """Parse rows of `count` numbers from 0 to 255, all at once, or return None.

    None means that *something* in the rows is not plain: any byte but digits and blanks, a number
    over 255 or with zeros in front, or a row with another count. Nothing that is returned needs a
    second look; `parse_careful` says what is wrong with a row that is not.

    Every byte becomes the value of the number that ends at it, modulo 256, in a few passes over the
    whole text; then the bytes at which a number ends are picked. A blank counts as 0, so only the
    hundreds need a mask: they must not reach past a blank.

    What was cut off a number is found by counting digits. Of a number with more than three digits
    only three are seen, and 256 to 299 become 0 to 43: written again, these are shorter than what
    was read, and none is longer. So the digits agree only where every number is as it was written;
    300 to 999 are seen by their hundreds.

    Args:
        texts: the rows; few enough to stay in the processor's cache are the fastest.
        count: numbers in a row.

    Returns:
        uint8, `len(texts)`×`count`, or None.
    """
    # Three blanks in front and one behind, so that every number has its neighbors.
    text = np.frombuffer(b" ".join([b"  ", *texts, b""]), np.uint8)
    digits = text - np.uint8(_ZERO)
    is_digit = digits < 10
    written = np.count_nonzero(is_digit)
    if written + np.count_nonzero(digits == (_BLANK - _ZERO) % 256) != len(text):
        return None
    digits &= 15  # what was a blank is 0 now
    hundreds = digits[1:-2] * (is_digit[3:] & is_digit[2:-1]).view(np.uint8)
    if hundreds.max() > 2:
        return None
    by_end = hundreds
    by_end *= np.uint8(100)
    by_end += digits[2:-1] * np.uint8(10)
    by_end += digits[3:]

    ends = np.flatnonzero(is_digit[3:-1] > is_digit[4:])
    if len(ends) != len(texts) * count:
        return None
    # A row's count is right where its last number lies within it, and not the next row's first.
    stops = np.cumsum([len(row) + 1 for row in texts])
    if (ends[count - 1 :: count] >= stops).any() or (ends[count::count] < stops[:-1]).any():
        return None
    values = by_end.take(ends)
    if len(ends) + np.count_nonzero(values > 9) + np.count_nonzero(values > 99) != written:
        return None
    return values.reshape(len(texts), count)


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
