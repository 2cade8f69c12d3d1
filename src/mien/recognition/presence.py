"""How sure a detector is that pictures which should be faces, as those of a data set, are faces.

Measured on FER2013's training and validation images with YuNet: 148 that are not blank and of which
all ten annotators of FER+ said that there is no face, and 150 of which none did. Below a score of
0.1 were 44 % of the first and 1.3 % of the second; below 0.05, 36 % and none. What is missed are
mostly faces for YuNet: drawings, hands around a face, animals. The Haar committee says of 30 % of
the second that there is no face, whatever the demand, and needs 87 ms an image instead of 3: at 48
pixels it cannot tell, so it is not offered here.
"""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.recognition.yunet import YuNetDetector

_BORDER = 0.25  # of the side: detectors were trained on faces with something around them
_SIDE = 160  # of the picture with its border; YuNet's smallest


class FacePresence:
    """Scores the surest face in each of many small pictures.

    Args:
        file: YuNet's .onnx file.

    Raises:
        MienError: the file is missing or is not YuNet.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._detector = YuNetDetector(file, min_confidence=0.01, sides=(_SIDE,))

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the score of each picture's surest face, 0 where there is none.

        Args:
            images: uint8, N×H×W or N×H×W×3 (RGB); each is surrounded by its repeated edges.

        Returns:
            float32, N, 0 to 1.
        """
        scores = np.zeros(len(images), np.float32)
        border = round(_BORDER * max(images.shape[1:3]))
        for place, image in enumerate(images):
            wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE)
            scale = _SIDE / max(wide.shape[:2])
            size = (round(wide.shape[1] * scale), round(wide.shape[0] * scale))
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            picture = cv2.resize(wide, size, interpolation=how)
            if picture.ndim == 2:
                picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
            faces = self._detector(np.asarray(picture, np.uint8))
            scores[place] = max((face.score for face in faces), default=0)
        return scores
