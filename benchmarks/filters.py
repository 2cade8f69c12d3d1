"""The filters on a batch beside a loop over the library that each of them equals.

    python benchmarks/filters.py [--count 1024] [--size 48] [--device cpu]

The images are cut out of scikit-image's photos. Each row is the best of `--repeat` runs in
microseconds an image; before anything is timed the results are compared.
"""

# scikit-image has no types.
# mypy: disallow-untyped-calls=False

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage import data, exposure
from skimage import filters as skfilters

from mien.images.device import device_filter
from mien.images.filters import FILTERS
from mien.images.preprocessing import FilterSpec

Images = NDArray[np.uint8]


def _gaussian(image: Images, sigma: float) -> NDArray[np.float64]:
    blurred: NDArray[np.float64] = skfilters.gaussian(image, sigma, preserve_range=True)
    return blurred


# How people write it: one image, by the library's own function with its defaults.
REFERENCES: dict[str, tuple[str, Callable[[Images], NDArray[Any]]]] = {
    "unsharp_mask": (
        "Pillow",
        lambda x: np.asarray(Image.fromarray(x).filter(ImageFilter.UnsharpMask())),
    ),
    "equalize_hist": ("scikit-image", lambda x: np.rint(255 * exposure.equalize_hist(x))),
    "clahe": ("scikit-image", lambda x: np.rint(255 * exposure.equalize_adapthist(x))),
    "adaptive_equalize": (
        "scikit-image",
        lambda x: np.rint(255 * exposure.equalize_adapthist(x, clip_limit=1.0)),
    ),
    "gaussian": ("scikit-image", lambda x: np.rint(_gaussian(x, 1.0))),
    "median": ("scikit-image", lambda x: np.asarray(skfilters.median(x))),
    "high_pass": (
        "scikit-image",
        lambda x: np.clip(np.rint(128 + (x - _gaussian(x, 2.0))), 0, 255),
    ),
}


def crops(count: int, size: int) -> Images:
    """Return N×size×size cut out of photos at random."""
    rng = np.random.default_rng(0)
    photos = [data.camera(), data.astronaut()[..., 1], data.coffee()[..., 1]]
    result = np.empty((count, size, size), np.uint8)
    for index in range(count):
        photo = photos[index % len(photos)]
        top, left = (rng.integers(side - size + 1) for side in photo.shape)
        result[index] = photo[top : top + size, left : left + size]
    return result


def seconds(function: Callable[[], Any], repeat: int) -> float:
    """Return the shortest of some runs."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=1024, help="images in the batch")
    parser.add_argument("--size", type=int, default=48, help="their height and width")
    parser.add_argument("--device", default="cpu", help="where the tensors are: cpu, cuda, …")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, the best counts")
    options = parser.parse_args()

    batch = crops(options.count, options.size)
    tensor = torch.from_numpy(batch).to(options.device).float()[:, None]
    print(
        f"{options.count} images of {options.size}×{options.size}; {os.cpu_count()} CPUs, "
        f"tensors on {options.device} ({torch.get_num_threads()} threads), "
        f"OpenCV {cv2.getNumThreads()} threads"
    )
    print(f"{'µs an image':<18}{'loop over':<14}{'loop':>9}{'batch':>9}{'ratio':>8}", end="")
    print(f"{'device':>9}{'ratio':>8}")
    for name, function in FILTERS.items():
        library, reference = REFERENCES[name]
        on_device = device_filter(FilterSpec(name))

        def wait(apply: Callable[[torch.Tensor], torch.Tensor] = on_device) -> torch.Tensor:
            # Reading one value waits until the device is done.
            result = apply(tensor)
            result[-1, 0, 0, 0].item()
            return result

        def loop(one: Callable[[Images], NDArray[Any]] = reference) -> Images:
            return np.stack([one(image) for image in batch]).astype(np.uint8)

        exact = function(batch)
        np.testing.assert_array_equal(exact, loop())
        assert np.abs(wait()[:, 0].cpu().numpy() - exact).max() <= 1, name

        runs = (loop, lambda f=function: f(batch), wait)
        slow, fast, tensors = (1e6 * seconds(run, options.repeat) / options.count for run in runs)
        print(f"{name:<18}{library:<14}{slow:>9.1f}{fast:>9.1f}{slow / fast:>8.1f}", end="")
        print(f"{tensors:>9.1f}{slow / tensors:>8.1f}")


if __name__ == "__main__":
    main()
