"""Combining: against brute force, scikit-learn, the conditions of an optimum, and invariants."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.cli.ensemble import METHOD_NAMES
from mien.errors import MienError
from mien.evaluation import stacking
from mien.evaluation.align import align
from mien.evaluation.ensemble import METHODS, Combiner, fit, out_of_fold
from mien.evaluation.metrics import evaluate
from mien.evaluation.predictions import Predictions

FITTED = [name for name, method in METHODS.items() if method.fit]


def make(count: int, strengths: list[float], seed: int = 0) -> list[Predictions]:
    """Return members that see the truth through noise of their own; the stronger, the better."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, count).astype(np.int8)
    names = np.array([f"{index}.png" for index in range(count)])
    members = []
    for strength in strengths:
        logits = strength * np.eye(7)[labels] + random.normal(size=(count, 7))
        probabilities = stacking.softmax(logits).astype(np.float32)
        members.append(Predictions(names, labels, probabilities, {"split": "validation"}))
    return members


def accuracy(predictions: Predictions) -> float:
    return evaluate(predictions).accuracy


def of(rows: list[list[float]], label: int = 0) -> list[Predictions]:
    """Return one image's predictions by several members."""
    return [
        Predictions(np.array(["a"]), np.array([label], np.int8), np.array([row], np.float32))
        for row in rows
    ]


def test_the_command_line_knows_all_methods() -> None:
    assert tuple(METHODS) == METHOD_NAMES


def test_mean_logits_and_vote_by_hand() -> None:
    members = of(
        [
            [0.50, 0.30, 0.20, 0, 0, 0, 0],
            [0.50, 0.40, 0.10, 0, 0, 0, 0],
            [0.02, 0.90, 0.08, 0, 0, 0, 0],
        ]
    )
    combined = {name: fit(name, members)(members).probabilities[0] for name in METHOD_NAMES[:3]}
    np.testing.assert_allclose(combined["mean"][:3], [0.34, 1.6 / 3, 0.38 / 3], rtol=1e-6)
    roots = np.cbrt([0.5 * 0.5 * 0.02, 0.3 * 0.4 * 0.9, 0.2 * 0.1 * 0.08])
    np.testing.assert_allclose(combined["logits"][:3], roots / roots.sum(), atol=1e-5)
    assert combined["mean"].argmax() == 1
    assert combined["vote"].argmax() == 0  # two of three votes, against the mean
    np.testing.assert_allclose(combined["vote"][:2], [2.34 / 4, (1 + 1.6 / 3) / 4], rtol=1e-6)


def test_the_mean_decides_a_tied_vote() -> None:
    members = of([[0.40, 0.35, 0.25, 0, 0, 0, 0], [0.05, 0.90, 0.05, 0, 0, 0, 0]])
    assert fit("vote", members)(members).probabilities.argmax() == 1


rows = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(lambda r: np.array(r) / sum(r))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(rows, rows, rows), min_size=1, max_size=6), st.permutations(range(3)))
def test_unfitted_methods(images: list[tuple[np.ndarray, ...]], order: list[int]) -> None:
    names = np.array([str(index) for index in range(len(images))])
    labels = np.full(len(images), -1, np.int8)
    members = [
        Predictions(names, labels, np.array(column, np.float32))
        for column in zip(*images, strict=True)
    ]
    for name in ("mean", "logits", "vote"):
        alone = fit(name, members[:1])(members[:1]).probabilities
        if name == "vote":
            assert (alone.argmax(axis=1) == members[0].probabilities.argmax(axis=1)).all()
        else:
            np.testing.assert_allclose(alone, members[0].probabilities, rtol=1e-5)
        combined = fit(name, members)(members).probabilities
        shuffled = fit(name, members)([members[index] for index in order]).probabilities
        np.testing.assert_allclose(combined, shuffled, rtol=1e-5)


def test_weights_recover_the_better_member() -> None:
    members = make(400, [3.0, 0.0])
    weights = fit("weights", members).parameters["weights"]
    assert weights[0] > 0.95
    assert weights.sum() == pytest.approx(1)


def test_weights_are_the_optimum() -> None:
    members = make(300, [1.0, 1.5, 2.0, 0.0])
    weights = fit("weights", members).parameters["weights"]
    stack = np.stack([each.probabilities for each in members]).astype(np.float64)
    given_ = stack[:, np.arange(300), members[0].labels]
    # Karush, Kuhn and Tucker: a member with a weight has the slope 1, the others none above it.
    slopes = (given_ / (weights @ given_)).mean(axis=1)
    assert (weights >= 0).all()
    assert slopes.max() < 1 + 1e-3
    np.testing.assert_allclose(slopes[weights > 1e-3], 1, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_greedy_is_never_worse_than_the_best_member(seed: int, count: int) -> None:
    members = make(20, [1.0] * count, seed)
    combined = fit("greedy", members)(members)
    assert accuracy(combined) >= max(accuracy(each) for each in members)


def test_greedy_finds_what_brute_force_finds() -> None:
    members = make(60, [1.2, 1.0, 1.1], seed=5)
    best = 0.0
    for chosen in (c for size in (1, 2, 3) for c in combinations_with_replacement(members, size)):
        best = max(best, accuracy(fit("mean", chosen)(chosen)))
    assert accuracy(fit("greedy", members)(members)) >= best


@pytest.mark.parametrize("strength", [1e-3, 0.1])
def test_regression_is_that_of_scikit_learn(strength: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    members = make(200, [1.0, 2.0])
    features = np.log(np.concatenate([each.probabilities for each in members], axis=1))
    features = features.astype(np.float64)
    labels = members[0].labels
    theirs = linear_model.LogisticRegression(C=strength, tol=1e-8, max_iter=2000)
    theirs.fit(features, labels)
    coefficients, intercept = stacking.fit_at(features, labels, strength)
    np.testing.assert_allclose(coefficients, theirs.coef_, atol=1e-3)
    ours = stacking.softmax(features @ coefficients.T + intercept)
    np.testing.assert_allclose(ours, theirs.predict_proba(features), atol=1e-3)


def test_stacking_mends_a_member_that_mixes_up_two_emotions() -> None:
    (member,) = make(200, [4.0])
    swapped = replace(member, probabilities=member.probabilities[:, [1, 0, 2, 3, 4, 5, 6]])
    assert accuracy(out_of_fold("stacking", [swapped])) > accuracy(swapped) + 0.15


def test_folds_are_stratified() -> None:
    labels = np.repeat([-1, 0, 3, 6], [3, 51, 7, 20])
    fold_of = stacking.stratified_folds(labels, 5)
    for label in np.unique(labels):
        counts = np.bincount(fold_of[labels == label], minlength=5)
        assert np.ptp(counts) <= 1


def test_out_of_fold_knows_nothing_of_its_own_images() -> None:
    """What an image's label is must not change its own prediction."""
    members = make(60, [1.0, 0.5])
    before = out_of_fold("weights", members)
    fold = stacking.stratified_folds(members[0].labels, 5) == 2
    hidden = np.where(fold, -1, members[0].labels).astype(np.int8)
    inside = [
        replace(m, names=m.names[~fold], labels=hidden[~fold], probabilities=m.probabilities[~fold])
        for m in members
    ]
    weights = fit("weights", inside).parameters["weights"]
    expected = sum(w * m.probabilities[fold] for w, m in zip(weights, members, strict=True))
    np.testing.assert_allclose(before.probabilities[fold], expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_state_survives_json(method: str) -> None:
    members = make(50, [1.0, 2.0])
    combiner = fit(method, members)
    combined = combiner(members)
    assert combined.info["split"] == "validation"
    again = Combiner.from_dict(json.loads(json.dumps(combined.info["ensemble"])))
    np.testing.assert_array_equal(again(members).probabilities, combined.probabilities)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"method": "mean", "members": 2, "parameters": {"coefficients": [1]}},
        {"method": "weights", "members": 2, "parameters": {"weights": [1, 0, 0]}},
    ],
)
def test_a_wrong_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(MienError, match="not the state of an ensemble"):
        Combiner.from_dict(state)


def test_unlabeled_images_are_no_part_of_the_fit() -> None:
    members = make(60, [1.0, 2.0])
    labels = members[0].labels.copy()
    labels[40:] = -1
    part = [replace(each, labels=labels) for each in members]
    first = [
        replace(m, names=m.names[:40], labels=m.labels[:40], probabilities=m.probabilities[:40])
        for m in members
    ]
    np.testing.assert_allclose(
        fit("weights", part).parameters["weights"], fit("weights", first).parameters["weights"]
    )


@pytest.mark.parametrize("method", FITTED)
def test_too_few_labels_are_refused(method: str) -> None:
    with pytest.raises(MienError, match="9 of these images have one; it needs 10"):
        fit(method, make(9, [1.0, 2.0]))


def test_align_sorts_and_shares_labels() -> None:
    first, second = make(30, [1.0, 2.0])
    order = np.random.default_rng(1).permutation(30)
    shuffled = Predictions(second.names[order], second.labels[order], second.probabilities[order])
    unlabeled = replace(first, labels=np.full(30, -1, np.int8))
    one, two = align([unlabeled, shuffled])
    assert (one.names == first.names).all()
    assert (one.labels == first.labels).all()
    np.testing.assert_array_equal(two.probabilities, second.probabilities)


def test_misfits_are_named() -> None:
    first, second = make(12, [1.0, 2.0])
    fewer = replace(
        second,
        names=second.names[2:],
        labels=second.labels[2:],
        probabilities=second.probabilities[2:],
    )
    with pytest.raises(MienError, match=r"cnn5 has no predictions for 2 of the images: 0.png, 1"):
        align([first, fewer], ["foldnet", "cnn5"])
    with pytest.raises(MienError, match=r"cnn5 has no predictions for 2 of the images: 0.png, 1"):
        align([fewer, first], ["cnn5", "foldnet"])
    labels = second.labels.copy()
    labels[3] = (labels[3] + 1) % 7
    with pytest.raises(MienError, match=r"member 2 says that the image 3.png is"):
        align([first, replace(second, labels=labels)])
    with pytest.raises(MienError, match="made for 2 members, and 1 are given"):
        fit("mean", [first, second])([first])
    with pytest.raises(MienError, match="no method 'men'"):
        fit("men", [first])
