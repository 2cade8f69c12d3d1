"""The form that the images of a data set are brought to: their size and their channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.images.preprocessing import resize


@dataclass(frozen=True)
class Form:
    """What the images of a data set are made to be.

    Attributes:
        size: height and width in pixels, or None to keep what they have.
        color: three channels (RGB) instead of gray.
    """

    size: int | None = None
    color: bool = False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a uint8 H×W or H×W×3 image in this form; gray is copied to three channels."""
        if self.color and image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        if self.size is None:
            return image
        channels = image.shape[2:] or (1,)
        batch = image.reshape(1, *image.shape[:2], *channels)
        return resize(batch, self.size).reshape(self.size, self.size, *image.shape[2:])
