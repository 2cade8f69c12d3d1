"""Distillation: a teacher's probabilities as targets beside the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import MienError
from mien.evaluation.predictions import Predictions


def teacher_shares(
    files: Sequence[str], names: NDArray[np.str_], temperature: float
) -> NDArray[np.float32]:
    """Return what teachers say of images: the mean of their softened probabilities.

    G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", 2015,
    arXiv 1503.02531: softening by the temperature T takes the probabilities to the power 1 / T.
    Only the teachers' are softened here, not the student's.

    Args:
        files: predictions for the split that is trained on, as `mien evaluate` writes them. Best
            are out-of-fold ones: a teacher is too sure of images that it learned from.
        names: of the images, N.
        temperature: T, above 0; 1 leaves the probabilities as they are.

    Returns:
        float32, N×7; rows sum to 1.

    Raises:
        MienError: a file cannot be read or lacks an image.
    """
    total = np.zeros((len(names), 7))
    for file in files:
        predictions = Predictions.load(Path(file))
        place = {name: row for row, name in enumerate(predictions.names.tolist())}
        missing = next((name for name in names.tolist() if name not in place), None)
        if missing is not None:
            raise MienError(
                f"{file} has no prediction for the image {missing}",
                hint="distill from predictions for the whole split that is trained on: "
                "mien evaluate RUN --data DIR --split train",
            )
        rows = [place[name] for name in names.tolist()]
        softened = predictions.probabilities[rows].astype(np.float64) ** (1 / temperature)
        total += softened / softened.sum(axis=1, keepdims=True)
    shares: NDArray[np.float32] = (total / len(files)).astype(np.float32)
    return shares
