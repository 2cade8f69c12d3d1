"""Which experiments there are: the paper's table, its rows from scratch, its road map, ablations.

Vepuri 2021; the figures are its accuracies on the test split (PrivateTest), in percent. Its table
prints a second figure for row 1, 69.46, in the abstract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mien.errors import MienError, nearest

Group = Literal["paper", "scratch", "filters", "stand-in", "ablations"]
Aim = Literal["accuracy", "balanced accuracy"]
GROUPS: dict[Group, str] = {
    "paper": "the rows of the paper's table, with published face weights where it used them",
    "scratch": "the same networks trained from nothing, at smaller sizes",
    "filters": "the paper's road map: each filter in front of the 5-layer CNN",
    "stand-in": "the road map with a small network, for machines without a GPU",
    "ablations": "each way to train better on its own, with a small network and few images",
}


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        recipe: the recipe's name in the package.
        title: what tables call it.
        group: which part of the plan it belongs to.
        row: the row of the paper's table, where it has one.
        baseline: the recipe that it differs from in one thing, where there is one.
        paper_stage1, paper_final: the paper's test accuracy after the stages, in percent.
        member: it is one of the ensemble's seven networks.
        aim: what an ablation is meant to raise, and is judged by.
        beyond: what an ablation learns from that the others do not have; it stands apart.
    """

    recipe: str
    title: str
    group: Group
    row: int | None = None
    baseline: str | None = None
    paper_stage1: float | None = None
    paper_final: float | None = None
    member: bool = False
    aim: Aim = "accuracy"
    beyond: str = ""


PAPER_ENSEMBLE = 76.01
"""The paper's ensemble of rows 1, 2, 3, 5, 6, 7 and 10; it was selected on the test split."""

_ROWS = (
    Experiment("cnn5", "5-layer CNN + unsharp mask", "paper", 1, "cnn5-plain", None, 69.6, True),
    Experiment("resnet50", "ResNet-50", "paper", 2, None, 72.8, 73.8, True),
    Experiment(
        "resnet50-weighted", "ResNet-50 + class weights", "paper", 3, "resnet50", None, 73.4, True
    ),
    Experiment("resnet50-unsharp", "ResNet-50 + unsharp mask", "paper", 4, "resnet50", None, 73.3),
    Experiment(
        "resnet50-equalize",
        "ResNet-50 + histogram equalization",
        "paper",
        5,
        "resnet50",
        None,
        72.4,
        True,
    ),
    Experiment("senet50", "SENet-50", "paper", 6, None, 70.02, 73.3, True),
    Experiment(
        "senet50-weighted", "SENet-50 + class weights", "paper", 7, "senet50", None, 72.4, True
    ),
    Experiment("vgg16", "VGG-16", "paper", 8, None, 69.5, 71.2),
    Experiment("vgg16-weighted", "VGG-16 + class weights", "paper", 9, "vgg16", None, 70.9),
    Experiment("facenet", "FaceNet", "paper", 10, None, 70.2, 70.8, True),
)


def _from_scratch(row: Experiment) -> Experiment:
    return Experiment(
        recipe=f"{row.recipe}-scratch",
        title=f"{row.title}, from scratch",
        group="scratch",
        row=row.row,
        baseline=f"{row.baseline}-scratch" if row.baseline else None,
        paper_final=row.paper_final,
        member=row.member,
    )


_FILTERS = {
    "unsharp-50": "unsharp mask, 50 percent",
    "unsharp": "unsharp mask, 150 percent",
    "unsharp-300": "unsharp mask, 300 percent",
    "gaussian": "Gaussian smoothing",
    "high-pass": "Gaussian high-pass",
    "equalize": "histogram equalization",
    "adaptive": "adaptive equalization",
    "clahe": "CLAHE",
}


def _road_map(network: str, plain: str, title: str, group: Group) -> tuple[Experiment, ...]:
    return (
        Experiment(plain, f"{title}, augmentation, no filter", group),
        Experiment(
            f"{network}-no-augmentation",
            f"{title}, no augmentation, no filter",
            group,
            baseline=plain,
        ),
        *(
            Experiment(f"{network}-{name}", f"{title} + {what}", group, baseline=plain)
            for name, what in _FILTERS.items()
            if (network, name) != ("cnn5", "unsharp")  # that is row 1
        ),
    )


_ABLATIONS = {
    "label-smoothing": "label smoothing 0.1",
    "mixup": "mixup, alpha 0.2",
    "cutmix": "CutMix, alpha 1",
    "erasing": "random erasing, a quarter",
    "elastic": "elastic distortions, 5 %",
    "dropout": "dropout 0.2",
    "ema": "moving average, decay 0.99",
    "sam": "SAM, radius 0.05",
    "sgd": "SGD instead of Muon",
    "progressive": "progressive resizing",
    "logit-adjustment": "logit adjustment, tau 1",
    "class-weights": "class weights",
    "clean": "cleaned by the audit",
    "distillation": "distillation, half labels",
    "votes": "FER+ votes as targets",
}
_FOR_RARE_CLASSES = ("logit-adjustment", "class-weights")
_BEYOND = {
    "distillation": "a teacher's predictions, which may know more images than the base has",
    "votes": "ten annotators' votes on each image",
}


def _ablations() -> tuple[Experiment, ...]:
    return (
        Experiment("ablation", "the base", "ablations"),
        *(
            Experiment(
                f"ablation-{name}",
                what,
                "ablations",
                baseline="ablation",
                aim="balanced accuracy" if name in _FOR_RARE_CLASSES else "accuracy",
                beyond=_BEYOND.get(name, ""),
            )
            for name, what in _ABLATIONS.items()
        ),
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    *_ROWS,
    # Row 1 is from scratch itself.
    *(_from_scratch(row) for row in _ROWS if row.row != 1),
    *_road_map("cnn5", "cnn5-plain", "5-layer CNN", "filters"),
    *_road_map("foldnet-micro", "foldnet-micro", "FoldNet-micro", "stand-in"),
    *_ablations(),
)


def select(names: tuple[str, ...]) -> tuple[Experiment, ...]:
    """Return experiments by names of recipes or groups, in the plan's order; all for no name.

    Raises:
        MienError: there is no such recipe or group in the plan.
    """
    known = [*GROUPS, *(experiment.recipe for experiment in EXPERIMENTS)]
    for name in names:
        if name not in known:
            raise MienError(f"the plan has no experiment {name!r}", hint=nearest(name, known))
    return tuple(e for e in EXPERIMENTS if not names or e.recipe in names or e.group in names)


def run_name(recipe: str, seed: int) -> str:
    """Return the name of a run's folder in the folder of all runs."""
    return f"{recipe}-seed{seed}"
