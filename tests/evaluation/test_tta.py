"""Test-time augmentation: which views there are, and that their mean is taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from PIL import Image

from mien.errors import MienError
from mien.evaluation.tta import TTA, mean_probabilities

IMAGES = st.one_of(st.just(()), st.just((3,))).flatmap(
    lambda channels: st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 20)).flatmap(
        lambda shape: st_np.arrays(np.uint8, shape + channels)
    )
)


def brightness(images: np.ndarray) -> np.ndarray:
    """Stand for a classifier that looks at the mean of the left half alone."""
    half = images[:, :, : (images.shape[2] + 1) // 2]
    share = half.reshape(len(images), -1).mean(axis=1) / 255
    result = np.zeros((len(images), 7), np.float32)
    result[:, 0], result[:, 1] = share, 1 - share
    return result


@settings(deadline=None)
@given(IMAGES)
def test_views_have_the_shape_and_kind_of_the_images(images: np.ndarray) -> None:
    counts = {}
    for name, views in TTA.items():
        all_views = list(views(images))
        counts[name] = len(all_views)
        assert {(view.shape, view.dtype) for view in all_views} == {(images.shape, images.dtype)}
        np.testing.assert_array_equal(all_views[0] if name != "ten-crop" else images, images)
        for view, mirror in zip(all_views[::2], all_views[1::2], strict=False):
            np.testing.assert_array_equal(mirror, view[:, :, ::-1])
    assert counts == {"none": 1, "flip": 2, "ten-crop": 10}


@settings(deadline=None)
@given(IMAGES)
def test_flip_cannot_tell_an_image_from_its_mirror_image(images: np.ndarray) -> None:
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    np.testing.assert_allclose(
        mean_probabilities(brightness, images, "flip"),
        mean_probabilities(brightness, mirrored, "flip"),
        atol=1e-6,
    )


def test_flip_is_the_mean_of_two() -> None:
    image = np.zeros((1, 4, 4), np.uint8)
    image[:, :, :2] = 255
    assert mean_probabilities(brightness, image, "none")[0, 0] == 1
    result = mean_probabilities(brightness, image, "flip")
    assert result[0, 0] == 0.5
    assert result.dtype == np.float32


@pytest.mark.parametrize("channels", [(), (3,)])
def test_crops_equal_pillows_within_a_gray_level(channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(3).integers(0, 256, (2, 48, 48, *channels), dtype=np.uint8)
    views = list(TTA["ten-crop"](images))[::2]
    for view, (left, top) in zip(views, [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)], strict=True):
        for image, crop in zip(images, view, strict=True):
            part = Image.fromarray(image).crop((left, top, left + 44, top + 44))
            expected = part.resize((48, 48), Image.Resampling.BILINEAR)
            difference = crop.astype(int) - np.asarray(expected).astype(int)
            assert np.abs(difference).max() <= 1


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(MienError, match="five-crop") as caught:
        mean_probabilities(brightness, np.zeros((1, 4, 4), np.uint8), "five-crop")
    assert caught.value.hint == "did you mean 'ten-crop'?"
