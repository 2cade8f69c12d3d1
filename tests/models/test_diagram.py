"""Diagrams as text and as pictures: what is folded, what is told, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from mien.errors import MienError
from mien.models.diagram import LONGEST, steps, text_diagram, wrapped
from mien.models.picture import count, draw
from mien.models.registry import architectures
from mien.models.summary import Summary, summarize

SummaryOf = Callable[..., Summary]
NAMES = sorted(architectures())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_between_table_and_diagram(summary_of: SummaryOf, name: str) -> None:
    summary = summary_of(name)
    found = steps(summary)
    parameters = sum(step.parameters for step in found)
    assert parameters == summary.trainable + summary.non_trainable
    assert sum(step.multiply_adds for step in found) == summary.multiply_adds
    assert found[0].shape == (1, 64, 64)
    assert found[-1].shape == (7,)


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("resnet50", [3, 4, 6, 3]),  # He et al. 2016, table 1
        ("senet50", [3, 4, 6, 3]),
        ("vgg16", [2, 2, 3, 3, 3]),  # Simonyan & Zisserman 2015, table 1, D
        ("inception_resnet_v1", [5, 10, 6]),  # Szegedy et al. 2017, with FaceNet's last block
    ],
)
def test_repeated_blocks_are_folded(summary_of: SummaryOf, name: str, repeats: list[int]) -> None:
    assert [step.repeat for step in steps(summary_of(name)) if step.repeat > 1] == repeats


def test_the_diagram_of_the_paper_s_cnn(summary_of: SummaryOf) -> None:
    assert text_diagram(summary_of("cnn5", 48)) == [
        "  1×48×48  ○                image",
        "  1×48×48  ·  normalize     normalization",
        " 64×48×48  □  features.0    5×5 convolution, batch norm",
        "           │",
        " 64×24×24  ▽  features.3    2×2 max pooling, stride 2, dropout 0.2",
        "128×24×24  □  features.5    3×3 convolution",
        "128×24×24  □  features.7    3×3 convolution, batch norm",
        "           │",
        "128×12×12  ▽  features.10   2×2 max pooling, stride 2, dropout 0.2",
        "256×12×12  □  features.12   3×3 convolution",
        "256×12×12  □  features.14   3×3 convolution, batch norm",
        "           │",
        "  256×6×6  ▽  features.17   2×2 max pooling, stride 2, dropout 0.2",
        "           │",
        "     9216  ·  classifier.0  flatten",
        "     1024  ━  classifier.1  linear",
        "      512  ━  classifier.3  linear, dropout 0.2",
        "        7  ━  classifier.6  linear",
    ]


def test_a_gated_block_and_the_pooling_that_is_no_layer_are_told(summary_of: SummaryOf) -> None:
    lines = text_diagram(summary_of("senet50", 197))
    block = next(index for index, line in enumerate(lines) if "conv4_1 … conv4_6" in line)
    assert lines[block].startswith("1024×13×13  ■")
    assert lines[block].endswith("1×1 256 → 3×3 256 → 1×1 1024")
    assert lines[block + 1].strip() == "→ squeeze-excitation + shortcut   ×6"
    assert lines[block + 1].index("→") == lines[block].index("1×1 256")
    assert lines[-2].split()[:2] == ["2048", "▽"]
    assert lines[-2].endswith("global average pooling, dropout 0.5")
    assert text_diagram(summary_of("squeezenet1_1"))[-1].endswith("global average pooling")


@pytest.mark.parametrize("name", NAMES)
def test_boxes_hold_their_texts(summary_of: SummaryOf, name: str) -> None:
    lines = [line for step in steps(summary_of(name)) for line in wrapped(step.text)]
    assert max(map(len, lines)) <= LONGEST + 4


@pytest.mark.parametrize("name", ["inception_resnet_v1", "foldnet"])
def test_pictures_are_drawn(summary_of: SummaryOf, name: str, tmp_path: Path) -> None:
    summary = summary_of(name)
    draw(summary, tmp_path / "d.png", title=name)
    with Image.open(tmp_path / "d.png") as picture:
        assert picture.format == "PNG"
        assert picture.width == 1300
        # Each step has its row.
        assert picture.height > 70 * len(steps(summary))


def test_the_same_network_gives_the_same_bytes_and_text_stays_text(
    summary_of: SummaryOf, tmp_path: Path
) -> None:
    for file in ("a.svg", "b.svg"):
        draw(summary_of("resnet50"), tmp_path / file, title="a & b")
    content = (tmp_path / "a.svg").read_text()
    assert content == (tmp_path / "b.svg").read_text()
    assert "conv4_1 … conv4_6" in content
    assert "a &amp; b" in content


def test_another_suffix_is_refused_and_nothing_written(
    summary_of: SummaryOf, tmp_path: Path
) -> None:
    with pytest.raises(MienError, match=r"'d\.gif'") as caught:
        draw(summary_of("cnn5"), tmp_path / "d.gif", title="")
    assert ".svg" in str(caught.value.hint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (999_499, "999 k"), (999_500, "1.00 M"), (1_522_279, "1.52 M")],
)
def test_counts_in_three_digits(value: int, text: str) -> None:
    assert count(value) == text


def test_branches_break_before_steps() -> None:
    text = "(1×1 32 ∥ 1×1 32 → 3×3 32 ∥ 1×1 32 → 3×3 32 → 3×3 32) → 1×1 256 + shortcut"
    assert wrapped(text)[1] == "→ 1×1 256 + shortcut"


def test_a_network_of_one_layer(tmp_path: Path) -> None:
    summary: Summary = summarize(lambda: nn.Sequential(nn.Conv2d(1, 2, 3)), size=8, channels=1)
    assert text_diagram(summary)[-1].split()[0] == "2×6×6"
    draw(summary, tmp_path / "d.pdf", title="one")
    assert (tmp_path / "d.pdf").read_bytes().startswith(b"%PDF")
