"""What the paper prints beside the accuracies in the plan, and what it compares itself with."""

from __future__ import annotations

PAPER = "Vepuri, Improving Facial Emotion Recognition with Image Processing and Deep Learning, 2021"
PAPER_DOI = "10.31979/etd.3wrz-53ee"

CLASS_TABLE: tuple[int, ...] = (4593, 547, 5121, 8989, 6077, 4002, 6198)
"""The paper's Table 1: images of each emotion, over all splits, in the order of `EMOTIONS`."""

SPLIT_SIZES: dict[str, int] = {"train": 28709, "validation": 3589, "test": 3589}
"""Images of each split, as the paper says in the same section."""

PRAMERDORFER: dict[str, tuple[str, float]] = {
    "resnet50": ("ResNet", 72.4),
    "vgg16": ("VGG", 72.7),
    "facenet": ("Inception", 71.6),
}
"""Pramerdorfer & Kampel's networks of the same kind as a recipe's, and their test accuracies in
percent (the paper's Table 3)."""
