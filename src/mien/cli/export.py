"""`mien export`: a run or an ensemble as one file, for `mien predict` and any ONNX runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError


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
@click.option("--license", metavar="NAME", help="The license of the weights, to be recorded.")
@json_option
@verb_options
def export(out: Output, source: str, target: str, license: str | None, as_json: bool) -> None:
    """Write the best weights of RUN, or a whole ENSEMBLE, as one ONNX file.

    RUN is the folder of a training, ENSEMBLE one that mien ensemble wrote; its members must see
    images of the same size and color.

    The file takes uint8 images and gives seven probabilities. Its metadata hold the labels, the
    preprocessing, where it came from and, where `mien evaluate RUN` wrote predictions for the
    validation split, how good it is. It is compared with the network before it takes its place.
    """
    needs("exporting", "train")
    from mien.evaluation.ensemble_folder import is_ensemble
    from mien.files import sha256

    export_it = _export_ensemble if is_ensemble(source) else _export_run
    difference = export_it(source, target, {"license": license} if license else {})
    size, digest = Path(target).stat().st_size, sha256(target)
    if as_json:
        out.json(
            {"file": target, "bytes": size, "sha256": digest, "largest_difference": difference}
        )
        return
    out.result(f"{target}  {size / 1e6:.2f} MB  largest difference {difference:.1e}")


def _export_run(source: str, target: str, facts: dict[str, Any]) -> float:
    from mien.classical.options import is_classical
    from mien.export.onnx import export_run, measured
    from mien.training.run import Run

    run = Run(source)
    if is_classical(run.recipe()):
        raise MienError(f"{source} is no network, and only networks can be exported")
    return export_run(run, target, measured(run) | facts)


def _export_ensemble(source: str, target: str, facts: dict[str, Any]) -> float:
    from mien.classifiers import open_classifier
    from mien.evaluation.predict import EnsembleClassifier
    from mien.export.ensemble import export_ensemble, measured

    classifier, _ = open_classifier(source)
    assert isinstance(classifier, EnsembleClassifier)
    return export_ensemble(source, classifier, target, measured(Path(source)) | facts)
