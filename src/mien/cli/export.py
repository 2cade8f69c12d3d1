"""`mien export`: a run as one file that `mien predict` and any ONNX runtime can use."""

from __future__ import annotations

from pathlib import Path

import click

from mien.cli.common import Output, json_option, needs, verb_options


@click.command(
    short_help="Export a run to ONNX.",
    epilog="""\b
Example:
  mien export runs/cnn5 --to cnn5.onnx
  mien predict photo.jpg --model cnn5.onnx""",
)
@click.argument("run")
@click.option("--to", "target", required=True, metavar="FILE", help="The .onnx file to write.")
@click.option("--license", metavar="NAME", help="The license of the weights, to be recorded.")
@json_option
@verb_options
def export(out: Output, run: str, target: str, license: str | None, as_json: bool) -> None:
    """Write RUN's best weights as one ONNX file.

    The file takes uint8 images and gives seven probabilities. Its metadata hold the labels, the
    preprocessing, where it came from and, where `mien evaluate RUN` wrote predictions for the
    validation split, how good it is. It is compared with the network before it takes its place.
    """
    needs("exporting", "train")
    from mien.export.onnx import export_run, measured
    from mien.files import sha256
    from mien.training.run import Run

    trained = Run(run)
    facts = measured(trained) | ({"license": license} if license else {})
    difference = export_run(trained, target, facts)
    size, digest = Path(target).stat().st_size, sha256(target)
    if as_json:
        out.json(
            {"file": target, "bytes": size, "sha256": digest, "largest_difference": difference}
        )
        return
    out.result(f"{target}  {size / 1e6:.2f} MB  largest difference {difference:.1e}")
