"""The stored arrays decide as scikit-learn's own estimators do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.kernel_approximation import Nystroem
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from mien.classical.features import hog
from mien.classical.fitting import (
    Labeled,
    best_temperature,
    candidates,
    check_labels,
    fit_transforms,
    linear_svm,
    log_loss,
)
from mien.classical.options import Features
from mien.classical.parts import Clusters, KernelMap, NearestNeighbors, softmax, transformed
from mien.data.cache import Dataset
from mien.errors import MienError


@pytest.fixture(scope="module")
def splits(dataset: Dataset) -> tuple[Labeled, Labeled]:
    x, y = hog(dataset.images), dataset.labels.astype(np.uint8)
    # Some labels are wrong, so that nothing is separable and probabilities matter.
    y = np.where(np.random.default_rng(1).random(len(y)) < 0.2, (y + 1) % 7, y)
    train, validation = dataset.splits == 0, dataset.splits == 1
    return Labeled(x[train], y[train]), Labeled(x[validation], y[validation])


def features(**options: object) -> Features:
    return Features.model_validate({"features": ["hog"], **options})


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("balanced", [False, True])
def test_an_svm_decides_exactly_as_scikit_learn_s(
    splits: tuple[Labeled, Labeled], kernel: str, balanced: bool
) -> None:
    train, validation = splits
    options = features(kernel=kernel, c=[0.01, 1], components=60)
    transforms = fit_transforms(train.x, options, seed=3)
    x, unseen = transformed(train.x, transforms), transformed(validation.x, transforms)
    found = list(
        candidates(
            Labeled(x, train.y),
            Labeled(unseen, validation.y),
            options,
            seed=3,
            balanced=balanced,
        )
    )
    assert [candidate.value for candidate in found] == [0.01, 1]
    for candidate in found:
        theirs = LinearSVC(
            C=candidate.value,
            tol=1e-3,
            max_iter=10_000,
            dual="auto",
            random_state=3,
            class_weight="balanced" if balanced else None,
        ).fit(x, train.y)
        assert (candidate.validation.argmax(axis=1) == theirs.predict(unseen)).all()
        np.testing.assert_allclose(
            candidate.head.decision(unseen), theirs.decision_function(unseen)
        )
        np.testing.assert_allclose(candidate.validation.sum(axis=1), 1, atol=1e-6)


def test_the_kernel_s_map_is_scikit_learn_s_and_near_the_kernel(
    splits: tuple[Labeled, Labeled],
) -> None:
    train, validation = splits
    options = features(kernel="rbf", scaling="none", components=140, gamma=0.05)
    (ours,) = fit_transforms(train.x, options, seed=0)
    assert isinstance(ours, KernelMap)
    theirs = Nystroem(gamma=0.05, n_components=140, random_state=0).fit(train.x)
    np.testing.assert_allclose(ours(validation.x), theirs.transform(validation.x), atol=1e-4)
    # With all training images as components it is exact on them.
    mapped = ours(train.x)
    squares = np.square(train.x[:, None].astype(float) - train.x).sum(axis=2)
    np.testing.assert_allclose(mapped @ mapped.T, np.exp(-0.05 * squares), atol=1e-3)


def test_neighbors_vote_as_scikit_learn_s(splits: tuple[Labeled, Labeled]) -> None:
    train, validation = splits
    options = features(classifier="knn", neighbors=[1, 5, 20])
    found = list(candidates(train, validation, options, seed=0, balanced=False))
    for candidate, count in zip(found, (1, 5, 20), strict=True):
        theirs = KNeighborsClassifier(count, algorithm="brute").fit(train.x, train.y)
        assert (candidate.validation.argmax(axis=1) == theirs.predict(validation.x)).all()
        assert isinstance(candidate.head, NearestNeighbors)
        np.testing.assert_array_equal(
            candidate.head.probabilities(validation.x), candidate.validation
        )
        # Laplace: one vote more for each of the seven.
        votes = candidate.validation * (count + 7) - 1
        np.testing.assert_allclose(votes, np.round(votes), atol=1e-4)
        np.testing.assert_allclose(votes, theirs.predict_proba(validation.x) * count, atol=1e-4)
    # No training image votes for itself: with one neighbor all would be right.
    assert (found[0].train.argmax(axis=1) == train.y).mean() < 0.95


def test_a_cluster_takes_the_majority_of_its_training_images(
    splits: tuple[Labeled, Labeled],
) -> None:
    train, validation = splits
    options = features(classifier="clusters", clusters=[10])
    (candidate,) = candidates(train, validation, options, seed=5, balanced=False)
    theirs = KMeans(10, n_init=3, random_state=5).fit(train.x)
    majority = [np.bincount(train.y[theirs.labels_ == k], minlength=7).argmax() for k in range(10)]
    expected = np.array(majority)[theirs.predict(validation.x)]
    assert (candidate.validation.argmax(axis=1) == expected).all()
    assert isinstance(candidate.head, Clusters)
    assert candidate.head.counts.sum() == len(train.y)


@pytest.mark.parametrize("classes", [[2, 5], [0, 3, 6]])
def test_an_emotion_that_was_not_trained_on_is_never_told(
    splits: tuple[Labeled, Labeled], classes: list[int]
) -> None:
    train, validation = splits
    some = np.isin(train.y, classes)
    fitted = LinearSVC(random_state=0).fit(train.x[some], train.y[some])
    head = linear_svm(fitted)
    probabilities = head.probabilities(validation.x)
    others = np.setdiff1d(np.arange(7), classes)
    assert (probabilities[:, others] == 0).all()
    assert (probabilities.argmax(axis=1) == fitted.predict(validation.x)).all()
    assert 0.01 <= best_temperature(head.decision(validation.x), validation.y) <= 100


def test_the_temperature_has_the_least_log_loss() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 7))
    labels = np.array([random.choice(7, p=p) for p in softmax(logits)], np.uint8)
    # Decisions that are the true logits over 5 need the temperature 1/5.
    found = best_temperature(logits / 5, labels)
    assert found == pytest.approx(0.2, rel=0.1)
    losses = [log_loss(softmax(logits / 5 / t), labels) for t in (found, found * 0.8, found * 1.2)]
    assert min(losses) == losses[0]


def test_too_few_images_are_told() -> None:
    labels = np.arange(60, dtype=np.int8) % 7
    for options in (
        features(classifier="knn", neighbors=500),
        features(classifier="clusters", clusters=500),
    ):
        with pytest.raises(MienError, match="500 is too many"):
            check_labels(options, labels)
    with pytest.raises(MienError, match="components"):
        check_labels(features(kernel="rbf"), labels)
    with pytest.raises(MienError, match="two emotions"):
        check_labels(features(), np.zeros(60, np.int8))
    check_labels(features(), labels)


def test_scaling(splits: tuple[Labeled, Labeled]) -> None:
    x = np.concatenate([splits[0].x, np.full((len(splits[0].x), 1), 3, np.float32)], axis=1)
    standard = transformed(x, fit_transforms(x, features(), 0))
    np.testing.assert_allclose(standard[:, :-1].std(axis=0), 1, atol=1e-4)
    assert (standard[:, -1] == 0).all()  # a constant feature is no division by zero
    length = transformed(x, fit_transforms(x, features(scaling="length"), 0))
    np.testing.assert_allclose(np.linalg.norm(length, axis=1), 1, atol=1e-5)
