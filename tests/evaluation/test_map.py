"""The map: that neighbors stay neighbors, what the picture says, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation import map as maps
from mien.evaluation import plots
from mien.evaluation.embeddings import Embeddings
from mien.evaluation.map import MARKERS, Method, draw_map, project


def make(count: int, width: int = 20) -> Embeddings:
    random = np.random.default_rng(0)
    labels = (np.arange(count) % 7).astype(np.int8)
    vectors = np.eye(7, width)[labels] + 0.1 * random.standard_normal((count, width))
    labels[-2:] = -1
    return Embeddings(np.arange(count).astype(np.str_), labels, vectors.astype(np.float32))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = plots.save_png

    def remember(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(maps, "save_png", remember)
    return figures


def test_tsne_keeps_groups_together() -> None:
    embeddings = make(142)
    found = project(embeddings, "tsne")
    assert found.points.shape == (142, 2)
    assert found.axes is None
    distances = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    labels = np.arange(142) % 7
    assert (labels[distances.argmin(axis=1)] == labels).mean() > 0.95


def test_pca_shows_what_differs_most() -> None:
    angles = np.linspace(0, 1, 30)
    vectors = np.stack([np.cos(angles), np.sin(angles), np.zeros(30)], axis=1) * 5
    embeddings = Embeddings(
        np.arange(30).astype(np.str_), np.zeros(30, np.int8), vectors.astype(np.float32)
    )
    found = project(embeddings, "pca")
    steps = np.diff(found.points[:, 0])
    assert (steps > 0).all() or (steps < 0).all()
    assert found.axes is not None
    assert found.axes[0].startswith("component 1: 9")


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_of_many_images_some_are_drawn_and_always_the_same(method: Method) -> None:
    embeddings = make(90)
    first, second = (project(embeddings, method, most=40) for _ in range(2))
    assert len(first.rows) == 40
    assert (np.diff(first.rows) > 0).all()
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.points, second.points)
    assert set(project(embeddings, method, most=40, seed=1).rows) != set(first.rows)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_three_images_are_enough_and_two_are_not(method: Method) -> None:
    assert np.isfinite(project(make(3), method).points).all()
    with pytest.raises(MienError, match="3 images or more, not 2"):
        project(make(2), method)


def test_a_network_that_sees_no_difference_is_told() -> None:
    same = Embeddings(np.arange(5).astype(np.str_), np.zeros(5, np.int8), np.ones((5, 4), "f4"))
    with pytest.raises(MienError, match="the same embedding"):
        project(same)


def test_the_picture_counts_and_tells_emotions_by_shape_and_color(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    embeddings = make(60)
    draw_map(project(embeddings, "pca", most=30), embeddings, tmp_path / "m.png", title="mine")
    axes = drawn[0].axes[0]
    assert axes.get_title(loc="left") == "mine: 30 of 60 images, drawn at random"
    texts = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    counts = {text.split()[0]: int(text.split("(")[1].rstrip(")")) for text in texts}
    assert sum(counts.values()) == 30
    assert set(counts) <= {*EMOTIONS, "unknown"}
    assert sum(np.size(points.get_offsets()) for points in axes.collections) == 2 * 30
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
    assert set(MARKERS) == set(EMOTIONS)
    for kind in zip(*MARKERS.values(), strict=True):
        assert len(set(kind)) == len(EMOTIONS)


def test_images_without_labels_are_shown(tmp_path: Path, drawn: list[Figure]) -> None:
    embeddings = make(20)
    draw_map(project(embeddings, "pca"), embeddings, tmp_path / "m.png", title="mine")
    assert drawn[0].axes[0].get_title(loc="left") == "mine: 20 images"
    assert drawn[0].legends[0].get_texts()[0].get_text() == "unknown (2)"
