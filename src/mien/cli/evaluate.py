"""`mien evaluate`: a model's predictions for a split, and the figures that say how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data.exclusion import Exclusion
    from mien.evaluation.metrics import Metrics
    from mien.evaluation.predictions import Predictions

# As in mien.evaluation.tta, which would load OpenCV for `--help`.
TTA_NAMES = ("none", "flip", "ten-crop")


@click.command(
    short_help="Measure a model, a run or a predictions file.",
    epilog="""\b
Examples:
  mien evaluate runs/cnn5 --data data/fer2013
  mien evaluate runs/cnn5 --data data/fer2013 --split test --tta flip
  mien evaluate model.onnx --data data/fer2013 --out results/model
  mien evaluate runs/cnn5 --data data/fer2013 --exclude audit/seen.csv
  mien evaluate runs/cnn5/predictions/validation.parquet --json""",
)
@click.argument("source", metavar="RUN|MODEL|PREDICTIONS")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The prepared data set (see mien data prepare). For a predictions file it is only needed "
    "where the file has no labels.",
)
@click.option(
    "--split",
    help="Which part of the data.  [default: validation; for a predictions file, what it names]",
)
@click.option(
    "--tta",
    type=click.Choice(TTA_NAMES),
    default="none",
    show_default=True,
    help="Test-time augmentation: average over the image and its mirror image, or over ten crops.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Give the figures also without the images that an exclusion list names (see mien data "
    "audit).",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the files go.  [default: RUN/predictions; for a model, ./predictions; for a "
    "predictions file, beside it]",
)
@json_option
@verb_options
def evaluate(
    output: Output,
    source: str,
    data: Path | None,
    split: str | None,
    tta: str,
    exclude: tuple[Path, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how well a model reads the emotions of a split.

    RUN is the folder of a training or of an ensemble, MODEL an exported .onnx file or the name of
    a model that comes with mien, PREDICTIONS a file that this command wrote (.parquet, or .csv
    with the same columns).

    Writes the predictions (one row an image: name, label, seven probabilities) and a picture of
    the confusion matrix beside them. Prints accuracy with its 95 % interval (Wilson), balanced
    accuracy, macro F1, log loss, expected calibration error (15 bins), and precision, recall and
    F1 of each emotion. A split without labels gets its predictions only. With --exclude the
    figures without the listed images stand beside those of all.
    """
    needs("evaluating", "train")
    from mien.data.exclusion import read_exclusions
    from mien.evaluation.predictions import SUFFIXES

    exclusions = read_exclusions(exclude)  # A list that is wrong is told before the work.
    if exclude and not exclusions:
        output.warn(f"{', '.join(map(str, exclude))}: no image is named, so none is left out")
    if Path(source).suffix.lower() in SUFFIXES:
        if tta != "none":
            raise click.UsageError("--tta needs a model: predictions are already made")
        predictions, file = _read(Path(source), data, split, out)
    else:
        if data is None:
            raise click.UsageError("--data is needed to evaluate a run or a model")
        predictions, file = _predict(output, source, data, split or "validation", tta, out)
    kept = _without(predictions, exclusions) if exclude else None
    _present(output, predictions, kept, file, as_json)


def _without(predictions: Predictions, exclusions: list[Exclusion]) -> Predictions:
    """Return the predictions for the images that are not excluded."""
    from mien.data.exclusion import excluded
    from mien.evaluation.align import take

    split = predictions.info.get("split")
    if split is None:
        raise MienError(
            "the predictions do not say what split they were made of", hint="give it with --split"
        )
    return take(predictions, ~excluded(exclusions, split, predictions.names))


def _predict(
    output: Output, source: str, data: Path, split: str, tta: str, out: Path | None
) -> tuple[Predictions, Path]:
    """Classify a split, write the predictions, and return them with their file."""
    from mien.classifiers import classify
    from mien.data.cache import load

    dataset = load(data)
    with output.progress(f"classifying {split}") as progress:
        predictions = classify(source, dataset, split, tta=tta, progress=progress)
    name = split if tta == "none" else f"{split}-{tta}"
    if Path(source).is_dir():
        file = (out or Path(source, "predictions")) / f"{name}.parquet"
    else:
        file = (out or Path("predictions")) / f"{Path(source).stem}-{name}.parquet"
    predictions.save(file)
    return predictions, file


def _read(
    file: Path, data: Path | None, split: str | None, out: Path | None
) -> tuple[Predictions, Path]:
    """Read predictions, with the data set's labels where they have none."""
    from mien.evaluation.predictions import Predictions

    predictions = Predictions.load(file)
    made_of = predictions.info.get("split")
    if split and made_of and split != made_of:
        raise MienError(f"{file} has predictions for the split {made_of!r}, not {split!r}")
    split = split or made_of
    if split:
        predictions = replace(predictions, info={**predictions.info, "split": split})
    if data is not None and not predictions.labeled.all():
        from mien.data.cache import load

        if split is None:
            raise MienError(
                f"{file} does not say what split it was made of", hint="give it with --split"
            )
        dataset = load(data)
        rows = dataset.indices(split)
        predictions = predictions.with_labels(dataset.names[rows], dataset.labels[rows])
    if out is not None:
        file = out / f"{file.stem}.parquet"
        predictions.save(file)
    return predictions, file


def _present(
    output: Output,
    predictions: Predictions,
    kept: Predictions | None,
    file: Path,
    as_json: bool,
) -> None:
    """Print the figures, and draw the confusion matrix beside the predictions.

    `kept` are the predictions without the excluded images, where any are.
    """
    from mien.evaluation import plots
    from mien.evaluation.metrics import evaluate as measure

    split = str(predictions.info.get("split", file.stem))
    metrics = measure(predictions) if predictions.labeled.any() else None
    fewer = measure(kept) if metrics and kept is not None else None
    left_out = len(predictions) - len(kept) if kept is not None else 0
    picture = file.with_suffix(".png") if metrics else None
    if metrics and picture:
        plots.confusion_matrix(metrics, picture, split=split)
    if as_json:
        output.json(
            {
                **predictions.info,
                "images": len(predictions),
                "predictions": str(file),
                "confusion_matrix": str(picture) if picture else None,
                "metrics": metrics.to_dict() if metrics else None,
                "excluded": left_out,
                "metrics_without_excluded": fewer.to_dict() if fewer else None,
            }
        )
        return
    output.result(f"{split}: {len(predictions):,} images")
    if metrics:
        _print_tables(output, metrics, {f"without {left_out:,}": fewer} if fewer else {})
    else:
        output.note("without labels there are predictions, but nothing can be measured")
    output.result(f"predictions: {file}")
    if picture:
        output.result(f"confusion matrix: {picture}")


def _print_tables(output: Output, metrics: Metrics, others: Mapping[str, Metrics]) -> None:
    """Print the figures, with those of `others` in columns of their own, and those by emotion."""
    if metrics.unlabeled:
        output.note(f"without a label and left out of the figures: {metrics.unlabeled:,} images")
    columns = [_figures(each) for each in (metrics, *others.values())]
    names = (
        *("accuracy", "  95 % interval", "balanced accuracy", "macro F1", "log loss"),
        "expected calibration error",
    )
    titles = ("figure", "all" if others else "value", *others)
    output.table(titles, list(zip(names, *columns, strict=True)))
    output.table(
        ("emotion", "precision", "recall", "F1", "images"),
        [
            (
                each.emotion,
                f"{each.precision:.4f}",
                f"{each.recall:.4f}",
                f"{each.f1:.4f}",
                f"{each.support:,}",
            )
            for each in metrics.classes
        ],
    )


def _figures(metrics: Metrics) -> tuple[str, ...]:
    """Return the figures of all images as text, in the order of the table."""
    low, high = metrics.accuracy_interval
    return (
        f"{metrics.accuracy:.2%}",
        f"{low:.2%} to {high:.2%}",
        f"{metrics.balanced_accuracy:.2%}",
        f"{metrics.macro_f1:.4f}",
        f"{metrics.log_loss:.4f}",
        f"{metrics.calibration_error:.4f}",
    )
