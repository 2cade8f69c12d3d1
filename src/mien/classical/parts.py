"""The fitted parts of a pipeline as plain arrays, and how they work: NumPy, nothing else.

scikit-learn fits them (see `mien.classical.fitting`), but what is kept of it are arrays in a
safetensors file. scikit-learn's own way is pickle, which runs whatever a file tells it to, and
which another version need not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS

Array = NDArray[Any]
_BLOCK = 256  # Rows whose distances to everything are in memory at once.


class _Part:
    """A dataclass of arrays that can be written under its prefix and read again."""

    prefix: ClassVar[str]

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by their names in the file."""
        return {f"{self.prefix}.{f.name}": getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def read(cls, arrays: Mapping[str, Array]) -> Self:
        """Return the part that `arrays` wrote.

        Raises:
            KeyError: an array is missing.
        """
        return cls(**{f.name: arrays[f"{cls.prefix}.{f.name}"] for f in fields(cls)})  # type: ignore[arg-type]


class Transform(Protocol):
    """Maps features to features."""

    def __call__(self, x: Array) -> Array:
        """Return N×D' for N×D."""

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by their names in the file."""


class Head(Protocol):
    """Maps features to probabilities of the seven emotions."""

    def probabilities(self, x: Array) -> NDArray[np.float32]:
        """Return float32 N×7 for N×D; rows sum to 1."""

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by their names in the file."""


@dataclass(frozen=True)
class Standardization(_Part):
    """Takes the mean away and divides by the deviation.

    Attributes:
        mean, deviation: float64, D; the deviation is nowhere 0.
    """

    prefix = "standardization"
    mean: Array
    deviation: Array

    def __call__(self, x: Array) -> Array:
        """Return N×D, standardized."""
        result: Array = (x - self.mean) / self.deviation
        return result


@dataclass(frozen=True)
class UnitLength(_Part):
    """Gives each row the length 1."""

    prefix = "length"

    def __call__(self, x: Array) -> Array:
        """Return N×D; a row of zeros stays one."""
        result: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        return result


@dataclass(frozen=True)
class KernelMap(_Part):
    """The RBF kernel made explicit by some of the training images (Nyström).

    exp(−γ·|x − y|²) is nearly the inner product of what this maps x and y to, so that a linear
    SVM on it is nearly one with that kernel, and is as large as the map, not as the data.

    Attributes:
        points: float64, M×D.
        normalization: float64, M×M.
        gamma: float64, 1.
    """

    prefix = "kernel"
    points: Array
    normalization: Array
    gamma: Array

    def __call__(self, x: Array) -> Array:
        """Return N×M."""
        parts = [np.exp(-self.gamma * d) for d in squared_distances(x, self.points)]
        result: Array = np.concatenate(parts) @ self.normalization.T
        return result


@dataclass(frozen=True)
class LinearSvm(_Part):
    """A linear SVM for each emotion against the rest; the largest decision value wins.

    The probabilities are the softmax of the decision values over a temperature, which leaves
    their order, and so the decision, as it is.

    Attributes:
        coefficients: float64, 7×D.
        intercepts: float64, 7; −∞ for an emotion that was not trained on.
        temperature: float64, 1.
    """

    prefix = "svm"
    coefficients: Array
    intercepts: Array
    temperature: Array

    def decision(self, x: Array) -> Array:
        """Return the decision values, float64 N×7."""
        result: Array = x @ self.coefficients.T + self.intercepts
        return result

    def probabilities(self, x: Array) -> NDArray[np.float32]:
        """Return float32 N×7."""
        return softmax(self.decision(x) / self.temperature).astype(np.float32)


@dataclass(frozen=True)
class NearestNeighbors(_Part):
    """The nearest training images vote, each with the same weight.

    The probabilities are the shares of the votes after one vote for each emotion is added
    (Laplace), since never seen among a few is not impossible.

    Attributes:
        features: float32, M×D, the training images.
        labels: uint8, M.
        count: int64, 1: how many vote.
    """

    prefix = "knn"
    features: Array
    labels: Array
    count: Array

    def probabilities(self, x: Array) -> NDArray[np.float32]:
        """Return float32 N×7."""
        return vote(nearest_labels(x, self.features, self.labels, int(self.count[0])))


@dataclass(frozen=True)
class Clusters(_Part):
    """The nearest center decides, by what its cluster's training images were.

    Attributes:
        centers: float64, K×D.
        counts: int64, K×7: the training images of each emotion in each cluster.
    """

    prefix = "clusters"
    centers: Array
    counts: Array

    def probabilities(self, x: Array) -> NDArray[np.float32]:
        """Return float32 N×7: the shares in the nearest cluster after one is added to each."""
        nearest = np.concatenate([d.argmin(axis=1) for d in squared_distances(x, self.centers)])
        return _shares(self.counts[nearest])


def transformed(x: Array, transforms: Sequence[Transform]) -> Array:
    """Return features that went through all transforms."""
    for transform in transforms:
        x = transform(x)
    return x


def squared_distances(x: Array, points: Array) -> Iterator[Array]:
    """Yield the squared distances of a block of rows of N×D to each of M×D, float64 B×M."""
    points = points.astype(np.float64)
    lengths = np.square(points).sum(axis=1)
    for start in range(0, len(x), _BLOCK):
        block = x[start : start + _BLOCK].astype(np.float64)
        distances = np.square(block).sum(axis=1, keepdims=True) - 2 * block @ points.T + lengths
        yield np.maximum(distances, 0)


def nearest_labels(
    x: Array, features: Array, labels: Array, count: int, *, leave_self_out: bool = False
) -> Array:
    """Return the labels of the `count` nearest of M×D to each of N×D, the nearest first, N×count.

    With `leave_self_out` the rows of `x` are those of `features`, and none is its own neighbor.
    """
    result, done = [], 0
    for distances in squared_distances(x, features):
        if leave_self_out:
            own = np.arange(len(distances))
            distances[own, done + own] = np.inf
        done += len(distances)
        near = np.argpartition(distances, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
        result.append(labels[np.take_along_axis(near, order, axis=1)])
    return np.concatenate(result)


def vote(labels: Array) -> NDArray[np.float32]:
    """Return float32 N×7 for the labels of each row's neighbors, N×k."""
    return _shares((labels[..., None] == np.arange(len(EMOTIONS))).sum(axis=1))


def softmax(values: Array) -> Array:
    """Return the softmax of each row; −∞ becomes 0."""
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def _shares(counts: Array) -> NDArray[np.float32]:
    more = counts + 1
    result: NDArray[np.float32] = (more / more.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


TRANSFORMS: tuple[type[Standardization] | type[UnitLength] | type[KernelMap], ...] = (
    Standardization,
    UnitLength,
    KernelMap,
)
HEADS: dict[str, type[LinearSvm] | type[NearestNeighbors] | type[Clusters]] = {
    "svm": LinearSvm,
    "knn": NearestNeighbors,
    "clusters": Clusters,
}
