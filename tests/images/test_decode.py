"""Pictures of every kind, and files that are none."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mien.images.decode import FORMATS, MAX_PIXELS, SUFFIXES, UnreadableError, decode, name_of

COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
# Four coloured blocks: enough for no codec to blur their middles.
BLOCKS = np.kron(COLORS.reshape(2, 2, 3), np.ones((20, 30, 1), np.uint8))
GRAY = np.tile(np.arange(0, 240, 4, dtype=np.uint8), (40, 1))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def centers(pixels: np.ndarray) -> np.ndarray:
    return pixels[10::20, 15::30].reshape(-1, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM", "GIF"])
def test_colors_and_size_survive_every_format(kind: str) -> None:
    decoded = decode(encoded(Image.fromarray(BLOCKS), kind))
    assert (decoded.width, decoded.height) == (60, 40)
    assert decoded.pixels.dtype == np.uint8
    difference = centers(decoded.pixels).astype(int) - COLORS
    assert np.abs(difference).max() <= (12 if kind in ("JPEG", "WEBP") else 0)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "LAB", "RGBA", "RGBX"])
def test_color_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(BLOCKS)
    if mode == "LAB":
        image = Image.new("LAB", (60, 40), (255, 128, 128))  # white
        assert (decode(image).pixels > 250).all()
        return
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    source = image.convert(mode)
    data = source if mode == "RGBX" else encoded(source, kind)
    assert np.abs(centers(decode(data).pixels).astype(int) - COLORS).max() <= 2


def test_cmyk_jpeg() -> None:
    data = encoded(Image.fromarray(BLOCKS).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(centers(decode(data).pixels).astype(int) - COLORS).max() <= 12


def test_transparent_pixels_are_white() -> None:
    rgba = np.dstack([BLOCKS, np.full(BLOCKS.shape[:2], 255, np.uint8)])
    rgba[:20, :30, 3] = 0
    rgba[:20, 30:, 3] = 128
    pixels = decode(encoded(Image.fromarray(rgba), "PNG")).pixels
    np.testing.assert_array_equal(pixels[10, 15], [255, 255, 255])
    np.testing.assert_allclose(pixels[10, 45], [127, 255, 127], atol=1)
    np.testing.assert_array_equal(decode(rgba).pixels, pixels)
    gray_alpha = Image.fromarray(rgba).convert("LA")
    np.testing.assert_array_equal(decode(gray_alpha).pixels[10, 15], [255, 255, 255])


def test_transparent_palette_is_white() -> None:
    image = Image.fromarray(BLOCKS).quantize(4)
    index = image.getpixel((15, 10))
    pixels = decode(encoded(image, "PNG", transparency=index)).pixels
    np.testing.assert_array_equal(pixels[10, 15], [255, 255, 255])
    np.testing.assert_array_equal(pixels[30, 15], COLORS[2])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_gray_is_brought_to_eight(kind: str) -> None:
    data = encoded(Image.fromarray(GRAY.astype(np.uint16) * 257), kind)
    np.testing.assert_array_equal(decode(data).pixels[..., 0], GRAY)


def test_one_bit() -> None:
    image = Image.fromarray(BLOCKS[..., 1]).convert("1")
    np.testing.assert_array_equal(decode(encoded(image, "PNG")).pixels[..., 1], BLOCKS[..., 1])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "MPO"])
def test_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(decode(data).pixels[5, 5], [255, 0, 0], atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_as_pillow_does_it(orientation: int) -> None:
    image = Image.fromarray(BLOCKS)
    exif = image.getexif()
    exif[0x0112] = orientation
    data = encoded(image, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    decoded = decode(data)
    np.testing.assert_array_equal(decoded.pixels, np.asarray(upright))
    assert (decoded.width, decoded.height) == upright.size


def test_damaged_exif_does_not_spoil_a_picture() -> None:
    data = encoded(Image.fromarray(BLOCKS), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff" + b"x" * 9)
    assert decode(data).pixels.shape == (40, 60, 3)


def test_large_jpeg_is_reduced_and_keeps_its_size() -> None:
    large = Image.fromarray(BLOCKS).resize((6000, 4000), Image.Resampling.NEAREST)
    decoded = decode(encoded(large, "JPEG"), side=600)
    assert (decoded.width, decoded.height) == (6000, 4000)
    assert decoded.pixels.shape == (400, 600, 3)
    assert decoded.scale == (10, 10)


def test_more_pixels_than_allowed_are_not_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 100
    data = encoded(Image.new("1", (side, side)), "PNG")
    with pytest.raises(UnreadableError, match=r"too large.*64 million"):
        decode(data)


def test_a_bomb_is_refused_by_its_header() -> None:
    data = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    with pytest.raises(UnreadableError, match=r"too large|damaged|not a picture"):
        decode(bytes(data))


def test_arrays() -> None:
    np.testing.assert_array_equal(decode(BLOCKS).pixels, BLOCKS)
    np.testing.assert_array_equal(decode(GRAY).pixels, np.dstack([GRAY] * 3))
    np.testing.assert_array_equal(decode(GRAY[..., None]).pixels, np.dstack([GRAY] * 3))
    np.testing.assert_array_equal(decode(BLOCKS[:, ::-1]).pixels, BLOCKS[:, ::-1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8), np.uint16),
        np.zeros((8, 8), bool),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused_with_what_is_expected(array: np.ndarray) -> None:
    with pytest.raises(UnreadableError, match=r"uint8 with the shape H×W, H×W×3 \(RGB\)"):
        decode(array)


def test_pictures_without_pixels() -> None:
    with pytest.raises(UnreadableError, match="no pixels"):
        decode(np.zeros((0, 5), np.uint8))
    with pytest.raises(UnreadableError, match="no pixels"):
        decode(Image.new("RGB", (0, 5)))


def test_a_callers_image_is_left_as_it_was() -> None:
    image = Image.fromarray(BLOCKS)
    assert decode(image, side=20).pixels.shape == (13, 20, 3)
    assert image.size == (60, 40)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"emotion,pixels,Usage\n", "not a picture"),
        (encoded(Image.fromarray(BLOCKS), "ICO"), "not a picture in a known format"),
        (encoded(Image.fromarray(BLOCKS), "PNG")[:-30], "damaged"),
        (encoded(Image.fromarray(BLOCKS), "JPEG")[:400], "damaged|not a picture"),
        (encoded(Image.fromarray(GRAY.astype(np.float32)), "TIFF"), "floating-point"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    for source in (path, str(path), content):
        with pytest.raises(UnreadableError, match=reason):
            decode(source)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file"):
        decode(tmp_path / "none.jpg")
    with pytest.raises(UnreadableError, match="not a file"):
        decode(tmp_path)
    with pytest.raises(UnreadableError, match="not int"):
        decode(7)  # type: ignore[arg-type]


def test_names() -> None:
    assert name_of("a/b.jpg") == "a/b.jpg"
    assert name_of(Path("a/b.jpg")) == str(Path("a/b.jpg"))
    assert [name_of(b""), name_of(GRAY), name_of(Image.new("L", (1, 1)))] == [
        "<bytes>",
        "<array>",
        "<image>",
    ]


def test_suffixes_belong_to_formats_that_are_opened() -> None:
    Image.init()
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert known >= SUFFIXES - {".avif"}  # Pillow may be built without AVIF


SEEDS = [
    encoded(Image.fromarray(BLOCKS), "JPEG"),
    encoded(Image.fromarray(BLOCKS), "JPEG", progressive=True, exif=Image.Exif()),
    encoded(Image.fromarray(BLOCKS), "PNG"),
    encoded(Image.fromarray(BLOCKS).quantize(4), "PNG", transparency=0),
    encoded(Image.fromarray(BLOCKS), "GIF"),
    encoded(Image.fromarray(BLOCKS), "TIFF", compression="tiff_lzw"),
    encoded(Image.fromarray(BLOCKS), "WEBP"),
    encoded(Image.fromarray(BLOCKS), "BMP"),
]


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(SEEDS),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4))),
)
def test_mutated_files_are_pictures_or_unreadable(
    seed: bytes, kept: float, changes: list[tuple[float, bytes]]
) -> None:
    data = bytearray(seed)
    for place, change in changes:
        position = int(place * len(data))
        data[position : position + len(change)] = change
    truncated = bytes(data[: max(int(kept * len(data)), 1)]) if kept < 0.9 else bytes(data)
    try:
        decoded = decode(truncated, side=64)
    except UnreadableError:
        return
    assert decoded.pixels.ndim == 3
    assert max(decoded.pixels.shape[:2]) <= 64
