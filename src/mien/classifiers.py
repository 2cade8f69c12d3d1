"""Opens whatever can classify: a run's folder, an exported model, a model that comes with mien."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mien.evaluation.ensemble_folder import FILE, EnsembleFolder, is_ensemble
from mien.evaluation.predict import Classifier, EnsembleClassifier, predict
from mien.files import sha256
from mien.progress import Progress, silent

if TYPE_CHECKING:
    from mien.data.cache import Dataset
    from mien.evaluation.predictions import Predictions

# The files of a folder that decide what its classifier says; the first that is there counts.
_WEIGHTS = (FILE, "model.safetensors")


def open_classifier(source: Path | str) -> tuple[Classifier, Path]:
    """Return a classifier, and the file of its weights, by which its predictions can be traced.

    Args:
        source: the folder of a run or of an ensemble, an .onnx file, or the name of a bundled
            model.

    Raises:
        MienError: there is no such thing, or it cannot be loaded; a member of an ensemble is
            missing or has changed.
    """
    if is_ensemble(source):
        ensemble = EnsembleFolder.load(source)
        members = [open_classifier(member.source)[0] for member in ensemble.members]
        return EnsembleClassifier(ensemble.combiner, members), Path(source) / FILE
    if Path(source).is_dir():
        from mien.classical.options import is_classical
        from mien.training.run import Run

        run = Run(source)
        if is_classical(run.recipe()):
            from mien.classical.classifier import load_classifier as load_features

            return load_features(source), run.weights_file
        from mien.training.run import load_classifier

        return load_classifier(source), run.weights_file
    from mien.recognition.classifier import OnnxClassifier

    classifier = OnnxClassifier(str(source))
    return classifier, classifier.path


def find_weights(source: Path | str) -> Path | None:
    """Return the file that decides what a classifier says, without opening the classifier.

    Args:
        source: the folder of a run or of an ensemble, or an .onnx file.

    Returns:
        The file that `open_classifier` returns too; None where there is none (yet).
    """
    source = Path(source)
    if not source.is_dir():
        return source if source.is_file() else None
    files = [source / name for name in _WEIGHTS]
    return next((file for file in files if file.is_file()), None)


def classify(
    source: Path | str,
    dataset: Dataset,
    split: str,
    *,
    tta: str = "none",
    progress: Progress = silent,
) -> Predictions:
    """Open a classifier and return its predictions for a split, with what made them as `info`.

    Raises:
        MienError: as `open_classifier` and `mien.evaluation.predict.predict`.
    """
    dataset.indices(split)  # a misspelled split is told before a model is loaded
    classifier, weights = open_classifier(source)
    predictions = predict(classifier, dataset, split, tta=tta, progress=progress)
    model = {"model": Path(source).resolve().name, "model_sha256": sha256(weights)}
    return replace(predictions, info=model | dict(predictions.info))
