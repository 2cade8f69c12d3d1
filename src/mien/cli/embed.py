"""`mien embed`: a network's embeddings of a split, what they tell apart, and their map."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError
from mien.files import sha256

if TYPE_CHECKING:
    from mien.data.cache import Dataset
    from mien.evaluation.embeddings import Embedder, Embeddings
    from mien.evaluation.map import Method

METHODS = {"tsne": "t-SNE", "pca": "PCA"}
REFERENCE = "train"


@click.command(
    short_help="Write a network's embeddings of a split and draw their map.",
    epilog="""\b
Examples:
  mien embed runs/cnn5 --data data/fer2013
  mien embed runs/cnn5 --data data/fer2013 --split test --method pca
  mien embed runs/cnn5 --data data/fer2013 --neighbors 0 --out cnn5.parquet --map cnn5.png""",
)
@click.argument("run", metavar="RUN")
@click.option(
    "--data",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="The prepared data set (see mien data prepare).",
)
@click.option("--split", default="validation", show_default=True, help="Which part of the data.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The embeddings, a .parquet file.  [default: RUN/embeddings/SPLIT.parquet]",
)
@click.option(
    "--map",
    "picture",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture of the map, a .png file.  [default: beside the Parquet file]",
)
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="tsne",
    show_default=True,
    help="How the map is made: tsne keeps neighbors together, pca shows the two directions in "
    "which the embeddings differ most.",
)
@click.option(
    "--points",
    type=click.IntRange(3, 20_000),
    default=2000,
    show_default=True,
    metavar="N",
    help="The map shows at most so many images, drawn at random with a fixed seed.",
)
@click.option(
    "--neighbors",
    type=click.IntRange(min=0),
    default=15,
    show_default=True,
    metavar="K",
    help="How many nearest images of the training split vote; 0 leaves this figure out, and with "
    "it the embedding of the training split.",
)
@json_option
@verb_options
def embed(
    output: Output,
    run: str,
    data: Path,
    split: str,
    out: Path | None,
    picture: Path | None,
    method: Method,
    points: int,
    neighbors: int,
    as_json: bool,
) -> None:
    """Write what the network of RUN makes of each image before its last layer, and draw a map.

    RUN is the folder of a training. Its network's embedding is what its head sees: of the paper's
    CNN 512 values an image, of ResNet-50 and SENet-50 2048.

    Writes a Parquet file (one row an image: name, label, embedding) and a picture in which each
    image is a point. Prints how well the embedding tells the emotions apart without the network's
    last layer: the accuracy of a vote among the nearest images of the training split (by the
    cosine), and how far seven clusters that k-means finds without labels are the seven emotions
    (adjusted Rand index and normalized mutual information: 1 the same, 0 no relation).
    """
    needs("embedding", "train")
    from mien.data.cache import load
    from mien.evaluation.map import draw_map, project

    for option, file, suffix in (("--out", out, ".parquet"), ("--map", picture, ".png")):
        if file is not None and file.suffix.lower() != suffix:
            raise click.UsageError(f"{option} writes a {suffix} file, not {file.name!r}")
    dataset = load(data)
    dataset.indices(split)  # a misspelled split is told before a network is loaded
    embedder, origin = _open(run)
    embeddings = _embed(output, embedder, dataset, split)
    embeddings = replace(embeddings, info=origin | dict(embeddings.info))
    files = {"embeddings": out or Path(run, "embeddings", f"{split}.parquet")}
    embeddings.save(files["embeddings"])
    figures = _measure(output, embedder, dataset, embeddings, neighbors)
    files["map"] = picture or files["embeddings"].with_suffix(".png")
    output.note("drawing the map")
    title = f"{origin['model']}, {split}, {METHODS[method]}"
    draw_map(project(embeddings, method, most=points), embeddings, files["map"], title=title)
    _present(output, embeddings, figures, files, as_json)


def _open(run: str) -> tuple[Embedder, dict[str, str]]:
    """Return what embeds, and by what it can be traced."""
    from mien.training.run import Run, load_classifier

    if not Path(run).is_dir():
        raise MienError(
            f"{run} is not the folder of a run, whose network makes the embeddings",
            hint="give a folder of mien train; an exported model gives probabilities only",
        )
    embedder = load_classifier(run)
    weights = Run(run).weights_file
    return embedder, {"model": Path(run).resolve().name, "model_sha256": sha256(weights)}


def _embed(output: Output, embedder: Embedder, dataset: Dataset, split: str) -> Embeddings:
    from mien.evaluation.embeddings import embed_split

    with output.progress(f"embedding {split}") as progress:
        return embed_split(embedder, dataset, split, progress=progress)


def _measure(
    output: Output,
    embedder: Embedder,
    dataset: Dataset,
    embeddings: Embeddings,
    k: int,
) -> dict[str, Any]:
    """Return the figures that the labels allow, None for the others."""
    from mien.emotions import EMOTIONS
    from mien.evaluation.structure import cluster, nearest_neighbors

    figures: dict[str, Any] = {"neighbors": None, "clusters": None}
    known = embeddings.labeled
    if k and known.any():
        if REFERENCE not in dataset.split_names:
            raise MienError(
                f"the data set has no split {REFERENCE!r} in which to look for neighbors",
                hint="leave the neighbors out with --neighbors 0",
            )
        same = embeddings.info["split"] == REFERENCE
        reference = embeddings if same else _embed(output, embedder, dataset, REFERENCE)
        with output.progress("looking for neighbors") as progress:
            votes = nearest_neighbors(reference, embeddings, k, progress=progress)
        right = votes.argmax(axis=1)[known] == embeddings.labels[known]
        figures["neighbors"] = {"k": k, "accuracy": float(right.mean())}
    if known.sum() >= len(EMOTIONS):
        figures["clusters"] = asdict(cluster(embeddings))
    return figures


def _present(
    output: Output,
    embeddings: Embeddings,
    figures: dict[str, Any],
    files: dict[str, Path],
    as_json: bool,
) -> None:
    width = embeddings.vectors.shape[1]
    if as_json:
        sizes = {"images": len(embeddings), "width": width}
        places = {what: str(file) for what, file in files.items()}
        output.json({**embeddings.info, **sizes, **places, **figures})
        return
    output.result(f"{embeddings.info['split']}: {len(embeddings):,} images, {width:,} values each")
    rows = []
    if found := figures["neighbors"]:
        rows.append((f"accuracy of {found['k']} nearest neighbors", f"{found['accuracy']:.2%}"))
    if found := figures["clusters"]:
        rows.append(("clusters: adjusted Rand index", f"{found['adjusted_rand']:.4f}"))
        information = f"{found['mutual_information']:.4f}"
        rows.append(("clusters: normalized mutual information", information))
    if rows:
        output.table(("figure", "value"), rows)
    else:
        output.note("nothing is measured: too few images have labels")
    for what, file in files.items():
        output.result(f"{what}: {file}")
