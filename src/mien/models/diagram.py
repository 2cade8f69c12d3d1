"""The diagram of a network: what follows what, with repeated blocks folded.

Here as text; `mien.models.picture` draws it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mien.models.summary import Call, Shape, Summary

Kind = Literal["image", "convolution", "block", "pooling", "linear", "other"]

SYMBOLS: dict[Kind, str] = {
    "image": "○",
    "convolution": "□",
    "block": "■",
    "pooling": "▽",
    "linear": "━",
    "other": "·",
}

LEGEND = "3×3 64: convolution to 64 channels · → then · ∥ side by side · activations left out"

LONGEST = 54
"""Characters of a line that says what a step does."""

# Told beside the layer before them.
_ASIDE = (_BatchNorm, nn.Dropout)
# Not told: some networks compute their activations without a layer.
_LEFT_OUT = (nn.ReLU, nn.Identity)


@dataclass(frozen=True)
class Step:
    """A line of the diagram: a layer, a block, or several alike in a row.

    Attributes:
        name: as in the published weights or the network; of several, the first and the last.
        kind: what sort of thing it is.
        text: what it does.
        shape: of its output for one image: (C, H, W) or (width,).
        repeat: how many are alike in a row.
        parameters: of all of them, batch norms' statistics included.
        multiply_adds: of all of them for one image.
    """

    name: str
    kind: Kind
    text: str
    shape: Shape
    repeat: int = 1
    parameters: int = 0
    multiply_adds: int = 0


def steps(summary: Summary) -> list[Step]:
    """Return the diagram's steps from the image to the logits; equal ones in a row are one."""
    found: list[Step] = []
    for step in _single_steps(summary):
        last = found[-1] if found else None
        if last and (last.kind, last.text, last.shape) == (step.kind, step.text, step.shape):
            found[-1] = replace(
                last,
                name=f"{last.name.split(' … ')[0]} … {step.name}",
                repeat=last.repeat + 1,
                parameters=last.parameters + step.parameters,
                multiply_adds=last.multiply_adds + step.multiply_adds,
            )
        else:
            found.append(step)
    return found


def text_diagram(summary: Summary) -> list[str]:
    """Return the diagram as lines: each step's output, its name and what it does.

    A gap stands wherever the maps change their size.
    """
    lines: list[str] = []
    all_steps = steps(summary)
    shapes = [format_shape(step.shape) for step in all_steps]
    width = max(map(len, shapes))
    name_width = max(len(step.name) for step in all_steps)
    side: Shape | None = None
    for step, shape in zip(all_steps, shapes, strict=True):
        if side is not None and step.shape[1:] != side:
            lines.append(f"{'':>{width}}  │")
        side = step.shape[1:]
        times = f"   ×{step.repeat}" if step.repeat > 1 else ""
        name = f"{step.name:<{name_width}}"
        first, *others = wrapped(step.text)
        lines.append(f"{shape:>{width}}  {SYMBOLS[step.kind]}  {name}  {first}")
        lines += [f"{'':>{width + name_width + 7}}{other}" for other in others]
        lines[-1] += times
    return lines


def format_shape(shape: Shape) -> str:
    """Return a shape as text: "64×24×24"."""
    return "×".join(map(str, shape))


def wrapped(text: str) -> list[str]:
    """Return a text on one line, or on two that break at a branch or an arrow, evenly."""
    if len(text) <= LONGEST:
        return [text]
    # What follows all branches, then the branches are told apart before the steps of one.
    for mark in (") →", " ∥", " →", " "):
        places = [match.end() - 1 for match in re.finditer(re.escape(mark), text)]
        if places:
            middle = min(places, key=lambda place: abs(place - len(text) / 2))
            return [text[:middle].rstrip(), text[middle:]]
    return [text]


def _single_steps(summary: Summary) -> list[Step]:
    """Return the steps one by one; batch norms and dropouts are joined to what precedes them."""
    found = [Step("", "image", "image", summary.shape_in)]
    for call in _units(summary):
        # What networks compute between a map and a vector, without a layer of its own, is a mean.
        if len(found[-1].shape) > len(call.shape_in):
            found.append(_global_pooling(found[-1]))
        step = _step(call, summary)
        last = found[-1]
        # A dropout behind a block does not belong to the block.
        if isinstance(call.module, _ASIDE) and last.kind != "block":
            text = f"{last.text}, {step.text}"
            found[-1] = replace(last, text=text, parameters=last.parameters + step.parameters)
        else:
            found.append(step)
    if len(found[-1].shape) > len(summary.calls[-1].shape):
        found.append(_global_pooling(found[-1]))
    return found


def _units(summary: Summary) -> Iterator[Call]:
    """Give the modules that a diagram shows whole, in the order in which they are called."""
    opened = {""}
    paths = set()
    # Modules come before those within them.
    for path, module in summary.calls[-1].module.named_modules():
        if path and path.rpartition(".")[0] in opened:
            if isinstance(module, nn.Sequential) or hasattr(module, "published_layers"):
                opened.add(path)
            elif not isinstance(module, _LEFT_OUT) and not _does_nothing(module):
                paths.add(path)
    return (call for call in summary.calls if call.path in paths)


def _does_nothing(module: nn.Module) -> bool:
    return isinstance(module, nn.Dropout) and module.p == 0


def _step(call: Call, summary: Summary) -> Step:
    within = [
        layer
        for layer in summary.layers
        if layer.path == call.path or layer.path.startswith(f"{call.path}.")
    ]
    convolutions = [m for m in call.module.modules() if isinstance(m, nn.Conv2d)]
    kind: Kind = "other"
    if len(convolutions) > 1:
        kind = "block"
    elif convolutions:
        kind = "convolution"
    elif isinstance(call.module, nn.MaxPool2d | nn.AvgPool2d):
        kind = "pooling"
    elif isinstance(call.module, nn.Linear):
        kind = "linear"
    describe = getattr(call.module, "describe", None)
    return Step(
        # One convolution and its batch norm go by the convolution's name.
        within[0].name if len(convolutions) == 1 else _short(call.path),
        kind,
        describe() if describe else ", ".join(layer.kind for layer in within),
        call.shape,
        parameters=sum(layer.trainable + layer.non_trainable for layer in within),
        multiply_adds=sum(layer.multiply_adds for layer in within),
    )


def _short(path: str) -> str:
    """Return the end of a path that says something: "blocks.conv2_1" → "conv2_1"."""
    parent, _, last = path.removeprefix("backbone.").rpartition(".")
    return f"{parent}.{last}" if parent and last.isdigit() else last


def _global_pooling(last: Step) -> Step:
    return Step("", "pooling", "global average pooling", last.shape[:1])
