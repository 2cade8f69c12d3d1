"""From a classifier and a split to predictions, and what the room may import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from mien.data.cache import Dataset, from_arrays
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.predict import predict
from mien.images.preprocessing import Preprocessing
from mien.version import __version__


@dataclass
class Reader:
    """Read the emotion off the first pixel, so that each image's probabilities are known."""

    labels: tuple[str, ...] = EMOTIONS
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(size=8))
    broken: bool = False

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        assert images.shape[1:] == (8, 8)
        assert images.dtype == np.uint8
        rows = np.full((len(images), 7), 0.05, np.float32)
        for row, image in zip(rows, images, strict=True):
            row[self.labels.index(EMOTIONS[image[0, 0]])] = np.nan if self.broken else 0.7
        return rows


@pytest.fixture
def dataset() -> Dataset:
    """Thirty images, every third of the validation split; the first pixel is the emotion."""
    emotions = np.arange(30) % 7
    images = np.repeat(emotions.astype(np.uint8), 64).reshape(30, 8, 8)
    images[:, :, -1] = 0
    return from_arrays(
        images=images,
        labels=np.where(np.arange(30) < 20, emotions, -1).astype(np.int8),
        splits=(np.arange(30) % 3 == 2).astype(np.uint8),
        names=np.array([f"{i}.png" for i in range(30)]),
        split_names=("train", "validation", "test"),
    )


def test_rows_keep_their_order_over_batches(dataset: Dataset) -> None:
    heard: list[tuple[int, int | None]] = []
    result = predict(
        Reader(),
        dataset,
        "validation",
        batch_size=4,
        progress=lambda done, total: heard.append((done, total)),
    )
    rows = np.arange(2, 30, 3)
    assert result.names.tolist() == [f"{i}.png" for i in rows]
    assert result.labels.tolist() == [i % 7 if i < 20 else -1 for i in rows]
    assert result.probabilities.argmax(axis=1).tolist() == (rows % 7).tolist()
    assert heard == [(4, 10), (8, 10), (10, 10)]
    assert result.info == {
        "split": "validation",
        "tta": "none",
        "data": dataset.checksum,
        "mien": __version__,
    }


def test_columns_follow_the_classifiers_labels(dataset: Dataset) -> None:
    result = predict(Reader(labels=tuple(reversed(EMOTIONS))), dataset, "validation")
    assert result.probabilities.argmax(axis=1).tolist() == (np.arange(2, 30, 3) % 7).tolist()


def test_views_are_averaged(dataset: Dataset) -> None:
    # The last column is 0, so the mirror image always reads as angry.
    result = predict(Reader(), dataset, "validation", tta="flip")
    np.testing.assert_allclose(result.probabilities[0], [0.375, 0.05, 0.375, *[0.05] * 4])
    assert result.info["tta"] == "flip"


def test_images_go_through_the_preprocessing(dataset: Dataset) -> None:
    large = from_arrays(
        images=np.stack([dataset.images.repeat(3, 1).repeat(3, 2)] * 3, axis=-1),
        labels=dataset.labels,
        splits=dataset.splits,
        names=dataset.names,
        split_names=dataset.split_names,
    )
    expected = predict(Reader(), dataset, "train").probabilities
    np.testing.assert_array_equal(predict(Reader(), large, "train").probabilities, expected)


@pytest.mark.parametrize(
    ("classifier", "split", "complaint"),
    [
        (Reader(), "public", "no split 'public'"),
        (Reader(), "test", "the split 'test' of the data set has no images"),
        (Reader(labels=("cat", *EMOTIONS[1:])), "train", "the model tells cat, disgust"),
        (Reader(broken=True), "train", r"row 1 \(0.png\) has a probability .* no number for angry"),
    ],
)
def test_what_cannot_be_predicted_is_told(
    dataset: Dataset, classifier: Reader, split: str, complaint: str
) -> None:
    with pytest.raises(MienError, match=complaint):
        predict(classifier, dataset, split)


def test_the_room_is_light_and_knows_no_other() -> None:
    code = """
import sys
import mien.evaluation.metrics, mien.evaluation.plots, mien.evaluation.predict
heavy = {"torch", "pandas", "matplotlib", "pyarrow", "sklearn", "skimage", "scipy"}
rooms = {"mien.data", "mien.images", "mien.models", "mien.training", "mien.recognition"}
print(sorted((heavy | rooms) & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")
