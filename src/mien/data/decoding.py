"""Image files to arrays: decoding with Pillow, and the form (size, channels) of a data set."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".gif"}
)
"""Files that count as images in a folder."""

# Pillow is held to these: a file cannot choose a rarely used decoder by its content.
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
_MAX_PIXELS = 64_000_000


class UndecodableError(Exception):
    """An image cannot be decoded; the message says why."""


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
        """Return a uint8 H×W or H×W×3 image in this form; gray is copied to three channels.

        Areas are averaged to make it smaller, cubic splines are used to make it larger.
        """
        if self.color and image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        if self.size is None or image.shape[:2] == (self.size, self.size):
            return image
        smaller = self.size <= min(image.shape[:2])
        method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        resized: Any = cv2.resize(image, (self.size, self.size), interpolation=method)
        return np.asarray(resized, np.uint8)


def decode(source: bytes | Path, *, color: bool) -> NDArray[np.uint8]:
    """Decode an image, turned as its EXIF orientation says.

    Args:
        source: the encoded image or its file.
        color: return RGB (H×W×3) instead of gray (H×W, ITU-R 601 luma).

    Returns:
        The image as uint8; of an animated file the first frame.

    Raises:
        UndecodableError: it is no image of a known format, is cut off, or is huge.
    """
    try:
        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS
        ) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise UndecodableError(f"{image.width}×{image.height} pixels are too many")
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                # Pillow clips 16-bit gray at 255 instead of scaling it.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return np.asarray(upright.convert("RGB" if color else "L"))
    except UndecodableError:
        raise
    except UnidentifiedImageError as error:
        raise UndecodableError("not an image of a known format") from error
    except Exception as error:
        # Pillow's decoders raise whatever a broken file leads them to (OSError, SyntaxError,
        # struct.error, …); here each of them says that this file cannot be used.
        raise UndecodableError(str(error) or type(error).__name__) from error
