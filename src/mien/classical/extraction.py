"""From a preprocessed batch of faces to features: points, registration, then what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.classical.features import geometry, hog, lbp
from mien.classical.landmarks import Finder, eyes_of, find_points
from mien.classical.options import Features
from mien.classical.registration import register
from mien.errors import MienError
from mien.images.preprocessing import to_gray
from mien.progress import Progress, silent
from mien.training.run import TorchClassifier

_BATCH = 256


@dataclass(frozen=True)
class Extractor:
    """Takes features from faces.

    Attributes:
        options: which.
        finder: finds points, where the options need them.
        network: gives embeddings or outputs, where the options need them.
    """

    options: Features
    finder: Finder | None = None
    network: TorchClassifier | None = None

    def points(self, images: NDArray[np.uint8], progress: Progress = silent) -> NDArray[np.float32]:
        """Return the points of faces, float32 N×P×2, NaN where none was seen.

        Args:
            images: uint8, N×S×S or N×S×S×3.
            progress: told how many images are done.

        Raises:
            MienError: there is no finder of points, or it gives none.
        """
        if self.finder is None:
            raise no_finder()
        parts = []
        for start in range(0, len(images), _BATCH):
            parts.append(find_points(self.finder, images[start : start + _BATCH]))
            progress(min(start + _BATCH, len(images)), len(images))
        # A part in which nothing was seen does not know how many points there are.
        count = max((part.shape[1] for part in parts), default=0)
        return np.concatenate(
            [
                part if part.shape[1] else np.full((len(part), count, 2), np.nan, np.float32)
                for part in parts
            ]
        )

    def __call__(
        self,
        images: NDArray[np.uint8],
        points: NDArray[np.float32] | None = None,
        progress: Progress = silent,
    ) -> NDArray[np.float32]:
        """Return the features of faces, float32 N×D.

        Args:
            images: uint8, N×S×S or N×S×S×3, preprocessed.
            points: N×P×2 without gaps, where the options need points.
            progress: told how many images are done.
        """
        parts = []
        for start in range(0, len(images), _BATCH):
            rows = slice(start, start + _BATCH)
            parts.append(self._batch(images[rows], None if points is None else points[rows]))
            progress(min(start + _BATCH, len(images)), len(images))
        return np.concatenate(parts)

    def _batch(
        self, images: NDArray[np.uint8], points: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        options = self.options
        if options.registration == "eyes":
            assert points is not None
            images = register(images, eyes_of(points))
        gray = to_gray(images[..., None] if images.ndim == 3 else images)[..., 0]
        parts = []
        for feature in options.features:
            match feature:
                case "hog":
                    parts.append(hog(gray, options.hog_cell, options.hog_bins))
                case "lbp":
                    parts.append(lbp(gray, options.lbp_radius, options.lbp_grid))
                case "landmarks":
                    assert points is not None
                    parts.append(geometry(points))
                case "embedding" | "outputs":
                    parts.append(self._of_network(images, feature))
        return np.concatenate(parts, axis=1)

    def _of_network(self, images: NDArray[np.uint8], feature: str) -> NDArray[np.float32]:
        assert self.network is not None
        if feature == "embedding":
            return self.network.embeddings(images)
        return self.network.probabilities(images)


def no_finder() -> MienError:
    """Return what is told where landmarks are asked for and nothing finds them."""
    return MienError(
        "landmarks need something that finds them",
        hint="name YuNet's file: --set model.options.landmarks=face_detection_yunet.onnx",
    )


def filled(points: NDArray[np.float32], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points with `usual` (P×2) where no face was seen, or where its eyes are one place."""
    if points.shape[1] == 0:
        return np.repeat(usual[None], len(points), axis=0)
    left, right = np.moveaxis(eyes_of(points), 1, 0)
    seen = np.linalg.norm(right - left, axis=1) > 1  # pixel; NaN is not
    return np.where(seen[:, None, None], points, usual)


def usual_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the points that were found, P×2.

    Raises:
        MienError: none were found, or they are not those of a face.
    """
    seen = ~np.isnan(points).any(axis=(1, 2)) if points.shape[1] else np.zeros(len(points), bool)
    if not seen.any():
        raise MienError(
            "no landmarks were found in any image of the training split",
            hint="take another finder of landmarks, larger images, or registration = 'none'",
        )
    mean: NDArray[np.float32] = points[seen].mean(axis=0)
    eyes_of(mean[None])
    return mean
