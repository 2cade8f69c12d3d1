"""What makes a face hard to read is said, and only then."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import mien
from mien.images.decode import decode
from mien.recognition.quality import quality_of

FACE = decode(mien.SAMPLE).pixels[63:165, 174:276]


def test_a_good_face_has_no_note() -> None:
    assert quality_of(FACE, 102) == ()


def test_small() -> None:
    assert quality_of(FACE, 23.9) == ("small",)


@pytest.mark.parametrize("sigma", [5, 8])
def test_blurred(sigma: float) -> None:
    assert quality_of(cv2.GaussianBlur(FACE, (0, 0), sigma), 102) == ("blurred",)


def test_few_pixels_enlarged_are_blurred() -> None:
    tiny = cv2.resize(FACE, (12, 12), interpolation=cv2.INTER_AREA)
    assert quality_of(tiny, 12) == ("small", "blurred")


def test_dark_but_not_therefore_blurred() -> None:
    assert quality_of((FACE * 0.2).astype(np.uint8), 102) == ("dark",)


def test_low_contrast_is_no_blur() -> None:
    assert quality_of((FACE * 0.3 + 90).astype(np.uint8), 102) == ()


def test_one_gray_level() -> None:
    assert quality_of(np.full((48, 48, 3), 128, np.uint8), 48) == ("blurred",)


def test_results_carry_the_notes() -> None:
    dark = (decode(mien.SAMPLE).pixels * 0.2).astype(np.uint8)
    recognizer = mien.Recognizer(detector=lambda _: [(174, 63, 102, 102)])
    (face,) = recognizer.analyze(dark).faces
    assert face.quality == ("dark",)
    assert face.to_dict()["quality"] == ["dark"]
