"""`mien filters` as a process, and the sheets it draws."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from mien.cli.main import main
from mien.images.filters import FILTERS
from mien.images.sheet import Picture, contact_sheet

RunMien = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def face(tmp_path: Path) -> Path:
    """The astronaut's face, 48×48, gray."""
    image = Image.fromarray(data.astronaut()[60:180, 165:285]).convert("L").resize((48, 48))
    image.save(tmp_path / "face.png")
    return tmp_path / "face.png"


def contains(sheet: np.ndarray, tile: np.ndarray) -> bool:
    """Say whether a gray tile is somewhere on a gray sheet, pixel for pixel."""
    height, width = tile.shape
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (height, width))
    tops, lefts = np.nonzero(
        (windows[..., 0, 0] == tile[0, 0]) & (windows[..., -1, -1] == tile[-1, -1])
    )
    return any(np.array_equal(windows[t, x], tile) for t, x in zip(tops, lefts, strict=True))


def test_the_sheet_holds_the_original_and_every_filter(
    face: Path, tmp_path: Path, run_mien: RunMien
) -> None:
    out = tmp_path / "sheet.png"
    done = run_mien("filters", face, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    sheet = np.asarray(Image.open(out).convert("L"))
    image = np.asarray(Image.open(face))
    for version in [image, *(FILTERS[name](image) for name in FILTERS)]:
        assert contains(sheet, np.kron(version, np.ones((5, 5), np.uint8)))


def test_only_the_filters_asked_for(face: Path, tmp_path: Path, run_mien: RunMien) -> None:
    out = tmp_path / "sheet.png"
    done = run_mien("filters", face, "--filter", "median", "--size", "64", "--out", out)
    assert done.returncode == 0, done.stderr
    assert 2 * 256 < Image.open(out).width < 3 * 256


def test_augmented_versions_are_drawn_from_the_seed(
    face: Path, tmp_path: Path, run_mien: RunMien
) -> None:
    done = run_mien("filters", face, "--augment", "--seed", 1, "--out", tmp_path / "process.png")
    assert done.returncode == 0, done.stderr
    # The others in this process, which has imported torch already.
    for name, seed in (("same", "1"), ("other", "2")):
        out = str(tmp_path / f"{name}.png")
        assert main(["filters", str(face), "--augment", "--seed", seed, "--out", out]) == 0
    sheets = [
        np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("process", "same", "other")
    ]
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])
    # Eight to a row in four rows, 144 pixels each.
    height, width = sheets[0].shape[:2]
    assert 8 * 144 < width < 9 * 160 + 60
    assert 4 * 144 < height < 5 * 160 + 60


def test_a_large_turned_color_photo(tmp_path: Path, run_mien: RunMien) -> None:
    photo = Image.fromarray(data.astronaut()).resize((1200, 800))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    photo.save(tmp_path / "photo.jpg", exif=exif)
    out = tmp_path / "sheets" / "sheet.jpg"
    done = run_mien(
        "filters", tmp_path / "photo.jpg", "--color", "--filter", "gaussian", "--out", out
    )
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stderr
    # Upright it is 171×256 pixels; lying the sheet would be lower by 85.
    assert Image.open(out).height > 400


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{face}", "--out", "{dir}/s.png", "--filter", "clahee"], 1, "did you mean 'clahe'?"),
        (["{face}", "--out", "{dir}/s.txt"], 1, "name it .png, .jpg or .webp"),
        (["{dir}/text.png", "--out", "{dir}/s.png"], 1, "text.png cannot be read"),
        (["{dir}/none.png", "--out", "{dir}/s.png"], 2, "does not exist"),
        (["{face}", "--out", "{dir}/s.png", "--augment", "--filter", "clahe"], 2, "exclude"),
    ],
)
def test_mistakes_are_explained(
    face: Path,
    tmp_path: Path,
    run_mien: RunMien,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    done = run_mien("filters", *(a.format(face=face, dir=tmp_path) for a in arguments))
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("s.*"))


def test_the_help_names_every_filter(run_mien: RunMien) -> None:
    text = run_mien("filters", "--help").stdout
    for name in FILTERS:
        assert name in text


def test_a_sheet_makes_room_for_its_words() -> None:
    one = Picture(np.zeros((1, 1), np.uint8), "a" * 60, "detail")
    narrow = contact_sheet([one], title="t", subtitle="s", columns=4, tile=16)
    wide = contact_sheet([one], title="t" * 100, subtitle="s", columns=4, tile=16)
    assert 60 * 5 < narrow.width < wide.width
    tall = contact_sheet([one] * 9, title="t", subtitle="s", columns=4, tile=16)
    assert tall.height > narrow.height + 2 * 16


def test_filters_and_preprocessing_need_no_train_extra() -> None:
    """Predicting filters too, and it has neither torch nor scikit-image."""
    code = (
        "import sys\n"
        "for name in ('torch', 'skimage', 'scipy', 'pandas', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np\n"
        "from mien.images.filters import FILTERS\n"
        "from mien.images.preprocessing import FilterSpec, Preprocessing\n"
        "image = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)\n"
        "for name in FILTERS:\n"
        "    Preprocessing(32, True, FilterSpec(name))([image])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_augmenting_without_torch_names_the_extra(face: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from mien.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "filters", str(face), "--augment"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "s.png")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert 'pip install "mien[train]"' in done.stderr
    assert "Traceback" not in done.stderr
