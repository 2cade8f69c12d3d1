"""The filters on tensors beside the exact ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from mien.images.device import device_filter
from mien.images.filters import FILTERS, unsharp_mask
from mien.images.preprocessing import FilterSpec

Array = np.ndarray[Any, Any]

OTHER_OPTIONS: dict[str, dict[str, float]] = {
    "unsharp_mask": {"radius": 3.3, "percent": 400, "threshold": 1},
    "clahe": {"clip_limit": 0.04, "kernel_size": 7},
    "adaptive_equalize": {"kernel_size": 30},
    "gaussian": {"sigma": 2.5},
    "median": {"size": 5},
    "high_pass": {"sigma": 1.2, "amount": 5, "keep": 0.6},
}


def to_tensor(batch: Array) -> torch.Tensor:
    """Return N×H×W×C as float32 N×C×H×W."""
    return torch.from_numpy(batch.astype(np.float32)).permute(0, 3, 1, 2)


def batches() -> list[Array]:
    """Edge sizes, gray and color; noise, a gradient, few levels and one level; photos."""
    rng = np.random.default_rng(11)
    made = []
    for size in [(1, 1), (1, 9), (2, 2), (3, 5), (5, 3), (47, 49), (48, 48)]:
        for channels in (1, 3):
            noise = rng.integers(0, 256, (2, *size, channels), dtype=np.uint8)
            narrow = rng.normal(100, 3, (1, *size, channels)).astype(np.uint8)
            made.append(np.concatenate([noise, np.sort(noise[:1], axis=1), narrow, 0 * narrow]))
    made.append(data.camera()[None, 100:324, 150:374, None])
    made.append(data.astronaut()[None, :150, 150:301])
    return made


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("defaults", [True, False])
def test_within_one_gray_level_of_the_exact_filter(name: str, defaults: bool) -> None:
    spec = FilterSpec(name, options={} if defaults else OTHER_OPTIONS.get(name, {}))
    for batch in batches():
        images = to_tensor(batch)
        result = device_filter(spec)(images)
        assert result.dtype == torch.float32
        assert result.shape == images.shape
        exact = to_tensor(spec(batch))
        assert (result - exact).abs().max() <= 1, batch.shape


@pytest.mark.parametrize("name", FILTERS)
def test_whole_levels_come_out_of_any_levels(name: str) -> None:
    """Augmented images have fractions; they are rounded first."""
    images = torch.rand(2, 1, 12, 14, generator=torch.Generator().manual_seed(0)) * 255
    apply = device_filter(FilterSpec(name))
    result = apply(images)
    torch.testing.assert_close(result, apply(images.round()))
    torch.testing.assert_close(result, result.round().clamp(0, 255))
    assert apply(images[:0]).shape == (0, 1, 12, 14)


@settings(max_examples=150, deadline=None)
@given(radius=st.floats(0, 60), seed=st.integers(0, 2**32 - 1))
def test_the_unsharp_mask_is_exact_for_any_radius(radius: float, seed: int) -> None:
    """A blur one level off at the threshold would be many levels off in the result."""
    batch = np.random.default_rng(seed).integers(0, 256, (4, 15, 17, 1), dtype=np.uint8)
    options = {"radius": radius, "percent": 900, "threshold": 20}
    result = device_filter(FilterSpec("unsharp_mask", options=options))(to_tensor(batch))
    exact = unsharp_mask(batch, radius=radius, percent=900, threshold=20)
    np.testing.assert_array_equal(result.numpy(), to_tensor(exact).numpy())


@pytest.mark.parametrize("name", FILTERS)
def test_autocast_changes_nothing(name: str) -> None:
    images = to_tensor(data.camera()[None, 100:148, 150:198, None])
    apply = device_filter(FilterSpec(name))
    with torch.autocast("cpu", torch.bfloat16):
        lowered = apply(images)
    torch.testing.assert_close(lowered, apply(images), rtol=0, atol=0)
