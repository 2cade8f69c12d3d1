"""YuNet: its file, the sizes that it is asked at, and what is made of its answers."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition.detection import Detection, intersection_over_union
from mien.recognition.detectors import detect, detector_by_name
from mien.recognition.yunet import YuNetDetector
from mien.weights.catalog import find

SAMPLE_FACE = (175, 68, 98, 104)  # By hand: from cheek to cheek and from the hairline to the chin.


class FakeYN:
    """Answers as FaceDetectorYN does: one face, given by shares of the picture."""

    def __init__(self, *shares: float) -> None:
        self.shares = np.array(shares)
        self.sizes: list[tuple[int, int]] = []

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802
        self.sizes.append(size)

    def detect(self, picture: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert (picture.shape[1], picture.shape[0]) == self.sizes[-1]
        box = self.shares * np.tile(self.sizes[-1], 2)
        eyes = [box[0] + box[2] * 0.3, box[1] + 1, box[0] + box[2] * 0.7, box[1] + 1]
        row = np.array([*box, *eyes, *[0.0] * 6, 0.9], np.float32)
        broken = row.copy()
        broken[0] = -np.inf
        return 1, np.stack([broken, row])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def make(*shares: float) -> tuple[YuNetDetector, FakeYN]:
        stub = FakeYN(*shares)
        monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: stub)
        file = tmp_path / "yunet.onnx"
        file.touch()
        detector = YuNetDetector(file)
        stub.sizes.clear()
        return detector, stub

    return make


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((3000, 4000), [(320, 240), (1024, 768)]),
        ((480, 640), [(320, 240), (640, 480)]),
        ((200, 300), [(300, 200)]),
        ((60, 40), [(107, 160)]),
        ((1, 1000), [(320, 1), (1000, 1)]),
    ],
)
def test_the_sizes_that_are_searched(fake: Any, shape: Any, sizes: list[tuple[int, int]]) -> None:
    detector, stub = fake(0.25, 0.25, 0.25, 0.5)
    detector(np.zeros((*shape, 3), np.uint8))
    assert stub.sizes == sizes


@pytest.mark.parametrize("height", [0.02, 0.1, 0.2, 0.3, 0.5, 0.9])
def test_a_face_is_found_once_at_whatever_size_and_in_pixels_of_the_picture(
    fake: Any, height: float
) -> None:
    detector, _ = fake(0.25, 0.05, height / 2, height)
    (face,) = detector(np.zeros((2000, 2000, 3), np.uint8))
    expected = np.array([0.25, 0.05, height / 2, height]) * 2000
    np.testing.assert_allclose(face.box, expected, rtol=1e-5)
    assert face.landmarks is not None
    assert len(face.landmarks) == 5
    right, left = face.landmarks[:2]
    assert expected[0] < right[0] < left[0] < expected[0] + expected[2]
    assert face.score == pytest.approx(0.9)


def test_a_missing_or_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MienError, match=r"no file .*nothing\.onnx"):
        YuNetDetector(tmp_path / "nothing.onnx")
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no network")
    with pytest.raises(MienError, match=r"wrong\.onnx is not YuNet") as caught:
        detector_by_name(wrong)
    assert "mien weights fetch yunet" in str(caught.value)
    with pytest.raises(MienError, match="is not YuNet"):
        detector_by_name(mien.recognition.bundled.find_model())


@pytest.mark.data
def test_auto_takes_yunet_where_it_is(
    yunet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    place = find("yunet").path
    place.parent.mkdir(parents=True)
    shutil.copy(yunet, place)
    for name in ("auto", "yunet"):
        assert isinstance(detector_by_name(name), YuNetDetector)


@pytest.mark.data
@pytest.mark.parametrize("size", [30, 60, 200, 512, 1500])
def test_the_sample_at_any_size(yunet: Path, size: int) -> None:
    picture = cv2.resize(decode(mien.SAMPLE).pixels, (size, size), interpolation=cv2.INTER_AREA)
    (face,) = detect(YuNetDetector(yunet), picture)
    scaled = tuple(value * size / 512 for value in SAMPLE_FACE)
    assert intersection_over_union(face.box, scaled) > 0.6


@pytest.mark.data
def test_a_face_that_fills_a_large_picture(yunet: Path) -> None:
    large = cv2.resize(decode(mien.SAMPLE).pixels[50:190, 160:290], (1300, 1400))
    (face,) = detect(YuNetDetector(yunet), large)
    assert max(face.box[2:]) > 800


@pytest.mark.data
def test_yunet_on_group_photos(yunet: Path, photos: Path) -> None:
    """All 18 faces, and nothing else; dlib's boxes are squares, YuNet's are tall."""
    import json

    detector = YuNetDetector(yunet)
    for name, boxes in json.loads((photos / "boxes.json").read_text()).items():
        found = detect(detector, decode(photos / name).pixels)
        assert len(found) == len(boxes), name
        for box in boxes:
            assert max(intersection_over_union(face.box, box) for face in found) > 0.4


@pytest.mark.data
def test_threads_do_not_disturb_each_other(yunet: Path) -> None:
    detector = YuNetDetector(yunet)
    pictures = [decode(mien.SAMPLE).pixels[:, :width] for width in (512, 400, 300, 512)]
    expected = [detector(picture) for picture in pictures]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(detector, pictures)) == expected


@pytest.mark.data
def test_eyes_are_those_of_the_person(yunet: Path) -> None:
    (face,) = mien.Recognizer(detector=yunet).analyze(mien.SAMPLE).to_deepface()
    right, left = face["region"]["right_eye"], face["region"]["left_eye"]
    # By hand; the person's right is our left.
    np.testing.assert_allclose([right, left], [(204, 101), (248, 102)], atol=8)


def test_a_tilted_face_is_read_as_the_upright_one() -> None:
    pixels = decode(mien.SAMPLE).pixels
    turn = cv2.getRotationMatrix2D((225, 120), 35, 1.0)
    tilted = cv2.warpAffine(pixels, turn, (512, 512))
    upright_eyes = np.array([(204, 101, 1), (248, 102, 1)])

    def scores(picture: np.ndarray, eyes: np.ndarray, align: bool) -> np.ndarray:
        face = Detection((175, 70, 100, 100), 1.0, tuple(map(tuple, eyes)))
        options = mien.FaceOptions(align=align)
        recognizer = mien.Recognizer(detector=lambda _: [face], faces=options)
        (found,) = recognizer.analyze(picture).faces
        assert found.box == (175, 70, 100, 100)
        return np.array(list(found.scores.values()))

    upright = scores(pixels, upright_eyes[:, :2], align=False)
    tilted_eyes = upright_eyes @ turn.T
    aligned = np.abs(scores(tilted, tilted_eyes, align=True) - upright).sum()
    assert aligned < 0.1
    assert aligned < np.abs(scores(tilted, tilted_eyes, align=False) - upright).sum()
