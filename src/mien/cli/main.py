"""The program `mien`: finds the verb, runs it, and turns what goes wrong into a clear sentence."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence

import click

from mien.cli.common import Output
from mien.errors import ExitStatus, MienError, nearest, of_the_system
from mien.version import __version__

# A verb's module is imported only when the verb is asked for: `mien predict` starts without torch.
VERBS: dict[str, str] = {
    "predict": "mien.cli.predict:predict",
    "explain": "mien.cli.explain:explain",
    "video": "mien.cli.video:video",
    "serve": "mien.cli.serve:serve",
    "models": "mien.cli.models:models",
    "data": "mien.cli.data:data",
    "filters": "mien.cli.filters:filters",
    "recipes": "mien.cli.recipes:recipes",
    "train": "mien.cli.train:train",
    "folds": "mien.cli.folds:folds",
    "average": "mien.cli.average:average",
    "evaluate": "mien.cli.evaluate:evaluate",
    "calibrate": "mien.cli.calibrate:calibrate",
    "embed": "mien.cli.embed:embed",
    "ensemble": "mien.cli.ensemble:ensemble",
    "reproduce": "mien.cli.reproduce:reproduce",
    "report": "mien.cli.report:report",
    "export": "mien.cli.export:export",
    "weights": "mien.cli.weights:weights",
    "completion": "mien.cli.completion:completion",
}


class _Verbs(click.Group):
    """A group that lists its verbs in the order of the work and imports each when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, attribute = VERBS[cmd_name].split(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"there is no verb {args[0]!r}; {nearest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  mien predict photo.jpg                  the emotions of the faces in a photo
  mien data prepare fer2013.csv --out data/fer2013
  mien train cnn5 --data data/fer2013 --out runs/cnn5
  mien evaluate runs/cnn5 --data data/fer2013 --split validation""",
)
@click.version_option(__version__, prog_name="mien")
def cli() -> None:
    """Read facial expressions, and train, compare and combine the networks that do it.

    Results go to standard output, everything else to standard error.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status (see `mien.errors.ExitStatus`)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text, nor need a pipe know all letters; in JSON this is valid.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        result = cli.main(args=arguments, prog_name="mien", standalone_mode=False)
    except click.exceptions.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return ExitStatus.USAGE
    except MienError as error:
        Output().error(error)
        return ExitStatus.FAILURE
    except OSError as error:
        Output().error(of_the_system(error))
        return ExitStatus.FAILURE
    return result if isinstance(result, int) else ExitStatus.OK


def _interrupted() -> int:
    click.echo("interrupted", err=True)
    return ExitStatus.INTERRUPTED
