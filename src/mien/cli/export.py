"""`mien export`: a run or an ensemble as one file, for `mien predict` and any ONNX runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.evaluation.calibration import Calibration


@click.command(
    short_help="Export a run or an ensemble to ONNX.",
    epilog="""\b
Examples:
  mien export runs/cnn5 --to cnn5.onnx
  mien export ensembles/best --to best.onnx
  mien predict photo.jpg --model cnn5.onnx""",
)
@click.argument("source", metavar="RUN|ENSEMBLE")
@click.option("--to", "target", required=True, metavar="FILE", help="The .onnx file to write.")
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
    calibration: Path | None,
    license: str | None,
    as_json: bool,
) -> None:
    """Write the best weights of RUN, or a whole ENSEMBLE, as one ONNX file.

    RUN is the folder of a training, ENSEMBLE one that mien ensemble wrote; its members must see
    images of the same size and color.

    The file takes uint8 images and gives seven probabilities. Its metadata hold the labels, the
    preprocessing, where it came from and, where `mien evaluate RUN` wrote predictions for the
    validation split, how good it is. It is compared with the network before it takes its place.

    Where mien calibrate fitted a temperature to these weights, the file's probabilities are
    calibrated with it; a temperature that was fitted to other weights is refused.
    """
    needs("exporting", "train")
    from mien.files import sha256

    facts = {"license": license} if license else {}
    difference, fitted = export_folder(source, target, facts, calibration)
    size, digest = Path(target).stat().st_size, sha256(target)
    if as_json:
        out.json(
            {
                "file": target,
                "bytes": size,
                "sha256": digest,
                "largest_difference": difference,
                "temperature": None if fitted is None else fitted.temperature,
            }
        )
        return
    calibrated = "" if fitted is None else f"  calibrated, temperature {fitted.temperature:.3f}"
    out.result(f"{target}  {size / 1e6:.2f} MB  largest difference {difference:.1e}{calibrated}")


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
    return export_run(run, target, measured(run) | facts, calibration)


def _export_ensemble(
    source: str, target: str, facts: dict[str, Any], calibration: Calibration | None
) -> float:
    from mien.classifiers import open_classifier
    from mien.evaluation.predict import EnsembleClassifier
    from mien.export.ensemble import export_ensemble, measured

    classifier, _ = open_classifier(source)
    assert isinstance(classifier, EnsembleClassifier)
    facts = measured(Path(source)) | facts
    return export_ensemble(source, classifier, target, facts, calibration)
