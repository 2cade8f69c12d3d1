"""Faces are found where they are, once, and not where there are none."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition import detectors
from mien.recognition.bundled import SAMPLE
from mien.recognition.detection import Detection, Detector, intersection_over_union, suppress
from mien.recognition.detectors import FaceOptions, detect, detector_by_name
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
    assert "did you mean 'haar'?" in str(caught.value)


def test_auto_is_haar_without_yunet_and_says_once_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    monkeypatch.setattr(detectors, "_advised", False)
    with pytest.warns(UserWarning, match="mien weights fetch yunet"):
        assert isinstance(detector_by_name("auto"), HaarDetector)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector_by_name("auto")
    with pytest.raises(MienError, match="yunet is not on this machine"):
        detector_by_name("yunet")


FACES = [
    Detection((0, 0, 20, 30), 0.9),
    Detection((100, 0, 40, 10), 0.6),
    Detection((150, 50, 8, 8), 0.8),
]


@pytest.mark.parametrize(
    ("options", "scale", "chosen"),
    [
        (FaceOptions(), 1, [0, 1, 2]),
        (FaceOptions(min_size=30), 1, [0, 1]),
        (FaceOptions(min_size=30), 4, [0, 1, 2]),
        (FaceOptions(min_confidence=0.7), 1, [0, 2]),
        (FaceOptions(largest=True), 1, [0]),
        (FaceOptions(largest=True, min_confidence=0.95), 1, []),
    ],
)
def test_which_faces_count(options: FaceOptions, scale: float, chosen: list[int]) -> None:
    assert options.choose(FACES, scale) == [FACES[index] for index in chosen]


@pytest.mark.parametrize(
    "values",
    [
        {"search_side": 8},
        {"min_size": -1},
        {"min_confidence": 1.1},
        {"margin": 0},
        {"margin": float("nan")},
    ],
)
def test_options_have_ranges(values: dict[str, float]) -> None:
    with pytest.raises(MienError, match="must be"):
        FaceOptions(**values)  # type: ignore[arg-type]


def test_landmarks_may_be_an_array_and_must_be_points() -> None:
    points = np.array([[1, 2], [3, 4]], np.float32)
    face = Detection((0, 0, 9, 9), 1.0, points)  # type: ignore[arg-type]
    assert detect(lambda _: [face], EMPTY)[0].landmarks == ((1.0, 2.0), (3.0, 4.0))
    wrong = Detection((0, 0, 9, 9), 1.0, (1, 2))  # type: ignore[arg-type]
    with pytest.raises(MienError, match="N×2"):
        detect(lambda _: [wrong], EMPTY)


def test_the_side_that_is_searched() -> None:
    """The face of 100 pixels has 50 where 2048 are reduced to 1024, and 16 at 320."""
    picture = decode(SAMPLE).pixels
    framed = cv2.copyMakeBorder(picture, 0, 1536, 0, 1536, cv2.BORDER_REPLICATE)
    for side, found in ((1024, 1), (320, 0)):
        detector = detector_by_name("haar", FaceOptions(search_side=side))
        assert len(detect(detector, framed)) == found


def test_haar_s_least_confidence() -> None:
    picture = decode(SAMPLE).pixels
    (face,) = detect(HaarDetector(), picture)
    assert detect(HaarDetector(min_confidence=face.score + 0.01), picture) == []
    assert detect(HaarDetector(min_confidence=0.05), picture)[0] == face


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


def found_in(photos: Path, detector: Detector) -> tuple[int, int]:
    """How many of the labelled faces of all photos are found, and how many others."""
    labelled = json.loads((photos / "boxes.json").read_text())
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
    return true, false


@pytest.mark.data
def test_haar_on_group_photos(photos: Path) -> None:
    """The bar is 15 of the 18 faces with at most one false."""
    true, false = found_in(photos, HaarDetector())
    assert true >= 15
    assert false <= 1
