"""Very many pictures: memory, cores and the first line of `mien predict --jsonl`, as processes.

    python benchmarks/batch.py [--counts 200 2000] [--detector NAME|PATH|none] [--photo FILE]

Makes that many pictures from one photo, each cut otherwise, and measures one whole process a count:
the seconds until the first line is in the journal and until the end, pictures a second, how many
cores were at work (CPU time by wall time), and the most memory it had. POSIX only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from mien import SAMPLE


def make_pictures(photo: Path, count: int, folder: Path) -> None:
    """Write JPEGs of about the photo's size, no two alike."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB")
    folder.mkdir()
    for number in range(count):
        across, down = number % 16, number // 16 % 16
        cut = image.crop((across, down, image.width - 16 + across, image.height - 16 + down))
        cut.save(folder / f"{number:06}.jpg", quality=70 + number % 25)


def measure(folder: Path, journal: Path, options: list[str]) -> tuple[float, float, float, int]:
    """Return the seconds to the first line and to the end, CPU seconds and the peak in bytes."""
    command = [sys.executable, "-m", "mien", "predict", str(folder), "--jsonl", str(journal)]
    start = time.perf_counter()
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    first = 0.0
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        now = time.perf_counter() - start
        if not first and journal.exists() and journal.stat().st_size:
            first = now
        if done:
            break
        time.sleep(0.01)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return first, now, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit


def main() -> None:
    """Measure each count and print a line of a table for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[200, 2000])
    parser.add_argument("--detector", default="haar", help="none: each picture is one face already")
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    arguments = parser.parse_args()
    searched = arguments.detector != "none"
    options = ["--detector", arguments.detector] if searched else ["--no-detect"]
    print("| pictures | first line | end | pictures/s | cores at work | peak memory |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for count in arguments.counts:
            folder = Path(scratch, str(count))
            make_pictures(arguments.photo, count, folder)
            first, end, cpu, peak = measure(folder, Path(scratch, f"{count}.jsonl"), options)
            print(
                f"| {count} | {first:.2f} s | {end:.1f} s | {count / end:.1f} | {cpu / end:.2f} "
                f"| {peak / 1e6:.0f} MB |"
            )


if __name__ == "__main__":
    main()
