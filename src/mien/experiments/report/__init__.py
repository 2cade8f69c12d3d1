"""The report on a folder of runs: the paper's figures with ours beside, as one page and Markdown.

`gather` reads the folder into a `Report`, which holds every figure; `write` puts it into files.
"""

from mien.experiments.report.gather import gather
from mien.experiments.report.render import write

__all__ = ["gather", "write"]
