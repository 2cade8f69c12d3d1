"""Opens whatever can classify: a run's folder, an exported model, a model that comes with mien."""

from __future__ import annotations

from pathlib import Path

from mien.evaluation.predict import Classifier


def open_classifier(source: Path | str) -> tuple[Classifier, Path]:
    """Return a classifier, and the file of its weights, by which its predictions can be traced.

    Args:
        source: the folder of a run, an .onnx file, or the name of a bundled model.

    Raises:
        MienError: there is no such thing, or it cannot be loaded.
    """
    if Path(source).is_dir():
        from mien.training.run import Run, load_classifier

        return load_classifier(source), Run(source).weights_file
    from mien.recognition.classifier import OnnxClassifier

    classifier = OnnxClassifier(str(source))
    return classifier, classifier.path
