"""`mien models`: the models that come with the package, and what networks consist of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.common import Output, json_option, needs, verb_options
from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from mien.models.summary import Summary
    from mien.recognition.classifier import OnnxClassifier


class _ListsByDefault(click.Group):
    """A group whose verb `list` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_ListsByDefault,
    short_help="List the models that come with mien, and show what a network consists of.",
    epilog="""\b
Examples:
  mien models
  mien models --json
  mien models show resnet50""",
)
def models() -> None:
    """List the models that come with mien, and show what a network consists of.

    Without a command, and with the arguments of `list`, it lists.
    """


@models.command(
    name="list",
    short_help="List models: accuracy, input, size and origin.",
    epilog="""\b
Examples:
  mien models list
  mien models list --json
  mien models list runs/cnn5/model.onnx         what a file of your own says""",
)
@click.argument("files", metavar="[MODEL]...", nargs=-1)
@json_option
@verb_options
def list_models(output: Output, files: tuple[str, ...], as_json: bool) -> None:
    """List the models that come with mien: accuracy, input, size and origin.

    All figures are read from the models themselves. With MODEL (a path or a name) only those are
    listed. --json gives everything that a model says of itself.
    """
    from mien.recognition.bundled import DEFAULT, bundled_models
    from mien.recognition.classifier import OnnxClassifier

    sources = {file: file for file in files} or {n: str(p) for n, p in bundled_models().items()}
    found = {name: OnnxClassifier(source) for name, source in sources.items()}
    if as_json:
        output.json([_facts(name, classifier) for name, classifier in found.items()])
        return
    if not found:
        output.note("no model comes with this installation")
        return
    columns = ("model", "accuracy", "balanced", "on", "input", "filter", "size", "license")
    output.table(columns, [_row(name, classifier) for name, classifier in found.items()])
    for name, classifier in found.items():
        if summary := classifier.provenance.get("summary"):
            output.result(f"{name}: {summary}")
    if DEFAULT in found:
        output.note(f"the default is {DEFAULT}")


@models.command(
    short_help="Show a network's layers, what they cost, and its diagram.",
    epilog="""\b
Examples:
  mien models show cnn5
  mien models show resnet50 --size 224 --channels 3 --diagram resnet50.svg
  mien models show vgg16 --option head=paper --option repeat_gray=true
  mien models show runs/cnn5 --json""",
)
@click.argument("name", metavar="NAME|RUN")
@click.option(
    "--size",
    type=click.IntRange(8, 4096),
    metavar="N",
    help="The side of the image in pixels.  [default: the network's usual one]",
)
@click.option(
    "--channels", type=click.Choice(["1", "3"]), help="1 for gray, 3 for color.  [default: 1]"
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the network, as in a recipe's model.options; may be given several times.",
)
@click.option(
    "--diagram",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the diagram to a .png, .svg or .pdf file.",
)
@json_option
@verb_options
def show(
    output: Output,
    name: str,
    size: int | None,
    channels: str | None,
    options: tuple[str, ...],
    diagram: Path | None,
    as_json: bool,
) -> None:
    """Show what a network consists of: its diagram, its layers, and what they cost.

    NAME is an architecture, as a recipe's model.name calls it; to an unknown name the known ones
    are told. RUN is the folder of a training, which has size, channels and options of its own.

    A layer has its name in the published weights, where there are some; of an image's way through
    the network the shape of each output (channels×height×width), the parameters (as Keras counts
    them: with the running statistics of batch norms), and the multiply-adds of convolutions and
    linear layers. Nothing is computed or loaded for it.
    """
    needs("showing a network", "train")
    from mien.models.picture import draw
    from mien.models.summary import summarize

    build, title, side, depth = _network(name, size, channels, options)
    summary = summarize(build, size=side, channels=depth)
    if diagram is not None:
        draw(summary, diagram, title=title)
    if as_json:
        output.json({"network": title, **summary.to_dict()})
        return
    output.result(title)
    output.result("")
    _print_summary(output, summary)
    if diagram is not None:
        output.result(f"diagram: {diagram}")


def _network(
    name: str, size: int | None, channels: str | None, options: tuple[str, ...]
) -> tuple[Callable[[], nn.Module], str, int, int]:
    """Return what builds the network, its title, and the size and channels of its input."""
    from functools import partial

    from mien.models.registry import architecture, create

    if Path(name).is_dir():
        if size is not None or channels is not None or options:
            raise click.UsageError("a run has its own --size, --channels and --option")
        from mien.training.run import Run, build_network

        recipe = Run(name).recipe()
        title = f"{Path(name).resolve().name}: {recipe.model.name}"
        color = 3 if recipe.input.color else 1
        return partial(build_network, recipe), title, recipe.input.size, color
    entry = architecture(name)
    side = size or entry.size
    depth = int(channels or 1)
    build = partial(create, name, size=side, channels=depth, **_parsed(options))
    return build, f"{name}: {entry.summary}", side, depth


def _parsed(options: tuple[str, ...]) -> dict[str, Any]:
    """Return KEY=VALUE texts as keywords; a value is read as TOML, or is text where it is none."""
    import tomllib

    values: dict[str, Any] = {}
    for option in options:
        key, separator, text = option.partition("=")
        if not separator or not key.isidentifier():
            raise MienError(f"--option {option!r} is not of the form KEY=VALUE, as in head=paper")
        if key in ("name", "size", "channels"):
            raise MienError(f"--option {option!r}: give it as NAME, --size or --channels")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text
    return values


def _print_summary(output: Output, summary: Summary) -> None:
    from mien.models.diagram import LEGEND, format_shape, text_diagram

    for line in text_diagram(summary):
        output.result(line)
    output.note(f"\n{LEGEND}")
    output.result("")
    rows = [
        (
            layer.name,
            layer.kind,
            format_shape(layer.shape),
            f"{layer.trainable + layer.non_trainable:,}",
            f"{layer.multiply_adds:,}",
        )
        for layer in summary.layers
    ]
    output.table(("layer", "kind", "output", "parameters", "multiply-adds"), rows, texts=2)
    output.result(f"parameters:    {summary.trainable + summary.non_trainable:,}")
    output.result(f"  trainable:   {summary.trainable:,}")
    output.result(f"  others:      {summary.non_trainable:,} (running statistics of batch norms)")
    output.result(f"multiply-adds: {summary.multiply_adds:,} for one image")


def _facts(name: str, classifier: OnnxClassifier) -> dict[str, Any]:
    return {
        "name": name,
        "path": str(classifier.path),
        "bytes": classifier.path.stat().st_size,
        "labels": list(classifier.labels),
        "preprocessing": classifier.preprocessing.to_dict(),
        "provenance": dict(classifier.provenance),
    }


def _row(name: str, classifier: OnnxClassifier) -> tuple[str, ...]:
    measured = classifier.provenance.get("accuracy")
    accuracy: dict[str, Any] = measured if isinstance(measured, dict) else {}
    preprocessing = classifier.preprocessing
    colors = "RGB" if preprocessing.color else "gray"
    return (
        name,
        _percent(accuracy.get("accuracy")),
        _percent(accuracy.get("balanced_accuracy")),
        str(accuracy.get("split", "–")),
        f"{preprocessing.size}×{preprocessing.size} {colors}",
        preprocessing.filter.name if preprocessing.filter else "none",
        _size(classifier.path),
        str(classifier.provenance.get("license", "–")),
    )


def _percent(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "–"


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
