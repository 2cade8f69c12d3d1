from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.cache import Dataset, from_arrays, load, save
from mien.errors import MienError


@pytest.fixture
def dataset(faces: Callable[..., Any]) -> Dataset:
    return from_arrays(
        images=faces(5),
        labels=np.array([0, 1, 2, -1, 6], np.int8),
        splits=np.array([0, 1, 0, 1, 0], np.uint8),
        names=np.array(["a", "b", "c", "d", "e"]),
        votes=np.ones((5, 10), np.uint8),
        split_names=("train", "test"),
        provenance={"sources": ["ä"]},
    )


def test_a_saved_data_set_comes_back(dataset: Dataset, tmp_path: Path) -> None:
    save(dataset, tmp_path / "out")
    loaded = load(tmp_path / "out", verify=True)
    for name in ("images", "labels", "splits", "names", "votes"):
        assert np.array_equal(getattr(loaded, name), getattr(dataset, name))
    assert isinstance(loaded.images, np.memmap)
    assert loaded.split_names == ("train", "test")
    assert loaded.provenance == {"sources": ["ä"]}
    assert loaded.checksum == dataset.checksum


def test_a_split_is_its_rows_in_order(dataset: Dataset) -> None:
    assert dataset.indices("train").tolist() == [0, 2, 4]
    subset = dataset.subset("test")
    assert subset.names.tolist() == ["b", "d"]
    assert subset.split_names == ("test",)
    with pytest.raises(MienError, match="no split 'tset'") as caught:
        dataset.indices("tset")
    assert caught.value.hint == "did you mean 'test'?"


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "names.npy", "votes.npy"])
def test_a_changed_byte_is_found(dataset: Dataset, tmp_path: Path, name: str) -> None:
    save(dataset, tmp_path / "out")
    path = tmp_path / "out" / name
    content = bytearray(path.read_bytes())
    content[-4] ^= 1
    path.write_bytes(content)
    with pytest.raises(MienError, match="its checksum differs"):
        load(tmp_path / "out", verify=True)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "meta.json"])
def test_a_cut_file_is_named(dataset: Dataset, tmp_path: Path, name: str) -> None:
    save(dataset, tmp_path / "out")
    path = tmp_path / "out" / name
    path.write_bytes(path.read_bytes()[:-1])
    if name == "meta.json":
        path.write_text("{")
    with pytest.raises(MienError, match="is damaged"):
        load(tmp_path / "out")


def test_another_folder_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="not a prepared data set"):
        load(tmp_path)


def test_arrays_that_do_not_fit_are_refused(faces: Callable[..., Any]) -> None:
    arrays: dict[str, Any] = {
        "images": faces(2),
        "labels": np.zeros(2, np.int8),
        "splits": np.zeros(2, np.uint8),
        "names": np.array(["a", "b"]),
        "split_names": ("train",),
    }
    with pytest.raises(ValueError, match="labels must have the shape"):
        from_arrays(**arrays | {"labels": np.zeros(3, np.int8)})
    with pytest.raises(ValueError, match="votes must have the shape"):
        from_arrays(**arrays | {"votes": np.zeros((2, 9), np.uint8)})
    with pytest.raises(ValueError, match="images must be uint8"):
        from_arrays(**arrays | {"images": np.zeros((2, 48, 48))})


def test_sources_come_back_and_leave_other_checksums_alone(
    dataset: Dataset, tmp_path: Path
) -> None:
    arrays = {
        name: getattr(dataset, name)
        for name in ("images", "labels", "splits", "names", "votes", "split_names")
    }
    # As mien computed it before there were sources.
    assert dataset.checksum.startswith("6a7abab03d8661c6")
    mixed = from_arrays(
        **arrays, sources=np.array([0, 0, 1, 1, 1], np.uint8), source_names=("fer2013", "ck")
    )
    assert mixed.checksum != dataset.checksum
    save(mixed, tmp_path / "out")
    loaded = load(tmp_path / "out", verify=True)
    assert loaded.sources is not None
    assert loaded.sources.tolist() == [0, 0, 1, 1, 1]
    assert loaded.source_names == ("fer2013", "ck")
    subset = loaded.subset("train")
    assert subset.sources is not None
    assert subset.sources.tolist() == [0, 1, 1]
    save(dataset, tmp_path / "plain")
    assert load(tmp_path / "plain").sources is None


def test_a_changed_source_is_found(dataset: Dataset, tmp_path: Path) -> None:
    sources = np.array([0, 0, 1, 1, 1], np.uint8)
    mixed = from_arrays(
        images=dataset.images,
        labels=dataset.labels,
        splits=dataset.splits,
        names=dataset.names,
        split_names=dataset.split_names,
        sources=sources,
        source_names=("fer2013", "ck"),
    )
    save(mixed, tmp_path / "out")
    np.save(tmp_path / "out" / "sources.npy", sources[::-1])
    with pytest.raises(MienError, match="its checksum differs"):
        load(tmp_path / "out", verify=True)
