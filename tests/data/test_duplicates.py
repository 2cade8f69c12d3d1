"""Near duplicates on pictures that were changed on purpose, and FER2013's known figures."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.data import duplicates
from mien.data.cache import Dataset, from_arrays, load, save
from mien.data.duplicates import find_pairs
from mien.data.leaks import count_leaks, find_leaks
from mien.data.mix import mix
from mien.data.prepare import prepare
from mien.errors import MienError

Picture = NDArray[np.uint8]


def pictures(count: int, seed: int = 0, side: int = 48) -> NDArray[np.uint8]:
    """Smooth random pictures: like photos, unlike noise, they survive a shift and a codec."""
    random = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        coarse = random.normal(size=(10, 10)).astype(np.float32)
        large = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        result.append(np.clip(128 + 50 * large, 0, 255).astype(np.uint8))
    return np.stack(result)


def jpeg(image: Picture) -> Picture:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def shifted(image: Picture) -> Picture:
    return np.pad(image, ((0, 1), (1, 0)), mode="edge")[1:, :-1]


@pytest.mark.parametrize(
    ("change", "mirrored"),
    [
        (jpeg, False),
        (lambda image: np.clip(0.7 * image.astype(float) + 40, 0, 255).astype(np.uint8), False),
        (shifted, False),
        (lambda image: cv2.resize(image, (50, 50))[1:49, 1:49], False),
        (lambda image: image[:, ::-1], True),
        (lambda image: jpeg(shifted(np.ascontiguousarray(image[:, ::-1]))), True),
    ],
    ids=["jpeg", "brightness", "shift", "zoom", "mirror", "all"],
)
def test_a_changed_picture_is_found_and_no_other(
    change: Callable[[Picture], Picture], mirrored: bool
) -> None:
    first = pictures(60)
    second = np.concatenate([pictures(20, seed=1), [change(first[7])], pictures(20, seed=2)])
    pairs = find_pairs(first, second)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(7, 20)]
    assert pairs.mirrored.tolist() == [mirrored]
    assert pairs.exact.tolist() == [False]
    assert 0.9 <= pairs.similarity[0] <= 1


def test_equal_pictures_are_exact_and_within_one_set_each_pair_comes_once() -> None:
    images = pictures(6)
    images[4] = images[1]
    images[5] = images[1]
    images[0] = images[3] = 90  # blank ones have nothing but their pixels to be compared by
    images[2] = 91
    pairs = find_pairs(images)
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(0, 3), (1, 4), (1, 5)]
    assert pairs.exact.all()
    assert (pairs.similarity == 1).all()


def test_equal_pictures_are_listed_a_few_times_and_each_is_there() -> None:
    first, second = pictures(3), pictures(3, seed=1)
    blank = np.full((400, 48, 48), 7, np.uint8)
    many = np.repeat(first[:1], 300, axis=0)  # near to what is made of them below
    near = np.repeat(jpeg(first[0])[None], 200, axis=0)
    pairs = find_pairs(np.concatenate([first, blank, many]), np.concatenate([second, blank, near]))
    assert set(pairs.first[pairs.exact]) == set(range(3, 403))
    assert set(pairs.second[pairs.exact]) == set(range(3, 403))
    assert set(pairs.first[~pairs.exact]) == {0, *range(403, 703)}
    assert set(pairs.second[~pairs.exact]) == set(range(403, 603))
    assert len(pairs) == 400 + 400 - 1 + 301 + 200 - 1
    within = find_pairs(np.concatenate([first, blank, many, near]))
    assert set(within.first) | set(within.second) == {0, *range(3, 903)}
    assert len(within) < 3 * 900
    assert (within.first < within.second).all()


def test_what_is_looked_at_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    noise = random.integers(0, 3, (60, 48, 48))
    images = np.clip(pictures(1) + noise, 0, 255).astype(np.uint8)  # all near, none equal
    sizes: list[int] = []

    def counted(*arguments: Any) -> Any:
        sizes.append(len(arguments[2]))
        return correlations(*arguments)

    correlations = duplicates._correlations
    monkeypatch.setattr(duplicates, "_correlations", counted)
    monkeypatch.setattr(duplicates, "_CHUNK", 25)
    assert len(find_pairs(images)) == 60 * 59 // 2
    assert max(sizes) == 25


@pytest.mark.parametrize("threshold", [0.0, 0.79, 1.01, float("nan")])
def test_a_threshold_below_what_is_looked_at_is_refused(threshold: float) -> None:
    with pytest.raises(MienError, match=r"not 0\.8 to 1"):
        find_pairs(pictures(2), threshold=threshold)


def test_training_images_are_described_once(
    sources: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    described: list[int] = []
    descriptors = duplicates._descriptors

    def counted(images: Any) -> Any:
        described.append(len(images))
        return descriptors(images)

    monkeypatch.setattr(duplicates, "_descriptors", counted)
    find_leaks(sources, keep_duplicates=False)
    # Three splits that are measured, two for training.
    assert sorted(described) == [4, 6, 6, 10, 10]


def test_size_and_color_do_not_matter() -> None:
    gray = pictures(5)
    large = np.stack([cv2.resize(image, (96, 96), interpolation=cv2.INTER_CUBIC) for image in gray])
    color = np.repeat(large[..., None], 3, axis=3)
    pairs = find_pairs(gray, color)
    assert pairs.first.tolist() == pairs.second.tolist() == [0, 1, 2, 3, 4]
    assert not pairs.exact.any()


def dataset(images: Any, splits: dict[str, int], seed: int = 0, votes: bool = False) -> Dataset:
    random = np.random.default_rng(seed)
    return from_arrays(
        images=images,
        labels=random.integers(0, 7, len(images)).astype(np.int8),
        splits=np.repeat(np.arange(len(splits), dtype=np.uint8), list(splits.values())),
        names=np.array([f"i{n}" for n in range(len(images))]),
        split_names=tuple(splits),
        votes=random.integers(0, 9, (len(images), 10)).astype(np.uint8) if votes else None,
    )


@pytest.fixture
def sources() -> dict[str, Dataset]:
    """Two sources with 4 leaks from the second to the first, and one within each."""
    main = pictures(20)
    main[10] = main[3]  # known: the main source's own
    other = pictures(16, seed=1)
    other[0] = main[10]  # of validation, and also of the main source's train
    other[1] = jpeg(main[15])  # of test
    other[2] = main[17][:, ::-1]
    other[3] = main[5]  # of train: no leak
    other[12] = other[4]  # its own test
    return {
        "fer": dataset(main, {"train": 10, "validation": 4, "test": 6}, votes=True),
        "raf-db": dataset(other, {"train": 10, "test": 6}, seed=1),
    }


def test_a_mix_has_all_but_the_leaks(sources: dict[str, Dataset], tmp_path: Path) -> None:
    mixed = mix(sources, tmp_path / "out")
    data = load(tmp_path / "out", verify=True)
    assert data.split_names == ("train", "validation", "test", "test-raf-db")
    assert data.source_names == ("fer", "raf-db")
    assert data.sources is not None
    assert [len(data.indices(split)) for split in data.split_names] == [17, 4, 6, 6]
    main = sources["fer"]
    for split in main.split_names:
        rows = data.indices(split)
        rows = rows[np.asarray(data.sources[rows]) == 0]
        subset = main.subset(split)
        assert np.array_equal(data.images[rows], subset.images)
        assert np.array_equal(data.names[rows], subset.names)
        assert np.array_equal(data.labels[rows], subset.labels)
        assert data.votes is not None
        assert np.array_equal(data.votes[rows], subset.votes)
    rows = data.indices("train")[10:]
    assert data.names[rows].tolist() == [f"raf-db/i{n}" for n in range(3, 10)]
    assert np.array_equal(data.images[rows], sources["raf-db"].images[3:10])
    assert (data.sources[rows] == 1).all()
    assert not data.votes[rows].any()
    left_out = {(leak.name, leak.duplicate, leak.exact) for leak in mixed.leaks if leak.left_out}
    assert left_out == {("i0", "i10", True), ("i1", "i15", False), ("i2", "i17", False)}


def test_leaks_are_counted_in_the_provenance_and_listed(
    sources: dict[str, Dataset], tmp_path: Path
) -> None:
    mixed = mix(sources, tmp_path / "out")
    counts = {
        (count.source, count.measured): (count.exact, count.near, count.hit, count.left_out)
        for count in count_leaks(mixed.leaks)
    }
    assert counts == {
        ("fer", "validation"): (1, 0, 1, 0),
        ("raf-db", "validation"): (1, 0, 1, 1),
        ("raf-db", "test"): (0, 2, 2, 2),
        ("raf-db", "test-raf-db"): (1, 0, 1, 0),
    }
    found = mixed.dataset.provenance["duplicates"]["found"]
    assert sum(count["left_out"] for count in found) == 3
    with (tmp_path / "out" / "duplicates.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == len(mixed.leaks) == 5
    assert ("raf-db", "i2", "test", "i17", "True") in {
        (row["source"], row["name"], row["measured"], row["duplicate"], row["mirrored"])
        for row in listed
    }


def test_duplicates_can_be_kept(sources: dict[str, Dataset], tmp_path: Path) -> None:
    mixed = mix(sources, tmp_path / "out", keep_duplicates=True)
    assert len(mixed.dataset.indices("train")) == 20
    assert not any(leak.left_out for leak in mixed.leaks)


def test_what_cannot_be_mixed_is_refused(sources: dict[str, Dataset], tmp_path: Path) -> None:
    out = tmp_path / "out"
    small = dataset(pictures(2, side=32), {"train": 2})
    with pytest.raises(MienError, match="fer 48×48 gray, raf-db 48×48 gray, small 32×32 gray"):
        mix(sources | {"small": small}, out)
    with pytest.raises(MienError, match="has no split 'train'"):
        mix(sources | {"jaffe": dataset(pictures(2), {"test": 2})}, out)
    with pytest.raises(MienError, match="1 data sets cannot be mixed"):
        mix({"fer": sources["fer"]}, out)
    assert not out.exists()
    mixed = mix(sources, out).dataset
    with pytest.raises(MienError, match="mixed already"):
        mix({"mixed": mixed, "raf-db": sources["raf-db"]}, tmp_path / "again")


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_model_is_trained_on_a_mix_and_measured_apart(
    sources: dict[str, Dataset], tmp_path: Path
) -> None:
    for name, source in sources.items():
        save(source, tmp_path / name)
    folder = tmp_path / "mixed"
    done = run("data", "mix", tmp_path / "fer", f"raf-db={tmp_path / 'raf-db'}", "--out", folder)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split() for line in lines if line.split()[:1] == ["raf-db"]] == [
        ["raf-db", "validation", "1", "0", "1", "1"],
        ["raf-db", "test", "0", "2", "2", "2"],
        ["raf-db", "test-raf-db", "1", "0", "1", "0"],
    ]
    train = ("train", "foldnet-micro", "--data", folder, "--out", tmp_path / "run")
    short = ("--set", "training.epochs=1", "--set", "training.batch_size=8")
    weights = ("--set", "training.source_weights.raf-db=0.5")
    done = run(*train, *short, *weights)
    assert done.returncode == 0, done.stderr
    done = run("evaluate", tmp_path / "run", "--data", folder, "--split", "test-raf-db", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 6


def test_the_mix_as_json_with_all_duplicates_kept(
    sources: dict[str, Dataset], tmp_path: Path
) -> None:
    for name, source in sources.items():
        save(source, tmp_path / name)
    out = tmp_path / "mixed"
    folders = (tmp_path / "fer", tmp_path / "raf-db")
    done = run("data", "mix", *folders, "--out", out, "--keep-duplicates", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["splits"] == {"train": 20, "validation": 4, "test": 6, "test-raf-db": 6}
    assert result["sources"] == ["fer", "raf-db"]
    assert [count["left_out"] for count in result["duplicates"]] == [0, 0, 0, 0]
    assert Path(result["list"]).is_file()
    assert result["checksum"] == load(out).checksum


def test_two_sources_of_one_name_are_refused(sources: dict[str, Dataset], tmp_path: Path) -> None:
    for folder in ("a/Raf DB", "b/raf-db"):
        save(sources["raf-db"], tmp_path / folder)
    done = run("data", "mix", tmp_path / "a/Raf DB", tmp_path / "b/raf-db", "--out", tmp_path / "o")
    assert done.returncode == 1
    assert "two data sets are called 'raf-db'" in done.stderr


@pytest.mark.data
def test_fer2013_repeats_images_of_its_training_split(tmp_path: Path, fer2013: Path) -> None:
    """Checked on a part; that there are 288 exact ones in test is tested with `describe`."""
    data = prepare([fer2013], tmp_path / "out").dataset
    training = np.asarray(data.images[data.indices("train")[:12_000]])
    some = np.asarray(data.images[data.indices("test")[:400]])
    known = {image.tobytes() for image in training}
    pairs = find_pairs(training, some)
    exact = {place for place, image in enumerate(some) if image.tobytes() in known}
    assert len(exact) > 5
    assert set(pairs.second[pairs.exact].tolist()) == exact
    # The near ones are about as many again: crops and codecs of the same pictures.
    assert 1.5 * len(exact) < len(np.unique(pairs.second)) < 4 * len(exact)
