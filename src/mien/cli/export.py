"""`mien export`: a run or an ensemble as one file, for `mien predict` and any ONNX runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.evaluation.calibration import Calibration
    from mien.export.crops import Crops
    from mien.export.forms import Data
    from mien.export.parity import Side

# As in mien.export.crops, which would load torch for `--help`.
CROPS = ("gray", "rgb")


@click.command(
    short_help="Export a run or an ensemble to ONNX.",
    epilog="""\b
Examples:
  mien export runs/cnn5 --to cnn5.onnx
  mien export runs/cnn5 --to cnn5.onnx --data data/fer2013     and how it compares
  mien export runs/cnn5 --to small.onnx --fp16
  mien export runs/cnn5 --to fast.onnx --int8 --data data/fer2013
  mien export ensembles/best --to best.onnx --crops rgb
  mien predict photo.jpg --model cnn5.onnx""",
)
@click.argument("source", metavar="RUN|ENSEMBLE")
@click.option("--to", "target", required=True, metavar="FILE", help="The .onnx file to write.")
@click.option("--fp16", is_flag=True, help="Store weights in 16 bits: half the size, as fast.")
@click.option(
    "--int8",
    is_flag=True,
    help="Compute in 8 bits, with ranges from training faces of --data: a quarter of the size, "
    "and faster.",
)
@click.option(
    "--crops",
    type=click.Choice(CROPS),
    help="Take crops of faces of any size, gray (N×H×W) or RGB (N×H×W×3), and do the "
    "preprocessing in the file.  [default: take what went through the preprocessing]",
)
@click.option(
    "--data",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The prepared data set (see mien data prepare) on whose validation split the file is "
    "compared with the network.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take the time of both with N threads.  [default: all cores]",
)
@click.option(
    "--calibration",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What mien calibrate wrote.  [default: the folder's calibration.json, where there is one]",
)
@click.option("--license", metavar="NAME", help="The license of the weights, to be recorded.")
@json_option
@verb_options
def export(
    out: Output,
    source: str,
    target: str,
    fp16: bool,
    int8: bool,
    crops: Crops | None,
    data: Path | None,
    threads: int | None,
    calibration: Path | None,
    license: str | None,
    as_json: bool,
) -> None:
    """Write the best weights of RUN, or a whole ENSEMBLE, as one ONNX file.

    RUN is the folder of a training, ENSEMBLE one that mien ensemble wrote; its members must see
    images of the same size and color.

    The file takes uint8 images, any number at once, and gives seven probabilities. Its metadata
    hold the labels, the preprocessing, where it came from and how good it is: on the validation
    split of --data, or as `mien evaluate RUN` found. It is compared with the network before it
    takes its place.

    With --data the file and the network classify the validation split: accuracy before and after,
    the largest difference of a probability, the share of changed answers, sizes, and faces a
    second in batches of 64. --fp16, --int8 and --crops are compared with the plain file. --int8
    says whether it pays: at least 1.3 times as fast, and less than 0.3 points of accuracy lost.

    A file that takes --crops is for programs without mien, in any language; mien itself takes the
    plain one. What it does inside, and how far that is from mien's own preprocessing in gray
    levels, is printed and in its metadata. A filter that no graph can hold is refused.

    Where mien calibrate fitted a temperature to these weights, the file's probabilities are
    calibrated with it; a temperature that was fitted to other weights is refused.
    """
    if fp16 and int8:
        raise click.UsageError("--fp16 and --int8 exclude each other")
    if int8 and data is None:
        raise click.UsageError("--int8 needs --data: training faces give the ranges of features")
    needs("exporting", "train")
    from mien.cli.export_result import present
    from mien.export.forms import Exported, Form, write

    facts = {"license": license} if license else {}
    form = Form("int8" if int8 else "float16" if fp16 else "float32", crops)
    images = None if data is None else _data(source, data, threads)
    if form == Form() and images is None:
        difference, fitted = export_folder(source, target, facts, calibration)
        exported = Exported()
    else:
        with tempfile.TemporaryDirectory() as scratch, out.progress("comparing") as progress:
            plain = Path(scratch, "plain.onnx")
            difference, fitted = export_folder(source, str(plain), facts, calibration)
            network = _network(source, fitted) if form == Form() else None
            exported = write(plain, target, form, images, network, progress)
    present(out, target, form, exported, difference, fitted, as_json=as_json)


def _data(source: str, folder: Path, threads: int | None) -> Data:
    """Open the data set, whose splits are those of the run or have the usual names."""
    from mien.data.cache import load
    from mien.evaluation.ensemble_folder import is_ensemble
    from mien.export.forms import Data
    from mien.recognition.recognizer import cores
    from mien.training.run import Run

    dataset, count = load(folder), threads or cores()
    if is_ensemble(source):
        return Data(dataset, threads=count)
    training = Run(source).recipe().training
    return Data(dataset, training.train_split, training.validation_split, count)


def _network(source: str, fitted: Calibration | None) -> Side:
    from mien.classifiers import open_classifier
    from mien.export.parity import Side

    classifier, weights = open_classifier(source)
    size = weights.stat().st_size if weights.suffix == ".safetensors" else None
    return Side("network", classifier, size, fitted)


def export_folder(
    source: str,
    target: str,
    facts: dict[str, Any] | None = None,
    calibration: Path | None = None,
) -> tuple[float, Calibration | None]:
    """Export a run or an ensemble.

    Args:
        source: its folder.
        target: the .onnx file to write.
        facts: further provenance.
        calibration: in place of the folder's own.

    Returns:
        The largest difference to the network, and the calibration that was baked in.

    Raises:
        MienError: it cannot be exported.
    """
    from mien.evaluation.ensemble_folder import is_ensemble

    export_it = _export_ensemble if is_ensemble(source) else _export_run
    fitted = _calibration(source, calibration)
    return export_it(source, target, facts or {}, fitted), fitted


def _calibration(source: str, given: Path | None) -> Calibration | None:
    """Return the calibration that was given or lies in the folder, if it is of these weights."""
    from mien.classifiers import find_weights
    from mien.evaluation.calibration import FILE, Calibration

    file, weights = given or Path(source) / FILE, find_weights(source)
    # Without weights there is nothing to export, which is told by what exports.
    if weights is None or (given is None and not file.is_file()):
        return None
    calibration = Calibration.load(file)
    calibration.check(weights, file)
    return calibration


def _export_run(
    source: str, target: str, facts: dict[str, Any], calibration: Calibration | None
) -> float:
    from mien.classical.options import is_classical
    from mien.export.onnx import export_run, measured
    from mien.training.run import Run

    run = Run(source)
    if is_classical(run.recipe()):
        raise MienError(f"{source} is no network, and only networks can be exported")
    return export_run(run, target, measured(run, calibration) | facts, calibration)


def _export_ensemble(
    source: str, target: str, facts: dict[str, Any], calibration: Calibration | None
) -> float:
    from mien.classifiers import open_classifier
    from mien.evaluation.predict import EnsembleClassifier
    from mien.export.ensemble import export_ensemble, measured

    classifier, _ = open_classifier(source)
    assert isinstance(classifier, EnsembleClassifier)
    facts = measured(Path(source), calibration) | facts
    return export_ensemble(source, classifier, target, facts, calibration)
