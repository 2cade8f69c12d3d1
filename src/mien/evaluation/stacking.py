"""Multinomial logistic regression with its strength chosen by cross-validation, on SciPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import missing_extra

FOLDS = 5
# Inverse strengths of the penalty that are tried, strongest penalty first.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Array = NDArray[np.float64]
Labels = NDArray[np.int8]


def fit(features: Array, labels: Labels) -> tuple[Array, Array]:
    """Fit with that one of the `STRENGTHS` whose cross-validated log loss is least.

    Args:
        features: N×F.
        labels: N, 0 to 6.

    Returns:
        Coefficients, 7×F, and intercept, 7; `softmax(features @ coefficients.T + intercept)` are
        the probabilities.

    Raises:
        MienError: SciPy is not installed.
    """
    fold_of = stratified_folds(labels, FOLDS)
    losses = np.zeros(len(STRENGTHS))
    for fold in range(FOLDS):
        inside, outside = fold_of != fold, fold_of == fold
        start = None
        for index, strength in enumerate(STRENGTHS):
            start = fit_at(features[inside], labels[inside], strength, start)
            coefficients, intercept = start
            scores = features[outside] @ coefficients.T + intercept
            losses[index] += _losses(scores, labels[outside]).sum()
    return fit_at(features, labels, STRENGTHS[int(losses.argmin())])


def fit_at(
    features: Array,
    labels: Labels,
    strength: float,
    start: tuple[Array, Array] | None = None,
) -> tuple[Array, Array]:
    """Minimize Σ log loss + ½ ‖coefficients‖² / strength; the intercept is not penalized.

    `strength` is scikit-learn's `C`. `start` is a solution to begin with, as of another strength.
    """
    count, width = features.shape
    classes = len(EMOTIONS)
    truth = np.eye(classes)[labels]
    penalty = 1 / (strength * count)

    def objective(flat: Array) -> tuple[float, Array]:
        coefficients, intercept = _split(flat, width)
        scores = features @ coefficients.T + intercept
        value = _losses(scores, labels).mean() + penalty / 2 * (coefficients**2).sum()
        error = (softmax(scores) - truth) / count
        slope = error.T @ features + penalty * coefficients
        return float(value), np.concatenate([slope.ravel(), error.sum(axis=0)])

    if start is None:
        start = np.zeros((classes, width)), np.zeros(classes)
    return _split(minimize(objective, np.concatenate([start[0].ravel(), start[1]])), width)


def stratified_folds(labels: NDArray[Any], folds: int) -> NDArray[np.intp]:
    """Deal each label's images out to folds, in an order that is random and always the same.

    Returns:
        N numbers from 0 to folds - 1; for every label the folds' counts differ by at most 1.
    """
    random = np.random.default_rng(0)
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(len(labels), np.intp)
    fold_of[order] = np.arange(len(labels)) % folds
    return fold_of


def softmax(scores: Array) -> Array:
    """Return the probabilities of scores: N×7, rows sum to 1."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def minimize(
    objective: Callable[[Array], tuple[float, Array]], start: Array, lowest: float | None = None
) -> Array:
    """Return where the objective (value and gradient) is least, no coordinate below `lowest`.

    Raises:
        MienError: SciPy is not installed.
    """
    try:
        from scipy import optimize
    except ImportError as error:
        raise missing_extra("fitting an ensemble", "train") from error
    found = optimize.minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=None if lowest is None else [(lowest, None)] * len(start),
        options={"maxiter": 1000, "ftol": 1e-10, "gtol": 1e-6},
    )
    return np.asarray(found.x, np.float64)


def _split(flat: Array, width: int) -> tuple[Array, Array]:
    classes = len(EMOTIONS)
    return flat[: classes * width].reshape(classes, width), flat[classes * width :]


def _losses(scores: Array, labels: Labels) -> Array:
    """Return the log loss of each row."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1))
    return np.asarray(total - shifted[np.arange(len(labels)), labels])
