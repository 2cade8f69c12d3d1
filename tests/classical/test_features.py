"""Features against scikit-image and known geometry."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import hog as skimage_hog
from skimage.feature import local_binary_pattern

from mien.classical.features import LBP_CODES, geometry, hog, lbp
from mien.data.cache import Dataset


@pytest.mark.parametrize(("cell", "bins"), [(8, 9), (6, 8), (16, 4)])
def test_hog_is_as_long_as_scikit_image_s_and_says_nearly_the_same(
    dataset: Dataset, cell: int, bins: int
) -> None:
    images = dataset.images[:7]
    ours = hog(images, cell, bins)
    theirs = np.stack(
        [
            skimage_hog(
                image, orientations=bins, pixels_per_cell=(cell, cell), cells_per_block=(2, 2)
            )
            for image in images
        ]
    )
    assert ours.shape == theirs.shape == (7, (48 // cell - 1) ** 2 * 4 * bins)
    assert ours.dtype == np.float32
    # OpenCV's votes are interpolated between cells and directions: alike, not equal. The
    # images that are alike in one are so in the other.
    similar = ours @ ours.T
    theirs_similar = theirs @ theirs.T
    off = ~np.eye(7, dtype=bool)
    assert np.corrcoef(similar[off], theirs_similar[off])[0, 1] > 0.9


def test_hog_tells_horizontal_from_vertical_edges() -> None:
    image = np.zeros((1, 32, 32), np.uint8)
    image[:, :, 16:] = 255
    across = hog(image, 16, 9).reshape(2, 2, 9).sum(axis=(0, 1))
    down = hog(image.transpose(0, 2, 1), 16, 9).reshape(2, 2, 9).sum(axis=(0, 1))
    # The gradient of a vertical edge lies at 0 degrees, of a horizontal one at 90.
    assert across.argmax() in (0, 8)
    assert down.argmax() == 4


def test_lbp_is_scikit_image_s_in_each_part(dataset: Dataset) -> None:
    images = dataset.images[:3]
    ours = lbp(images, radius=1, grid=4).reshape(3, 4, 4, LBP_CODES)
    for image, histograms in zip(images, ours, strict=True):
        codes = local_binary_pattern(image, 8, 1, method="nri_uniform").astype(int)
        # A part in the middle, where no border counts.
        part = codes[12:24, 24:36]
        expected = np.bincount(part.ravel(), minlength=LBP_CODES) / part.size
        np.testing.assert_allclose(histograms[1, 2], expected, atol=1e-6)


def test_lbp_s_histograms_sum_to_one_and_images_do_not_mix(dataset: Dataset) -> None:
    images = dataset.images[:5]
    together = lbp(images, radius=2, grid=5)
    assert together.shape == (5, 25 * LBP_CODES)
    np.testing.assert_allclose(together.reshape(5, 25, -1).sum(axis=2), 1, atol=1e-6)
    alone = np.concatenate([lbp(image[None], radius=2, grid=5) for image in images])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("count", [5, 68])
def test_geometry_does_not_see_place_size_and_tilt(count: int) -> None:
    random = np.random.default_rng(0)
    points = random.uniform(0, 48, (3, count, 2))
    turn = np.array([[0.8, -0.6], [0.6, 0.8]]) * 1.7
    before = geometry(points)
    assert before.shape == (3, 2 * count + count * (count - 1) // 2)
    np.testing.assert_allclose(geometry(points @ turn.T + (30, -7)), before, atol=1e-4)


def test_geometry_of_a_face_that_is_known() -> None:
    # Eyes 20 apart, the nose 10 below their middle, the mouth 20 below, 16 wide.
    face = np.array([[[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]]], float)
    values = geometry(face)[0]
    np.testing.assert_allclose(values[:5], [-0.5, 0.5, 0, -0.4, 0.4], atol=1e-6)
    np.testing.assert_allclose(values[5:10], [0, 0, 0.5, 1, 1], atol=1e-6)
    assert values[10] == pytest.approx(1)  # between the eyes
    assert values[-1] == pytest.approx(0.8)  # between the corners of the mouth
