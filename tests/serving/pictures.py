"""A small picture in every format that is accepted, and in the ways that each can store it."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from mien.images.decode import FORMATS

_WAYS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "JPEG": [("RGB", {}), ("L", {"progressive": True}), ("CMYK", {})],
    "PNG": [("RGB", {}), ("RGBA", {}), ("P", {}), ("1", {}), ("I;16", {})],
    "WEBP": [("RGB", {}), ("RGBA", {"lossless": True})],
    "GIF": [("P", {}), ("P", {"save_all": True, "append_images": [Image.new("P", (40, 30))]})],
    "BMP": [("RGB", {}), ("P", {})],
    "TIFF": [("RGB", {"compression": way}) for way in ("raw", "tiff_lzw", "jpeg", "packbits")]
    + [("1", {"compression": "group4"}), ("CMYK", {}), ("I;16", {})],
    "PPM": [("RGB", {}), ("L", {}), ("1", {})],
    "AVIF": [("RGB", {}), ("RGBA", {})],
}


def _made() -> list[bytes]:
    noise = Image.effect_noise((40, 30), 80).convert("RGB")
    made = []
    for kind in FORMATS:
        for mode, options in _WAYS[kind]:
            image = noise.convert("L").convert("I").convert(mode) if ";" in mode else None
            out = io.BytesIO()
            (image or noise.convert(mode)).save(out, kind, **options)
            made.append(out.getvalue())
    return made


PICTURES = _made()
