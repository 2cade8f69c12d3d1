import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.cache import load
from mien.data.prepare import prepare
from mien.data.problems import BadRowsError, Kind, Problem
from mien.errors import MienError

USAGES = ("Training", "PublicTest", "PrivateTest")
COLUMNS = ("emotion", "pixels", "Usage")


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.sampled_from(USAGES)), min_size=1, max_size=40),
    seed=st.integers(0, 2**32 - 1),
    columns=st.sampled_from(list(itertools.permutations(COLUMNS))),
    flags=st.tuples(*[st.booleans()] * 4),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_dialect_comes_back_bit_for_bit(
    rows: list[tuple[int, str]],
    seed: int,
    columns: tuple[str, ...],
    flags: tuple[bool, bool, bool, bool],
    end: str,
    faces: Callable[..., Any],
    write_csv: Callable[..., Path],
    dialect: Callable[..., Any],
) -> None:
    blank, quotes, bom, last_end = flags
    images = faces(len(rows), seed)
    labels, usages = zip(*rows, strict=True)
    style = dialect(columns, blank=blank, quotes=quotes, end=end, bom=bom, last_end=last_end)
    with tempfile.TemporaryDirectory() as folder:
        source = write_csv(Path(folder) / "fer2013.csv", images, labels, usages, style)
        prepare([source], Path(folder) / "out")
        dataset = load(Path(folder) / "out", verify=True)
        assert np.array_equal(dataset.images, images)
        assert dataset.labels.tolist() == list(labels)
        splits = dict(zip(USAGES, ("train", "validation", "test"), strict=True))
        assert [dataset.split_names[s] for s in dataset.splits] == [splits[u] for u in usages]
        assert dataset.names.tolist() == [f"fer{row:07d}" for row in range(len(rows))]


def test_the_contest_has_a_test_split_without_labels(
    tmp_path: Path,
    faces: Callable[..., Any],
    write_csv: Callable[..., Path],
    dialect: Callable[..., Any],
) -> None:
    folder = tmp_path / "contest"
    folder.mkdir()
    train, test = faces(3, 1), faces(2, 2)
    write_csv(folder / "test.csv", test, dialect=dialect(("pixels",)))
    write_csv(folder / "train.csv", train, [6, 0, 3], dialect=dialect(("emotion", "pixels")))
    (folder / "example_submission.csv").write_text("emotion\n0\n")
    dataset = prepare([folder], tmp_path / "out").dataset
    assert dataset.split_names == ("train", "test")
    assert np.array_equal(dataset.images, np.concatenate([train, test]))
    assert dataset.labels.tolist() == [6, 0, 3, -1, -1]
    assert dataset.names.tolist()[2:4] == ["fer0000002", "fer0000000"]


def _row(emotion: object, pixels: str, usage: str) -> str:
    return f"{emotion},{pixels},{usage}\n"


GOOD = " ".join(["7"] * 2304)
BAD_ROWS = [
    (_row(0, GOOD[:-2], "Training"), Kind.PIXEL_COUNT, "2,303 pixels instead of 2,304"),
    (_row(0, GOOD + " 7", "Training"), Kind.PIXEL_COUNT, "2,305 pixels"),
    (_row(0, "256" + GOOD[1:], "Training"), Kind.PIXEL_VALUE, "pixel 0 is 256, over 255"),
    (_row(0, "-1" + GOOD[1:], "Training"), Kind.PIXEL_VALUE, "not a number"),
    (_row(0, GOOD[:-1] + "x", "Training"), Kind.PIXEL_VALUE, "pixel 2303 is 'x'"),
    (_row(7, GOOD, "Training"), Kind.LABEL, "'7' is none of 0 to 6"),
    (_row(-1, GOOD, "Training"), Kind.LABEL, "'-1'"),
    (_row("", GOOD, "Training"), Kind.LABEL, "''"),
    (_row(0, GOOD, "Exam"), Kind.USAGE, "'Exam'"),
    (_row(0, GOOD, "Training,8"), Kind.FIELDS, "4 fields instead of 3"),
    (f"0,{GOOD}\n", Kind.FIELDS, "2 fields instead of 3"),
]


@pytest.mark.parametrize("place", [0, 1, 17, 40])
@pytest.mark.parametrize(("bad", "kind", "says"), BAD_ROWS)
def test_a_bad_row_is_found_at_its_line(
    tmp_path: Path, place: int, bad: str, kind: Kind, says: str
) -> None:
    rows = [_row(3, GOOD, "Training")] * 40
    rows.insert(place, bad)
    source = tmp_path / "fer2013.csv"
    source.write_text("emotion,pixels,Usage\n" + "".join(rows))
    with pytest.raises(BadRowsError) as caught:
        prepare([source], tmp_path / "out")
    (problem,) = caught.value.problems
    assert (problem.kind, problem.file, problem.row) == (kind, "fer2013.csv", place + 2)
    assert says in problem.text
    assert f"fer2013.csv:{place + 2}: " in caught.value.message
    assert not (tmp_path / "out").exists()

    prepared = prepare([source], tmp_path / "out", skip_bad=True)
    assert len(prepared.dataset) == 40
    assert prepared.skipped.counts() == {kind.value: 1}
    assert prepared.dataset.provenance["skipped"] == {kind.value: 1}
    # A name says the row in the official file, so it does not move up.
    assert prepared.dataset.names[-1] == ("fer0000040" if place < 40 else "fer0000039")


def test_all_bad_rows_are_reported_at_once(tmp_path: Path) -> None:
    source = tmp_path / "fer2013.csv"
    rows = [row for row, _, _ in BAD_ROWS] + [_row(9, "1 2 3", "Training")]
    source.write_text("emotion,pixels,Usage\n" + "".join(rows))
    with pytest.raises(BadRowsError) as caught:
        prepare([source], tmp_path / "out")
    found = [(p.row, p.kind) for p in caught.value.problems.in_order()]
    expected = [(line, kind) for line, (_, kind, _) in enumerate(BAD_ROWS, start=2)]
    last = len(BAD_ROWS) + 2
    assert found == [*expected, (last, Kind.LABEL), (last, Kind.PIXEL_COUNT)]


@pytest.mark.parametrize("kept", [2, 100, len(f"0,{GOOD}"), len(f"0,{GOOD},Privat")])
def test_a_truncated_file_is_found_at_its_last_line(tmp_path: Path, kept: int) -> None:
    source = tmp_path / "fer2013.csv"
    row = _row(0, GOOD, "PrivateTest")
    source.write_text("emotion,pixels,Usage\n" + row * 2 + row[:kept])
    with pytest.raises(BadRowsError) as caught:
        prepare([source], tmp_path / "out")
    (problem,) = caught.value.problems
    assert (problem.kind, problem.row) == (Kind.TRUNCATED, 4)
    assert "the file ends within this row" in problem.text


def test_a_truncated_file_whose_pixels_come_last(tmp_path: Path) -> None:
    source = tmp_path / "icml_face_data.csv"
    source.write_text(f"emotion, Usage, pixels\n0,Training,{GOOD}\n1,Training,{GOOD[:999]}")
    prepared = prepare([source], tmp_path / "out", skip_bad=True)
    (problem,) = prepared.skipped
    assert problem == Problem(
        Kind.TRUNCATED,
        "icml_face_data.csv",
        3,
        "500 pixels instead of 2,304; the file ends within this row",
    )
    assert prepared.dataset.labels.tolist() == [0]


def test_a_long_report_is_cut_and_counts_the_rest(tmp_path: Path) -> None:
    source = tmp_path / "fer2013.csv"
    source.write_text("emotion,pixels,Usage\n" + _row(8, GOOD, "Training") * 70)
    with pytest.raises(BadRowsError) as caught:
        prepare([source], tmp_path / "out")
    assert caught.value.message.count("fer2013.csv:") == 50
    assert "bad label 70" in caught.value.message
    assert "and 20 more" in caught.value.message


def test_the_same_rows_twice_are_refused(
    tmp_path: Path, faces: Callable[..., Any], write_csv: Callable[..., Path]
) -> None:
    one = write_csv(tmp_path / "one.csv", faces(2))
    two = write_csv(tmp_path / "two.csv", faces(2))
    with pytest.raises(MienError, match="fer0000000 occurs twice in the split train") as caught:
        prepare([one, two], tmp_path / "out")
    assert "one.csv and two.csv" in caught.value.message


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "fer2013.csv"
    source.write_text("emotion,pixels,Usage\n")
    with pytest.raises(MienError, match="no image that can be used"):
        prepare([source], tmp_path / "out")


def test_an_unknown_file_is_refused_with_the_known_formats(tmp_path: Path) -> None:
    source = tmp_path / "table.csv"
    source.write_text("a,b\n1,2\n")
    with pytest.raises(MienError, match="is not recognized") as caught:
        prepare([source], tmp_path / "out")
    assert caught.value.hint is not None
    for known in ("FER2013 CSV", "Parquet", "image folders", "fer2013new.csv"):
        assert known in caught.value.hint
