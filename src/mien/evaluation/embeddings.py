"""Embeddings: what a network makes of each image of a split before it names an emotion.

They are kept as a Parquet file with the columns `name` (text), `label` (int8; null where the
emotion is not known) and `embedding` (a list of float32). What made them is JSON in the schema's
metadata under the key `mien.embeddings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.emotions import UNKNOWN
from mien.errors import MienError, missing_extra
from mien.evaluation.predict import Preprocess
from mien.files import atomic_path
from mien.progress import Progress, silent
from mien.version import __version__

if TYPE_CHECKING:
    from mien.data.cache import Dataset

_METADATA_KEY = b"mien.embeddings"


class Embedder(Protocol):
    """Anything that turns images into vectors, as `mien.training.run.TorchClassifier`."""

    @property
    def preprocessing(self) -> Preprocess:
        """What images go through before `embeddings`."""

    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return N×width vectors for a uint8 batch that went through `preprocessing`."""


@dataclass(frozen=True, eq=False)
class Embeddings:
    """One vector for each image of a split.

    Attributes:
        names: text, N.
        labels: int8, N; 0 to 6 as in `mien.emotions.EMOTIONS`, -1 unknown.
        vectors: float32, N×width, as the network makes them; not scaled to length one.
        info: what made them, as plain JSON values.
    """

    names: NDArray[np.str_]
    labels: NDArray[np.int8]
    vectors: NDArray[np.float32]
    info: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """Boolean, N: the rows whose emotion is known."""
        return np.not_equal(self.labels, UNKNOWN)

    @property
    def directions(self) -> NDArray[np.float32]:
        """float32, N×width: the vectors scaled to length one, so that distances are of angles."""
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True).astype(np.float32)
        # A vector of zeros, as dead ReLUs leave it, has no direction and stays.
        lengths[lengths == 0] = 1
        scaled: NDArray[np.float32] = self.vectors / lengths
        return scaled

    def save(self, path: Path | str) -> None:
        """Write the Parquet file, whole or not at all.

        Raises:
            MienError: pyarrow is not installed.
        """
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise missing_extra("writing embeddings", "train") from error
        values = pyarrow.array(self.vectors.ravel())
        columns = {
            "name": pyarrow.array(self.names.tolist(), pyarrow.string()),
            "label": pyarrow.array(self.labels, pyarrow.int8(), mask=~self.labeled),
            "embedding": pyarrow.FixedSizeListArray.from_arrays(values, self.vectors.shape[1]),
        }
        info = json.dumps(dict(self.info), ensure_ascii=False).encode()
        table = pyarrow.table(columns).replace_schema_metadata({_METADATA_KEY: info})
        with atomic_path(path) as temporary:
            # Values hardly repeat: a dictionary of them would be larger than they are.
            pyarrow.parquet.write_table(table, temporary, compression="zstd", use_dictionary=False)


def embed_split(
    embedder: Embedder,
    dataset: Dataset,
    split: str,
    *,
    batch_size: int = 256,
    progress: Progress = silent,
) -> Embeddings:
    """Embed the images of a split.

    Args:
        embedder: a run's.
        dataset: uint8 images with names and labels, where they are known.
        split: one of `dataset.split_names`.
        batch_size: how many images are preprocessed and embedded at once, at least 1.
        progress: told how many images are done.

    Raises:
        MienError: there is no such split, or it is empty; or an embedding is not finite.
    """
    rows = dataset.indices(split)
    if not len(rows):
        raise MienError(f"the split {split!r} of the data set has no images")
    parts = []
    for start in range(0, len(rows), batch_size):
        images = dataset.images[rows[start : start + batch_size]]
        parts.append(embedder.embeddings(embedder.preprocessing(images)))
        progress(min(start + batch_size, len(rows)), len(rows))
    vectors = np.concatenate(parts)
    names = np.array(dataset.names[rows])
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise MienError(
            f"the network's embedding of {names[bad[0]]} has values that are no numbers",
            hint="its weights may be those of a training that diverged",
        )
    info = {"split": split, "data": dataset.checksum, "mien": __version__}
    return Embeddings(names, np.array(dataset.labels[rows]), vectors, info)
