"""A run's embedder: what its head makes of the embeddings is what the run's classifier says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.errors import MienError
from mien.training.recipe import load
from mien.training.run import Run, build_network, load_classifier


def test_the_head_makes_the_classifier_s_answers_of_it(tmp_path: Path, recipe_file: Path) -> None:
    recipe = load(str(recipe_file))
    run = Run(tmp_path / "run")
    run.create(recipe, {})
    network = build_network(recipe)
    run.save_weights(network.state_dict())
    embedder = load_classifier(run.folder)
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    images = embedder.preprocessing(images)
    assert images.shape == (5, 16, 16)
    vectors = embedder.embeddings(images)
    assert vectors.shape == (5, 8)
    assert vectors.dtype == np.float32
    with torch.no_grad():
        logits = network.get_submodule("head")(torch.from_numpy(vectors)).numpy()
    powers = np.exp(logits)
    expected = powers / powers.sum(axis=1, keepdims=True)
    found = load_classifier(run.folder).probabilities(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_run_without_weights_is_told(tmp_path: Path, recipe_file: Path) -> None:
    Run(tmp_path / "run").create(load(str(recipe_file)), {})
    with pytest.raises(MienError, match="no weights yet"):
        load_classifier(tmp_path / "run")
