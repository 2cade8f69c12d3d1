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
    short_help="List models: accuracy, size, speed and calibration.",
    epilog="""\b
Examples:
  mien models list
  mien models list --speed
  mien models list --json
  mien models list runs/cnn5/model.onnx         what a file of your own says""",
)
@click.argument("files", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--speed",
    is_flag=True,
    help="Also measure how many faces a second each classifies here, with 64 faces at once; it "
    "takes about a second a model.",
)
@json_option
@verb_options
def list_models(output: Output, files: tuple[str, ...], speed: bool, as_json: bool) -> None:
    """List the models that come with mien: accuracy, size, speed and calibration.

    All figures but the speed are read from the models themselves: accuracy and balanced accuracy
    on the split named below the table; the expected calibration error (ECE) before and
    after the temperature T that mien calibrate fitted, on held-out folds, and that temperature.

    With MODEL (a path or a name) only those are listed. --json gives everything that a model says
    of itself; mien models show MODEL prints it.
    """
    from mien.cli import models_facts as say
    from mien.recognition.bundled import DEFAULT, bundled_models
    from mien.recognition.classifier import OnnxClassifier
    from mien.recognition.speed import BATCH, faces_per_second

    sources = {file: file for file in files} or {n: str(p) for n, p in bundled_models().items()}
    found = {name: OnnxClassifier(source) for name, source in sources.items()}
    rates = {name: faces_per_second(each) for name, each in found.items()} if speed else {}
    if as_json:
        measured = {name: {"faces_per_second": rate} for name, rate in rates.items()}
        output.json([say.facts(n, each) | measured.get(n, {}) for n, each in found.items()])
        return
    if not found:
        output.note("no model comes with this installation")
        return
    columns = say.COLUMNS
    rows = [say.row(n, each) for n, each in found.items()]
    if speed:
        columns += ("faces/s",)
        rows = [(*row, f"{rate:,.0f}") for row, rate in zip(rows, rates.values(), strict=True)]
    output.table(columns, rows)
    for name, classifier in found.items():
        output.result(say.line(name, classifier))
    if speed:
        output.note(f"faces/s: measured now, on this machine, {BATCH} faces at once, all cores")
    if any(each.calibration for each in found.values()):
        output.note(say.LEGEND)
    if DEFAULT in found:
        output.note(f"the default is {DEFAULT}")


@models.command(
    short_help="Show a network's layers, costs and diagram, or what a model says of itself.",
    epilog="""\b
Examples:
  mien models show small                        the model that comes with mien
  mien models show cnn5
  mien models show resnet50 --size 224 --channels 3 --diagram resnet50.svg
  mien models show vgg16 --option head=paper --option repeat_gray=true
  mien models show runs/cnn5 --json""",
)
@click.argument("name", metavar="NAME|RUN|MODEL")
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
    MODEL is one that comes with mien, or an exported file: what it says of itself is shown then,
    where it comes from and how good it is, and none of the other options goes with it.

    A layer has its name in the published weights, where there are some; of an image's way through
    the network the shape of each output (channels×height×width), the parameters (as Keras counts
    them: with the running statistics of batch norms), and the multiply-adds of convolutions and
    linear layers. Nothing is computed or loaded for it.
    """
    from mien.recognition.bundled import bundled_models

    if name in bundled_models() or Path(name).is_file():
        if size is not None or channels is not None or options or diagram is not None:
            raise click.UsageError("--size, --channels, --option and --diagram are for networks")
        _show_model(output, name, as_json)
        return
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


def _show_model(output: Output, name: str, as_json: bool) -> None:
    """Print what a bundled model or an exported file says of itself."""
    from mien.cli import models_facts as say
    from mien.recognition.bundled import OFF_LIMITS, bundled_models
    from mien.recognition.classifier import OnnxClassifier

    classifier = OnnxClassifier(name)
    if as_json:
        output.json(say.facts(name, classifier))
        return
    entries = say.page(name, classifier)
    width = max(len(title) for title, _ in entries) + 2
    for title, text in entries:
        output.result(f"{title + ':':{width}}{text}")
    output.result(f"\n{OFF_LIMITS}")
    if name in bundled_models():
        output.note("its model card, docs/model-card.md, has figures by emotion and its limits")


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
