"""Crops are square, centred on the box, and continue the picture at its edges."""

from __future__ import annotations

import numpy as np
import pytest

from mien.recognition.crop import MARGIN, crop_face

ROWS, COLUMNS = np.mgrid[0:100, 0:200]
PICTURE = np.dstack([COLUMNS, ROWS, np.zeros_like(ROWS)]).astype(np.uint8)


def test_crop_is_a_square_around_the_box() -> None:
    crop = crop_face(PICTURE, (50, 20, 40, 30))
    side = round(40 * MARGIN)
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    assert crop[..., 0].mean() == pytest.approx(70, abs=1)
    assert crop[..., 1].mean() == pytest.approx(35, abs=1)


def test_edges_are_repeated() -> None:
    crop = crop_face(PICTURE, (-20, 80, 40, 40))
    assert crop.shape[0] == crop.shape[1]
    np.testing.assert_array_equal(crop[:, 0, 0], 0)
    np.testing.assert_array_equal(crop[-1, :, 1], 99)


def test_a_box_of_less_than_a_pixel_gives_a_pixel() -> None:
    np.testing.assert_array_equal(crop_face(PICTURE, (7.2, 9.1, 0.3, 0.2)), [[[7, 9, 0]]])


def test_the_margin_widens_the_crop() -> None:
    assert crop_face(PICTURE, (50, 20, 40, 30), margin=1.5).shape == (60, 60, 3)


def test_eyes_become_level_and_the_size_stays() -> None:
    """Two bright eyes on a slope of 1 to 2 lie on one row afterwards, left and right of it."""
    picture = np.zeros((100, 100, 3), np.uint8)
    eyes = [(35.0, 40.0), (65.0, 55.0)]
    for x, y in eyes:
        picture[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] = 255
    plain = crop_face(picture, (20, 20, 60, 60))
    turned = crop_face(picture, (20, 20, 60, 60), eyes=eyes)
    assert turned.shape == plain.shape
    rows, columns = np.nonzero(turned[..., 0] > 100)
    assert np.ptp(rows) <= 4
    assert np.ptp(columns) == pytest.approx(np.hypot(30, 15) + 2, abs=2)
    level = crop_face(picture, (20, 20, 60, 60), eyes=[(30, 40), (60, 40)])
    np.testing.assert_array_equal(level, plain)
