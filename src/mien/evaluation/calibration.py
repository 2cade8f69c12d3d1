"""Temperature scaling: probabilities that mean what they say, and the file that keeps them so.

A network's logits are divided by one number, the temperature, before the softmax. It changes how
sure the network is and never which emotion it prefers. C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger,
"On Calibration of Modern Neural Networks", ICML 2017.

Before that, rare emotions may be helped: a network that learned from few of them seldom says them.
A. K. Menon and others, "Long-tail learning via logit adjustment", ICLR 2021, section 4.1: the
logarithm of each class's share, times a strength, is taken from its logit.

Everything works on probabilities: log-probabilities and logits differ by a constant of the row,
which the softmax takes out again, so for a softmax network this is exact. For the mean of several
networks the log-probabilities stand for logits that there are none of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import MienError, missing_extra
from mien.evaluation.align import take
from mien.evaluation.confidence import confidence_figures
from mien.evaluation.coverage import CoverageCurve, coverage_curve
from mien.evaluation.ensemble import RESOLUTION
from mien.evaluation.metrics import evaluate
from mien.evaluation.predictions import Predictions
from mien.evaluation.stacking import softmax, stratified_folds
from mien.files import atomic_write, sha256
from mien.progress import Progress, silent
from mien.version import __version__

FILE = "calibration.json"
FORMAT = "1"
FOLDS = 5
FEWEST_IMAGES = 100
"""Images with a label that a temperature is fitted to, at least."""
LOWEST, HIGHEST = 0.05, 20.0
"""The range in which a temperature is looked for."""
NO_OFFSETS = (0.0,) * len(EMOTIONS)


@dataclass(frozen=True, eq=False)
class Calibration:
    """A temperature, what is added to logits before it, and where they come from.

    Attributes:
        temperature: above 1 makes a model less sure, below 1 surer.
        fitted: what it was fitted to: `split`, `images`, `tta`, the checksum of the `data`, and
            `model` and `model_sha256` of the weights, each where the predictions told it.
        measured: figures on held-out folds, as `Fit.calibration` gives them.
        offsets: what each emotion's logit is raised by first; all 0 where rare ones are not helped.
    """

    temperature: float
    fitted: Mapping[str, Any]
    measured: Mapping[str, Any]
    offsets: tuple[float, ...] = NO_OFFSETS

    def apply(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return calibrated probabilities, float32 N×7, for those of the model, N×7."""
        return scaled(probabilities, self.temperature, self.offsets).astype(np.float32)

    def calibrated(self, predictions: Predictions) -> Predictions:
        """Return the predictions of the calibrated model for those of the model."""
        return replace(predictions, probabilities=self.apply(predictions.probabilities))

    def check(self, weights: Path, file: Path) -> None:
        """Refuse to calibrate what the temperature was not fitted to.

        Args:
            weights: the file that decides what the model says.
            file: where the calibration was read, for the message.

        Raises:
            MienError: the weights are others, or it is not known which they were, or the
                temperature is one for test-time augmentation.
        """
        hint = "fit it again with mien calibrate, or remove it to leave probabilities as they are"
        digest, tta = self.fitted.get("model_sha256"), self.fitted.get("tta", "none")
        if digest != sha256(weights):
            raise MienError(
                f"{file} does not say to which weights it was fitted"
                if digest is None
                else f"{file} was fitted to other weights than {weights} holds now",
                hint=hint,
            )
        if tta != "none":
            raise MienError(
                f"{file} was fitted with the test-time augmentation {tta}, and a model's file "
                "looks at an image once",
                hint=hint,
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain JSON values, as `save` writes them."""
        return {
            "format": FORMAT,
            "temperature": self.temperature,
            "offsets": list(self.offsets),
            "fitted": dict(self.fitted),
            "measured": dict(self.measured),
            "mien": __version__,
        }

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        atomic_write(path, json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Calibration:
        """Read what `save` wrote.

        Raises:
            MienError: there is no such file, or it holds no calibration.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            if values["format"] != FORMAT:
                raise ValueError(f"it is of the format {values['format']!r}, not {FORMAT!r}")
            temperature = float(values["temperature"])
            if not LOWEST <= temperature <= HIGHEST:
                raise ValueError(f"{temperature} is no temperature from {LOWEST} to {HIGHEST}")
            # Files from before rare emotions could be helped have no offsets.
            offsets = tuple(float(each) for each in values.get("offsets", NO_OFFSETS))
            if len(offsets) != len(EMOTIONS) or not np.isfinite(offsets).all():
                raise ValueError(f"offsets have to be {len(EMOTIONS)} numbers")
            return cls(temperature, dict(values["fitted"]), dict(values["measured"]), offsets)
        except FileNotFoundError as error:
            raise MienError(
                f"there is no calibration {path}", hint="mien calibrate writes one"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MienError(
                f"{path} holds no calibration: {error}", hint="mien calibrate writes one"
            ) from error


@dataclass(frozen=True, eq=False)
class Fit:
    """A temperature fitted to predictions, and what it does to images that it was not fitted to.

    Attributes:
        temperature: fitted to all labeled images.
        temperatures: of the folds, each fitted to the images of the others.
        before: the predictions that have a label, as they were.
        after: the same, each fold calibrated with what was fitted to the others.
        balance: how much rare emotions are helped, from 0 (not).
        offsets: what that adds to the emotions' logits, by the shares of all labeled images.
    """

    temperature: float
    temperatures: tuple[float, ...]
    before: Predictions
    after: Predictions
    balance: float
    offsets: tuple[float, ...]

    @cached_property
    def figures(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Figures before and after on the same images, as plain JSON values.

        They are those of `ConfidenceFigures`, and `accuracy` and `balanced_accuracy`, 0 to 1.
        """
        first, second = (
            {
                **{key: getattr(evaluate(each), key) for key in ("accuracy", "balanced_accuracy")},
                **confidence_figures(each.labels, each.probabilities).to_dict(),
            }
            for each in (self.before, self.after)
        )
        return first, second

    def curve(self) -> CoverageCurve:
        """Return accuracy against coverage of the calibrated probabilities."""
        return coverage_curve(self.after.labels, self.after.probabilities)

    def calibration(self) -> Calibration:
        """Return what `mien export` needs, with the figures on held-out folds as a record."""
        before, after = self.figures
        known = self.before.info
        made_by = {key: known[key] for key in ("model", "model_sha256", "data") if key in known}
        fitted = {
            **made_by,
            "split": known.get("split"),
            "tta": known.get("tta", "none"),
            "images": len(self.before),
            "balance": self.balance,
        }
        measured = {
            "folds": len(self.temperatures),
            "temperatures": list(self.temperatures),
            "before": before,
            "after": after,
            "coverage": [point.to_dict() for point in self.curve().table()],
        }
        return Calibration(self.temperature, fitted, measured, self.offsets)


def fit(
    predictions: Predictions,
    *,
    balance: float = 0.0,
    folds: int = FOLDS,
    progress: Progress = silent,
) -> Fit:
    """Fit the temperature to all labeled images, and one to the complement of each fold.

    The folds are stratified and always the same.

    Args:
        predictions: of images that the model was not trained on.
        balance: how much rare emotions are helped: 0 leaves all as they are, 1 takes the whole
            logarithm of an emotion's share of the images from its logit.
        folds: at least 2.
        progress: told how many temperatures are fitted.

    Raises:
        MienError: fewer than `FEWEST_IMAGES` images have a label, no temperature fits, or SciPy is
            not installed.
    """
    known = take(predictions, predictions.labeled)
    if len(known) < FEWEST_IMAGES:
        raise MienError(
            f"a temperature is fitted to labels, and {len(known)} of these images have one; it "
            f"needs {FEWEST_IMAGES} at least",
            hint="give a split with labels",
        )
    temperature, offsets = _fitted(known.labels, known.probabilities, balance)
    progress(1, folds + 1)
    fold_of = stratified_folds(known.labels, folds)
    probabilities = np.empty_like(known.probabilities)
    temperatures = []
    for fold in range(folds):
        inside, outside = fold_of != fold, fold_of == fold
        found, raised = _fitted(known.labels[inside], known.probabilities[inside], balance)
        probabilities[outside] = scaled(known.probabilities[outside], found, raised)
        temperatures.append(found)
        progress(fold + 2, folds + 1)
    after = replace(known, probabilities=probabilities)
    return Fit(temperature, tuple(temperatures), known, after, balance, offsets)


def _fitted(
    labels: NDArray[np.int8], probabilities: NDArray[np.float32], balance: float
) -> tuple[float, tuple[float, ...]]:
    """Return the temperature and the offsets before it."""
    counts = np.bincount(labels, minlength=len(EMOTIONS))
    # An emotion that no image shows counts as one that a single image shows.
    offsets = tuple((-balance * np.log(np.maximum(counts, 1) / counts.sum())).tolist())
    return best_temperature(labels, probabilities, offsets), offsets


def best_temperature(
    labels: NDArray[np.int8],
    probabilities: NDArray[np.float32],
    offsets: Sequence[float] = NO_OFFSETS,
) -> float:
    """Return the temperature of least log loss, which has one minimum only (it is convex in 1/T).

    Args:
        labels: N; 0 to 6.
        probabilities: N×7.
        offsets: what is added to the logits first.

    Raises:
        MienError: the loss falls up to an end of the range: all answers are right, or they say
            nothing of the labels; SciPy is not installed.
    """
    try:
        from scipy import optimize
    except ImportError as error:
        raise missing_extra("fitting a temperature", "train") from error
    logits = _logits(probabilities) + np.array(offsets)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scores = logits / np.exp(log_temperature)
        highest = scores.max(axis=1)
        total = np.log(np.exp(scores - highest[:, None]).sum(axis=1)) + highest
        return float((total - scores[rows, labels]).mean())

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    temperature = float(np.exp(found.x))
    if not LOWEST * 1.001 < temperature < HIGHEST * 0.999:
        raise MienError(
            f"no temperature between {LOWEST} and {HIGHEST:g} fits these predictions: they are "
            + ("right without fail" if temperature < 1 else "no better than chance"),
            hint="give predictions for images that the model was not trained on, with their labels",
        )
    return temperature


def scaled(
    probabilities: NDArray[np.floating[Any]],
    temperature: float,
    offsets: Sequence[float] = NO_OFFSETS,
) -> NDArray[np.float64]:
    """Return softmax((log(probabilities) + offsets) / temperature): N×7, rows sum to 1.

    A probability counts as `RESOLUTION` at least, so that a 0 of limited precision stays finite.
    """
    return softmax((_logits(probabilities) + np.array(offsets)) / temperature)


def _logits(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities.astype(np.float64), RESOLUTION))
