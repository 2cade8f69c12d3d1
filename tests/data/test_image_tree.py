from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.data.cache import Dataset
from mien.data.form import Form
from mien.data.prepare import prepare
from mien.data.problems import BadRowsError, Kind
from mien.emotions import EMOTIONS
from mien.errors import MienError

Tree = Callable[..., Path]


def _rows(dataset: Dataset) -> dict[str, tuple[str, str]]:
    return {
        str(name): (dataset.split_names[split], EMOTIONS[label] if label >= 0 else "")
        for name, split, label in zip(dataset.names, dataset.splits, dataset.labels, strict=True)
    }


def test_kaggles_test_folder_is_split_by_name(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    names = [
        "train/happy/Training_2.png",
        "train/happy/Training_10.png",
        "train/angry/Training_1.png",
        "test/happy/PublicTest_5.png",
        "test/happy/PrivateTest_4.png",
        "test/disgust/PublicTest_6.png",
    ]
    images = dict(zip(names, faces(len(names)), strict=True))
    dataset = prepare([write_tree(tmp_path / "archive", images)], tmp_path / "out").dataset
    assert dataset.split_names == ("train", "validation", "test")
    # By split, class and number.
    assert _rows(dataset) == {
        names[2]: ("train", "angry"),
        names[0]: ("train", "happy"),
        names[1]: ("train", "happy"),
        names[5]: ("validation", "disgust"),
        names[3]: ("validation", "happy"),
        names[4]: ("test", "happy"),
    }
    assert list(_rows(dataset)) == [names[i] for i in (2, 0, 1, 5, 3, 4)]
    for name, image in zip(dataset.names, dataset.images, strict=True):
        assert np.array_equal(image, images[str(name)])


def test_a_validation_folder_of_ones_own_counts_more_than_names(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    names = ["val/sad/Training_1.png", "test/sad/PublicTest_2.png", "train/sad/Training_3.png"]
    images = dict(zip(names, faces(3), strict=True))
    rows = _rows(prepare([write_tree(tmp_path / "own", images)], tmp_path / "out").dataset)
    assert [rows[name][0] for name in names] == ["validation", "test", "train"]


@pytest.mark.parametrize(
    ("name", "split", "emotion"),
    [
        ("Training/Anger/a.png", "train", "angry"),
        ("FER2013Valid/3_happiness/a.png", "validation", "happy"),
        ("validation/Fearful/a.png", "validation", "fear"),
        ("val/5/a.png", "validation", "surprise"),
        ("PrivateTest/NEUTRAL/a.png", "test", "neutral"),
        ("images/images/train/sadness/a.png", "train", "sad"),
        ("test/happy/3/a.png", "test", "happy"),
        ("disgusted/a.png", "train", "disgust"),
        ("test/a.png", "test", ""),
    ],
)
def test_usual_spellings(
    tmp_path: Path,
    name: str,
    split: str,
    emotion: str,
    faces: Callable[..., Any],
    write_tree: Tree,
) -> None:
    source = write_tree(tmp_path / "source", {name: faces(1)[0]})
    dataset = prepare([source], tmp_path / "out").dataset
    assert _rows(dataset) == {name: (split, emotion)}


def test_split_folders_can_be_named_one_by_one(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    a, b = faces(2)
    root = write_tree(tmp_path / "x", {"train/fear/1.png": a, "test/fear/1.png": b})
    dataset = prepare([root / "train", root / "test"], tmp_path / "out").dataset
    assert dataset.split_names == ("train", "test")
    assert dataset.names.tolist() == ["fear/1.png", "fear/1.png"]
    assert [s["name"] for s in dataset.provenance["sources"]] == ["train", "test"]


def test_what_is_wrong_with_a_tree_is_reported_at_once(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    image = faces(1)[0]
    root = write_tree(
        tmp_path / "tree",
        {
            "train/happy/good.png": image,
            "train/happy/cut.png": faces(1, 3)[0],
            "train/boredom/1.png": image,
            "train/boredom/2.png": image,
            "train/loose.png": image,
            ".hidden/1.png": image,
        },
    )
    (root / "train/fear").mkdir()
    cut = root / "train/happy/cut.png"
    cut.write_bytes(cut.read_bytes()[:-800])
    (root / "train/happy/text.jpg").write_text("no image")
    (root / "train/happy/Thumbs.db").write_text("passed over")
    with pytest.raises(BadRowsError) as caught:
        prepare([root], tmp_path / "out")
    found = {(p.file, p.kind, p.count) for p in caught.value.problems}
    assert found == {
        ("tree/train/happy/cut.png", Kind.IMAGE, 1),
        ("tree/train/happy/text.jpg", Kind.IMAGE, 1),
        ("tree/train/boredom", Kind.UNKNOWN_CLASS, 2),
        ("tree/train/loose.png", Kind.NO_CLASS, 1),
        ("tree/train/fear", Kind.EMPTY_CLASS, 1),
    }
    prepared = prepare([root], tmp_path / "out", skip_bad=True)
    assert prepared.dataset.names.tolist() == ["train/happy/good.png"]
    assert prepared.skipped.counts()["unknown class"] == 2


def test_contempt_is_left_out_and_counted_or_refused(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    a, b = faces(2)
    root = write_tree(
        tmp_path / "tree", {"happy/1.png": a, "7_Contempt/1.png": b, "7_Contempt/2.png": a}
    )
    prepared = prepare([root], tmp_path / "out")
    assert len(prepared.dataset) == 1
    assert prepared.left_out == {"contempt": 2}
    assert prepared.dataset.provenance["left_out"] == {"contempt": 2}
    with pytest.raises(MienError, match="none of the seven emotions: contempt 2"):
        prepare([root], tmp_path / "other", seven_only=True)
    assert not (tmp_path / "other").exists()


def test_a_truncated_jpeg_is_reported(tmp_path: Path, faces: Callable[..., Any]) -> None:
    folder = tmp_path / "tree" / "happy"
    folder.mkdir(parents=True)
    Image.fromarray(faces(1)[0]).save(folder / "good.jpg")
    (folder / "cut.jpg").write_bytes((folder / "good.jpg").read_bytes()[:-300])
    with pytest.raises(BadRowsError, match=r"tree/happy/cut\.jpg: (?i:.*truncated)"):
        prepare([tmp_path / "tree"], tmp_path / "out")


def test_images_of_several_sizes_need_a_size(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    flat = np.full((30, 20), 90, np.uint8)
    root = write_tree(tmp_path / "tree", {"sad/1.png": faces(1)[0], "sad/2.png": flat})
    with pytest.raises(MienError, match=r"48×48 \(1 images\), 20×30 \(1 images\)") as caught:
        prepare([root], tmp_path / "out")
    assert "--size" in str(caught.value.hint)
    dataset = prepare([root], tmp_path / "out", form=Form(size=24)).dataset
    assert dataset.images.shape == (2, 24, 24)
    assert np.all(dataset.images[1] == 90)
    # To half the size, an area is the mean of its four pixels.
    means = faces(1)[0].reshape(24, 2, 24, 2).mean(axis=(1, 3))
    assert np.abs(dataset.images[0] - means).max() <= 0.5


def test_color_is_kept_when_asked_for(tmp_path: Path, write_tree: Tree) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    root = write_tree(tmp_path / "tree", {"sad/1.png": rgb})
    color = prepare([root], tmp_path / "color", form=Form(color=True)).dataset
    assert color.color
    assert np.array_equal(color.images[0], rgb)
    gray = prepare([root], tmp_path / "gray").dataset
    assert np.array_equal(gray.images[0], np.asarray(Image.fromarray(rgb).convert("L")))
    assert gray.provenance["options"] == {
        "size": None,
        "color": False,
        "skip_bad": False,
        "peak_frames": 1,
        "validation_subjects": 0.0,
    }


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    pixels = np.zeros((16, 24), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at the right of the stored one
    (tmp_path / "tree/happy").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "tree/happy/1.png", exif=exif)
    dataset = prepare([tmp_path / "tree"], tmp_path / "out").dataset
    assert np.array_equal(dataset.images[0], np.rot90(pixels, -1))


def test_16_bit_gray_is_scaled(tmp_path: Path) -> None:
    (tmp_path / "tree/happy").mkdir(parents=True)
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / "tree/happy/1.png")
    dataset = prepare([tmp_path / "tree"], tmp_path / "out").dataset
    assert np.array_equal(dataset.images[0].reshape(-1), np.arange(256))


def test_other_formats_are_not_opened(tmp_path: Path, faces: Callable[..., Any]) -> None:
    (tmp_path / "tree/happy").mkdir(parents=True)
    Image.fromarray(faces(1)[0]).save(tmp_path / "tree/happy/1.png", "ICO")
    with pytest.raises(BadRowsError, match="not a picture in a known format"):
        prepare([tmp_path / "tree"], tmp_path / "out")


def test_the_listing_of_a_tree_has_a_checksum(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    root = write_tree(tmp_path / "tree", {"sad/1.png": faces(1)[0]})
    first = prepare([root], tmp_path / "a").dataset.provenance["sources"][0]
    again = prepare([root], tmp_path / "b").dataset.provenance["sources"][0]
    write_tree(root, {"sad/2.png": faces(1)[0]})
    more = prepare([root], tmp_path / "c").dataset.provenance["sources"][0]
    assert first == again
    assert first["sha256"] != more["sha256"]
    assert first["name"] == "tree"


def test_a_folder_without_classes_is_refused(
    tmp_path: Path, faces: Callable[..., Any], write_tree: Tree
) -> None:
    root = write_tree(tmp_path / "photos", {"holiday/1.png": faces(1)[0]})
    with pytest.raises(MienError, match="photos is not recognized"):
        prepare([root], tmp_path / "out")
