"""Faces are found where they are, once, and not where there are none."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition.bundled import SAMPLE
from mien.recognition.detectors import (
    Detection,
    detect,
    detector_by_name,
    intersection_over_union,
    suppress,
)
from mien.recognition.haar import HaarDetector

EMPTY = np.zeros((100, 200, 3), np.uint8)
# By hand: from the left to the right cheek and from the hairline to the chin.
SAMPLE_FACE = (175, 75, 100, 90)


def test_intersection_over_union() -> None:
    assert intersection_over_union((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert intersection_over_union((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert intersection_over_union((0, 0, 10, 10), (10, 0, 10, 10)) == 0


def test_of_overlapping_boxes_the_surest_stays() -> None:
    faces = [
        Detection((0, 0, 10, 10), 0.6),
        Detection((1, 1, 10, 10), 0.9),
        Detection((50, 0, 10, 10), 0.7),
    ]
    assert suppress(faces) == [faces[1], faces[2]]


def test_a_callable_is_a_detector() -> None:
    found = detect(lambda _: [(120, 10, 30, 30, 0.5), (10, 20, 30, 30)], EMPTY)
    assert found == [Detection((10, 20, 30, 30), 1.0), Detection((120, 10, 30, 30), 0.5)]


def test_boxes_are_clipped_to_the_picture() -> None:
    found = detect(lambda _: [(-10, -5, 30, 30), (190, 90, 50, 50), (300, 0, 9, 9)], EMPTY)
    assert [face.box for face in found] == [(0, 0, 20, 25), (190, 90, 10, 10)]


@pytest.mark.parametrize("returned", ["face", (1, 2, 3), (1, 2, float("nan"), 4), None, 7])
def test_what_is_no_detection_is_named(returned: object) -> None:
    with pytest.raises(MienError, match="a detector returned") as caught:
        detect(lambda _: [returned], EMPTY)  # type: ignore[list-item,return-value]
    assert "x, y, width, height" in str(caught.value)


def test_unknown_detector() -> None:
    with pytest.raises(MienError, match="unknown detector 'har'") as caught:
        detector_by_name("har")
    assert caught.value.hint == "did you mean 'haar'?"


boxes = st.tuples(*[st.floats(-300, 300)] * 2, *[st.floats(0, 300)] * 2, st.floats(-1, 2))


@given(st.lists(boxes, max_size=12))
def test_detections_are_inside_apart_and_in_order(found: list[tuple[float, ...]]) -> None:
    faces = detect(lambda _: found, EMPTY)
    for index, face in enumerate(faces):
        x, y, width, height = face.box
        assert x >= 0
        assert y >= 0
        assert min(width, height) >= 1
        assert x + width <= 200 + 1e-9
        assert y + height <= 100 + 1e-9
        assert 0 <= face.score <= 1
        for other in faces[index + 1 :]:
            assert intersection_over_union(face.box, other.box) <= 0.4
            assert x + width / 2 <= other.box[0] + other.box[2] / 2
    assert detect(lambda _: found[::-1], EMPTY) == faces


def test_the_sample_has_one_face() -> None:
    (face,) = detect(HaarDetector(), decode(SAMPLE).pixels)
    assert intersection_over_union(face.box, SAMPLE_FACE) > 0.6
    assert face.score > 0.5


@pytest.mark.parametrize("size", [200, 1500])
def test_boxes_are_in_pixels_of_the_picture_that_was_given(size: int) -> None:
    resized = cv2.resize(decode(SAMPLE).pixels, (size, size), interpolation=cv2.INTER_AREA)
    (face,) = detect(HaarDetector(), resized)
    scaled = tuple(value * size / 512 for value in SAMPLE_FACE)
    assert intersection_over_union(face.box, scaled) > 0.6


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "page", "brick"])
def test_no_face_is_invented(name: str) -> None:
    data = pytest.importorskip("skimage.data")
    picture = getattr(data, name)()
    assert detect(HaarDetector(), decode(picture).pixels) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (700, 2, 3)])
def test_pictures_of_odd_shapes_have_no_faces(shape: tuple[int, ...]) -> None:
    assert detect(HaarDetector(), np.full(shape, 90, np.uint8)) == []


def test_threads_do_not_disturb_each_other() -> None:
    picture = decode(SAMPLE).pixels
    detector = HaarDetector()
    expected = detector(picture)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(detector, [picture] * 4):
            assert found == expected


@pytest.mark.data
def test_group_photos(photos: Path) -> None:
    """The bar is 15 of the 18 faces with at most one false."""
    labelled = json.loads((photos / "boxes.json").read_text())
    detector = HaarDetector()
    true = false = 0
    for name, faces in labelled.items():
        missing = list(faces)
        for face in detect(detector, decode(photos / name).pixels):
            best = max(
                missing, key=lambda box: intersection_over_union(face.box, box), default=None
            )
            if best is not None and intersection_over_union(face.box, best) >= 0.5:
                missing.remove(best)
                true += 1
            else:
                false += 1
    assert true >= 15
    assert false <= 1
