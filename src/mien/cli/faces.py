"""What all verbs that recognize faces share: the options for it, and the recognizer from them."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mien.cli.common import Output, needs

if TYPE_CHECKING:
    from mien.recognition.recognizer import Recognizer

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--model",
        metavar="PATH|NAME",
        help="An exported model, the name of one that comes with mien (see mien models), or the "
        "folder of a run or an ensemble, which is exported for this once.",
    ),
    click.option(
        "--detector",
        metavar="NAME|PATH",
        default="auto",
        show_default=True,
        help="haar, yunet, the path of YuNet's .onnx file, or auto: YuNet if mien weights has it, "
        "else haar.",
    ),
    click.option(
        "--min-size",
        metavar="PIXELS",
        type=click.FloatRange(min=0),
        default=0,
        show_default=True,
        help="Leave out faces whose longer side is shorter.",
    ),
    click.option(
        "--min-confidence",
        metavar="SCORE",
        type=click.FloatRange(0, 1),
        help="The detector's score from which on a face counts; 0.7 for yunet and 0.5 for haar by "
        "default.",
    ),
    click.option(
        "--margin",
        metavar="FACTOR",
        type=click.FloatRange(0.1, 4),
        default=1.0,
        show_default=True,
        help="What is cut out, by the longer side of the box; 1 is what models are trained on.",
    ),
    click.option(
        "--search-side",
        metavar="PIXELS",
        type=click.IntRange(min=160),
        help="The longer side at which a picture is searched; smaller is faster and misses smaller "
        "faces. By default up to 1024 for photos and 480 for videos.",
    ),
    click.option("--largest", is_flag=True, help="Take only the largest face of a picture."),
    click.option(
        "--align",
        is_flag=True,
        help="Turn each face until its eyes are level, where the detector knows the eyes.",
    ),
    click.option(
        "--uncertain-below",
        metavar="SCORE",
        type=click.FloatRange(0, 1),
        default=0.5,
        show_default=True,
        help="Call a face uncertain whose likeliest emotion has a lower probability.",
    ),
)


def face_options(function: _Function) -> _Function:
    """Add the options for faces to a verb and pass it a `Recognizer` maker as `recognizer`.

    It takes an `Output`, where it notes which detector would be better, and whether one is used.
    """

    @functools.wraps(function)
    def verb(
        *arguments: Any,
        model: str | None,
        detector: str,
        min_size: float,
        min_confidence: float | None,
        margin: float,
        search_side: int | None,
        largest: bool,
        align: bool,
        uncertain_below: float,
        **options: Any,
    ) -> Any:
        def recognizer(
            output: Output, *, search: bool = True, default_side: int | None = None
        ) -> Recognizer:
            from mien.recognition.detectors import FaceOptions
            from mien.recognition.recognizer import Recognizer

            side = search_side or default_side
            faces = FaceOptions(min_size, min_confidence, margin, largest, align, side)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                made = Recognizer(
                    _file_of(output, model), detector, faces=faces, uncertain_below=uncertain_below
                )
            if search:
                for warning in caught:
                    output.note(str(warning.message))
            return made

        return function(*arguments, recognizer=recognizer, **options)

    wrapped: Callable[..., Any] = verb
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def _file_of(output: Output, model: str | None) -> str | None:
    """Return a model as it was given, or the file that a folder is exported to until the end."""
    if model is None or not Path(model).is_dir():
        return model
    needs("recognizing with a run or an ensemble", "train")
    from mien.cli.export import export_folder

    folder = click.get_current_context().with_resource(tempfile.TemporaryDirectory())
    target = str(Path(folder, f"{Path(model).resolve().name}.onnx"))
    output.note(f"exporting {model} for this once; mien export keeps it")
    export_folder(model, target)
    return target
