"""Torn, changed and boastful files: a result or a reason, in bounded memory; never a crash."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from mien.errors import MienError
from mien.recognition.recognizer import Recognizer
from mien.recognition.stream import VideoStream

NOISE = Image.effect_noise((40, 30), 80).convert("RGB")
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=4)
        | st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"]),
    ),
    max_size=12,
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)  # type: ignore[arg-type]
    return out.getvalue()


def _pictures() -> list[bytes]:
    more = {"save_all": True, "append_images": [NOISE.rotate(9)]}
    deep = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    made = [
        *(encoded(NOISE, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")),
        *(encoded(NOISE, kind, **more) for kind in ("GIF", "PNG", "WEBP")),
        *(encoded(NOISE, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_deflate", "jpeg")),
        encoded(NOISE, "JPEG", progressive=True),
        encoded(NOISE.convert("CMYK"), "JPEG"),
        encoded(NOISE.quantize(16), "BMP"),
        encoded(deep, "PNG"),
    ]
    return [*made, encoded(NOISE, "AVIF")] if features.check("avif") else made


PICTURES = _pictures()


def mutated(content: bytes, kept: float, changes: list[tuple[float, bytes]]) -> bytes:
    """Return a file with some bytes changed, cut off unless `kept` is 0.7 or more."""
    data = bytearray(content)
    for place, change in changes:
        position = int(place * len(data))
        data[position : position + len(change)] = change
    return bytes(data[: int(len(data) * min(kept / 0.7, 1))])


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(detector=lambda picture: [(5.0, 5.0, 20.0, 20.0)], threads=1)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(PICTURES), st.floats(0, 1), CHANGES)
def test_any_picture_gets_a_result(
    recognizer: Recognizer, seed: bytes, kept: float, changes: list[tuple[float, bytes]]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of slight damage
        picture = recognizer.analyze(mutated(seed, kept, changes))
    assert (picture.status == "unreadable") == (picture.reason is not None)
    assert (picture.status == "unreadable") == (picture.width == 0)
    for face in picture.faces:
        assert sum(face.scores.values()) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Short videos: their suffixes and contents."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    kinds = (("avi", "MJPG"), ("avi", "mp4v"), ("mkv", "mp4v"), ("mp4", "mp4v"))
    for number, (suffix, codec) in enumerate(kinds):
        path = folder / f"{number}.{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
        for index in range(12):
            writer.write(np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8))
        writer.release()
        made.append((suffix, path.read_bytes()))
    return made


@settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.integers(0, 3), st.floats(0, 1), CHANGES)
def test_any_video_gives_frames_in_order_or_is_refused(
    clips: list[tuple[str, bytes]],
    tmp_path: Path,
    which: int,
    kept: float,
    changes: list[tuple[float, bytes]],
) -> None:
    suffix, seed = clips[which]
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(mutated(seed, kept, changes))
    try:
        stream = VideoStream(path)
    except MienError:
        return
    with stream:
        frames = list(itertools.islice(stream.read(), 1000))
    assert len(frames) < 1000  # of twelve
    assert [frame.index for frame in frames] == list(range(len(frames)))
    seconds = [frame.seconds for frame in frames]
    assert np.isfinite(seconds).all()
    assert all(np.diff(seconds) > 0)
    if not frames:
        assert stream.reason == "no frame can be decoded"


BOASTS = {
    "PNG": (b"IHDR", 4, ">", 4),
    "GIF": (b"GIF8", 6, "<", 2),
    "BMP": (b"BM", 18, "<", 4),
}
"""Where a header says width and height: after what, at what offset, in what order, how long."""


def boastful(kind: str, side: int) -> bytes:
    """Return a small picture whose header says that it is `side` pixels wide and high."""
    data = bytearray(encoded(NOISE.convert("P") if kind == "GIF" else NOISE, kind))
    mark, offset, order, size = BOASTS[kind]
    start = data.index(mark) + offset
    data[start : start + 2 * size] = struct.pack(f"{order}2{'I' if size == 4 else 'H'}", side, side)
    if kind == "PNG":
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def test_what_boasts_is_refused_in_little_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    for kind in BOASTS:
        (tmp_path / f"boast.{kind.lower()}").write_bytes(boastful(kind, 60_000))
    Image.new("1", (9_000, 9_000)).save(tmp_path / "white.tiff", compression="group4")
    code = """if True:
        import resource, sys, warnings
        from pathlib import Path
        from mien.errors import MienError
        from mien.images.decode import decode
        warnings.simplefilter("ignore")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sorted(Path(sys.argv[1]).iterdir()):
            try:
                decode(path)
                print(path.name, "was read")
            except MienError as error:
                print(path.name, error.message)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *lines, growth = done.stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert "too large to be decoded" in line
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(growth) * unit < 60_000_000
