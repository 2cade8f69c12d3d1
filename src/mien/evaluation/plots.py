"""Pictures of results as PNG: the confusion matrix, and the curves of a training.

They are drawn with matplotlib's objects alone (no pyplot), so that drawing one changes nothing for
other code in the process and needs no display. The colors are Okabe and Ito's, which people with
any color vision can tell apart.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError, missing_extra
from mien.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mien.evaluation.metrics import Metrics

TRAIN_COLOR = "#0072B2"
VALIDATION_COLOR = "#D55E00"
INK = "#333333"
FAINT = "#DDDDDD"
DPI = 160

HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
)


def training_curves(history: Path | str, path: Path | str) -> None:
    """Draw train and validation accuracy and loss by epoch from a run's `history.csv`.

    The epoch with the best validation accuracy (the first of equals) is marked in both panels.
    Cells that are empty or no numbers leave a gap in the curve.

    Args:
        history: a CSV file with at least the columns `HISTORY_COLUMNS`; accuracies are fractions
            from 0 to 1.
        path: the PNG to write, whole or not at all.

    Raises:
        MienError: the history cannot be read, lacks a column or has no rows, or matplotlib is not
            installed.
    """
    columns = _read_history(Path(history))
    epochs = columns["epoch"]
    validation = columns["validation_accuracy"]
    best = None if np.isnan(validation).all() else int(np.nanargmax(validation))

    figure = new_figure(10, 4.2)
    accuracy_axes, loss_axes = figure.subplots(1, 2)
    for axes, quantity, scale in ((accuracy_axes, "accuracy", 100.0), (loss_axes, "loss", 1.0)):
        for part, color in (("train", TRAIN_COLOR), ("validation", VALIDATION_COLOR)):
            values = columns[f"{part}_{quantity}"] * scale
            # A single epoch is a point, which a line without markers would not show.
            marker = "o" if len(values) < 10 else None
            axes.plot(epochs, values, color=color, label=part, linewidth=1.8, marker=marker, ms=4)
        _finish_curve_axes(axes, quantity, epochs)
    accuracy_axes.set_ylabel("accuracy (%)", color=INK)
    loss_axes.set_ylabel("loss", color=INK)
    if best is not None:
        _mark_best(accuracy_axes, epochs[best], validation[best] * 100, suffix=" %")
        _mark_best(loss_axes, epochs[best], columns["validation_loss"][best])
    lines, names = accuracy_axes.get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    save_png(figure, Path(path))


def confusion_matrix(metrics: Metrics, path: Path | str, *, split: str) -> None:
    """Draw the confusion matrix in counts and, beside it, in percent of the true emotion.

    Both panels are shaded by the percentages, so that a rare emotion's row can be read too.

    Args:
        metrics: the figures of a predictions file.
        path: the PNG to write, whole or not at all.
        split: the name of the images for the title.

    Raises:
        MienError: matplotlib is not installed.
    """
    support = metrics.confusion.sum(axis=1, keepdims=True)
    rates = 100 * metrics.confusion / np.maximum(support, 1)
    low, high = (100 * end for end in metrics.accuracy_interval)

    figure = new_figure(12, 6)
    figure.suptitle(
        f"{split}: {metrics.count:,} images, accuracy {100 * metrics.accuracy:.2f} % "
        f"(95 % interval {low:.2f} to {high:.2f})",
        fontsize=13,
        color=INK,
    )
    counts_axes, rates_axes = figure.subplots(1, 2)
    _draw_matrix(counts_axes, rates, [[f"{cell:,}" for cell in row] for row in metrics.confusion])
    counts_axes.set_title("Images", loc="left", fontsize=11, color=INK)
    counts_axes.set_ylabel("true emotion", color=INK)
    # A row without images has no rates.
    texts = [
        [f"{rate:.1f}" if total else "–" for rate in row]
        for row, total in zip(rates, support[:, 0], strict=True)
    ]
    _draw_matrix(rates_axes, rates, texts)
    rates_axes.set_title("Percent of the true emotion", loc="left", fontsize=11, color=INK)
    save_png(figure, Path(path))


def _draw_matrix(axes: Axes, shades: NDArray[np.float64], texts: list[list[str]]) -> None:
    """Draw cells shaded 0 to 100 with a text in each."""
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=100)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            color = "white" if shades[row, column] > 55 else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=10, color=color)
    places = range(len(EMOTIONS))
    axes.set_xticks(places, EMOTIONS, rotation=30, ha="right", rotation_mode="anchor", color=INK)
    axes.set_yticks(places, EMOTIONS, color=INK)
    axes.set_xlabel("predicted emotion", color=INK)
    axes.tick_params(length=0, labelsize=10)
    # White lines between the cells, on the minor ticks' places.
    edges = np.arange(len(EMOTIONS) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)


def _read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the columns that are drawn as float64 arrays of the same length."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            found = reader.fieldnames or ()
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise MienError(f"the history {path} cannot be read: {error}") from error
    missing = [name for name in HISTORY_COLUMNS if name not in found]
    if missing:
        raise MienError(f"the history {path} has no column {', '.join(missing)}")
    if not rows:
        raise MienError(f"the history {path} has no epochs yet")
    return {name: np.array([_number(row[name]) for row in rows]) for name in HISTORY_COLUMNS}


def _number(cell: str | None) -> float:
    """Return a cell as a number; NaN for what is empty, cut off (None) or no number."""
    try:
        return float(cell or "nan")
    except ValueError:
        return float("nan")


def _finish_curve_axes(axes: Axes, quantity: str, epochs: NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(quantity.capitalize(), loc="left", fontsize=11, color=INK)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)


def _mark_best(axes: Axes, epoch: float, value: float, *, suffix: str = "") -> None:
    """Mark the best epoch with a line, and write its figure in the free strip above the curves."""
    axes.axvline(epoch, color=INK, linewidth=0.9, linestyle=(0, (3, 3)))
    if np.isnan(value):
        return
    axes.plot([epoch], [value], "o", color=VALIDATION_COLOR, mec="white", mew=1.2, ms=8, zorder=5)
    digits = 2 if suffix else 3
    axes.set_title(
        f"best epoch {epoch:.0f}: validation {value:.{digits}f}{suffix}",
        loc="right",
        fontsize=9,
        color=INK,
    )


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of a size in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("drawing plots", "train") from error
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        # Without the library's version in the file, the same figures give the same bytes.
        figure.savefig(
            temporary,
            format="png",
            bbox_inches="tight",
            pad_inches=0.15,
            metadata={"Software": None},
        )
