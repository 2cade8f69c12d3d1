"""Fitting by scikit-learn: each value of the grid is one candidate, made of plain arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.classical.options import Features
from mien.classical.parts import (
    Array,
    Clusters,
    Head,
    KernelMap,
    LinearSvm,
    NearestNeighbors,
    Standardization,
    Transform,
    UnitLength,
    nearest_labels,
    softmax,
    transformed,
    vote,
)
from mien.emotions import EMOTIONS
from mien.errors import MienError

_TOLERANCE = 1e-3
_EPSILON = 1e-7  # A probability in a log loss is at least so much.


@dataclass(frozen=True)
class Labeled:
    """Features and labels.

    Attributes:
        x: float32 or float64, N×D.
        y: uint8, N; 0 to 6.
    """

    x: Array
    y: NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """A classifier for one value of the grid.

    Attributes:
        value: the value.
        head: what was fitted.
        train, validation: float32 N×7, its probabilities for the splits; where a training image
            itself is kept (`knn`), it is left out for its own.
    """

    value: float
    head: Head
    train: NDArray[np.float32]
    validation: NDArray[np.float32]


def fit_transforms(x: Array, options: Features, seed: int) -> list[Transform]:
    """Return what features go through before the classifier, fitted on the training split."""
    transforms: list[Transform] = []
    if options.scaling == "standard":
        deviation = x.std(axis=0, dtype=np.float64)
        transforms.append(
            Standardization(x.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1))
        )
    elif options.scaling == "length":
        transforms.append(UnitLength())
    if options.classifier == "svm" and options.kernel == "rbf":
        transforms.append(_kernel_map(transformed(x, transforms), options, seed))
    return transforms


def candidates(
    train: Labeled, validation: Labeled, options: Features, *, seed: int, balanced: bool
) -> Iterator[Candidate]:
    """Fit and yield a classifier for each value of the grid.

    Args:
        train: what is fitted.
        validation: what decides the temperature of an SVM.
        options: which classifier, and the grid.
        seed: of k-means and of the SVM's order.
        balanced: weigh the classes of an SVM as scikit-learn's `balanced` does.
    """
    match options.classifier:
        case "svm":
            yield from _svms(train, validation, options.c, seed, balanced)
        case "knn":
            yield from _neighbors(train, validation, options.neighbors)
        case "clusters":
            yield from _clusters(train, validation, options.clusters, seed)


def check_labels(options: Features, labels: NDArray[np.int8]) -> None:
    """Refuse what cannot be fitted to so few images.

    Args:
        options: which classifier, and the grid.
        labels: of the training images.

    Raises:
        MienError: there are fewer images than the classifier needs, or one emotion only.
    """
    key, values = options.grid
    if options.classifier != "svm" and max(values) >= len(labels):
        raise MienError(
            f"model.options.{key} = {max(values):g} is too many for {len(labels)} training images"
        )
    if options.classifier != "svm":
        return
    if options.kernel == "rbf" and options.components > len(labels):
        raise MienError(
            f"model.options.components = {options.components} is more than the {len(labels)} "
            "training images"
        )
    if len(np.unique(labels)) < 2:
        raise MienError("an SVM needs training images of at least two emotions")


def log_loss(probabilities: Array, labels: NDArray[np.uint8]) -> float:
    """Return the mean of −log of the probability of the true emotion."""
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, _EPSILON)).mean())


def accuracy(probabilities: Array, labels: NDArray[np.uint8]) -> float:
    """Return the fraction of rows whose largest probability is that of the true emotion."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def _kernel_map(x: Array, options: Features, seed: int) -> KernelMap:
    from sklearn.kernel_approximation import Nystroem

    gamma = options.gamma or 1 / (x.shape[1] * max(float(x.var()), 1e-12))
    fitted = Nystroem(gamma=gamma, n_components=options.components, random_state=seed).fit(x)
    return KernelMap(
        np.asarray(fitted.components_, np.float64),
        np.asarray(fitted.normalization_, np.float64),
        np.array([gamma]),
    )


def _svms(
    train: Labeled, validation: Labeled, values: Sequence[float], seed: int, balanced: bool
) -> Iterator[Candidate]:
    from sklearn.svm import LinearSVC

    for value in values:
        fitted = LinearSVC(
            C=value,
            dual="auto",
            tol=_TOLERANCE,
            max_iter=10_000,
            class_weight="balanced" if balanced else None,
            random_state=seed,
        ).fit(train.x, train.y)
        head = linear_svm(fitted)
        head = LinearSvm(
            head.coefficients,
            head.intercepts,
            np.array([best_temperature(head.decision(validation.x), validation.y)]),
        )
        yield Candidate(value, head, head.probabilities(train.x), head.probabilities(validation.x))


def linear_svm(fitted: Any) -> LinearSvm:
    """Return a fitted `sklearn.svm.LinearSVC` as arrays, with the temperature 1."""
    coefficients = np.zeros((len(EMOTIONS), fitted.coef_.shape[1]))
    intercepts = np.full(len(EMOTIONS), -np.inf)
    # For two classes scikit-learn keeps one row, which speaks for the second of them.
    two = len(fitted.classes_) == 2
    coefficients[fitted.classes_] = np.concatenate([-fitted.coef_, fitted.coef_][-1 - two :])
    intercepts[fitted.classes_] = np.concatenate(
        [-fitted.intercept_, fitted.intercept_][-1 - two :]
    )
    return LinearSvm(coefficients, intercepts, np.ones(1))


def best_temperature(decision: Array, labels: NDArray[np.uint8]) -> float:
    """Return the temperature with the least log loss (Guo et al. 2017), 0.01 to 100.

    Args:
        decision: N×7 decision values.
        labels: N; those of emotions that were not trained on do not count.
    """
    from scipy.optimize import minimize_scalar

    known = np.isfinite(decision[np.arange(len(labels)), labels])
    if not known.any():
        return 1.0
    decision, labels = decision[known], labels[known]
    found = minimize_scalar(
        lambda log: log_loss(softmax(decision / np.exp(log)), labels),
        bounds=(np.log(0.01), np.log(100)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _neighbors(train: Labeled, validation: Labeled, values: Sequence[int]) -> Iterator[Candidate]:
    features = train.x.astype(np.float32)
    most = max(values)
    # The fewer neighbors are the first of the more: all distances are computed once.
    near_train = nearest_labels(features, features, train.y, most, leave_self_out=True)
    near_validation = nearest_labels(validation.x.astype(np.float32), features, train.y, most)
    for value in values:
        head = NearestNeighbors(features, train.y, np.array([value]))
        yield Candidate(value, head, vote(near_train[:, :value]), vote(near_validation[:, :value]))


def _clusters(
    train: Labeled, validation: Labeled, values: Sequence[int], seed: int
) -> Iterator[Candidate]:
    from sklearn.cluster import KMeans

    for value in values:
        fitted = KMeans(value, n_init=3, random_state=seed).fit(train.x)
        counts = np.zeros((value, len(EMOTIONS)), np.int64)
        np.add.at(counts, (fitted.labels_, train.y), 1)
        head = Clusters(np.asarray(fitted.cluster_centers_, np.float64), counts)
        yield Candidate(value, head, head.probabilities(train.x), head.probabilities(validation.x))
