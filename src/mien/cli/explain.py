"""`mien explain`: where the network looked in a photo's faces, as a picture, table and JSON."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, check_picture_name, json_option, verb_options
from mien.cli.faces import face_options
from mien.errors import MienError

if TYPE_CHECKING:
    from mien.recognition.explain import Explanation
    from mien.recognition.recognizer import Recognizer


@click.command(
    short_help="Show where the network looked in a face.",
    epilog="""\b
Examples:
  mien explain photo.jpg                   writes photo-explained.png
  mien explain --sample --out sample.png   a photo that comes with mien
  mien explain group.jpg --face 2 --emotion neutral
  mien explain photo.jpg --model runs/foldnet
  mien explain crop.png --no-detect --json | jq '.faces[].thirds.lower'""",
)
@click.argument("photo", metavar="[PHOTO]", required=False)
@click.option("--sample", is_flag=True, help="Take the photo that comes with mien.")
@click.option(
    "--out",
    "target",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture to write.  [default: PHOTO-explained.png in this folder; with --json none]",
)
@click.option(
    "--face",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    help="Only this face, counted from the left as mien predict does.  [default: all]",
)
@click.option(
    "--emotion",
    metavar="NAME",
    help="The emotion whose probability is explained.  [default: each face's likeliest]",
)
@click.option(
    "--no-detect",
    is_flag=True,
    help="Take the picture as one face, cut out already; nothing is searched for.",
)
@face_options
@json_option
@verb_options
def explain(
    output: Output,
    photo: str | None,
    sample: bool,
    target: Path | None,
    face: int | None,
    emotion: str | None,
    no_detect: bool,
    recognizer: Callable[..., Recognizer],
    as_json: bool,
) -> None:
    """Show which parts of the faces in a PHOTO an emotion's probability depends on.

    Squares of three sizes are hidden one after the other, by blurring them, and the network is
    asked about each of those 665 images. Where that lowers the probability, the map is orange;
    where it raises it, blue. A drop of 30 points at the mouth says that the probability is 0.30
    lower, on average, when the mouth is among what is hidden. It does not say what the network
    takes the mouth for, nor what a person feels. See docs/explain.md.

    The table has the largest drop, and the mean drops in the upper, middle and lower third of the
    face, all in points.
    """
    from mien.images.decode import decode
    from mien.recognition.bundled import SAMPLE
    from mien.recognition.explain import explain

    if (photo is None) != sample:
        raise click.UsageError("name one photo, or try --sample")
    if target is not None:
        check_picture_name(target)
    source = str(SAMPLE) if photo is None else photo
    # Pillow warns of large and of slightly damaged pictures; what matters becomes an error.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    faces = recognizer(output, search=not no_detect)
    with output.progress("hiding parts") as progress:
        found = explain(
            source, faces, emotion=emotion, face=face, detect=not no_detect, progress=progress
        )
    if not found:
        raise MienError(
            f"there is no face in {source} that could be explained",
            hint="--no-detect takes the whole picture as a face",
        )
    if target is None and not as_json:
        target = Path(f"{Path(source).stem}-explained.png")
    if target is not None:
        from mien.files import atomic_path
        from mien.recognition.explain_picture import draw_explanations

        with atomic_path(target) as temporary:
            draw_explanations(decode(source), found).save(temporary)
    if as_json:
        model = faces.classifier.path.stem
        explained = [one.to_dict() for one in found]
        output.json({"image": source, "model": model, "faces": explained})
    else:
        _print(output, found)
    if target is not None:
        output.note(f"wrote {target}")


def _print(output: Output, found: Sequence[Explanation]) -> None:
    rows = []
    for one in found:
        drops = (float(one.drops.max()), *one.thirds)
        points = (str(round(100 * drop)) for drop in drops)
        rows.append((str(one.number), one.emotion, f"{one.probability:.0%}", *points))
    columns = (
        "face",
        "emotion",
        "probability",
        "largest drop (points)",
        "upper",
        "middle",
        "lower",
    )
    output.table(columns, rows, texts=2)
