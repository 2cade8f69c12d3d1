"""`mien filters`: what the filters and the augmentation do to a picture, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.cli.common import Output, check_picture_name, verb_options

if TYPE_CHECKING:
    from mien.images.batches import Images
    from mien.images.sheet import Picture

AUGMENTED = 32
"""How many versions `--augment` shows, as the paper's Figure 2."""


@click.command(short_help="Show what the filters do to a picture, side by side.")
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The sheet; the format is chosen by the name (.png, .jpg, .webp).",
)
@click.option(
    "--filter",
    "names",
    metavar="NAME",
    multiple=True,
    help="Show this filter only; may be given several times.",
)
@click.option(
    "--size",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Make the picture N×N pixels first, as it is done for a network.",
)
@click.option("--color", is_flag=True, help="Filter the colors, not a gray picture.")
@click.option(
    "--augment", is_flag=True, help=f"Show {AUGMENTED} augmented versions instead of the filters."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="N",
    default=0,
    show_default=True,
    help="Which versions --augment draws.",
)
@verb_options
def filters(
    output: Output,
    photo: Path,
    out: Path,
    names: tuple[str, ...],
    size: int | None,
    color: bool,
    augment: bool,
    seed: int,
) -> None:
    """Show PHOTO and what each filter makes of it, with its default options, on one sheet.

    The picture is turned gray, as FER2013 is. One that is larger than a tile of the sheet is
    reduced to it before it is filtered, so that the sheet shows the pixels that the filters made.

    \b
    Filters: unsharp_mask, equalize_hist, clahe, adaptive_equalize, gaussian, median, high_pass

    With --augment the sheet shows 32 augmented versions of one face as training sees them: turned
    by up to 10 degrees, shifted and zoomed by up to a tenth, half of them mirrored, at 48×48
    pixels unless --size says otherwise. It needs torch (pip install "mien[train]").

    \b
    Examples:
      mien filters face.png --out sheet.png
      mien filters photo.jpg --size 48 --filter unsharp_mask --filter clahe --out sheet.png
      mien filters face.png --augment --seed 1 --out augmented.png
    """
    from mien.files import atomic_path
    from mien.images.sheet import contact_sheet

    if augment and names:
        raise click.UsageError("--augment and --filter exclude each other")
    check_picture_name(out)
    original = _read(photo, color=color, size=48 if augment and size is None else size)
    height, width = original.shape[:2]
    if augment:
        pictures, columns, tile = _augmented(original, seed), 8, 144
        subtitle = (
            f"{AUGMENTED} augmented versions of {width} by {height} pixels: "
            f"rotation 10°, shift 0.1, zoom 0.1, flip; seed {seed}"
        )
    else:
        pictures, columns, tile = _filtered(original, names), 4, 256
        subtitle = f"{width} by {height} pixels"
    sheet = contact_sheet(pictures, title=photo.name, subtitle=subtitle, columns=columns, tile=tile)
    with atomic_path(out) as temporary:
        sheet.save(temporary)
    output.note(f"wrote {out}")


def _read(photo: Path, *, color: bool, size: int | None) -> Images:
    """Return a photo as H×W or H×W×3, no larger than a tile where no size is asked for."""
    import numpy as np
    from PIL import Image

    from mien.errors import MienError
    from mien.images.decode import UnreadableError, decode_whole
    from mien.images.preprocessing import Preprocessing
    from mien.images.sheet import TILE

    try:
        image = decode_whole(photo, color=color)
    except UnreadableError as error:
        raise MienError(f"{photo} cannot be read: {error}") from error
    if size is not None:
        resized: Images = Preprocessing(size=size, color=color)([image])[0]
        return resized
    reduced = Image.fromarray(image)
    reduced.thumbnail((TILE, TILE))
    return np.asarray(reduced)


def _filtered(original: Images, names: tuple[str, ...]) -> list[Picture]:
    from mien.images.filters import FILTERS, options_of
    from mien.images.preprocessing import FilterSpec
    from mien.images.sheet import Picture

    pictures = [Picture(original, "original")]
    for name in dict.fromkeys(names or FILTERS):
        image = FilterSpec(name)(original)
        options = (
            f"{key} {value:g}" for key, value in options_of(name).items() if value is not None
        )
        pictures.append(Picture(image, name, ", ".join(options)))
    return pictures


def _augmented(original: Images, seed: int) -> list[Picture]:
    """Return augmented versions with the settings of Khanzada et al., which the paper follows."""
    from mien.errors import missing_extra
    from mien.images.sheet import Picture

    try:
        import torch
    except ModuleNotFoundError as error:
        raise missing_extra("--augment", "train") from error
    from mien.images.augment import Augmentation, augment

    image = torch.from_numpy(original.copy())
    image = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
    batch = image.float().expand(AUGMENTED, *image.shape)
    settings = Augmentation(rotation=10.0, shift=0.1, zoom=0.1, flip=True)
    versions = augment(batch, settings, torch.Generator().manual_seed(seed))
    arrays = versions.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return [Picture(version[..., 0] if len(image) == 1 else version) for version in arrays]
