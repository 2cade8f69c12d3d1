"""What is drawn in an epoch: votes as targets, a part of the images, sources by their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.data.cache import Dataset
from mien.emotions import FERPLUS_VOTES
from mien.errors import MienError
from mien.training.batches import (
    Batches,
    load_split,
    load_training_split,
    source_weights,
    stratified,
    vote_shares,
)
from mien.training.recipe import Recipe, validate

CPU = torch.device("cpu")


def recipe(**training: Any) -> Recipe:
    table = {
        "summary": "tiny",
        "model": {"name": "foldnet"},
        "input": {"size": 16},
        "training": {"batch_size": 8, **training},
    }
    return validate(table, "tiny")


def with_votes(dataset: Dataset, ballots: dict[str, int]) -> Dataset:
    votes = np.zeros((len(dataset), len(FERPLUS_VOTES)), np.uint8)
    for name, count in ballots.items():
        votes[:, FERPLUS_VOTES.index(name)] = count
    return replace(dataset, votes=votes)


def with_sources(dataset: Dataset) -> Dataset:
    sources = (np.arange(len(dataset)) % 4 == 0).astype(np.uint8)
    return replace(dataset, sources=sources, source_names=("fer2013", "raf-db"))


def test_votes_become_shares_of_the_seven(dataset: Dataset) -> None:
    voted = with_votes(dataset, {"anger": 3, "fear": 1, "contempt": 5, "NF": 1})
    shares = vote_shares(voted, np.arange(5))
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, np.tile([0.75, 0, 0.25, 0, 0, 0, 0], (5, 1)))


def test_without_a_vote_that_counts_the_label_has_the_share(dataset: Dataset) -> None:
    shares = vote_shares(with_votes(dataset, {"NF": 10}), np.arange(7))
    np.testing.assert_array_equal(shares, np.eye(7)[dataset.labels[:7]])


def test_votes_are_the_targets_and_labels_stay_labels(dataset: Dataset) -> None:
    table = recipe().model_dump() | {"loss": {"targets": "votes"}}
    split = load_split(with_votes(dataset, {"sadness": 10}), "train", validate(table, "voted"), CPU)
    _, labels, targets = next(iter(Batches(recipe()).train(split, 0, 16)))
    assert targets.shape == (8, 7)
    assert (targets.argmax(dim=1) == 4).all()
    assert labels.dtype == torch.int64
    assert not (labels == 4).all()


def test_data_without_votes_is_told(dataset: Dataset) -> None:
    with pytest.raises(MienError, match="no votes"):
        vote_shares(dataset, np.arange(3))


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=7),
    fraction=st.floats(0.1, 0.9),
    seed=st.integers(0, 99),
)
def test_a_part_of_the_images_keeps_the_classes_proportions(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    wanted = max(1, int(fraction * len(labels)))
    chosen = stratified(labels, wanted, seed)
    assert len(np.unique(chosen)) == wanted
    for label, count in enumerate(counts):
        # Each class is less than one image off its place; the others' errors move its share.
        share = count / len(labels)
        bound = (1 - share) + share * (len(counts) - 1)
        assert abs((labels[chosen] == label).sum() - wanted * share) <= bound


def test_the_seed_draws_the_part(dataset: Dataset) -> None:
    parts = [
        load_training_split(dataset, recipe(images=21, seed=seed), CPU).images for seed in (0, 0, 1)
    ]
    assert len(parts[0]) == 21
    assert torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[0], parts[2])


@pytest.mark.parametrize(("weight", "drawn"), [(0.0, 0), (0.5, 8), (1.0, 16), (2.5, 40)])
def test_a_source_is_drawn_as_often_as_its_weight_says(
    dataset: Dataset, weight: float, drawn: int
) -> None:
    mixed = with_sources(dataset)
    recipe_ = recipe(source_weights={"raf-db": weight}, batch_size=4)
    split = load_training_split(mixed, recipe_, CPU)
    split = replace(split, labels=torch.arange(len(split)))  # to see which images are drawn
    for epoch in (0, 1):
        seen = torch.cat([x for _, x, _ in Batches(recipe_).train(split, epoch, 16)]).numpy()
        counts = np.bincount(seen, minlength=64)
        other = mixed.sources[:64] == 1  # type: ignore[index]
        assert counts[other].sum() == drawn
        assert set(counts[~other]) == {1}
        assert counts[other].max(initial=0) - counts[other].min(initial=9) <= 1


def test_weights_that_leave_no_image_are_told_and_concern_training_alone(dataset: Dataset) -> None:
    mixed = with_sources(dataset)
    weights = dict.fromkeys(mixed.source_names, 0.0)
    with pytest.raises(MienError, match="leaves no image"):
        load_training_split(mixed, recipe(source_weights=weights), CPU)
    validation = load_split(mixed, "validation", recipe(source_weights=weights), CPU)
    assert set(validation.weights) == {1}


def test_a_source_that_is_not_there_is_told(dataset: Dataset) -> None:
    with pytest.raises(MienError, match="raf") as caught:
        source_weights(with_sources(dataset), np.arange(3), {"raf": 1.0})
    assert "raf-db" in caught.value.hint
    with pytest.raises(MienError, match="no source"):
        source_weights(dataset, np.arange(3), {"raf-db": 1.0})
