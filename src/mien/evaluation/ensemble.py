"""Combine the predictions of several models into one, by fixed rules or by rules that are fitted.

All works on predictions files alone. Inside, the members' probabilities are one *stack*: float64,
M×N×7 for M members and N images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError, nearest
from mien.evaluation import stacking
from mien.evaluation.align import align, take
from mien.evaluation.metrics import log_loss
from mien.evaluation.predictions import Predictions
from mien.progress import Progress, silent
from mien.version import __version__

FOLDS = 5  # of the cross-validation
FEWEST_IMAGES = 10  # with a label, to fit anything on
GREEDY_ROUNDS = 50
# Probabilities are kept this far above 0 before their logarithm is taken, so that a 0 that float16
# made of a small number is no veto. It is the resolution of float32, as in the log loss.
RESOLUTION = float(np.finfo(np.float32).eps)

Array = NDArray[np.float64]
Labels = NDArray[np.int8]


@dataclass(frozen=True)
class Method:
    """One way to combine.

    Attributes:
        about: what it does, in a few words.
        combine: from a stack, and the parameters by keyword, to probabilities (N×7).
        fit: from a stack and labels (N, none unknown) to the parameters; None where there are none.
    """

    about: str
    combine: Callable[..., Array]
    fit: Callable[[Array, Labels], dict[str, Array]] | None = None


@dataclass(frozen=True, eq=False)
class Combiner:
    """A method with its parameters: several models' predictions in, one model's out.

    Attributes:
        method: one of `METHODS`.
        members: how many predictions it takes; their order matters where something was fitted.
        parameters: `weights` (M) of a weighted mean, which need not sum to 1; `coefficients`
            (7×7M) and `intercept` (7) of stacking; else empty.
    """

    method: str
    members: int
    parameters: Mapping[str, Array] = field(default_factory=dict)

    def __call__(self, members: Sequence[Predictions]) -> Predictions:
        """Combine predictions for the same images, in the order of the first.

        The result's `info` has the combiner (`to_dict`) and what made each member under the key
        `ensemble`.

        Raises:
            MienError: not as many members as it was made for, or they do not fit together
                (see `mien.evaluation.align`).
        """
        if len(members) != self.members:
            raise MienError(
                f"the ensemble was made for {self.members} members, and {len(members)} are given"
            )
        members = align(members)
        infos = [dict(each.info) for each in members]
        common: dict[str, Any] = {
            key: infos[0][key]
            for key in ("split", "tta", "data")
            if key in infos[0] and all(info.get(key) == infos[0][key] for info in infos)
        }
        ensemble = {**self.to_dict(), "made_of": infos}
        return replace(
            members[0],
            probabilities=self.combine(_stack(members)).astype(np.float32),
            info={"model": "ensemble", **common, "mien": __version__, "ensemble": ensemble},
        )

    def combine(self, stack: Array) -> Array:
        """Return probabilities, N×7, for a stack of them, M×N×7."""
        return METHODS[self.method].combine(stack, **self.parameters)

    def trimmed(self) -> tuple[Combiner, list[int]]:
        """Return the combiner without the members of weight 0, and which members are left."""
        weights = self.parameters.get("weights")
        if weights is None:
            return self, list(range(self.members))
        left = np.flatnonzero(weights)
        return Combiner(self.method, len(left), {"weights": weights[left]}), left.tolist()

    def to_dict(self) -> dict[str, Any]:
        """Return the combiner as plain JSON values, from which `from_dict` makes it again."""
        parameters = {name: value.tolist() for name, value in self.parameters.items()}
        return {"method": self.method, "members": self.members, "parameters": parameters}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Combiner:
        """Make a combiner of what `to_dict` gave; other keys are passed over.

        Raises:
            MienError: the values are not a combiner's.
        """
        try:
            _method(values["method"])
            parameters = {
                name: np.array(value, np.float64) for name, value in values["parameters"].items()
            }
            combiner = cls(values["method"], int(values["members"]), parameters)
            combiner.combine(np.full((combiner.members, 1, len(EMOTIONS)), 1 / len(EMOTIONS)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MienError(f"this is not the state of an ensemble: {error}") from error
        return combiner


def fit(method: str, members: Sequence[Predictions]) -> Combiner:
    """Make a combiner, with its parameters fitted to the members' labeled images.

    Args:
        method: one of `METHODS`.
        members: at least one; labels matter only to the methods that fit something.

    Raises:
        MienError: there is no such method, the members do not fit together (see
            `mien.evaluation.align`), fewer than `FEWEST_IMAGES` images have a label, or SciPy is
            needed and not installed.
    """
    fitting = _method(method).fit
    members = align(members)
    if fitting is None:
        return Combiner(method, len(members))
    known = members[0].labeled
    if known.sum() < FEWEST_IMAGES:
        raise MienError(
            f"{method} is fitted to labels, and {known.sum()} of these images have one; "
            f"it needs {FEWEST_IMAGES} at least",
            hint="fit on a split with labels, or combine by mean, logits or vote",
        )
    return Combiner(
        method, len(members), fitting(_stack(members)[:, known], members[0].labels[known])
    )


def out_of_fold(
    method: str, members: Sequence[Predictions], *, progress: Progress = silent
) -> Predictions:
    """Combine each of `FOLDS` parts of the images by what was fitted to the other parts.

    The figures of the result are what a fitted method is worth on images that it has not seen;
    those of `fit(method, members)(members)` are not. The folds are stratified and always the same.

    Raises:
        MienError: as `fit`.
    """
    members = align(members)
    labels = members[0].labels
    probabilities = np.empty_like(members[0].probabilities)
    fold_of = stacking.stratified_folds(labels, FOLDS)
    for fold in range(FOLDS):
        inside, outside = fold_of != fold, fold_of == fold
        combiner = fit(method, [take(each, inside) for each in members])
        probabilities[outside] = combiner.combine(_stack(members)[:, outside])
        progress(fold + 1, FOLDS)
    return replace(members[0], probabilities=probabilities, info={})


def _method(name: str) -> Method:
    if name not in METHODS:
        raise MienError(f"there is no method {name!r} to combine", hint=nearest(name, METHODS))
    return METHODS[name]


def _stack(members: Sequence[Predictions]) -> Array:
    return np.stack([each.probabilities for each in members]).astype(np.float64)


def _mean(stack: Array, weights: Array | None = None) -> Array:
    return np.asarray(np.average(stack, axis=0, weights=weights), np.float64)


def _mean_of_logits(stack: Array) -> Array:
    """Return the geometric mean, scaled to sum to 1.

    A softmax of the mean of the logits is the same: logits and log-probabilities differ by a
    constant of the row, and so do their means.
    """
    return stacking.softmax(_logarithm(stack).mean(axis=0))


def _vote(stack: Array) -> Array:
    """Return (votes + mean probability) / (M + 1).

    An emotion with more votes always comes first: the mean probabilities of two emotions differ
    by less than the one vote between them. Where votes are equal, the mean probability decides.
    """
    votes = np.eye(len(EMOTIONS))[stack.argmax(axis=2)].sum(axis=0)
    return np.asarray((votes + stack.mean(axis=0)) / (len(stack) + 1), np.float64)


def _fit_weights(stack: Array, labels: Labels) -> dict[str, Array]:
    """Return the weights, at least 0 with the sum 1, whose mean has the least log loss.

    Minimizes −mean(log(w·p)) + Σw over w ≥ 0, which is convex, where p are the probabilities that
    the members give to the true emotion. The sum needs no constraint: where the gradient along w
    itself vanishes, −1 + Σw is 0.
    """
    given = np.maximum(stack[:, np.arange(len(labels)), labels], RESOLUTION)

    def objective(weights: Array) -> tuple[float, Array]:
        mixed = np.maximum(weights @ given, RESOLUTION)
        value = weights.sum() - np.log(mixed).mean()
        return float(value), 1 - (given / mixed).mean(axis=1)

    start = np.full(len(stack), 1 / len(stack))
    weights = stacking.minimize(objective, start, lowest=0.0)
    return {"weights": weights / weights.sum()}


def _fit_greedily(stack: Array, labels: Labels) -> dict[str, Array]:
    """Return how often each member is chosen by greedy selection with replacement.

    Each round adds the member, chosen before or not, with which the mean is right most often (then
    the one with the least log loss); of the `GREEDY_ROUNDS` ensembles on the way the best is kept,
    the smallest of equals. R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes, "Ensemble selection
    from libraries of models", ICML 2004.
    """
    total = np.zeros(stack.shape[1:])
    chosen = np.zeros(len(stack))
    best = (-1, 0.0)
    kept = chosen
    for size in range(1, GREEDY_ROUNDS + 1):
        scores = [_score((total + member) / size, labels) for member in stack]
        pick = scores.index(max(scores))
        total += stack[pick]
        chosen[pick] += 1
        if scores[pick] > best:
            best, kept = scores[pick], chosen.copy()
    return {"weights": kept}


def _score(probabilities: Array, labels: Labels) -> tuple[int, float]:
    stored = probabilities.astype(np.float32)  # as they will be, so that ties are the same
    return int((stored.argmax(axis=1) == labels).sum()), -log_loss(labels, stored)


def _stacked(stack: Array, coefficients: Array, intercept: Array) -> Array:
    scores: Array = _features(stack) @ coefficients.T + intercept
    return stacking.softmax(scores)


def _fit_stacking(stack: Array, labels: Labels) -> dict[str, Array]:
    coefficients, intercept = stacking.fit(_features(stack), labels)
    return {"coefficients": coefficients, "intercept": intercept}


def _features(stack: Array) -> Array:
    """Return the members' log-probabilities side by side: N×7M."""
    return np.concatenate(list(_logarithm(stack)), axis=1)


def _logarithm(stack: Array) -> Array:
    return np.log(np.maximum(stack, RESOLUTION))


METHODS: dict[str, Method] = {
    "mean": Method("mean of the probabilities", _mean),
    "logits": Method("mean of the logits", _mean_of_logits),
    "vote": Method("hard vote; the mean probability decides ties", _vote),
    "weights": Method("weighted mean of least log loss", _mean, _fit_weights),
    "greedy": Method("greedy selection with replacement", _mean, _fit_greedily),
    "stacking": Method("logistic regression on log-probabilities", _stacked, _fit_stacking),
}
