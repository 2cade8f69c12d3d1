"""How well embeddings tell the emotions apart, without the network's own last layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError, missing_extra
from mien.evaluation.embeddings import Embeddings
from mien.progress import Progress, silent

QUERIES = 512  # images whose neighbors are looked for at once


@dataclass(frozen=True)
class Clustering:
    """How far clusters that were found without labels are the emotions.

    Attributes:
        adjusted_rand: Hubert & Arabie's adjusted Rand index: 1 the same, about 0 by chance.
        mutual_information: normalized by the arithmetic mean of the entropies, from 0 to 1.
    """

    adjusted_rand: float
    mutual_information: float


def nearest_neighbors(
    reference: Embeddings, queries: Embeddings, k: int, *, progress: Progress = silent
) -> NDArray[np.float32]:
    """Return how the k nearest labeled images of another split vote on each image.

    Neighbors are near by the cosine of their angle. A nearer one's vote counts a little more, by
    so little that it decides between equals only. An image is never its own neighbor: a split may
    be its own reference.

    Args:
        reference: images whose emotions are known; others are left out.
        queries: the images to name.
        k: how many neighbors vote, from 1 up; all of them where there are fewer.
        progress: told how many images are done.

    Returns:
        float32, N×7; each emotion's share of the votes, so that a row sums to 1.

    Raises:
        MienError: the reference has no labels, or `k` is below 1.
    """
    if k < 1:
        raise MienError(f"at least one neighbor must vote, not {k}")
    known = np.flatnonzero(reference.labeled)
    itself = reference is queries
    if len(known) <= int(itself):
        raise MienError("there are no labeled images to be neighbors")
    k = min(k, len(known) - int(itself))
    labels, candidates, asked = (
        reference.labels[known],
        reference.directions[known],
        queries.directions,
    )
    shares = np.empty((len(queries), len(EMOTIONS)), np.float32)
    for start in range(0, len(queries), QUERIES):
        rows = np.arange(start, min(start + QUERIES, len(queries)))
        nearness = asked[rows] @ candidates.T
        if itself:
            nearness[rows[:, None] == known] = -np.inf
        nearest = np.argpartition(-nearness, k - 1, axis=1)[:, :k]
        cosines = np.take_along_axis(nearness, nearest, axis=1).astype(np.float64)
        weights = 1 + cosines / (4 * k)
        of_class = labels[nearest][:, :, None] == np.arange(len(EMOTIONS))
        votes = (weights[:, :, None] * of_class).sum(axis=1)
        shares[rows] = votes / votes.sum(axis=1, keepdims=True)
        progress(int(rows[-1]) + 1, len(queries))
    return shares


def cluster(embeddings: Embeddings, *, seed: int = 0) -> Clustering:
    """Compare k-means clusters, one for each emotion, with the labels.

    The vectors are scaled to length one before; images without a label are left out.

    Args:
        embeddings: a split's.
        seed: of k-means' ten starts, the best of which counts.

    Raises:
        MienError: there are fewer labeled images than emotions; scikit-learn is not installed.
    """
    try:
        from sklearn.cluster import KMeans
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    except ImportError as error:
        raise missing_extra("clustering", "train") from error
    labels = embeddings.labels[embeddings.labeled]
    if len(labels) < len(EMOTIONS):
        raise MienError(f"{len(labels)} labeled images cannot be put into {len(EMOTIONS)} clusters")
    means = KMeans(n_clusters=len(EMOTIONS), n_init=10, random_state=seed)
    clusters = means.fit_predict(embeddings.directions[embeddings.labeled])
    return Clustering(
        float(adjusted_rand_score(labels, clusters)),
        float(normalized_mutual_info_score(labels, clusters)),
    )
