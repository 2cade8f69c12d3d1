"""Write `docs/cli.md` and `docs/recipes.md` from the program itself: `python docs/reference.py`.

A test compares the files with what this makes, so they cannot lag behind.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mien.cli.main import cli
from mien.training.recipe import Recipe, section_of

FOLDER = Path(__file__).parent


def cli_reference() -> str:
    """Return the help of every verb as Markdown."""
    parts = ["# The command line", "This page is made from `--help`.\n"]
    parts += [
        f"## `{name}`\n\n```text\n{text.rstrip()}\n```\n" for name, text in _helps(cli, "mien")
    ]
    return "\n".join(parts)


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    # The width is the help's own, not that of the terminal it is made in.
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    context.help_option_names = ["-h", "--help"]
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            child = command.get_command(context, verb)
            assert child is not None
            yield from _helps(child, f"{name} {verb}")


def recipe_reference() -> str:
    """Return every key of a recipe with its default and its meaning as Markdown."""
    parts = [
        "# Recipe keys",
        "A recipe is a TOML file; this page lists its keys, made from the code that checks them. A "
        "file may begin with `base`, the name or path of a recipe from which it differs.\n",
    ]
    parts += _sections(Recipe, "", set())
    return "\n".join(parts) + "\n"


def _sections(section: type[BaseModel], prefix: str, listed: set[type[BaseModel]]) -> Iterator[str]:
    """Yield a table of a recipe and those inside it; what is `listed` already is not repeated."""
    listed.add(section)
    meanings = attribute_docs(section)
    yield f"## {'[' + prefix.rstrip('.') + ']' if prefix else 'Top level'}\n"
    yield (inspect.getdoc(section) or "").split("\n\n")[0] + "\n"
    yield "| key | default | meaning |\n|---|---|---|"
    children = []
    for name, field in section.model_fields.items():
        child = section_of(field.annotation)
        if child is not None and child not in listed:
            children.append((child, f"{prefix}{name}."))
            continue
        default = field.get_default(call_default_factory=True)
        shown = "required" if default is PydanticUndefined else f"`{default!r}`"
        yield f"| `{prefix}{name}` | {shown} | {meanings.get(name, '')} |"
    yield ""
    for child, name in children:
        yield from _sections(child, name, listed)


def attribute_docs(section: type[BaseModel]) -> dict[str, str]:
    """Return what a section's docstring says under 'Attributes:', by key."""
    _, _, text = (inspect.getdoc(section) or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", meaning).strip() for name, meaning in entries}


if __name__ == "__main__":
    (FOLDER / "cli.md").write_text(cli_reference())
    (FOLDER / "recipes.md").write_text(recipe_reference())
