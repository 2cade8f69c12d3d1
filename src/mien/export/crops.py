"""Preprocessing as a graph: crops of faces of any size in, what a network is given out.

Gray and color are converted as Pillow does, in its integers. Resizing is OpenCV's area
interpolation and its bicubic one as two matrix products each, whose matrices the graph computes
from the size of the crop: row i of a matrix holds the shares of the crop's pixels in the result's
pixel i. Filters are those of `mien.images.device`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper
from torch import Tensor, nn

from mien.errors import MienError
from mien.export.graph import Graph
from mien.export.onnx import to_onnx
from mien.images.device import device_filter
from mien.images.preprocessing import Preprocessing

Crops = Literal["gray", "rgb"]

FORMAT = "crops-1"
"""The `mien.format` of a file that takes crops: not what `OnnxClassifier` opens."""
EXPORTABLE = ("equalize_hist", "gaussian", "high_pass", "median", "unsharp_mask")
"""Filters that a graph can hold. Those by tiles loop until every tile is done, or need its size."""

_LUMA = (19595, 38470, 7471)  # of red, green and blue, in units of 2⁻¹⁶ (Pillow's mode "L")
_CUBIC = -0.75  # OpenCV's a of the bicubic kernel
_TIE = 1e-3
_SIZES = ((1, 1), (9, 13), (24, 24), (31, 47), (48, 48), (57, 57), (96, 96), (90, 40), (201, 173))


@dataclass(frozen=True)
class Difference:
    """How far the graph is from `Preprocessing` on images of many sizes.

    Attributes:
        levels: the largest difference of a value, in gray levels from 0 to 255.
        share: of the values that differ at all.
    """

    levels: int
    share: float


def with_crops(model: ModelProto, preprocessing: ModelProto, crops: Crops) -> ModelProto:
    """Put the preprocessing before an exported model.

    Args:
        model: from `images` to `probabilities`; its metadata are not taken over.
        preprocessing: what `preprocessing_graph` made for it.
        crops: what it was made for.
    """
    graph = Graph([preprocessing, model])
    prepared = graph.include(preprocessing, "preprocessing/", "images")
    answer = graph.include(model, "model/", prepared)
    graph.nodes.append(helper.make_node("Identity", [answer], ["probabilities"], "probabilities"))
    return graph.model(("height", "width", 3) if crops == "rgb" else ("height", "width"))


def preprocessing_graph(preprocessing: Preprocessing, crops: Crops) -> ModelProto:
    """Return a model from `images` to `prepared`, as the preprocessing returns them.

    Args:
        preprocessing: of a network.
        crops: whether the graph takes gray images, uint8 N×H×W, or color, uint8 N×H×W×3 (RGB);
            both of any height and width, one for all images of a batch.

    Raises:
        MienError: the filter cannot be part of a graph.
    """
    spec = preprocessing.filter
    if spec is not None and spec.name not in EXPORTABLE:
        raise MienError(
            f"the filter {spec.name} cannot be part of an ONNX graph; {', '.join(EXPORTABLE)} can",
            hint="export without --crops, and filter the images before they go to the file",
        )
    shape = (None, None, 3) if crops == "rgb" else (None, None)
    return to_onnx(_Preprocessing(preprocessing), shape, ("images", "prepared"))


def difference(model: ModelProto, preprocessing: Preprocessing, crops: Crops) -> Difference:
    """Compare what `preprocessing_graph` made with the preprocessing itself.

    Noise and smooth images of nine sizes, among them the network's own, smaller and larger ones.
    """
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    largest, differing, count = 0, 0, 0
    for images in _samples(crops):
        found = session.run(None, {"images": images})[0].astype(int)
        off = np.abs(found - preprocessing(images))
        largest = max(largest, int(off.max()))
        differing += int((off > 0).sum())
        count += off.size
    return Difference(largest, differing / count)


def metadata(preprocessing: Preprocessing, crops: Crops, measured: Difference) -> dict[str, Any]:
    """Return what the file says of its input, as plain JSON values."""
    spec = preprocessing.filter
    steps = [] if preprocessing.color == (crops == "rgb") else [_conversion(preprocessing)]
    steps.append(f"resize to {preprocessing.size}×{preprocessing.size}")
    if spec is not None:
        early = spec.place == "before_resize"
        steps.insert(len(steps) - early, f"filter {spec.name}")
    return {"crops": crops, "inside": steps, "largest_difference": asdict(measured)}


def _conversion(preprocessing: Preprocessing) -> str:
    return "gray to RGB" if preprocessing.color else "RGB to gray"


def _samples(crops: Crops) -> Iterator[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    channels = (3,) if crops == "rgb" else ()
    for height, width in _SIZES:
        noise = random.integers(0, 256, (height, width, *channels), dtype=np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), max(height, width) / 20)
        stretched = cv2.normalize(smooth, smooth.copy(), 0, 255, cv2.NORM_MINMAX)
        yield np.stack([noise, np.asarray(stretched, np.uint8).reshape(noise.shape)])


class _Preprocessing(nn.Module):
    """uint8 N×H×W or N×H×W×3 → uint8 N×size×size or N×size×size×3."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.size, self.color = preprocessing.size, preprocessing.color
        spec = preprocessing.filter
        self.filter = None if spec is None else device_filter(spec)
        self.early = spec is not None and spec.place == "before_resize"

    def forward(self, images: Tensor) -> Tensor:
        planes = self._converted(images)
        if self.filter is not None and self.early:
            planes = self.filter(planes)
        planes = resized(planes, self.size)
        if self.filter is not None and not self.early:
            planes = self.filter(planes)
        prepared = planes.permute(0, 2, 3, 1) if self.color else planes.squeeze(1)
        return prepared.to(torch.uint8)

    def _converted(self, images: Tensor) -> Tensor:
        """Return float32 N×1×H×W or N×3×H×W with whole gray levels."""
        if images.ndim == 3:
            planes = images.float().unsqueeze(1)
            return planes.expand(-1, 3, -1, -1) if self.color else planes
        if self.color:
            return images.float().permute(0, 3, 1, 2)
        red, green, blue = (images[..., i].int() * _LUMA[i] for i in range(3))
        return ((red + green + blue + (1 << 15)) >> 16).float().unsqueeze(1)


def resized(planes: Tensor, size: int) -> Tensor:
    """Resize whole gray levels as `mien.images.preprocessing.resize` does.

    Args:
        planes: float32, N×C×H×W.
        size: of the result.

    Returns:
        float32, N×C×size×size.
    """
    rows, columns = (torch.arange(n, device=planes.device) for n in planes.shape[-2:])
    height, width = rows[-1] + 1, columns[-1] + 1
    shrunk = _area(rows, height, size) @ planes @ _area(columns, width, size).T
    # OpenCV rounds halves up where both sides shrink to a half, and to even elsewhere.
    halved = (height == 2 * size) & (width == 2 * size)
    shrunk = (shrunk + halved * _TIE).round()
    grown = _cubic(height, size) @ shrunk @ _cubic(width, size).T
    return grown.round().clamp(0, 255)


def _area(pixels: Tensor, length: Tensor, size: int) -> Tensor:
    """Return the matrix that shrinks `length` pixels to `size` at most, size × length.

    Where they are not more than that, it leaves them as they are; rows beyond them are zero.
    """
    count = length.clamp(max=size)
    row = torch.arange(size, device=pixels.device).unsqueeze(1)
    # In units of 1 / count of a pixel all are whole numbers, so shares are exact to the last bit.
    end = torch.minimum((row + 1) * length, (pixels + 1) * count)
    covered = end - torch.maximum(row * length, pixels * count)
    return covered.clamp(min=0) / length


def _cubic(length: Tensor, size: int) -> Tensor:
    """Return the matrix that enlarges the first `length` of `size` pixels to all, size × size.

    Where they are as many or more, it leaves them as they are.
    """
    count = length.clamp(max=size)
    pixels = torch.arange(size, device=length.device)
    place = (pixels + 0.5) * count / size - 0.5
    taps = place.floor().unsqueeze(1) + torch.arange(-1, 3, device=length.device)  # size × 4
    distance = (place.unsqueeze(1) - taps).abs()
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
    far = ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
    weights = torch.where(distance <= 1, near, far)
    sources = torch.minimum(taps.clamp(min=0), count - 1)  # edges are repeated
    return (weights.unsqueeze(2) * (sources.unsqueeze(2) == pixels)).sum(dim=1)
