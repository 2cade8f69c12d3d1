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
