"""Embeddings of a split: every image once and in order, the file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mien.data.cache import Dataset, from_arrays
from mien.errors import MienError
from mien.evaluation.embeddings import Embeddings, embed_split


class Means:
    """Embeds an image as its mean, that of its left half, and one."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def preprocessing(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return 255 - images

    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(images))
        means = [images.mean(axis=(1, 2)), images[:, :, :4].mean(axis=(1, 2)), np.ones(len(images))]
        return np.stack(means, axis=1).astype(np.float32)


@pytest.fixture
def dataset() -> Dataset:
    random = np.random.default_rng(3)
    return from_arrays(
        images=random.integers(0, 256, (25, 8, 8)).astype(np.uint8),
        labels=(np.arange(25) % 8 - 1).astype(np.int8),
        splits=(np.arange(25) % 2).astype(np.uint8),
        names=np.array([f"Bild{i}ä" for i in range(25)]),
        split_names=("train", "validation"),
    )


def test_every_image_of_the_split_once_and_in_order(dataset: Dataset) -> None:
    told = []
    embedder = Means()
    found = embed_split(
        embedder,
        dataset,
        "validation",
        batch_size=5,
        progress=lambda done, total: told.append((done, total)),
    )
    assert embedder.batches == [5, 5, 2]
    assert told == [(5, 12), (10, 12), (12, 12)]
    assert found.names.tolist() == [f"Bild{i}ä" for i in range(1, 25, 2)]
    assert found.labels.tolist() == [i % 8 - 1 for i in range(1, 25, 2)]
    expected = 255 - dataset.images[1::2].mean(axis=(1, 2))
    np.testing.assert_allclose(found.vectors[:, 0], expected, rtol=1e-6)
    assert found.info["split"] == "validation"
    assert found.info["data"] == dataset.checksum


def test_the_file_has_what_others_read(dataset: Dataset, tmp_path: Path) -> None:
    found = embed_split(Means(), dataset, "train")
    found.save(tmp_path / "new" / "e.parquet")
    table = pq.read_table(tmp_path / "new" / "e.parquet")
    assert table.column_names == ["name", "label", "embedding"]
    assert table.schema.field("label").type == pa.int8()
    assert table.schema.field("embedding").type.value_type == pa.float32()
    assert table["name"].to_pylist() == found.names.tolist()
    assert table["label"].to_pylist() == [None if n < 0 else n for n in found.labels.tolist()]
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist()), found.vectors)
    assert json.loads(table.schema.metadata[b"mien.embeddings"]) == found.info
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["e.parquet"]


def test_directions_have_length_one_and_zero_stays() -> None:
    vectors = np.array([[3, 4], [0, 0], [-2, 0]], np.float32)
    found = Embeddings(np.array(["a", "b", "c"]), np.zeros(3, np.int8), vectors)
    expected = np.array([[0.6, 0.8], [0.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(found.directions, expected, rtol=1e-6)
    assert found.directions.dtype == np.float32


def test_values_that_are_no_numbers_are_told(dataset: Dataset) -> None:
    class Broken(Means):
        def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            vectors = super().embeddings(images)
            vectors[3, 1] = np.nan
            return vectors

    with pytest.raises(MienError, match="Bild6ä"):
        embed_split(Broken(), dataset, "train")


def test_a_split_that_is_not_there_or_empty_is_told(dataset: Dataset) -> None:
    with pytest.raises(MienError, match="did you mean 'train'"):
        embed_split(Means(), dataset, "trian")
    empty = from_arrays(
        images=dataset.images[:1],
        labels=dataset.labels[:1],
        splits=dataset.splits[:1],
        names=dataset.names[:1],
        split_names=("train", "test"),
    )
    with pytest.raises(MienError, match="'test' of the data set has no images"):
        embed_split(Means(), empty, "test")
