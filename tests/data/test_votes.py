from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.prepare import prepare
from mien.data.problems import BadRowsError, Kind
from mien.errors import MienError

USAGES = ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"] * 3


def _votes(path: Path) -> np.ndarray:
    return np.loadtxt(path, np.uint8, delimiter=",", skiprows=1, usecols=range(2, 12))


@pytest.fixture
def table(tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path]) -> Path:
    return write_csv(tmp_path / "fer2013.csv", faces(9), usages=USAGES)


def test_votes_join_by_row(tmp_path: Path, table: Path, write_votes: Callable[..., Path]) -> None:
    counts = {"Training": 4, "PublicTest": 2, "PrivateTest": 3}
    votes = write_votes(tmp_path / "fer2013new.csv", counts)
    dataset = prepare([table, votes], tmp_path / "out").dataset
    assert np.array_equal(dataset.votes, _votes(votes))
    assert dataset.provenance["sources"][-1]["name"] == "fer2013new.csv"


def test_a_split_may_have_no_votes(
    tmp_path: Path, table: Path, write_votes: Callable[..., Path]
) -> None:
    votes = write_votes(tmp_path / "ferplus.csv", {"Training": 4, "PublicTest": 2})
    dataset = prepare([tmp_path], tmp_path / "out").dataset
    assert dataset.votes is not None
    assert np.array_equal(dataset.votes[:6], _votes(votes))
    assert not dataset.votes[6:].any()


def test_another_count_is_refused_with_both_counts(
    tmp_path: Path, table: Path, write_votes: Callable[..., Path]
) -> None:
    votes = write_votes(tmp_path / "fer2013new.csv", {"Training": 4, "PublicTest": 3})
    with pytest.raises(MienError, match="votes for 3 rows of validation, but the data has 2 rows"):
        prepare([table, votes], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_that_were_left_out_do_not_move_the_votes(
    tmp_path: Path, table: Path, write_votes: Callable[..., Path]
) -> None:
    lines = table.read_text().splitlines(keepends=True)
    lines[2] = "9" + lines[2][1:]  # a bad label in the second row
    lines[6] = lines[6].replace(" ", " x", 1)  # a bad pixel in the last row of validation
    table.write_text("".join(lines))
    votes = write_votes(tmp_path / "fer2013new.csv", {"Training": 4, "PublicTest": 2})
    dataset = prepare([table, votes], tmp_path / "out", skip_bad=True).dataset
    assert dataset.votes is not None
    assert np.array_equal(dataset.votes[:4], _votes(votes)[[0, 2, 3, 4]])


def test_votes_go_on_over_shards(
    tmp_path: Path,
    faces: Callable[..., Any],
    png: Callable[..., bytes],
    write_parquet: Callable[..., Path],
    write_votes: Callable[..., Path],
) -> None:
    cells = [{"bytes": png(image), "path": f"{i}"} for i, image in enumerate(faces(5))]
    cells[1]["bytes"] = b"broken"
    write_parquet(tmp_path / "train-0.parquet", cells[:3], [0, 1, 2])
    write_parquet(tmp_path / "train-1.parquet", cells[3:], [3, 4])
    votes = write_votes(tmp_path / "ferplus.csv", {"Training": 5})
    dataset = prepare([tmp_path], tmp_path / "out", skip_bad=True).dataset
    assert np.array_equal(dataset.votes, _votes(votes)[[0, 2, 3, 4]])


def test_bad_votes_are_found_at_their_lines(
    tmp_path: Path, table: Path, write_votes: Callable[..., Path]
) -> None:
    votes = write_votes(tmp_path / "fer2013new.csv", {"Training": 4})
    lines = votes.read_text().splitlines(keepends=True)
    lines[2] = "Training,,1,2,3,-4,5,6,7,8,9,1\n"
    lines[3] = "Training,,1,2,3\n"
    lines.append("Exam,,1,2,3,4,5,6,7,8,9,1\n")
    votes.write_text("".join(lines))
    with pytest.raises(BadRowsError) as caught:
        prepare([table, votes], tmp_path / "out")
    assert [(p.file, p.row, p.kind) for p in caught.value.problems] == [
        ("fer2013new.csv", 3, Kind.VOTES),
        ("fer2013new.csv", 4, Kind.VOTES),
        ("fer2013new.csv", 6, Kind.USAGE),
    ]


def test_votes_cannot_join_what_lost_its_order(
    tmp_path: Path,
    faces: Callable[..., Any],
    write_tree: Callable[..., Path],
    write_votes: Callable[..., Path],
) -> None:
    tree = write_tree(tmp_path / "tree", {"train/happy/1.png": faces(1)[0]})
    votes = write_votes(tmp_path / "fer2013new.csv", {"Training": 1})
    with pytest.raises(MienError, match="has not kept FER2013's order"):
        prepare([tree, votes], tmp_path / "out")


def test_votes_alone_are_refused(tmp_path: Path, write_votes: Callable[..., Path]) -> None:
    votes = write_votes(tmp_path / "fer2013new.csv", {"Training": 1})
    with pytest.raises(MienError, match="no source holds images"):
        prepare([votes], tmp_path / "out")
