"""The diagram of a network as a picture: boxes from the image down to the logits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import MienError, missing_extra
from mien.files import atomic_path
from mien.models.diagram import LEGEND, Kind, Step, format_shape, steps, wrapped
from mien.models.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")

INK = "#333333"
QUIET = "#777777"
# Light fills with a dark edge of the same hue; what a box is, its text says too.
COLORS: dict[Kind, tuple[str, str]] = {
    "image": ("#FFFFFF", "#555555"),
    "convolution": ("#D6E6F4", "#0072B2"),
    "block": ("#CFEBE0", "#00785A"),
    "pooling": ("#FBE3C8", "#B35C00"),
    "linear": ("#EBD9EC", "#8A4A8C"),
    "other": ("#EFEFEF", "#777777"),
}

# In inches: the boxes' edges, where the columns beside them end, and a row's height.
WIDTH, LEFT, RIGHT = 10.0, 2.75, 7.35
SHAPE_AT, PARAMETERS_AT, COST_AT, BAR_AT = 2.6, 8.35, 9.15, 9.25
ROW, BOX, HEADER, FOOTER = 0.62, 0.44, 0.95, 0.4
CARD = 0.05  # by how much the cards of a pile stand out


def draw(summary: Summary, path: Path | str, *, title: str) -> None:
    """Draw the diagram of a network.

    A row is a step: its output's shape and name, what it does (a badge counts equal ones in a
    row), its parameters, and its multiply-adds as a figure and as a bar.

    Args:
        summary: the network's.
        path: the file to write, whole or not at all; one of the `SUFFIXES`.
        title: a line above all.

    Raises:
        MienError: the suffix is another, or matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise MienError(
            f"a diagram cannot be written as {path.name!r}",
            hint=f"use a name that ends in {', '.join(SUFFIXES)}",
        )
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("drawing a diagram", "train") from error

    rows = steps(summary)
    height = HEADER + ROW * len(rows) + FOOTER
    figure = Figure(figsize=(WIDTH, height), dpi=130, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    _write_header(axes, summary, title)
    dearest = max(step.multiply_adds for step in rows)
    for index, step in enumerate(rows):
        middle = HEADER + ROW * (index + 0.5)
        _draw_step(axes, step, middle, dearest)
        if index:
            _draw_arrow(axes, middle - ROW + BOX / 2, middle - BOX / 2 - CARD * (_cards(step) - 1))
    axes.text(0.3, height - 0.2, LEGEND, fontsize=7.5, color=QUIET, va="center")
    # Text stays text, and the same network gives the same bytes.
    with (
        atomic_path(path) as temporary,
        rc_context({"svg.hashsalt": "mien", "svg.fonttype": "none"}),
    ):
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(temporary, metadata=dates.get(path.suffix.lower()))


def count(value: float) -> str:
    """Return a count in three digits and a letter: 1522279 as "1.52 M"."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        # From 999.5 on, three digits would be four.
        if value >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:.0f}"


def _write_header(axes: Axes, summary: Summary, title: str) -> None:
    axes.text(0.3, 0.32, title, fontsize=13, weight="bold", color=INK, va="center")
    totals = (
        f"{count(summary.trainable + summary.non_trainable)} parameters, "
        f"{count(summary.multiply_adds)} multiply-adds for one image of "
        f"{format_shape(summary.shape_in)}"
    )
    axes.text(0.3, 0.58, totals, fontsize=9.5, color=INK, va="center")
    columns = ((SHAPE_AT, "output"), (PARAMETERS_AT, "parameters"), (COST_AT, "mult.-adds"))
    for place, column in columns:
        axes.text(place, 0.85, column, fontsize=8, color=QUIET, ha="right", va="center")


def _draw_step(axes: Axes, step: Step, middle: float, dearest: int) -> None:
    from matplotlib.patches import FancyBboxPatch, Rectangle

    fill, edge = COLORS[step.kind]
    # A pile of cards stands for several blocks.
    for card in reversed(range(_cards(step))):
        offset = CARD * card
        corner = (LEFT + offset, middle - BOX / 2 - offset)
        box = FancyBboxPatch(
            corner, RIGHT - LEFT, BOX, "round,pad=0,rounding_size=0.06", fc=fill, ec=edge, lw=1.1
        )
        axes.add_patch(box)
    lines = wrapped(step.text)
    times = f"×{step.repeat}" if step.repeat > 1 else ""
    center = (LEFT + RIGHT - (0.4 if times else 0)) / 2
    size = 9 if len(lines) == 1 else 8
    axes.text(center, middle, "\n".join(lines), fontsize=size, color=INK, ha="center", va="center")
    axes.text(
        RIGHT - 0.1, middle, times, fontsize=11, weight="bold", color=edge, ha="right", va="center"
    )
    shape, name = format_shape(step.shape), step.name
    above = middle - 0.08 if name else middle
    axes.text(SHAPE_AT, above, shape, fontsize=9, color=INK, ha="right", va="center")
    axes.text(SHAPE_AT, middle + 0.1, name, fontsize=7, color=QUIET, ha="right", va="center")
    for place, value in ((PARAMETERS_AT, step.parameters), (COST_AT, step.multiply_adds)):
        text = count(value) if value else "–"
        axes.text(place, middle, text, fontsize=8.5, color=INK, ha="right", va="center")
    bar = step.multiply_adds / dearest * (WIDTH - 0.2 - BAR_AT)
    axes.add_patch(Rectangle((BAR_AT, middle - 0.09), bar, 0.18, fc=edge, ec="none"))


def _draw_arrow(axes: Axes, start: float, end: float) -> None:
    center = (LEFT + RIGHT) / 2
    style = {"arrowstyle": "-|>", "color": QUIET, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=(center, end), xytext=(center, start), arrowprops=style)


def _cards(step: Step) -> int:
    return min(step.repeat, 3)
