"""From a picture to a result: statuses, boxes, scores, batches."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.errors import MienError
from mien.images.decode import UnreadableError

MakeModel = Callable[..., Path]

KEYS = ["image", "status", "width", "height", "faces"]
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


def two_boxes(_: np.ndarray) -> list[tuple[float, ...]]:
    return [(50, 10, 20, 20, 0.75), (5, 5, 30, 30)]


def scores_of(image: np.ndarray) -> np.ndarray:
    """What the small model says of a gray image, in NumPy."""
    powers = np.exp(image.mean() / 255 * np.linspace(-1, 1, 7))
    return powers / powers.sum()


def test_faces_of_a_picture(model: Path) -> None:
    recognizer = mien.Recognizer(model, detector=two_boxes)
    picture = recognizer.analyze(PICTURE)
    assert (picture.image, picture.status, picture.width, picture.height) == (
        "<array>",
        "ok",
        90,
        60,
    )
    left, right = picture.faces
    assert (left.box, left.detection) == ((5, 5, 30, 30), 1.0)
    assert (right.box, right.detection) == ((50, 10, 20, 20), 0.75)
    for face in picture.faces:
        x, y, width, height = face.box
        crop = recognizer.classifier.preprocessing([PICTURE[y : y + height, x : x + width]])
        np.testing.assert_allclose(list(face.scores.values()), scores_of(crop), atol=1e-5)
        assert tuple(face.scores) == mien.EMOTIONS
        assert face.scores[face.emotion] == face.confidence == max(face.scores.values())


def test_scores_follow_the_labels_of_the_model(make_model: MakeModel) -> None:
    plain = mien.Recognizer(make_model("a.onnx"), "haar").analyze(PICTURE, detect=False)
    labels = json.dumps(mien.EMOTIONS[::-1])
    other = mien.Recognizer(make_model("b.onnx", labels=labels), "haar")
    turned = other.analyze(PICTURE, detect=False)
    assert list(turned.faces[0].scores) == list(mien.EMOTIONS)
    forward, backward = (list(p.faces[0].scores.values()) for p in (plain, turned))
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)


def test_result_as_json(model: Path) -> None:
    values = mien.Recognizer(model, detector=two_boxes).analyze(PICTURE).to_dict()
    assert list(values) == KEYS
    assert list(values["faces"][0]) == [
        *("box", "detection", "emotion", "confidence", "scores"),
        *("uncertain", "quality", "landmarks"),
    ]
    assert json.loads(json.dumps(values)) == values
    assert type(values["faces"][0]["box"][0]) is int
    assert type(values["faces"][0]["confidence"]) is float


def test_no_face_is_a_result(model: Path) -> None:
    picture = mien.Recognizer(model, detector=lambda _: []).analyze(PICTURE)
    assert picture.to_dict() == {
        "image": "<array>",
        "status": "no_face",
        "width": 90,
        "height": 60,
        "faces": [],
    }


def test_unreadable_is_a_result(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no picture")
    assert mien.Recognizer(model, "haar").analyze(path).to_dict() == {
        "image": str(path),
        "status": "unreadable",
        "width": 0,
        "height": 0,
        "faces": [],
        "reason": "not a picture in a known format",
    }


def test_without_detection_the_picture_is_the_face(model: Path) -> None:
    image = np.full((48, 48), 200, np.uint8)
    (face,) = mien.Recognizer(model, "haar").analyze(image, detect=False).faces
    assert (face.box, face.detection) == ((0, 0, 48, 48), 1.0)
    np.testing.assert_allclose(list(face.scores.values()), scores_of(image), atol=1e-5)


def test_every_source_gives_the_same(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.fromarray(PICTURE)
    image.save(path)
    recognizer = mien.Recognizer(model, detector=two_boxes)
    expected = recognizer.analyze(PICTURE).faces
    for source in (path, str(path), path.read_bytes(), image, Image.open(path)):
        assert recognizer.analyze(source).faces == expected


def test_boxes_of_a_reduced_picture_are_those_of_the_full_one(model: Path) -> None:
    large = Image.new("RGB", (4800, 2400), "gray")
    exif = large.getexif()
    exif[0x0112] = 6  # a quarter turn
    buffer = io.BytesIO()
    large.save(buffer, "JPEG", exif=exif)
    seen = []

    def lower_right_corner(pixels: np.ndarray) -> list[tuple[float, ...]]:
        seen.append(pixels.shape)
        return [(pixels.shape[1] - 100, pixels.shape[0] - 100, 100, 100)]

    picture = mien.Recognizer(model, lower_right_corner).analyze(buffer.getvalue())
    assert seen == [(1600, 800, 3)]
    assert (picture.width, picture.height) == (2400, 4800)
    assert picture.faces[0].box == (2100, 4500, 300, 300)


def test_many_pictures_come_in_order_whatever_they_are(model: Path, tmp_path: Path) -> None:
    sources = [PICTURE, b"broken", tmp_path / "none.png", PICTURE[:0], PICTURE[:, ::-1]] * 30
    recognizer = mien.Recognizer(model, detector=two_boxes)
    pictures = list(recognizer.analyze_many(sources))
    assert [picture.status for picture in pictures[:5]] == ["ok", *["unreadable"] * 3, "ok"]
    assert pictures[4].faces == recognizer.analyze(PICTURE[:, ::-1]).faces
    for start in range(5, 150, 5):
        assert pictures[start : start + 5] == pictures[:5]


def test_workers_change_nothing_but_the_time(model: Path) -> None:
    sources = [PICTURE, b"broken", PICTURE[:, ::-1], PICTURE[::2]] * 12
    recognizer = mien.Recognizer(model, detector=two_boxes)
    expected = list(recognizer.analyze_many(sources))
    assert list(recognizer.analyze_many(sources, workers=3)) == expected


def test_pictures_are_searched_side_by_side(model: Path) -> None:
    together = threading.Barrier(3, timeout=60)

    def detector(picture: np.ndarray, /) -> list[tuple[float, ...]]:
        together.wait()
        return []

    recognizer = mien.Recognizer(model, detector=detector)
    found = list(recognizer.analyze_many([PICTURE] * 9, workers=3))
    assert [picture.status for picture in found] == ["no_face"] * 9


def test_pictures_are_searched_while_others_are_classified(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = threading.Semaphore(0)

    def detector(picture: np.ndarray, /) -> list[tuple[float, ...]]:
        searched.release()
        return [(5.0, 5.0, 20.0, 20.0)]

    recognizer = mien.Recognizer(model, detector=detector)
    classify = recognizer.classifier.probabilities
    batches = []

    def probabilities(images: np.ndarray) -> np.ndarray:
        batches.append(len(images))
        if len(batches) == 1:
            # One more than are in the batch: it is searched now, or was before.
            assert all(searched.acquire(timeout=60) for _ in range(len(images) + 1))
        return classify(images)

    monkeypatch.setattr(recognizer.classifier, "probabilities", probabilities)
    assert len(list(recognizer.analyze_many([PICTURE] * 40, workers=2))) == 40
    assert len(batches) > 1
    assert sum(batches) == 40


def test_a_function_gets_a_picture_where_it_is_decoded(model: Path) -> None:
    def refuse() -> bytes:
        raise UnreadableError("not today")

    recognizer = mien.Recognizer(model, detector=two_boxes)
    good, bad = recognizer.analyze_many([lambda: PICTURE, refuse], workers=2)
    assert good.faces == recognizer.analyze(PICTURE).faces
    assert (bad.image, bad.status, bad.reason) == ("<image>", "unreadable", "not today")


def test_an_error_in_a_worker_comes_out(model: Path) -> None:
    recognizer = mien.Recognizer(model, detector=lambda _: ["face"])
    with pytest.raises(MienError, match="a detector returned"):
        list(recognizer.analyze_many([PICTURE] * 9, workers=2))


def test_pictures_are_taken_as_they_are_needed(model: Path) -> None:
    taken = []

    def endless():  # type: ignore[no-untyped-def]
        while True:
            taken.append(1)
            yield PICTURE

    results = mien.Recognizer(model, detector=two_boxes).analyze_many(endless())
    assert [next(results).status for _ in range(20)] == ["ok"] * 20
    assert len(taken) <= 36


def test_a_detector_that_returns_nonsense_is_named(model: Path) -> None:
    with pytest.raises(MienError, match="a detector returned"):
        mien.Recognizer(model, detector=lambda _: ["face"]).analyze(PICTURE)


@pytest.mark.parametrize(("below", "verdicts"), [(0, {"angry", "neutral"}), (1, {"uncertain"})])
def test_the_verdict_on_an_uncertain_face(model: Path, below: float, verdicts: set[str]) -> None:
    recognizer = mien.Recognizer(model, detector=two_boxes, uncertain_below=below)
    faces = recognizer.analyze(PICTURE).faces
    assert {face.verdict for face in faces} <= verdicts
    for face in faces:
        assert face.emotion in mien.EMOTIONS
        assert face.to_dict()["uncertain"] is (below == 1)
    with pytest.raises(MienError, match="between 0 and 1"):
        mien.Recognizer(model, two_boxes, uncertain_below=7)


def test_options_reach_detection_and_crop(model: Path) -> None:
    options = mien.FaceOptions(min_size=25, margin=0.5)
    recognizer = mien.Recognizer(model, detector=two_boxes, faces=options)
    (face,) = recognizer.analyze(PICTURE).faces
    assert face.box == (5, 5, 30, 30)
    crop = recognizer.classifier.preprocessing([PICTURE[12:27, 12:27]])
    np.testing.assert_allclose(list(face.scores.values()), scores_of(crop), atol=2e-3)


def test_the_size_that_counts_is_that_in_the_full_picture(model: Path) -> None:
    large = Image.new("RGB", (3200, 1600), "gray")  # searched at half its size
    for least, found in ((2 * 30, 1), (2 * 30 + 1, 0)):
        options = mien.FaceOptions(min_size=least, largest=True)
        recognizer = mien.Recognizer(model, detector=two_boxes, faces=options)
        assert len(recognizer.analyze(large).faces) == found


def test_the_bundled_model_sees_the_sample_smile() -> None:
    (face,) = mien.analyze(mien.SAMPLE).faces
    assert face.emotion == "happy"
    assert face.confidence > 0.5
