"""An ensemble as one ONNX file: the members' graphs side by side, the combiner behind them.

An exported model has one preprocessing. Where the members' differ in nothing but filters that can
be written into a graph exactly, the filters go there. Sizes and colors cannot: a picture that was
resized twice is not the picture that the member was trained on, so such an ensemble is refused.
"""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor, nn

from mien.emotions import EMOTIONS
from mien.errors import MienError
from mien.evaluation.calibration import Calibration
from mien.evaluation.ensemble_folder import FILE, EnsembleFolder, Member
from mien.evaluation.predict import Classifier, EnsembleClassifier
from mien.export.combining import combining
from mien.export.graph import Graph
from mien.export.onnx import export_run, figures, save, to_onnx
from mien.images.device import device_filter
from mien.images.filters import options_of
from mien.images.preprocessing import FilterSpec, Place, Preprocessing
from mien.training.run import Run, TorchClassifier
from mien.version import __version__

# Filters in integers and comparisons alone, whose graphs give every gray level as the filter does.
GRAPH_FILTERS = ("unsharp_mask", "median")
_LARGEST = 2**31 - 1  # bytes of an ONNX file without others beside it


def export_ensemble(
    folder: Path | str,
    classifier: EnsembleClassifier,
    target: Path | str,
    facts: Mapping[str, Any] | None = None,
    calibration: Calibration | None = None,
) -> float:
    """Write an ensemble as ONNX and check the file against its members as they are.

    Args:
        folder: the ensemble's.
        classifier: the ensemble, opened.
        target: the `.onnx` to write, whole or not at all.
        facts: what the provenance holds beside what the ensemble knows.
        calibration: of the ensemble as a whole; its members are taken as they are.

    Returns:
        The largest difference of a probability between file and ensemble on random images.

    Raises:
        MienError: the members' preprocessing cannot be one, a member cannot be exported, or the
            file does not compute what the ensemble computes.
    """
    ensemble = EnsembleFolder.load(folder)
    preprocessing = _shared(ensemble.members, classifier.members)
    with tempfile.TemporaryDirectory() as scratch:
        models = [
            _member_model(member, opened, Path(scratch, f"{number}.onnx"))
            for number, (member, opened) in enumerate(
                zip(ensemble.members, classifier.members, strict=True)
            )
        ]
    if sum(model.ByteSize() for model in models) > _LARGEST:
        raise MienError(
            f"the {len(models)} members are larger together than the 2 GB of an ONNX file",
            hint="combine fewer members, or smaller ones",
        )
    provenance = {
        "name": Path(folder).resolve().name,
        "summary": f"ensemble of {len(models)} by {ensemble.combiner.method}",
        "architecture": "ensemble",
        "mien": __version__,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "ensemble": ensemble.combiner.to_dict(),
        "fitted": ensemble.fitted,
        "members": [
            {
                "title": member.title,
                "sha256": member.sha256,
                "provenance": _metadata(model).get("mien.provenance", {}),
            }
            for member, model in zip(ensemble.members, models, strict=True)
        ],
        **(facts or {}),
    }
    joined = _joined(ensemble, models, preprocessing)
    return save(joined, classifier, preprocessing, provenance, target, calibration)


def measured(folder: Path, calibration: Calibration | None) -> dict[str, Any]:
    """Return the figures of an ensemble's own predictions for validation, as provenance.

    They are those that `mien ensemble` or `mien evaluate` wrote; nothing where there are none, or
    where the combiner is fitted to that split and they would flatter.
    """
    fitted = EnsembleFolder.load(folder).fitted
    if fitted is not None and fitted.get("split") == "validation":
        return {}
    return figures(folder, "validation", folder / FILE, calibration)


def _shared(members: Sequence[Member], classifiers: Sequence[Classifier]) -> Preprocessing:
    """Return the preprocessing of the one file.

    Raises:
        MienError: there is none; the message names what each member takes.
    """
    taken = _taken(members, classifiers)
    first = taken[0][1]
    if all(each == first for _, each in taken):
        return first
    specs = [each.filter for _, each in taken if each.filter is not None]
    inside = all(spec.name in GRAPH_FILTERS and spec.place == "after_resize" for spec in specs)
    plain = replace(first, filter=None)
    if inside and all(replace(each, filter=None) == plain for _, each in taken):
        return plain
    raise MienError(
        "the members do not see the same images, and one file has one preprocessing: "
        + "; ".join(dict.fromkeys(f"{title} takes {_spoken(each)}" for title, each in taken)),
        hint="members of one size and color can be exported together, with the same filter or with "
        f"{' or '.join(GRAPH_FILTERS)} after resizing; mien evaluate takes any",
    )


def _taken(
    members: Sequence[Member], classifiers: Sequence[Classifier]
) -> list[tuple[str, Preprocessing]]:
    """Return the title of each network among the members, and what its images go through."""
    taken = []
    for member, classifier in zip(members, classifiers, strict=True):
        preprocessing = classifier.preprocessing
        if isinstance(classifier, EnsembleClassifier):
            inner = EnsembleFolder.load(member.source).members
            taken += _taken(inner, classifier.members)
        elif isinstance(preprocessing, Preprocessing) and (
            isinstance(classifier, TorchClassifier) or member.source.is_file()
        ):
            taken.append((member.title, _at_inference(preprocessing)))
        else:
            raise MienError(
                f"the member {member.title} is no network, and only networks can be exported",
                hint="mien evaluate takes the ensemble's folder as it is",
            )
    return taken


def _at_inference(preprocessing: Preprocessing) -> Preprocessing:
    """Write a filter's defaults out; without augmentation, after it is after resizing."""
    spec = preprocessing.filter
    if spec is None:
        return preprocessing
    place: Place = "before_resize" if spec.place == "before_resize" else "after_resize"
    options = {**options_of(spec.name), **spec.options}
    given = {key: value for key, value in options.items() if value is not None}
    return replace(preprocessing, filter=FilterSpec(spec.name, place, given))


def _spoken(preprocessing: Preprocessing) -> str:
    spec = preprocessing.filter
    seen = f"{'color' if preprocessing.color else 'gray'}, {preprocessing.size} pixels"
    if spec is None:
        return f"{seen}, no filter"
    options = "".join(f", {key} {value:g}" for key, value in sorted(spec.options.items()))
    return f"{seen}, {spec.name} {spec.place.replace('_', ' ')}{options}"


def _member_model(member: Member, classifier: Classifier, scratch: Path) -> ModelProto:
    """Return a member as an exported model."""
    if not member.source.is_dir():
        return onnx.load(member.source)
    try:
        if isinstance(classifier, EnsembleClassifier):
            export_ensemble(member.source, classifier, scratch)
        else:
            export_run(Run(member.source), scratch)
    except MienError as error:
        raise MienError(
            f"the member {member.title} cannot be exported: {error.message}", hint=error.hint
        ) from error
    return onnx.load(scratch)


def _metadata(model: ModelProto) -> dict[str, Any]:
    """Return what mien wrote into a model, as JSON values by their keys."""
    ours = [entry for entry in model.metadata_props if entry.key.startswith("mien.")]
    return {entry.key: json.loads(entry.value) for entry in ours}


def _joined(
    ensemble: EnsembleFolder, models: Sequence[ModelProto], preprocessing: Preprocessing
) -> ModelProto:
    """Return one graph: images to every member, and their answers to the combiner."""
    filters = [_filter_before(model, preprocessing) for model in models]
    graph = Graph([*models, *filter(None, filters)])
    answers = []
    for number, (model, before) in enumerate(zip(models, filters, strict=True)):
        images = "images"
        if before is not None:
            images = graph.include(before, f"filter{number}/", images)
        answer = graph.include(model, f"member{number}/", images)
        # Another order of the emotions than ours is put right.
        labels = _metadata(model)["mien.labels"]
        columns = np.array([labels.index(emotion) for emotion in EMOTIONS], np.int64)
        graph.constants.append(numpy_helper.from_array(columns, f"member{number}/columns"))
        inputs = [answer, graph.constants[-1].name]
        answers.append(f"member{number}/answer")
        graph.nodes.append(helper.make_node("Gather", inputs, [answers[-1]], answers[-1], axis=1))
    nodes, constants = combining(ensemble.combiner, answers, "probabilities")
    graph.nodes += nodes
    graph.constants += constants
    return graph.model(_shape(preprocessing))


def _filter_before(model: ModelProto, preprocessing: Preprocessing) -> ModelProto | None:
    """Return the filter that a member's images need after the shared preprocessing."""
    own = _at_inference(Preprocessing.from_dict(_metadata(model)["mien.preprocessing"]))
    if own.filter is None or own == preprocessing:
        return None
    return to_onnx(_Filtering(own.filter), _shape(preprocessing), ("images", "filtered"))


class _Filtering(nn.Module):
    """uint8 N×H×W or N×H×W×3 → the same, filtered."""

    def __init__(self, spec: FilterSpec) -> None:
        super().__init__()
        self.filter = device_filter(spec)

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim == 3:
            return self.filter(images.float().unsqueeze(1)).squeeze(1).to(torch.uint8)
        planes = images.float().permute(0, 3, 1, 2)
        return self.filter(planes).permute(0, 2, 3, 1).to(torch.uint8)


def _shape(preprocessing: Preprocessing) -> tuple[int, ...]:
    size = preprocessing.size
    return (size, size, 3) if preprocessing.color else (size, size)
