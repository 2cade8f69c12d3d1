"""What is done to an image before a network sees it: one implementation for all uses.

Training, evaluation, export and recognition call it, so that a network meets at work what it was
trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import cv2
import numpy as np
from PIL import Image

from mien.errors import MienError, nearest
from mien.images.batches import Images, as_batch, in_chunks
from mien.images.filters import FILTERS, options_of

Place = Literal["before_resize", "after_resize", "after_augmentation"]
"""Where a filter works. The last is in training only another place than the second."""


@dataclass(frozen=True)
class FilterSpec:
    """A filter by name, its place and its options.

    Attributes:
        name: one of `mien.images.filters.FILTERS`.
        place: before resizing, after it, or (in training) after augmentation.
        options: keyword arguments of the filter; what is left out has the filter's default.

    Raises:
        MienError: the name, the place or an option is unknown, or a value is out of its range.
    """

    name: str
    place: Place = "after_resize"
    options: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in FILTERS:
            raise MienError(f"unknown filter {self.name!r}", hint=nearest(self.name, FILTERS))
        if self.place not in get_args(Place):
            raise MienError(
                f"unknown place {self.place!r} of the filter {self.name}",
                hint=nearest(str(self.place), get_args(Place)),
            )
        known = options_of(self.name)
        for key, value in self.options.items():
            if key not in known:
                hint = nearest(key, known) if known else "it has no options"
                raise MienError(f"the filter {self.name} has no option {key!r}", hint=hint)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise MienError(f"the option {key} of the filter {self.name} must be a number")
            if not math.isfinite(value):
                raise MienError(f"the option {key} of the filter {self.name} must be finite")
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
        # A filter checks the ranges of its options itself: let it do so now and not in training.
        self(np.zeros((1, 1), np.uint8))

    def __call__(self, images: Images) -> Images:
        """Return the images filtered; one or a batch, uint8, as `mien.images.filters` take them."""
        return FILTERS[self.name](images, **self.options)

    def __hash__(self) -> int:
        return hash((self.name, self.place, tuple(sorted(self.options.items()))))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.place, dict(self.options))


@dataclass(frozen=True)
class Preprocessing:
    """Gray or color, a filter or none, and a size.

    Attributes:
        size: height and width of the result in pixels.
        color: RGB (H×W×3) or gray (H×W).
        filter: the filter and its place, or None.
    """

    size: int = 48
    color: bool = False
    filter: FilterSpec | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or isinstance(self.size, bool) or self.size < 1:
            raise MienError(f"the size must be a whole number of pixels above 0, not {self.size!r}")
        if not isinstance(self.color, bool):
            raise MienError(f"color must be true or false, not {self.color!r}")

    def __call__(self, images: Images | Sequence[Images]) -> Images:
        """Return what a network is given at inference.

        Args:
            images: uint8; a batch (N×H×W, N×H×W×1 or N×H×W×3) or a sequence of images (H×W or
                H×W×3, RGB) whose sizes may differ.

        Returns:
            uint8, N×size×size, or N×size×size×3 with `color`.

        Raises:
            MienError: an image is not uint8 or has another shape.
        """
        batch = self.cached(images)
        return self._filtered(batch, "after_augmentation")

    def cached(self, images: Images | Sequence[Images]) -> Images:
        """Return what training keeps: all but a filter that comes after augmentation."""
        groups = [
            resize(self._filtered(group, "before_resize"), self.size)
            for group in self._colored(images)
        ]
        channels = (3,) if self.color else ()
        if not groups:
            return np.zeros((0, self.size, self.size, *channels), np.uint8)
        batch = groups[0] if len(groups) == 1 else np.concatenate(groups)
        batch = self._filtered(batch, "after_resize")
        return batch.reshape(len(batch), self.size, self.size, *channels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, from which `from_dict` makes an equal object."""
        spec = self.filter and {
            "name": self.filter.name,
            "place": self.filter.place,
            "options": dict(self.filter.options),
        }
        return {"size": self.size, "color": self.color, "filter": spec}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Return the object that `to_dict` described.

        Raises:
            MienError: a key is unknown or a value is not allowed.
        """
        _refuse_unknown(values, ("size", "color", "filter"), "preprocessing")
        spec = values.get("filter")
        if spec is not None:
            _refuse_unknown(spec, ("name", "place", "options"), "preprocessing.filter")
            if "name" not in spec:
                raise MienError("preprocessing.filter has no name", hint=nearest("", FILTERS))
            spec = FilterSpec(**spec)
        return cls(size=values.get("size", 48), color=values.get("color", False), filter=spec)

    def _colored(self, images: Images | Sequence[Images]) -> list[Images]:
        """Return the images in their order as batches N×H×W×C of equal size, C as `color` says."""
        convert = to_rgb if self.color else to_gray
        if isinstance(images, np.ndarray):
            batch = images[..., None] if images.ndim == 3 else images
            if batch.ndim != 4:
                raise MienError(
                    f"a batch must have the shape N×H×W or N×H×W×3, not {images.shape}",
                    hint="give one image as a batch of one: images[None]",
                )
            return [convert(batch)] if len(batch) else []
        groups: list[list[Images]] = []
        for image in images:
            one = convert(as_batch(image if image.ndim != 2 else image[None, ..., None]))
            if len(one) != 1:
                raise MienError(f"an image must have the shape H×W or H×W×3, not {image.shape}")
            if groups and groups[-1][-1].shape == one.shape:
                groups[-1].append(one)
            else:
                groups.append([one])
        return [np.concatenate(group) for group in groups]

    def _filtered(self, batch: Images, place: Place) -> Images:
        if self.filter is None or self.filter.place != place or not len(batch):
            return batch
        if batch.ndim == 3:
            return self.filter(batch[..., None])[..., 0]
        return self.filter(batch)


def to_gray(batch: Images) -> Images:
    """Return N×H×W×C as N×H×W×1 by Pillow's mode "L" (ITU-R 601-2, its integers exactly)."""
    batch = as_batch(batch)
    if batch.shape[-1] == 1 or not len(batch):
        return batch[..., :1]

    def convert(part: Images) -> Images:
        tall = Image.fromarray(np.ascontiguousarray(part).reshape(-1, *part.shape[2:]))
        return np.asarray(tall.convert("L")).reshape(*part.shape[:3], 1)

    return in_chunks(convert, batch, channels=1)


def to_rgb(batch: Images) -> Images:
    """Return N×H×W×C as N×H×W×3; gray is copied to the three channels."""
    batch = as_batch(batch)
    return batch if batch.shape[-1] == 3 else np.repeat(batch, 3, axis=-1)


def resize(batch: Images, size: int) -> Images:
    """Return N×H×W×C as N×size×size×C; an image of that size comes back bit for bit.

    OpenCV's area interpolation shrinks and its bicubic one (cut to 0 to 255) enlarges; a side
    that shrinks does so before the other grows.
    """
    count, height, width, channels = batch.shape
    if (height, width) == (size, size):
        return batch
    result = np.empty((count, size, size, channels), np.uint8)
    small = (min(width, size), min(height, size))
    for image, target in zip(batch, result, strict=True):
        if small != (width, height):
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        if small != (size, size):
            image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
        target[:] = image.reshape(target.shape)
    return result


def _refuse_unknown(values: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise MienError(f"{where} has no key {key!r}", hint=nearest(key, known))
