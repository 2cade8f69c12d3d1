import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.problems import Kind
from mien.data.readers.digits import BadPixelsError, parse_careful, parse_fast

COUNT = 3


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 255), min_size=COUNT, max_size=COUNT), min_size=1))
def test_plain_rows_are_parsed_fast(rows: list[list[int]]) -> None:
    texts = [" ".join(map(str, row)).encode() for row in rows]
    parsed = parse_fast(texts, COUNT)
    assert parsed is not None
    assert parsed.tolist() == rows


_tokens = st.one_of(
    st.integers(0, 255).map(str),
    st.sampled_from(["256", "300", "355", "356", "511", "512", "999", "1000", "1255", "00012"]),
    st.text("0123456789 -.:x\t", max_size=5),
)
_texts = st.lists(_tokens, max_size=COUNT + 2).map(" ".join)


@settings(deadline=None)
@given(st.lists(_texts, min_size=1, max_size=4))
def test_what_the_fast_parser_returns_is_what_the_careful_one_returns(texts: list[str]) -> None:
    rows = [text.encode() for text in texts]
    parsed = parse_fast(rows, COUNT)
    if parsed is not None:
        for row, values in zip(rows, parsed, strict=True):
            assert np.array_equal(parse_careful(row, COUNT), values)


def test_no_number_over_255_wraps_around() -> None:
    taken = [v for v in range(1100) if parse_fast([f"1 {v} 3".encode()], COUNT) is not None]
    assert taken == list(range(256))


def test_numbers_are_not_moved_between_rows() -> None:
    assert parse_fast([b"1 2", b"3 4 5 6"], COUNT) is None
    assert parse_fast([b"1 2 3 4", b"5 6"], COUNT) is None


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (b"1 2", Kind.PIXEL_COUNT, "2 pixels instead of 3"),
        (b"1 2 3 4", Kind.PIXEL_COUNT, "4 pixels instead of 3"),
        (b"", Kind.PIXEL_COUNT, "0 pixels"),
        (b"1 256 3", Kind.PIXEL_VALUE, "pixel 1 is 256, over 255"),
        (b"1 2 99999999999", Kind.PIXEL_VALUE, "pixel 2"),
        (b"-1 2 3", Kind.PIXEL_VALUE, "pixel 0 is '-1', not a number"),
        (b"1 2.5 3", Kind.PIXEL_VALUE, "'2.5'"),
        (b"1 \xff 3", Kind.PIXEL_VALUE, "not a number"),
    ],
)
def test_the_careful_parser_says_what_is_wrong(text: bytes, kind: Kind, says: str) -> None:
    with pytest.raises(BadPixelsError, match=re.escape(says)) as caught:
        parse_careful(text, COUNT)
    assert caught.value.kind is kind


def test_the_careful_parser_takes_zeros_in_front_and_other_blanks() -> None:
    assert parse_careful(b" 007  00012\t0 ", COUNT).tolist() == [7, 12, 0]
