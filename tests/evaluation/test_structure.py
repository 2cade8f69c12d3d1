"""Neighbors and clusters: against scikit-learn, by hand, and where labels are missing."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier

from mien.errors import MienError
from mien.evaluation.embeddings import Embeddings
from mien.evaluation.structure import QUERIES, cluster, nearest_neighbors


def make(vectors: np.ndarray, labels: np.ndarray | list[int]) -> Embeddings:
    names = np.arange(len(vectors)).astype(np.str_)
    return Embeddings(names, np.asarray(labels, np.int8), vectors.astype(np.float32))


def named(reference: Embeddings, queries: Embeddings, k: int) -> list[int]:
    return nearest_neighbors(reference, queries, k).argmax(axis=1).tolist()


def noisy(count: int, seed: int, noise: float) -> Embeddings:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 7
    vectors = np.eye(7)[labels] + noise * random.standard_normal((count, 7))
    # Lengths say nothing, as by the cosine.
    return make(vectors * random.uniform(0.1, 10, (count, 1)), labels)


def test_votes_are_those_of_scikit_learn() -> None:
    reference, queries = noisy(400, 0, 0.5), noisy(QUERIES + 88, 1, 0.5)
    theirs = KNeighborsClassifier(9, metric="cosine", algorithm="brute")
    theirs.fit(reference.vectors, reference.labels)
    expected = theirs.predict(queries.vectors)
    shares = np.sort(theirs.predict_proba(queries.vectors), axis=1)
    clear = shares[:, -1] > shares[:, -2]
    assert 0.5 < clear.mean() < 1
    told: list[tuple[int, int | None]] = []
    found = nearest_neighbors(
        reference, queries, 9, progress=lambda done, total: told.append((done, total))
    )
    np.testing.assert_array_equal(found.argmax(axis=1)[clear], expected[clear])
    np.testing.assert_allclose(found, theirs.predict_proba(queries.vectors), atol=1 / 18)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert told == [(QUERIES, QUERIES + 88), (QUERIES + 88, QUERIES + 88)]


def test_among_equals_the_nearer_emotion_wins() -> None:
    angles = np.radians([0, 40, 20, 21])
    reference = make(np.stack([np.cos(angles), np.sin(angles)], axis=1), [2, 2, 5, 5])
    assert named(reference, make(np.array([[1.0, 0.36]]), [-1]), 4) == [5]
    # One that is nearest does not outvote two.
    assert named(reference, make(np.array([[1.0, 0.0]]), [-1]), 3) == [5]


def test_an_image_is_not_its_own_neighbor() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.5, 0.5]])
    split = make(vectors, [0, 1, 2, 3, -1])
    assert named(split, split, 1)[:4] == [1, 0, 3, 2]
    assert named(make(vectors, split.labels), split, 1)[:4] == [0, 1, 2, 3]


def test_images_without_a_label_do_not_vote_and_k_may_be_too_large() -> None:
    reference = make(np.array([[1, 0], [0.9, 0.1], [0, 1]]), [-1, 4, 6])
    assert named(reference, make(np.array([[1, 0]]), [0]), 1) == [4]
    assert named(reference, make(np.array([[0.0, 1]]), [0]), 50) == [6]


def test_without_labels_or_neighbors_there_is_nothing_to_vote() -> None:
    unlabeled = make(np.ones((3, 2)), [-1, -1, -1])
    with pytest.raises(MienError, match="no labeled images"):
        nearest_neighbors(unlabeled, unlabeled, 1)
    alone = make(np.ones((1, 2)), [3])
    with pytest.raises(MienError, match="no labeled images"):
        nearest_neighbors(alone, alone, 1)
    with pytest.raises(MienError, match="at least one neighbor"):
        nearest_neighbors(alone, unlabeled, 0)


def test_clusters_that_are_the_emotions() -> None:
    found = cluster(noisy(210, 0, 0.02))
    assert found.adjusted_rand == pytest.approx(1)
    assert found.mutual_information == pytest.approx(1)


def test_clusters_by_chance() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 2000)
    found = cluster(make(random.standard_normal((2000, 5)), labels))
    assert abs(found.adjusted_rand) < 0.01
    assert 0 <= found.mutual_information < 0.02
    assert adjusted_rand_score(labels, random.permutation(labels)) == pytest.approx(0, abs=0.01)


def test_clusters_are_repeatable_and_need_no_label_of_all() -> None:
    embeddings = noisy(140, 2, 0.4)
    partly = make(
        np.concatenate([embeddings.vectors, np.ones((9, 7))]),
        np.concatenate([embeddings.labels, np.full(9, -1)]),
    )
    assert cluster(embeddings) == cluster(embeddings) == cluster(partly)
    with pytest.raises(MienError, match="5 labeled images"):
        cluster(make(np.eye(5), [0, 1, 2, 3, 4]))
