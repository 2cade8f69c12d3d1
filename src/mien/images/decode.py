"""Whatever a picture comes as, it leaves here as RGB pixels of a bounded size, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mien.errors import MienError

Source: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]"
"""A path, the bytes of an image file, a Pillow image, or an array (see `decode`)."""

FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is opened; Pillow's other readers are less used, less tested and a wider door."""

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp"),
        *("gif", "bmp", "tif", "tiff", "ppm", "pgm", "avif"),
    )
)
"""The file names that a folder is searched for."""

WORKING_SIDE = 1600
"""The longer side of what is analyzed, at most: a face of 1/50 of it still fills the network."""

MAX_PIXELS = 64_000_000
"""What may be decoded at once. JPEGs are decoded at a fraction of their size, so larger ones pass
up to Pillow's own limit of 179 million pixels."""

_ORIENTATION = 0x0112
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_QUARTER_TURN = 5  # From here on width and height change places.
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")


class UnreadableError(MienError):
    """The source is no picture that can be analyzed; the message is the reason."""


@dataclass(frozen=True)
class Decoded:
    """A picture's pixels, perhaps reduced, and its full size.

    Attributes:
        pixels: uint8, H×W×3, RGB, upright.
        width: of the full upright picture, in pixels.
        height: likewise.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """By what x and y in `pixels` are multiplied to get those in the full picture."""
        return self.width / self.pixels.shape[1], self.height / self.pixels.shape[0]


def name_of(source: Source) -> str:
    """Return what results call a source: its path, or what it is where it has none."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes):
        return "<bytes>"
    return "<array>" if isinstance(source, np.ndarray) else "<image>"


def decode(source: Source, *, side: int | None = WORKING_SIDE) -> Decoded:
    """Return a picture upright, in RGB, its longer side reduced to at most `side` pixels.

    The EXIF rotation is applied; transparency is laid on white; 16-bit gray is divided by 257;
    palettes, CMYK and other colour spaces become RGB; of an animation the first frame is taken.

    Args:
        source: a path, the bytes of a file in one of the `FORMATS`, a Pillow image, or a uint8
            array H×W (gray), H×W×3 (RGB, not OpenCV's BGR) or H×W×4 (RGBA). Arrays of another
            dtype are refused, because their range is not known.
        side: the longest side of the result in pixels; larger pictures are reduced. None keeps
            every pixel.

    Raises:
        UnreadableError: there is no such file, it is no picture in one of the formats, it is
            damaged or too large, or the array has another dtype or shape.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, side)
    if isinstance(source, Image.Image):
        # The picture is the caller's: reducing works in place.
        return _guarded(lambda: _from_image(source.copy(), side))
    if isinstance(source, bytes):
        return _guarded(lambda: _from_file(io.BytesIO(source), len(source), side))
    if isinstance(source, str | os.PathLike):
        return _guarded(lambda: _from_path(Path(source), side))
    raise UnreadableError(
        f"a picture is a path, bytes, a Pillow image or an array, not {type(source).__name__}"
    )


def decode_whole(source: Source, *, color: bool) -> NDArray[np.uint8]:
    """Return every pixel of a picture, upright: uint8 H×W×3 (RGB), or H×W (gray, ITU-R 601-2).

    Gray levels of a gray picture come back bit for bit.

    Raises:
        UnreadableError: as `decode`.
    """
    rgb = decode(source, side=None).pixels
    return rgb if color else np.asarray(Image.fromarray(rgb).convert("L"))


def _guarded(read: Callable[[], Decoded]) -> Decoded:
    """Turn whatever a decoder raises on a hostile or damaged file into `UnreadableError`."""
    try:
        return read()
    except UnreadableError:
        raise
    except FileNotFoundError as error:
        raise UnreadableError("no such file") from error
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except UnidentifiedImageError as error:
        raise UnreadableError("not a picture in a known format") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise UnreadableError("too large to be decoded") from error
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, EOFError,
        # TypeError and more on damaged files; no list of them stays complete.
        raise UnreadableError(f"damaged: {error}" if str(error) else "damaged") from error


def _from_path(path: Path, side: int | None) -> Decoded:
    if path.exists() and not path.is_file():
        raise UnreadableError("not a file")
    with path.open("rb") as file:
        return _from_file(file, os.fstat(file.fileno()).st_size, side)


def _from_file(file: IO[bytes], length: int, side: int | None) -> Decoded:
    if not length:
        raise UnreadableError("the file is empty")
    with Image.open(file, formats=FORMATS) as image:
        return _from_image(image, side)


def _from_image(image: Image.Image, side: int | None) -> Decoded:
    width, height = image.size
    if not width or not height:
        raise UnreadableError("it has no pixels")
    orientation = _orientation(image)
    # A JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is enough.
    if side is not None:
        image.draft(None, (side, side))
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableError(
            f"too large to be decoded: {width}×{height} pixels, "
            f"at most {MAX_PIXELS // 1_000_000} million"
        )
    image.load()
    rgb = _to_rgb(image, side)
    if orientation in _TRANSPOSED:
        rgb = rgb.transpose(_TRANSPOSED[orientation])
    if orientation >= _FIRST_QUARTER_TURN:
        width, height = height, width
    return Decoded(np.asarray(rgb), width, height)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    with contextlib.suppress(Exception):
        value = image.getexif().get(_ORIENTATION, 1)
        if isinstance(value, int) and 1 <= value <= 8:
            return value
    return 1


def _to_rgb(image: Image.Image, side: int | None) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image)
        # 257 takes 65535 to 255; mode "I" may hold more, which no common file does.
        image = Image.fromarray((np.clip(values, 0, 65535) // 257).astype(np.uint8))
    if image.mode == "F":
        raise UnreadableError("its pixels are floating-point numbers, whose range is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=1.0)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _from_array(array: NDArray[np.uint8], side: int | None) -> Decoded:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise UnreadableError(
            "an array must be uint8 with the shape H×W, H×W×3 (RGB) or H×W×4 (RGBA), "
            f"not {array.dtype} {array.shape}"
        )
    if not array.size:
        raise UnreadableError("it has no pixels")
    if array.ndim == 3 and channels == 1:
        array = array[..., 0]
    return _from_image(Image.fromarray(np.ascontiguousarray(array)), side)
