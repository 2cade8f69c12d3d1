"""From FER2013's CSV to arrays: mien beside the two usual ways, in time and memory.

    python benchmarks/data.py [SOURCE] [--rows N]

SOURCE is a prepared data set or anything that `mien data prepare` reads; without it random images
are written. From it a `fer2013.csv` of 35,887 rows is made (rows without a label get 0: only the
parsing is timed). Each way runs in a process of its own and must end with the same files on disk:

- mien: `mien.data.prepare`, with all checks, checksums and the names;
- loop: pandas, and `[int(p) for p in row.split()]` for each row;
- fromstring: pandas, and `np.fromstring(row, sep=" ")` for each row.

Times are of the whole process, imports included: wall time, and the processor's, which other work
on the machine disturbs less. The peak is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# This process imports nothing large: a child's peak would start at its parent's.
ROWS = 35_887
USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def make(source: str, rows: int, table: Path) -> None:
    """Write the table, from a prepared data set, another source, or random images (`""`)."""
    import numpy as np

    if source:
        from mien.data.cache import load
        from mien.data.prepare import prepare

        prepared = (Path(source) / "meta.json").is_file()
        folder = table.parent / "source"
        dataset = load(source) if prepared else prepare([source], folder).dataset
        images, labels = dataset.images[:rows], np.maximum(dataset.labels[:rows], 0)
        usages = [USAGES[dataset.split_names[split]] for split in dataset.splits[:rows]]
    else:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (rows, 48, 48), np.uint8)
        labels = rng.integers(0, 7, rows).astype(np.int8)
        usages = ["Training"] * rows
    numbers = [str(value) for value in range(256)]
    with table.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for image, label, usage in zip(images, labels, usages, strict=True):
            pixels = " ".join([numbers[value] for value in image.reshape(-1).tolist()])
            file.write(f"{label},{pixels},{usage}\n")


def run_mien(table: Path, out: Path) -> None:
    """Read the table as mien does."""
    from mien.data.prepare import prepare

    prepare([table], out)


def run_usual(table: Path, out: Path, way: str) -> None:
    """Read the table with pandas, and its pixels in one of the usual ways."""
    import numpy as np
    import pandas as pd

    frame = pd.read_csv(table)
    if way == "loop":
        rows = [np.array([int(p) for p in row.split()], np.uint8) for row in frame["pixels"]]
    else:
        rows = [np.fromstring(row, np.uint8, sep=" ") for row in frame["pixels"]]
    out.mkdir()
    np.save(out / "images.npy", np.stack(rows).reshape(-1, 48, 48))
    np.save(out / "labels.npy", frame["emotion"].to_numpy(np.int8))


def measure(stage: str, table: Path, out: Path) -> tuple[float, float, float]:
    """Run a way in a process of its own; return wall and processor seconds and its peak in MB."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, __file__, "--stage", stage, str(table), str(out)])
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"{stage} failed")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def check_equal(one: Path, other: Path) -> None:
    """Compare the images that two ways wrote, after their equally long headers."""
    if (one / "images.npy").read_bytes() != (other / "images.npy").read_bytes():
        raise SystemExit(f"{one} and {other} differ")


def compare(source: str, rows: int) -> None:
    """Run all ways and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "fer2013.csv"
        command = [sys.executable, __file__, "--stage", "make", source, str(table)]
        subprocess.run([*command, "--rows", str(rows)], check=True)
        print(f"{rows:,} rows, {table.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores")
        results = {way: measure(way, table, folder / way) for way in ("mien", "loop", "fromstring")}
        for way in ("loop", "fromstring"):
            check_equal(folder / "mien", folder / way)
    wall, processor, _ = results["mien"]
    print(f"{'way':<12}{'wall s':>9}{'× mien':>8}{'CPU s':>9}{'× mien':>8}{'peak MB':>9}")
    for way, (seconds, busy, peak) in results.items():
        ratios = seconds / wall, busy / processor
        print(f"{way:<12}{seconds:>9.2f}{ratios[0]:>8.1f}{busy:>9.2f}{ratios[1]:>8.1f}{peak:>9.0f}")


def main() -> None:
    """Parse the arguments and run one way or all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", default="", help="a data set; random images without")
    parser.add_argument("out", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage is None:
        compare(arguments.source, arguments.rows)
    elif arguments.stage == "make":
        make(arguments.source, arguments.rows, Path(arguments.out))
    elif arguments.stage == "mien":
        run_mien(Path(arguments.source), Path(arguments.out))
    else:
        run_usual(Path(arguments.source), Path(arguments.out), arguments.stage)


if __name__ == "__main__":
    main()
