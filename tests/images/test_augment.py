"""Augmentation: nothing where nothing is asked, known transforms exactly, ranges, repeatability."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.images.augment import Augmentation, Drawn, _grid, apply, augment, draw

EVERYTHING = Augmentation(
    rotation=20,
    shift=0.2,
    zoom=0.2,
    shear=0.1,
    elastic=0.05,
    flip=True,
    brightness=0.2,
    contrast=0.3,
    erase=0.5,
)


def _images(count: int = 8, side: int = 48, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, side, side), generator=generator).float()


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _affine(matrix: list[list[float]], count: int = 8) -> Drawn:
    one = torch.ones(count, 1, 1, 1)
    return Drawn(
        torch.tensor([matrix] * count, dtype=torch.float32), one, 0 * one, torch.zeros(count, 4)
    )


def test_no_augmentation_changes_nothing() -> None:
    images = _images()
    torch.testing.assert_close(
        augment(images, Augmentation(), _generator()), images, atol=0.02, rtol=0
    )


def test_flip_mirrors_about_half_exactly() -> None:
    images = _images(400, 8)
    result = augment(images, Augmentation(flip=True), _generator())
    mirrored = (result - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 0.1
    same = (result - images).abs().amax(dim=(1, 2, 3)) < 0.1
    assert bool((mirrored ^ same).all())
    assert 150 < int(mirrored.sum()) < 250


def test_a_shift_by_whole_pixels_repeats_the_border() -> None:
    images = _images()
    pixels = 3
    result = apply(images, _affine([[1, 0, 2 * pixels / 48], [0, 1, 0]]), _generator())
    padded = torch.nn.functional.pad(images, (0, pixels, 0, 0), mode="replicate")
    torch.testing.assert_close(result, padded[..., pixels:], atol=0.05, rtol=0)


def test_a_quarter_turn_is_exact() -> None:
    images = _images()
    result = apply(images, _affine([[0, -1, 0], [1, 0, 0]]), _generator())
    expected = torch.from_numpy(np.rot90(images.numpy(), axes=(2, 3)).copy())
    close = [torch.allclose(result, torch.rot90(expected, k, (2, 3)), atol=0.05) for k in (0, 2)]
    assert any(close)


def test_rotation_keeps_lengths_and_zoom_does_not_exceed_its_range() -> None:
    rotated = draw(1000, Augmentation(rotation=30), _generator()).affine
    torch.testing.assert_close(torch.linalg.det(rotated[:, :, :2]), torch.ones(1000))
    angles = torch.rad2deg(torch.atan2(rotated[:, 1, 0], rotated[:, 0, 0]))
    assert angles.abs().max() <= 30
    assert angles.abs().max() > 28
    zoomed = draw(1000, Augmentation(zoom=0.1), _generator()).affine
    assert zoomed[:, 0, 0].min() >= 0.9
    assert zoomed[:, 0, 0].max() <= 1.1
    assert zoomed[:, 0, 1].abs().max() == 0


def test_erasing_covers_two_to_twenty_five_percent_of_the_asked_share() -> None:
    images = torch.full((2000, 1, 32, 32), 100.0)
    result = augment(images, Augmentation(erase=0.4), _generator())
    changed = ((result - images).abs() > 0.5).float().mean(dim=(1, 2, 3))
    assert 0.35 < float((changed > 0).float().mean()) < 0.45
    assert float(changed.max()) < 0.30
    assert float(changed[changed > 0].mean()) > 0.08


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    side=st.sampled_from([8, 24, 33, 48]),
    channels=st.sampled_from([1, 3]),
)
def test_shape_and_range_stay_and_the_same_seed_repeats(
    seed: int, side: int, channels: int
) -> None:
    images = _images(6, side, seed).expand(-1, channels, -1, -1)
    result = augment(images, EVERYTHING, _generator(seed))
    assert result.shape == images.shape
    assert float(result.min()) >= 0
    assert float(result.max()) <= 255
    assert torch.equal(result, augment(images, EVERYTHING, _generator(seed)))


def test_the_grid_is_torchs_own() -> None:
    drawn = draw(5, EVERYTHING, _generator())
    expected = torch.nn.functional.affine_grid(drawn.affine, [5, 1, 20, 30], align_corners=False)
    flat = replace(drawn, bend=None)
    torch.testing.assert_close(_grid(flat, 20, 30), expected, atol=1e-6, rtol=0)


def test_elastic_bends_smoothly_and_no_further_than_asked() -> None:
    drawn = draw(200, Augmentation(elastic=0.05), _generator())
    moved = _grid(drawn, 48, 48) - _grid(replace(drawn, bend=None), 48, 48)
    assert drawn.bend is not None
    assert drawn.bend.abs().max() <= 2 * 0.05
    # In pixels; the bicubic spline may overshoot its points a little.
    pixels = moved * 48 / 2
    assert 1.5 < pixels.abs().max() < 48 * 0.05 * 1.5
    steps = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs().max()
    assert steps < 0.6  # neighbors stay neighbors
    assert not torch.allclose(moved[0], moved[1])


@pytest.mark.parametrize(
    "field", ["rotation", "shift", "zoom", "shear", "elastic", "brightness", "contrast"]
)
def test_each_parameter_does_something(field: str) -> None:
    images = _images()
    result = augment(images, Augmentation(**{field: 0.5}), _generator())
    assert float((result - images).abs().mean()) > 0.1
