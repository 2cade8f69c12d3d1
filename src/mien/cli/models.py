"""`mien models`: the models that come with the package, and what is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, verb_options

if TYPE_CHECKING:
    from mien.recognition.classifier import OnnxClassifier


@click.command(
    short_help="List the models that come with mien.",
    epilog="""\b
Examples:
  mien models
  mien models --json
  mien models runs/cnn5/model.onnx         what a file of your own says""",
)
@click.argument("files", metavar="[MODEL]...", nargs=-1)
@json_option
@verb_options
def models(output: Output, files: tuple[str, ...], as_json: bool) -> None:
    """List the models that come with mien: accuracy, input, size and origin.

    All figures are read from the models themselves. With MODEL (a path or a name) only those are
    listed. --json gives everything that a model says of itself.
    """
    from mien.recognition.bundled import DEFAULT, bundled_models
    from mien.recognition.classifier import OnnxClassifier

    sources = {file: file for file in files} or {n: str(p) for n, p in bundled_models().items()}
    found = {name: OnnxClassifier(source) for name, source in sources.items()}
    if as_json:
        output.json([_facts(name, classifier) for name, classifier in found.items()])
        return
    if not found:
        output.note("no model comes with this installation")
        return
    columns = ("model", "accuracy", "balanced", "on", "input", "filter", "size", "license")
    output.table(columns, [_row(name, classifier) for name, classifier in found.items()])
    for name, classifier in found.items():
        if summary := classifier.provenance.get("summary"):
            output.result(f"{name}: {summary}")
    if DEFAULT in found:
        output.note(f"the default is {DEFAULT}")


def _facts(name: str, classifier: OnnxClassifier) -> dict[str, Any]:
    return {
        "name": name,
        "path": str(classifier.path),
        "bytes": classifier.path.stat().st_size,
        "labels": list(classifier.labels),
        "preprocessing": classifier.preprocessing.to_dict(),
        "provenance": dict(classifier.provenance),
    }


def _row(name: str, classifier: OnnxClassifier) -> tuple[str, ...]:
    measured = classifier.provenance.get("accuracy")
    accuracy: dict[str, Any] = measured if isinstance(measured, dict) else {}
    preprocessing = classifier.preprocessing
    colors = "RGB" if preprocessing.color else "gray"
    return (
        name,
        _percent(accuracy.get("accuracy")),
        _percent(accuracy.get("balanced_accuracy")),
        str(accuracy.get("split", "–")),
        f"{preprocessing.size}×{preprocessing.size} {colors}",
        preprocessing.filter.name if preprocessing.filter else "none",
        _size(classifier.path),
        str(classifier.provenance.get("license", "–")),
    )


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "–"


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
