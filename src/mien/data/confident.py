"""Confident learning: which labels are probably wrong, from what others would have said of them.

C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating uncertainty in dataset labels",
Journal of Artificial Intelligence Research 70, 2021, arXiv 1911.00068.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """What confident learning says of N labels of K classes.

    Attributes:
        class_sizes: int64, K: how many images are labeled so.
        thresholds: float64, K: the mean probability of each class among the images labeled so;
            NaN where none is.
        joint: int64, K×K, the confident joint; row: the label, column: the class that an image is
            confidently of. Images that reach no class's threshold are not counted.
        suspects: intp, the images off the joint's diagonal, the most suspicious first.
        suggested: intp, each suspect's column.
        margins: float64, each suspect's normalized margin: the label's probability less the
            highest of another class, -1 to 1, ascending.
    """

    class_sizes: NDArray[np.int64]
    thresholds: NDArray[np.float64]
    joint: NDArray[np.int64]
    suspects: NDArray[np.intp]
    suggested: NDArray[np.intp]
    margins: NDArray[np.float64]

    @property
    def rate(self) -> float:
        """The share of wrong labels that the joint estimates, each row scaled to its class's size.

        A class of which no image is confidently anything is taken to be right.
        """
        rows = self.joint.sum(axis=1)
        wrong = (rows - np.diag(self.joint)) / np.maximum(rows, 1)
        return float(np.average(wrong, weights=self.class_sizes))


def find_label_errors(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> LabelErrors:
    """Find labels that are probably wrong.

    Args:
        labels: N, 0 to K-1; at least one.
        probabilities: N×K, out of sample: given by models that were not trained on the image.
    """
    p = probabilities.astype(np.float64)
    count, classes = p.shape
    sizes = np.bincount(labels, minlength=classes)
    own = p[np.arange(count), labels]
    sums = np.bincount(labels, weights=own, minlength=classes)
    thresholds = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)
    # Comparing with NaN is false: nothing is confidently of a class that has no image. The sums
    # of a class whose images all have one probability may be rounded up beyond it.
    confident = p >= thresholds * (1 - 1e-12)
    column = np.where(confident, p, -1).argmax(axis=1)
    counted = confident.any(axis=1)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[counted], column[counted]), 1)
    others = p.copy()
    others[np.arange(count), labels] = -np.inf
    margin = own - others.max(axis=1)
    suspects = np.flatnonzero(counted & (column != labels))
    suspects = suspects[np.argsort(margin[suspects], kind="stable")]
    return LabelErrors(sizes, thresholds, joint, suspects, column[suspects], margin[suspects])
