"""What the networks for small images share: stages, stochastic depth, the frame."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mien.errors import MienError
from mien.models.pooled import PooledNetwork, drop_path, stages
from mien.models.registry import create


def test_stages_say_what_enters_each_block() -> None:
    found = stages((8, 16), (2, 3))
    assert [stage.name for stage in found] == ["stage1", "stage2"]
    assert list(found[0].blocks()) == [(8, 1, 0.0), (8, 1, 0.0)]
    assert list(found[1].blocks()) == [(8, 2, 0.0), (16, 1, 0.0), (16, 1, 0.0)]


def test_rates_grow_linearly_to_the_last_block() -> None:
    # Huang et al. 2016, equation 4: the survival of block l of L is 1 − l/L · (1 − p_L).
    rates = [rate for stage in stages((8, 16), (2, 2), 0.4) for rate in stage.rates]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("vgg_bn", {"widths": [8, 8], "depths": [1]}, "one number a stage each, not 2 and 1"),
        ("repvgg", {"widths": [], "depths": []}, "one number a stage"),
        ("convnext", {"depths": [1, 0, 1]}, "from 1 up"),
        ("se_preresnet", {"drop_path": 1.0}, "drop_path is a rate from 0 to below 1"),
        ("mobilenet", {"dropout": -0.1}, "dropout is a rate"),
        ("mobilenet", {"expansion": 0}, "expansion"),
        ("inception", {"widths": [96, 96, 384]}, "growing multiples of 8"),
        ("inception", {"widths": [20, 40, 80]}, "growing multiples of 8"),
        ("se_preresnet", {"widths": [4, 8, 16, 32]}, "reduction"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], match: str) -> None:
    with torch.device("meta"), pytest.raises(MienError, match=match):
        create(name, **options)


def test_a_dropped_branch_is_dropped_whole_and_the_rest_scaled() -> None:
    torch.manual_seed(0)
    branch = torch.rand(4000, 2, 1, 3) + 1
    dropped = drop_path(branch, 0.25, training=True)
    gone = (dropped == 0).flatten(1)
    assert torch.equal(gone.any(dim=1), gone.all(dim=1))
    kept = ~gone[:, 0]
    torch.testing.assert_close(dropped[kept], branch[kept] / 0.75)
    # Four standard deviations of a share of 4000 draws.
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.028)


def test_the_same_seed_drops_the_same() -> None:
    branch = torch.ones(64, 1, 1, 1)
    torch.manual_seed(3)
    first = drop_path(branch, 0.5, training=True)
    torch.manual_seed(3)
    assert torch.equal(first, drop_path(branch, 0.5, training=True))


@pytest.mark.parametrize("name", ["convnext", "mobilenet", "se_preresnet"])
def test_stochastic_depth_works_in_training_only(name: str) -> None:
    images = torch.full((2, 1, 16, 16), 200.0)
    logits = {}
    for rate in (0.0, 0.9):
        torch.manual_seed(0)
        network = create(name, drop_path=rate)
        logits[rate] = network.eval()(images), network.train()(images)
    assert torch.equal(logits[0.0][0], logits[0.9][0])
    assert not torch.equal(logits[0.0][1], logits[0.9][1])


def test_the_frame_normalizes_pools_and_classifies() -> None:
    network = PooledNetwork(nn.Identity(), width=1, classes=1, dropout=0.0)
    images = torch.tensor([[[[127.5, 127.5 + 64.0]]]])
    assert network.embed(images).tolist() == [[0.5]]
    last = network.head[1]
    assert isinstance(last, nn.Linear)
    nn.init.constant_(last.weight, 3.0)
    assert network(images).tolist() == [[1.5]]
