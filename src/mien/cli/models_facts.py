"""What an exported model says of itself, as `mien models` shows it: a row, a page, or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.files import sha256
from mien.recognition.classifier import OnnxClassifier

COLUMNS: tuple[str, ...] = (
    "model",
    "accuracy",
    "balanced",
    "input",
    "precision",
    "size",
    "ECE",
    "T",
)
LEGEND = "ECE: expected calibration error before → after the temperature T"
UNKNOWN = "–"


def facts(name: str, classifier: OnnxClassifier) -> dict[str, Any]:
    """Return everything that a model says of itself, as plain JSON values."""
    return {
        "name": name,
        "path": str(classifier.path),
        "bytes": classifier.path.stat().st_size,
        "precision": classifier.precision,
        "labels": list(classifier.labels),
        "preprocessing": classifier.preprocessing.to_dict(),
        "calibration": dict(classifier.calibration),
        "parity": dict(classifier.parity),
        "provenance": dict(classifier.provenance),
    }


def row(name: str, classifier: OnnxClassifier) -> tuple[str, ...]:
    """Return the texts of the `COLUMNS`."""
    figures, _ = _figures(classifier)
    return (
        name,
        _percent(figures.get("accuracy")),
        _percent(figures.get("balanced_accuracy")),
        _input(classifier),
        classifier.precision,
        _size(classifier),
        _calibration_error(classifier),
        _temperature(classifier),
    )


def line(name: str, classifier: OnnxClassifier) -> str:
    """Return in one line what the columns have no room for."""
    provenance = classifier.provenance
    _, measured_on = _figures(classifier)
    said = (provenance.get("summary"), measured_on, provenance.get("license"))
    return f"{name}: " + "; ".join(str(each) for each in said if each)


def page(name: str, classifier: OnnxClassifier) -> list[tuple[str, str]]:
    """Return all that a reader may want to know, as titles and texts."""
    provenance = classifier.provenance
    figures, measured_on = _figures(classifier)
    filter = classifier.preprocessing.filter
    entries = [
        ("model", f"{name}: {provenance.get('summary') or UNKNOWN}"),
        ("file", f"{classifier.path}, {_size(classifier)}, {classifier.precision}"),
        ("SHA-256", sha256(classifier.path)),
        ("input", _input(classifier) + (f", filtered: {filter.name}" if filter else "")),
        ("output", ", ".join(classifier.labels)),
        ("accuracy", f"{_percent(figures.get('accuracy'))}  {measured_on}".rstrip()),
        ("balanced accuracy", _percent(figures.get("balanced_accuracy"))),
        ("calibration", _calibration(classifier)),
        ("parity", _parity(classifier)),
        ("network", provenance.get("architecture")),
        ("data", provenance.get("dataset")),
        ("seed", provenance.get("seed")),
        ("trained", provenance.get("started")),
        ("exported", provenance.get("exported")),
        ("license", provenance.get("license")),
    ]
    return [(title, UNKNOWN if text is None else str(text)) for title, text in entries]


def _figures(classifier: OnnxClassifier) -> tuple[Mapping[str, Any], str]:
    """Return the file's own figures and what they were measured on, in words."""
    figures = _mapping(classifier.provenance, "accuracy")
    if "accuracy" not in figures:
        return {}, ""
    images = figures.get("images")
    count = f", {images:,} images" if isinstance(images, int) else ""
    return figures, f"measured on {figures.get('split', UNKNOWN)}{count}"


def _calibration_error(classifier: OnnxClassifier) -> str:
    measured = _mapping(classifier.calibration, "measured")
    before, after = (
        _mapping(measured, key).get("calibration_error") for key in ("before", "after")
    )
    return UNKNOWN if before is None else f"{_percent(before)} → {_percent(after)}"


def _temperature(classifier: OnnxClassifier) -> str:
    value = classifier.calibration.get("temperature")
    return f"{value:.3f}" if isinstance(value, int | float) else UNKNOWN


def _calibration(classifier: OnnxClassifier) -> str:
    calibration = classifier.calibration
    if not calibration:
        return "no temperature was fitted"
    fitted = _mapping(calibration, "fitted")
    folds = _mapping(calibration, "measured").get("folds", UNKNOWN)
    balance = fitted.get("balance") or 0
    helped = f"; rare emotions are helped, strength {balance}" if balance else ""
    return (
        f"temperature {_temperature(classifier)}, fitted to {fitted.get('images', UNKNOWN)} "
        f"images of {fitted.get('split', UNKNOWN)}; expected calibration error "
        f"{_calibration_error(classifier)}, on {folds} held-out folds{helped}"
    )


def _parity(classifier: OnnxClassifier) -> str | None:
    measured = _mapping(classifier.parity, "validation")
    if not measured:
        return None
    return (
        f"accuracy {_percent(measured.get('accuracy'))} of the file, "
        f"{_percent(measured.get('float32_accuracy'))} of the network in float32; largest "
        f"difference of a probability {measured.get('largest_difference', UNKNOWN)}"
    )


def _input(classifier: OnnxClassifier) -> str:
    preprocessing = classifier.preprocessing
    return f"{preprocessing.size}×{preprocessing.size} {'RGB' if preprocessing.color else 'gray'}"


def _size(classifier: OnnxClassifier) -> str:
    return f"{classifier.path.stat().st_size / 1e6:.1f} MB"


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object inside an object; empty where there is none, or something else."""
    inner = values.get(key)
    return inner if isinstance(inner, dict) else {}


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else UNKNOWN
