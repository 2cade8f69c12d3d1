"""A run as one ONNX file: uint8 images in, probabilities out, everything else in its metadata."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.calibration import Calibration
from mien.evaluation.metrics import evaluate
from mien.evaluation.predict import Classifier, answer
from mien.evaluation.predictions import Predictions
from mien.export.calibrating import add_calibration
from mien.files import atomic_path, sha256
from mien.images.preprocessing import Preprocessing
from mien.models.folding import fold
from mien.training.run import Run, TorchClassifier
from mien.version import __version__

_AXES = {1: "height", 2: "width"}
_EXAMPLE = 60  # height and width of the image with which a graph for any is traced
FORMAT = "1"
TOLERANCE = 1e-4
"""Largest difference between a probability of the exported file and of the network."""


class _Exported(nn.Module):
    """uint8 N×H×W or N×H×W×3 → float32 N×7 probabilities; the network normalizes itself."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        batch = images.float()
        batch = batch.unsqueeze(1) if images.ndim == 3 else batch.permute(0, 3, 1, 2)
        probabilities: Tensor = self.network(batch).softmax(dim=1)
        return probabilities


def export_run(
    run: Run,
    target: Path | str,
    facts: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
) -> float:
    """Write a run's best weights as ONNX and check the file against them.

    Args:
        run: a trained run.
        target: the `.onnx` to write, whole or not at all.
        facts: what the provenance holds beside what the run knows, such as figures of accuracy.
        calibration: of the run's best weights; the file gives calibrated probabilities.

    Returns:
        The largest difference of a probability between file and network on random images.

    Raises:
        MienError: the run has no weights, or the file does not compute what the network computes.
    """
    recipe, info = run.recipe(), run.info()
    preprocessing = recipe.input.preprocessing()
    size = recipe.input.size
    shape = (size, size, 3) if recipe.input.color else (size, size)
    provenance = {
        "name": run.folder.name,
        "summary": recipe.summary,
        "architecture": recipe.model.name,
        "mien": __version__,
        "dataset": info["data"]["checksum"],
        "seed": recipe.training.seed,
        "started": info["started"],
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **(facts or {}),
    }
    network = run.network()
    model = to_onnx(_Exported(fold(network)), shape, ("images", "probabilities"))
    classifier = TorchClassifier(network, preprocessing)
    return save(model, classifier, preprocessing, provenance, target, calibration)


def save(
    model: onnx.ModelProto,
    classifier: Classifier,
    preprocessing: Preprocessing,
    provenance: Mapping[str, Any],
    target: Path | str,
    calibration: Calibration | None = None,
) -> float:
    """Write a model with its metadata and check the file against the classifier.

    Args:
        model: from `images` to `probabilities`, as `docs/architecture.md` says.
        classifier: what the file has to compute, before it is calibrated.
        preprocessing: what images go through before the file.
        provenance: plain JSON values.
        target: the `.onnx` to write, whole or not at all.
        calibration: becomes the last nodes of the file; its record goes into the metadata.

    Returns:
        The largest difference of a probability between file and classifier on random images.

    Raises:
        MienError: it is more than `TOLERANCE`.
    """
    metadata: dict[str, Any] = {
        "mien.format": FORMAT,
        "mien.labels": EMOTIONS,
        "mien.preprocessing": preprocessing.to_dict(),
        "mien.provenance": dict(provenance),
        "mien.parity": {"precision": "float32"},
    }
    if calibration is not None:
        add_calibration(model, calibration)
        metadata["mien.calibration"] = calibration.to_dict()
    set_metadata(model, metadata)
    onnx.checker.check_model(model)
    with atomic_path(target) as path:
        onnx.save(model, path)
        difference = _largest_difference(classifier, preprocessing, path, calibration)
        if not difference <= TOLERANCE:
            raise MienError(
                f"the exported file differs from the network by {difference:.1e}, "
                f"more than {TOLERANCE:.0e}; nothing was written to {target}"
            )
    return difference


def set_metadata(model: onnx.ModelProto, values: Mapping[str, Any]) -> None:
    """Let a model have these metadata and no others: texts as they are, other values as JSON."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in values.items()}
    onnx.helper.set_model_props(model, texts)


def measured(run: Run, calibration: Calibration | None) -> dict[str, Any]:
    """Return the figures of a run's own predictions for its validation split, as provenance.

    They are those that `mien evaluate RUN` wrote with these weights; without them, nothing.
    """
    split = run.recipe().training.validation_split
    return figures(run.folder, split, run.weights_file, calibration)


def figures(
    folder: Path, split: str, weights: Path, calibration: Calibration | None
) -> dict[str, Any]:
    """Return the figures of the predictions in a folder that were made with these weights.

    They are those of calibrated predictions where there is a calibration.
    """
    file = folder / "predictions" / f"{split}.parquet"
    if not file.is_file():
        return {}
    predictions = Predictions.load(file)
    if predictions.info.get("model_sha256") != sha256(weights):
        return {}
    if calibration is not None:
        predictions = calibration.calibrated(predictions)
    metrics = evaluate(predictions)
    return {
        "accuracy": {
            "split": split,
            "images": metrics.count,
            "accuracy": metrics.accuracy,
            "balanced_accuracy": metrics.balanced_accuracy,
        }
    }


def to_onnx(
    module: nn.Module, shape: tuple[int | None, ...], names: tuple[str, str]
) -> onnx.ModelProto:
    """Return a module as a graph.

    Args:
        module: takes a uint8 batch of any length.
        shape: of one image; the height and the width may be None, that is any.
        names: of the graph's input and output.
    """
    example = torch.zeros((2, *(_EXAMPLE if n is None else n for n in shape)), dtype=torch.uint8)
    axes = {0: "batch"} | {i: _AXES[i] for i, n in enumerate(shape, 1) if n is None}
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_shapes={"images": {i: torch.export.Dim(axes[i], min=1) for i in axes}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.onnx"
        program.save(str(plain))
        model = onnx.load(plain)
    given = model.graph.input[0].type.tensor_type.shape.dim
    assert all(given[axis].dim_param for axis in axes), "the graph is for one size only"
    return _without_notes(model)


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's notes: for every node, which line of which file it came from."""
    graph = model.graph
    parts = (graph.node, graph.initializer, graph.value_info, graph.input, graph.output)
    for noted in (model, graph, *itertools.chain.from_iterable(parts)):
        del noted.metadata_props[:]
        noted.ClearField("doc_string")
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what the exporter says of packages that it would like (torchvision)."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _largest_difference(
    classifier: Classifier,
    preprocessing: Preprocessing,
    path: Path,
    calibration: Calibration | None,
) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    size = preprocessing.size
    shape = (size, size, 3) if preprocessing.color else (size, size)
    images: NDArray[np.uint8] = np.random.default_rng(0).integers(
        0, 256, (33, *shape), dtype=np.uint8
    )
    images[0], images[1] = 0, 255
    found = session.run(["probabilities"], {"images": preprocessing(images)})[0]
    expected = answer(classifier, images)
    if calibration is not None:
        expected = calibration.apply(expected)
    return float(np.abs(found - expected).max())
