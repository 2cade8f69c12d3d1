"""The recipe: everything that decides what a training run does, typed and validated.

A recipe is a TOML file. Those of the package are found by name, others by path. Every key has a
default but `summary` and `model.name`; an unknown key is refused with the nearest known one. A file
whose `base` names another recipe holds only what differs from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mien.errors import MienError, nearest
from mien.images.augment import Augmentation
from mien.images.preprocessing import FilterSpec, Place, Preprocessing
from mien.training.recipe_toml import names as names
from mien.training.recipe_toml import override, read

Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0)]


FEATURES = "features"
"""The `model.name` of what is no network: a classifier on features (`mien.classical`)."""


class Section(BaseModel):
    """A table of a recipe: immutable, and without keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Section):
    """Which architecture is trained.

    Attributes:
        name: a name in the registry (`mien.models`).
        weights: imported weights for its backbone (see `mien weights`), or the folder of a run of
            the same network, whose best weights are taken whole; empty starts from nothing.
        options: what that architecture takes beside size, channels and classes.
    """

    name: str
    weights: str = ""
    options: dict[str, Any] = {}

    @field_validator("options")
    @classmethod
    def _own(cls, options: dict[str, Any]) -> dict[str, Any]:
        if told := sorted(options.keys() & {"name", "size", "channels", "classes"}):
            raise ValueError(f"{told[0]} is no option: model.name and [input] decide it")
        return options


class Filter(Section):
    """A filter in front of the network.

    Attributes:
        name: a filter of `mien.images.filters`.
        place: before or after resizing, or after augmentation.
        options: the filter's own options, such as `radius`.
    """

    name: str
    place: Place = "after_resize"
    options: dict[str, float] = {}


class Input(Section):
    """What the network sees.

    Attributes:
        size: side in pixels.
        color: three channels instead of one.
        filter: a filter and its place.
    """

    size: int = Field(48, ge=8, le=1024)
    color: bool = False
    filter: Filter | None = None

    def preprocessing(self) -> Preprocessing:
        """Return the preprocessing that training, evaluation and the exported model share."""
        spec = None
        if self.filter is not None:
            spec = FilterSpec(self.filter.name, self.filter.place, self.filter.options)
        return Preprocessing(size=self.size, color=self.color, filter=spec)


class Optimizer(Section):
    """How weights are changed.

    Attributes:
        name: `sgd`, `adam`, `adamw`, or `muon` (Jordan et al. 2024: orthogonalized momentum for
            convolutions; the rest is left to SGD with the fixed rate 0.1, momentum 0.9 and L2
            term 0.0005, on the same schedule).
        learning_rate: the peak; for `muon`, that of the convolutions.
        momentum: of `sgd` (Nesterov's) and of `muon`'s convolutions.
        weight_decay: of `sgd` and `adam` as an L2 term, of `adamw` and `muon`'s convolutions
            decoupled.
        sam: how far the weights are moved uphill before the gradient is taken (Foret et al.
            2021, sharpness-aware minimization); a step takes twice as long; 0 is off.
    """

    name: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    learning_rate: Rate = 0.1
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    sam: float = Field(0.0, ge=0)


class Schedule(Section):
    """How the learning rate goes.

    Attributes:
        name: `constant`; `plateau` (times `factor` after `patience` epochs without a better
            validation accuracy, Keras's ReduceLROnPlateau); `one-cycle` (linear up for the
            `warmup` fraction of the run, then linear down to zero); `cosine` (the same with a
            cosine down).
        factor: of `plateau`.
        patience: of `plateau`, epochs.
        warmup: of `one-cycle` and `cosine`, fraction of the stage.
        decay: Keras's time decay, on top of any schedule: the rate is divided by
            1 + decay · step, steps counted from the start of the stage.
    """

    name: Literal["constant", "plateau", "one-cycle", "cosine"] = "one-cycle"
    factor: float = Field(0.5, gt=0, lt=1)
    patience: int = Field(10, ge=1)
    warmup: Fraction = 0.2
    decay: float = Field(0.0, ge=0)


class Loss(Section):
    """What is made small.

    Attributes:
        name: `cross-entropy`; `focal` (Lin et al. 2017); `squared-hinge` (one against the rest,
            Tang 2013's L2-SVM); `weighted-cluster` (Ngo & Yoon 2020: weighted cross-entropy and
            a center loss over the distances between centers); `triplet` (Hermans et al. 2017,
            hardest of the batch, on embeddings of length 1).
        class_weights: `balanced` weighs each class by images / (7 · its images) of the training
            split, as scikit-learn does; `none` weighs all alike.
        targets: `labels`, or `votes` (the annotators' shares of FER+, where the data has them).
        gamma: of `focal`, how little easy images count.
        margin: of `triplet` and `squared-hinge`.
        cluster_weight: of `weighted-cluster`, the share of its center loss.
        logit_adjustment: of `cross-entropy`, tau times the logarithm of each class's share of the
            training images is added to its logit (Menon et al. 2021); the network then gives
            rare classes more; 0 is off, 1 aims at balanced accuracy.
    """

    name: Literal["cross-entropy", "focal", "squared-hinge", "weighted-cluster", "triplet"] = (
        "cross-entropy"
    )
    class_weights: Literal["none", "balanced"] = "none"
    targets: Literal["labels", "votes"] = "labels"
    gamma: float = Field(2.0, ge=0)
    margin: float = Field(1.0, gt=0)
    cluster_weight: float = Field(0.1, ge=0)
    logit_adjustment: float = Field(0.0, ge=0)


class SizeStep(Section):
    """From which fraction of the run on images are trained at which size.

    Attributes:
        start: fraction of the run.
        size: side in pixels.
    """

    start: Fraction
    size: int = Field(ge=8, le=1024)


class Training(Section):
    """The loop.

    Attributes:
        epochs: passes over the training split.
        batch_size: images a step, over all devices together.
        seed: of weights, order and augmentation; below 2³².
        label_smoothing: Szegedy et al. 2016.
        mixup: alpha of mixup (Zhang et al. 2018); 0 is off.
        cutmix: alpha of CutMix (Yun et al. 2019); 0 is off. With both, a batch gets one of them.
        distill: files of predictions for the training split, whose mean is a target beside the
            labels (Hinton et al. 2015); best are out-of-fold ones.
        distill_weight: the teachers' share of the target.
        distill_temperature: softens the teachers' probabilities.
        ema: decay of the moving average of the weights that is validated and kept; 0 is off.
        sizes: progressive resizing (smaller images first); empty trains at `input.size`.
        early_stopping: end after so many epochs without a better validation accuracy; 0 is off.
        images: train on only so many images, drawn by the seed, classes in proportion; 0 is all.
        exclude: exclusion lists (`mien data audit`), whose images of the training split are not
            trained on.
        source_weights: how often an image of a source of a mixed data set is drawn, by the
            source's name, against 1 for the others (see `mien data mix`).
        train_split: the split that is trained on.
        validation_split: the split that chooses the best epoch and drives `plateau`.
    """

    epochs: int = Field(40, ge=1)
    batch_size: int = Field(128, ge=1)
    seed: int = Field(0, ge=0, lt=2**32)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0)
    cutmix: float = Field(0.0, ge=0)
    distill: tuple[str, ...] = ()
    distill_weight: Fraction = 0.5
    distill_temperature: Rate = 1.0
    ema: float = Field(0.0, ge=0, lt=1)
    sizes: tuple[SizeStep, ...] = ()
    early_stopping: int = Field(0, ge=0)
    images: int = Field(0, ge=0)
    exclude: tuple[str, ...] = ()
    source_weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    train_split: str = "train"
    validation_split: str = "validation"

    def size_at(self, fraction: float, default: int) -> int:
        """Return the side of training images at a fraction of the run."""
        sizes = [step.size for step in self.sizes if step.start <= fraction]
        return sizes[-1] if sizes else default

    @model_validator(mode="after")
    def _ordered(self) -> Training:
        starts = [step.start for step in self.sizes]
        if starts != sorted(starts):
            raise ValueError("sizes must be ordered by their start")
        return self


class Stage(Section):
    """A part of the run with its own frozen layers; what is not said here is the recipe's.

    Attributes:
        name: what histories and logs call it.
        freeze: what stays as it is. `nothing`; `all-but-norms`: the backbone but for its batch
            normalizations, whose statistics and affine parameters adapt; `backbone`: only the
            head learns; or a published layer's name: all that comes before that layer.
        epochs: passes over the training split; 0 takes `training.epochs`.
        early_stopping: as `training.early_stopping`, counted within the stage.
        optimizer: as `[optimizer]`.
        schedule: as `[schedule]`.
        augmentation: as `[augmentation]`.
        class_weights: as `loss.class_weights`.
    """

    name: str
    freeze: str = "nothing"
    epochs: int = Field(0, ge=0)
    early_stopping: int | None = Field(None, ge=0)
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    augmentation: Augmentation | None = None
    class_weights: Literal["none", "balanced"] | None = None


class Recipe(Section):
    """A whole recipe.

    Attributes:
        summary: one line for `mien recipes`.
        notes: where a choice comes from; the paper's section, or that it is ours.
        stages: the parts of the run, one after another, each from the best weights of the one
            before; empty is one stage in which everything learns.
    """

    summary: str
    notes: str = ""
    model: Model
    input: Input = Input()
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    training: Training = Training()
    stages: tuple[Stage, ...] = ()


def load(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """Return a recipe by name or path, with keys overridden.

    Args:
        name: a name in `names()`, or the path of a TOML file.
        overrides: texts such as "training.epochs=3"; the value is read as TOML, or as text where
            it is no TOML. An empty value ("input.filter=") takes the key out of the recipe. Stages
            are counted from 1: "stages.1.epochs=5".

    Raises:
        MienError: there is no such recipe, it is no TOML, or a key or value is wrong.
    """
    table = read(name)
    for text in overrides:
        override(table, text)
    return validate(table, name)


def validate(table: Mapping[str, Any], name: str) -> Recipe:
    """Return the recipe that a parsed TOML table holds.

    Raises:
        MienError: naming each key that is unknown or has a wrong value.
    """
    try:
        recipe = Recipe.model_validate(table)
        recipe.input.preprocessing()
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise MienError(f"the recipe {name} is wrong:\n  " + "\n  ".join(lines)) from error
    return recipe


def _explain(problem: Any) -> str:
    # Rows of a list are counted from 1, as --set does.
    location = [str(part + 1 if isinstance(part, int) else part) for part in problem["loc"]]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        section: Any = Recipe
        for part in (str(part) for part in problem["loc"][:-1] if not isinstance(part, int)):
            field = section.model_fields.get(part) if hasattr(section, "model_fields") else None
            section = section_of(field.annotation) if field is not None else None
        known = list(section.model_fields) if section is not None else []
        return f"{key}: there is no such key; {nearest(location[-1], known)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{key}: is missing"
    return f"{key}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the table of a recipe that a field's annotation stands for, or None."""
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def to_table(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain values, all defaults written out, None left out."""
    return recipe.model_dump(exclude_none=True, mode="json")
