"""`mien calibrate`: fit a temperature, say what it is worth, and choose a threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.cli.ensemble_members import Sources
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.data.cache import Dataset
    from mien.evaluation.calibration import Fit
    from mien.evaluation.coverage import Point
    from mien.evaluation.predictions import Predictions


@click.command(
    short_help="Fit a temperature, so that probabilities mean what they say.",
    epilog="""\b
Examples:
  mien calibrate runs/cnn5
  mien calibrate runs/cnn5 --data data/fer2013 --accuracy 0.8
  mien calibrate runs/cnn5 --balance 0.3        rare emotions are told more often
  mien calibrate runs/cnn5/predictions/validation.parquet --json
  mien export runs/cnn5 --to cnn5.onnx          calibrated from now on""",
)
@click.argument("source", metavar="RUN|MODEL|PREDICTIONS")
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The prepared data set (see mien data prepare). It is only needed where there are no "
    "predictions yet, or where they have no labels.",
)
@click.option(
    "--split",
    help="Which part of the data; one that nothing was trained on.  [default: validation; for a "
    "predictions file, what it names]",
)
@click.option(
    "--balance",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="STRENGTH",
    help="Help rare emotions: take so much of the logarithm of an emotion's share of the images "
    "from its logit, so that it is said more often.",
)
@click.option(
    "--accuracy",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Choose the threshold of confidence from which on so many answers are right, as 0.8.",
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where calibration.json and calibration.png go.  [default: RUN; for others they are not "
    "written]",
)
@json_option
@verb_options
def calibrate(
    output: Output,
    source: str,
    data: Path | None,
    split: str | None,
    balance: float,
    accuracy: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Fit the temperature by which logits are divided, so that probabilities can be believed.

    RUN is the folder of a training or of an ensemble, of which the predictions that mien evaluate
    wrote are taken where they are those of its weights; MODEL an exported .onnx file, which needs
    --data; PREDICTIONS a predictions file.

    A calibrated model that is 70 % sure of 100 faces is right about 70 of them. The temperature
    never changes which emotion comes first; --balance does. It is fitted to all images; the figures
    after it are measured by 5-fold cross-validation, each fold with a temperature fitted to the
    others.

    Prints accuracy, balanced accuracy, log loss, Brier score and calibration errors before and
    after. A sample of finite size shows a calibration error even where all probabilities are
    exact, so the error without that bias stands beside, with its 95 % interval (bootstrap), and
    the error to be expected of exact probabilities. Then, for thresholds of confidence, the share
    of images answered, how many of them are right, and how many of those left out would have been.

    Writes RUN/calibration.json, which mien export builds into the model, and RUN/calibration.png
    with reliability diagrams and the curve of accuracy against coverage.
    """
    needs("calibrating", "train")
    from mien.evaluation.calibration import FILE, fit
    from mien.evaluation.calibration_plot import calibration_picture

    predictions = _predictions(output, source, data, split)
    used = str(predictions.info.get("split") or Path(source).stem)
    _warn(output, source, used)
    with output.progress("fitting temperatures") as progress:
        found = fit(predictions, balance=balance, progress=progress)
    chosen = None if accuracy is None else found.curve().reaching(accuracy)
    folder = out or (Path(source) if Path(source).is_dir() else None)
    file = picture = None
    if folder is not None:
        file = folder / FILE
        picture = file.with_suffix(".png")
        calibration_picture(found, picture, title=f"{Path(source).stem}, {used}")
        found.calibration().save(file)
    if as_json:
        output.json(
            {
                **found.calibration().to_dict(),
                "chosen": None if chosen is None else chosen.to_dict(),
                "calibration": None if file is None else str(file),
                "picture": None if picture is None else str(picture),
            }
        )
        return
    _print(output, found, used, chosen)
    if file is None:
        output.note("nothing was written; --out DIR keeps calibration.json and calibration.png")
    else:
        output.result(f"calibration: {file}")
        output.result(f"picture: {picture}")


def _predictions(output: Output, source: str, data: Path | None, split: str | None) -> Predictions:
    """Return the predictions to fit to, with labels; of a model those with one view an image."""
    from mien.data.cache import load
    from mien.evaluation.predictions import SUFFIXES, Predictions

    dataset = load(data) if data else None
    if Path(source).suffix.lower() in SUFFIXES:
        predictions = Predictions.load(source)
        made_of = predictions.info.get("split")
        if split and made_of and split != made_of:
            raise MienError(f"{source} has predictions for the split {made_of!r}, not {split!r}")
        split = split or made_of
        predictions = replace(predictions, info={**predictions.info, "split": split})
    elif Path(source).exists():
        split = split or "validation"
        (predictions,) = Sources((source,), "none", dataset).load(split, output)
        if "model_sha256" not in predictions.info:
            raise MienError(
                f"the predictions of {source} do not say which weights made them",
                hint=f"make them again: mien evaluate {source} --data DIR --split {split}",
            )
    else:
        raise MienError(f"there is neither a run nor a model nor a predictions file {source}")
    if dataset is not None and split is not None and not predictions.labeled.all():
        predictions = _with_labels(predictions, dataset, split)
    return predictions


def _with_labels(predictions: Predictions, dataset: Dataset, split: str) -> Predictions:
    rows = dataset.indices(split)
    return predictions.with_labels(dataset.names[rows], dataset.labels[rows])


def _warn(output: Output, source: str, split: str) -> None:
    """Warn where the model has seen the labels that the temperature is fitted to."""
    from mien.evaluation.ensemble_folder import EnsembleFolder, is_ensemble

    if split == "train":
        output.warn("what fits images that a model was trained on does not fit others")
    if is_ensemble(source):
        fitted = EnsembleFolder.load(source).fitted
        if fitted is not None and fitted.get("split") == split:
            output.warn(
                f"the ensemble's weights were fitted to {split} too, so these figures flatter"
            )


def _print(output: Output, found: Fit, split: str, chosen: Point | None) -> None:
    folds = ", ".join(f"{each:.3f}" for each in found.temperatures)
    output.result(f"{split}: {len(found.before):,} images")
    output.result(f"temperature: {found.temperature:.4f} (of the folds: {folds})")
    if found.balance:
        output.result(f"rare emotions are helped with the strength {found.balance:g}")
    before, after = found.figures
    output.table(
        ("figure", "before", "after"),
        [
            (name, *(_figure(each[key]) for each in (before, after)))
            for name, key in (
                ("accuracy", "accuracy"),
                ("balanced accuracy", "balanced_accuracy"),
                ("log loss", "log_loss"),
                ("Brier score", "brier"),
                ("expected calibration error", "calibration_error"),
                ("  without bias", "corrected_error"),
                ("  95 % interval of that", "error_interval"),
                ("  of exact probabilities", "error_if_calibrated"),
                ("  95 % of such", "error_if_calibrated_range"),
                ("adaptive calibration error", "adaptive_error"),
                ("classwise calibration error", "classwise_error"),
                ("area under error and coverage", "risk_area"),
            )
        ],
    )
    columns = ("confidence from", "answered", "right", "95 % interval", "right of those left out")
    output.table(columns, [_row(point) for point in found.curve().table()])
    if chosen is not None:
        output.table(columns, [_row(chosen)])


def _figure(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(f"{each:.4f}" for each in value)
    return f"{value:.4f}"


def _row(point: Point) -> tuple[str, ...]:
    low_high = "–" if point.interval is None else " to ".join(f"{e:.1%}" for e in point.interval)
    right, left = (
        "–" if value is None else f"{value:.2%}" for value in (point.accuracy, point.left_accuracy)
    )
    return (f"{point.threshold:.4g}", f"{point.coverage:.2%}", right, low_high, left)
