import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.prepare import prepare
from mien.data.problems import BadRowsError, Kind
from mien.errors import MienError

pa = pytest.importorskip("pyarrow")


def _cells(images: Any, png: Callable[..., bytes], first: int = 0) -> list[dict[str, Any]]:
    return [{"bytes": png(im), "path": f"fer{i:07d}.png"} for i, im in enumerate(images, first)]


def test_shards_are_joined_in_order_and_split_by_their_names(
    tmp_path: Path,
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
) -> None:
    images = faces(8)
    folder = tmp_path / "data"
    folder.mkdir()
    write_parquet(folder / "test-00000-of-00001.parquet", _cells(images[6:], png, 6), None)
    write_parquet(folder / "train-00001-of-00002.parquet", _cells(images[2:4], png, 2), [2, 3])
    write_parquet(folder / "train-00000-of-00002.parquet", _cells(images[:2], png), [0, 1])
    write_parquet(folder / "validation-0.parquet", _cells(images[4:6], png, 4), [4, 5])
    dataset = prepare([folder], tmp_path / "out").dataset
    assert dataset.split_names == ("train", "validation", "test")
    assert np.array_equal(dataset.images, images)
    assert dataset.labels.tolist() == [0, 1, 2, 3, 4, 5, -1, -1]
    assert dataset.splits.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert dataset.names.tolist() == [f"fer{i:07d}.png" for i in range(8)]
    assert len({source["sha256"] for source in dataset.provenance["sources"]}) == 4


def test_names_of_classes_count_more_than_their_numbers(
    tmp_path: Path, faces: Callable[..., Any], png: Callable[..., bytes]
) -> None:
    from pyarrow import parquet

    alphabetical = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    features = {"image": {"_type": "Image"}, "label": {"names": alphabetical}}
    table = pa.table({"image": _cells(faces(3), png), "label": [4, 5, 6]})
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    parquet.write_table(table, tmp_path / "train.parquet")
    dataset = prepare([tmp_path / "train.parquet"], tmp_path / "out").dataset
    assert dataset.labels.tolist() == [6, 4, 5]


@pytest.mark.parametrize("labels", [[-1, -1], [None, None]])
def test_a_split_may_be_unlabeled(
    tmp_path: Path,
    labels: list[Any],
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
) -> None:
    source = write_parquet(tmp_path / "test.parquet", _cells(faces(2), png), labels)
    assert prepare([source], tmp_path / "out").dataset.labels.tolist() == [-1, -1]


def test_bad_rows_are_found_at_their_rows(
    tmp_path: Path,
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
) -> None:
    cells = _cells(faces(6), png)
    cells[1]["bytes"] = cells[1]["bytes"][:100]
    cells[2]["bytes"] = None
    source = write_parquet(tmp_path / "train.parquet", cells, [0, 0, 0, 7, -1, 5])
    with pytest.raises(BadRowsError) as caught:
        prepare([source], tmp_path / "out")
    assert {(p.file, p.row, p.kind) for p in caught.value.problems} == {
        ("train.parquet", 1, Kind.IMAGE),
        ("train.parquet", 2, Kind.IMAGE),
        ("train.parquet", 3, Kind.LABEL),
        ("train.parquet", 4, Kind.LABEL),
    }
    dataset = prepare([source], tmp_path / "out", skip_bad=True).dataset
    assert dataset.names.tolist() == ["fer0000000.png", "fer0000005.png"]


def test_a_truncated_file_is_reported(
    tmp_path: Path,
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
) -> None:
    whole = write_parquet(tmp_path / "train-0.parquet", _cells(faces(2), png), [0, 1])
    cut = tmp_path / "train-1.parquet"
    cut.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(BadRowsError) as caught:
        prepare([whole, cut], tmp_path / "out")
    (problem,) = caught.value.problems
    assert (problem.kind, problem.file) == (Kind.TRUNCATED, "train-1.parquet")


def test_names_that_repeat_are_made_different(
    tmp_path: Path,
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
) -> None:
    cells = [cell | {"path": name} for cell, name in zip(_cells(faces(3), png), "aab", strict=True)]
    write_parquet(tmp_path / "train-0.parquet", cells, [0, 1, 2])
    write_parquet(tmp_path / "train-1.parquet", cells[:1], [0])
    dataset = prepare([tmp_path], tmp_path / "out").dataset
    assert dataset.names.tolist() == ["a", "a#1", "b", "a#3"]


def test_a_copy_of_a_file_is_refused(
    tmp_path: Path,
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
) -> None:
    one = write_parquet(tmp_path / "train-0.parquet", _cells(faces(1), png), [0])
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(one.read_bytes())
    with pytest.raises(MienError, match=r"train-0\.parquet and .*copy\.parquet are the same file"):
        prepare([one, copy], tmp_path / "out")
