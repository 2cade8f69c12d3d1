"""The losses of a recipe, by the names of its key `loss.name`.

A class weight multiplies the loss of every image of its class, and the sum is divided by the number
of images, as Keras does with `class_weight`. (torch's `cross_entropy(weight=…)` divides by the sum
of the weights instead.) Balanced weights have the mean 1 over the images they are made of, so the
loss keeps its scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.training.recipe import Recipe

EMBEDDING_LOSSES = ("weighted-cluster", "triplet")
"""The losses that work on a network's embedding."""


class Loss(nn.Module):
    """What a training step makes small.

    Attributes:
        needs_embedding: whether `forward` must be given the network's embedding.
    """

    needs_embedding = False
    weights: Tensor | None

    def __init__(self, weights: Tensor | None = None) -> None:
        super().__init__()
        # Made again from the data when a run goes on, so not part of its state.
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, embedding: Tensor | None, targets: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            logits: float, N×7.
            embedding: float, N×width; may be None where `needs_embedding` is False.
            targets: int64 labels, N; or, of the losses that take them, float shares, N×7, rows
                with the sum 1.

        Returns:
            A scalar.
        """
        raise NotImplementedError

    def _mean(self, losses: Tensor, targets: Tensor) -> Tensor:
        """Return Σ weight · loss / N; the weight of shares is the mean over their classes."""
        if self.weights is not None:
            soft = targets.is_floating_point()
            losses = losses * (targets @ self.weights if soft else self.weights[targets])
        return losses.mean()


class CrossEntropy(Loss):
    """Cross-entropy of the softmax; with `gamma` above 0 the focal loss.

    An image counts −Σₖ tₖ (1 − pₖ)^gamma log pₖ, where p are the probabilities and t the target:
    1 for the label's class, or the shares of the classes, smoothed to
    (1 − smoothing) · t + smoothing / 7. T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár, "Focal
    loss for dense object detection", ICCV 2017, equation 4, for more than two classes. Smoothing:
    C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016,
    section 7. The class weight is that of the target before it is smoothed. `shift`, float 7, is
    added to the logits: A. K. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021,
    equation 10, where it is tau · log of the classes' shares.
    """

    shift: Tensor | None

    def __init__(
        self,
        weights: Tensor | None = None,
        *,
        smoothing: float = 0.0,
        gamma: float = 0.0,
        shift: Tensor | None = None,
    ) -> None:
        super().__init__(weights)
        self.smoothing, self.gamma = smoothing, gamma
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, logits: Tensor, embedding: Tensor | None, targets: Tensor) -> Tensor:
        """Return the mean over the images; see `Loss.forward`. Takes labels and shares."""
        classes = logits.shape[1]
        shares = targets if targets.is_floating_point() else F.one_hot(targets, classes)
        shares = (1 - self.smoothing) * shares.to(logits.dtype) + self.smoothing / classes
        if self.shift is not None:
            logits = logits + self.shift
        logarithms = logits.log_softmax(dim=1)
        terms = shares * logarithms
        if self.gamma:
            # At 0 a power below 1 has an infinite slope.
            lowest = torch.finfo(logits.dtype).eps
            terms = terms * (1 - logarithms.exp()).clamp(min=lowest) ** self.gamma
        return self._mean(-terms.sum(dim=1), targets)


class SquaredHinge(Loss):
    """The squared hinge of seven machines, each one class against the rest.

    An image counts Σₖ max(0, margin − tₖ sₖ)², where s are the logits and t is 1 for its class and
    −1 for the others. Y. Tang, "Deep learning using linear support vector machines", ICML workshop
    on challenges in representation learning, 2013, equation 6 (L2-SVM), with the machines' penalty
    left to the optimizer's weight decay.
    """

    def __init__(self, weights: Tensor | None = None, *, margin: float = 1.0) -> None:
        super().__init__(weights)
        self.margin = margin

    def forward(self, logits: Tensor, embedding: Tensor | None, targets: Tensor) -> Tensor:
        """Return the mean over the images; see `Loss.forward`. Takes labels only."""
        signs = 2 * F.one_hot(targets, logits.shape[1]).to(logits.dtype) - 1
        return self._mean((self.margin - signs * logits).clamp(min=0).square().sum(dim=1), targets)


class WeightedCluster(Loss):
    """Weighted cross-entropy, and embeddings drawn to the centers of their classes.

    The centers c are learned like the network's weights. With an image's embedding x and class y,
    the second term is the weighted mean of ½ ‖x − c_y‖² / (Σⱼ ‖c_y − cⱼ‖² + 1): small where a class
    lies close together and far from the others. Q. T. Ngo, S. Yoon, "Facial expression recognition
    based on weighted-cluster loss and deep transfer learning using a highly imbalanced dataset",
    Sensors 20(9):2639, 2020, section 3.3.3. The constant 1 and the squares below the line follow
    C. Qi, F. Su, "Contrastive-center loss for deep neural networks", ICIP 2017, of which theirs is
    a kin; theirs as printed was not at hand.
    """

    needs_embedding = True

    def __init__(
        self,
        width: int,
        weights: Tensor | None = None,
        *,
        share: float = 0.1,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__(weights)
        self.cross_entropy = CrossEntropy(weights, smoothing=smoothing)
        self.share = share
        self.centers = nn.Parameter(torch.zeros(len(EMOTIONS), width))

    def forward(self, logits: Tensor, embedding: Tensor | None, targets: Tensor) -> Tensor:
        """Return cross-entropy + share · center loss; see `Loss.forward`. Takes labels only."""
        assert embedding is not None
        own = self.centers[targets]
        within = (embedding - own).square().sum(dim=1)
        between = (own.unsqueeze(1) - self.centers).square().sum(dim=(1, 2))  # to itself it is 0
        pulled = self._mean(within / (between + 1) / 2, targets)
        cross_entropy: Tensor = self.cross_entropy(logits, None, targets)
        return cross_entropy + self.share * pulled


class BatchHardTriplet(Loss):
    """The hinge over each image's hardest triplet of the batch, on embeddings of length 1.

    An anchor counts max(0, margin + distance to the farthest of its class − distance to the nearest
    of another); distances are Euclidean, not squared. Anchors alone in their class, or without
    another class, are left out; a batch without any other is worth 0. A. Hermans, L. Beyer,
    B. Leibe, "In defense of the triplet loss for person re-identification", 2017, equation 5.
    """

    needs_embedding = True

    def __init__(self, *, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, logits: Tensor, embedding: Tensor | None, targets: Tensor) -> Tensor:
        """Return the mean over the anchors; see `Loss.forward`. Takes labels only."""
        assert embedding is not None
        points = F.normalize(embedding, dim=1)
        # The way over a matrix product loses the small distances.
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        same = targets.unsqueeze(0) == targets.unsqueeze(1)
        others = same & ~torch.eye(len(targets), dtype=torch.bool, device=targets.device)
        anchors = others.any(dim=1) & ~same.all(dim=1)
        if not anchors.any():
            return embedding.sum() * 0  # not a constant: a step differentiates it
        farthest = distances.masked_fill(~others, -torch.inf)[anchors].amax(dim=1)
        nearest = distances.masked_fill(same, torch.inf)[anchors].amin(dim=1)
        return (self.margin + farthest - nearest).clamp(min=0).mean()


def build_loss(
    recipe: Recipe,
    class_weights: Tensor | None,
    width: int | None,
    shares: Tensor | None = None,
) -> Loss:
    """Return the loss that a recipe asks for.

    Args:
        recipe: its section `loss`, and what `training` says of targets.
        class_weights: float, 7, as of `balanced_weights`; None weighs all classes alike.
        width: of the network's embedding; None where the architecture gives none.
        shares: float, 7, as of `class_shares`, for logit adjustment; None takes equal ones.

    Raises:
        MienError: keys that the loss cannot take together, or a loss on embeddings for an
            architecture without.
    """
    loss, training, smoothing = recipe.loss, recipe.training, recipe.training.label_smoothing
    refused: dict[str, bool] = {}
    if loss.name in ("squared-hinge", "weighted-cluster", "triplet"):
        refused['loss.targets = "votes"'] = loss.targets == "votes"
        refused["training.mixup"] = training.mixup > 0
        refused["training.cutmix"] = training.cutmix > 0
        refused["training.distill"] = bool(training.distill)
    if loss.name in ("squared-hinge", "triplet"):
        refused["training.label_smoothing"] = smoothing > 0
    if loss.name == "triplet":
        refused["loss.class_weights"] = class_weights is not None
    if loss.name != "cross-entropy":
        refused["loss.logit_adjustment"] = loss.logit_adjustment > 0
    wrong = [key for key, given in refused.items() if given]
    if wrong:
        raise MienError(
            f'loss.name = "{loss.name}" does not go with {", ".join(wrong)}',
            hint="take these keys out, or choose the loss cross-entropy or focal",
        )
    if loss.name == "squared-hinge":
        return SquaredHinge(class_weights, margin=loss.margin)
    if loss.name == "focal":
        return CrossEntropy(class_weights, smoothing=smoothing, gamma=loss.gamma)
    if loss.name == "cross-entropy":
        shift = None
        if loss.logit_adjustment and shares is not None:
            shift = loss.logit_adjustment * shares.log()
        return CrossEntropy(class_weights, smoothing=smoothing, shift=shift)
    if width is None:
        raise MienError(
            f'loss.name = "{loss.name}" works on embeddings, and the architecture '
            f"{recipe.model.name!r} gives none",
            hint="choose another model.name or loss.name",
        )
    if loss.name == "triplet":
        return BatchHardTriplet(margin=loss.margin)
    return WeightedCluster(width, class_weights, share=loss.cluster_weight, smoothing=smoothing)


def balanced_weights(labels: Tensor, classes: int = len(EMOTIONS)) -> Tensor:
    """Return images / (classes · images of the class), as scikit-learn's "balanced".

    Args:
        labels: integers from 0 to classes - 1.
        classes: how many there are, with images or without.

    Returns:
        float32, one a class; 0 for a class without images.
    """
    counts = torch.bincount(labels.long(), minlength=classes)
    return torch.where(counts > 0, len(labels) / (classes * counts.clamp(min=1)), 0.0).float()


def class_shares(labels: Tensor, classes: int = len(EMOTIONS)) -> Tensor:
    """Return each class's share of labels, float32; a class without images counts one."""
    return torch.bincount(labels.long(), minlength=classes).clamp(min=1) / len(labels)
