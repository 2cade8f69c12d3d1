"""The moving average is PyTorch's own."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mien.training.averaging import MovingAverage


def test_it_moves_as_pytorch_s_own_and_has_its_state() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    ours = MovingAverage(network, 0.9)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)  # type: ignore[no-untyped-call]
    for _ in range(3):
        network(torch.randn(4, 2, 5, 5))  # moves the statistics
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        ours.update_parameters(network)
        theirs.update_parameters(network)
    expected = theirs.state_dict()
    # Theirs averages the number of batches, too.
    expected["module.1.num_batches_tracked"] = torch.tensor(3)
    torch.testing.assert_close(dict(ours.state_dict()), dict(expected), rtol=0, atol=0)
