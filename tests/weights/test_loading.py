"""Loading imported weights into a network: what fits, what is refused and how to mend it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.errors import MienError
from mien.files import sha256
from mien.models.registry import architectures, create
from mien.models.transfer import TransferNetwork
from mien.weights.catalog import catalog, find, folder
from mien.weights.loading import load_into, record

NAME = "keras-vggface-vgg16"


@pytest.fixture
def imported() -> Path:
    """The smallest network's weights as `import` leaves them; what import does is tested apart."""
    return _write(NAME)


def _write(name: str, file: Path | None = None, **changes: Any) -> Path:
    entry = find(name)
    with torch.device("meta"):
        network = create(entry.architecture, size=48, channels=3, **entry.options)
    assert isinstance(network, TransferNetwork)
    origin = {
        "name": name, "file": entry.file, "url": entry.url, "sha256": "0" * 64,
        "license": entry.license, "architecture": entry.architecture,
        "options": dict(entry.options),
    }  # fmt: skip
    wanted = network.backbone.state_dict()
    state = {name: torch.rand(tuple(value.shape)) for name, value in wanted.items()}
    file = file or entry.path
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, file, {"mien.weights": json.dumps(origin | changes)})
    return file


@pytest.mark.parametrize(
    "options", [{"channels": 3}, {"channels": 1, "repeat_gray": True, "head": "paper"}]
)
def test_the_backbone_is_loaded_and_the_head_stays(imported: Path, options: dict[str, Any]) -> None:
    network = create("vgg16", size=48, **options)
    assert isinstance(network, TransferNetwork)
    head = {name: value.clone() for name, value in network.head.state_dict().items()}
    load_into(network, NAME, architecture="vgg16", options=options)
    expected = load_file(imported)
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert all(torch.equal(head[n], v) for n, v in network.head.state_dict().items())


def test_a_path_stands_for_itself(tmp_path: Path) -> None:
    file = _write(NAME, tmp_path / "mine.safetensors")
    network = create("vgg16", size=48, channels=3)
    load_into(network, str(file), architecture="vgg16", options={})
    with pytest.raises(MienError, match=r"there is no file .*none\.safetensors"):
        load_into(network, str(tmp_path / "none.safetensors"), architecture="vgg16", options={})


def test_a_run_s_record_says_which_weights_they_were(imported: Path) -> None:
    found = record(NAME)
    assert found["source"] == NAME
    assert found["sha256"] == "0" * 64
    assert found["converted_sha256"] == sha256(imported)
    assert found["url"] == find(NAME).url
    json.dumps(found)


def test_gray_without_repetition_is_refused(imported: Path) -> None:
    network = create("vgg16", size=48, channels=1)
    with pytest.raises(MienError, match="three channels") as caught:
        load_into(network, NAME, architecture="vgg16", options={})
    assert "repeat_gray = true" in str(caught.value.hint)


def test_another_architecture_is_refused(imported: Path) -> None:
    network = create("resnet50", size=48, channels=3)
    with pytest.raises(MienError, match="of vgg16, not of resnet50"):
        load_into(network, NAME, architecture="resnet50", options={})
    with pytest.raises(MienError, match="no backbone"):
        load_into(create("cnn5"), NAME, architecture="cnn5", options={})


def test_another_geometry_or_embedding_is_refused() -> None:
    _write("facenet-vggface2")
    network = create("inception_resnet_v1", size=48, channels=3, embedding=128)
    with pytest.raises(MienError, match=r"embedding = 512, but .* 128") as caught:
        load_into(
            network, "facenet-vggface2",
            architecture="inception_resnet_v1", options={"embedding": 128},
        )  # fmt: skip
    assert caught.value.hint == "model.options.embedding = 512"
    # What the recipe leaves out has the builder's default, here "keras".
    _write("oxford-resnet50-ft")
    network = create("resnet50", size=48, channels=3)
    with pytest.raises(MienError, match=r"geometry = 'oxford', but .* 'keras'"):
        load_into(network, "oxford-resnet50-ft", architecture="resnet50", options={})


def test_weights_that_are_not_there_say_how_to_get_them() -> None:
    network = create("vgg16", size=48, channels=3)
    with pytest.raises(MienError, match="not on this machine") as caught:
        load_into(network, NAME, architecture="vgg16", options={})
    assert f"mien weights fetch {NAME}" in str(caught.value.hint)
    assert f"mien weights import FILE --as {NAME}" in str(caught.value.hint)
    with pytest.raises(MienError, match="no published weights") as caught:
        load_into(network, "keras-vggface-vgg", architecture="vgg16", options={})
    assert f"did you mean '{NAME}'" in str(caught.value.hint)


def test_other_and_damaged_files_are_refused(tmp_path: Path) -> None:
    network = create("vgg16", size=48, channels=3)
    file = tmp_path / "run.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(MienError, match="does not say whose weights"):
        load_into(network, str(file), architecture="vgg16", options={})
    file.write_bytes(b"damaged")
    with pytest.raises(MienError, match="is damaged"):
        load_into(network, str(file), architecture="vgg16", options={})
    _write(NAME, file, architecture="resnet50", options={"geometry": "keras"})
    with pytest.raises(MienError, match="does not hold the weights of this network"):
        load_into(
            create("resnet50", size=48, channels=3), str(file),
            architecture="resnet50", options={},
        )  # fmt: skip


def test_metadata_of_others_are_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "foreign.safetensors"
    texts = ("name", "file", "url", "sha256", "license")
    good = {**dict.fromkeys(texts, "x"), "architecture": "vgg16", "options": {}}
    strange = ({"options": {"color": 1}}, {"options": 3}, {"name": 1}, {"architecture": "x"})
    changed = [good | change for change in strange]
    for value in ("no JSON", *map(json.dumps, ([], {"name": "x"}, 3, None, *changed))):
        save_file({"a": torch.zeros(1)}, file, {"mien.weights": value})
        with pytest.raises(MienError, match="says otherwise than mien"):
            record(str(file))
    save_file({"a": torch.zeros(1)}, file, {"mien.weights": json.dumps(good)})
    assert record(str(file))["architecture"] == "vgg16"


def test_the_catalog_is_sound(home: Path) -> None:
    assert folder() == home / "weights"
    for name, entry in catalog().items():
        assert entry.license, name
        assert entry.url.startswith("https://"), name
        # A figure is never given without saying who published it.
        assert bool(entry.checksum_source) == bool(entry.size or entry.sha256), name
        assert len(entry.sha256) in (0, 64), name
        if entry.architecture:
            builder = architectures()[entry.architecture].build
            assert set(entry.options) <= set(inspect.signature(builder).parameters), name
