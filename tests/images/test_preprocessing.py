"""The steps between an image and a network, and what describes them."""

from __future__ import annotations

import json
import pickle
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from mien.errors import MienError
from mien.images.filters import FILTERS, gaussian, unsharp_mask
from mien.images.preprocessing import FilterSpec, Place, Preprocessing, resize, to_gray

Array = np.ndarray[Any, Any]
PLACES = get_args(Place)


def noise(*shape: int) -> Array:
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def test_an_image_of_the_right_size_is_left_bit_for_bit() -> None:
    batch = noise(5, 48, 48)
    np.testing.assert_array_equal(Preprocessing()(batch), batch)
    colored = noise(5, 48, 48, 3)
    np.testing.assert_array_equal(Preprocessing(color=True)(colored), colored)


def test_gray_is_pillows_for_every_kind_of_color() -> None:
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    expected = [np.asarray(Image.fromarray(layer).convert("L")) for layer in cube]
    np.testing.assert_array_equal(to_gray(cube)[..., 0], np.stack(expected))


def test_gray_becomes_three_equal_channels() -> None:
    batch = noise(2, 48, 48)
    colored = Preprocessing(color=True)(batch)
    assert colored.shape == (2, 48, 48, 3)
    for channel in range(3):
        np.testing.assert_array_equal(colored[..., channel], batch)


def test_resizing_averages_areas_and_grows_by_cubic_splines() -> None:
    image = data.camera()
    small = resize(image[None, ..., None], 64)[0, ..., 0]
    means = image.reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5
    large = resize(image[None, :40, :40, None], 64)[0, ..., 0]
    cubic = cv2.resize(image[:40, :40], (64, 64), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(large, cubic)


def test_a_side_that_shrinks_is_averaged_though_the_other_grows() -> None:
    """Stripes of one pixel become their mean; bicubic sampling alone would keep some."""
    stripes = np.tile(np.array([0, 255], np.uint8), (10, 400))
    result = Preprocessing(size=40)([stripes])
    assert np.abs(result.astype(int) - 127.5).max() <= 1


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    size=st.integers(1, 64),
    channels=st.sampled_from([(), (3,)]),
    color=st.booleans(),
)
def test_any_size_becomes_the_size_asked_for(
    height: int, width: int, size: int, channels: tuple[int, ...], color: bool
) -> None:
    images = [noise(height, width, *channels), noise(width, height, *channels), noise(9, 8)]
    if width == 3 or height == 3:
        images = images[:1]
    result = Preprocessing(size=size, color=color)(images)
    assert result.dtype == np.uint8
    assert result.shape == (len(images), size, size, *[3] * color)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("color", [False, True])
def test_images_of_mixed_sizes_come_out_as_each_alone(name: str, place: Place, color: bool) -> None:
    steps = Preprocessing(size=20, color=color, filter=FilterSpec(name, place))
    images = [noise(20, 20), noise(33, 21, 3), noise(33, 21, 3), noise(7, 9), noise(20, 20, 3)]
    together = steps(images)
    for image, result in zip(images, together, strict=True):
        np.testing.assert_array_equal(result, steps([image])[0])
    np.testing.assert_array_equal(steps(np.stack(images[1:3])), together[1:3])


def test_the_place_is_the_order_of_the_steps() -> None:
    photo = data.camera()[:300, :300]
    small = resize(photo[None, ..., None], 48)[0, ..., 0]
    sharp_small = resize(unsharp_mask(photo)[None, ..., None], 48)[0, ..., 0]
    expected = {
        "before_resize": (sharp_small, sharp_small),
        "after_resize": (unsharp_mask(small), unsharp_mask(small)),
        # In training the last place comes later; what is cached has no filter yet.
        "after_augmentation": (unsharp_mask(small), small),
    }
    for place in PLACES:
        steps = Preprocessing(filter=FilterSpec("unsharp_mask", place))
        full, cached = expected[place]
        np.testing.assert_array_equal(steps([photo])[0], full)
        np.testing.assert_array_equal(steps.cached([photo])[0], cached)
    assert not np.array_equal(sharp_small, unsharp_mask(small))


def test_options_reach_the_filter() -> None:
    batch = noise(2, 48, 48)
    steps = Preprocessing(filter=FilterSpec("gaussian", options={"sigma": 3}))
    np.testing.assert_array_equal(steps(batch), gaussian(batch, sigma=3))


def test_no_images_are_an_empty_batch() -> None:
    assert Preprocessing(size=32)([]).shape == (0, 32, 32)
    assert Preprocessing(size=32, color=True)(noise(0, 48, 48)).shape == (0, 32, 32, 3)


@pytest.mark.parametrize(
    "steps",
    [
        Preprocessing(),
        Preprocessing(197, True, FilterSpec("equalize_hist", "before_resize")),
        Preprocessing(
            filter=FilterSpec("unsharp_mask", "after_augmentation", {"radius": 1.5, "percent": 80})
        ),
    ],
)
def test_it_survives_json_and_pickle(steps: Preprocessing) -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(steps.to_dict()))) == steps
    copy = pickle.loads(pickle.dumps(steps))
    assert copy == steps
    assert hash(copy) == hash(steps)


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"sizes": 48}, "no key 'sizes'", "'size'"),
        ({"size": 0}, "size must be", None),
        ({"size": "48"}, "size must be", None),
        ({"color": 1}, "color must be", None),
        ({"filter": {"name": "unsharp"}}, "unknown filter 'unsharp'", "'unsharp_mask'"),
        ({"filter": {"nam": "median"}}, "no key 'nam'", "'name'"),
        ({"filter": {"place": "after_resize"}}, "no name", "median"),
        ({"filter": {"name": "median", "place": "before"}}, "'before'", "before_resize"),
        ({"filter": {"name": "median", "options": {"sise": 3}}}, "no option 'sise'", "'size'"),
        ({"filter": {"name": "equalize_hist", "options": {"x": 3}}}, "'x'", "no options"),
        ({"filter": {"name": "median", "options": {"size": 4}}}, "must be odd", None),
        ({"filter": {"name": "median", "options": {"size": "3"}}}, "must be a number", None),
        ({"filter": {"name": "gaussian", "options": {"sigma": True}}}, "must be a number", None),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(MienError) as caught:
        Preprocessing.from_dict(values)
    assert message in caught.value.message
    if hint:
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "images",
    [noise(48, 48), [noise(4, 4, 4)], [noise(2, 4, 4)], [np.zeros((4, 4))], noise(2, 4, 4, 2)],
)
def test_other_arrays_are_refused(images: Any) -> None:
    with pytest.raises(MienError, match="must"):
        Preprocessing()(images)
