"""The losses against torch, scikit-learn, figures worked out by hand, and plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

from mien.errors import MienError
from mien.training.losses import (
    BatchHardTriplet,
    CrossEntropy,
    Loss,
    SquaredHinge,
    WeightedCluster,
    balanced_weights,
    build_loss,
)
from mien.training.recipe import validate

WEIGHTS = torch.tensor([1.5, 4.0, 1.0, 0.5, 0.9, 1.2, 0.8])


def _batch(count: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, 7, generator=generator)
    return logits, torch.randint(0, 7, (count,), generator=generator)


def _shares(count: int = 12) -> Tensor:
    votes = torch.randint(0, 6, (count, 7), generator=torch.Generator().manual_seed(1)).float() + 1
    return votes / votes.sum(dim=1, keepdim=True)


def _built(weights: Tensor | None = None, width: int | None = None, **sections: Any) -> Loss:
    table = {"summary": "of a test", "model": {"name": "foldnet"}, **sections}
    return build_loss(validate(table, "test"), weights, width)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_is_torch_s(smoothing: float, soft: bool) -> None:
    logits, targets = _batch()
    if soft:
        targets = _shares()
    loss = _built(training={"label_smoothing": smoothing})
    expected = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, None, targets), expected)


def test_a_class_weight_multiplies_and_the_sum_is_divided_by_the_images() -> None:
    logits, targets = _batch()
    # torch's sum over images of weight · loss, which Keras divides by the number of images.
    expected = F.cross_entropy(logits, targets, weight=WEIGHTS, reduction="sum") / len(targets)
    torch.testing.assert_close(CrossEntropy(WEIGHTS)(logits, None, targets), expected)
    shares = _shares()
    each = F.cross_entropy(logits, shares, reduction="none")
    expected = sum(
        (share * WEIGHTS).sum() * loss for share, loss in zip(shares, each, strict=True)
    ) / len(each)
    torch.testing.assert_close(CrossEntropy(WEIGHTS)(logits, None, shares), expected)


def test_one_hot_shares_are_labels() -> None:
    logits, targets = _batch()
    hot = F.one_hot(targets, 7).float()
    loss = CrossEntropy(WEIGHTS, smoothing=0.1, gamma=2.0)
    torch.testing.assert_close(loss(logits, None, targets), loss(logits, None, hot))


def test_the_focal_loss() -> None:
    logits, targets = _batch()
    plain = F.cross_entropy(logits, targets)
    torch.testing.assert_close(
        _built(loss={"name": "focal", "gamma": 0.0})(logits, None, targets), plain
    )
    # p = 0.9 and gamma = 2: 100 times less than cross-entropy, as section 3.2 of the paper says.
    logit = math.log(0.9 / (0.1 / 6))
    easy = torch.tensor([[logit, *[0.0] * 6]])
    found = _built(loss={"name": "focal"})(easy, None, torch.tensor([0]))
    assert float(found) == pytest.approx(-math.log(0.9) / 100, rel=1e-4)


def test_certainty_has_a_finite_gradient() -> None:
    logits = torch.tensor([[200.0, 0, 0, 0, 0, 0, 0]], requires_grad=True)
    _built(loss={"name": "focal", "gamma": 0.5})(logits, None, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_squared_hinge_by_hand() -> None:
    logits = torch.tensor([[2.0, -3.0, 0.5, -1.0, -1.0, -1.0, -1.0], [0.0] * 7])
    targets = torch.tensor([0, 3])
    # First: class 0 is beyond its margin, class 2 is (1 + 0.5)² inside; second: seven times 1.
    assert float(SquaredHinge()(logits, None, targets)) == pytest.approx((2.25 + 7) / 2)
    weighted = SquaredHinge(WEIGHTS)(logits, None, targets)
    assert float(weighted) == pytest.approx((1.5 * 2.25 + 0.5 * 7) / 2)
    wider = _built(loss={"name": "squared-hinge", "margin": 2.0})(logits, None, targets)
    assert float(wider) == pytest.approx((2.5**2 + 4 * 1 + 7 * 4) / 2)


def test_the_squared_hinge_has_the_minimum_of_liblinear() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(210) % 7
    features = random.normal(size=(210, 5)) + np.eye(7)[labels][:, :5]
    strength = 0.3
    machine = LinearSVC(C=strength, fit_intercept=False, dual=False, tol=1e-10, max_iter=10_000)
    weights = torch.tensor(machine.fit(features, labels).coef_, requires_grad=True)
    loss = SquaredHinge()(torch.tensor(features) @ weights.T, None, torch.tensor(labels))
    (weights.square().sum() / 2 + strength * len(labels) * loss).backward()  # liblinear's objective
    assert weights.grad is not None
    assert weights.grad.abs().max() < 1e-4


def test_the_weighted_cluster_loss_by_hand() -> None:
    loss = WeightedCluster(2, WEIGHTS, share=0.5)
    with torch.no_grad():
        loss.centers[0] = torch.tensor([3.0, 0.0])
        loss.centers[1] = torch.tensor([0.0, 4.0])
    embedding = torch.tensor([[3.0, 2.0], [1.0, 4.0]])
    logits, targets = torch.zeros(2, 7), torch.tensor([0, 1])
    # From (3, 0): 25 to the other center, 9 to each of the five at the origin. From (0, 4): 25, 16.
    pulled = (1.5 * 0.5 * 4 / (25 + 45 + 1) + 4.0 * 0.5 * 1 / (25 + 80 + 1)) / 2
    expected = math.log(7) * (1.5 + 4.0) / 2 + 0.5 * pulled
    assert loss(logits, embedding, targets).item() == pytest.approx(expected, rel=1e-6)


def test_centers_go_to_their_classes_and_apart() -> None:
    loss = _built(width=3, loss={"name": "weighted-cluster", "cluster_weight": 1.0})
    targets = torch.arange(7).repeat(4)
    embedding = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).repeat(4, 1)
    logits = torch.zeros(28, 7)
    optimizer = torch.optim.SGD(loss.parameters(), lr=1.0)
    before = loss(logits, embedding, targets).item()
    for _ in range(200):
        optimizer.zero_grad()
        loss(logits, embedding, targets).backward()
        optimizer.step()
    assert loss(logits, embedding, targets).item() < before - 0.1
    centers = next(iter(loss.parameters()))
    assert (torch.cdist(embedding[:7], centers).argmin(dim=1) == targets[:7]).all()


def _slowly(embedding: Tensor, labels: list[int], margin: float) -> float:
    """Return the batch-hard triplet loss by loops over plain lists."""
    points = [row / row.norm() for row in embedding]
    losses = []
    for a, label in enumerate(labels):
        positive = [
            float((points[a] - points[p]).norm())
            for p, other in enumerate(labels)
            if other == label and p != a
        ]
        negative = [
            float((points[a] - points[n]).norm())
            for n, other in enumerate(labels)
            if other != label
        ]
        if positive and negative:
            losses.append(max(0.0, margin + max(positive) - min(negative)))
    return sum(losses) / len(losses) if losses else 0.0


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    seed=st.integers(0, 1000),
    margin=st.sampled_from([0.2, 1.0]),
)
def test_the_hardest_triplets_of_a_batch(labels: list[int], seed: int, margin: float) -> None:
    embedding = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed))
    embedding = embedding.double()
    found = BatchHardTriplet(margin=margin)(
        torch.zeros(len(labels), 7), embedding, torch.tensor(labels)
    )
    assert float(found) == pytest.approx(_slowly(embedding, labels, margin), abs=1e-9)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [4]])
def test_a_batch_without_triplets_can_be_differentiated(labels: list[int]) -> None:
    embedding = torch.randn(len(labels), 4, requires_grad=True)
    loss = BatchHardTriplet()(torch.zeros(len(labels), 7), embedding, torch.tensor(labels))
    loss.backward()
    assert float(loss) == 0
    assert embedding.grad is not None
    assert (embedding.grad == 0).all()


def test_equal_embeddings_have_a_finite_gradient() -> None:
    embedding = torch.ones(6, 4, requires_grad=True)
    BatchHardTriplet()(torch.zeros(6, 7), embedding, torch.arange(6) % 2).backward()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(WEIGHTS.double(), smoothing=0.1),
        CrossEntropy(gamma=2.0),
        SquaredHinge(WEIGHTS.double()),
        WeightedCluster(5, WEIGHTS.double(), share=0.3).double(),
        BatchHardTriplet(margin=0.5),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_gradients(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(9, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(9, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 4, 5, 6, 0, 1])
    parameters = tuple(loss.parameters())
    for parameter in parameters:
        torch.nn.init.normal_(parameter, generator=generator)
    needed = (logits, embedding) if loss.needs_embedding else (logits,)
    if isinstance(loss, BatchHardTriplet):
        needed = (embedding,)

    def of(*_: Tensor) -> Tensor:
        found: Tensor = loss(logits, embedding if loss.needs_embedding else None, targets)
        return found

    assert torch.autograd.gradcheck(of, (*needed, *parameters))


def test_balanced_weights_are_scikit_learn_s() -> None:
    labels = torch.tensor([0] * 30 + [1] * 2 + [2] * 11 + [3] * 40 + [4] * 5 + [5] * 6 + [6] * 6)
    expected = compute_class_weight("balanced", classes=np.arange(7), y=labels.numpy())
    found = balanced_weights(labels)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert float(found[labels].mean()) == pytest.approx(1)
    assert balanced_weights(torch.tensor([1, 1, 3]), classes=4).tolist() == [0, 0.375, 0, 0.75]


def test_weights_are_no_part_of_the_state_and_move_along() -> None:
    loss = _built(WEIGHTS, 4, loss={"name": "weighted-cluster"})
    assert set(loss.state_dict()) == {"centers"}
    assert loss.weights is not None
    assert loss.double().weights.dtype == torch.float64  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("sections", "weights", "named"),
    [
        ({"loss": {"name": "squared-hinge", "targets": "votes"}}, None, "loss.targets"),
        ({"loss": {"name": "weighted-cluster", "targets": "votes"}}, None, "loss.targets"),
        ({"loss": {"name": "triplet", "targets": "votes"}}, None, "loss.targets"),
        (
            {"loss": {"name": "squared-hinge"}, "training": {"label_smoothing": 0.1}},
            None,
            "training.label_smoothing",
        ),
        ({"loss": {"name": "triplet"}}, WEIGHTS, "loss.class_weights"),
    ],
)
def test_what_does_not_go_together_is_named(
    sections: dict[str, Any], weights: Tensor | None, named: str
) -> None:
    with pytest.raises(MienError, match=named) as caught:
        _built(weights, 8, **sections)
    assert sections["loss"]["name"] in str(caught.value)


@pytest.mark.parametrize("name", ["triplet", "weighted-cluster"])
def test_an_architecture_without_embeddings_is_refused(name: str) -> None:
    with pytest.raises(MienError, match="foldnet"):
        _built(None, None, loss={"name": name})
