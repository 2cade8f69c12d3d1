"""Annotated pictures: what is drawn covers no face, at any size of picture."""

from __future__ import annotations

import numpy as np
import pytest

from mien.emotions import EMOTIONS
from mien.recognition.annotate import COLORS, SMALLEST_SIDE, annotate
from mien.recognition.results import Face, Picture


def face(x: int, y: int, side: int, emotion: str = "happy") -> Face:
    scores = {name: 0.7 if name == emotion else 0.05 for name in EMOTIONS}
    return Face((x, y, side, side), 0.9, emotion, 0.7, scores)


def drawn(width: int, height: int, *faces: Face) -> tuple[np.ndarray, np.ndarray]:
    """Return the annotated picture and the same without faces."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    picture = Picture("a.jpg", "ok", width, height, faces)
    plain = Picture("a.jpg", "no_face", width, height)
    return np.asarray(annotate(pixels, picture)), np.asarray(annotate(pixels, plain))


def inside(box: tuple[int, ...], scale: float, image: np.ndarray) -> np.ndarray:
    """Return what is within a box, without its outline."""
    x, y, width, height = (round(value * scale) for value in box)
    rim = 8 + image.shape[1] // 300
    return image[y + rim : y + height - rim, x + rim : x + width - rim]


@pytest.mark.parametrize(
    ("width", "height", "faces"),
    [
        (500, 375, [face(230, 150, 60)]),
        (500, 375, [face(0, 0, 60), face(440, 0, 60), face(0, 315, 60), face(440, 315, 60)]),
        (500, 375, [face(x, 150, 50) for x in range(10, 450, 70)]),
        (3000, 2000, [face(x, y, 200) for x in (300, 1500, 2500) for y in (300, 1500)]),
        (1200, 1600, [face(100, 100, 800)]),
    ],
)
def test_no_face_is_covered(width: int, height: int, faces: list[Face]) -> None:
    annotated, plain = drawn(width, height, *faces)
    scale = annotated.shape[1] / width
    for each in faces:
        np.testing.assert_array_equal(
            inside(each.box, scale, annotated), inside(each.box, scale, plain)
        )
    changed = (annotated != plain).any(axis=-1).mean()
    assert changed > 0.01 * len(faces)


def test_each_emotion_has_a_color_of_its_own() -> None:
    assert tuple(COLORS) == EMOTIONS
    assert len(set(COLORS.values())) == len(EMOTIONS)
    for emotion in EMOTIONS:
        annotated, _ = drawn(500, 375, face(200, 150, 80, emotion))
        color = [int(COLORS[emotion][i : i + 2], 16) for i in (1, 3, 5)]
        assert (annotated == color).all(axis=-1).sum() > 500


def test_longer_bars_for_higher_scores() -> None:
    lengths = []
    for confidence in (0.2, 0.5, 0.9):
        scores = dict.fromkeys(EMOTIONS, (1 - confidence) / 6) | {"fear": confidence}
        each = Face((200, 150, 80, 80), 0.9, "angry", 0.1, scores)
        annotated, _ = drawn(500, 375, each)
        color = [int(COLORS["fear"][i : i + 2], 16) for i in (1, 3, 5)]
        lengths.append(int((annotated == color).all(axis=-1).any(axis=0).sum()))
    assert lengths == sorted(lengths)
    assert lengths[2] / lengths[0] == pytest.approx(4.5, rel=0.15)


def test_too_many_faces_get_labels() -> None:
    faces = [face(x, y, 30) for x in range(10, 480, 50) for y in range(40, 350, 60)]
    annotated, plain = drawn(500, 375, *faces)
    for each in faces:
        assert (inside(each.box, SMALLEST_SIDE / 500, annotated) == 120).mean() > 0.5
    assert (annotated != plain).any(axis=-1).mean() > 0.1


def test_size() -> None:
    assert drawn(500, 375, face(0, 0, 40))[0].shape == (720, 960, 3)
    assert drawn(1500, 1000, face(0, 0, 40))[0].shape == (1000, 1500, 3)
    assert drawn(1, 1, face(0, 0, 1))[0].shape == (960, 960, 3)
    assert drawn(900, 2, face(0, 0, 2))[0].shape == (2, 960, 3)
    assert (drawn(1500, 1000)[0] == 120).all()
