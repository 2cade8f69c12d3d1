"""The heads: the paper's layers in their order, their counts, what is refused."""

from __future__ import annotations

import torch
from torch import nn

from mien.models.heads import build_head
from mien.models.registry import parameter_counts


def test_the_papers_head_has_its_layers_in_order() -> None:
    head = build_head("paper", 8, 7, dropout=0.3)
    kinds = [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [type(layer) for layer in head] == kinds
    assert [m.out_features for m in head if isinstance(m, nn.Linear)] == [4096, 1024, 7]
    assert {m.p for m in head if isinstance(m, nn.Dropout)} == {0.3}


def test_the_papers_head_on_resnet50_has_twelve_and_a_half_million_weights() -> None:
    with torch.device("meta"):
        head = build_head("paper", 2048, 7, dropout=0.5)
    assert parameter_counts(head) == (8_392_704 + 4_195_328 + 7_175, 0)


def test_the_linear_head_is_one_layer_behind_dropout() -> None:
    torch.manual_seed(0)
    head = build_head("linear", 4, 7, dropout=0.5)
    features = torch.rand(3, 4)
    dropout, linear = head
    assert isinstance(dropout, nn.Dropout)
    assert isinstance(linear, nn.Linear)
    expected = features @ linear.weight.T
    torch.testing.assert_close(head.eval()(features), expected)
