"""An exported model at work: uint8 images in, probabilities out, with onnxruntime."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.images.preprocessing import Preprocessing
from mien.recognition.bundled import find_model
from mien.recognition.external_data import has_external_data

FORMAT = "1"
BATCH = 256
"""Images that are classified at once, at most: more are no faster, and memory stays bounded."""

CROPS_FORMAT = "crops-1"
"""Of files that do their preprocessing themselves: `mien export --crops`."""
_HINT = "mien export writes such a file; mien models lists those that come with the package"
_FOR_OTHERS = "a file with --crops is for programs without mien; export it without for mien itself"
_FATAL_ONLY = 4  # onnxruntime's own log: what goes wrong is raised as well.


class OnnxClassifier:
    """A model that `mien export` wrote.

    Args:
        model: a path, the name of a bundled model, or None for the default one.
        threads: how many threads one batch may use; None leaves it to onnxruntime (all cores).

    Attributes:
        path: the file.
        labels: the emotions in the order of the probabilities' columns.
        preprocessing: what an image has to go through before `probabilities`.
        provenance: where the model comes from and how good it is, as plain JSON values.
        calibration: the temperature inside the file, what it was fitted to and what was measured
            before and after, as `mien.evaluation.calibration.Calibration.to_dict` gives them;
            empty where the file is not calibrated.
        parity: what `mien export` measured when it compared the file with the network; empty
            where it did not.

    Raises:
        MienError: there is no such model, the file is no exported model, is damaged or of another
            format's version, or it points to other files.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, threads: int | None = None
    ) -> None:
        self.path: Path = find_model(model)
        self._session = _session(self.path, threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        version = metadata.get("mien.format")
        if version != FORMAT:
            found = "no mien model" if version is None else f"of the format {version}, not {FORMAT}"
            hint = _FOR_OTHERS if version == CROPS_FORMAT else _HINT
            raise MienError(f"{self.path} is {found}", hint=hint)
        try:
            self.labels: tuple[str, ...] = tuple(json.loads(metadata["mien.labels"]))
            self.preprocessing = Preprocessing.from_dict(json.loads(metadata["mien.preprocessing"]))
            self.provenance = _facts(metadata, "mien.provenance")
            self.calibration = _facts(metadata, "mien.calibration")
            self.parity = _facts(metadata, "mien.parity")
        except (KeyError, ValueError, TypeError, AttributeError, MienError) as error:
            raise MienError(f"{self.path} has damaged metadata: {error}", hint=_HINT) from error
        if sorted(self.labels) != sorted(EMOTIONS):
            raise MienError(f"{self.path} knows other emotions: {', '.join(map(str, self.labels))}")
        self._check_signature()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image that the network takes: H×W, or H×W×3 (RGB)."""
        size = self.preprocessing.size
        return (size, size, 3) if self.preprocessing.color else (size, size)

    @property
    def precision(self) -> str:
        """What the weights are stored in: float32, float16 or int8.

        A file that says nothing of it is from before there was a choice, and so float32.
        """
        return str(self.parity.get("precision", "float32"))

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classify a batch.

        Args:
            images: uint8, N × `input_shape`, as `preprocessing` returns it.

        Returns:
            float32, N×7, columns as `labels`; rows sum to 1.

        Raises:
            ValueError: the batch has another dtype or shape.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.input_shape:
            expected = "×".join(map(str, ("N", *self.input_shape)))
            raise ValueError(f"images must be uint8 {expected}, not {images.dtype} {images.shape}")
        result = np.empty((len(images), len(self.labels)), np.float32)
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            (result[part],) = self._session.run(["probabilities"], {"images": images[part]})
        return result

    def _check_signature(self) -> None:
        inputs = [(i.name, i.type, len(i.shape)) for i in self._session.get_inputs()]
        outputs = [(o.name, o.type, o.shape[1:]) for o in self._session.get_outputs()]
        if inputs != [("images", "tensor(uint8)", len(self.input_shape) + 1)] or outputs != [
            ("probabilities", "tensor(float)", [len(self.labels)])
        ]:
            raise MienError(
                f"{self.path} does not take uint8 images and return {len(self.labels)} "
                "probabilities an image",
                hint=_HINT,
            )
        try:
            self.probabilities(np.zeros((1, *self.input_shape), np.uint8))
        except Exception as error:  # onnxruntime has a dozen exceptions without a common base
            raise MienError(
                f"{self.path} does not run on images of {self.preprocessing.size} pixels: {error}",
                hint=_HINT,
            ) from error


def _facts(metadata: Mapping[str, str], key: str) -> Mapping[str, Any]:
    """Return an optional JSON object of the metadata; empty where there is none."""
    facts = json.loads(metadata.get(key, "{}"))
    if not isinstance(facts, dict):
        raise TypeError(f"{key} is no JSON object")
    return facts


def _session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MienError(f"{path} cannot be read: {error.strerror}") from error
    try:
        external = has_external_data(content)
    except ValueError as error:
        raise MienError(f"{path} is no ONNX file, or a damaged one", hint=_HINT) from error
    if external:
        raise MienError(f"{path} keeps weights in other files; those are not opened", hint=_HINT)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exceptions without a common base
        raise MienError(f"{path} is no ONNX file, or a damaged one", hint=_HINT) from error
