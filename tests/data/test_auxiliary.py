"""CK+, JAFFE, RAF-DB and AffectNet: tiny trees in exactly the forms in which they are published."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.data.form import Form
from mien.data.prepare import Prepared, prepare
from mien.data.problems import BadRowsError, Kind
from mien.data.readers import discover, walk
from mien.data.readers.base import Options
from mien.data.readers.listed import cut
from mien.emotions import EMOTIONS
from mien.errors import MienError

Tree = Callable[..., Path]
Expected = dict[str, tuple[str, str]]

SIZE = Form(size=48)


def picture(value: int, size: tuple[int, int] = (48, 48)) -> Any:
    """One gray level, so that it is known again after any codec and size: H×W."""
    return np.full(size, value, np.uint8)


def rows(prepared: Prepared) -> Expected:
    """Return split and emotion by name."""
    dataset = prepared.dataset
    return {
        str(name): (dataset.split_names[split], EMOTIONS[label])
        for name, split, label in zip(
            dataset.names, dataset.splits, dataset.labels.tolist(), strict=True
        )
    }


def formats(prepared: Prepared) -> list[str]:
    return [source["format"] for source in prepared.dataset.provenance["sources"]]


def ck_plus(root: Path, write_tree: Tree) -> Path:
    """Two labeled sequences, one of contempt and one without an emotion, as in the ReadMe."""
    frames = {
        f"cohn-kanade-images/S{subject}/{sequence}/S{subject}_{sequence}_{n:08d}.png": picture(
            10 * n, (49, 64)
        )
        for subject, sequence in (("005", "001"), ("010", "002"), ("010", "003"), ("011", "001"))
        for n in (1, 2, 3, 4)
    }
    write_tree(root, frames)
    for subject, sequence, code in (("005", "001", 3), ("010", "002", 7), ("010", "003", 2)):
        file = root / f"Emotion/S{subject}/{sequence}/S{subject}_{sequence}_00000004_emotion.txt"
        file.parent.mkdir(parents=True)
        file.write_text(f"   {code:.7e}\n")
    return root


def test_of_ck_plus_the_first_frame_is_neutral_and_the_last_has_the_emotion(
    tmp_path: Path, write_tree: Tree
) -> None:
    prepared = prepare([ck_plus(tmp_path / "CK+", write_tree)], tmp_path / "out", form=SIZE)
    assert formats(prepared) == ["CK+ sequences"]
    one, two = "cohn-kanade-images/S005/001/S005_001_", "cohn-kanade-images/S010/002/S010_002_"
    third = "cohn-kanade-images/S010/003/S010_003_00000001.png"
    assert rows(prepared) == {
        f"{one}00000001.png": ("train", "neutral"),
        f"{one}00000004.png": ("train", "disgust"),
        f"{two}00000001.png": ("train", "neutral"),
        f"{two}00000004.png": ("train", "surprise"),
        third: ("train", "neutral"),
    }
    assert prepared.dataset.images[:, 0, 0].tolist() == [10, 40, 10, 40, 10]
    assert prepared.left_out == {"contempt": 1}
    assert prepared.notes == ("CK+: it has no splits of its own, so everything is for training",)


def test_three_peak_frames_of_ck_plus(tmp_path: Path, write_tree: Tree) -> None:
    root = ck_plus(tmp_path / "CK+", write_tree)
    prepared = prepare([root], tmp_path / "out", form=SIZE, options=Options(peak_frames=3))
    names = [name for name, (_, emotion) in rows(prepared).items() if emotion == "surprise"]
    assert [name[-6:-4] for name in names] == ["02", "03", "04"]
    assert prepared.left_out == {"contempt": 3}
    # More frames than there are: the first stays neutral.
    longer = prepare([root], tmp_path / "long", form=SIZE, options=Options(peak_frames=9))
    assert rows(longer) == rows(prepared)


def test_landmarks_cut_out_the_face(tmp_path: Path, write_tree: Tree) -> None:
    root = ck_plus(tmp_path / "CK+", write_tree)
    frame = np.zeros((490, 640), np.uint8)
    frame[100:300, 200:400] = 200
    name = "S005/001/S005_001_00000004"
    write_tree(root, {f"cohn-kanade-images/{name}.png": frame})
    file = root / f"Landmarks/{name}_landmarks.txt"
    file.parent.mkdir(parents=True)
    # A face of 100×120 in the middle of the bright square: the cut is 156×156, all of it bright.
    corners = [(250, 140), (350, 140), (250, 260), (350, 260)]
    file.write_text("".join(f"   {x:.7e}   {y:.7e}\n" for x, y in corners))
    dataset = prepare([root], tmp_path / "out", form=SIZE).dataset
    assert dataset.images[1].min() == 200
    assert dataset.images[0].max() == 10  # without landmarks: the middle


@pytest.mark.parametrize("text", ["", "1 2 3\n", "a b\n", "nan 1\n"])
def test_landmarks_that_are_none_are_named(tmp_path: Path, write_tree: Tree, text: str) -> None:
    root = ck_plus(tmp_path / "CK+", write_tree)
    file = root / "Landmarks/S005/001/S005_001_00000004_landmarks.txt"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(BadRowsError, match=r"S005_001_00000004_landmarks\.txt does not hold"):
        prepare([root], tmp_path / "out", form=SIZE)


def test_a_sequence_of_which_one_frame_is_left_has_it_once(
    tmp_path: Path, write_tree: Tree
) -> None:
    root = ck_plus(tmp_path / "CK+", write_tree)
    for number in (1, 2, 3):
        (root / f"cohn-kanade-images/S005/001/S005_001_{number:08d}.png").unlink()
    found = rows(prepare([root], tmp_path / "out", form=SIZE))
    assert found["cohn-kanade-images/S005/001/S005_001_00000004.png"] == ("train", "disgust")


def test_subjects_for_validation_are_in_no_other_split(tmp_path: Path, write_tree: Tree) -> None:
    files = {
        f"anger/S{subject:03d}_001_{frame:08d}.png": picture(subject + 20 * frame)
        for subject in range(10)
        for frame in range(3)
    }
    root = write_tree(tmp_path / "CK+48", files)
    prepared = prepare([root], tmp_path / "out", options=Options(validation_subjects=0.3))
    people: dict[str, set[str]] = {"train": set(), "validation": set()}
    for name, (split, _) in rows(prepared).items():
        people[split].add(name.split("_")[0])
    assert not people["train"] & people["validation"]
    assert len(people["validation"]) == 3
    assert "3 of 10 subjects are for validation" in prepared.notes[0]
    again = prepare([root], tmp_path / "again", options=Options(validation_subjects=0.3))
    assert rows(again) == rows(prepared)


def test_ck48_folders(tmp_path: Path, write_tree: Tree) -> None:
    names = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
    root = write_tree(
        tmp_path / "CK+48",
        {f"{n}/S010_00{i}_00000017.png": picture(i) for i, n in enumerate(names)},
    )
    prepared = prepare([root], tmp_path / "out")
    assert formats(prepared) == ["CK+48 folders"]
    assert {emotion for _, emotion in rows(prepared).values()} == set(EMOTIONS) - {"neutral"}
    assert prepared.left_out == {"contempt": 1}


def test_the_table_of_ck_plus(tmp_path: Path, faces: Any, write_csv: Any) -> None:
    usages = ["Training"] * 6 + ["PublicTest", "PrivateTest"]
    path = write_csv(tmp_path / "ckextended.csv", faces(8), [0, 1, 2, 3, 4, 7, 5, 6], usages)
    prepared = prepare([tmp_path], tmp_path / "out")
    assert formats(prepared) == ["CK+ CSV"]
    assert prepared.left_out == {"contempt": 1}
    assert prepared.dataset.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert prepared.dataset.split_names == ("train", "validation", "test")
    assert np.array_equal(prepared.dataset.images, faces(8)[[0, 1, 2, 3, 4, 6, 7]])
    # FER2013 has no class 7.
    path.rename(tmp_path / "fer2013.csv")
    with pytest.raises(BadRowsError, match="bad label 1"):
        prepare([tmp_path / "fer2013.csv"], tmp_path / "fer")


def test_jaffe(tmp_path: Path) -> None:
    root = tmp_path / "jaffe"
    root.mkdir()
    codes = {"AN": 0, "DI": 1, "FE": 2, "HA": 3, "SA": 4, "SU": 5, "NE": 6}
    for number, code in enumerate(codes, start=39):
        Image.fromarray(picture(number, (256, 256))).save(root / f"KA.{code}1.{number}.tiff")
    (root / "README_FIRST.txt").write_text("semantic ratings")
    prepared = prepare([root], tmp_path / "out", form=SIZE)
    assert formats(prepared) == ["JAFFE"]
    for name, label, image in zip(
        prepared.dataset.names, prepared.dataset.labels, prepared.dataset.images, strict=True
    ):
        assert codes[str(name)[3:5]] == label
        assert int(str(name).split(".")[2]) == image[0, 0]


def raf_list(root: Path, write_tree: Tree, lines: Sequence[str]) -> Path:
    names = [line.split(".")[0] for line in lines]
    images = {f"Image/aligned/{name}_aligned.jpg": picture(9, (100, 100)) for name in names}
    write_tree(root, images)
    (root / "EmoLabel").mkdir()
    (root / "EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return root


RAF = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")


def test_the_list_of_raf_db(tmp_path: Path, write_tree: Tree) -> None:
    lines = [f"train_{n:05d}.jpg {n}" for n in range(1, 8)] + ["test_0001.jpg 5"]
    root = raf_list(tmp_path / "basic", write_tree, lines)
    prepared = prepare([root], tmp_path / "out", form=SIZE)
    assert formats(prepared) == ["RAF-DB list"]
    assert rows(prepared) == {
        **{
            f"Image/aligned/train_{n:05d}_aligned.jpg": ("train", emotion)
            for n, emotion in enumerate(RAF, start=1)
        },
        "Image/aligned/test_0001_aligned.jpg": ("test", "sad"),
    }


def test_what_is_wrong_with_the_list_of_raf_db_is_named(tmp_path: Path, write_tree: Tree) -> None:
    lines = ["train_00001.jpg 1", "train_00002.jpg 8", "train_00003.jpg 2"]
    root = raf_list(tmp_path / "basic", write_tree, lines)
    (root / "Image/aligned/train_00003_aligned.jpg").unlink()
    with (root / "EmoLabel/list_patition_label.txt").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(BadRowsError) as caught:
        prepare([root], tmp_path / "out")
    assert [(p.kind, p.file, p.row) for p in caught.value.problems] == [
        (Kind.FIELDS, "basic/EmoLabel/list_patition_label.txt", 4),
        (Kind.LABEL, "basic/Image/aligned/train_00002_aligned.jpg", None),
        (Kind.IMAGE, "basic/EmoLabel/train_00003.jpg", None),
    ]


def test_the_folders_of_raf_db_are_not_numbered_as_fer2013(
    tmp_path: Path, write_tree: Tree
) -> None:
    files = {
        f"DATASET/{split}/{n}/{split}_{n}.png": picture(n)
        for split in ("train", "test")
        for n in range(1, 8)
    }
    prepared = prepare([write_tree(tmp_path / "archive", files)], tmp_path / "out")
    assert formats(prepared) == ["RAF-DB folders"]
    assert rows(prepared) == {
        f"DATASET/{split}/{n}/{split}_{n}.png": (split, emotion)
        for split in ("train", "test")
        for n, emotion in enumerate(RAF, start=1)
    }


AFFECT = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,"
    "facial_landmarks,expression,valence,arousal"
)


def test_the_lists_of_affectnet(tmp_path: Path, write_tree: Tree) -> None:
    root = tmp_path / "AffectNet"
    frame = np.zeros((200, 300), np.uint8)
    frame[50:150, 100:200] = 255
    lists = root / "Manually_Annotated_file_lists"
    lists.mkdir(parents=True)
    lines = [f"{n}/a{n}.png,100,50,100,100,1.5;2.5,{n},0.1,-0.2" for n in range(11)]
    (lists / "training.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    # The published list for validation has no names of columns.
    (lists / "validation.csv").write_text("12/b.png,100,50,100,100,1.5;2.5,6,0.1,-0.2\n")
    images = {f"Manually_Annotated_Images/{n}/a{n}.png": frame for n in range(11)}
    write_tree(root, images | {"Manually_Annotated_Images/12/b.png": frame})
    prepared = prepare([root], tmp_path / "out", form=SIZE)
    assert formats(prepared) == ["AffectNet lists"]
    found = {
        name.removeprefix("Manually_Annotated_Images/"): v for name, v in rows(prepared).items()
    }
    assert found == {
        **{f"{n}/a{n}.png": ("train", emotion) for n, emotion in enumerate(AFFECT)},
        "12/b.png": ("validation", "angry"),
    }
    assert prepared.left_out == {"contempt": 1, "none": 1, "uncertain": 1, "non-face": 1}
    assert prepared.dataset.images.min() == 255  # nothing but the face's box


def test_what_is_wrong_with_a_list_of_affectnet_is_named(tmp_path: Path, write_tree: Tree) -> None:
    root = write_tree(tmp_path / "AffectNet", {"1/a.png": picture(9), "1/b.png": picture(9)})
    rest = "0,0,48,48,1.5;2.5,1,0.1,-0.2"
    lines = [f"1/a.png,{rest}", f"/1/a.png,{rest}", "1/b.png,nan,0,48,inf,1.5;2.5,1,0.1,-0.2"]
    (root / "training.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    with pytest.raises(BadRowsError, match=r"training\.csv:3: '/1/a\.png' is no path within"):
        prepare([root], tmp_path / "out")
    # A box that is no box: the middle of the image.
    assert len(prepare([root], tmp_path / "out", skip_bad=True).dataset) == 2


def test_the_arrays_of_affectnet(tmp_path: Path, write_tree: Tree) -> None:
    root = tmp_path / "AffectNet"
    for folder, codes in (("train_set", range(8)), ("val_set", (3,))):
        for n, code in enumerate(codes):
            write_tree(root, {f"{folder}/images/{n}.jpg": picture(n, (224, 224))})
            notes = root / folder / "annotations"
            notes.mkdir(exist_ok=True)
            np.save(notes / f"{n}_exp.npy", np.array(str(code)))  # text, as in the release
            np.save(notes / f"{n}_val.npy", np.array("0.5"))
    prepared = prepare([root], tmp_path / "out", form=SIZE)
    assert formats(prepared) == ["AffectNet arrays"]
    assert rows(prepared) == {
        **{f"train_set/images/{n}.jpg": ("train", emotion) for n, emotion in enumerate(AFFECT)},
        "val_set/images/0.jpg": ("validation", "surprise"),
    }
    assert prepared.left_out == {"contempt": 1}
    np.save(root / "val_set/annotations/0_exp.npy", np.array("happy"))
    with pytest.raises(BadRowsError, match="is no array with one number"):
        prepare([root], tmp_path / "bad", form=SIZE)


@pytest.mark.parametrize(
    ("name", "last", "expected"),
    [("AffectNet", 7, AFFECT), ("affectnet-7", 6, AFFECT), ("other", 6, EMOTIONS)],
)
def test_numbered_folders_are_affectnets_where_only_these_fit(
    tmp_path: Path, write_tree: Tree, name: str, last: int, expected: Sequence[str]
) -> None:
    files = {f"val/{n}/{n}.png": picture(n) for n in range(last + 1)}
    prepared = prepare([write_tree(tmp_path / name, files)], tmp_path / "out")
    assert rows(prepared) == {
        f"val/{n}/{n}.png": ("validation", emotion) for n, emotion in enumerate(expected)
    }
    assert formats(prepared) == ["AffectNet folders" if expected == AFFECT else "image folders"]


def test_numbers_below_an_emotion_are_no_classes(tmp_path: Path, write_tree: Tree) -> None:
    files = {f"happy/{person}/{person}.png": picture(person) for person in range(1, 8)}
    prepared = prepare([write_tree(tmp_path / "tree", files)], tmp_path / "out")
    assert formats(prepared) == ["image folders"]
    assert set(rows(prepared).values()) == {("train", "happy")}


def test_folders_that_name_a_split_count_for_ck48(tmp_path: Path, write_tree: Tree) -> None:
    files = {
        "train/fear/S001_001_00000001.png": picture(1),
        "test/fear/S002_001_00000001.png": picture(2),
    }
    root = write_tree(tmp_path / "ck", files)
    prepared = prepare([root], tmp_path / "out", options=Options(validation_subjects=0.5))
    assert formats(prepared) == ["CK+48 folders"]
    assert sorted(split for split, _ in rows(prepared).values()) == ["test", "train"]
    assert prepared.notes == ()


def test_a_box_outside_of_the_image_counts_as_none() -> None:
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert np.array_equal(cut(image, (1, 1, 2, 3)), image[1:4, 1:3])
    assert np.array_equal(cut(image, (-2, -2, 4, 4)), image[:2, :2])
    assert np.array_equal(cut(image, (9, 9, 2, 2)), image[:, :4])
    assert np.array_equal(cut(image, None), image[:, :4])


def test_frames_of_different_sizes_need_a_size(tmp_path: Path, write_tree: Tree) -> None:
    root = write_tree(
        tmp_path / "ck",
        {
            "fear/S001_001_00000001.png": picture(1),
            "fear/S002_001_00000001.png": picture(2, (9, 9)),
        },
    )
    with pytest.raises(MienError, match="differ in size"):
        prepare([root], tmp_path / "out")


def test_a_source_is_walked_through_once_whatever_its_format(
    tmp_path: Path, write_tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "AffectNet"
    write_tree(root, {f"train/{code}/{code}.png": picture(code) for code in range(8)})
    walked: list[Path] = []
    once = walk._walk

    def counted(folder: Path) -> walk.Listing:
        walked.append(folder)
        return once(folder)

    monkeypatch.setattr(walk, "_walk", counted)
    readers, _ = discover([root])
    assert [reader.format for reader in readers] == ["AffectNet folders"]
    assert walked == [root]
    # Later calls see what has changed since.
    write_tree(root, {"train/8/8.png": picture(8)})
    assert root / "train/8" in walk.listing(root).folders


def test_hidden_folders_are_not_entered(tmp_path: Path, write_tree: Tree) -> None:
    root = tmp_path / "jaffe"
    write_tree(
        root,
        {
            "KA.AN1.39.png": picture(1),
            ".thumbnails/a.png": picture(2),
            "__MACOSX/b.png": picture(3),
        },
    )
    prepared = prepare([root], tmp_path / "out", form=SIZE)
    assert formats(prepared) == ["JAFFE"]
    assert rows(prepared) == {"KA.AN1.39.png": ("train", "angry")}
