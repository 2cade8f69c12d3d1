"""The filters beside Pillow, scikit-image and SciPy, on single images and on batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageFilter
from scipy import ndimage
from skimage import data, exposure
from skimage import filters as skfilters

from mien.errors import MienError
from mien.images.filters import (
    FILTERS,
    adaptive_equalize,
    clahe,
    equalize_hist,
    equalize_hist_float,
    gaussian,
    high_pass,
    median,
    unsharp_mask,
)

Array = np.ndarray[Any, Any]

EDGE_SIZES = [(1, 1), (1, 9), (9, 1), (2, 2), (3, 5), (5, 3), (8, 16), (47, 49), (48, 48)]


def shapes(color: bool) -> st.SearchStrategy[tuple[int, ...]]:
    sides = st.integers(1, 20)
    # A gray image is told from a color one by its width of 3, so none has it here.
    return st.tuples(sides, sides.filter(lambda w: w != 3), *[st.just(3)] * color)


def images(color: bool = False) -> st.SearchStrategy[Array]:
    levels = st.one_of(st.integers(0, 255), st.integers(100, 103))
    return arrays(np.uint8, shapes(color), elements=levels)


def real_images() -> dict[str, Array]:
    astronaut = data.astronaut()
    return {
        "camera 224": data.camera()[100:324, 150:374],
        "page, wide": data.page()[:61, :200],
        "face, color": astronaut[:180, 150:301],
        "helmet, dark color": astronaut[-120:, -150:],
    }


def pillow_unsharp(image: Array, radius: float, percent: int, threshold: int) -> Array:
    mask = ImageFilter.UnsharpMask(radius, percent, threshold)
    return np.asarray(Image.fromarray(image).filter(mask))


def reference_gaussian(image: Array, sigma: float) -> Array:
    axis = -1 if image.ndim == 3 else None
    blurred: Array = skfilters.gaussian(image, sigma, preserve_range=True, channel_axis=axis)
    return blurred


def reference_median(image: Array, size: int) -> Array:
    square = (size, size, 1)[: image.ndim]
    result: Array = ndimage.median_filter(image, square, mode="nearest")
    return result


@pytest.mark.filterwarnings("ignore:This might be a color image")
@pytest.mark.filterwarnings("ignore:Applying `apply_along_axis`")
class TestAgainstTheReference:
    """On random images, gray and color; on edge sizes; on photos."""

    @settings(max_examples=150, deadline=None)
    @given(
        image=st.one_of(images(), images(color=True)),
        radius=st.floats(0, 40, width=32),
        percent=st.integers(-500, 1000),
        threshold=st.integers(0, 256),
    )
    def test_unsharp_mask(self, image: Array, radius: float, percent: int, threshold: int) -> None:
        ours = unsharp_mask(image, radius=radius, percent=percent, threshold=threshold)
        np.testing.assert_array_equal(ours, pillow_unsharp(image, radius, percent, threshold))

    @settings(max_examples=60, deadline=None)
    @given(image=st.one_of(images(), images(color=True)))
    def test_equalize_hist(self, image: Array) -> None:
        reference = exposure.equalize_hist(image)
        np.testing.assert_array_equal(equalize_hist_float(image), reference)
        np.testing.assert_array_equal(equalize_hist(image), np.rint(255 * reference))

    @settings(max_examples=60, deadline=None)
    @given(image=st.one_of(images(), images(color=True)), sigma=st.floats(0, 6))
    def test_gaussian(self, image: Array, sigma: float) -> None:
        reference = reference_gaussian(image, sigma)
        # The order of a sum in float64 is ours, so a tie may be rounded either way.
        assert np.abs(gaussian(image, sigma=sigma) - reference).max() <= 0.5 + 1e-9

    @settings(max_examples=60, deadline=None)
    @given(image=st.one_of(images(), images(color=True)), reach=st.integers(0, 6))
    def test_median(self, image: Array, reach: int) -> None:
        size = 2 * reach + 1
        np.testing.assert_array_equal(median(image, size=size), reference_median(image, size))

    @settings(max_examples=40, deadline=None)
    @given(
        image=images(),
        clip_limit=st.one_of(st.floats(0, 1), st.floats(0.005, 0.05)),
        kernel_size=st.one_of(st.none(), st.integers(1, 25)),
    )
    def test_clahe(self, image: Array, clip_limit: float, kernel_size: int | None) -> None:
        reference = exposure.equalize_adapthist(image, kernel_size, clip_limit)
        ours = clahe(image, clip_limit=clip_limit, kernel_size=kernel_size)
        np.testing.assert_array_equal(ours, np.rint(255 * reference))

    @settings(max_examples=25, deadline=None)
    @given(image=images(color=True), clip_limit=st.floats(0, 1))
    def test_clahe_in_color(self, image: Array, clip_limit: float) -> None:
        reference = exposure.equalize_adapthist(image, None, clip_limit)
        assert np.abs(clahe(image, clip_limit=clip_limit) - 255 * reference).max() <= 0.5 + 1e-9

    @pytest.mark.parametrize("size", EDGE_SIZES)
    def test_edge_sizes(self, size: tuple[int, int]) -> None:
        # With an axis of channels, since a batch may be 3 pixels wide here.
        batch = np.random.default_rng(7).integers(0, 256, (3, *size, 1), dtype=np.uint8)
        filtered = [f(batch)[..., 0] for f in (unsharp_mask, clahe, adaptive_equalize)]
        for image, sharp, local, flat in zip(batch[..., 0], *filtered, strict=True):
            np.testing.assert_array_equal(sharp, pillow_unsharp(image, 2, 150, 3))
            reference = np.rint(255 * exposure.equalize_adapthist(image))
            np.testing.assert_array_equal(local, reference)
            reference = np.rint(255 * exposure.equalize_adapthist(image, clip_limit=1.0))
            np.testing.assert_array_equal(flat, reference)
        constant = np.full(size, 7, np.uint8)
        reference = np.rint(255 * exposure.equalize_adapthist(constant))
        np.testing.assert_array_equal(clahe(constant[None, ..., None])[0, ..., 0], reference)

    @pytest.mark.parametrize("name", real_images())
    def test_photos(self, name: str) -> None:
        photo = real_images()[name]
        np.testing.assert_array_equal(unsharp_mask(photo), pillow_unsharp(photo, 2, 150, 3))
        reference = np.rint(255 * exposure.equalize_hist(photo))
        np.testing.assert_array_equal(equalize_hist(photo), reference)
        blurred = reference_gaussian(photo, 1.0)
        np.testing.assert_array_equal(gaussian(photo), np.rint(blurred))
        np.testing.assert_array_equal(median(photo), reference_median(photo, 3))
        np.testing.assert_array_equal(median(photo, size=7), reference_median(photo, 7))
        for ours, limit in ((clahe(photo), 0.01), (adaptive_equalize(photo), 1.0)):
            reference = np.rint(255 * exposure.equalize_adapthist(photo, clip_limit=limit))
            if photo.ndim == 2:
                np.testing.assert_array_equal(ours, reference)
            else:
                # Ties of the last rounding only.
                assert np.abs(ours - reference).max() <= 1
                assert (ours != reference).mean() < 1e-4

    def test_median_is_scikit_images_by_default(self) -> None:
        photo = real_images()["camera 224"]
        np.testing.assert_array_equal(median(photo), skfilters.median(photo))


def test_high_pass_is_its_formula() -> None:
    photo = real_images()["camera 224"]
    blurred = reference_gaussian(photo, 2.0)
    detail = photo - blurred
    np.testing.assert_array_equal(high_pass(photo), np.clip(np.rint(128 + detail), 0, 255))
    sharpened = np.clip(np.rint(photo + 1.5 * detail), 0, 255)
    np.testing.assert_array_equal(high_pass(photo, amount=1.5, keep=1), sharpened)
    assert (high_pass(np.full((5, 7), 200, np.uint8)) == 128).all()


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("color", [False, True])
def test_a_batch_is_its_images(name: str, color: bool) -> None:
    """More images than one chunk holds, with a constant one among them."""
    rng = np.random.default_rng(3)
    batch = rng.integers(0, 256, (70, 17, 19, *[3] * color), dtype=np.uint8)
    batch = np.sort(batch, axis=1)
    batch[5] = 90
    before = batch.copy()
    result = FILTERS[name](batch)
    assert result.dtype == np.uint8
    assert result.shape == batch.shape
    for image, filtered in zip(batch, result, strict=True):
        np.testing.assert_array_equal(filtered, FILTERS[name](image))
    np.testing.assert_array_equal(batch, before)


@pytest.mark.parametrize("name", FILTERS)
def test_the_shape_says_what_is_a_batch(name: str) -> None:
    rng = np.random.default_rng(4)
    strips = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    as_batch = FILTERS[name](strips[..., None])
    assert as_batch.shape == (4, 6, 3, 1)
    for strip, filtered in zip(strips, as_batch[..., 0], strict=True):
        np.testing.assert_array_equal(filtered, FILTERS[name](strip))
    assert FILTERS[name](strips).shape == (4, 6, 3)
    assert FILTERS[name](np.zeros((0, 48, 48), np.uint8)).shape == (0, 48, 48)
    # A view that is not contiguous, as an image turned or cut out of another.
    turned = strips[:, ::-1].transpose(1, 0, 2)
    np.testing.assert_array_equal(FILTERS[name](turned), FILTERS[name](turned.copy()))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4)), "uint8, not float64"),
        (np.zeros(4, np.uint8), r"not \(4,\)"),
        (np.zeros((2, 4, 4, 4), np.uint8), r"not \(2, 4, 4, 4\)"),
        (np.zeros((2, 0, 4), np.uint8), r"not \(2, 0, 4\)"),
    ],
)
def test_other_arrays_are_refused(images: Array, message: str) -> None:
    with pytest.raises(MienError, match=message):
        unsharp_mask(images)


@pytest.mark.parametrize(
    ("call", "option"),
    [
        (lambda image: unsharp_mask(image, radius=-1), "radius"),
        (lambda image: unsharp_mask(image, percent=2.5), "percent"),
        (lambda image: unsharp_mask(image, threshold=-1), "threshold"),
        (lambda image: gaussian(image, sigma=float("nan")), "sigma"),
        (lambda image: median(image, size=4), "size"),
        (lambda image: high_pass(image, keep=2), "keep"),
        (lambda image: clahe(image, clip_limit=1.5), "clip_limit"),
        (lambda image: adaptive_equalize(image, kernel_size=0), "kernel_size"),
    ],
)
def test_options_out_of_range_are_named(call: Callable[[Array], Array], option: str) -> None:
    with pytest.raises(MienError, match=f"option {option} must be"):
        call(np.zeros((4, 4), np.uint8))
