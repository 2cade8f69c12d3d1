"""A map finds the part of a face that a network looks at, and says how much it matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien.errors import MienError
from mien.images.decode import decode
from mien.recognition.explain import GRID, SIZES, explain
from mien.recognition.explain_picture import draw_explanations, heat_map

onnx = pytest.importorskip("onnx")
MakeModel = Callable[..., Path]

_SIDE = 48
_CELL = _SIDE // GRID


def looking_at(model: Path, rows: slice, columns: slice) -> Path:
    """Let a small model see nothing but some cells of its images, in which white is 1."""
    content = onnx.load(model)
    (value,) = content.graph.input
    color = len(value.type.tensor_type.shape.dim) == 4
    mask = np.zeros((_SIDE, _SIDE, *((1,) if color else ())), np.float32)
    mask[_pixels(rows), _pixels(columns)] = 1
    mask *= 5 * mask.size / mask.sum()  # logits from -5 to 5
    content.graph.initializer.append(onnx.numpy_helper.from_array(mask, "mask"))
    content.graph.node[1].input[0] = "masked"
    content.graph.node.insert(1, onnx.helper.make_node("Mul", ["float", "mask"], ["masked"]))
    onnx.save(content, model)
    return model


def _pixels(cells: slice) -> slice:
    return slice(cells.start * _CELL, cells.stop * _CELL)


def spot(rows: slice, columns: slice) -> np.ndarray:
    """A black picture with some cells in white."""
    picture = np.zeros((_SIDE, _SIDE), np.uint8)
    picture[_pixels(rows), _pixels(columns)] = 255
    return picture


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(16, 20), slice(9, 15)), (slice(0, 3), slice(0, 3)), (slice(5, 8), slice(20, 24))],
)
def test_the_map_finds_the_only_region_that_matters(
    make_model: MakeModel, color: bool, rows: slice, columns: slice
) -> None:
    path = looking_at(make_model(color=color), rows, columns)
    recognizer = mien.Recognizer(path, "haar", threads=1)
    (found,) = explain(spot(rows, columns), recognizer, detect=False)
    assert found.emotion == "neutral"  # the largest weight
    assert found.drops.shape == (GRID, GRID)
    inside = np.zeros_like(found.drops, bool)
    inside[rows, columns] = True
    assert inside[np.unravel_index(found.drops.argmax(), found.drops.shape)]
    assert found.drops[inside].mean() > 0.1
    assert found.drops[inside].min() > found.drops[~inside].mean()
    # No square hides both the region and a cell that is as far away as the largest is wide.
    far = np.ones_like(inside)
    far[
        max(rows.start - SIZES[-1], 0) : rows.stop + SIZES[-1],
        max(columns.start - SIZES[-1], 0) : columns.stop + SIZES[-1],
    ] = False
    assert far.any()
    np.testing.assert_allclose(found.drops[far], 0, atol=1e-6)


def test_a_drop_is_the_mean_of_what_hiding_costs(make_model: MakeModel) -> None:
    """A corner is hidden by one square of each size, so its value is known."""
    corner = slice(0, 3)
    path = looking_at(make_model(), corner, corner)
    recognizer = mien.Recognizer(path, "haar", threads=1)
    picture = spot(corner, corner)
    (found,) = explain(picture, recognizer, detect=False)
    costs = []
    for size in SIZES:
        hidden = picture.copy()
        part = (_pixels(slice(0, size)),) * 2
        hidden[part] = _blurred(picture, size * _CELL / 2)[part]
        costs.append(found.probability - _neutral(recognizer, hidden))
    assert found.drops[0, 0] == pytest.approx(np.mean(costs), abs=1e-6)


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    blurred: np.ndarray = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return blurred


def _neutral(recognizer: mien.Recognizer, picture: np.ndarray) -> float:
    return recognizer.analyze(picture, detect=False).faces[0].scores["neutral"]


def test_hiding_what_speaks_against_an_emotion_raises_it(make_model: MakeModel) -> None:
    region = (slice(4, 9), slice(4, 9))
    recognizer = mien.Recognizer(looking_at(make_model(), *region), "haar", threads=1)
    (found,) = explain(spot(*region), recognizer, emotion="anger", detect=False)
    assert found.emotion == "angry"
    assert found.drops[region].max() < 0
    upper, middle, lower = found.thirds
    assert upper < middle <= 0
    assert lower == pytest.approx(0, abs=1e-6)


def test_a_smile_is_seen_at_the_mouth() -> None:
    steps: list[tuple[int, int | None]] = []
    recognizer = mien.Recognizer(detector="haar", threads=1)
    (found,) = mien.explain(mien.SAMPLE, recognizer, progress=lambda *step: steps.append(step))
    recognized = recognizer.analyze(mien.SAMPLE).faces[0]
    assert found.face == recognized
    assert (found.number, found.emotion, found.image.shape) == (1, "happy", (48, 48))
    assert found.probability == recognized.scores["happy"]
    row, column = np.unravel_index(found.drops.argmax(), found.drops.shape)
    assert row > GRID / 2
    assert GRID / 4 < column < GRID * 3 / 4
    upper, middle, lower = found.thirds
    assert lower > max(upper, middle)
    assert steps[-1] == (665, 665)
    values = found.to_dict()
    assert np.abs(np.array(values["drops"]) - found.drops).max() < 1e-4
    assert (values["explained"], values["box"]) == ("happy", list(recognized.box))


def _two(picture: np.ndarray) -> list[tuple[float, ...]]:
    return [(10, 10, 20, 20), (60, 10, 20, 20)]


def test_one_face_of_several(model: Path) -> None:
    recognizer = mien.Recognizer(model, _two, threads=1)
    picture = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)
    both = explain(picture, recognizer)
    assert [found.number for found in both] == [1, 2]
    steps: list[Any] = []
    (second,) = explain(picture, recognizer, face=2, progress=lambda *step: steps.append(step))
    assert steps[-1] == (665, 665)
    assert second.number == 2
    assert second.face == both[1].face
    np.testing.assert_array_equal(second.drops, both[1].drops)
    np.testing.assert_array_equal(second.image, both[1].image)
    assert not np.array_equal(both[0].image, both[1].image)


def test_what_cannot_be_explained_is_told(model: Path, tmp_path: Path) -> None:
    recognizer = mien.Recognizer(model, "haar", threads=1)
    gray = np.full((64, 64, 3), 128, np.uint8)
    assert explain(gray, recognizer) == ()
    with pytest.raises(MienError, match="has no face 1") as refused:
        explain(gray, recognizer, face=1)
    assert refused.value.hint == "none was found in it"
    with pytest.raises(MienError, match="no face 2"):
        explain(gray, recognizer, face=2, detect=False)
    with pytest.raises(MienError, match="no emotion 'hapy'") as refused:
        explain(gray, recognizer, emotion="hapy")
    assert "happy" in str(refused.value.hint)
    with pytest.raises(MienError, match=r"missing\.jpg: no such file"):
        explain(tmp_path / "missing.jpg", recognizer)


def test_orange_lowers_and_blue_raises() -> None:
    image = np.full((GRID, GRID, 3), 128, np.uint8)
    drops = np.zeros((GRID, GRID), np.float32)
    drops[2, 2], drops[20, 20] = 0.3, -0.6
    tinted = heat_map(image, drops, scale=0.6).astype(int)
    assert tinted[2, 2, 0] > 128 > tinted[2, 2, 2]
    assert tinted[20, 20, 0] < 128 < tinted[20, 20, 2]
    assert (tinted[10, 10] == 128).all()
    # Half the drop has half the color.
    half, full = (heat_map(image, drops, scale)[2, 2].astype(int) - 128 for scale in (0.6, 0.3))
    np.testing.assert_allclose(2 * half, full, atol=1)


def test_the_picture_shows_photo_faces_and_maps(model: Path) -> None:
    recognizer = mien.Recognizer(model, _two, threads=1)
    decoded = decode(Image.new("RGB", (96, 48), (0, 200, 0)))
    found = explain(decoded.pixels, recognizer)
    both, one = draw_explanations(decoded, found), draw_explanations(decoded, found[:1])
    assert both.mode == "RGB"
    assert both.width == one.width
    assert both.height > one.height
    pixels = np.asarray(both)
    photo = (pixels == (0, 200, 0)).all(axis=2)
    assert photo[: both.height // 2].sum() > 100_000
    # A face that is gray all over: hiding a part of it changes nothing, so its map is gray.
    gray = (pixels == pixels[..., :1]).all(axis=2) & (pixels[..., 0] > 100)
    assert gray.sum() > 4 * 200 * 200
