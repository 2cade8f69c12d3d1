"""Write the figures of `docs/model-card.md`: `python docs/card.py`.

They come from the bundled model's file and from predictions of this file for the validation split,
which `mien evaluate small --data DATA --out results/bundled` writes. A test compares the page with
what this makes, so figures of another model cannot stay on it. What stands between the marks is
replaced; all else on the page is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mien.data.exclusion import excluded, read_exclusions
from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.align import take
from mien.evaluation.metrics import Metrics, evaluate
from mien.evaluation.predictions import Predictions
from mien.files import sha256
from mien.models.summary import summarize
from mien.recognition.bundled import DEFAULT
from mien.recognition.classifier import OnnxClassifier
from mien.training.run import Run, build_network

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGE = ROOT / "docs" / "model-card.md"


def card(page: str) -> str:
    """Return the page with the parts between its marks made anew.

    Raises:
        MienError: the predictions are those of another file than the bundled model.
        KeyError: a mark names no part.
    """
    classifier = OnnxClassifier(DEFAULT)
    predictions = Predictions.load(RESULTS / "bundled" / f"{DEFAULT}-validation.parquet")
    if predictions.info.get("model_sha256") != sha256(classifier.path):
        raise MienError(
            f"the predictions in results/bundled are not those of {classifier.path.name}",
            hint=f"mien evaluate {DEFAULT} --data DATA --out results/bundled",
        )
    parts = {
        "model": model(classifier),
        "figures": figures(predictions),
        "calibration": calibration(classifier),
    }
    marked = re.compile(r"(<!-- (\w+): .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    return marked.sub(lambda found: f"{found[1]}\n{parts[found[2]]}\n\n{found[3]}", page)


def model(classifier: OnnxClassifier) -> str:
    """Return what the file is, as a table; the run it was made from lies in `results`."""
    origin, preprocessing = classifier.provenance, classifier.preprocessing
    run = Run(RESULTS / origin["name"])
    recipe = run.recipe()
    channels = 3 if recipe.input.color else 1
    network = summarize(lambda: build_network(recipe), size=recipe.input.size, channels=channels)
    colors = "RGB" if preprocessing.color else "gray"
    filtered = f", filtered: {preprocessing.filter.name}" if preprocessing.filter else ""
    megabytes = classifier.path.stat().st_size / 1e6
    rows = {
        "network": f"`{origin['architecture']}`, {network.trainable / 1e6:.1f} million parameters, "
        f"{network.multiply_adds / 1e6:.0f} million multiply-adds a face",
        "input": f"{preprocessing.size}×{preprocessing.size} {colors}, uint8{filtered}; "
        "normalization is inside the file",
        "output": f"probabilities of {', '.join(classifier.labels)}",
        "file": f"`src/mien/assets/{classifier.path.name}`, {megabytes:.1f} MB, "
        f"{classifier.precision}, {origin.get('license', 'no license')}",
        "SHA-256": f"`{sha256(classifier.path)}`",
        "run": f"`results/{run.folder.name}`, seed {recipe.training.seed}, started "
        f"{origin['started'][:10]}",
    }
    return _table(("", ""), list(rows.items()))


def figures(predictions: Predictions) -> str:
    """Return the figures, with and without the images that training has seen, and by emotion."""
    split = predictions.info["split"]
    seen = excluded(read_exclusions([RESULTS / "seen.csv"]), split, predictions.names)
    everything, unseen = evaluate(predictions), evaluate(take(predictions, ~seen))
    titles = ("", f"all {everything.count:,} images", f"without the {seen.sum()} seen in training")
    rows = list(zip(_NAMES, _figures(everything), _figures(unseen), strict=True))
    return f"{_table(titles, rows)}\n\n{_by_emotion(everything)}"


_NAMES = (
    *("accuracy", "95 % interval", "balanced accuracy", "macro F1", "log loss"),
    "expected calibration error",
)


def _figures(metrics: Metrics) -> tuple[str, ...]:
    low, high = (f"{100 * end:.2f}" for end in metrics.accuracy_interval)
    return (
        f"{100 * metrics.accuracy:.2f} %",
        f"{low} to {high} %",
        f"{100 * metrics.balanced_accuracy:.2f} %",
        f"{metrics.macro_f1:.3f}",
        f"{metrics.log_loss:.3f}",
        f"{100 * metrics.calibration_error:.2f} %",
    )


def _by_emotion(metrics: Metrics) -> str:
    titles = ("emotion", "precision", "recall", "F1", "images", "most often taken for")
    rows = []
    for index, each in enumerate(metrics.classes):
        taken = np.delete(metrics.confusion[index], index)
        name = np.delete(EMOTIONS, index)[taken.argmax()]
        numbers = (f"{value:.3f}" for value in (each.precision, each.recall, each.f1))
        share = 100 * taken.max() / each.support
        rows.append((each.emotion, *numbers, f"{each.support}", f"{name} ({share:.0f} %)"))
    return _table(titles, rows)


def calibration(classifier: OnnxClassifier) -> str:
    """Return what the file's temperature is and does, if it has one."""
    record = classifier.calibration
    if not record:
        return "The probabilities are those of the network; no temperature was fitted."
    fitted, measured = record["fitted"], record["measured"]
    before, after = (100 * measured[key]["calibration_error"] for key in ("before", "after"))
    return (
        f"Logits are divided by the temperature {record['temperature']:.3f}, fitted to "
        f"{fitted['images']:,} images of {fitted['split']}. On images that a temperature was not "
        f"fitted to ({measured['folds']} folds) the expected calibration error is {before:.2f} % "
        f"before and {after:.2f} % after."
    )


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(card(PAGE.read_text()))
