from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.data.cache import Dataset, from_arrays
from mien.data.describe import describe
from mien.data.sheets import write_sheets


@pytest.fixture
def dataset(faces: Callable[..., Any]) -> Dataset:
    """Ten images; equal are 0 and 1 (train), 2 (train) and 6 (test), 7 and 8 (test); 9 is blank."""
    images = faces(10, side=8)
    images[1], images[6], images[8] = images[0], images[2], images[7]
    images[9] = 40
    votes = np.zeros((10, 10), np.uint8)
    votes[0, 4] = 6  # anger wins, the label is angry
    votes[1, [4, 0]] = 5  # a draw does not win
    votes[2, 0] = 9  # neutral wins, the label is not
    votes[6, 0] = 9  # no label to compare with
    return from_arrays(
        images=images,
        labels=np.array([0, 3, 1, 1, 6, 6, -1, -1, -1, -1], np.int8),
        splits=np.array([0] * 6 + [1] * 4, np.uint8),
        names=np.array([f"a/long/name/of/a/file/{i}.png" for i in range(10)]),
        split_names=("train", "test"),
        votes=votes,
    )


def test_it_counts_what_is_there(dataset: Dataset) -> None:
    found = describe(dataset)
    assert found.count == 10
    assert found.classes["train"] == {
        "angry": 1,
        "disgust": 2,
        "fear": 0,
        "happy": 1,
        "sad": 0,
        "surprise": 0,
        "neutral": 2,
        "unlabeled": 0,
    }
    assert found.classes["test"]["unlabeled"] == 4
    assert found.duplicates.within == {"train": 1, "test": 1}
    assert found.duplicates.across == {("train", "test"): 1}
    assert found.duplicates.conflicting == 2  # images 0 and 1: angry and happy
    assert found.votes["train"].rows == 3
    assert found.votes["train"].agreeing == pytest.approx(1 / 3)
    assert found.votes["test"].rows == 1
    assert found.votes["test"].agreeing is None


def test_statistics_are_numpys(dataset: Dataset) -> None:
    found = describe(dataset).images
    assert found.mean == pytest.approx(dataset.images.mean(), rel=1e-12)
    assert found.std == pytest.approx(dataset.images.std(), rel=1e-9)
    assert (found.minimum, found.maximum) == (dataset.images.min(), dataset.images.max())
    blank = np.ptp(dataset.images.reshape(10, -1), axis=1) == 0
    assert found.constant == np.count_nonzero(blank) >= 1


def test_a_class_has_a_sheet_where_it_has_images(dataset: Dataset, tmp_path: Path) -> None:
    sheets = write_sheets(dataset, tmp_path)
    names = ["angry.png", "disgust.png", "happy.png", "neutral.png", "unlabeled.png"]
    assert [sheet.name for sheet in sheets] == names
    with Image.open(tmp_path / "unlabeled.png") as sheet:
        pixels = np.asarray(sheet)
    # The blank image (gray level 40) is the fourth, 112 pixels wide.
    assert np.count_nonzero((pixels == 40).all(axis=2)) >= 112 * 112
    # Its name stands below it.
    below = pixels[40 + 112 : 40 + 112 + 16, 8 + 3 * 120 : 8 + 3 * 120 + 112]
    assert below.min() < 60
    assert (tmp_path / "unlabeled.png").stat().st_mode & 0o444


def test_colored_images_are_described_and_drawn(tmp_path: Path) -> None:
    red = np.zeros((1, 8, 8, 3), np.uint8)
    red[..., 0] = 255
    dataset = from_arrays(
        images=red,
        labels=np.array([3], np.int8),
        splits=np.zeros(1, np.uint8),
        names=np.array(["red"]),
        split_names=("train",),
    )
    found = describe(dataset)
    assert found.color
    assert found.images.mean == 85
    assert found.images.constant == 0
    (path,) = write_sheets(dataset, tmp_path)
    with Image.open(path) as sheet:
        assert sheet.getpixel((60, 90)) == (255, 0, 0)
