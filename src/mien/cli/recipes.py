"""`mien recipes`: the recipes of the package, and one of them whole."""

from __future__ import annotations

import click

from mien.cli.common import Output, json_option, needs, verb_options


@click.command(
    short_help="List the recipes, or show one.",
    epilog="""\b
Examples:
  mien recipes
  mien recipes cnn5 > my-cnn5.toml""",
)
@click.argument("name", required=False)
@json_option
@verb_options
def recipes(out: Output, name: str | None, as_json: bool) -> None:
    """List the recipes that come with mien, or print the recipe NAME with all its keys.

    What it prints is a recipe itself: change it and train it with `mien train FILE.toml`.
    """
    needs("recipes", "train")
    import tomli_w

    from mien.training.recipe import load, names, to_table

    if name is not None:
        table = to_table(load(name))
        if as_json:
            out.json(table)
        else:
            out.result(tomli_w.dumps(table, multiline_strings=True).rstrip())
        return
    summaries = {known: load(known).summary for known in names()}
    if as_json:
        out.json(summaries)
        return
    width = max(map(len, summaries))
    for known, summary in summaries.items():
        out.result(f"{known:<{width}}  {summary}")
