"""Small sources that the tests of the data room are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

USAGES = ("Training", "PublicTest", "PrivateTest")

Images = NDArray[np.uint8]


def make_faces(count: int, seed: int = 0, side: int = 48) -> Images:
    """Random images with many small numbers, so that values of one, two and three digits occur."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (count, side, side)) >> rng.integers(0, 8, (count, 1, 1))).astype(
        np.uint8
    )


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    columns: tuple[str, ...] = ("emotion", "pixels", "Usage")
    blank: bool = False  # before names, as in icml_face_data.csv
    quotes: bool = False
    end: str = "\n"
    bom: bool = False
    last_end: bool = True


def make_csv(
    path: Path, images: Images, labels: Sequence[int], usages: Sequence[str], dialect: Dialect
) -> Path:
    """Write images as a table, as simply as can be."""
    quote = '"' if dialect.quotes else ""
    header = [(" " if dialect.blank and i else "") + c for i, c in enumerate(dialect.columns)]
    lines = [",".join(header)]
    for image, label, usage in zip(images, labels, usages, strict=True):
        pixels = " ".join(str(value) for value in image.reshape(-1).tolist())
        values = {"emotion": str(label), "pixels": pixels, "Usage": usage}
        lines.append(",".join(f"{quote}{values[c]}{quote}" for c in dialect.columns))
    text = dialect.end.join(lines) + (dialect.end if dialect.last_end else "")
    path.write_bytes((b"\xef\xbb\xbf" if dialect.bom else b"") + text.encode())
    return path


def make_parquet(path: Path, cells: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Path:
    """Write a table as Hugging Face's `datasets` does; a cell is {"bytes", "path"}."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {"image": list(cells)}
    if labels is not None:
        columns["label"] = list(labels)
    parquet.write_table(pa.table(columns), path)
    return path


def make_votes(path: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """Write FER+'s table with random votes, `counts` rows for each usage."""
    rng = np.random.default_rng(seed)
    lines = [
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    ]
    for usage, count in counts.items():
        for row in rng.integers(0, 11, (count, 10)):
            lines.append(f"{usage},," + ",".join(map(str, row)))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def faces() -> Callable[..., Images]:
    return make_faces


@pytest.fixture(scope="session")
def dialect() -> type[Dialect]:
    return Dialect


@pytest.fixture(scope="session")
def write_csv() -> Callable[..., Path]:
    def write(
        path: Path,
        images: Images,
        labels: Sequence[int] | None = None,
        usages: Sequence[str] | None = None,
        dialect: Dialect | None = None,
    ) -> Path:
        labels = [i % 7 for i in range(len(images))] if labels is None else labels
        usages = ["Training"] * len(images) if usages is None else usages
        return make_csv(path, images, labels, usages, dialect or Dialect())

    return write


@pytest.fixture(scope="session")
def write_parquet() -> Callable[..., Path]:
    return make_parquet


@pytest.fixture(scope="session")
def write_votes() -> Callable[..., Path]:
    return make_votes


@pytest.fixture(scope="session")
def png() -> Callable[[Images], bytes]:
    """Encode an image without loss."""
    import io

    from PIL import Image

    def encode(image: Images) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def write_tree(png: Callable[[Images], bytes]) -> Callable[..., Path]:
    """Write `{"train/happy/1.png": image}` below a folder."""

    def write(root: Path, files: dict[str, Images]) -> Path:
        for name, image in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(png(image))
        return root

    return write
