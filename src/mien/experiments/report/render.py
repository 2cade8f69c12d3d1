"""Write a report's two files from its templates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mien.emotions import EMOTIONS
from mien.experiments import text
from mien.experiments.plan import GROUPS, PAPER_ENSEMBLE, Group
from mien.experiments.report import ablation_figures, published
from mien.experiments.report.ablation_figures import Decision
from mien.experiments.report.charts import drawn, palette
from mien.experiments.report.claims.verdicts import FEWEST_SEEDS
from mien.experiments.report.figures import Report, Result
from mien.experiments.report.judgments import Verdict
from mien.experiments.report.resampling import RESAMPLES
from mien.files import atomic_write

HTML, MARKDOWN = "report.html", "report.md"
_MARKS = {Verdict.SUPPORTED: "✓", Verdict.CONTRADICTED: "✕", Verdict.OPEN: "○"}
_ABLATION_MARKS = {Decision.KEPT: "✓", Decision.NOT_KEPT: "✕", Decision.OPEN: "○"}
_TABLES: tuple[tuple[Group, str], ...] = (
    ("paper", "The paper's experiments"),
    ("scratch", "The same networks from scratch"),
)
_MATRICES: tuple[tuple[Group, str], ...] = (
    ("filters", "The 5-layer CNN"),
    ("stand-in", "FoldNet-micro, the stand-in"),
)


def write(report: Report, folder: Path | str) -> tuple[Path, Path]:
    """Write `report.html` and `report.md`, each whole or not at all, and return where they are."""
    folder = Path(folder)
    files = (folder / HTML, folder / MARKDOWN)
    atomic_write(files[0], html(report))
    atomic_write(files[1], markdown(report))
    return files


def html(report: Report) -> str:
    """Return the page: one file that needs no other, and no network."""
    return _rendered("page.html.j2", report, autoescape=True)


def markdown(report: Report) -> str:
    """Return the tables and verdicts as Markdown; charts are in the page only."""
    return _rendered("page.md.j2", report, autoescape=False)


def _rendered(template: str, report: Report, *, autoescape: bool) -> str:
    environment = Environment(
        loader=PackageLoader("mien.experiments.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (
        text.percent,
        text.points,
        text.interval,
        text.count,
        text.large,
        text.duration,
        text.mean_epochs,
        text.numbers,
        text.several,
        text.moved,
    )
    environment.filters.update({each.__name__: each for each in filters})
    return environment.get_template(template).render(
        report=report,
        head=report.head,
        emotions=EMOTIONS,
        groups=GROUPS,
        tables=[(group, title, _of(report, group)) for group, title in _TABLES],
        matrices=[(title, matrix(report, group)) for group, title in _MATRICES],
        measured=[each for each in report.results if each.accuracy],
        compared=[each for each in report.results if each.difference],
        incomparable=[each for each in report.results if each.incomparable],
        changed=[each for each in report.results if each.changes],
        verdicts=_tally(report),
        marks=_MARKS | _ABLATION_MARKS,
        ablations=report.ablations,
        ablation_rule=ablation_figures.RULE,
        ablation_method=ablation_figures.METHOD,
        drawn=drawn,
        heat_light=Markup(palette.heat_rules(dark=False)),
        heat_dark=Markup(palette.heat_rules(dark=True)),
        published=published,
        paper_ensemble=PAPER_ENSEMBLE,
        resamples=RESAMPLES,
        fewest_seeds=FEWEST_SEEDS,
    )


def matrix(report: Report, group: Group) -> list[Result]:
    """Return the recipes of a filter matrix: the baseline, then those that are compared with it.

    The paper's row 1, the 5-layer CNN with its mask, is one of the 5-layer CNN's.
    """
    results = _of(report, group)
    recipes = {each.experiment.recipe for each in results}
    baselines = {each.experiment.baseline for each in results}
    also = [
        each
        for each in report.results
        if each.experiment.baseline in baselines & recipes and each.experiment.recipe not in recipes
    ]
    return [*results[:1], *also, *results[1:]]


def _of(report: Report, group: Group) -> list[Result]:
    return [each for each in report.results if each.experiment.group == group]


def _tally(report: Report) -> Sequence[tuple[Verdict, int]]:
    given = [claim.verdict for claim in report.claims]
    return [(verdict, given.count(verdict)) for verdict in Verdict]
