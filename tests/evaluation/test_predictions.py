"""The predictions file: what comes back is what was written, and what is wrong is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.predictions import Predictions


@pytest.fixture
def predictions() -> Predictions:
    random = np.random.default_rng(7)
    return Predictions(
        names=np.array([f"Bild_{i}ä.png" for i in range(200)]),
        labels=random.integers(-1, 7, 200).astype(np.int8),
        probabilities=random.dirichlet(np.full(7, 0.3), 200).astype(np.float32),
        info={"split": "validation", "tta": "flip", "model": "größer"},
    )


def frame_of(predictions: Predictions) -> pd.DataFrame:
    frame = pd.DataFrame(predictions.probabilities, columns=EMOTIONS)
    labels = pd.Series(predictions.labels, dtype="Int8").mask(predictions.labels < 0)
    frame.insert(0, "label", labels)
    frame.insert(0, "name", predictions.names)
    return frame


def test_round_trip_is_exact(predictions: Predictions, tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "validation.parquet"
    predictions.save(file)
    back = Predictions.load(file)
    assert back.names.tolist() == predictions.names.tolist()
    np.testing.assert_array_equal(back.labels, predictions.labels)
    np.testing.assert_array_equal(back.probabilities, predictions.probabilities)
    assert (back.labels.dtype, back.probabilities.dtype) == (np.int8, np.float32)
    assert back.info == predictions.info
    assert [path.name for path in file.parent.iterdir()] == ["validation.parquet"]


def test_file_has_the_columns_that_others_read(predictions: Predictions, tmp_path: Path) -> None:
    predictions.save(tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["name", "label", *EMOTIONS]
    assert table.schema.field("label").type == pa.int8()
    assert {table.schema.field(emotion).type for emotion in EMOTIONS} == {pa.float32()}
    assert table["label"].null_count == (predictions.labels == -1).sum() > 0


def test_half_precision_rows_sum_to_one_again(predictions: Predictions, tmp_path: Path) -> None:
    predictions.save(tmp_path / "p.parquet", half=True)
    assert pq.read_schema(tmp_path / "p.parquet").field("happy").type == pa.float16()
    back = Predictions.load(tmp_path / "p.parquet")
    assert back.probabilities.dtype == np.float32
    np.testing.assert_allclose(back.probabilities, predictions.probabilities, atol=2.5e-4)
    np.testing.assert_allclose(back.probabilities.sum(axis=1), 1, atol=3e-7)


def test_csv_and_a_parquet_of_pandas_are_read(predictions: Predictions, tmp_path: Path) -> None:
    frame = frame_of(predictions)
    frame.to_csv(tmp_path / "p.csv", index=False)
    # In pandas without nullable types missing labels make the column float.
    frame.astype({"label": "float64"}).to_parquet(tmp_path / "p.parquet")
    for file in ("p.csv", "p.parquet"):
        back = Predictions.load(tmp_path / file)
        assert back.names.tolist() == predictions.names.tolist()
        np.testing.assert_array_equal(back.labels, predictions.labels)
        np.testing.assert_allclose(back.probabilities, predictions.probabilities, atol=1e-6)
        assert back.info == {}


def test_a_rounded_csv_without_labels_is_read(tmp_path: Path) -> None:
    header = ",".join(("name", *reversed(EMOTIONS), "comment"))
    (tmp_path / "p.csv").write_text(f"{header}\nNA,0.3333,0,0,0.3333,0,0,0.3333,x\n")
    back = Predictions.load(tmp_path / "p.csv")
    assert back.names.tolist() == ["NA"]
    assert back.labels.tolist() == [-1]
    np.testing.assert_allclose(back.probabilities[0, [0, 3, 6]], 1 / 3, rtol=1e-6)


def test_labels_are_filled_by_name_where_missing() -> None:
    predictions = Predictions(
        np.array(["b", "a", "c"]), np.array([-1, -1, 4], np.int8), np.eye(7, dtype=np.float32)[:3]
    )
    names, labels = np.array(["a", "b", "c", "d"]), np.array([1, 2, 3, 5], np.int8)
    assert predictions.with_labels(names, labels).labels.tolist() == [2, 1, 4]
    with pytest.raises(MienError, match=r"row 2 \(a\)"):
        predictions.with_labels(names[1:], labels[1:])


def put(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[4, column] = value
        return frame

    return change


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda frame: frame.drop(columns=["fear", "sad"]), "no column fear, sad"),
        (lambda frame: frame.drop(columns="name"), "no column name"),
        (put("fear", float("nan")), r"row 5 \(Bild_4ä.png\) has a probability .* for fear"),
        (put("sad", -0.25), r"row 5 \(Bild_4ä.png\) has a negative probability for sad"),
        (put("happy", 7.5), r"row 5 .* sum to [78]\.\d+, not to 1"),
        (put("label", 7), r"row 5 \(Bild_4ä.png\) has the label 7"),
        (put("label", 2.5), r"row 5 \(Bild_4ä.png\) has the label 2.5"),
        (put("name", "Bild_0ä.png"), r"rows 1 and 5 have the same name 'Bild_0ä.png'"),
    ],
)
def test_what_is_wrong_is_named(
    predictions: Predictions,
    tmp_path: Path,
    suffix: str,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    complaint: str,
) -> None:
    frame = change(frame_of(predictions))
    file = tmp_path / f"p{suffix}"
    if suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        for column in frame.columns.drop("name", errors="ignore"):
            frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")
        frame.to_parquet(file)
    with pytest.raises(MienError, match=complaint) as caught:
        Predictions.load(file)
    assert str(file) in caught.value.message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"name,label\nx,1,2\n"])
def test_what_is_no_predictions_file_is_refused(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    file = tmp_path / f"p{suffix}"
    file.write_bytes(content)
    with pytest.raises(MienError) as caught:
        Predictions.load(file)
    assert str(file) in caught.value.message


def test_words_for_labels_are_refused(predictions: Predictions, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(frame_of(predictions).assign(label="sad"))
    pq.write_table(table, tmp_path / "p.parquet")
    with pytest.raises(MienError, match=r"p\.parquet is not a predictions file"):
        Predictions.load(tmp_path / "p.parquet")


def test_rows_without_a_name_are_refused(predictions: Predictions, tmp_path: Path) -> None:
    frame = frame_of(predictions)
    frame.loc[3, "name"] = None
    frame.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(MienError, match=r"p\.parquet: a row has no name"):
        Predictions.load(tmp_path / "p.parquet")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MienError, match="there is no predictions file"):
        Predictions.load(tmp_path / "none.parquet")


def test_arrays_that_do_not_fit_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        Predictions(np.array(["a"]), np.zeros(2, np.int8), np.eye(7, dtype=np.float32)[:1])
