"""The map of embeddings: each image a point in the plane, near where the network sees likeness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS, UNKNOWN
from mien.errors import MienError, missing_extra
from mien.evaluation.embeddings import Embeddings
from mien.evaluation.plots import FAINT, INK, new_figure, save_png

Method = Literal["pca", "tsne"]

DIMENSIONS = 50  # that PCA leaves to t-SNE, as van der Maaten & Hinton advise
PERPLEXITY = 30.0
FEWEST = 3  # points of which a map can be made

# Okabe and Ito's colors without the yellow, which white swallows, and a shape each, so that the
# emotions can be told apart without color too.
MARKERS: dict[str, tuple[str, str]] = {
    "angry": ("#D55E00", "^"),
    "disgust": ("#009E73", "s"),
    "fear": ("#CC79A7", "v"),
    "happy": ("#E69F00", "o"),
    "sad": ("#0072B2", "D"),
    "surprise": ("#56B4E9", "P"),
    "neutral": ("#333333", "X"),
}
UNKNOWN_MARKER = ("#AAAAAA", ".")


@dataclass(frozen=True, eq=False)
class Map:
    """Points in the plane.

    Attributes:
        points: float32, M×2.
        rows: the rows of the embeddings that they stand for, M, ascending.
        axes: what the two directions are; empty where they have no meaning of their own.
    """

    points: NDArray[np.float32]
    rows: NDArray[np.intp]
    axes: tuple[str, str] | None


def project(
    embeddings: Embeddings, method: Method = "tsne", *, most: int = 2000, seed: int = 0
) -> Map:
    """Lay embeddings out in the plane.

    The vectors are scaled to length one first. `pca` shows the two directions in which they differ
    most. `tsne` keeps neighbors together (van der Maaten & Hinton 2008), after PCA to 50
    dimensions; distances between its groups mean little.

    Args:
        embeddings: a split's.
        method: `pca` or `tsne`.
        most: of more images only so many, drawn at random, are laid out.
        seed: of the draw and the methods.

    Raises:
        MienError: there are fewer than three images, or all have the same embedding;
            scikit-learn is not installed.
    """
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise missing_extra("drawing a map", "train") from error
    rows = np.arange(len(embeddings))
    if len(rows) > most:
        drawn = np.random.default_rng(seed).choice(len(rows), most, replace=False)
        rows = np.sort(drawn)
    if len(rows) < FEWEST:
        raise MienError(f"a map takes {FEWEST} images or more, not {len(rows)}")
    directions = embeddings.directions[rows]
    if not np.ptp(directions, axis=0).any():
        raise MienError(
            "the network gives all images the same embedding, of which no map can be made",
            hint="its weights may be those of a training that diverged",
        )
    dimensions = 2 if method == "pca" else DIMENSIONS
    pca = PCA(min(dimensions, *directions.shape), random_state=seed)
    points = pca.fit_transform(directions)
    if method == "pca":
        shares = pca.explained_variance_ratio_
        first, second = (f"component {i + 1}: {shares[i]:.0%} of the variance" for i in range(2))
        return Map(points.astype(np.float32), rows, (first, second))
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed)
    return Map(tsne.fit_transform(points), rows, None)


def draw_map(map_: Map, embeddings: Embeddings, path: Path | str, *, title: str) -> None:
    """Draw a map as PNG; color and shape of a point tell the emotion.

    Args:
        map_: of these embeddings.
        embeddings: tell the labels.
        path: the PNG to write, whole or not at all.
        title: a line above; how many images are shown is added.

    Raises:
        MienError: matplotlib is not installed.
    """
    labels = embeddings.labels[map_.rows]
    figure = new_figure(8.6, 7)
    axes = figure.subplots()
    # The order of the drawing is that of the rows, in slices: no emotion covers all others.
    size = 22 if len(labels) > 500 else 36
    for part in np.array_split(np.arange(len(labels)), max(len(labels) // 50, 1)):
        for label in np.unique(labels[part]):
            color, marker = _marker(int(label))
            x, y = map_.points[part[labels[part] == label]].T
            axes.scatter(x, y, size, color, marker=marker, linewidths=0.4, edgecolors="white")
    for label in np.unique(labels):
        color, marker = _marker(int(label))
        name = "unknown" if label == UNKNOWN else EMOTIONS[label]
        text = f"{name} ({np.count_nonzero(labels == label):,})"
        axes.scatter([], [], 45, color, marker=marker, label=text)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(FAINT)
    if map_.axes:
        axes.set_xlabel(map_.axes[0], color=INK)
        axes.set_ylabel(map_.axes[1], color=INK)
    shown = f"{len(labels):,} images"
    if len(labels) < len(embeddings):
        shown = f"{len(labels):,} of {len(embeddings):,} images, drawn at random"
    axes.set_title(f"{title}: {shown}", loc="left", fontsize=11, color=INK)
    figure.legend(loc="outside right upper", frameon=False, labelcolor=INK, fontsize=10)
    save_png(figure, Path(path))


def _marker(label: int) -> tuple[str, str]:
    return UNKNOWN_MARKER if label == UNKNOWN else MARKERS[EMOTIONS[label]]
