"""The pictures: what is written on them, that they are PNGs, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mien.errors import MienError
from mien.evaluation import plots
from mien.evaluation.metrics import evaluate
from mien.evaluation.predictions import Predictions

HEADER = (
    "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,seconds,more"
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = plots.save_png

    def remember(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save_png", remember)
    return figures


def write_history(folder: Path, *rows: str) -> Path:
    path = folder / "history.csv"
    path.write_text("\n".join((HEADER, *rows)) + "\n")
    return path


def test_curves_mark_the_first_best_epoch(tmp_path: Path, drawn: list[Figure]) -> None:
    history = write_history(
        tmp_path,
        "1,1.9,0.2,1.8,0.30,0.1,5,x",
        "2,nan,,1.5,0.42,0.1,5,x",
        "3,1.2,0.5,1.4,nan,0.1,5,x",
        "4,1.1,0.55,1.3,0.42,0.1,5,x",
    )
    plots.training_curves(history, tmp_path / "curves.png")
    accuracy, loss = drawn[0].axes
    assert accuracy.get_title(loc="right") == "best epoch 2: validation 42.00 %"
    assert loss.get_title(loc="right") == "best epoch 2: validation 1.500"
    train, validation = accuracy.lines[:2]
    np.testing.assert_allclose(train.get_ydata(), [20, np.nan, 50, 55])
    np.testing.assert_allclose(validation.get_ydata(), [30, 42, np.nan, 42])
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["train", "validation"]
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_curves_of_a_run_that_never_validated(tmp_path: Path, drawn: list[Figure]) -> None:
    history = write_history(tmp_path, "1,1.9,0.2,nan,nan,0.1,5,x", "2,1.7,0.3")
    plots.training_curves(history, tmp_path / "curves.png")
    assert drawn[0].axes[0].get_title(loc="right") == ""
    np.testing.assert_allclose(drawn[0].axes[1].lines[0].get_ydata(), [1.9, 1.7])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "no column epoch"),
        ("epoch,train_loss\n1,2\n", "no column train_accuracy, validation_loss"),
        (HEADER + "\n", "no epochs yet"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_history_is_told_and_the_old_picture_stays(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    (tmp_path / "curves.png").write_bytes(b"old")
    if content is not None:
        (tmp_path / "history.csv").write_text(content)
    with pytest.raises(MienError, match=complaint):
        plots.training_curves(tmp_path / "history.csv", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes() == b"old"


def test_confusion_matrix_shows_counts_and_rates(tmp_path: Path, drawn: list[Figure]) -> None:
    labels = np.array([0] * 3 + [3] * 1500 + [6], np.int8)
    predicted = np.array([0, 0, 4] + [3] * 1500 + [2])
    names = np.arange(len(labels)).astype(np.str_)
    metrics = evaluate(Predictions(names, labels, np.eye(7, dtype=np.float32)[predicted]))
    plots.confusion_matrix(metrics, tmp_path / "m.png", split="validation")

    assert drawn[0].get_suptitle().startswith("validation: 1,504 images, accuracy 99.87 % (95 %")
    counts, rates = (np.array([text.get_text() for text in axes.texts]) for axes in drawn[0].axes)
    assert counts.reshape(7, 7)[3, 3] == "1,500"
    assert counts.reshape(7, 7)[0].tolist() == ["2", "0", "0", "0", "1", "0", "0"]
    assert rates.reshape(7, 7)[0, [0, 4]].tolist() == ["66.7", "33.3"]
    assert set(rates.reshape(7, 7)[1]) == {"–"}
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1500


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    history = write_history(tmp_path, "1,1.9,0.2,1.8,0.3,0.1,5,x", "2,1.7,0.3,1.7,0.4,0.1,5,x")
    plots.training_curves(history, tmp_path / "a.png")
    plots.training_curves(history, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_drawing_needs_no_global_state(tmp_path: Path) -> None:
    history = write_history(tmp_path, "1,1.9,0.2,1.8,0.3,0.1,5,x")
    code = (
        "import sys; from mien.evaluation.plots import training_curves; "
        f"training_curves({str(history)!r}, {str(tmp_path / 'c.png')!r}); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (tmp_path / "c.png").is_file()
