"""From the plain exported file to the form that was asked for, measured against what it was."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.predict import Preprocess
from mien.export import crops
from mien.export.crops import Crops, Difference
from mien.export.onnx import set_metadata
from mien.export.parity import ExportedGraph, Parity, Side, compare
from mien.export.reducing import CALIBRATION_IMAGES, Precision, to_float16, to_int8
from mien.files import atomic_path
from mien.images.preprocessing import Preprocessing, to_gray, to_rgb
from mien.progress import Progress, silent

if TYPE_CHECKING:
    from mien.data.cache import Dataset


@dataclass(frozen=True)
class Form:
    """What a file takes and how it computes.

    Attributes:
        precision: "float32", "float16" (of the stored weights) or "int8".
        crops: None where the file takes what went through the preprocessing; "gray" or "rgb" where
            it takes crops of any size and does the preprocessing itself.
    """

    precision: Precision = "float32"
    crops: Crops | None = None


@dataclass(frozen=True)
class Data:
    """The images by which a file is quantized and measured.

    Attributes:
        dataset: prepared.
        train: the split from which int8's ranges come.
        validation: the split on which both sides are compared.
        threads: with how many the time is taken.
    """

    dataset: Dataset
    train: str = "train"
    validation: str = "validation"
    threads: int = 1


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        parity: None where there was no data to measure it on.
        preprocessing: None where it is not part of the file.
    """

    parity: Parity | None = None
    preprocessing: Difference | None = None
    input: dict[str, Any] = field(default_factory=dict)


def write(
    plain: Path,
    target: Path | str,
    form: Form,
    data: Data | None = None,
    network: Side | None = None,
    progress: Progress = silent,
) -> Exported:
    """Write an exported file in another form, with what was measured in its metadata.

    Args:
        plain: what `export_run` or `export_ensemble` wrote.
        target: the `.onnx` to write, whole or not at all.
        form: of the target.
        data: needed for int8.
        network: what the file is compared with; by default with `plain`.
        progress: told how many images were classified.

    Raises:
        MienError: a filter cannot be part of the graph, or the data do not fit.
    """
    model = onnx.load(plain)
    values: dict[str, Any] = {each.key: each.value for each in model.metadata_props}
    preprocessing = Preprocessing.from_dict(json.loads(values["mien.preprocessing"]))
    if form.precision == "float16":
        model = to_float16(model)
    elif form.precision == "int8":
        model = to_int8(model, _calibration_images(data, preprocessing))
    measured = None
    prepare: Preprocess = preprocessing
    if form.crops is not None:
        graph = crops.preprocessing_graph(preprocessing, form.crops)
        measured = crops.difference(graph, preprocessing, form.crops)
        model = crops.with_crops(model, graph, form.crops)
        values["mien.format"] = crops.FORMAT
        values["mien.input"] = crops.metadata(preprocessing, form.crops, measured)
        prepare = partial(_as_crops, kind=form.crops)
    parity = None
    record: dict[str, Any] = {"precision": form.precision}
    if data is not None:
        content = model.SerializeToString()
        before = network or _side("float32 file", plain.read_bytes(), preprocessing, data.threads)
        after = _side(f"{form.precision} file", content, prepare, data.threads)
        parity = compare(before, after, data.dataset, data.validation, data.threads, progress)
        record["validation"] = {**parity.record(), "data": data.dataset.checksum}
    values["mien.parity"] = record
    values["mien.provenance"] = _provenance(json.loads(values["mien.provenance"]), form, parity)
    set_metadata(model, values)
    onnx.checker.check_model(model)
    with atomic_path(target) as path:
        onnx.save(model, path)
    return Exported(parity, measured, values.get("mien.input", {}))


def _side(title: str, content: bytes, preprocessing: Preprocess, threads: int) -> Side:
    return Side(title, ExportedGraph(content, preprocessing, threads), len(content))


def _calibration_images(data: Data | None, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return a random sample of training faces, always the same, as the network takes them."""
    if data is None:
        raise MienError(
            "int8 needs training faces to find the ranges of features",
            hint="give the prepared data set with --data",
        )
    rows = data.dataset.indices(data.train)
    count = min(CALIBRATION_IMAGES, len(rows))
    chosen = np.sort(np.random.default_rng(0).choice(rows, count, replace=False))
    return preprocessing(data.dataset.images[chosen])


def _as_crops(images: NDArray[np.uint8], kind: Crops) -> NDArray[np.uint8]:
    """Return a data set's images as a file takes crops."""
    batch = images[..., None] if images.ndim == 3 else images
    return to_rgb(batch) if kind == "rgb" else to_gray(batch)[..., 0]


def _provenance(known: dict[str, Any], form: Form, parity: Parity | None) -> dict[str, Any]:
    """Return a provenance whose accuracy is the file's own, or none.

    None, too, where an ensemble's weights were fitted to the split, so that it would flatter.
    """
    kept = dict(known)
    fitted = known.get("fitted") or {}
    if parity is not None and fitted.get("split") != parity.split:
        kept["accuracy"] = {
            "split": parity.split,
            "images": parity.images,
            "accuracy": parity.after.accuracy,
            "balanced_accuracy": parity.after.balanced_accuracy,
        }
    elif parity is not None or form.precision != "float32":
        kept.pop("accuracy", None)
    return kept
