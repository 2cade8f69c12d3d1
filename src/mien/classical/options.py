"""What a recipe of the kind "features" says: `model.options`, typed and validated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from mien.errors import MienError, nearest
from mien.training.differences import differences
from mien.training.recipe import FEATURES, Recipe, Section

Feature = Literal["hog", "lbp", "landmarks", "embedding", "outputs"]

# Keys that mean something here; whatever else a recipe says about training is for networks.
_HEEDED = (
    "model.name",
    "model.options",
    "input",
    "loss.class_weights",
    "training.epochs",
    "training.exclude",
    "training.images",
    "training.seed",
    "training.train_split",
    "training.validation_split",
)


def _listed(value: Any) -> Any:
    """Let one value stand for a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


_Numbers = Annotated[
    tuple[Annotated[float, Field(gt=0)], ...], BeforeValidator(_listed), Field(min_length=1)
]
_Counts = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_listed), Field(min_length=1)
]


class Features(Section):
    """Which features are taken and what classifies them.

    Attributes:
        features: one or more, set side by side. `hog`: histograms of oriented gradients;
            `lbp`: histograms of local binary patterns; `landmarks`: the geometry of points in
            the face; `embedding`: what the last layer of a trained network sees; `outputs`: the
            seven probabilities of a trained network.
        classifier: `svm`: a linear SVM for each emotion against the rest, squared hinge loss;
            `knn`: the nearest training images vote; `clusters`: k-means, each cluster takes the
            majority of its training images.
        kernel: of `svm`; `rbf` is approximated (Nyström).
        c: of `svm`, the values tried on the validation split; one or a list.
        components: of `rbf`, how many training images its approximation is made of.
        gamma: of `rbf`; 0 is 1 / (number of features · their variance).
        neighbors: of `knn`, the numbers tried; one or a list.
        clusters: of `clusters`, the numbers tried; one or a list.
        scaling: of the features: `standard` (mean 0 and variance 1 on the training split),
            `length` (each image's features have the length 1), `none`.
        registration: `eyes` turns and scales each image so that the eyes lie level at fixed
            places before anything is taken from it; `none` leaves it as it is.
        landmarks: the path of YuNet's .onnx, which finds five points in a face; empty: the eyes
            are found by OpenCV's Haar cascade.
        network: the folder of the run whose network gives `embedding` or `outputs`.
        hog_cell: side of a cell of `hog` in pixels; must divide `input.size`.
        hog_bins: directions of a cell of `hog`.
        lbp_radius: of `lbp`, in pixels.
        lbp_grid: `lbp` takes a histogram of each of grid × grid parts of the image.
    """

    features: Annotated[tuple[Feature, ...], BeforeValidator(_listed), Field(min_length=1)]
    classifier: Literal["svm", "knn", "clusters"] = "svm"
    kernel: Literal["linear", "rbf"] = "linear"
    c: _Numbers = (1e-5, 1e-4, 1e-3)
    components: int = Field(1000, ge=2)
    gamma: float = Field(0.0, ge=0)
    neighbors: _Counts = (5, 15, 45)
    clusters: _Counts = (7, 50, 200)
    scaling: Literal["standard", "length", "none"] = "standard"
    registration: Literal["none", "eyes"] = "none"
    landmarks: str = ""
    network: str = ""
    hog_cell: int = Field(8, ge=2)
    hog_bins: int = Field(9, ge=2)
    lbp_radius: int = Field(1, ge=1)
    lbp_grid: int = Field(6, ge=1)

    @property
    def uses_network(self) -> bool:
        """Whether a trained network gives some of the features."""
        return "embedding" in self.features or "outputs" in self.features

    @property
    def uses_points(self) -> bool:
        """Whether points must be found in the faces."""
        return "landmarks" in self.features or self.registration == "eyes"

    @property
    def grid(self) -> tuple[str, tuple[float, ...]]:
        """The key whose values are tried on the validation split, and the values."""
        key = {"svm": "c", "knn": "neighbors", "clusters": "clusters"}[self.classifier]
        return key, getattr(self, key)

    @model_validator(mode="after")
    def _whole(self) -> Features:
        if len(set(self.features)) < len(self.features):
            raise ValueError("features names a feature twice")
        if self.uses_network and not self.network:
            raise ValueError(
                "embedding and outputs come from a trained network: name its run with network, "
                "such as --set model.options.network=runs/foldnet"
            )
        if self.network and not self.uses_network:
            raise ValueError("network is only for the features embedding and outputs")
        return self


def is_classical(recipe: Recipe) -> bool:
    """Say whether a recipe trains a classifier on features and no network."""
    return recipe.model.name == FEATURES


def options_of(recipe: Recipe) -> Features:
    """Return the options of a recipe of this kind.

    Raises:
        MienError: naming each key that is unknown or has a wrong value, or that only means
            something for networks.
    """
    try:
        options = Features.model_validate(recipe.model.options)
    except ValidationError as error:
        lines = "\n  ".join(_explain(problem) for problem in error.errors())
        raise MienError(f"the recipe is wrong:\n  {lines}") from error
    cells, rest = divmod(recipe.input.size, options.hog_cell)
    if "hog" in options.features and (rest or cells < 2):
        raise MienError(
            f"hog takes whole cells, at least 2 × 2: {recipe.input.size} pixels are not made of "
            f"cells of {options.hog_cell}",
            hint="change input.size or model.options.hog_cell",
        )
    if "lbp" in options.features and options.lbp_grid > recipe.input.size:
        raise MienError("model.options.lbp_grid is larger than input.size")
    if options.classifier != "svm" and recipe.loss.class_weights != "none":
        raise MienError(
            f"loss.class_weights: means nothing to the classifier {options.classifier!r}",
            hint="take it out, or train an SVM: model.options.classifier=svm",
        )
    plain = Recipe(summary="", model=recipe.model.model_copy(update={"weights": ""}))
    for key in (each.key for each in differences(recipe, plain)):
        if not any(key == heeded or key.startswith(heeded + ".") for heeded in _HEEDED):
            raise MienError(
                f"{key}: means nothing where model.name is {FEATURES!r}",
                hint="take it out; a classifier on features is fitted, not trained in epochs",
            )
    return options


def _explain(problem: Any) -> str:
    key = ".".join(("model.options", *map(str, problem["loc"])))
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(problem["loc"][-1]), Features.model_fields)
        return f"{key}: there is no such key; {hint}"
    if problem["type"] == "missing":
        return f"{key}: is missing"
    message = problem["msg"].removeprefix("Value error, ")
    shown = f", got {problem['input']!r}" if problem["loc"] else ""
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"
