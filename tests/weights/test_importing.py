"""Importing files of the published layouts: the same weights whatever the file; errors by name."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from mien.errors import MienError
from mien.files import sha256
from mien.weights import reading
from mien.weights.catalog import find
from mien.weights.importing import import_file
from mien.weights.reading import read


def _import(path: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(import_file(path, find(name)))


def _torch_file(arrays: dict[str, np.ndarray[Any, Any]], path: Path, zipped: bool = True) -> None:
    state = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)


def test_three_layouts_give_the_same_weights(tmp_path: Path, layouts: ModuleType) -> None:
    # SENet-50 has all that ResNet-50 has.
    keras, oxford, torchvision = layouts.resnet(senet=True)
    layouts.save_keras(keras, tmp_path / "weights.h5")
    _torch_file(oxford, tmp_path / "ft.pth", zipped=False)
    (tmp_path / "ft.pkl").write_bytes(pickle.dumps(torchvision))
    # That Keras's own layout is read rightly, test_keras_networks.py shows.
    expected = _import(tmp_path / "weights.h5", "keras-vggface-senet50")
    for file in ("ft.pth", "ft.pkl"):
        found = _import(tmp_path / file, "oxford-senet50-ft")
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected), file


def test_pickles_of_python_2_are_read(tmp_path: Path) -> None:
    values = np.array([1.5, -2.0], np.float32)
    # As Python 2 writes {"a": values} with protocol 2: its strings are bytes.
    written = (
        b"\x80\x02}q\x00U\x01aq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq"
        b"\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02\x85q\x08cnumpy\ndtype\nq\tU\x02f4"
        b"q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq"
        b"\x0eb\x89U\x08" + values.tobytes() + b"q\x0ftq\x10bs."
    )
    # Python 3 keeps bytes as text with protocol 2.
    for content in (written, pickle.dumps({"a": values}, protocol=2)):
        (tmp_path / "old.pkl").write_bytes(content)
        assert torch.equal(read(tmp_path / "old.pkl")["a"], torch.tensor([1.5, -2.0]))


def test_an_archive_holds_one_file_of_weights(tmp_path: Path, layouts: ModuleType) -> None:
    _, oxford, _ = layouts.resnet(senet=False)
    # Only what is looked at is kept, for numbers drawn at random take long to compress.
    seen = "conv4_2_3x3_bn.running_var"
    oxford = {n: v if n == seen else np.zeros_like(v) for n, v in oxford.items()}
    _torch_file(oxford, tmp_path / "resnet50_scratch_dims_2048.pth")
    archive = tmp_path / "resnet50_scratch_pytorch.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "resnet50_scratch_dims_2048.pth", "model/resnet50_dims_2048.pth")
        tar.addfile(tarfile.TarInfo("model/resnet50_dims_2048.py"))
    found = _import(archive, "oxford-resnet50-scratch")
    name = "blocks.conv4_2.conv3x3.norm.running_var"
    assert torch.equal(found[name], torch.from_numpy(oxford[seen]))


def test_facenet_pytorch_s_state_is_taken_without_its_logits(
    tmp_path: Path, layouts: ModuleType
) -> None:
    arrays = layouts.facenet_pytorch()
    _torch_file(arrays, tmp_path / "vggface2.pt")
    found = _import(tmp_path / "vggface2.pt", "facenet-casia-webface")
    kept = {name for name in arrays if not name.startswith("logits.")}
    assert found.keys() == kept
    for name in kept:
        assert np.array_equal(found[name].numpy(), arrays[name]), name


def test_the_file_says_where_its_weights_come_from(tmp_path: Path, layouts: ModuleType) -> None:
    _torch_file(layouts.facenet_pytorch(), tmp_path / "mine.pt")
    path = import_file(tmp_path / "mine.pt", find("facenet-casia-webface"))
    with safe_open(path, framework="pt") as file:
        origin = json.loads(file.metadata()["mien.weights"])
    assert origin["name"] == "facenet-casia-webface"
    assert origin["sha256"] == sha256(tmp_path / "mine.pt")
    assert origin["architecture"] == "inception_resnet_v1"
    assert origin["options"] == {"embedding": 512}
    assert "MIT License" in origin["license"]


def test_what_does_not_fit_is_named(tmp_path: Path, layouts: ModuleType) -> None:
    arrays = layouts.facenet_pytorch()
    del arrays["conv2d_3b.bn.running_var"]
    arrays["conv2d_9z.conv.weight"] = np.zeros(1, np.float32)
    arrays["last_linear.weight"] = np.zeros((128, 1792), np.float32)
    _torch_file(arrays, tmp_path / "wrong.pt")
    with pytest.raises(MienError) as caught:
        import_file(tmp_path / "wrong.pt", find("facenet-casia-webface"))
    message = caught.value.message
    assert "wrong.pt" in message
    assert "missing: conv2d_3b.bn.running_var" in message
    assert "unexpected: conv2d_9z.conv.weight" in message
    assert "last_linear.weight is 128×1792, not 512×1792" in message
    assert not find("facenet-casia-webface").path.exists()


def test_the_weights_of_another_network_are_refused(tmp_path: Path, layouts: ModuleType) -> None:
    keras, _, _ = layouts.resnet(senet=False)
    layouts.save_keras(keras, tmp_path / "weights.h5")
    with pytest.raises(MienError, match=r"1x1_down/bias, .* and 59 more"):
        import_file(tmp_path / "weights.h5", find("keras-vggface-senet50"))


class _Bad:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


class _Numbers:
    """A harmless class is refused as well: nobody but its author knows that it is harmless."""


@pytest.mark.parametrize("kind", ["plain", "torch", "old torch", "archive"])
@pytest.mark.parametrize(("value", "named"), [(_Bad(), "print"), (_Numbers(), "_Numbers")])
def test_a_pickle_that_needs_more_than_arrays_is_refused(
    kind: str, value: object, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pth"
    content = {"conv1.weight": torch.zeros(1), "x": value}
    if kind in ("torch", "old torch"):
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
    else:
        path.write_bytes(pickle.dumps({"conv1.weight": np.zeros(1), "x": value}))
    if kind == "archive":
        with tarfile.open(tmp_path / "weights.tar.gz", "w:gz") as tar:
            tar.add(path, "weights.pth")
        path = tmp_path / "weights.tar.gz"
    with pytest.raises(MienError, match=f"tensors or plain NumPy arrays.*{named}"):
        import_file(path, find("oxford-resnet50-ft"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no file of weights"),
        (b"<!DOCTYPE html><html>", "no pickle|no file of weights"),
        (b"\x89HDF\r\n\x1a\n and no more", "damaged"),
        (b"\x1f\x8b and no more", "damaged"),
        (b"PK\x03\x04 and no more", "damaged"),
        (pickle.dumps([1, 2]), "holds list, not arrays by name"),
        (pickle.dumps({"a": np.array([None])}), "a is not an array of numbers"),
        (pickle.dumps({"a": "text"}), "a is not an array of numbers"),
    ],
)
def test_damaged_files_and_other_things_are_refused(
    content: bytes, match: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(MienError, match=match):
        import_file(path, find("oxford-resnet50-ft"))


def test_a_keras_3_file_and_an_archive_of_two_are_explained(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "new.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(MienError, match="not one of Keras 2"):
        import_file(tmp_path / "new.h5", find("keras-vggface-vgg16"))
    with tarfile.open(tmp_path / "two.tar.gz", "w:gz") as tar:
        for name in ("a.pth", "b.pkl"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(MienError, match="holds 2 files of weights"):
        import_file(tmp_path / "two.tar.gz", find("oxford-resnet50-ft"))
    with pytest.raises(MienError, match="there is no file"):
        import_file(tmp_path / "none.h5", find("keras-vggface-vgg16"))


def test_a_file_in_an_archive_has_a_largest_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "large.tar.gz"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": np.zeros(1000)}))
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "a.pkl", "a.pkl")
    assert read(archive).keys() == {"a"}
    monkeypatch.setattr(reading, "LARGEST", 8000)
    with pytest.raises(MienError, match=r"a\.pkl in .*large\.tar\.gz has 8,\d+ bytes"):
        read(archive)


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(b"short")
    with pytest.raises(MienError, match=r"5 bytes, but rcmalli.* has 94,694,792") as caught:
        import_file(path, find("keras-vggface-resnet50"))
    assert sha256(path) in caught.value.message
    with pytest.raises(MienError, match="no pickle of tensors"):
        import_file(path, find("keras-vggface-resnet50"), other_file=True)
